"""Genes, distinct elements and pairs, collected from blocks of the authors' HDF5 files."""

from __future__ import annotations

import hashlib
import logging
from typing import IO

import numpy as np
import pandas as pd

from epinformer.bases import NO_BASE
from epinformer.errors import InputError
from epinformer.prepare.contact import powerlaw_contact
from epinformer.prepare.h5_layout import SIGNALS, Block, Layout, centred_spans
from epinformer.prepare.steps import Filters

logger = logging.getLogger(__name__)

_DIGEST_BYTES = 16
_ID_BYTES = 8
# The authors' training leaves out what is farther, though their files may hold it.
_PAPER_DISTANCE = 100_000
_CHROMOSOME = 2**31


class Collected:
    """What has been read so far: pairs and element columns in memory, bases in two files.

    Parameters
    ----------
    genes
        gene_id and chrom of the dataset's genes, in the order in which the files have them; others are passed over.
    promoters, elements
        Take the bases: 2,000 a gene, and those of each distinct element.
    unit
        bp in one unit of the files' distances.
    max_distance
        Farther pairs are left out, in bp.
    """

    def __init__(
        self, genes: pd.DataFrame, promoters: IO[bytes], elements: IO[bytes], unit: float, max_distance: int | None
    ) -> None:
        self._genes = {gene_id: row for row, gene_id in enumerate(genes["gene_id"])}
        self._chroms = genes["chrom"].astype(object).where(genes["chrom"].notna(), None).tolist()
        self._promoters, self._elements = promoters, elements
        self._unit, self._max_distance = unit, max_distance
        self._index: dict[bytes, int] = {}
        self._activity: list[float] = []
        self._lengths: list[int] = []
        self._element_chroms: list[str | None] = []
        self._pairs: list[tuple[np.ndarray, ...]] = []
        self._empty_slots = self._widened = self._fractional = self._too_far = self._far = self._signed = 0
        self._without_promoter: list[str] = []

    def add(self, layout: Layout, block: Block) -> None:
        """Take the genes of a block that are in the gene table."""
        for row in range(len(block.codes)):
            gene = self._genes.get(layout.gene_ids[block.first + row])
            if gene is None:
                continue
            promoter = block.codes[row, 0]
            if (promoter == NO_BASE).all():
                self._without_promoter.append(layout.gene_ids[block.first + row])
            self._promoters.write(promoter.tobytes())
            self._add_gene(layout, block, row, gene)

    def _add_gene(self, layout: Layout, block: Block, row: int, gene: int) -> None:
        codes = block.codes[row, 1:]
        offset, length = centred_spans(codes)
        signals = np.stack([block.distance[row], block.activity[row], block.contact[row]])
        self._empty_slots += int(((length == 0) & (np.nan_to_num(signals, nan=1.0) != 0).any(axis=0)).sum())
        slots = np.flatnonzero(length)
        _check_signals(signals, slots, layout, block.first + row)
        exact = signals[0] * self._unit
        distance = np.rint(exact)
        far = np.abs(distance[slots]) > (np.inf if self._max_distance is None else self._max_distance)
        self._too_far += int(far.sum())
        slots = slots[~far]
        slots = slots[np.argsort(np.abs(distance[slots]), kind="stable")]
        # A kb distance that is a whole number of bp need not be one in binary.
        self._fractional += int((np.abs(exact[slots] - distance[slots]) > 1e-3).sum())
        self._far += int((np.abs(distance[slots]) > _PAPER_DISTANCE).sum())
        self._signed += int((distance[slots] < 0).sum())
        chrom = self._chroms[gene]
        seen: dict[bytes, int] = {}
        elements = np.empty(len(slots), dtype=np.int64)
        for number, slot in enumerate(slots):
            bases = codes[slot, offset[slot] : offset[slot] + length[slot]].tobytes()
            elements[number] = self._element(bases, float(block.activity[row, slot]), chrom, seen)
        contact = block.contact[row, slots]
        self._pairs.append((np.full(len(slots), gene), elements, distance[slots], contact))

    def _element(self, bases: bytes, activity: float, chrom: str | None, seen: dict[bytes, int]) -> int:
        """Row of an element; a new one unless it is there. ``seen`` counts its copies within one gene."""
        salt = np.float64(activity).tobytes() + (chrom or "").encode()[:32]
        digest = hashlib.blake2b(bases, digest_size=_DIGEST_BYTES, key=salt).digest()
        copy = seen[digest] = seen.get(digest, 0) + 1
        key = digest if copy == 1 else digest + copy.to_bytes(2, "big")
        found = self._index.get(key)
        if found is None:
            found = self._index[key] = len(self._activity)
            self._elements.write(bases)
            self._activity.append(activity)
            self._lengths.append(len(bases))
            self._element_chroms.append(chrom)
            self._widened += NO_BASE in (bases[0], bases[-1])
        return found

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Elements and pairs as the store wants them."""
        # Rows were numbered in the order of insertion, which a dict keeps.
        ids = [_element_id(key) for key in self._index]
        n = len(ids)
        elements = pd.DataFrame(
            {
                "element_id": pd.array(ids, dtype="str"),
                "chrom": pd.array(self._element_chroms, dtype="str"),
                "start": pd.array([pd.NA] * n, dtype="Int64"),
                "end": pd.array([pd.NA] * n, dtype="Int64"),
                "activity": np.array(self._activity, dtype=np.float64),
                "sequence_length": np.array(self._lengths, dtype=np.int32),
            }
        )
        parts = (
            [np.concatenate(column) for column in zip(*self._pairs, strict=True)] if self._pairs else [np.zeros(0)] * 4
        )
        distance = parts[2].astype(np.int64)
        pairs = pd.DataFrame(
            {
                "gene_index": parts[0].astype(np.int32),
                "element_index": parts[1].astype(np.int32),
                "distance": distance,
                "contact": parts[3].astype(np.float64),
                "powerlaw_contact": powerlaw_contact(distance),
            }
        )
        return elements, pairs

    def say(self, filters: Filters) -> None:
        """Log what was found and left out, and record the filter."""
        kept = sum(len(part[0]) for part in self._pairs)
        if self._max_distance is not None:
            filters.record("pairs", f"farther than {self._max_distance:,} bp", kept + self._too_far, kept)
        logger.info(
            "%s pairs of %s genes with %s distinct elements",
            f"{kept:,}",
            f"{len(self._pairs):,}",
            f"{len(self._index):,}",
        )
        if self._without_promoter:
            logger.warning(
                "%s of %s genes have a promoter without a single base (first: %s); a model sees nothing there",
                f"{len(self._without_promoter):,}",
                f"{len(self._pairs):,}",
                self._without_promoter[0],
            )
        for count, text in (
            (self._empty_slots, "slots have signals but no bases; they are no pairs, as in the authors' model"),
            (self._widened, "elements are not centred as they are; widened by positions without a base"),
            (self._fractional, "distances are not whole bp; rounded"),
            (self._signed, "distances are negative; their sign is kept"),
            (self._far, f"pairs are farther than {_PAPER_DISTANCE:,} bp, which the authors' training leaves out"),
        ):
            if count:
                logger.info("%s %s", f"{count:,}", text)

    def words(self, unit: str) -> dict[str, str]:
        """Column -> how it was made."""
        sign = "signed as there" if self._signed else "without sign there, so that it is |distance|"
        scale = "" if unit == "bp" else " * 1000"
        return {
            "distance": f"HDF5 distance{scale}, rounded to bp; {sign}",
            "contact": "HDF5 hic as given",
            "activity": "HDF5 activity as given",
            "powerlaw_contact": "exp(5.9594510 - 1.0242386 * ln(max(|distance|, 5000) + 1))",
            "sequence_length": "shortest centred span that holds all bases, in bp",
        }


def _check_signals(signals: np.ndarray, slots: np.ndarray, layout: Layout, gene: int) -> None:
    """Refuse a gene whose used slots have a distance that cannot be, or a signal that is negative or not finite."""
    for name, values in zip(SIGNALS, signals[:, slots], strict=True):
        if name == "distance":
            bad, problem = ~(np.abs(values) < _CHROMOSOME), "not finite, or longer than any chromosome"
        else:
            bad, problem = ~(np.isfinite(values) & (values >= 0)), "negative or not finite"
        if bad.any():
            first = int(bad.argmax())
            raise InputError(
                f"{name} is {problem}",
                source=layout.path,
                count=int(bad.sum()),
                first=f"gene {layout.gene_ids[gene]}, row {slots[first] + 1}: {values[first]}",
                fix="Correct the file, or leave the gene out",
            )


def _element_id(key: bytes) -> str:
    """Name an element by what it is, since the layout does not say where it is."""
    name = f"h5:{key[:_ID_BYTES].hex()}"
    return name if len(key) == _DIGEST_BYTES else f"{name}.{int.from_bytes(key[_DIGEST_BYTES:], 'big')}"
