"""Sums and means of bigWig tracks over regions: exact, of every base, with uncovered bases as 0."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.bigwig import BigWig, Intervals, open_bigwig, out_of_order
from epinformer.inputs.chromosomes import reconciled
from epinformer.inputs.regions import region_names

logger = logging.getLogger(__name__)

# Blocks of some thousand intervals are read together: what a thread holds at a time is a few MB.
_BLOCKS = 128
_MOST_THREADS = 16


class TrackSums(NamedTuple):
    """Sums of a track's values over the bases of each region, float64 (number of regions,), and of the whole file."""

    sums: np.ndarray
    total: float


class _Regions(NamedTuple):
    """Regions of one chromosome by start: row number, start, end int64, and the length of the longest."""

    row: np.ndarray
    start: np.ndarray
    end: np.ndarray
    longest: int


class _Part(NamedTuple):
    """What some blocks add: sums to these rows, to the total; where they lie; and how many values are refused."""

    rows: np.ndarray
    sums: np.ndarray
    total: float
    start: int
    end: int
    refused: int
    first_refused: str


def track_lengths(path: str | Path) -> dict[str, int]:
    """Chromosome -> length in bp, of those that a bigWig lists; many programs list only those that have data.

    Raises
    ------
    InputError
        The file cannot be read (`inputs.bigwig.open_bigwig`).
    """
    with open_bigwig(path) as track:
        return dict(track.lengths)


def track_means(
    path: str | Path, regions: pd.DataFrame, *, progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Mean of a track over the bases of each region, float64 (number of regions,); values may be negative.

    Parameters, errors and the bases that count are those of `track_sums`.
    """
    length = regions["end"].to_numpy(np.int64) - regions["start"].to_numpy(np.int64)
    means: np.ndarray = track_sums(path, regions, signed=True, total=False, progress=progress).sums / length
    return means


def track_sums(
    path: str | Path,
    regions: pd.DataFrame,
    *,
    signed: bool = False,
    total: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> TrackSums:
    """Sum a track's values over the bases of each region, and of the whole file, in one pass with all cores.

    The 32-bit values of the file's intervals are added up in 64 bits; neither its zoom levels nor its summary are used.
    Bases without a value are 0, as are those where a region reaches over an end of its chromosome, and chromosomes that
    the file does not list.

    Parameters
    ----------
    path
        A bigWig file.
    regions
        chrom, start, end (0-based half-open, not empty) in any order; they may overlap and repeat. Chromosomes may be
        named in the other style.
    signed
        Whether values may be negative. Those of a signal (reads, coverage, enrichment) may not.
    total
        Whether the sum of the whole file is wanted. Without it only the blocks that regions touch are read, and so
        checked, and the total is NaN.
    progress
        Called with (blocks read, blocks to read).

    Raises
    ------
    InputError
        The file is missing, truncated, damaged or no bigWig; it has none of the regions' chromosomes, or a region
        begins beyond the end of one, so it is of another assembly; it holds NaN, infinite or negative values.
    """
    sums, whole = np.zeros(len(regions)), 0.0
    refused, first_refused = 0, ""
    done, before = 0, ("", 0)
    with open_bigwig(path) as track:
        wanted = _by_chromosome(track, regions)
        work = [
            (chrom, part)
            for chrom, blocks in track.blocks.items()
            for part in _parts(blocks if total else _touched(blocks, wanted.get(chrom)))
        ]
        blocks = sum(len(part) for _, part in work)
        with ThreadPoolExecutor(_threads()) as pool:
            futures = [pool.submit(_added, track, chrom, part, wanted.get(chrom), signed) for chrom, part in work]
            try:
                for future, (chrom, part) in zip(futures, work, strict=True):
                    result = future.result()
                    if chrom == before[0] and result.start < before[1]:
                        raise out_of_order(track.path, 1, f"{chrom}:{result.start}")
                    before = (chrom, result.end)
                    sums[result.rows] += result.sums
                    whole += result.total
                    refused += result.refused
                    first_refused = first_refused or result.first_refused
                    done += len(part)
                    if progress is not None:
                        progress(done, blocks)
            finally:
                pool.shutdown(cancel_futures=True)
    if refused:
        raise InputError(
            f"has values that are {'' if signed else 'negative, '}NaN or infinite",
            source=path,
            count=refused,
            first=first_refused,
            fix="Leave these intervals out and make the file again"
            + ("" if signed else "; of a logarithm or a difference, give the track of the signal itself"),
        )
    return TrackSums(sums, whole if total else float("nan"))


def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def _touched(blocks: np.ndarray, regions: _Regions | None) -> np.ndarray:
    """The blocks that share a base with any region."""
    if regions is None:
        return blocks[:0]
    begun = np.searchsorted(regions.start, blocks[:, 1], side="left")
    over = np.searchsorted(np.sort(regions.end), blocks[:, 0], side="right")
    touched: np.ndarray = blocks[begun > over]
    return touched


def _parts(blocks: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(blocks), _BLOCKS):
        yield blocks[first : first + _BLOCKS]


def _added(track: BigWig, chrom: str, blocks: np.ndarray, regions: _Regions | None, signed: bool) -> _Part:
    """Read some blocks, and sum them over the regions."""
    intervals = track.intervals(chrom, blocks)
    start, end, value = intervals
    with np.errstate(invalid="ignore"):
        mass = np.multiply(value, end - start, dtype=np.float64)
        total = float(mass.sum())
    rows, sums = np.zeros(0, np.int64), np.zeros(0)
    refused, first = 0, ""
    # One look at the sum and the least tells that all is well, which is nearly always.
    if not np.isfinite(total) or (not signed and value.min(initial=0) < 0):
        bad = ~np.isfinite(value) if signed else ~(np.isfinite(value) & (value >= 0))
        row, refused = int(bad.argmax()), int(bad.sum())
        first = f"{chrom}:{start[row]}-{end[row]}, {value[row]:g}"
    elif regions is not None and len(start):
        near = slice(*np.searchsorted(regions.start, [int(start[0]) - regions.longest, int(end[-1])]))
        rows = regions.row[near]
        sums = _overlap_sums(intervals, mass, regions.start[near], regions.end[near])
    first_base, last_base = (int(start[0]), int(end[-1])) if len(start) else (0, 0)
    return _Part(rows, sums, total, first_base, last_base, refused, first)


def _overlap_sums(intervals: Intervals, mass: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sum over the bases that each region shares with the intervals; ``mass`` is the sum over each whole interval.

    Whole intervals and parts of those at the edges are added and nothing is subtracted, so that a small sum beside a
    large one keeps its digits.
    """
    # searchsorted would copy all intervals to compare them with numbers of another type.
    first = np.searchsorted(intervals.end, np.maximum(start, 0).astype(np.uint32), side="right")
    last = np.searchsorted(intervals.start, np.maximum(end, 0).astype(np.uint32), side="left") - 1
    sums = np.zeros(len(start))
    for edge, here in ((first, first <= last), (last, first < last)):
        row = edge[here]
        low, high = (column[row].astype(np.int64) for column in intervals[:2])
        bases = np.minimum(high, end[here]) - np.maximum(low, start[here])
        sums[here] += intervals.value[row].astype(np.float64) * bases
    inner = first + 1 < last
    if inner.any():
        # Every second segment lies between one region and the next.
        edges = np.stack([first[inner] + 1, last[inner]], axis=1).ravel()
        sums[inner] += np.add.reduceat(mass, edges)[::2]
    return sums


def _by_chromosome(track: BigWig, regions: pd.DataFrame) -> dict[str, _Regions]:
    """The track's name of a chromosome -> the regions on it."""
    groups, chroms = pd.factorize(regions["chrom"])
    if not len(chroms):
        return {}
    start, end = regions["start"].to_numpy(np.int64), regions["end"].to_numpy(np.int64)
    names = {other: name for name, other in reconciled(track.lengths, chroms, track.path).items()}
    known = np.array([track.lengths[names[chrom]] if chrom in names else np.nan for chrom in chroms])
    lengths = known[groups]
    absent = np.isnan(lengths)
    if absent.all():
        raise InputError(
            "has none of the chromosomes that hold regions",
            source=track.path,
            count=len(regions),
            first=region_names(regions).iloc[0],
            fix=f"Use files of one assembly; it has {', '.join(list(track.lengths)[:8]) or 'none at all'}",
        )
    if absent.any():
        logger.warning(
            "%s has no data of chromosomes of %s of %s regions, which are 0 there (first: %s)",
            track.path.name,
            f"{absent.sum():,}",
            f"{len(regions):,}",
            region_names(regions[absent]).iloc[0],
        )
    beyond = start >= lengths
    if beyond.any():
        row = int(beyond.argmax())
        raise InputError(
            "has chromosomes that end before regions begin, so it is of another assembly",
            source=track.path,
            count=int(beyond.sum()),
            first=f"{region_names(regions).iloc[row]}, where its chromosome has {lengths[row]:,.0f} bp",
            fix="Use files of one assembly",
        )
    result = {}
    for number, chrom in enumerate(chroms):
        if chrom in names:
            rows = np.flatnonzero(groups == number)
            rows = rows[np.argsort(start[rows], kind="stable")]
            longest = int((end[rows] - start[rows]).max())
            result[names[chrom]] = _Regions(rows, start[rows], end[rows], longest)
    return result
