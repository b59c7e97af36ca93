"""Whether models and a dataset belong together, and whether what comes out can be trusted."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from epinformer.dataset.batch import missing_features
from epinformer.dataset.store import SEQUENCE_LENGTH, Dataset
from epinformer.errors import DatasetError, ModelError
from epinformer.model.checkpoint import LoadedModel

logger = logging.getLogger(__name__)

# Two names for one sequence of the chromosomes.
_ASSEMBLIES = {"grch38": "hg38", "grch37": "hg19", "grcm38": "mm10", "grcm39": "mm39"}


def common_target(models: Sequence[LoadedModel]) -> str | None:
    """The one target of all models.

    Raises
    ------
    ModelError
        There is no model, or they predict different things.
    """
    if not models:
        raise ModelError("no model was given")
    targets = {model.info.config.target for model in models}
    if len(targets) > 1:
        names = ", ".join(sorted(str(target) for target in targets))
        raise ModelError(
            f"the models predict different targets ({names}), whose mean has no meaning",
            source=models[0].path,
            fix="Give models of one target",
        )
    return targets.pop()


def check_fit(loaded: LoadedModel, dataset: Dataset) -> None:
    """Refuse a model that cannot read this dataset.

    Raises
    ------
    ModelError
        It predicts no expression.
    DatasetError
        The assemblies differ, or the dataset has no sequence or lacks features; all are named.
    """
    config = loaded.info.config
    if config.kind != "expression":
        raise ModelError(
            "is an enhancer-activity model and predicts no expression",
            source=loaded.path,
            fix="Give an expression model",
        )
    assembly = loaded.info.assembly
    if assembly is not None and _canonical(assembly) != _canonical(dataset.manifest.assembly):
        raise DatasetError(
            f"is of assembly {dataset.manifest.assembly}, but the model was trained on {assembly}",
            source=dataset.path,
            fix="Prepare the dataset from files of the model's assembly",
        )
    if not dataset.has_sequence:
        raise DatasetError(
            "has no sequence, which the model needs", source=dataset.path, fix="Prepare it with `genome:`"
        )
    if config.sequence_length != SEQUENCE_LENGTH:
        raise ModelError(
            f"reads windows of {config.sequence_length:,} bp, but datasets hold {SEQUENCE_LENGTH:,}",
            source=loaded.path,
            fix=f"Use a model with a sequence_length of {SEQUENCE_LENGTH:,}",
        )
    lacking = missing_features(dataset, config.pair_features, config.gene_features)
    if lacking:
        names = ", ".join(f"'{name}'" for name in lacking)
        raise DatasetError(
            f"lacks what the model ({config.variant or config.preset}) needs: {names}",
            source=dataset.path,
            fix="Prepare the dataset with it, or use a model that does without",
        )


def check_finite(predicted: np.ndarray, loaded: LoadedModel, dataset: Dataset, genes: np.ndarray) -> None:
    """Refuse predictions (G,) of these genes, numbered as in the dataset, that are not finite.

    Raises
    ------
    ModelError
        Some are infinite or NaN.
    """
    wrong = ~np.isfinite(predicted)
    if wrong.any():
        raise ModelError(
            "gives predictions that are not finite",
            source=loaded.path,
            count=int(wrong.sum()),
            first=dataset.genes["gene_id"].iloc[genes[int(np.flatnonzero(wrong)[0])]],
            fix="Look for extreme signals in the dataset with `epinformer inspect`",
        )


def warn_if_seen(loaded: LoadedModel, dataset: Dataset, genes: np.ndarray) -> None:
    """Say so when a model predicts genes of chromosomes that it has learned from."""
    fold = loaded.info.fold
    if fold is None:
        logger.info("%s does not say which chromosomes it was trained on", loaded.path)
        return
    chroms = dataset.genes["chrom"].iloc[genes].astype(str).str.removeprefix("chr")
    seen = int((~chroms.isin(fold.test)).sum())
    if seen:
        logger.warning(
            "%s was trained or validated on the chromosomes of %s of these %s genes; "
            "their predictions are no held-out ones (it tests on %s)",
            loaded.path,
            f"{seen:,}",
            f"{len(genes):,}",
            ", ".join(fold.test),
        )


def _canonical(assembly: str) -> str:
    return _ASSEMBLIES.get(assembly.lower(), assembly.lower())
