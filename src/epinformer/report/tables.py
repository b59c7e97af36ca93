"""Tables as files that the next tool reads."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TextIO

import pandas as pd

from epinformer.files import atomic_file

logger = logging.getLogger(__name__)


def write_table(table: pd.DataFrame, target: Path | TextIO) -> None:
    """Write a table as tab-separated text: to a stream, or whole or not at all to a file (gzip if it ends in .gz).

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    if not isinstance(target, Path):
        table.to_csv(target, sep="\t", index=False, float_format="%.7g")
        return
    with atomic_file(target) as temporary:
        table.to_csv(temporary, sep="\t", index=False, float_format="%.7g")
    logger.info("wrote %s: %s rows", target, f"{len(table):,}")
