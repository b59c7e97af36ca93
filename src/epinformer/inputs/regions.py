"""Regions, and reads counted over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.tables import Column, read_bed

LAST_POSITION = 2**31 - 1
"""Distances between positions are 32-bit integers on disk."""

_INTERVAL = (Column("chrom", "text", 0), Column("start", "int", 1), Column("end", "int", 2))


def read_regions(path: str | Path) -> pd.DataFrame:
    """Read the intervals of a BED file.

    Returns
    -------
    DataFrame
        chrom, start, end (0-based half-open) in the file's order, indexed by line number.

    Raises
    ------
    InputError
        The file cannot be read (`inputs.tables.read_bed`), starts are negative or not below ends.
    """
    regions = read_bed(path, _INTERVAL)
    check_intervals(regions, path)
    return regions


def read_counts(path: str | Path) -> pd.DataFrame:
    """Read regions and their counts: bedGraph, or BED whose last column is the count.

    Returns
    -------
    DataFrame
        chrom, start, end (0-based half-open), count (float64) in the file's order, indexed by line number.

    Raises
    ------
    InputError
        As `read_regions`; also fewer than four columns, and counts that are negative, infinite or no numbers.
    """
    # A file of three columns would give its ends as counts.
    table = read_bed(path, (*_INTERVAL, Column("count", "float", -1)), min_width=4)
    check_intervals(table, path)
    refuse(table, table["count"] < 0, path, "has negative counts", "Give reads per region, 0 or more")
    return table


def check_intervals(table: pd.DataFrame, path: str | Path) -> None:
    """Raise InputError for positions that are negative or exceed 32 bits, and for starts that are not below ends."""
    refuse(table, table["start"] < 0, path, "has negative starts", "Coordinates are 0-based; correct these rows")
    refuse(
        table,
        table["start"] >= table["end"],
        path,
        "has starts that are not below ends",
        "Intervals are 0-based and half-open, so a single base is `start start+1`; correct these rows",
    )
    refuse(
        table,
        table["end"] > LAST_POSITION,
        path,
        "has ends beyond any chromosome",
        f"Positions go up to {LAST_POSITION:,}; correct these rows",
    )


def refuse(table: pd.DataFrame, bad: pd.Series | np.ndarray, path: str | Path, problem: str, fix: str) -> None:
    """Raise InputError if any row of a table indexed by line number is bad, showing the first."""
    mask = np.asarray(bad, dtype=bool)
    if mask.any():
        row = int(mask.argmax())
        shown = " ".join(str(value) for value in table.iloc[row])
        raise InputError(
            problem, source=path, count=int(mask.sum()), first=f"line {table.index[row]:,}: {shown}", fix=fix
        )


def refuse_duplicates(table: pd.DataFrame, columns: list[str], path: str | Path, problem: str, fix: str) -> None:
    """Raise InputError if rows repeat others in the given columns; the first repeat is shown."""
    refuse(table, table.duplicated(columns).to_numpy(), path, problem, fix)


def region_names(table: pd.DataFrame) -> pd.Series:
    """`chrom:start-end` of every row, with the table's index."""
    return table["chrom"] + ":" + table["start"].astype("str") + "-" + table["end"].astype("str")


def aligned_counts(counts: pd.DataFrame, regions: pd.DataFrame, path: str | Path, reference: str | Path) -> np.ndarray:
    """Counts in the order of the regions.

    Parameters
    ----------
    counts
        chrom, start, end, count, as `read_counts` gives.
    regions
        chrom, start, end; may hold one interval several times (genes that share a TSS window), as then do the counts.
    path, reference
        The files of both, for messages.

    Returns
    -------
    ndarray
        float64, (number of regions,).

    Raises
    ------
    InputError
        The two are not the same set of intervals. Their order may differ.
    """
    key = ["chrom", "start", "end"]
    values = counts["count"].to_numpy(np.float64)
    if len(counts) == len(regions) and all(np.array_equal(counts[name], regions[name]) for name in key):
        return values
    keys = [_numbered(counts[key]), _numbered(regions[key])]
    both = keys[1].merge(keys[0].assign(row=np.arange(len(counts))), how="left", on=[*key, "copy"])
    absent = both["row"].isna().to_numpy()
    extra = keys[0].merge(keys[1], how="left", on=[*key, "copy"], indicator=True)["_merge"].eq("left_only").to_numpy()
    if absent.any() or extra.any():
        firsts = []
        if absent.any():
            firsts.append(f"{region_names(regions[absent]).iloc[0]} is missing")
        if extra.any():
            row = int(extra.argmax())
            firsts.append(f"{region_names(counts[extra]).iloc[0]} on line {counts.index[row]:,} is not among them")
        raise InputError(
            f"has other rows than {Path(reference).name}: {absent.sum():,} missing, {extra.sum():,} of its own",
            source=path,
            count=int(absent.sum() + extra.sum()),
            first=" and ".join(firsts),
            fix="Count every file over the same regions",
        )
    aligned: np.ndarray = values[both["row"].to_numpy(np.int64)]
    return aligned


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `copy`, which tells repeated intervals apart."""
    return table.assign(copy=table.groupby(list(table.columns)).cumcount())
