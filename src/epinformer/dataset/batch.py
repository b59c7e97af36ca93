"""Genes as a model reads them: ragged, each distinct sequence once, nothing padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epinformer.bases import NO_BASE, OTHER_BASE
from epinformer.dataset.features import Feature
from epinformer.dataset.store import SEQUENCE_NAME, Dataset
from epinformer.errors import DatasetError, InputError
from epinformer.ragged import ranges


@dataclass(frozen=True)
class Batch:
    """G genes with N rows in all: of each gene first its promoter, then its elements.

    Attributes
    ----------
    codes
        (bases,) uint8: the S distinct sequences one after the other; A0 C1 G2 T3, N 4, no base 5.
    lengths
        (S,) int64: bases of each sequence; a sequence is centred in the model's window.
    row_sequence
        (N,) int64: the sequence of each row.
    row_gene
        (N,) int64: the gene of each row, ascending.
    row_slot
        (N,) int64: where the row stands among its gene's rows in padded results; 0 is the promoter. A removed
        element leaves its slot empty.
    width
        R, the number of slots in padded results.
    pair_features
        (N, k) float32: transformed features of each row's pair; 0 for promoters.
    gene_features
        (G, f) float32: transformed features of each gene.
    """

    codes: Tensor
    lengths: Tensor
    row_sequence: Tensor
    row_gene: Tensor
    row_slot: Tensor
    width: int
    pair_features: Tensor
    gene_features: Tensor

    def __len__(self) -> int:
        return len(self.gene_features)

    def to(self, device: str | torch.device) -> Batch:
        """The same batch on ``device``."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        moved: dict[str, Any] = {name: value.to(device) for name, value in values if isinstance(value, Tensor)}
        return replace(self, **moved)

    def slots(self) -> Tensor:
        """(G, R) int64: the row that stands in each slot, -1 where there is none."""
        slots = torch.full((len(self), self.width), -1, dtype=torch.int64, device=self.row_gene.device)
        slots[self.row_gene, self.row_slot] = torch.arange(len(self.row_gene), device=self.row_gene.device)
        return slots

    def part(self, begin: int, end: int) -> Batch:
        """Genes ``[begin, end)`` of the batch, with the same sequences."""
        limits = torch.tensor([begin, end], device=self.row_gene.device)
        rows = slice(*torch.searchsorted(self.row_gene, limits).tolist())
        slots = self.row_slot[rows]
        return replace(
            self,
            row_sequence=self.row_sequence[rows],
            row_gene=self.row_gene[rows] - begin,
            row_slot=slots,
            width=int(slots.max()) + 1 if len(slots) else 1,
            pair_features=self.pair_features[rows],
            gene_features=self.gene_features[begin:end],
        )

    def take(self, genes: Tensor) -> Batch:
        """Genes by their numbers (g,) int64, in that order, with the same sequences."""
        first = torch.searchsorted(self.row_gene, genes)
        counts = torch.searchsorted(self.row_gene, genes, right=True) - first
        rows = torch.repeat_interleave(first - (torch.cumsum(counts, 0) - counts), counts)
        rows += torch.arange(len(rows), device=rows.device)
        slots = self.row_slot[rows]
        return replace(
            self,
            row_sequence=self.row_sequence[rows],
            row_gene=torch.repeat_interleave(torch.arange(len(genes), device=rows.device), counts),
            row_slot=slots,
            width=int(slots.max()) + 1 if len(slots) else 1,
            pair_features=self.pair_features[rows],
            gene_features=self.gene_features[genes],
        )

    def promoters(self) -> Batch:
        """The same genes without their elements."""
        keep = self.row_slot == 0
        return replace(
            self,
            row_sequence=self.row_sequence[keep],
            row_gene=self.row_gene[keep],
            row_slot=self.row_slot[keep],
            pair_features=self.pair_features[keep],
        )

    @classmethod
    def from_dense(
        cls,
        one_hot: Tensor | np.ndarray,
        pair_features: Tensor | np.ndarray | None,
        gene_features: Tensor | np.ndarray,
    ) -> Batch:
        """Read the authors' padded layout.

        Parameters
        ----------
        one_hot
            (G, R, L, 4), channels A, C, G, T; row 0 of a gene is its promoter. A base is one-hot, an N is 0.25 in each
            channel, and no base is 0. An element whose sequence is all zero is absent, as the authors mask it.
        pair_features
            (G, R, k), transformed as the model expects them (see `Feature`); those of promoters are taken as 0.
            None where the model has none.
        gene_features
            (G, f), transformed likewise.

        Raises
        ------
        InputError
            The shapes disagree, or a base is neither one-hot nor 0.25 nor 0.
        """
        dense = _tensor(one_hot)
        if dense.ndim != 4 or dense.shape[3] != 4 or 0 in dense.shape:
            raise InputError(f"one_hot has shape {tuple(dense.shape)}, not (genes, rows, length, 4)")
        genes, width = dense.shape[:2]
        gene_values = _tensor(gene_features).float()
        if gene_values.ndim != 2 or len(gene_values) != genes:
            raise InputError(f"gene_features has shape {tuple(gene_values.shape)}, not ({genes}, features)")
        if pair_features is None:
            pair_features = np.zeros((genes, width, 0), dtype=np.float32)
        pair_values = _tensor(pair_features).float()
        if pair_values.ndim != 3 or pair_values.shape[:2] != (genes, width):
            raise InputError(f"pair_features has shape {tuple(pair_values.shape)}, not ({genes}, {width}, features)")

        codes = np.stack([_codes(gene) for gene in dense])
        present = (codes != NO_BASE).any(2)
        present[:, 0] = True
        row_gene, row_slot = np.nonzero(present)
        distinct, row_sequence = np.unique(codes[row_gene, row_slot], axis=0, return_inverse=True)
        spans = [_centred_span(sequence) for sequence in distinct]
        features = pair_values[row_gene, row_slot]
        features[row_slot == 0] = 0
        return cls(
            codes=torch.from_numpy(np.concatenate([s[a:b] for s, (a, b) in zip(distinct, spans, strict=True)])),
            lengths=torch.tensor([b - a for a, b in spans]),
            row_sequence=torch.from_numpy(row_sequence.reshape(-1).astype(np.int64)),
            row_gene=torch.from_numpy(row_gene),
            row_slot=torch.from_numpy(row_slot),
            width=width,
            pair_features=features,
            gene_features=gene_values,
        )

    @classmethod
    def from_dataset(
        cls,
        dataset: Dataset,
        genes: np.ndarray,
        *,
        pair_features: Sequence[Feature],
        gene_features: Sequence[Feature],
        elements: bool = True,
        sequences: np.ndarray | None = None,
    ) -> Batch:
        """Take genes out of a dataset.

        Parameters
        ----------
        dataset
            With sequence, unless ``sequences`` is given.
        genes
            (G,) int: positions of the genes in ``dataset.genes``.
        pair_features, gene_features
            What the model reads, in its order.
        elements
            Whether to take the genes' elements, or their promoters alone.
        sequences
            (n,) int, ascending: numbers of the dataset's sequences (promoter g is g, element e is ``n_genes + e``)
            that the caller has embedded already. Then the batch holds no codes and its ``row_sequence`` points into
            this array.

        Raises
        ------
        DatasetError
            A feature's column is missing, or holds a missing value for one of these genes.
        """
        genes = np.asarray(genes, dtype=np.int64)
        offsets = dataset.pair_offsets
        counts = offsets[genes + 1] - offsets[genes] if elements else np.zeros_like(genes)
        pairs = ranges(offsets[genes], counts)
        rows = counts + 1
        row_gene = np.repeat(np.arange(len(genes)), rows)
        row_slot = ranges(np.zeros_like(rows), rows)
        is_pair = row_slot > 0
        elements_of_pairs = dataset.pairs["element_index"].to_numpy()[pairs].astype(np.int64)

        row_sequence = genes[row_gene]
        row_sequence[is_pair] = dataset.n_genes + elements_of_pairs
        features = np.zeros((len(row_gene), len(pair_features)), dtype=np.float32)
        for column, feature in enumerate(pair_features):
            values = _pair_values(dataset, feature, pairs, elements_of_pairs)
            features[is_pair, column] = feature.apply(values)
        gene_values = [feature.apply(_gene_values(dataset, feature, genes)) for feature in gene_features]

        if sequences is None:
            distinct, row_sequence = np.unique(row_sequence, return_inverse=True)
            codes, lengths = sequence_codes(dataset, distinct)
        else:
            row_sequence = np.searchsorted(sequences, row_sequence)
            codes, lengths = torch.zeros(0, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)
        return cls(
            codes=codes,
            lengths=lengths,
            row_sequence=torch.from_numpy(row_sequence.astype(np.int64)),
            row_gene=torch.from_numpy(row_gene),
            row_slot=torch.from_numpy(row_slot),
            width=int(rows.max(initial=1)),
            pair_features=torch.from_numpy(features),
            gene_features=torch.from_numpy(
                np.stack(gene_values, 1) if gene_values else np.zeros((len(genes), 0), np.float32)
            ),
        )


def sequence_codes(dataset: Dataset, sequences: np.ndarray) -> tuple[Tensor, Tensor]:
    """Codes (bases,) uint8 and lengths (S,) int64 of a dataset's sequences by number.

    Promoter g is number g, element e is number ``n_genes + e``.

    Raises
    ------
    DatasetError
        The dataset was made without a genome, or its bases are damaged.
    """
    offsets = dataset.sequence_offsets
    codes = dataset.codes
    if codes is None:
        raise DatasetError("has no sequence", source=dataset.path, fix="Prepare it with a genome")
    starts = offsets[sequences]
    lengths = offsets[sequences + 1] - starts
    taken = np.empty(int(lengths.sum()), dtype=np.uint8)
    position = 0
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        taken[position : position + length] = codes[start : start + length]
        position += length
    strange = taken > NO_BASE
    if strange.any():
        first = int(np.searchsorted(np.cumsum(lengths), strange.argmax(), side="right"))
        raise DatasetError(
            f"holds numbers that stand for no base, such as {taken[strange][0]}",
            source=dataset.path / SEQUENCE_NAME,
            count=int(strange.sum()),
            first=f"sequence {int(sequences[first])}",
            fix="The file is damaged: prepare the dataset again",
        )
    return torch.from_numpy(taken), torch.from_numpy(lengths)


def missing_features(dataset: Dataset, pair_features: Sequence[Feature], gene_features: Sequence[Feature]) -> list[str]:
    """Names of the features that the dataset has no column for."""
    of_pairs = set(dataset.pairs) | set(dataset.elements)
    lacking = [feature for feature in pair_features if feature.column not in of_pairs]
    lacking += [feature for feature in gene_features if feature.column not in dataset.genes]
    return [feature.column for feature in lacking if feature.transform != "zero"]


def _pair_values(dataset: Dataset, feature: Feature, pairs: np.ndarray, elements: np.ndarray) -> np.ndarray:
    column = feature.column
    if feature.transform == "zero":
        return np.zeros(len(pairs))
    if column in dataset.pairs:
        values = dataset.pairs[column].to_numpy(dtype=np.float64, na_value=np.nan)[pairs]
    elif column in dataset.elements:
        values = dataset.elements[column].to_numpy(dtype=np.float64, na_value=np.nan)[elements]
    else:
        raise _lacks(dataset, column, "pairs or elements")
    missing = ~np.isfinite(values)
    if missing.any():
        gene = dataset.pairs["gene_index"].iloc[pairs[missing][0]]
        first = f"{dataset.genes['gene_id'].iloc[gene]} and {dataset.elements['element_id'].iloc[elements[missing][0]]}"
        raise _incomplete(dataset, column, "pairs", missing, first)
    return values


def _gene_values(dataset: Dataset, feature: Feature, genes: np.ndarray) -> np.ndarray:
    column = feature.column
    if feature.transform == "zero":
        return np.zeros(len(genes))
    if column not in dataset.genes:
        raise _lacks(dataset, column, "genes")
    values = dataset.genes[column].to_numpy(dtype=np.float64, na_value=np.nan)[genes]
    missing = ~np.isfinite(values)
    if missing.any():
        raise _incomplete(dataset, column, "genes", missing, dataset.genes["gene_id"].iloc[genes[missing][0]])
    return values


def _lacks(dataset: Dataset, column: str, table: str) -> DatasetError:
    return DatasetError(
        f"lacks the feature '{column}' among its {table}, which the model needs",
        source=dataset.path,
        fix="Prepare the dataset with it, or use a model that does without",
    )


def _incomplete(dataset: Dataset, column: str, table: str, missing: np.ndarray, first: str) -> DatasetError:
    return DatasetError(
        f"the feature '{column}', which the model needs, has no value for some of these {table}",
        source=dataset.path,
        count=int(missing.sum()),
        first=first,
        fix="Prepare the dataset without them, or use a model that does not need the feature",
    )


def _tensor(values: Tensor | np.ndarray) -> Tensor:
    """Array or tensor of any device as a tensor of the CPU that carries no gradient."""
    if isinstance(values, Tensor):
        return values.detach().cpu()
    array = np.asarray(values)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _codes(rows: Tensor) -> np.ndarray:
    """(R, L) uint8 codes of one gene's (R, L, 4) one-hot rows."""
    rows = rows.float()
    total = rows.sum(-1)
    largest, base = rows.max(-1)
    smallest = rows.amin(-1)
    codes = base.to(torch.uint8)
    codes[total == 0] = NO_BASE
    unknown = (smallest == 0.25) & (largest == 0.25)
    codes[unknown] = OTHER_BASE
    known = (largest == 1) & (total == 1) & (smallest == 0)
    strange = ~(known | unknown | ((total == 0) & (largest == 0) & (smallest == 0)))
    if strange.any():
        first = strange.nonzero()[0].tolist()
        raise InputError(
            "one_hot holds bases that are neither one-hot nor 0.25 in each channel nor 0",
            count=int(strange.sum()),
            first=f"row {first[0]}, position {first[1]}: {rows[first[0], first[1]].tolist()}",
        )
    return codes.numpy()


def _centred_span(codes: np.ndarray) -> tuple[int, int]:
    """The shortest span of (L,) codes that holds all bases and is centred as the model centres a sequence."""
    length = len(codes)
    bases = np.flatnonzero(codes != NO_BASE)
    if len(bases) == 0:
        return length // 2, length // 2
    # A sequence of n bases takes n // 2 to the left of the centre and the rest to its right.
    half = length // 2
    size = max(2 * (half - int(bases[0])), 2 * (int(bases[-1]) + 1 - half) - 1)
    return half - size // 2, half - size // 2 + size
