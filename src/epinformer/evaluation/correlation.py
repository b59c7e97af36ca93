"""How well predictions agree with observations, each metric for many weightings of the rows at once.

A weight is how often a row is drawn, so a bootstrap is a matrix of weights and needs no loop over resamples. All
functions take ``observed`` and ``predicted`` of shape (n,), finite, and ``weights`` of shape (b, n), not negative, and
give shape (b,). A metric that is undefined (fewer than two rows drawn, one side constant, or values too
large to square) is NaN, without a warning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Variance below this share of the mean square is rounding, not signal.
_ROUNDING = 1e-12


def pearson(observed: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Pearson correlation coefficient, shape (b,)."""
    x, y, w = _checked(observed, predicted, weights)
    return _coefficient(_moment(x, x, w), _moment(y, y, w), _moment(x, y, w))


def spearman(observed: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Spearman correlation, shape (b,): Pearson of the ranks, ties having their mean rank."""
    x, y, w = _checked(observed, predicted, weights)
    x_ranks, y_ranks = _centred_ranks(x, w), _centred_ranks(y, w)
    weighted = w * x_ranks
    xx, xy = _rowwise(weighted, x_ranks), _rowwise(weighted, y_ranks)
    return _coefficient(xx, _rowwise(w * y_ranks, y_ranks), xy)


def r_squared(observed: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Coefficient of determination, shape (b,).

    1 - sum (observed - predicted)^2 / sum (observed - mean observed)^2, the predictions taken as they are: it is 0 for
    always predicting the mean and negative for anything worse, and it is not the square of Pearson's coefficient.
    """
    x, y, w = _checked(observed, predicted, weights)
    total = _moment(x, x, w)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        residual = w @ (x - y) ** 2
        return np.where(total > 0, 1 - residual / total, np.nan)


def _checked(
    observed: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The three as floats, of agreeing shape."""
    x = np.asarray(observed, dtype=np.float64)
    y = np.asarray(predicted, dtype=np.float64)
    w = np.ones((1, x.size)) if weights is None else np.atleast_2d(np.asarray(weights, dtype=np.float64))
    if x.ndim != 1 or x.shape != y.shape or w.shape[1:] != x.shape:
        raise ValueError(f"shapes do not agree: observed {x.shape}, predicted {y.shape}, weights {w.shape}")
    return x, y, w


def _coefficient(xx: NDArray[np.float64], yy: NDArray[np.float64], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = xy / np.sqrt(xx) / np.sqrt(yy)
    return np.where((xx > 0) & (yy > 0), np.clip(value, -1, 1), np.nan)


def _moment(x: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted sum of the products of deviations, (b,); exactly 0 where it is nothing but rounding."""
    if not x.size:
        return np.zeros(len(w))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Deviations from a typical value first: sums of squares of large numbers would lose the small differences.
        x, y = x - np.median(x), y - np.median(y)
        moment = w @ (x * y) - (w @ x) * (w @ y) / w.sum(axis=1)
        return np.where(np.abs(moment) > _ROUNDING * (w @ np.abs(x * y)), moment, 0.0)


def _rowwise(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.einsum("bn,bn->b", a, b)


def _centred_ranks(x: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of every row among the rows drawn less the mean rank, (b, n), a row of weight k standing for k equal ones.

    Ties have their mean rank, so the deviations are exact half-integers and exactly 0 where all rows are equal.
    """
    if not x.size:
        return np.zeros_like(w)
    _, group = np.unique(x, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
    drawn = np.add.reduceat(w[:, order], starts, axis=1)
    below = np.cumsum(drawn, axis=1) - drawn
    return (below + (drawn - w.sum(axis=1, keepdims=True)) / 2)[:, group]
