"""Candidate elements around the summits of the strongest peaks, and their class, as the ABC model makes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.regions import LAST_POSITION, refuse
from epinformer.prepare.steps import Filters
from epinformer.settings import FLANK, STRONGEST

logger = logging.getLogger(__name__)

# Chromosomes are laid out one after the other on one line, farther apart than any is long.
_SPACING = 2**32


class _Intervals(NamedTuple):
    """Starts and ends on the line of all chromosomes, int64 (n,)."""

    start: np.ndarray
    end: np.ndarray


class _Merged(NamedTuple):
    """Disjoint intervals in order, and the row of the one that each given interval (n,) has become part of."""

    intervals: _Intervals
    group: np.ndarray


def candidate_regions(
    peaks: pd.DataFrame,
    counts: np.ndarray,
    lengths: Mapping[str, int] | None,
    *,
    strongest: int = STRONGEST,
    flank: int = FLANK,
    blocklist: pd.DataFrame | None = None,
    include: pd.DataFrame | None = None,
    filters: Filters | None = None,
    path: str | Path = "peaks",
) -> pd.DataFrame:
    """Make candidate elements as the activity-by-contact pipeline does (Fulco et al. 2019, its release 1).

    Peaks that overlap or touch are merged, and a merged one has the reads of its strongest peak. Of the strongest
    merged peaks every summit that they hold gives summit ± flank. These are merged, those that overlap the blocklist
    are dropped, the regions to include are added, and all are merged once more.

    Parameters
    ----------
    peaks
        chrom, start, end (0-based half-open), summit (0-based position), indexed by line (`inputs.peaks.read_peaks`).
    counts
        Reads or RPM of each peak, (number of peaks,).
    lengths
        Chromosome -> its length in bp, in the order that the result shall have; what lies on other chromosomes is
        dropped. None: every chromosome counts, in the order of the peaks, and no end is known.
    strongest
        How many merged peaks are kept. Where several have the reads of the last one that is, those that come first
        on the chromosomes are kept.
    flank
        In bp.
    blocklist, include
        chrom, start, end each. An included region is cut where its chromosome ends; the blocklist does not touch it.
    filters
        Takes the steps.
    path
        The file of the peaks, for messages.

    Returns
    -------
    DataFrame
        chrom, start, end: disjoint, in the order of the chromosomes and of the starts.

    Raises
    ------
    InputError
        No peak is on a known chromosome, peaks begin beyond the end of theirs, or no region is left.
    """
    filters = Filters() if filters is None else filters
    chroms, sizes = _chromosomes(peaks, include, lengths)
    known = filters.keep("peaks", "on chromosomes of unknown length", peaks["chrom"].isin(chroms).to_numpy(bool))
    if not known.any():
        raise InputError(
            "has no peak on a chromosome whose length is known",
            source=path,
            count=len(peaks),
            first=peaks["chrom"].iloc[0] if len(peaks) else None,
            fix="Use peaks and chromosome lengths of one assembly",
        )
    peaks, counts = peaks[known], np.asarray(counts)[known]
    code = _codes(peaks, chroms)
    # An end may lie a little beyond: programs that call peaks extend reads and need not know the chromosome's length.
    refuse(
        peaks[["chrom", "start", "end"]],
        peaks["start"].to_numpy() >= sizes[code],
        path,
        "has peaks beyond the ends of their chromosomes",
        "Use peaks and chromosome lengths of one assembly",
    )
    kept = _of_strongest(_on_line(peaks, chroms), counts, strongest, filters)
    code, summit = code[kept], peaks["summit"].to_numpy(np.int64)[kept]
    around = _merged(
        _Intervals(
            code * _SPACING + (np.minimum(summit, sizes[code] - 1) - flank).clip(0),
            code * _SPACING + np.minimum(summit + flank, sizes[code]),
        )
    ).intervals
    if blocklist is not None:
        blocked = _overlaps(around, _on_line(blocklist[blocklist["chrom"].isin(chroms)], chroms))
        allowed = filters.keep("regions around summits", "overlapping the blocklist", ~blocked)
        around = _Intervals(around.start[allowed], around.end[allowed])
    if include is not None:
        around = _with_included(around, include, chroms, sizes, filters)
    if not len(around.start):
        raise InputError(
            "gives no candidate element: the blocklist overlaps all of them",
            source=path,
            fix="Check that the blocklist is of the same assembly",
        )
    code = around.start // _SPACING
    return pd.DataFrame(
        {
            "chrom": chroms.to_numpy(dtype=object)[code],
            "start": around.start - code * _SPACING,
            "end": around.end - code * _SPACING,
        }
    ).astype({"chrom": "str"})


def element_classes(elements: pd.DataFrame, promoters: pd.DataFrame, bodies: pd.DataFrame) -> np.ndarray:
    """Class of each element, as the ABC model has them.

    Parameters
    ----------
    elements
        chrom, start, end (0-based half-open): the intervals as given, before long ones are cut.
    promoters
        chrom, start, end of TSS ± 500 bp of all genes.
    bodies
        chrom, start, end of the bodies of all genes.

    Returns
    -------
    ndarray
        Text (number of elements,): `promoter` where it overlaps a promoter by a base, else `genic` where it overlaps a
        gene's body, else `intergenic`.
    """
    at_promoter, at_body = overlapping(elements, promoters), overlapping(elements, bodies)
    classes: np.ndarray = np.where(at_promoter, "promoter", np.where(at_body, "genic", "intergenic"))
    return classes


def overlapping(regions: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    """Whether each region (chrom, start, end) shares a base with any of the others, bool (number of regions,)."""
    chroms = pd.Index(regions["chrom"].unique())
    return _overlaps(_on_line(regions, chroms), _on_line(others[others["chrom"].isin(chroms)], chroms))


def _chromosomes(
    peaks: pd.DataFrame, include: pd.DataFrame | None, lengths: Mapping[str, int] | None
) -> tuple[pd.Index, np.ndarray]:
    """Names in order, and int64 lengths; the longest that can be where they are unknown."""
    if lengths is not None:
        return pd.Index(list(lengths)), np.array(list(lengths.values()), dtype=np.int64)
    tables = [peaks] if include is None else [peaks, include]
    names = pd.Index(pd.concat([table["chrom"] for table in tables]).unique())
    return names, np.full(len(names), LAST_POSITION, dtype=np.int64)


def _codes(table: pd.DataFrame, chroms: pd.Index) -> np.ndarray:
    """Number of each row's chromosome, int64 (n,); -1 for others."""
    return chroms.get_indexer(pd.Index(table["chrom"])).astype(np.int64)


def _on_line(table: pd.DataFrame, chroms: pd.Index) -> _Intervals:
    """Intervals of a table, all on these chromosomes."""
    offset = _codes(table, chroms) * _SPACING
    return _Intervals(offset + table["start"].to_numpy(np.int64), offset + table["end"].to_numpy(np.int64))


def _merged(intervals: _Intervals) -> _Merged:
    """Join intervals that overlap or touch."""
    order = np.argsort(intervals.start, kind="stable")
    start = intervals.start[order]
    reach = np.maximum.accumulate(intervals.end[order])
    begins = np.ones(len(start), dtype=bool)
    begins[1:] = start[1:] > reach[:-1]
    group = np.empty(len(start), dtype=np.int64)
    group[order] = np.cumsum(begins) - 1
    # Before the next one begins, the reach is the end of this one.
    ends = np.append(np.flatnonzero(begins)[1:] - 1, len(start) - 1) if len(start) else np.zeros(0, dtype=np.int64)
    return _Merged(_Intervals(start[begins], reach[ends]), group)


def _overlaps(intervals: _Intervals, others: _Intervals) -> np.ndarray:
    """Whether each interval shares a base with any of the others; bool (n,)."""
    start, end = _merged(others).intervals
    if not len(start):
        return np.zeros(len(intervals.start), dtype=bool)
    nearest = np.searchsorted(end, intervals.start, side="right")
    inside = nearest < len(start)
    hit: np.ndarray = inside & (start[nearest.clip(max=len(start) - 1)] < intervals.end)
    return hit


def _of_strongest(peaks: _Intervals, counts: np.ndarray, strongest: int, filters: Filters) -> np.ndarray:
    """Whether each peak is part of one of the strongest merged peaks; bool (n,)."""
    merged = _merged(peaks)
    strength = np.full(len(merged.intervals.start), -np.inf)
    np.maximum.at(strength, merged.group, counts)
    kept = np.zeros(len(strength), dtype=bool)
    # Merged peaks are in the order of the chromosomes, and a stable sort keeps it among equals.
    kept[np.argsort(-strength, kind="stable")[:strongest]] = True
    filters.keep("merged peaks", f"beyond the strongest {strongest:,}", kept)
    of_kept: np.ndarray = kept[merged.group]
    return of_kept


def _with_included(
    regions: _Intervals, include: pd.DataFrame, chroms: pd.Index, sizes: np.ndarray, filters: Filters
) -> _Intervals:
    """Regions merged with those to include, as far as these lie on the chromosomes."""
    code = _codes(include, chroms)
    inside = (code >= 0) & (include["start"].to_numpy(np.int64) < sizes[code])
    filters.keep("included regions", "outside the known chromosomes", inside)
    size = sizes[code[inside]]
    table = include[inside]
    added = _on_line(table.assign(end=np.minimum(table["end"].to_numpy(np.int64), size)), chroms)
    return _merged(
        _Intervals(np.concatenate([regions.start, added.start]), np.concatenate([regions.end, added.end]))
    ).intervals
