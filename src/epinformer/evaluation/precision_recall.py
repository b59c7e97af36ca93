"""Precision and recall of a score, each metric for many weightings of the rows at once.

A weight is how often a row is drawn, so a bootstrap is a matrix of weights and needs no loop over resamples. All
functions take ``labels`` (true for what is to be found) and ``scores`` (higher is likelier) of shape (n,). A score that
is NaN is below all others. Rows of the same score are taken together, never in an order that the file happens to have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Curve(NamedTuple):
    """A point for each distinct score, from the highest down; of equal shape.

    Attributes
    ----------
    threshold
        The rows of this score and above are called; -inf where those without a score are called as well.
    precision
        The share of the called that are labelled.
    recall
        The share of the labelled that are called.
    """

    threshold: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """The precision-recall curve of a score; no point where nothing is labelled."""
    thresholds, called, hits = _counted(labels, scores, None, every=True)
    if not hits.shape[1] or not hits[0, -1]:
        return Curve(*(np.zeros(0) for _ in Curve._fields))
    return Curve(thresholds, hits[0] / called[0], hits[0] / hits[0, -1])


def average_precision(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """The sum over thresholds of the gain in recall times the precision there, shape (b,).

    Nothing is interpolated between thresholds, so the value is that of scikit-learn's `average_precision_score`. A
    score that says nothing has the share of labelled rows; NaN where none is drawn.

    Parameters
    ----------
    labels, scores
        Shape (n,).
    weights
        How often each row is drawn, shape (b, n); once, by default.
    """
    _, called, hits = _counted(labels, scores, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(called > 0, hits / called, 0.0)
        gained = np.diff(hits, axis=1, prepend=0.0)
        value: NDArray[np.float64] = (gained * precision).sum(axis=1) / _total(hits)
    return value


def precision_at_recall(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None, *, recall: float = 0.7
) -> NDArray[np.float64]:
    """The precision at the highest threshold that calls this share of the labelled rows, shape (b,).

    Not interpolated: the threshold is one of the scores. NaN where no labelled row is drawn.
    """
    _, called, hits = _counted(labels, scores, weights)
    if not hits.shape[1]:
        return np.full(len(hits), np.nan)
    at = _reached(hits, recall)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(_total(hits) > 0, _pick(hits, at) / _pick(called, at), np.nan)


def threshold_at_recall(labels: ArrayLike, scores: ArrayLike, *, recall: float = 0.7) -> float | None:
    """The threshold of `precision_at_recall`; None if that needs the rows without a score, or nothing is labelled."""
    thresholds, _, hits = _counted(labels, scores, None)
    if not hits.shape[1]:
        return None
    value = float(thresholds[_reached(hits, recall)[0]])
    return value if np.isfinite(value) else None


def _counted(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None, *, every: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scores from the highest down, (k,), and how many rows and labelled rows reach each, (b, k).

    Of all distinct scores if ``every``, else of those of labelled rows: recall grows at no other.
    """
    y = np.asarray(labels, dtype=bool)
    x = np.asarray(scores, dtype=np.float64)
    w = np.ones((1, y.size)) if weights is None else np.atleast_2d(np.asarray(weights, dtype=np.float64))
    if y.ndim != 1 or x.shape != y.shape or w.shape[1:] != y.shape:
        raise ValueError(f"shapes do not agree: labels {y.shape}, scores {x.shape}, weights {w.shape}")
    x = np.where(np.isnan(x), -np.inf, x)
    order = np.argsort(-x, kind="stable")
    falling = x[order]
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)) if x.size else np.zeros(0, dtype=np.int64)
    if not every:
        found = np.cumsum(y[order])[ends]
        ends = ends[np.diff(found, prepend=0) > 0]
    starts = np.append(0, ends[:-1] + 1)[: ends.size]
    order = order[: ends[-1] + 1] if ends.size else order[:0]
    labelled = np.flatnonzero(y[order])
    counted = w[:, order]
    called = np.cumsum(np.add.reduceat(counted, starts, axis=1), axis=1)
    # Many times fewer than all rows, as a rule.
    hits = np.cumsum(counted[:, labelled], axis=1)
    before = np.searchsorted(labelled, ends, side="right")
    hits = np.concatenate([np.zeros((len(w), 1)), hits], axis=1)[:, before]
    return falling[ends], called, hits


def _total(hits: NDArray[np.float64]) -> NDArray[np.float64]:
    return hits[:, -1] if hits.shape[1] else np.zeros(len(hits))


def _reached(hits: NDArray[np.float64], recall: float) -> NDArray[np.int64]:
    """The first column at which this share of all hits is reached; 0.7 of 10 is 7, whatever rounding makes of it."""
    return (hits >= recall * _total(hits)[:, None] - 1e-9).argmax(axis=1)


def _pick(values: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
    picked: NDArray[np.float64] = np.take_along_axis(values, at[:, None], axis=1)[:, 0]
    return picked
