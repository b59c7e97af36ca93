"""Count the reads of a BAM file over regions."""

from __future__ import annotations

import contextlib
import logging
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pysam

from epinformer.errors import InputError
from epinformer.inputs.chromosomes import other_style
from epinformer.inputs.regions import region_names

logger = logging.getLogger(__name__)

_UNMAPPED = 0x4
# Not counted: unmapped, secondary, failed quality control, supplementary (SAM specification, section 1.4).
_PASSED_OVER = _UNMAPPED | 0x100 | 0x200 | 0x800
_CHUNK_READS = 1 << 19
_AGAIN = "Copy or make it again; `samtools quickcheck` tells whether it is whole"


class ReadCounts(NamedTuple):
    """Reads over regions: ``counts`` int64 (number of regions,), and the ``total`` of all such reads in the file."""

    counts: np.ndarray
    total: int


def count_reads(
    path: str | Path, regions: pd.DataFrame, *, progress: Callable[[int, int], None] | None = None
) -> ReadCounts:
    """Count the reads that overlap each region, in one pass over a BAM file.

    A read is counted if it is mapped and primary: not secondary, not supplementary, not failed by quality control.
    Marked duplicates are counted, too, and the mates of a pair are two reads. A read covers the reference from its
    first to its last aligned base, including what a splice or a deletion spans, and counts in every region with which
    it shares a base.

    Parameters
    ----------
    path
        Sorted by coordinate, with its index (.bai or .csi) beside it.
    regions
        chrom, start, end (0-based half-open, not empty) in any order; they may overlap and repeat.
    progress
        Called with (reads passed, reads in the file).

    Raises
    ------
    InputError
        The file is missing, truncated, damaged or no BAM; it has no index, or that of another file; a region lies on a
        chromosome that it does not have; it holds no read that is counted.
    """
    path = Path(path)
    counts = np.zeros(len(regions), dtype=np.int64)
    start, end = regions["start"].to_numpy(np.int64), regions["end"].to_numpy(np.int64)
    total = 0
    with _opened(path) as bam:
        rows = _rows_by_reference(bam, regions, path)
        reads = _Reads(bam, path)
        for reference in bam.references:
            own = rows.get(reference, np.zeros(0, dtype=np.int64))
            for first, last in reads.chunks(reference):
                total += len(first)
                # Of the reads that begin before a region's end, those that end before its start are not over it.
                counts[own] += np.searchsorted(first, end[own], side="left")
                counts[own] -= np.searchsorted(last, start[own], side="right")
                if progress is not None:
                    progress(min(reads.passed, reads.expected), max(1, reads.expected))
    if not total:
        raise InputError("holds no mapped primary read", source=path, fix="Check how the file was made")
    logger.info("%s: %s mapped primary reads", path.name, f"{total:,}")
    return ReadCounts(counts, total)


class _Reads:
    """Passes over the reads of a file, and checks that the index finds as many as it says there are."""

    def __init__(self, bam: Any, path: Path) -> None:
        self._bam = bam
        self._path = path
        self._mapped = {entry.contig: entry.mapped for entry in bam.get_index_statistics()}
        self.expected = sum(self._mapped.values())
        self.passed = 0

    def chunks(self, reference: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Sorted starts and sorted ends, int64, of some of the counted reads of one reference at a time."""
        before = self.passed
        starts, ends = array("q"), array("q")
        with _told(self._path):
            for read in self._bam.fetch(reference):
                flag = read.flag
                if not flag & _UNMAPPED:
                    self.passed += 1
                if flag & _PASSED_OVER:
                    continue
                start = read.reference_start
                starts.append(start)
                # A read without aligned bases stands at one position, as it does for samtools.
                ends.append(max(read.reference_end or 0, start + 1))
                if len(starts) == _CHUNK_READS:
                    yield _sorted(starts), _sorted(ends)
                    starts, ends = array("q"), array("q")
        if starts:
            yield _sorted(starts), _sorted(ends)
        # Indices of some programs have no numbers of reads.
        if self.expected and self.passed - before != self._mapped[reference]:
            raise InputError(
                f"has an index that is not its own: {self._mapped[reference]:,} reads on {reference} by the index, "
                f"{self.passed - before:,} found",
                source=self._path,
                fix=f"Run `samtools index {self._path.name}` again",
            )


def _sorted(positions: array[int]) -> np.ndarray:
    return np.sort(np.frombuffer(positions, dtype=np.int64))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A BAM file that has an index."""
    if not path.is_file():
        raise InputError("there is no such file", source=path, fix="Check its path")
    # What htslib would write on stderr comes as an exception, too.
    verbosity = pysam.set_verbosity(0)
    try:
        with _told(path):
            bam = pysam.AlignmentFile(str(path), "rb")
        try:
            if not bam.is_bam:
                raise InputError(
                    "is no BAM file", source=path, first=bam.description, fix="Convert it with `samtools view -b`"
                )
            if not bam.has_index():
                raise InputError(
                    "has no index beside it",
                    source=path,
                    fix=f"Run `samtools index {path.name}`, after `samtools sort` if it is not sorted by coordinate",
                )
            yield bam
        finally:
            # After an error of reading, closing reports it again.
            with contextlib.suppress(OSError):
                bam.close()
    finally:
        pysam.set_verbosity(verbosity)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what reading a BAM can raise into an `InputError` that names the file."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"is truncated, damaged or no BAM file: {reason}", source=path, fix=_AGAIN) from error


def _rows_by_reference(bam: Any, regions: pd.DataFrame, path: Path) -> dict[str, np.ndarray]:
    """The file's name of a chromosome -> the regions (row numbers) on it."""
    groups, chroms = pd.factorize(regions["chrom"])
    names = {chrom: _name(chrom, frozenset(bam.references)) for chrom in chroms}
    absent = regions["chrom"].map(names).isna().to_numpy() if len(regions) else np.zeros(0, dtype=bool)
    if absent.any():
        listed = list(bam.references)
        raise InputError(
            "has no reads of chromosomes that hold regions: they are not in its header",
            source=path,
            count=int(absent.sum()),
            first=region_names(regions[absent]).iloc[0],
            fix=f"Use files of one assembly; its chromosomes are {', '.join(listed[:8])}"
            + (f" and {len(listed) - 8:,} more" if len(listed) > 8 else ""),
        )
    changed = [(chrom, name) for chrom, name in names.items() if chrom != name]
    if changed:
        logger.info(
            "%s: %d chromosome names are in another style (%s is read as its %s)", path.name, len(changed), *changed[0]
        )
    return {name: np.flatnonzero(groups == number) for number, name in enumerate(names.values()) if name is not None}


def _name(chrom: str, references: frozenset[str]) -> str | None:
    """The file's name of a chromosome: the same, or that of the other style."""
    if chrom in references:
        return chrom
    other = other_style(chrom)
    return other if other in references else None
