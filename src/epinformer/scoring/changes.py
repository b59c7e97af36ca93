"""What a network predicts for a gene when elements are left out or replaced by others: nothing else is computed again.

A row that enters the interaction depends on its own sequence and signals alone (`EPInformer.rows`). So the rows of all
genes are worked out once, and every knock-out is another choice among them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from epinformer.dataset.batch import Batch
from epinformer.dataset.store import Dataset
from epinformer.model.epinformer import EPInformer
from epinformer.ragged import ranges

# Rows that pass through the interaction at a time: few enough for the processor's cache, many enough to be worth it.
CHUNK_ROWS = 8_192


class Changes(NamedTuple):
    """K knock-outs, each a change of some pairs of one gene.

    Attributes
    ----------
    gene
        (K,) int64: the gene of each knock-out, by its number in the dataset.
    knockout
        (C,) int64, ascending: the knock-out that each change belongs to.
    pair
        (C,) int64: the row of the dataset's pairs that is changed.
    replacement
        (C,) int64: the row of `replaced`'s pairs that takes its place, or -1 if it is removed.
    replaced
        A dataset of the same genes whose pairs are the replacements; None where all is removed.
    """

    gene: np.ndarray
    knockout: np.ndarray
    pair: np.ndarray
    replacement: np.ndarray
    replaced: Dataset | None = None

    def of(self, genes: np.ndarray) -> tuple[np.ndarray, Changes]:
        """The knock-outs of these genes: whether each is one, (K,) bool, and the changes of those that are."""
        chosen = np.isin(self.gene, genes)
        kept = chosen[self.knockout]
        number = np.cumsum(chosen) - 1
        some = Changes(
            self.gene[chosen],
            number[self.knockout[kept]],
            self.pair[kept],
            self.replacement[kept],
            self.replaced,
        )
        return chosen, some


def removed_in_turn(dataset: Dataset, genes: np.ndarray) -> Changes:
    """Every element of these genes (g,) removed alone: a knock-out for each pair, in the order of genes and pairs."""
    offsets = dataset.pair_offsets
    counts = offsets[genes + 1] - offsets[genes]
    pairs = ranges(offsets[genes], counts)
    return Changes(np.repeat(genes, counts), np.arange(len(pairs)), pairs, np.full(len(pairs), -1))


def predict_changes(
    network: EPInformer,
    batch: Batch,
    rows: Tensor,
    replacements: Tensor,
    gene: np.ndarray,
    knockout: np.ndarray,
    changed: np.ndarray,
    replacement: np.ndarray,
    progress: Callable[[int], None] | None = None,
    *,
    gene_features: Tensor | None = None,
) -> np.ndarray:
    """Predictions (K,) float64 of genes with some of their rows changed.

    Parameters
    ----------
    network
        In evaluation mode.
    batch
        The genes with all their elements; its features and sequences are not read again.
    rows
        (N, width): what enters the interaction (`EPInformer.rows`).
    replacements
        (M, width): the same of rows that take the place of others.
    gene
        (K,): the gene of each knock-out, by its number in the batch.
    knockout
        (C,) ascending: the knock-out of each change.
    changed
        (C,): the row of the batch that is changed; a promoter's is replaced, never removed.
    replacement
        (C,): the row of ``replacements`` that takes its place, or -1 if it is removed.
    progress
        Called with the number of knock-outs done so far.
    gene_features
        (K, f): the features of each knock-out's gene, if not those of the batch.
    """
    if gene_features is None:
        gene_features = batch.gene_features[torch.from_numpy(gene).to(batch.gene_features.device)]
    every = torch.cat([rows, replacements]) if len(replacements) else rows
    row_gene = batch.row_gene.cpu().numpy()
    first = np.searchsorted(row_gene, np.arange(len(batch)))
    size = np.bincount(row_gene, minlength=len(batch))
    change_first = np.searchsorted(knockout, np.arange(len(gene)))
    change_count = np.bincount(knockout, minlength=len(gene))
    # Genes of like size go together, because results are padded to the largest of a chunk.
    order = np.argsort(size[gene], kind="stable")
    predicted = np.zeros(len(gene))
    for begin, end in itertools.pairwise(_edges(size[gene[order]])):
        some = order[begin:end]
        counts = size[gene[some]]
        index = ranges(first[gene[some]], counts)
        changes = ranges(change_first[some], change_count[some])
        owner = np.repeat(np.arange(len(some)), change_count[some])
        starts = np.cumsum(counts) - counts
        index[starts[owner] + changed[changes] - first[gene[some]][owner]] = np.where(
            replacement[changes] < 0, -1, len(rows) + replacement[changes]
        )
        kept = index >= 0
        features = gene_features[torch.from_numpy(some).to(gene_features.device)]
        part = _chosen(batch, features, np.repeat(np.arange(len(some)), counts)[kept])
        values, _, _ = network.interact(every[torch.from_numpy(index[kept]).to(every.device)], part)
        predicted[some] = values.cpu().numpy()
        if progress is not None:
            progress(end)
    return predicted


def _chosen(batch: Batch, gene_features: Tensor, row_gene: np.ndarray) -> Batch:
    """The layout of rows that are chosen from the batch's, of genes with these features, for `EPInformer.interact`."""
    counts = np.bincount(row_gene, minlength=len(gene_features))
    place = batch.row_gene.device
    return replace(
        batch,
        row_sequence=batch.row_sequence[:0],
        row_gene=torch.from_numpy(row_gene).to(place),
        row_slot=torch.from_numpy(ranges(np.zeros_like(counts), counts)).to(place),
        width=int(counts.max(initial=1)),
        pair_features=batch.pair_features[:0],
        gene_features=gene_features,
    )


def _edges(sizes: np.ndarray) -> list[int]:
    """Where chunks of at most `CHUNK_ROWS` rows (or one knock-out) begin and end."""
    ends = np.cumsum(sizes)
    edges = [0]
    while edges[-1] < len(sizes):
        before = ends[edges[-1] - 1] if edges[-1] else 0
        edges.append(max(edges[-1] + 1, int(np.searchsorted(ends, before + CHUNK_ROWS, side="right"))))
    return edges
