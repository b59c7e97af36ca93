"""Which reads count, what they cover, and how many of them overlap each region."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.regions import region_names

Item = TypeVar("Item")
Result = TypeVar("Result")

UNMAPPED, REVERSE, DUPLICATE = 0x4, 0x10, 0x400
# Never counted: unmapped, secondary, failed quality control, supplementary (SAM specification, section 1.4).
_PASSED_OVER = UNMAPPED | 0x100 | 0x200 | 0x800
# Tn5 leaves its two cuts 9 bp apart, and the reads begin on either side of the middle (Buenrostro et al. 2013).
_TN5_PLUS, _TN5_MINUS = 4, -5
# One thread finds the records, which keeps no more busy than this; each holds a few MB.
_MOST_THREADS = 8


class ReadFilter(NamedTuple):
    """What of a file of reads is counted; by default every mapped, primary read that passed quality control.

    Parameters
    ----------
    min_mapping_quality
        The least MAPQ.
    duplicates
        Whether marked duplicates (flag 0x400) count.
    require_flags, exclude_flags
        SAM flags that a read must have, all of them, and must not have, none of them. Unmapped, secondary and
        supplementary alignments, and those that failed quality control, never count.
    shift
        `tn5`: reads of the + strand are moved by +4 bp, those of the - strand by -5 bp, to where the transposase of
        ATAC-seq bound.
    unit
        `read`: a read counts wherever it overlaps. `cut`: only its 5' end does, one base, after the shift; of a
        fragment both ends, which count as two.
    barcodes
        Of a file of fragments, the cells whose fragments count; None for all.
    """

    min_mapping_quality: int = 0
    duplicates: bool = True
    require_flags: int = 0
    exclude_flags: int = 0
    shift: Literal["none", "tn5"] = "none"
    unit: Literal["read", "cut"] = "read"
    barcodes: frozenset[str] | None = None

    def passes(self, flags: np.ndarray, qualities: np.ndarray) -> np.ndarray:
        """Which reads count by their SAM flags and mapping qualities, bool of their shape."""
        excluded = _PASSED_OVER | self.exclude_flags | (0 if self.duplicates else DUPLICATE)
        flags = flags.astype(np.int64)
        passed: np.ndarray = (flags & excluded) == 0
        if self.require_flags:
            passed &= (flags & self.require_flags) == self.require_flags
        if self.min_mapping_quality > 0:
            passed &= qualities >= self.min_mapping_quality
        return passed

    def covered(self, starts: np.ndarray, ends: np.ndarray, minus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What counts of reads: starts and ends, int64 (0-based half-open), after the shift and by the unit.

        Parameters
        ----------
        starts, ends
            What the reads cover of the reference, 0-based half-open.
        minus
            Whether they are of the - strand.
        """
        starts, ends = starts.astype(np.int64), ends.astype(np.int64)
        if self.shift == "tn5":
            moved = np.where(minus, _TN5_MINUS, _TN5_PLUS)
            starts, ends = starts + moved, ends + moved
        if self.unit == "cut":
            starts = np.where(minus, ends - 1, starts)
            ends = starts + 1
        return starts, ends

    def words(self) -> str:
        """What is counted, in words."""
        parts = ["mapped primary reads"]
        if self.min_mapping_quality > 0:
            parts.append(f"mapping quality at least {self.min_mapping_quality}")
        if not self.duplicates:
            parts.append("no marked duplicates")
        if self.require_flags:
            parts.append(f"flags {self.require_flags:#x} required")
        if self.exclude_flags:
            parts.append(f"flags {self.exclude_flags:#x} excluded")
        if self.unit == "cut":
            parts.append("5' ends")
        if self.shift == "tn5":
            parts.append("moved by +4 and -5 bp")
        return ", ".join(parts)


class _Chromosome:
    """Regions of one chromosome, and how many reads begin before and end before each of their bounds."""

    def __init__(self, rows: np.ndarray, start: np.ndarray, end: np.ndarray) -> None:
        self.rows = rows
        self.first = f"{start[0]}-{end[0]}"
        self.starts, self.ends = np.sort(start), np.sort(end)
        self.at_start = np.searchsorted(self.starts, start, side="left")
        self.at_end = np.searchsorted(self.ends, end, side="left")
        self.begun = np.zeros(len(rows) + 1, dtype=np.int64)
        self.ended = np.zeros(len(rows) + 1, dtype=np.int64)


class Overlaps:
    """Counts intervals over regions as they come, in any order and from any thread.

    Of the reads that begin before a region's end, those that end at or before its start are not over it; all others
    are. So two sums over the sorted bounds are enough, whatever the number of reads.

    Parameters
    ----------
    regions
        chrom, start, end (0-based half-open) in any order; they may overlap and repeat.

    Raises
    ------
    InputError
        A region's start is not below its end.
    """

    def __init__(self, regions: pd.DataFrame) -> None:
        start, end = regions["start"].to_numpy(np.int64), regions["end"].to_numpy(np.int64)
        bad = start >= end
        if bad.any():
            raise InputError(
                "regions whose starts are not below their ends cannot be counted over",
                count=int(bad.sum()),
                first=region_names(regions[bad]).iloc[0],
                fix="Intervals are 0-based and half-open; correct them",
            )
        groups, chroms = pd.factorize(regions["chrom"])
        self._size = len(regions)
        self._chromosomes: dict[str, _Chromosome] = {}
        for number, chrom in enumerate(chroms):
            rows = np.flatnonzero(groups == number)
            self._chromosomes[chrom] = _Chromosome(rows, start[rows], end[rows])
        self._lock = threading.Lock()

    @property
    def chroms(self) -> list[str]:
        """The chromosomes that have regions, in the order of the regions."""
        return list(self._chromosomes)

    def on(self, chrom: str) -> int:
        """How many regions a chromosome has."""
        return len(self._chromosomes[chrom].rows)

    def first(self, chrom: str) -> str:
        """The first region on a chromosome that has regions."""
        return f"{chrom}:{self._chromosomes[chrom].first}"

    def add(self, chrom: str, starts: np.ndarray, ends: np.ndarray) -> None:
        """Count intervals, 0-based half-open and not empty, on a chromosome that has regions."""
        here = self._chromosomes[chrom]
        size = len(here.begun)
        begun = np.bincount(np.searchsorted(here.ends, starts, side="right"), minlength=size)
        ended = np.bincount(np.searchsorted(here.starts, ends, side="left"), minlength=size)
        with self._lock:
            here.begun += begun
            here.ended += ended

    def counts(self) -> np.ndarray:
        """How many of the intervals share a base with each region, int64 (number of regions,)."""
        counts = np.zeros(self._size, dtype=np.int64)
        for here in self._chromosomes.values():
            counts[here.rows] = np.cumsum(here.begun)[here.at_end] - np.cumsum(here.ended)[here.at_start]
        return counts


class Workers:
    """Threads that are gone when the block is left, by an error or an interrupt, too.

    Parameters
    ----------
    threads
        None for one more than there are cores, up to eight: at any time some wait for the interpreter.
    """

    def __init__(self, threads: int | None) -> None:
        if threads is None:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            threads = min(cores + 1, _MOST_THREADS)
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="count")

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def ahead(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the items' order; few are worked on or wait at a time, so that a fast source fills no memory."""
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(self._pool.submit(function, item))
            if len(waiting) > self.threads + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
