"""What models say of each pair: attention, the effect of removing the element, and gradient x input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from epinformer.dataset.batch import Batch
from epinformer.dataset.store import Dataset
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.epinformer import Embeddings, EPInformer
from epinformer.ragged import ranges
from epinformer.scoring.assignment import Assignment
from epinformer.scoring.changes import predict_changes
from epinformer.scoring.checks import check_finite
from epinformer.scoring.network import embed, evaluating, gene_batch, in_parts, later, needed_sequences, part_of


class PairScores(NamedTuple):
    """Scores of P pairs, those of the genes in their order, each float64 (P,).

    Attributes
    ----------
    attention
        The promoter's attention to the element, mean over heads and layers.
    knockout
        Prediction with all elements - prediction without this one, in the unit of the model's target: positive where
        the element activates.
    gradient_x_input
        The prediction's gradient x what the element itself brings, summed: its sequence's embedding and its features of
        the dataset's elements (signals, not distance and contact), as they enter fusion. Standardised features count
        from their mean, so this is to first order the effect of an element unlike the average one. The fused vector
        would be the wrong place: the interaction normalises it, so its gradient is blind to its length.
    """

    attention: np.ndarray
    knockout: np.ndarray
    gradient_x_input: np.ndarray


def score_pairs(
    loaded: LoadedModel,
    dataset: Dataset,
    genes: np.ndarray,
    sequences: np.ndarray,
    place: torch.device,
    dtype: torch.dtype,
    progress: Callable[[int], None] | None,
) -> PairScores:
    """Score all pairs of some genes with one model.

    Parameters
    ----------
    loaded
        A model that looks at elements.
    dataset
        With the pairs that it looks at.
    genes
        (g,) ascending: the genes, by their number in the dataset.
    sequences
        Of these genes, as `epinformer.scoring.network.needed_sequences` gives.
    place, dtype
        Where, and with which type the sequence encoder computes.
    progress
        Called with the number of sequences and knock-outs done so far.

    Raises
    ------
    ModelError
        A prediction is not finite.
    """
    network = loaded.model
    assert isinstance(network, EPInformer)
    batch = gene_batch(network, dataset, genes, sequences)
    attention, gradients, before, rows = [], [], [], []
    with evaluating(network, place), torch.no_grad():
        embeddings = embed(network, dataset, sequences, dtype, progress)
        own = torch.tensor(
            [feature.column not in dataset.pairs for feature in network.config.pair_features], device=place
        )
        for part in in_parts(batch, place):
            told = _told(network, part, embeddings, own)
            before.append(told.prediction)
            attention.append(told.attention)
            gradients.append(told.gradient_x_input)
            rows.append(told.rows)
        predicted = np.concatenate([np.zeros(0), *before])
        check_finite(predicted, loaded, dataset, genes)
        pair_rows = np.flatnonzero(batch.row_slot.numpy() > 0)
        gene = batch.row_gene.numpy()[pair_rows]
        number = np.arange(len(pair_rows))
        without = np.zeros(0)
        if len(pair_rows):
            every = torch.cat(rows)
            done = later(progress, len(sequences))
            remove = np.full(len(pair_rows), -1)
            without = predict_changes(network, batch.to(place), every, every[:0], gene, number, pair_rows, remove, done)
    empty = np.zeros(0)
    return PairScores(
        np.concatenate([empty, *attention]), predicted[gene] - without, np.concatenate([empty, *gradients])
    )


class MeanScores(NamedTuple):
    """Means over the models that score each gene.

    Attributes
    ----------
    of_pairs
        A row a pair of the dataset: attention_raw, attention (over its sum for the gene's pairs), knockout and
        gradient_x_input, missing for genes that no model scores.
    of_genes
        A row a gene of the dataset: fold, models and held_out (`Assignment.provenance`), missing likewise.
    """

    of_pairs: pd.DataFrame
    of_genes: pd.DataFrame


def mean_scores(plan: Assignment, progress: Callable[[int, int], None] | None) -> MeanScores:
    """Score the pairs of all genes asked for; progress is in sequences and knock-outs over all models.

    Raises
    ------
    ModelError
        A prediction is not finite.
    """
    dataset, genes = plan.dataset, plan.genes
    counts = np.diff(dataset.pair_offsets)
    needed = [
        needed_sequences(dataset, genes[mask], model.info.config)
        for model, mask in zip(plan.models, plan.masks, strict=True)
    ]
    work = [len(sequences) + int(counts[genes[mask]].sum()) for sequences, mask in zip(needed, plan.masks, strict=True)]
    sums = np.zeros((len(PairScores._fields), len(dataset.pairs)))
    times = np.zeros(len(dataset.pairs))
    for number, (model, mask, sequences) in enumerate(zip(plan.models, plan.masks, needed, strict=True)):
        told = part_of(progress, sum(work[:number]), max(sum(work), 1))
        rows = ranges(dataset.pair_offsets[genes[mask]], counts[genes[mask]])
        sums[:, rows] += score_pairs(model, dataset, genes[mask], sequences, plan.device, plan.dtype, told)
        times[rows] += 1
    mean = np.divide(sums, times, out=np.full_like(sums, np.nan), where=times > 0)
    means = pd.DataFrame(mean.T, columns=list(PairScores._fields))
    raw = means.pop("attention")
    total = raw.groupby(dataset.pairs["gene_index"].to_numpy()).transform("sum")
    means.insert(0, "attention_raw", raw)
    means.insert(1, "attention", raw / total)
    provenance = plan.provenance().set_axis(genes).reindex(np.arange(dataset.n_genes))
    provenance["models"] = provenance["models"].fillna(0).astype(np.int64)
    return MeanScores(means, provenance)


class _Told(NamedTuple):
    """prediction (G,); of each pair attention and gradient_x_input; what enters the interaction (N, width)."""

    prediction: np.ndarray
    attention: np.ndarray
    gradient_x_input: np.ndarray
    rows: Tensor


def _told(network: EPInformer, batch: Batch, embeddings: Embeddings | None, own: Tensor) -> _Told:
    """What one pass forward and back tells; ``own`` (k,) says which pair features are the element's."""
    is_pair = batch.row_slot > 0
    features = batch.pair_features.clone().requires_grad_()
    embedded = features.new_zeros(len(features), 0)
    if embeddings is not None:
        # Each row with its own copy of what sequences share, so that each has a gradient.
        embedded = embeddings.sequences[batch.row_sequence].requires_grad_()
        embeddings = Embeddings(embedded, embeddings.empty)
        batch = replace(batch, row_sequence=torch.arange(len(embedded), device=embedded.device))
    with torch.enable_grad():
        rows = network.rows(replace(batch, pair_features=features), embeddings)
        prediction, attention, _ = network.interact(rows, batch)
        # Genes do not touch each other, so the sum's gradient is each gene's own.
        leaves = [features] if embeddings is None else [features, embedded]
        gradients = torch.autograd.grad(prediction.sum(), leaves, materialize_grads=True)
    centred = features if network.pair_standardiser is None else features - network.pair_standardiser.mean
    product = ((gradients[0] * centred)[:, own]).sum(1)
    if embeddings is not None:
        product += (gradients[1] * embedded).sum(1)
    mean = attention.mean((0, 2))[batch.row_gene[is_pair], batch.row_slot[is_pair]]
    return _Told(_array(prediction), _array(mean), _array(product[is_pair]), rows.detach())


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float64)
