"""From settings and a dataset to what is trained: target, folds, network."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from epinformer.config import Settings
from epinformer.dataset.batch import missing_features
from epinformer.dataset.features import Feature
from epinformer.dataset.folds import Fold, bare_names, check_folds, chromosome_folds, paper_folds
from epinformer.dataset.store import Dataset
from epinformer.errors import ConfigError, DatasetError
from epinformer.model.config import ModelConfig, published_config
from epinformer.training.settings import FeatureConfig, NetworkConfig
from epinformer.yamlfile import read_yaml, validated

logger = logging.getLogger(__name__)


# YAML reads 22 as a number.
_Name = Annotated[str, Field(coerce_numbers_to_str=True)]


class _FoldConfig(Settings):
    test: tuple[_Name, ...]
    validation: tuple[_Name, ...]


class _FoldsFile(Settings):
    folds: dict[_Name, _FoldConfig]


def resolve_target(dataset: Dataset, target: str | None) -> str:
    """The column that is learned: the one named, or the only expression that the dataset has.

    Raises
    ------
    DatasetError
        There is no such column, or none, or several and none is named.
    """
    available = [str(name) for name in dataset.genes if str(name).startswith("expression_")]
    if target is not None and target in available:
        return target
    listed = ", ".join(available) or "no expression"
    if target is not None:
        raise DatasetError(
            f"has no expression '{target}' among its genes", source=dataset.path, fix=f"It has: {listed}"
        )
    if len(available) != 1:
        what = f"several expressions ({listed})" if available else "no expression to learn from"
        fix = f"Name one, as in --set target={available[0]}" if available else "Prepare it with `expression:`"
        raise DatasetError(f"has {what}", source=dataset.path, fix=fix)
    return available[0]


def resolve_folds(folds: str, dataset: Dataset) -> tuple[Fold, ...]:
    """The folds of a setting: ``paper``, ``chromosomes`` or a YAML file.

    A file looks like ``folds: {a: {test: [chr1], validation: [chr2]}, ...}``; names with and without ``chr`` are the
    same, and every chromosome that a fold does not name is learned from.

    Raises
    ------
    ConfigError
        The file cannot be read, or its folds cannot be meant (`epinformer.dataset.folds.check_folds`).
    """
    if folds == "paper":
        return paper_folds()
    if folds == "chromosomes":
        return chromosome_folds(dataset.genes["chrom"])
    path = Path(folds)
    content = read_yaml(path, _FoldsFile, "Write `folds: {a: {test: [chr1], validation: [chr2]}}`")
    made = tuple(Fold(name, _chroms(fold.test), _chroms(fold.validation)) for name, fold in content.folds.items())
    check_folds(made, str(path))
    return made


def choose_folds(folds: Sequence[Fold], names: Iterable[str] | None) -> list[Fold]:
    """The folds of these names, in the folds' order; all for None.

    Raises
    ------
    ConfigError
        There is no such fold.
    """
    if names is None:
        return list(folds)
    wanted = list(names)
    known = [fold.name for fold in folds]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        problem = f"there is no fold {unknown[0]}" if unknown else "no fold is named"
        raise ConfigError(problem, fix=f"There are {', '.join(known)}")
    return [fold for fold in folds if fold.name in wanted]


def genes_to_use(
    dataset: Dataset, folds: Sequence[Fold], target: str, *, in_no_fold: Literal["error", "drop", "train"]
) -> np.ndarray:
    """Numbers (n,) int64 of the genes that have the target and lie on a chromosome that the folds know what to do with.

    Parameters
    ----------
    in_no_fold
        What happens to genes on chromosomes that no fold tests or validates on: ``train`` learns from them in every
        fold.

    Raises
    ------
    DatasetError
        There are such genes and ``in_no_fold`` is ``error``; no gene has the target, or it is the same for all genes.
    """
    values = dataset.genes[target].to_numpy(np.float64, na_value=np.nan)
    labelled = np.isfinite(values)
    if not labelled.any():
        raise DatasetError(f"has no value of {target} for any gene", source=dataset.path, fix="Name another target")
    if not labelled.all():
        logger.info("%s genes without %s are left out", f"{(~labelled).sum():,}", target)
    named = frozenset[str]().union(*(fold.test | fold.validation for fold in folds))
    lost = labelled & ~bare_names(dataset.genes["chrom"]).isin(named).to_numpy()
    if lost.any():
        first = dataset.genes.iloc[int(lost.argmax())]
        example = f"{first['gene_id']} on {first['chrom']}"
        if in_no_fold == "error":
            raise DatasetError(
                "has genes on chromosomes that are in no fold",
                source=dataset.path,
                count=int(lost.sum()),
                first=example,
                fix="Leave them out with --set genes_in_no_fold=drop, learn from them in every fold with "
                "--set genes_in_no_fold=train, or give folds that name their chromosomes",
            )
        done = "left out" if in_no_fold == "drop" else "learned from in every fold"
        logger.info("%s genes on chromosomes that are in no fold (%s) are %s", f"{lost.sum():,}", example, done)
    used: np.ndarray = np.flatnonzero(labelled & ~lost if in_no_fold == "drop" else labelled)
    if not len(used):
        raise DatasetError(
            f"has no gene with {target} on a chromosome of the folds",
            source=dataset.path,
            first=f"{dataset.genes['chrom'].iloc[0]} is a chromosome of the genes",
            fix="Give folds that name these chromosomes, as in --set folds=chromosomes",
        )
    if np.ptp(values[used]) == 0:
        raise DatasetError(
            f"{target} is {values[used[0]]:g} for all {len(used):,} genes, and there is nothing to learn",
            source=dataset.path,
            fix="Check the expression table and its column",
        )
    return used


def resolve_network(settings: NetworkConfig, dataset: Dataset, *, preset: str, target: str) -> ModelConfig:
    """The network of the settings for this dataset's columns.

    Raises
    ------
    DatasetError
        The dataset lacks sequence or a column that is neither optional nor a pattern.
    ConfigError
        The network would have nothing to read.
    """
    sequence = settings.sequence
    if sequence == "auto":
        sequence = "bases" if dataset.has_sequence else "none"
        if sequence == "none":
            logger.info("%s has no sequence: training on its signals alone", dataset.path)
    if sequence == "bases" and not dataset.has_sequence:
        raise DatasetError(
            "has no sequence, which the network is to read",
            source=dataset.path,
            fix="Prepare it with `genome:`, or train on signals alone with --set network.sequence=none",
        )
    shape = {name: getattr(settings, name) for name in _SHAPE}
    if settings.variant is not None:
        base = published_config(settings.variant, target)
    else:
        of_pairs = [*dataset.pairs.columns, *dataset.elements.columns]
        base = ModelConfig(
            elements=settings.elements,
            pair_features=_features(settings.pair_features, of_pairs, dataset, "pairs or elements"),
            gene_features=_features(settings.gene_features, list(dataset.genes.columns), dataset, "genes"),
            limits=settings.limits,
            target=target,
        )
    if sequence == "none" and not base.elements and not base.gene_features:
        raise ConfigError("network: has no sequence, no elements and no gene features to read", fix="Give it some")
    network = validated(base.model_dump() | shape | {"preset": preset, "sequence": sequence}, ModelConfig, "network")
    lacking = missing_features(dataset, network.pair_features, network.gene_features)
    if lacking:
        raise DatasetError(
            f"lacks what the network ({network.variant or preset}) reads",
            source=dataset.path,
            count=len(lacking),
            first=lacking[0],
            fix="Prepare the dataset with it, or train another variant",
        )
    return network


_SHAPE = ("standardise", "promoter_input", "width", "heads", "layers", "feedforward", "hidden")


def _features(
    wanted: Sequence[FeatureConfig], columns: Sequence[str], dataset: Dataset, table: str
) -> tuple[Feature, ...]:
    """Features with patterns replaced by the columns that match them, in alphabetical order, each column once."""
    found: list[Feature] = []
    for feature in wanted:
        if "*" in feature.column:
            matches = sorted(fnmatch.filter(columns, feature.column))
        elif feature.column in columns:
            matches = [feature.column]
        elif feature.optional:
            matches = []
        else:
            raise DatasetError(
                f"lacks the feature '{feature.column}' among its {table}",
                source=dataset.path,
                fix="Prepare the dataset with it, or leave it out of the network's features",
            )
        new = [Feature(column, feature.transform) for column in matches]
        found += [feature for feature in new if feature not in found]
    return tuple(found)


def _chroms(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.removeprefix("chr") for name in names)
