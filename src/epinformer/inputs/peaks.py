"""Peaks of a ChIP-seq or accessibility assay, with their summits."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.regions import check_intervals, refuse
from epinformer.inputs.tables import Column, read_bed

logger = logging.getLogger(__name__)

_NAMED_NARROW = re.compile(r"\.narrowpeak(\.b?gz)?$", re.IGNORECASE)
_NO_SUMMIT = -1

_BED = (
    Column("chrom", "text", 0),
    Column("start", "int", 1),
    Column("end", "int", 2),
    Column("score", "float", 4, blank=True, optional=True),
)
_NARROW = (
    *_BED,
    Column("signal", "float", 6, blank=True, optional=True),
    Column("offset", "int", 9, optional=True),
    Column("more", "text", 10, optional=True),
)


def read_peaks(path: str | Path) -> pd.DataFrame:
    """Read peaks from narrowPeak (BED of ten columns, the last the summit's offset) or any other BED.

    Parameters
    ----------
    path
        The file, plain or gzipped. One region may stand on several rows, a row for each of its summits, as MACS writes
        with `--call-summits`.

    Returns
    -------
    DataFrame
        chrom, start, end (0-based half-open), summit (int64, 0-based position on the chromosome: start + offset, or
        the centre (start + end) // 2 where a narrowPeak says -1 and in other BED), score (float64, column 5) and
        signal (float64, column 7 of a narrowPeak), both NaN where there is none. In the file's order, indexed by line
        number.

    Raises
    ------
    InputError
        The file cannot be read (`inputs.tables.read_bed`); starts are negative or not below ends; a summit lies
        outside its peak; it is named narrowPeak and has another number of columns.
    """
    path = Path(path)
    table = read_bed(path, _NARROW)
    is_narrow = "offset" in table and "more" not in table
    if not is_narrow and _NAMED_NARROW.search(path.name):
        raise InputError(
            "is named narrowPeak and does not have its 10 columns",
            source=path,
            fix="Give all ten of them, the last the summit's distance from the start, or name it .bed to use the "
            "peaks' centres",
        )
    check_intervals(table, path)
    centre = (table["start"] + table["end"]) // 2
    if is_narrow:
        offset = table.pop("offset")
        unknown = (offset == _NO_SUMMIT).to_numpy()
        outside = ~unknown & ((offset < 0) | (offset >= table["end"] - table["start"])).to_numpy()
        refuse(
            table.assign(offset=offset)[["chrom", "start", "end", "offset"]],
            outside,
            path,
            "has summits outside their peaks",
            "Column 10 is the summit's distance from the peak's start, 0-based, or -1; correct these rows",
        )
        table["summit"] = np.where(unknown, centre, table["start"] + offset)
    else:
        # In other BED these columns are something else, if anything.
        unknown = np.ones(len(table), dtype=bool)
        table = table.assign(summit=centre, signal=np.nan)
    if unknown.any():
        logger.info(
            "%s: the centre is taken for the summit of %s of %s peaks",
            path.name,
            f"{unknown.sum():,}",
            f"{len(table):,}",
        )
    if "score" not in table:
        table["score"] = np.nan
    return table[["chrom", "start", "end", "summit", "score", "signal"]]
