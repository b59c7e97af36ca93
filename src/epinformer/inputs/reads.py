"""Count the reads of a file over regions: BAM, CRAM, tagAlign and other BED, fragments with barcodes."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.alignments import count_alignments, is_cram, open_alignments
from epinformer.inputs.counting import Overlaps, ReadFilter
from epinformer.inputs.regions import refuse_duplicates
from epinformer.inputs.tables import Column, read_bed
from epinformer.inputs.tags import count_tags
from epinformer.inputs.text_rows import text_layout
from epinformer.inputs.textfile import told

__all__ = ["ReadCounts", "ReadFilter", "chromosome_lengths", "count_reads", "read_barcodes", "read_format"]

logger = logging.getLogger(__name__)

_ALL = ReadFilter()
_BAM_MAGIC = b"BAM\x01"
_HEAD_BYTES = 1 << 10
# Any gzip, whatever its header says.
_GZIP = 31


class ReadCounts(NamedTuple):
    """Reads over regions: ``counts`` int64 (number of regions,), and the ``total`` of all such reads in the file."""

    counts: np.ndarray
    total: int


def count_reads(
    path: str | Path,
    regions: pd.DataFrame,
    *,
    keep: ReadFilter = _ALL,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReadCounts:
    """Count the reads that overlap each region, in one pass over the file and with memory that does not grow with it.

    By default a read is counted if it is mapped and primary: not secondary, not supplementary, not failed by quality
    control. Marked duplicates are counted, too, and the mates of a pair are two reads. A read covers the reference from
    its first to its last aligned base, including what a splice or a deletion spans, and counts in every region with
    which it shares a base. These are the counts of ``samtools view -c -F 0xB04`` and, of such reads,
    ``bedtools coverage -counts``. A row of text is a read; its order, like that of a BAM file, does not matter, and
    neither does an index.

    Parameters
    ----------
    path
        BAM, CRAM (its reference sequence is not needed), or text, plain or gzipped, as `read_format` tells by content.
    regions
        chrom, start, end (0-based half-open, not empty) in any order; they may overlap and repeat. Several sets are
        counted in one pass by giving all of them, one below the other.
    keep
        Which reads count, and where.
    threads
        How many to use; None for what suits the machine's cores.
    progress
        Called with (done, total), in bytes of the file or the like.

    Raises
    ------
    InputError
        The file is missing, truncated, damaged or something else; it has the index of another file; a region lies on a
        chromosome that its header does not have, or it is text without a row on any chromosome that has regions; a
        filter does not apply to it; no read is left to count. Of text, also what `tags.count_tags` says.
    """
    path = Path(path)
    kind = read_format(path)
    overlaps = Overlaps(regions)
    count = count_alignments if kind in ("bam", "cram") else count_tags
    total = count(path, overlaps, keep, threads, progress)
    if not total:
        raise InputError(f"holds no read to count ({keep.words()})", source=path, fix="Check filters and file")
    logger.info("%s: %s %s", path.name, f"{total:,}", keep.words())
    return ReadCounts(overlaps.counts(), total)


def read_format(path: str | Path) -> Literal["bam", "cram", "tags", "fragments"]:
    """What a file of reads is, by its content: see `text_rows.text_layout` for the two kinds of text.

    Raises
    ------
    InputError
        The file is missing, empty, truncated, or none of these.
    """
    path = Path(path)
    with told(path):
        if is_cram(path):
            return "cram"
        with path.open("rb") as handle:
            head = handle.read(_HEAD_BYTES)
        if head.startswith(b"\x1f\x8b") and zlib.decompressobj(_GZIP).decompress(head, 4) == _BAM_MAGIC:
            return "bam"
    return "fragments" if text_layout(path).fragments else "tags"


def chromosome_lengths(path: str | Path) -> dict[str, int] | None:
    """Chromosome -> bp, by the header of a BAM or CRAM file; None for text, which has none.

    Raises
    ------
    InputError
        As `read_format`; also a truncated BAM or CRAM.
    """
    path = Path(path)
    if read_format(path) not in ("bam", "cram"):
        return None
    with open_alignments(path) as file:
        return dict(zip(file.references, file.lengths, strict=True))


def read_barcodes(path: str | Path) -> frozenset[str]:
    """The barcodes of a file that has one a line, plain or gzipped.

    Raises
    ------
    InputError
        The file cannot be read (`inputs.tables.read_bed`), has more than one column, or names a barcode twice.
    """
    table = read_bed(path, (Column("barcode", "text", 0), Column("more", "text", 1, optional=True)))
    if "more" in table:
        raise InputError("has more than one column", source=path, fix="Give one barcode a line and nothing else")
    refuse_duplicates(table, ["barcode"], path, "names barcodes twice", "Keep one line a barcode")
    return frozenset(table["barcode"])
