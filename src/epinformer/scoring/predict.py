"""Predict the expression of a dataset's genes with one model or several."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from epinformer.dataset.batch import Batch
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.epinformer import Embeddings, EPInformer
from epinformer.model.hardware import Precision
from epinformer.scoring.assignment import assigned
from epinformer.scoring.checks import check_finite, require_elements
from epinformer.scoring.network import embed, evaluating, gene_batch, in_parts, needed_sequences, part_of

logger = logging.getLogger(__name__)


class Predictions(NamedTuple):
    """Predicted expression of G genes.

    Attributes
    ----------
    table
        G rows in the dataset's order: gene_id, chrom, tss, strand, fold (that which tests the gene's chromosome),
        observed (missing where the dataset has no such column), predicted (mean over the models that predict the gene),
        gene_name, elements (how many the model saw), held_out (whether the models that predict the gene had held out
        its chromosome; missing where they do not say); with several models also predicted_sd (sample standard
        deviation) and ``predicted_<i>`` of each, missing where another predicts the gene.
    attention
        None, or one row for each pair of these genes, nearest first: gene_id, element_id, chrom, start, end,
        distance, and ``attention_layer<l>``, the promoter's attention to the element, mean over heads and models.
    """

    table: pd.DataFrame
    attention: pd.DataFrame | None


def predict(
    models: Sequence[LoadedModel],
    dataset: Dataset,
    *,
    genes: Sequence[str] | None = None,
    device: str = "auto",
    precision: Precision = "32",
    attention: bool = False,
    observed: str | None = None,
    allow_leakage: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Predict expression; every distinct sequence is encoded once a model.

    A gene is predicted by those of the models whose fold tests its chromosome, so that the models of a
    cross-validation together give held-out predictions of all genes.

    Parameters
    ----------
    models
        One or more expression models with the same target.
    dataset
        With the features that the models read, and with sequence if they read it.
    genes
        Ids (or unambiguous names) of the genes to predict; all by default.
    device
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:<n>``.
    precision
        Arithmetic of the sequence encoder: ``32`` is exact; ``bf16`` is right to a few thousandths and faster on
        processors with bfloat16 instructions, and is the same as ``32`` on others.
    attention
        Also return the promoters' attention.
    observed
        Column of the dataset's genes to compare with; by default the models' target.
    allow_leakage
        Predict genes that no model held out, with all models; ``held_out`` says which those are.
    progress
        Called with (done, total), in sequences over all models.

    Raises
    ------
    LeakageError
        No model held out the chromosomes of some of these genes, and ``allow_leakage`` is false.
    ModelError
        No expression model, models with different targets or limits, or a prediction that is not finite.
    DatasetError
        Another assembly than the model's, or a feature that is missing.
    InputError
        Genes that the dataset lacks.
    """
    if attention:
        require_elements(models, "has no attention to elements", "Leave --attention out")
    plan = assigned(models, dataset, genes, device=device, precision=precision, allow_leakage=allow_leakage)
    dataset, indices = plan.dataset, plan.genes
    needed = [
        needed_sequences(dataset, indices[mask], model.info.config)
        for model, mask in zip(models, plan.masks, strict=True)
    ]
    total = max(sum(map(len, needed)), 1)
    predicted = np.full((len(models), len(indices)), np.nan)
    attentions: list[np.ndarray] = []
    before = 0
    for number, (loaded, mask, sequences) in enumerate(zip(models, plan.masks, needed, strict=True)):
        told = part_of(progress, before, total)
        values, rows = _predict_one(loaded, dataset, indices[mask], sequences, plan.device, plan.dtype, attention, told)
        predicted[number, mask] = values
        before += len(sequences)
        if attention:
            attentions.append(_on_all_pairs(dataset, indices, mask, rows))
    table = _table(dataset, indices, predicted, _observed(dataset, plan.target, observed), plan.provenance())
    return Predictions(table, _attention_table(dataset, indices, attentions) if attention else None)


def _predict_one(
    loaded: LoadedModel,
    dataset: Dataset,
    genes: np.ndarray,
    sequences: np.ndarray,
    place: torch.device,
    dtype: torch.dtype,
    attention: bool,
    progress: Callable[[int], None] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (g,) of one model, and the promoters' attention to each element (pairs, layers) where asked for."""
    network = loaded.model
    assert isinstance(network, EPInformer)
    # Before the long work, because this is where a missing value shows.
    batch = gene_batch(network, dataset, genes, sequences)
    with evaluating(network, place), torch.inference_mode():
        embeddings = embed(network, dataset, sequences, dtype, progress)
        results = [_run(network, part, embeddings, attention) for part in in_parts(batch, place)]
    values = np.concatenate([np.zeros(0), *(values for values, _ in results)])
    check_finite(values, loaded, dataset, genes)
    layers = network.config.layers
    return values, np.concatenate([np.zeros((0, layers)), *(rows for _, rows in results)]) if attention else np.zeros(0)


def _run(
    network: EPInformer, batch: Batch, embeddings: Embeddings | None, attention: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (G,), and the promoters' attention to each element (pairs, layers) where asked for."""
    output = network(batch, embeddings)
    flat = np.zeros((0, 0))
    if attention:
        is_pair = batch.row_slot > 0
        mean = output.attention.mean(2)
        flat = mean[:, batch.row_gene[is_pair], batch.row_slot[is_pair]].T.cpu().numpy()
    return output.prediction.cpu().numpy(), flat


def _observed(dataset: Dataset, target: str | None, column: str | None) -> np.ndarray:
    """Observed expression of all genes of the dataset; missing where there is none to compare with."""
    available = [str(name) for name in dataset.genes if str(name).startswith("expression_")]
    chosen = column or target
    if chosen in available:
        return dataset.genes[chosen].to_numpy(dtype=np.float64)
    if column is not None:
        raise DatasetError(
            f"has no column '{column}' among its genes",
            source=dataset.path,
            fix=f"It has: {', '.join(available) or 'no expression'}",
        )
    hint = f"; name another with --observed: {', '.join(available)}" if available else ""
    logger.warning("the dataset holds no %s to compare with, so observed stays empty%s", target or "target", hint)
    return np.full(dataset.n_genes, np.nan)


def _table(
    dataset: Dataset,
    genes: np.ndarray,
    predicted: np.ndarray,
    observed: np.ndarray,
    provenance: pd.DataFrame,
) -> pd.DataFrame:
    rows = dataset.genes.iloc[genes].reset_index(drop=True)
    table = rows[["gene_id", "chrom", "tss", "strand"]].copy()
    table["fold"] = provenance["fold"]
    table["observed"] = observed[genes]
    known = np.isfinite(predicted).sum(0)
    table["predicted"] = np.nansum(predicted, 0) / known
    table["gene_name"] = rows["gene_name"]
    table["elements"] = np.diff(dataset.pair_offsets)[genes]
    table["held_out"] = provenance["held_out"]
    if len(predicted) > 1:
        deviations = np.nansum((predicted - table["predicted"].to_numpy()) ** 2, 0)
        table["predicted_sd"] = np.sqrt(
            np.divide(deviations, known - 1, where=known > 1, out=np.full(len(known), np.nan))
        )
        for number, values in enumerate(predicted, start=1):
            table[f"predicted_{number}"] = values
    return table


def _on_all_pairs(dataset: Dataset, genes: np.ndarray, mask: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Attention (pairs of all genes, layers) with NaN for the pairs of genes that the model did not predict."""
    of_genes = np.repeat(mask, np.diff(dataset.pair_offsets)[genes])
    spread = np.full((len(of_genes), rows.shape[1]), np.nan)
    spread[of_genes] = rows
    return spread


def _attention_table(dataset: Dataset, genes: np.ndarray, attentions: list[np.ndarray]) -> pd.DataFrame:
    pairs = dataset.pairs[dataset.pairs["gene_index"].isin(genes)]
    elements = dataset.elements.iloc[pairs["element_index"].to_numpy()]
    columns = {
        "gene_id": dataset.genes["gene_id"].to_numpy()[pairs["gene_index"].to_numpy()],
        **{name: elements[name].to_numpy() for name in ("element_id", "chrom", "start", "end")},
        "distance": pairs["distance"].to_numpy(),
    }
    mean = np.nansum(attentions, axis=0) / np.isfinite(attentions).sum(0)
    columns |= {f"attention_layer{layer + 1}": mean[:, layer] for layer in range(mean.shape[1])}
    return pd.DataFrame(columns)
