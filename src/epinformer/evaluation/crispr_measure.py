"""Average precision and precision at 70 % recall of scores of tested pairs, with gene-bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.evaluation.bootstrap import Interval, bootstrap, percentile_interval
from epinformer.evaluation.precision_recall import average_precision, precision_at_recall

METRICS = {"average_precision": average_precision, "precision_at_70_recall": precision_at_recall}
"""The metrics by name: labels (n,), scores (n,), weights (b, n) to values (b,)."""


class Measured(NamedTuple):
    """The metrics of one score by name, their 95 % intervals (None where undefined), and the pairs without a score."""

    values: dict[str, float | None]
    intervals: dict[str, Interval | None]
    missing: int


class Difference(NamedTuple):
    """One score minus another on the same pairs: each metric, and its 95 % interval from the same draws."""

    values: dict[str, float | None]
    intervals: dict[str, Interval | None]


class Stratum(NamedTuple):
    """All scores on some pairs.

    Attributes
    ----------
    pairs, regulated, genes
        How many pairs, how many of them regulated, and of how many genes.
    genes_regulated
        Genes with a regulated pair.
    scores
        By name.
    differences
        First minus second, by both names, of all combinations in the order of the scores.
    """

    pairs: int
    regulated: int
    genes: int
    genes_regulated: int
    scores: dict[str, Measured]
    differences: dict[tuple[str, str], Difference]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "pairs": self.pairs,
            "regulated": self.regulated,
            "genes": self.genes,
            "genes_with_regulated": self.genes_regulated,
            "scores": {
                name: {**each.values, "interval_95": _pairs(each.intervals), "missing": each.missing}
                for name, each in self.scores.items()
            },
            "differences": [
                {"first": first, "second": second, **each.values, "interval_95": _pairs(each.intervals)}
                for (first, second), each in self.differences.items()
            ],
        }


def measure_scores(
    scores: pd.DataFrame,
    regulated: NDArray[np.bool_],
    genes: pd.Series,
    *,
    bootstraps: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Stratum:
    """Every metric of every score, with intervals, and of all differences.

    Parameters
    ----------
    scores
        A row a pair, a column a score: higher is likelier, NaN is below all.
    regulated
        The labels, (n,).
    genes
        The gene of each pair, (n,): genes are drawn whole, as the pairs of one share its expression and its elements.
    bootstraps, seed, progress
        As in `evaluation.bootstrap.bootstrap`.
    """
    names = [str(name) for name in scores]
    columns = [scores[name].to_numpy(np.float64) for name in scores]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        values = [metric(regulated, column, weights) for column in columns for metric in METRICS.values()]
        return np.stack(values, axis=1)

    shape = (len(names), len(METRICS))
    whole = statistic(np.ones((1, len(regulated)))).reshape(shape)
    draws = None
    if regulated.any() and genes.nunique() > 1:
        draws = bootstrap(genes.to_numpy(dtype=str), statistic, bootstraps=bootstraps, seed=seed, progress=progress)
        draws = draws.reshape(-1, *shape)
    measured = {
        name: Measured(_named(whole[row]), _intervals(draws, row), int(np.isnan(columns[row]).sum()))
        for row, name in enumerate(names)
    }
    differences = {
        (names[a], names[b]): Difference(_named(whole[a] - whole[b]), _intervals(draws, a, b))
        for a, b in combinations(range(len(names)), 2)
    }
    with_regulated = genes[regulated].nunique()
    return Stratum(len(regulated), int(regulated.sum()), genes.nunique(), with_regulated, measured, differences)


def _named(values: NDArray[np.float64]) -> dict[str, float | None]:
    return {name: float(value) if np.isfinite(value) else None for name, value in zip(METRICS, values, strict=True)}


def _intervals(draws: NDArray[np.float64] | None, score: int, minus: int | None = None) -> dict[str, Interval | None]:
    """The interval of each metric of a score, or of its difference to another; draws of (b, scores, metrics)."""
    if draws is None:
        return dict.fromkeys(METRICS)
    values = draws[:, score] if minus is None else draws[:, score] - draws[:, minus]
    return {name: percentile_interval(values[:, column]) for column, name in enumerate(METRICS)}


def _pairs(intervals: Mapping[str, Interval | None]) -> dict[str, list[float] | None]:
    return {name: None if pair is None else list(pair) for name, pair in intervals.items()}
