"""Alleles and the sequences that hold them: where, whether the reference is right, and the bases with the allele."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.bases import encode
from epinformer.dataset.store import SEQUENCE_LENGTH, Dataset
from epinformer.errors import DatasetError
from epinformer.inputs.genome import Genome
from epinformer.prepare.overlaps import Intervals

SCORED = "scored"
NO_ELEMENT = "no element"
SYMBOLIC = "symbolic"
UNKNOWN_BASES = "unknown bases"
MISMATCH = "reference mismatch"
NEEDS_GENOME = "needs the genome"
SPANS = "spans the sequence"
NOT_HELD_OUT = "no held-out model"
NO_GENE = "no gene"


class Places:
    """Where the sequences of a dataset lie: promoter g is sequence g, element e is sequence ``n_genes + e``.

    Attributes
    ----------
    table
        chrom, start, end (0-based half-open) of each sequence.

    Raises
    ------
    DatasetError
        The dataset has no sequence, or does not say where it lies.
    """

    def __init__(self, dataset: Dataset) -> None:
        if not dataset.has_sequence:
            raise DatasetError(
                "has no sequence, in which a variant could be put", source=dataset.path, fix="Prepare it with `genome:`"
            )
        known = (dataset.genes[["chrom", "tss"]], dataset.elements[["chrom", "start", "end"]])
        if any(table.isna().any(axis=None) for table in known):
            raise DatasetError(
                "does not say where its genes and elements lie",
                source=dataset.path,
                fix="Prepare it from files with coordinates",
            )
        promoters = dataset.genes[["chrom"]].assign(start=dataset.genes["tss"] - SEQUENCE_LENGTH // 2)
        promoters["end"] = promoters["start"] + SEQUENCE_LENGTH
        self.table = pd.concat([promoters, dataset.elements[["chrom", "start", "end"]]], ignore_index=True)
        self.start = self.table["start"].to_numpy(np.int64)
        self._intervals = Intervals(self.table)

    def holding(self, alleles: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the alleles and numbers of the sequences that hold something of what they change, each (h,) int64.

        Bases that are only put in are held where they have bases of the sequence on both sides. Ordered by allele,
        then sequence.
        """
        start, end = (alleles[name].to_numpy(np.int64) for name in ("start", "end"))
        inserted = start == end
        around = pd.DataFrame({"chrom": alleles["chrom"].to_numpy(), "start": start - inserted, "end": end + inserted})
        allele, sequence = self._intervals.overlapping(around)
        ends = self.table["end"].to_numpy(np.int64)
        between = (self.start[sequence] < start[allele]) & (start[allele] < ends[sequence])
        held = between | ~inserted[allele]
        allele, sequence = allele[held], sequence[held]
        order = np.lexsort((sequence, allele))
        return allele[order], sequence[order]


class Located(NamedTuple):
    """Alleles of a chunk, and each sequence that holds one.

    Attributes
    ----------
    status
        (A,) of each allele: ``""``, or why it cannot be scored (`SYMBOLIC`, `UNKNOWN_BASES`, `MISMATCH`).
    allele, sequence
        (h,) int64: the alleles that can be scored, and the sequences that hold them.
    """

    status: np.ndarray
    allele: np.ndarray
    sequence: np.ndarray


def located(alleles: pd.DataFrame, places: Places, dataset: Dataset, genome: Genome | None) -> Located:
    """Find the sequences that hold the alleles, and compare REF with their bases and with the genome.

    Parameters
    ----------
    alleles
        As `epinformer.inputs.variants.VariantChunk` has them, chrom in the style of the dataset.
    places
        Of the dataset's sequences.
    dataset
        With sequence.
    genome
        Where REF is compared, too; what it does not hold is not compared.
    """
    status = np.full(len(alleles), "", dtype=object)
    kind = alleles["kind"].to_numpy(dtype=object)
    status[kind == "symbolic"] = SYMBOLIC
    status[kind == "unknown bases"] = UNKNOWN_BASES
    plain = np.flatnonzero(kind == "bases")
    allele, sequence = places.holding(alleles.iloc[plain])
    allele = plain[allele]
    refs = [encode(ref.encode()) for ref in alleles["ref"]]
    first = alleles["pos"].to_numpy(np.int64) - 1
    chroms = alleles["chrom"].tolist()
    for row, number in zip(allele.tolist(), sequence.tolist(), strict=True):
        held = sequence_bases(dataset, number)
        offset = int(first[row] - places.start[number])
        begin, end = max(offset, 0), min(offset + len(refs[row]), len(held))
        if not np.array_equal(held[begin:end], refs[row][begin - offset : end - offset]):
            status[row] = MISMATCH
    if genome is not None:
        inside = genome.contains(alleles["chrom"].to_numpy(dtype=object), first, first + [len(ref) for ref in refs])
        for row in plain[inside[plain]].tolist():
            bases = genome.codes(chroms[row], int(first[row]), int(first[row]) + len(refs[row]))
            if not np.array_equal(bases, refs[row]):
                status[row] = MISMATCH
    kept = status[allele] == ""
    return Located(status, allele[kept], sequence[kept])


class Edited(NamedTuple):
    """A sequence with an allele in it: uint8 codes as long as before, or None and why there are none."""

    codes: np.ndarray | None
    status: str


def edited(codes: np.ndarray, chrom: str, start: int, change: tuple[int, int, str], genome: Genome | None) -> Edited:
    """Put an allele into a sequence, which keeps its length and so its place in the models' windows.

    Where the allele is longer or shorter than the reference, the longer side of the sequence stays as it is, and at
    the other end bases leave, or bases of the genome come in: those that follow there, or `NO_BASE` beyond a
    chromosome's end. So what changes is as little as can be.

    Parameters
    ----------
    codes
        uint8 (n,): the sequence.
    chrom, start
        Where it lies, 0-based.
    change
        start, end (0-based half-open) and the bases that take this interval's place; at least one base of the sequence
        is in the interval, or on both sides of it if it is empty.
    genome
        For bases that come in.

    Returns
    -------
    Edited
        Without codes if the interval reaches beyond both ends (`SPANS`), or bases have to come in and there is no
        genome, or it does not hold them (`NEEDS_GENOME`).
    """
    begin, end = change[0] - start, change[1] - start
    length, added = len(codes), encode(change[2].encode())
    if len(added) == end - begin:
        changed = codes.copy()
        first, last = max(begin, 0), min(end, length)
        changed[first:last] = added[first - begin : last - begin]
        return Edited(changed, SCORED)
    if begin <= 0 and end >= length:
        return Edited(None, SPANS)
    left, right = codes[: max(begin, 0)], codes[min(end, length) :]
    kept = np.concatenate([left, added, right])
    missing = max(length - len(kept), 0)
    if len(left) >= len(right):
        coming = start + max(end, length)
        flank = _flank(chrom, coming, coming + missing, genome)
        return Edited(None, NEEDS_GENOME) if flank is None else Edited(np.concatenate([kept, flank])[:length], SCORED)
    coming = start + min(begin, 0)
    flank = _flank(chrom, coming - missing, coming, genome)
    return Edited(None, NEEDS_GENOME) if flank is None else Edited(np.concatenate([flank, kept])[-length:], SCORED)


def sequence_bases(dataset: Dataset, number: int) -> np.ndarray:
    """The bases of a sequence by number, uint8 (bases,)."""
    assert dataset.codes is not None
    begin, end = dataset.sequence_offsets[number : number + 2].tolist()
    bases: np.ndarray = dataset.codes[begin:end]
    return bases


def _flank(chrom: str, start: int, end: int, genome: Genome | None) -> np.ndarray | None:
    if start == end:
        return np.zeros(0, dtype=np.uint8)
    if genome is None or not bool(genome.available(chrom, start, end)):
        return None
    return genome.codes(chrom, start, end)
