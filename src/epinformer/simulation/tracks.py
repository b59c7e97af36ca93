"""Reads as files: BAM with its index, and bigWig."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import pandas as pd
import pysam

from epinformer.bases import encode
from epinformer.bigwig import write_bigwig_file
from epinformer.simulation.layout import World
from epinformer.simulation.model import READ_LENGTH
from epinformer.simulation.signals import Placed, Reads, count_overlapping, place_reads
from epinformer.simulation.writing import BlockedGzip, explained

TRACK_BIN = 50
"""bp of a bigWig interval."""

_CHUNK = 200_000
_NAME_DIGITS = 11
_MAPPING_QUALITY, _BASE_QUALITY = 60, 37
# Codes of BAM for A, C, G, T and N.
_NIBBLES = np.array([1, 2, 4, 8, 15, 15], dtype=np.uint8)
_RECORD = np.dtype(
    [
        ("block_size", "<i4"),
        ("reference", "<i4"),
        ("position", "<i4"),
        ("name_length", "u1"),
        ("mapping_quality", "u1"),
        ("bin", "<u2"),
        ("operations", "<u2"),
        ("flag", "<u2"),
        ("length", "<i4"),
        ("next_reference", "<i4"),
        ("next_position", "<i4"),
        ("template", "<i4"),
        ("name", "u1", (_NAME_DIGITS + 2,)),
        ("cigar", "<u4"),
        ("sequence", "u1", (READ_LENGTH // 2,)),
        ("quality", "u1", (READ_LENGTH,)),
    ]
)


class Counts(NamedTuple):
    """Reads of an experiment that overlap each element and each gene's TSS ± 500, int64, and all its reads."""

    elements: np.ndarray
    promoters: np.ndarray
    total: int


def write_experiment(
    folder: Path, world: World, anchors: pd.DataFrame, reads: Reads, seed: int, report: Callable[[], None]
) -> Counts:
    """Write `<experiment>.bam`, `.bam.bai` and `.bw` in one pass over the chromosomes, and count the reads.

    Parameters
    ----------
    folder
        Has `genome.fa`, whose bases the reads have.
    world, anchors, reads, seed
        What to write, see `signals.place_reads`.
    report
        Called once a chromosome.

    Returns
    -------
    Counts
        The same numbers as counting the mapped primary reads of the BAM over each region.
    """
    name = reads.experiment.name
    promoters = promoter_windows(world.genes)
    counts = Counts(np.zeros(len(world.elements), np.int64), np.zeros(len(world.genes), np.int64), reads.total)
    alignments = folder / f"{name}.bam"

    def intervals() -> Iterator[tuple[str, int, int, float]]:
        with (
            _BamWriter(alignments, world.lengths, name) as bam,
            pysam.FastaFile(str(folder / "genome.fa")) as fasta,
        ):
            for placed in place_reads(world, anchors, reads, seed):
                bam.write(placed, encode(fasta.fetch(placed.chrom).encode()))
                for table, values in ((world.elements, counts.elements), (promoters, counts.promoters)):
                    here = (table["chrom"] == placed.chrom).to_numpy()
                    values[here] = count_overlapping(placed.starts, table[here])
                yield from _coverage(placed, world.lengths[placed.chrom], reads.total)
                report()

    write_bigwig_file(folder / f"{name}.bw", world.lengths, intervals())
    with explained(alignments):
        pysam.index(str(alignments))
    return counts


def promoter_windows(genes: pd.DataFrame) -> pd.DataFrame:
    """chrom, start, end of TSS ± 500."""
    return pd.DataFrame({"chrom": genes["chrom"], "start": genes["tss"] - 500, "end": genes["tss"] + 500})


def _coverage(placed: Placed, length: int, total: int) -> Iterator[tuple[str, int, int, float]]:
    """Mean reads over each base of 50-bp intervals, in reads per million; intervals without reads are left out."""
    bins = -(-length // TRACK_BIN)
    first, within = np.divmod(placed.starts, TRACK_BIN)
    here = np.minimum(READ_LENGTH, TRACK_BIN - within)
    bases = np.bincount(first, here, minlength=bins + 1)
    bases += np.bincount(first + 1, READ_LENGTH - here, minlength=bins + 1)
    start = np.arange(bins) * TRACK_BIN
    end = np.minimum(start + TRACK_BIN, length)
    value = bases[:bins] / (end - start) * (1e6 / total)
    some = np.flatnonzero(value)
    for row in zip(start[some].tolist(), end[some].tolist(), value[some].tolist(), strict=True):
        yield (placed.chrom, *row)


class _BamWriter:
    """Writes single-end reads of one length, all mapped, in the order in which they come.

    Records are laid out as the format says, many at once: 20 times as fast as one object a read, and the header has no
    dates, paths or program lines.
    """

    def __init__(self, path: Path, lengths: dict[str, int], name: str) -> None:
        self._handle = BlockedGzip(path)
        self._references = {chrom: number for number, chrom in enumerate(lengths)}
        self._name = ord(name[0])
        self._written = 0
        lines = ["@HD\tVN:1.6\tSO:coordinate", *(f"@SQ\tSN:{chrom}\tLN:{size}" for chrom, size in lengths.items())]
        text = ("\n".join([*lines, f"@RG\tID:{name}\tSM:simulated"]) + "\n").encode()
        header = [b"BAM\x01", np.int32(len(text)).tobytes(), text, np.int32(len(lengths)).tobytes()]
        for chrom, size in lengths.items():
            label = chrom.encode() + b"\0"
            header += [np.int32(len(label)).tobytes(), label, np.int32(size).tobytes()]
        self._handle.write(b"".join(header))

    def write(self, placed: Placed, codes: np.ndarray) -> None:
        """Append a chromosome's reads, whose bases are those of the reference."""
        nibbles = _NIBBLES[codes]
        for first in range(0, len(placed.starts), _CHUNK):
            starts = placed.starts[first : first + _CHUNK]
            records = np.zeros(len(starts), dtype=_RECORD)
            records["block_size"] = _RECORD.itemsize - 4
            records["reference"] = self._references[placed.chrom]
            records["position"] = starts
            records["name_length"] = _NAME_DIGITS + 2
            records["mapping_quality"] = _MAPPING_QUALITY
            records["bin"] = _bin(starts)
            records["operations"] = 1
            records["flag"] = np.where(placed.minus[first : first + _CHUNK], 16, 0)
            records["length"] = READ_LENGTH
            records["next_reference"] = records["next_position"] = -1
            records["name"][:, 0] = self._name
            records["name"][:, 1:-1] = self._digits(len(starts))
            records["cigar"] = READ_LENGTH << 4  # all of it matches
            bases = nibbles[starts[:, None] + np.arange(READ_LENGTH)]
            records["sequence"] = (bases[:, 0::2] << 4) | bases[:, 1::2]
            records["quality"] = _BASE_QUALITY
            self._handle.write(records.tobytes())
            self._written += len(starts)

    def _digits(self, count: int) -> np.ndarray:
        numbers = np.arange(self._written + 1, self._written + count + 1)[:, None]
        digits: np.ndarray = numbers // 10 ** np.arange(_NAME_DIGITS - 1, -1, -1) % 10 + ord("0")
        return digits

    def __enter__(self) -> _BamWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.__exit__(kind, error, trace)


def _bin(starts: np.ndarray) -> np.ndarray:
    """The smallest bin of BAM's binning scheme that holds each read."""
    bins = np.zeros(len(starts), dtype=np.int64)
    last = starts + READ_LENGTH - 1
    for shift, first in ((26, 1), (23, 9), (20, 73), (17, 585), (14, 4681)):
        same = starts >> shift == last >> shift
        bins[same] = first + (starts[same] >> shift)
    return bins
