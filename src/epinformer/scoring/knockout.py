"""Knock-outs: what models predict for a gene when elements are removed, trimmed or silenced."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from epinformer.dataset.store import Dataset
from epinformer.errors import InputError
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.epinformer import EPInformer
from epinformer.model.hardware import Precision
from epinformer.ragged import ranges
from epinformer.scoring.assignment import Assignment, assigned
from epinformer.scoring.changes import Changes, predict_changes
from epinformer.scoring.checks import check_finite, require_elements
from epinformer.scoring.knockout_plan import KnockoutPlan, each_alone, named_together, within_regions
from epinformer.scoring.network import embed, evaluating, gene_batch, in_parts, later, needed_sequences, part_of
from epinformer.scoring.replacement import Silence

logger = logging.getLogger(__name__)

_LOG2_10 = math.log2(10)


class _Predicted(NamedTuple):
    """Predictions of the genes with all elements (g,), and of the knock-outs (K,)."""

    before: np.ndarray
    after: np.ndarray


def knockout(
    models: Sequence[LoadedModel],
    dataset: Dataset,
    *,
    genes: Sequence[str] | None = None,
    elements: Sequence[str] | None = None,
    regions: pd.DataFrame | None = None,
    silence: Silence | None = None,
    log10_sd: float | None = None,
    device: str = "auto",
    precision: Precision = "32",
    allow_leakage: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Predict expression with and without elements.

    Every sequence is embedded once, and a knock-out is another choice among the rows of a gene. By default each
    element that the models look at is removed alone.

    Parameters
    ----------
    models
        Expression models that look at elements, with the same target and limits; each gene is predicted by those that
        held out its chromosome.
    dataset
        With the features that the models read, and with sequence if they read it.
    genes
        Ids (or unambiguous names); all by default.
    elements
        Ids of elements that are removed together, of each gene those that it has.
    regions
        chrom, start, end, name (`inputs.named_regions.read_named_regions`): what of a gene's elements they cover is
        removed, one name at a time. An element that is covered in part is trimmed
        (`epinformer.scoring.replacement.cut_element`); the pair's contact stays as it is. Promoters are left as they
        are.
    silence
        Silence the elements in place of removing or trimming them (whole, if a region covers a part).
    log10_sd
        Standard deviation, in log10 units, by which the models' target was divided; 1 if it is a log10 itself. By
        default 1 where the dataset's configuration says that the target is a log10, and else unknown.
    device, precision, allow_leakage, progress
        As in `epinformer.scoring.predict.predict`; progress is in sequences and knock-outs over all models.

    Returns
    -------
    DataFrame
        A row a gene and knock-out: gene_id, gene_name, chrom, tss, strand; knockout (the element's id, ids joined by
        ``;``, or the region's name), start, end (of all that is changed, or of the regions), distance (bp, of the
        nearest changed element), elements (how many change), change (``removed``, ``trimmed``, ``removed and trimmed``
        or ``silenced``); before, after, difference (after - before, in the unit of the target; means over the models),
        log2_fold_change (difference x log10_sd x log2(10), missing where that is unknown); fold, models and held_out
        as in `Assignment.provenance`.

    Raises
    ------
    LeakageError, ModelError, DatasetError
        As `epinformer.scoring.predict.predict`; also models without elements.
    InputError
        Genes or elements that the dataset lacks; regions, elements or genes that change nothing.
    """
    if elements is not None and regions is not None:
        raise InputError("elements and regions are both given", fix="Give one of them")
    if log10_sd is not None and not (log10_sd > 0 and math.isfinite(log10_sd)):
        raise InputError(f"{log10_sd} is no standard deviation", fix="Give a number above 0")
    require_elements(models, "has no elements to knock out", "Use a model of another variant")
    plan = assigned(models, dataset, genes, device=device, precision=precision, allow_leakage=allow_leakage)
    if elements is not None:
        wanted = named_together(plan.dataset, plan.genes, elements, silence)
    elif regions is not None:
        wanted = within_regions(plan.dataset, plan.genes, regions, silence)
    else:
        wanted = each_alone(plan.dataset, plan.genes, silence)
    per_unit = log2_per_unit(dataset, plan.target, log10_sd)
    if per_unit is None:
        logger.info(
            "log2_fold_change stays empty: nothing says that %s is a log10; --log10-sd does",
            plan.target or "the target",
        )
    before, after = _means(plan, wanted.changes, progress)
    return _table(plan, wanted, before, after, math.nan if per_unit is None else per_unit)


def log2_per_unit(dataset: Dataset, target: str | None, log10_sd: float | None) -> float | None:
    """How many doublings one unit of the target is; None where that is not known."""
    if log10_sd is not None:
        return log10_sd * _LOG2_10
    powers = dataset.manifest.log10_per_unit.get(target or "")
    return None if powers is None else powers * _LOG2_10


def _means(
    plan: Assignment, changes: Changes, progress: Callable[[int, int], None] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of each knock-out's gene as it is and with the change, means over the models that score it."""
    needed = [
        needed_sequences(plan.dataset, plan.genes[mask], model.info.config)
        for model, mask in zip(plan.models, plan.masks, strict=True)
    ]
    of_models = [changes.of(plan.genes[mask]) for mask in plan.masks]
    work = [len(sequences) + len(some.gene) for sequences, (_, some) in zip(needed, of_models, strict=True)]
    sums = np.zeros((2, len(changes.gene)))
    for number, (model, mask, (chosen, some)) in enumerate(zip(plan.models, plan.masks, of_models, strict=True)):
        told = part_of(progress, sum(work[:number]), max(sum(work), 1))
        genes = plan.genes[mask]
        predicted = _predict(model, plan, genes, needed[number], some, told)
        sums[0, chosen] += predicted.before[np.searchsorted(genes, some.gene)]
        sums[1, chosen] += predicted.after
    times = np.sum(plan.masks, axis=0)[np.searchsorted(plan.genes, changes.gene)]
    before, after = sums / times
    return before, after


def _predict(
    loaded: LoadedModel,
    plan: Assignment,
    genes: np.ndarray,
    sequences: np.ndarray,
    changes: Changes,
    progress: Callable[[int], None] | None,
) -> _Predicted:
    """What one model predicts for these genes, and for these knock-outs of them."""
    network = loaded.model
    assert isinstance(network, EPInformer)
    batch = gene_batch(network, plan.dataset, genes, sequences)
    with evaluating(network, plan.device), torch.inference_mode():
        embeddings = embed(network, plan.dataset, sequences, plan.dtype, progress)
        rows, before = [batch.pair_features.new_zeros(0, network.config.width, device=plan.device)], [np.zeros(0)]
        for part in in_parts(batch, plan.device):
            rows.append(network.rows(part, embeddings))
            before.append(network.interact(rows[-1], part)[0].cpu().numpy())
        check_finite(np.concatenate(before), loaded, plan.dataset, genes)
        others, number = _replacements(network, plan, genes, changes)
        pair_rows = np.flatnonzero(batch.row_slot.numpy() > 0)
        offsets = plan.dataset.pair_offsets
        pairs = ranges(offsets[genes], offsets[genes + 1] - offsets[genes])
        done = later(progress, len(sequences))
        after = predict_changes(
            network,
            batch.to(plan.device),
            torch.cat(rows),
            others,
            np.searchsorted(genes, changes.gene),
            changes.knockout,
            pair_rows[np.searchsorted(pairs, changes.pair)],
            number,
            done,
        )
    return _Predicted(np.concatenate(before), after)


def _replacements(
    network: EPInformer, plan: Assignment, genes: np.ndarray, changes: Changes
) -> tuple[torch.Tensor, np.ndarray]:
    """What enters the interaction of these genes' replacements (M, width), and which one each change takes, or -1."""
    width = network.config.width
    if changes.replaced is None or not (changes.replacement >= 0).any():
        return torch.zeros(0, width, device=plan.device), np.full(len(changes.pair), -1)
    replaced = changes.replaced
    offsets = replaced.pair_offsets
    pairs = ranges(offsets[genes], offsets[genes + 1] - offsets[genes])
    # The promoters, whose numbers come first, are not asked for: their rows are not used.
    sequences = needed_sequences(replaced, genes, network.config)
    sequences = sequences[sequences >= replaced.n_genes]
    batch = gene_batch(network, replaced, genes, sequences)
    embeddings = embed(network, replaced, sequences, plan.dtype, None)
    rows = [network.rows(part, embeddings)[part.row_slot > 0] for part in in_parts(batch, plan.device)]
    number = np.searchsorted(pairs, changes.replacement)
    return torch.cat(rows), np.where(changes.replacement < 0, -1, number)


def _table(
    plan: Assignment, wanted: KnockoutPlan, before: np.ndarray, after: np.ndarray, log2_per_unit: float
) -> pd.DataFrame:
    gene = wanted.changes.gene
    table = plan.dataset.genes[["gene_id", "gene_name", "chrom", "tss", "strand"]].iloc[gene].reset_index(drop=True)
    table = pd.concat([table, wanted.about], axis=1)
    table["before"], table["after"], table["difference"] = before, after, after - before
    table["log2_fold_change"] = table["difference"] * log2_per_unit
    provenance = plan.provenance().iloc[np.searchsorted(plan.genes, gene)].reset_index(drop=True)
    return pd.concat([table, provenance], axis=1)
