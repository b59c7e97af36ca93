"""Count the reads of a BAM or CRAM file in one pass from its first record to its last, sorted or not."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pysam

from epinformer.errors import InputError
from epinformer.inputs.bam import LARGEST_BLOCK, Reads, blocks, parsed, records, unpacked
from epinformer.inputs.chromosomes import other_style
from epinformer.inputs.counting import REVERSE, UNMAPPED, Overlaps, ReadFilter, Workers

logger = logging.getLogger(__name__)

_CRAM_MAGIC = b"CRAM"
_CHUNK_READS = 1 << 17
_AGAIN = "Copy or make it again; `samtools quickcheck` tells whether it is whole"
# Name, flag, reference, position, quality and CIGAR (htslib's bits), so that CRAM needs no reference sequence.
_CRAM_FIELDS = "required_fields=0x3f"


def count_alignments(
    path: Path,
    overlaps: Overlaps,
    keep: ReadFilter,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Count the reads of a file over regions.

    A read covers the reference from its first to its last aligned base, including what a splice or a deletion spans;
    one without aligned bases stands at one position, as it does for samtools.

    Parameters
    ----------
    path
        BAM or CRAM. Order and index do not matter; an index is compared with what was found.
    overlaps
        Takes up what the reads cover.
    keep
        Which reads count, and where.
    threads
        How many to use; None for what suits the machine's cores.
    progress
        Called with (done, total).

    Returns
    -------
    int
        How many reads of the whole file count.

    Raises
    ------
    InputError
        The file is truncated or damaged, its index is that of another file, or regions lie on a chromosome that it
        does not have.
    """
    if keep.barcodes is not None:
        raise InputError("holds reads, of which no barcodes are read", source=path, fix="Give the file of fragments")
    with Workers(threads) as workers, open_alignments(path, workers.threads) as file:
        tally = _Tally(file, overlaps, keep, path)
        with _told(path):
            if file.is_bam:
                _say_order(file, path)
                # What `tell` gives: where the block of the first record begins, and the record within it.
                offset, skip = divmod(file.tell(), LARGEST_BLOCK)
                contents = workers.ahead(unpacked, blocks(path, offset, progress))
                for _ in workers.ahead(tally.add_records, records(contents, skip)):
                    pass
            else:
                for reads in _iterated(file, progress):
                    tally.add(reads)
        if file.is_bam:
            tally.check_index(file)
    return tally.total


@contextlib.contextmanager
def open_alignments(path: Path, threads: int = 1) -> Iterator[Any]:
    """A BAM or CRAM file, whose end is there; threads are for CRAM, which htslib unpacks.

    Raises
    ------
    InputError
        The file is missing, truncated, or something else.
    """
    # What htslib would write on stderr comes as an exception, too.
    verbosity = pysam.set_verbosity(0)
    try:
        with _told(path):
            threads = threads if is_cram(path) else 1
            file = pysam.AlignmentFile(str(path), "rb", threads=threads, format_options=[_CRAM_FIELDS])
        try:
            yield file
        finally:
            # After an error of reading, closing reports it again.
            with contextlib.suppress(OSError):
                file.close()
    finally:
        pysam.set_verbosity(verbosity)


def is_cram(path: Path) -> bool:
    """Whether a file begins as CRAM."""
    with path.open("rb") as handle:
        return handle.read(len(_CRAM_MAGIC)) == _CRAM_MAGIC


class _Tally:
    """What has been counted of one file."""

    def __init__(self, file: Any, overlaps: Overlaps, keep: ReadFilter, path: Path) -> None:
        self._overlaps = overlaps
        self._keep = keep
        self._path = path
        self._names = file.references
        self._chroms = _chroms_by_reference(file.references, overlaps, path)
        self._mapped = np.zeros(len(file.references), dtype=np.int64)
        self._lock = threading.Lock()
        self.total = 0

    def add_records(self, found: tuple[bytes, np.ndarray]) -> None:
        """Take apart and count records, as `bam.records` gives them."""
        self.add(parsed(*found))

    def add(self, reads: Reads) -> None:
        """Count reads, of which some may be unmapped."""
        if (reads.reference >= len(self._names)).any():
            raise ValueError("a read on a chromosome that the header does not name")
        mapped = ((reads.flag & UNMAPPED) == 0) & (reads.reference >= 0)
        passed = mapped & self._keep.passes(reads.flag, reads.quality)
        numbers = np.bincount(reads.reference[mapped], minlength=len(self._names))
        with self._lock:
            self._mapped += numbers
            self.total += int(np.count_nonzero(passed))
        reference = reads.reference[passed]
        minus = (reads.flag[passed] & REVERSE) != 0
        start, end = self._keep.covered(reads.start[passed], reads.end[passed], minus)
        for number in np.flatnonzero(numbers):
            for chrom in self._chroms.get(self._names[number], ()):
                here = reference == number
                self._overlaps.add(chrom, start[here], end[here])

    def check_index(self, file: Any) -> None:
        """Raise InputError if there is an index that has other numbers of reads: one of the files is not whole."""
        if not file.has_index():
            return
        listed = np.array([entry.mapped for entry in file.get_index_statistics()], dtype=np.int64)
        wrong = np.flatnonzero(listed != self._mapped) if listed.shape == self._mapped.shape else np.arange(1)
        # Indices of some programs have no numbers of reads.
        if listed.any() and len(wrong):
            first = int(wrong[0])
            raise InputError(
                f"has an index that is not its own: {listed[first]:,} reads on {self._names[first]} by the index, "
                f"{self._mapped[first]:,} found",
                source=self._path,
                fix=f"Run `samtools index {self._path.name}` again",
            )


def _iterated(file: Any, progress: Callable[[int, int], None] | None) -> Iterator[Reads]:
    """The reads of a CRAM file, which htslib decodes with threads of its own."""
    reach = np.cumsum([0, *file.lengths])
    while chunk := [
        (read.reference_id, read.reference_start, read.reference_end or 0, read.flag, read.mapping_quality)
        for read in islice(file, _CHUNK_READS)
    ]:
        reference, start, end, flag, quality = np.array(chunk, dtype=np.int64).T
        yield Reads(reference, start, np.maximum(end, start + 1), flag, quality)
        if progress is not None and reference[-1] >= 0:
            progress(int(reach[reference[-1]] + start[-1]), int(reach[-1]))


def _say_order(file: Any, path: Path) -> None:
    """Say that a file which other programs would refuse is read all the same."""
    lacks = []
    if file.header.to_dict().get("HD", {}).get("SO") != "coordinate":
        lacks.append("is not sorted by coordinate")
    if not file.has_index():
        lacks.append("has no index")
    if lacks:
        logger.info("%s: %s; it is read from end to end, which needs neither", path.name, " and ".join(lacks))


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what reading a BAM or CRAM can raise into an `InputError` that names the file."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"is truncated, damaged or no BAM or CRAM file: {reason}", source=path, fix=_AGAIN) from error


def _chroms_by_reference(references: tuple[str, ...], overlaps: Overlaps, path: Path) -> dict[str, list[str]]:
    """The file's name of a chromosome -> the regions' names of it."""
    present = frozenset(references)
    result: dict[str, list[str]] = {}
    absent, changed = [], []
    for chrom in overlaps.chroms:
        other = other_style(chrom)
        name = chrom if chrom in present else other if other in present else None
        if name is None:
            absent.append(chrom)
        else:
            result.setdefault(name, []).append(chrom)
            if name != chrom:
                changed.append((chrom, name))
    if absent:
        raise InputError(
            "has no reads of chromosomes that hold regions: they are not in its header",
            source=path,
            count=sum(overlaps.on(chrom) for chrom in absent),
            first=overlaps.first(absent[0]),
            fix=f"Use files of one assembly; its chromosomes are {_listed(references)}",
        )
    if changed:
        logger.info(
            "%s: %d chromosome names are in another style (%s is read as its %s)", path.name, len(changed), *changed[0]
        )
    return result


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")
