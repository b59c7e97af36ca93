"""Which model may be judged on which gene: only those that held out its chromosome."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from epinformer.dataset.store import Dataset
from epinformer.errors import LeakageError
from epinformer.model.checkpoint import LoadedModel

logger = logging.getLogger(__name__)


def held_out_genes(models: Sequence[LoadedModel], dataset: Dataset, genes: np.ndarray) -> list[np.ndarray | None]:
    """Say for each model and each of these genes (g,) whether the model had held out the gene's chromosome.

    As `held_out_chroms` says of the genes' chromosomes.
    """
    return held_out_chroms(models, dataset.genes["chrom"].iloc[genes])


def held_out_chroms(models: Sequence[LoadedModel], chroms: Iterable[str]) -> list[np.ndarray | None]:
    """Say for each model and each of these chromosomes (n,) whether the model had held it out.

    None for a model that does not say what it was trained on. A model whose encoder had seen what its fold holds out
    has held out nothing.
    """
    chroms = list(chroms)
    found: list[np.ndarray | None] = []
    for model in models:
        fold = model.info.fold
        if model.info.training.get("leakage"):
            logger.warning("%s was trained with --allow-leakage and has held out nothing", model.path)
            found.append(np.zeros(len(chroms), dtype=bool))
        else:
            found.append(None if fold is None else ~fold.fold().seen(chroms))
    return found


def by_held_out(
    held_out: Sequence[np.ndarray | None],
    models: Sequence[LoadedModel],
    names: Sequence[str],
    chroms: Sequence[str],
    *,
    what: str = "genes",
    choose: str = "Name the genes to predict with --genes",
    allow_leakage: bool,
) -> list[np.ndarray]:
    """Which of n genes (or other places) each model predicts: those that it held out.

    With ``allow_leakage`` also those that none did. A model that does not say what it was trained on predicts all, and
    the log says so.

    Parameters
    ----------
    held_out
        Of each model, as `held_out_chroms` says of these chromosomes.
    models
        The models.
    names, chroms
        (n,) what each is called, and where it lies.
    what, choose
        What they are, and how some of them are chosen, for messages.
    allow_leakage
        Whether what no model held out is predicted by all.

    Raises
    ------
    LeakageError
        For some there is no model that held out their chromosome, and ``allow_leakage`` is false.
    """
    everything = np.ones(len(names), dtype=bool)
    for model, held in zip(models, held_out, strict=True):
        if held is None:
            logger.warning("%s does not say which chromosomes it was trained on", model.path)
    masks = [everything if held is None else held for held in held_out]
    seen = ~np.any(masks, axis=0)
    if not seen.any():
        return masks
    if allow_leakage:
        logger.warning(
            "%s of %s %s lie on chromosomes that the models have learned from; their predictions are no held-out "
            "ones (held_out is False)",
            f"{seen.sum():,}",
            f"{len(names):,}",
            what,
        )
        return [mask | seen for mask in masks]
    first = int(seen.argmax())
    tested = sorted({chrom for model in models if model.info.fold is not None for chrom in model.info.fold.test})
    raise LeakageError(
        f"no model given held out the chromosomes of some of these {what} (tested: {', '.join(tested)})",
        source=models[0].path,
        count=int(seen.sum()),
        first=f"{names[first]} on {chroms[first]}",
        fix=f"{choose}, give the models of all folds, or pass --allow-leakage, which the result will say",
    )


def truly_held_out(masks: Sequence[np.ndarray], held_out: Sequence[np.ndarray | None]) -> pd.arrays.BooleanArray:
    """Whether the models that predict each of n things had all held it out; missing where one does not say.

    Parameters
    ----------
    masks
        Of each model, (n,) bool: whether it predicts the thing.
    held_out
        Of each model, as `held_out_chroms` says.
    """
    seen, unknown = np.zeros((2, len(masks[0])), dtype=bool)
    for mask, held in zip(masks, held_out, strict=True):
        if held is None:
            unknown |= mask
        else:
            seen |= mask & ~held
    return pd.arrays.BooleanArray(~seen, unknown & ~seen)
