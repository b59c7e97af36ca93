"""Whether models and a dataset belong together, and whether what comes out can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from epinformer.assemblies import same_assembly
from epinformer.dataset.batch import missing_features
from epinformer.dataset.limits import PairLimits
from epinformer.dataset.store import SEQUENCE_LENGTH, Dataset
from epinformer.errors import DatasetError, ModelError
from epinformer.model.checkpoint import LoadedModel


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


def common_limits(models: Sequence[LoadedModel]) -> PairLimits:
    """The limits of pairs that all models were trained within.

    Raises
    ------
    ModelError
        They were trained within different ones, so that one table of pairs cannot serve all.
    """
    limits = {model.info.config.limits for model in models if model.info.config.elements}
    if len(limits) > 1:
        raise ModelError(
            "the models look at different pairs of a gene",
            source=models[0].path,
            count=len(limits),
            first=next(iter(limits)),
            fix="Predict with each alone",
        )
    return limits.pop() if limits else PairLimits()


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
    if assembly is not None and not same_assembly(assembly, dataset.manifest.assembly):
        raise DatasetError(
            f"is of assembly {dataset.manifest.assembly}, but the model was trained on {assembly}",
            source=dataset.path,
            fix="Prepare the dataset from files of the model's assembly",
        )
    if config.sequence == "bases" and not dataset.has_sequence:
        raise DatasetError(
            "has no sequence, which the model needs", source=dataset.path, fix="Prepare it with `genome:`"
        )
    if config.sequence == "bases" and config.sequence_length != SEQUENCE_LENGTH:
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


def require_elements(models: Sequence[LoadedModel], lacks: str, fix: str) -> None:
    """Refuse models that look at promoters alone, which therefore ``lacks`` what is asked for.

    Raises
    ------
    ModelError
        There is such a model.
    """
    for model in models:
        if model.info.config.kind == "expression" and not model.info.config.elements:
            raise ModelError(f"looks at promoters alone and {lacks}", source=model.path, fix=fix)


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
