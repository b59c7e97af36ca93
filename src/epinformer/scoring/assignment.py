"""Which of several models scores which gene of a dataset, with which pairs, and where it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from epinformer.dataset.folds import test_fold
from epinformer.dataset.limits import limited
from epinformer.dataset.store import Dataset
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.hardware import Precision, arithmetic, named_device
from epinformer.scoring.checks import check_fit, common_limits, common_target
from epinformer.scoring.held_out import by_held_out, held_out_genes, truly_held_out
from epinformer.scoring.selection import gene_indices


class Assignment(NamedTuple):
    """The genes asked for, and who scores them.

    Attributes
    ----------
    models
        All of one target.
    dataset
        With only the pairs that the models look at.
    genes
        (g,) int64: the genes asked for, by their number in the dataset, ascending.
    masks
        Of each model, (g,) bool: whether it scores the gene.
    held_out
        Of each model, (g,) bool: whether it had held out the gene's chromosome; None if it does not say.
    target
        What the models predict, if they say.
    device, dtype
        Where, and with which type the sequence encoder computes.
    """

    models: Sequence[LoadedModel]
    dataset: Dataset
    genes: np.ndarray
    masks: list[np.ndarray]
    held_out: list[np.ndarray | None]
    target: str | None
    device: torch.device
    dtype: torch.dtype

    def provenance(self) -> pd.DataFrame:
        """For each gene (g rows): fold, models, held_out.

        ``fold`` is the one that tests the gene's chromosome, by the models or else the paper's; ``models`` counts
        those that score the gene; ``held_out`` says whether they had held out its chromosome, and is missing where
        they do not say.
        """
        fold = np.asarray(test_fold(self.dataset.genes["chrom"].iloc[self.genes]), dtype=object)
        for model, held in zip(self.models, self.held_out, strict=True):
            if held is not None and model.info.fold is not None:
                fold[held] = model.info.fold.name
        return pd.DataFrame(
            {
                "fold": pd.array(fold, dtype="str"),
                "models": np.sum(self.masks, axis=0),
                "held_out": truly_held_out(self.masks, self.held_out),
            }
        )


def assigned(
    models: Sequence[LoadedModel],
    dataset: Dataset,
    genes: Sequence[str] | None,
    *,
    device: str,
    precision: Precision,
    allow_leakage: bool,
) -> Assignment:
    """Check models against a dataset, and say who scores which gene: the models that held out its chromosome.

    Parameters
    ----------
    models, dataset
        As `epinformer.scoring.predict.predict` takes them.
    genes
        Ids or unambiguous names; None for all.
    device, precision, allow_leakage
        As in `epinformer.scoring.predict.predict`.

    Raises
    ------
    LeakageError
        No model held out the chromosomes of some of these genes, and ``allow_leakage`` is false.
    ModelError
        No expression model, or models with different targets or limits.
    DatasetError
        Another assembly than the model's, or a feature that is missing.
    InputError
        Genes that the dataset lacks.
    """
    target = common_target(models)
    for model in models:
        check_fit(model, dataset)
    dataset = limited(dataset, common_limits(models))
    indices = gene_indices(dataset, genes)
    place = named_device(device)
    dtype = arithmetic(precision, place)
    held_out = held_out_genes(models, dataset, indices)
    chosen = dataset.genes.iloc[indices]
    masks = by_held_out(held_out, models, list(chosen["gene_id"]), list(chosen["chrom"]), allow_leakage=allow_leakage)
    return Assignment(models, dataset, indices, masks, held_out, target, place, dtype)
