"""What alleles do to predicted expression: a gene's rows that hold one are replaced, nothing else is encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from epinformer.dataset.batch import Batch
from epinformer.dataset.features import Feature
from epinformer.dataset.store import Dataset
from epinformer.errors import ModelError
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.epinformer import Embeddings, EPInformer
from epinformer.ragged import ranges
from epinformer.scoring.assignment import Assignment
from epinformer.scoring.changes import predict_changes
from epinformer.scoring.checks import check_finite
from epinformer.scoring.network import CHUNK_BASES, embed, evaluating, gene_batch, in_parts, needed_sequences
from epinformer.settings import ACCESSIBILITY, ACETYLATION

ACTIVITY_COLUMNS = ("activity", *(f"{name}_rpm" for name in (*ACCESSIBILITY, ACETYLATION)))
"""Columns of elements, and with ``promoter_`` before them of genes, that change with the activity of a sequence."""


class Items(NamedTuple):
    """K genes, each with an allele that some of its sequences hold.

    Attributes
    ----------
    gene
        (K,) int64: numbers of the genes, all of them scored by some model.
    item
        (C,) int64, ascending: the item of each changed sequence.
    pair
        (C,) int64: the row of the pairs whose element is changed; -1 for the promoter.
    codes
        (C,) int64: which of the changed sequences it is.
    factor
        (C,) float64: what the sequence's signals are multiplied with; NaN if that is not known.
    """

    gene: np.ndarray
    item: np.ndarray
    pair: np.ndarray
    codes: np.ndarray
    factor: np.ndarray


class Expressions(NamedTuple):
    """Predictions of K items, float64 (K,) each, in the unit of the target, means over the models.

    Attributes
    ----------
    before
        As the dataset is.
    sequence
        With the allele in the bases alone; missing if the models read none.
    both
        With the allele in the bases, and signals that follow the activity; missing where that is not known.
    """

    before: np.ndarray
    sequence: np.ndarray
    both: np.ndarray


class ExpressionScorer:
    """Predicts genes with alleles; sequences without one are embedded when they are first needed, and only once.

    Parameters
    ----------
    plan
        Who scores which gene.
    """

    def __init__(self, plan: Assignment) -> None:
        self._plan = plan
        self._known = [_Embedded(plan.dataset) for _ in plan.models]

    def __call__(self, items: Items, codes: Sequence[np.ndarray]) -> Expressions:
        """Predict items, with the changed sequences (uint8 codes) that they point to.

        Raises
        ------
        ModelError
            A prediction is not finite.
        """
        place = np.searchsorted(self._plan.genes, items.gene)
        sums = np.zeros((3, len(items.gene)))
        for loaded, mask, known in zip(self._plan.models, self._plan.masks, self._known, strict=True):
            chosen = np.flatnonzero(mask[place])
            if len(chosen):
                sums[:, chosen] += self._predict(loaded, known, _some(items, chosen), codes)
        means = sums / np.sum(self._plan.masks, axis=0)[place]
        if not any(model.info.config.sequence == "bases" for model in self._plan.models):
            means[1] = np.nan
        return Expressions(*means)

    def _predict(self, loaded: LoadedModel, known: _Embedded, items: Items, codes: Sequence[np.ndarray]) -> np.ndarray:
        """(3, K): what one model predicts, as `Expressions` has it."""
        plan, network = self._plan, loaded.model
        assert isinstance(network, EPInformer)
        genes, local = np.unique(items.gene, return_inverse=True)
        sequences = needed_sequences(plan.dataset, genes, network.config)
        batch = gene_batch(network, plan.dataset, genes, sequences)
        with evaluating(network, plan.device), torch.inference_mode():
            embeddings = known.of(network, plan.dataset, sequences, plan.dtype)
            batch = batch.to(plan.device)
            rows, before = [], []
            for part in in_parts(batch, plan.device):
                rows.append(network.rows(part, embeddings))
                before.append(network.interact(rows[-1], part)[0].cpu().numpy())
            check_finite(np.concatenate(before), loaded, plan.dataset, genes)
            every = torch.cat(rows)
            changed = _Changed(network, plan.dataset, batch, genes, local, items)
            if embeddings is not None:
                used, number = np.unique(items.codes, return_inverse=True)
                new = _embedded(network, [codes[row] for row in used.tolist()], plan)
                embeddings = Embeddings(torch.cat([embeddings.sequences, new]), embeddings.empty)
                changed.read(len(sequences) + number)
            found = np.stack([np.concatenate(before)[local]] * 3)
            if embeddings is not None:
                found[1] = changed.predicted(every, embeddings)
            if np.isfinite(items.factor).any():
                changed.scale()
                found[2] = changed.predicted(every, embeddings)
        found[2, items.item[np.isnan(items.factor)]] = np.nan
        if np.isinf(found).any() or np.isnan(found[:2]).any():
            raise ModelError("gives predictions that are not finite", source=loaded.path)
        return found


class _Embedded:
    """The embeddings of a dataset's sequences that one model has been asked for so far."""

    def __init__(self, dataset: Dataset) -> None:
        self._number = np.full(dataset.n_genes + dataset.n_elements, -1)
        self._found: Embeddings | None = None

    def of(self, network: EPInformer, dataset: Dataset, sequences: np.ndarray, dtype: torch.dtype) -> Embeddings | None:
        """Embeddings of these sequences; None for a network that reads none."""
        missing = sequences[self._number[sequences] < 0]
        if len(missing):
            found = embed(network, dataset, missing, dtype, None)
            assert found is not None
            before = 0 if self._found is None else len(self._found.sequences)
            self._number[missing] = before + np.arange(len(missing))
            if self._found is not None:
                found = Embeddings(torch.cat([self._found.sequences, found.sequences]), found.empty)
            self._found = found
        if self._found is None:
            return None
        place = self._found.sequences.device
        return self._found._replace(
            sequences=self._found.sequences[torch.from_numpy(self._number[sequences]).to(place)]
        )


class _Changed:
    """The rows of items that an allele changes, and their promoters' rows, which come first, as a network reads them.

    Parameters
    ----------
    network
        It will read them.
    dataset
        Whose pairs the items name.
    batch
        The genes as they are.
    genes
        Numbers of the batch's genes in the dataset.
    local
        (K,): numbers of the items' genes in the batch.
    items
        What changes.
    """

    def __init__(
        self,
        network: EPInformer,
        dataset: Dataset,
        batch: Batch,
        genes: np.ndarray,
        local: np.ndarray,
        items: Items,
    ) -> None:
        self._network, self._dataset, self._batch = network, dataset, batch
        self._genes, self._local = genes, local
        number = len(items.gene)
        of_element = items.pair >= 0
        counts = 1 + np.bincount(items.item[of_element], minlength=number)
        self._item = np.repeat(np.arange(number), counts)
        self._slot = ranges(np.zeros_like(counts), counts)
        first = np.cumsum(counts) - counts
        # The row of each change among ours: its item's promoter, or those after it in the order of the changes.
        self._row = first[items.item]
        self._row[of_element] = np.flatnonzero(self._slot > 0)
        self._pair = np.full(len(self._item), -1)
        self._pair[self._row] = items.pair
        self._factor = np.ones(len(self._item))
        self._factor[self._row] = np.nan_to_num(items.factor, nan=1.0)
        slots, offsets = batch.row_slot.cpu().numpy(), dataset.pair_offsets
        pairs = ranges(offsets[genes], offsets[genes + 1] - offsets[genes])
        self._base = np.flatnonzero(slots == 0)[local[self._item]]
        elements = self._slot > 0
        self._base[elements] = np.flatnonzero(slots > 0)[np.searchsorted(pairs, self._pair[elements])]
        place = batch.row_gene.device
        base = torch.from_numpy(self._base).to(place)
        self._rows = replace(
            batch,
            row_sequence=batch.row_sequence[base],
            row_gene=torch.from_numpy(self._item).to(place),
            row_slot=torch.from_numpy(self._slot).to(place),
            width=int(counts.max(initial=1)),
            pair_features=batch.pair_features[base],
            gene_features=batch.gene_features[torch.from_numpy(local).to(place)],
        )

    def read(self, sequence: np.ndarray) -> None:
        """Let each change read this one (C,) of the embedded sequences."""
        rows = self._rows.row_sequence.clone()
        rows[torch.from_numpy(self._row).to(rows.device)] = torch.from_numpy(sequence).to(rows.device)
        self._rows = replace(self._rows, row_sequence=rows)

    def scale(self) -> None:
        """Multiply the signals of each change with its factor."""
        config, elements = self._network.config, self._slot > 0
        numbers = self._dataset.pairs["element_index"].to_numpy()[self._pair[elements]]
        pairs = self._rows.pair_features.clone()
        for column, feature in enumerate(config.pair_features):
            if feature.column in ACTIVITY_COLUMNS and feature.column not in self._dataset.pairs:
                values = self._dataset.elements[feature.column].to_numpy(np.float64)[numbers]
                scaled = _applied(feature, values * self._factor[elements], pairs)
                pairs[torch.from_numpy(elements).to(pairs.device), column] = scaled
        genes = self._rows.gene_features.clone()
        for column, feature in enumerate(config.gene_features):
            name = feature.column
            if name.startswith("promoter_") and name.removeprefix("promoter_") in ACTIVITY_COLUMNS:
                if feature.transform == "zero":
                    continue
                values = self._dataset.genes[name].to_numpy(np.float64)[self._genes[self._local]]
                genes[:, column] = _applied(feature, values * self._factor[~elements], genes)
        self._rows = replace(self._rows, pair_features=pairs, gene_features=genes)

    def predicted(self, rows: Tensor, embeddings: Embeddings | None) -> np.ndarray:
        """Predictions (K,), float64, where ``rows`` are those of the genes as they are."""
        return predict_changes(
            self._network,
            self._batch,
            rows,
            self._network.rows(self._rows, embeddings),
            self._local,
            self._item,
            self._base,
            np.arange(len(self._item)),
            gene_features=self._rows.gene_features,
        )


def _applied(feature: Feature, values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(feature.apply(values)).to(like.device)


def _some(items: Items, chosen: np.ndarray) -> Items:
    """Items by their numbers, ascending."""
    number = np.full(len(items.gene), -1)
    number[chosen] = np.arange(len(chosen))
    kept = number[items.item] >= 0
    return Items(items.gene[chosen], number[items.item[kept]], items.pair[kept], items.codes[kept], items.factor[kept])


def _embedded(network: EPInformer, codes: list[np.ndarray], plan: Assignment) -> Tensor:
    """Embeddings (n, width) of sequences that are in no dataset, some millions of bases at a time."""
    parts = []
    lengths = np.array([len(bases) for bases in codes])
    chunk = np.cumsum(lengths) // CHUNK_BASES
    for some in np.split(np.arange(len(codes)), np.flatnonzero(np.diff(chunk)) + 1):
        bases = torch.from_numpy(np.concatenate([codes[row] for row in some.tolist()])).to(plan.device)
        parts.append(network.embed(bases, torch.from_numpy(lengths[some]).to(plan.device), dtype=plan.dtype).sequences)
    return torch.cat(parts)
