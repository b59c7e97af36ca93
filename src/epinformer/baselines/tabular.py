"""Baselines on tables: what a number, and what boosted trees, make of the signals that a model reads.

Neither sees a sequence or an order of elements. A model that reads more has to beat them, so they are made as strong as
is cheap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.dataset.store import Dataset
from epinformer.half_life import HALF_LIFE_FEATURES

BASELINES = ("promoter activity", "gradient boosting")
"""The names that `fit_predict` takes, from the one that knows least."""

_NEAR_BP = (1_000, 10_000, 25_000, 50_000, 100_000)
_PROMOTER_BP = 1_000
_NEAREST = 3
_PAIR_WEIGHTS = ("contact", "powerlaw_contact")
# Of more genes more can be learned: about 100 trees at 250 genes, 300 at 17,000. On real expression that was better
# than stopping at the lowest validation error, as the validation genes are then learned from, too.
_TREES_AT_ONE_GENE, _TREES_POWER = 26, 0.25
_FORESTS = 2
# Leaves hold at least this many genes, or a share of the genes where these are few.
_LEAF_GENES = 40
_LEAF_SHARE = 8
_SETTINGS: dict[str, dict[str, Any]] = {
    "promoter activity": {"max_leaf_nodes": 8},
    "gradient boosting": {"max_leaf_nodes": 15, "l2_regularization": 5.0, "max_features": 0.3},
}


def fit_predict(
    name: str,
    dataset: Dataset,
    target: str,
    train: NDArray[np.integer],
    validation: NDArray[np.integer],
    test: NDArray[np.integer],
    *,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Fit a baseline on some genes and predict others.

    Boosted trees fitted to the training and the validation genes alike; with many features the mean of two sets of
    them, of seeds ``2 * seed`` and ``2 * seed + 1``. One thread, so that the same input gives the same numbers whatever
    the number of cores.

    Parameters
    ----------
    name
        One of `BASELINES`: "promoter activity" is boosted trees on that one number; "gradient boosting" on all of
        `features`.
    dataset
        Where the genes, elements and pairs are.
    target
        Column of the gene table.
    train, validation
        Positions of genes whose target is known, neither empty. There is no stopping early, so both are learned from.
    test
        Positions of genes to predict; their target is not read.
    seed
        Seed of the columns that each split may use.

    Returns
    -------
    ndarray
        float64 (number of test genes,).

    Raises
    ------
    ValueError
        There is no baseline of that name, or no gene to train or to validate on.
    """
    if name not in BASELINES:
        raise ValueError(f"{name!r} is none of {', '.join(BASELINES)}")
    if not len(train) or not len(validation):
        raise ValueError("a baseline needs genes to train and to validate on")
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    table = promoter_activity(dataset) if name == "promoter activity" else features(dataset)
    x = table.to_numpy(np.float64)
    y = _floats(dataset.genes[target])
    known = np.concatenate([train, validation])
    # The trees' library cannot cut a column without values.
    filled = np.isfinite(x[known]).any(axis=0)
    x = x[:, filled] if filled.any() else np.zeros((len(x), 1))
    predicted = np.zeros(len(test))
    if not len(test):
        return predicted
    # Without a choice of columns every seed grows the same trees.
    forests = _FORESTS if "max_features" in _SETTINGS[name] else 1
    with threadpool_limits(1):
        for forest in range(forests):
            trees = HistGradientBoostingRegressor(
                **_SETTINGS[name],
                learning_rate=0.05,
                max_iter=round(_TREES_AT_ONE_GENE * len(known) ** _TREES_POWER),
                min_samples_leaf=min(_LEAF_GENES, max(1, len(known) // _LEAF_SHARE)),
                early_stopping=False,
                random_state=_FORESTS * seed + forest,
            ).fit(x[known], y[known])
            predicted += trees.predict(x[test]) / forests
    return predicted


def promoter_activity(dataset: Dataset) -> pd.DataFrame:
    """One column, (n_genes,): ``promoter_activity``, or the first promoter signal, or 0 for all if there is none."""
    signals = _promoter_signals(dataset)
    number = _floats(dataset.genes[signals[0]]) if signals else np.zeros(dataset.n_genes)
    return pd.DataFrame({"promoter activity": number})


def features(dataset: Dataset) -> pd.DataFrame:
    """What boosted trees are given of each gene: whatever the dataset has of the following.

    Promoter signals and half-life features as they are; numbers of elements by distance; of every signal of elements
    the sum, the sum and largest product with each kind of contact, the sum without elements at the promoter, and its
    value in the nearest elements with their signed distance; sum and largest ABC score of others than its own promoter.

    Returns
    -------
    DataFrame
        float64, (n_genes, number of features); NaN where a gene has no such element.
    """
    genes, elements, pairs = dataset.genes, dataset.elements, dataset.pairs
    gene, element = pairs["gene_index"].to_numpy(), pairs["element_index"].to_numpy()
    away = np.abs(pairs["distance"].to_numpy(np.int64))
    known = [*_promoter_signals(dataset), *(name for name in HALF_LIFE_FEATURES if name in genes)]
    columns = {name: _floats(genes[name]) for name in known}

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        added: NDArray[np.float64] = np.bincount(gene, np.nan_to_num(values), dataset.n_genes).astype(np.float64)
        return added

    def largest(values: NDArray[np.float64]) -> NDArray[np.float64]:
        most = np.full(dataset.n_genes, np.nan)
        np.fmax.at(most, gene, values)
        return most

    for reach in _NEAR_BP:
        columns[f"elements within {reach} bp"] = total((away <= reach).astype(np.float64))
    signals = {
        name: _floats(elements[name])[element]
        for name in map(str, elements)
        if name == "activity" or name.endswith("_rpm")
    }
    contacts = {name: _floats(pairs[name]) for name in _PAIR_WEIGHTS if name in pairs}
    for name, signal in signals.items():
        columns[f"sum of {name}"] = total(signal)
        for contact, weight in contacts.items():
            product = signal * weight
            columns[f"sum of {name} x {contact}"] = total(product)
            columns[f"largest {name} x {contact}"] = largest(product)
            columns[f"sum of {name} x {contact} beyond the promoter"] = total(product * (away > _PROMOTER_BP))
    if "abc_score" in pairs:
        score = _floats(pairs["abc_score"])
        if "self_promoter" in pairs:
            # These are 1 by definition.
            score = np.where(pairs["self_promoter"].to_numpy(bool), np.nan, score)
        columns |= {"sum of abc_score": total(score), "largest abc_score": largest(score)}
    # Pairs are sorted by distance within a gene.
    counts = np.diff(dataset.pair_offsets)
    for rank in range(_NEAREST):
        having = np.flatnonzero(counts > rank)
        row = dataset.pair_offsets[having] + rank
        for name, values in {"distance": _floats(pairs["distance"]), **signals}.items():
            column = np.full(dataset.n_genes, np.nan)
            column[having] = values[row]
            columns[f"{name} of nearest element {rank + 1}"] = column
    return pd.DataFrame(columns)


def _promoter_signals(dataset: Dataset) -> list[str]:
    """The columns of promoter signals, activity first."""
    names = [name for name in map(str, dataset.genes) if name.startswith("promoter_") and name.endswith("_rpm")]
    return ["promoter_activity", *names] if "promoter_activity" in dataset.genes else names


def _floats(column: pd.Series) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values
