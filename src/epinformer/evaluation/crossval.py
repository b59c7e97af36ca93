"""A cross-validated model against its baselines: the same genes, the same folds, the same draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from epinformer.errors import InputError
from epinformer.evaluation.bootstrap import Interval
from epinformer.evaluation.expression import (
    DEFINITIONS,
    METRICS,
    Metrics,
    check_predictions,
    draw_metrics,
    intervals_of,
    measure,
    measure_by,
    notes_on,
)

MODEL = "model"
"""What the model is called among the predictors of a fold; no baseline may have the name."""


class Score(NamedTuple):
    """Agreement of one predictor over all genes, and the 95 % interval of each metric (None where undefined)."""

    pooled: Metrics
    intervals: dict[str, Interval | None]


class Difference(NamedTuple):
    """Model minus baseline on the same genes: each metric, and its 95 % interval from the same draws."""

    n: int
    values: dict[str, float | None]
    intervals: dict[str, Interval | None]


class CrossvalEvaluation(NamedTuple):
    """What `evaluate_crossval` found.

    Attributes
    ----------
    model
        The model over all genes that have an observation, each predicted by the fold that tests it.
    baselines
        The same for each baseline, in the order given.
    differences
        Model minus baseline, by baseline.
    per_fold
        Fold to predictor (`MODEL`, then the baselines) to metrics; folds in natural order. Genes of no fold are in the
        pooled metrics only.
    genes, without_observed
        Rows of the table, and those left out because nothing was observed.
    chromosomes
        Number of chromosomes among the evaluated genes.
    bootstraps, seed
        How the intervals were drawn.
    notes
        What a reader of the numbers must know.
    predictions
        The baselines' predictions as they were given, (n,) each.
    """

    model: Score
    baselines: dict[str, Score]
    differences: dict[str, Difference]
    per_fold: dict[str, dict[str, Metrics]]
    genes: int
    without_observed: int
    chromosomes: int
    bootstraps: int
    seed: int
    notes: tuple[str, ...]
    predictions: dict[str, NDArray[np.float64]]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the predictions, ready for JSON: no NaN, no NumPy types."""
        return {
            "genes": self.genes,
            "without_observed": self.without_observed,
            "chromosomes": self.chromosomes,
            "model": _score(self.model),
            "baselines": {name: _score(score) for name, score in self.baselines.items()},
            "model_minus_baseline": {
                name: {"n": each.n, **each.values, "interval_95": _pairs(each.intervals)}
                for name, each in self.differences.items()
            },
            "per_fold": {
                fold: {name: metrics._asdict() for name, metrics in predictors.items()}
                for fold, predictors in self.per_fold.items()
            },
            "bootstraps": self.bootstraps,
            "seed": self.seed,
            "notes": list(self.notes),
            "definitions": {
                **DEFINITIONS,
                "model_minus_baseline": "difference of a metric on the same genes; its interval is of the difference "
                "itself, both predictors seeing the same draws of chromosomes",
            },
        }


def evaluate_crossval(
    table: pd.DataFrame,
    baselines: Mapping[str, ArrayLike],
    *,
    bootstraps: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CrossvalEvaluation:
    """Compare held-out predictions of a model, and of each baseline, with what was observed.

    Parameters
    ----------
    table
        A row a gene: ``gene_id chrom fold observed predicted``; others are ignored. ``observed`` and ``fold`` may be
        missing in a row.
    baselines
        Name to predictions (n,) of the rows of the table, each made by a fold that had not seen the gene; finite
        wherever there is an observation.
    bootstraps
        Resamples of chromosomes for the intervals.
    seed
        Seed of the resampling.
    progress
        Called with (resamples done, ``bootstraps``).

    Returns
    -------
    CrossvalEvaluation

    Raises
    ------
    InputError
        A column is missing, a gene occurs twice, a value is not a finite number, a baseline has not one value a gene,
        or no gene has an observed value.
    """
    whole = check_predictions(table)
    kept = whole["observed"].notna().to_numpy()
    if not kept.any():
        raise InputError("no gene has an observed value", fix="Cross-validate on a dataset that has expression")
    given = {name: np.asarray(values, dtype=np.float64) for name, values in baselines.items()}
    others = {name: _aligned(name, values, whole, kept) for name, values in given.items()}
    used = whole[kept].reset_index(drop=True)
    observed, predicted = used["observed"].to_numpy(), used["predicted"].to_numpy()
    predictions = {MODEL: predicted, **others}
    draws = draw_metrics(
        used["chrom"], observed, list(predictions.values()), bootstraps=bootstraps, seed=seed, progress=progress
    )
    scores = {
        name: Score(measure(observed, values), intervals_of(None if draws is None else draws[:, column]))
        for column, (name, values) in enumerate(predictions.items())
    }
    differences = {
        name: _difference(scores[MODEL], scores[name], None if draws is None else draws[:, 0] - draws[:, column])
        for column, name in enumerate(others, start=1)
    }
    by_fold = {name: measure_by(used["fold"], observed, values) for name, values in predictions.items()}
    return CrossvalEvaluation(
        model=scores[MODEL],
        baselines={name: scores[name] for name in others},
        differences=differences,
        per_fold={fold: {name: by_fold[name][fold] for name in predictions} for fold in by_fold[MODEL]},
        genes=len(whole),
        without_observed=int((~kept).sum()),
        chromosomes=int(used["chrom"].nunique()),
        bootstraps=bootstraps,
        seed=seed,
        notes=(*notes_on(used, scores[MODEL].pooled), *_constant(others)),
        predictions=given,
    )


def _aligned(
    name: str, numbers: NDArray[np.float64], table: pd.DataFrame, kept: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Predictions of a baseline for the genes that are evaluated."""
    if name == MODEL:
        raise ValueError(f"no baseline may be called {MODEL!r}")
    if numbers.shape != (len(table),):
        raise InputError(f"baseline {name}: {numbers.size:,} predictions for {len(table):,} genes")
    wrong = kept & ~np.isfinite(numbers)
    if wrong.any():
        first = table["gene_id"].iloc[int(wrong.argmax())]
        raise InputError(f"baseline {name}: not a finite number for some genes", count=int(wrong.sum()), first=first)
    return numbers[kept]


def _difference(model: Score, baseline: Score, draws: NDArray[np.float64] | None) -> Difference:
    values = {}
    for metric in METRICS:
        mine, other = getattr(model.pooled, metric), getattr(baseline.pooled, metric)
        values[metric] = None if mine is None or other is None else mine - other
    return Difference(model.pooled.n, values, intervals_of(draws))


def _constant(baselines: Mapping[str, NDArray[np.float64]]) -> list[str]:
    return [
        f"the baseline {name} predicts the same for all genes: its correlations are undefined"
        for name, values in baselines.items()
        if len(values) > 1 and values.min() == values.max()
    ]


def _score(score: Score) -> dict[str, Any]:
    return {**score.pooled._asdict(), "interval_95": _pairs(score.intervals)}


def _pairs(intervals: Mapping[str, Interval | None]) -> dict[str, list[float] | None]:
    return {name: None if pair is None else list(pair) for name, pair in intervals.items()}
