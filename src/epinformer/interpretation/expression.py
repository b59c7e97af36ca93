"""Explain the expression that models predict for a gene, by the sequence of one of its elements or its promoter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from epinformer.bases import NO_BASE
from epinformer.dataset.limits import limited
from epinformer.dataset.store import Dataset
from epinformer.interpretation.attribution_file import Explained
from epinformer.interpretation.deeplift import sequence_deeplift
from epinformer.interpretation.explained import (
    Scores,
    Settings,
    mean_scores,
    of_mutants,
    references_of,
    table_of,
)
from epinformer.interpretation.gene_row import GeneRow
from epinformer.interpretation.mutagenesis import hypothetical, sequence_mutants
from epinformer.interpretation.targets import Targets
from epinformer.interpretation.tiling import left_aligned
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.epinformer import EPInformer
from epinformer.scoring.assignment import Assignment, assigned
from epinformer.scoring.checks import common_limits, require_elements
from epinformer.scoring.network import evaluating


def expression_dataset(models: Sequence[LoadedModel], dataset: Dataset) -> Dataset:
    """The dataset with only the pairs that expression models look at, from which their targets are chosen."""
    return limited(dataset, common_limits(models))


def explain_expression(
    models: Sequence[LoadedModel],
    dataset: Dataset,
    targets: Targets,
    settings: Settings,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Explained]:
    """Explain a gene's predicted expression with respect to the sequence of an element or of its promoter.

    Signals, distance and contact stay as they are. The interaction's attention and LayerNorm have no exact DeepLIFT
    rule. ``ism`` needs none. With ``deeplift`` everything after the sequence's embedding counts as one layer, whose
    multipliers are its gradient averaged along the way from the reference's embedding (integrated gradients).

    Parameters
    ----------
    models
        Expression models; scores are means over those that held out the gene's chromosome.
    dataset
        As `expression_dataset` gives it.
    targets
        Rows with a gene, and a pair or the gene's promoter.
    settings, progress
        As in `epinformer.interpretation.activity.explain_activity`.

    Returns
    -------
    Iterator of Explained
        A target at a time, in their order; without tiles.

    Raises
    ------
    LeakageError, ModelError, DatasetError
        As `epinformer.scoring.predict.predict`; also elements of models that look at promoters alone.
    """
    if (targets.table["pair"] >= 0).any():
        require_elements(models, "has no elements to explain", "Explain promoters, or use a model of another variant")
    genes = dataset.genes["gene_id"].iloc[np.unique(targets.table["gene_index"])].tolist()
    plan = assigned(
        models,
        dataset,
        genes,
        device=settings.device,
        precision=settings.precision,
        allow_leakage=settings.allow_leakage,
    )
    return _each(plan, targets, settings, progress)


def _each(
    plan: Assignment, targets: Targets, settings: Settings, progress: Callable[[int, int], None] | None
) -> Iterator[Explained]:
    held_out = plan.provenance()["held_out"].array
    genes, pairs, starts = (targets.table[name].to_numpy(np.int64) for name in ("gene_index", "pair", "start"))
    chroms = targets.table["chrom"].to_numpy()
    for row, (gene, pair) in enumerate(zip(genes.tolist(), pairs.tolist(), strict=True)):
        codes = targets.read(row)
        here = slice(row, row + 1)
        references = None
        if settings.method == "deeplift":
            references = references_of(codes[None], chroms[here], starts[here], settings)[0]
        place = int(np.searchsorted(plan.genes, gene))
        chosen = [model for model, mask in zip(plan.models, plan.masks, strict=True) if mask[place]]
        scores = mean_scores([_scores(loaded, plan, gene, pair, codes, references) for loaded in chosen], chosen)
        # A promoter at a chromosome's end holds no base beyond it.
        begin = starts[here] + int((codes != NO_BASE).argmax())
        aligned = left_aligned(codes[None], scores.hypothetical)
        end = begin + int((aligned[0] != NO_BASE).sum())
        own = held_out[place : place + 1]
        table = table_of(targets, np.array([row]), begin, end, scores, len(chosen), own)
        yield Explained(table, *aligned, _no_tiles())
        if progress is not None:
            progress(row + 1, len(genes))


def _scores(
    loaded: LoadedModel, plan: Assignment, gene: int, pair: int, codes: np.ndarray, references: np.ndarray | None
) -> Scores:
    """What one model says of one sequence (bases,)."""
    network = loaded.model
    assert isinstance(network, EPInformer)
    with evaluating(network, plan.device):
        rest = GeneRow(network, plan.dataset, gene, pair, dtype=plan.dtype)
        if references is not None:
            attributed = sequence_deeplift(network, codes, references, rest, device=plan.device)
            return Scores(attributed.predicted, attributed.references_mean, attributed.delta, attributed.hypothetical)
        with torch.inference_mode():
            embeddings = sequence_mutants(network, codes, device=plan.device, dtype=plan.dtype)
            predicted = rest.predict(embeddings.flatten(0, 1)).reshape(4, len(codes))
    # The base that is there has the prediction itself; where none is known, so have all four.
    own = predicted[np.minimum(codes, 3), np.arange(len(codes))]
    return of_mutants(own[:1], hypothetical(predicted[None], codes[None]))


def _no_tiles() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": pd.array([], dtype="str"),
            "chrom": pd.array([], dtype="str"),
            "start": np.zeros(0, dtype=np.int64),
            "end": np.zeros(0, dtype=np.int64),
            "prediction": np.zeros(0),
            "strongest": np.zeros(0, dtype=bool),
        }
    )
