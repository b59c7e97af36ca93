"""Predict the expression of a dataset's genes with one model or several."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch

from epinformer.dataset.batch import Batch, sequence_codes
from epinformer.dataset.folds import test_fold
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, EpinformerError, ModelError
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.epinformer import Embeddings, EPInformer
from epinformer.scoring.checks import check_finite, check_fit, common_target, warn_if_seen
from epinformer.scoring.selection import gene_indices

logger = logging.getLogger(__name__)

Precision = Literal["32", "bf16"]

# Sequences whose codes are held at a time, and genes that pass through the interaction at a time: memory stays flat.
_CHUNK_BASES = 4_000_000
_CHUNK_GENES = 512


class Predictions(NamedTuple):
    """Predicted expression of G genes.

    Attributes
    ----------
    table
        G rows in the dataset's order: gene_id, chrom, tss, strand, fold (the paper's fold that tests the gene's
        chromosome), observed (missing where the dataset has no such column), predicted (mean over models), gene_name,
        elements (how many the model saw); with several models also predicted_sd (sample standard deviation) and
        ``predicted_<i>`` of each.
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
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Predict expression; every distinct sequence is encoded once a model.

    Parameters
    ----------
    models
        One or more expression models with the same target.
    dataset
        With sequence, and with the features that the models read.
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
    progress
        Called with (done, total), in sequences over all models.

    Raises
    ------
    ModelError
        No expression model, models with different targets, or a prediction that is not finite.
    DatasetError
        Another assembly than the model's, or a feature that is missing.
    InputError
        Genes that the dataset lacks.
    """
    target = common_target(models)
    for model in models:
        check_fit(model, dataset)
        if attention and not model.info.config.elements:
            raise ModelError(
                "looks at promoters alone and has no attention to elements",
                source=model.path,
                fix="Leave --attention out",
            )
    indices = gene_indices(dataset, genes)
    place = _device(device)
    dtype = _dtype(precision, place)

    sequences = _needed_sequences(dataset, indices, any(model.model.config.elements for model in models))
    total = len(sequences) * len(models)
    predicted = np.empty((len(models), len(indices)))
    attentions: list[np.ndarray] = []
    for number, loaded in enumerate(models):
        network = loaded.model
        assert isinstance(network, EPInformer)
        told = None if progress is None else _shifted(progress, number * len(sequences), total)
        # Before the long work, because this is where a missing value shows.
        batch = Batch.from_dataset(
            dataset,
            indices,
            pair_features=network.config.pair_features,
            gene_features=network.config.gene_features,
            elements=network.config.elements,
            sequences=sequences,
        )
        with _evaluating(network, place), torch.inference_mode():
            embeddings = _embed(network, dataset, sequences, dtype, told)
            parts = [batch.part(i, min(i + _CHUNK_GENES, len(batch))) for i in range(0, len(batch), _CHUNK_GENES)]
            results = [_run(network, part.to(place), embeddings, attention) for part in parts]
        predicted[number] = np.concatenate([values for values, _ in results])
        if attention:
            attentions.append(np.concatenate([rows for _, rows in results]))
        check_finite(predicted[number], loaded, dataset, indices)
        warn_if_seen(loaded, dataset, indices)

    table = _table(dataset, indices, predicted, _observed(dataset, target, observed))
    return Predictions(table, _attention_table(dataset, indices, attentions) if attention else None)


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if re.fullmatch(r"cpu|cuda(:\d+)?", device) is None:
        raise EpinformerError(f"there is no device '{device}'", fix="Use auto, cpu, cuda or cuda:<number>")
    place = torch.device(device)
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise EpinformerError(
            f"device '{device}' is not there: {torch.cuda.device_count()} CUDA devices are available",
            fix="Use --device cpu or auto",
        )
    return place


def _dtype(precision: Precision, device: torch.device) -> torch.dtype:
    if precision == "32":
        return torch.float32
    if device.type == "cpu" and not (
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    ):
        logger.warning("this processor has no bfloat16 instructions and would be slower with it: computing in 32 bits")
        return torch.float32
    return torch.bfloat16


def _needed_sequences(dataset: Dataset, genes: np.ndarray, elements: bool) -> np.ndarray:
    """(S,) ascending numbers of the sequences that these genes' rows show."""
    if not elements:
        return genes
    wanted = np.zeros(dataset.n_genes, dtype=bool)
    wanted[genes] = True
    rows = wanted[dataset.pairs["gene_index"].to_numpy()]
    used = np.unique(dataset.pairs["element_index"].to_numpy()[rows])
    return np.concatenate([genes, dataset.n_genes + used.astype(np.int64)])


def _embed(
    network: EPInformer,
    dataset: Dataset,
    sequences: np.ndarray,
    dtype: torch.dtype,
    progress: Callable[[int], None] | None,
) -> Embeddings:
    """Embed the numbered sequences, some millions of bases at a time."""
    place = next(network.parameters()).device
    lengths = np.diff(dataset.sequence_offsets)[sequences]
    chunk = np.cumsum(lengths) // _CHUNK_BASES
    edges = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(sequences)]
    parts = []
    for begin, end in itertools.pairwise(edges):
        codes, bases = sequence_codes(dataset, sequences[begin:end])
        told = None if progress is None else _offset(progress, begin)
        parts.append(network.embed(codes.to(place), bases.to(place), dtype=dtype, progress=told))
    return Embeddings(torch.cat([part.sequences for part in parts]), parts[-1].empty)


def _run(network: EPInformer, batch: Batch, embeddings: Embeddings, attention: bool) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (G,), and the promoters' attention to each element (pairs, layers) where asked for."""
    output = network(batch, embeddings)
    flat = np.zeros((0, 0))
    if attention:
        is_pair = batch.row_slot > 0
        mean = output.attention.mean(2)
        flat = mean[:, batch.row_gene[is_pair], batch.row_slot[is_pair]].T.cpu().numpy()
    return output.prediction.cpu().numpy(), flat


@contextmanager
def _evaluating(network: EPInformer, device: torch.device) -> Iterator[None]:
    """Put the network on ``device`` in evaluation mode with exact convolutions, and afterwards all back as it was."""
    training, home = network.training, next(network.parameters()).device
    # CUDA would otherwise round the inputs of 32-bit convolutions to ten bits (TF32).
    rounding = torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = False
        network.to(device).eval()
        yield
    except torch.OutOfMemoryError as error:
        raise EpinformerError(f"the memory of {device} is too small", fix="Use --device cpu") from error
    finally:
        torch.backends.cudnn.allow_tf32 = rounding
        network.to(home).train(training)


def _shifted(progress: Callable[[int, int], None], before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, total)


def _offset(progress: Callable[[int], None], before: int) -> Callable[[int], None]:
    return lambda done: progress(before + done)


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


def _table(dataset: Dataset, genes: np.ndarray, predicted: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    rows = dataset.genes.iloc[genes].reset_index(drop=True)
    table = rows[["gene_id", "chrom", "tss", "strand"]].copy()
    table["fold"] = test_fold(table["chrom"])
    table["observed"] = observed[genes]
    table["predicted"] = predicted.mean(0)
    table["gene_name"] = rows["gene_name"]
    table["elements"] = np.diff(dataset.pair_offsets)[genes]
    if len(predicted) > 1:
        table["predicted_sd"] = predicted.std(0, ddof=1)
        for number, values in enumerate(predicted, start=1):
            table[f"predicted_{number}"] = values
    return table


def _attention_table(dataset: Dataset, genes: np.ndarray, attentions: list[np.ndarray]) -> pd.DataFrame:
    pairs = dataset.pairs[dataset.pairs["gene_index"].isin(genes)]
    elements = dataset.elements.iloc[pairs["element_index"].to_numpy()]
    columns = {
        "gene_id": dataset.genes["gene_id"].to_numpy()[pairs["gene_index"].to_numpy()],
        **{name: elements[name].to_numpy() for name in ("element_id", "chrom", "start", "end")},
        "distance": pairs["distance"].to_numpy(),
    }
    mean = np.mean(attentions, axis=0)
    columns |= {f"attention_layer{layer + 1}": mean[:, layer] for layer in range(mean.shape[1])}
    return pd.DataFrame(columns)
