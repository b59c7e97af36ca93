"""Tables as files that the next tool reads."""

from __future__ import annotations

import contextlib
import gzip
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TextIO, cast

import pandas as pd

from epinformer.errors import OutputError
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
    # Neither the temporary name nor the time goes into a gzip header: the same table gives the same file.
    with atomic_file(target) as temporary, contextlib.ExitStack() as stack:
        handle: IO[bytes] = stack.enter_context(temporary.open("wb"))
        if target.suffix == ".gz":
            handle = stack.enter_context(cast(IO[bytes], gzip.GzipFile("", "wb", fileobj=handle, mtime=0)))
        table.to_csv(handle, sep="\t", index=False, float_format="%.7g")
    logger.info("wrote %s: %s rows", target, f"{len(table):,}")


def refuse_targets(targets: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Say before the work, not after it, that results cannot be written where they are wanted.

    Parameters
    ----------
    targets
        Files to write.
    inputs
        Files and directories that are read; no target may be one of them or lie inside.

    Raises
    ------
    OutputError
        A folder is missing, a target is a directory, is named twice, or would destroy an input.
    """
    seen: set[Path] = set()
    for target in targets:
        place = target.resolve()
        if place.is_dir():
            raise OutputError("is a directory", source=target, fix="Name a file")
        if not place.parent.is_dir():
            raise OutputError("its folder does not exist", source=target, fix=f"Create {target.parent} first")
        if place in seen:
            raise OutputError("is named for two different results", source=target, fix="Give each its own file")
        seen.add(place)
        for given in inputs:
            if place == given.resolve() or given.resolve() in place.parents:
                raise OutputError(f"would overwrite the input {given}", source=target, fix="Name another output")
