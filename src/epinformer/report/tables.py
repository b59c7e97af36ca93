"""Tables as files that the next tool reads."""

from __future__ import annotations

import contextlib
import gzip
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TextIO, cast

import pandas as pd

from epinformer.errors import OutputError
from epinformer.files import atomic_file

logger = logging.getLogger(__name__)

PARQUET = ".parquet"


def write_table(table: pd.DataFrame, target: Path | TextIO) -> None:
    """Write one table, as `write_tables` does."""
    write_tables([table], target)


def write_tables(tables: Iterable[pd.DataFrame], target: Path | TextIO, *, header: bool = True) -> int:
    """Write tables of the same columns one below the other, to a stream, or whole or not at all to a file.

    Parameters
    ----------
    tables
        At least one; one at a time is held.
    target
        Parquet if it ends in .parquet, else tab-separated text, compressed if it ends in .gz.
    header
        Whether text begins with the names of the columns.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    if not isinstance(target, Path):
        return _write_text(tables, target, header)
    with atomic_file(target) as temporary, contextlib.ExitStack() as stack:
        if target.suffix == PARQUET:
            rows = _write_parquet(tables, temporary)
        else:
            handle: IO[bytes] = stack.enter_context(temporary.open("wb"))
            if target.suffix == ".gz":
                # Neither the temporary name nor the time goes into a gzip header: the same table, the same file.
                handle = stack.enter_context(cast(IO[bytes], gzip.GzipFile("", "wb", fileobj=handle, mtime=0)))
            rows = _write_text(tables, handle, header)
    logger.info("wrote %s: %s rows", target, f"{rows:,}")
    return rows


def _write_text(tables: Iterable[pd.DataFrame], handle: IO[bytes] | TextIO, header: bool) -> int:
    rows = 0
    for number, table in enumerate(tables):
        table.to_csv(handle, sep="\t", index=False, float_format="%.7g", header=header and number == 0)
        rows += len(table)
    return rows


def _write_parquet(tables: Iterable[pd.DataFrame], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    with contextlib.ExitStack() as stack:
        writer = None
        for table in tables:
            content = pa.Table.from_pandas(
                table, schema=None if writer is None else writer.schema, preserve_index=False
            )
            if writer is None:
                handle = stack.enter_context(path.open("wb"))
                writer = stack.enter_context(pq.ParquetWriter(handle, content.schema, compression="zstd"))
            writer.write_table(content)
            rows += len(table)
    return rows


def require_table_name(target: Path) -> None:
    """Refuse a file name that does not say which kind of table it is to hold.

    Raises
    ------
    OutputError
        It ends in none of .tsv, .tsv.gz and .parquet.
    """
    if not target.name.endswith((".tsv", ".tsv.gz", PARQUET)):
        raise OutputError(
            "does not say by its name which kind of table it shall be",
            source=target,
            fix="End it in .tsv, .tsv.gz or .parquet",
        )


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
