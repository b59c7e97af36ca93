"""Intervals by drawing whole clusters of rows (chromosomes, genes) again, with replacement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Weights in memory at once: a million are 8 MB, whatever the number of rows.
_BLOCK = 1_000_000
# Resamples in which a statistic is undefined are left out, but only this share of them.
_UNDEFINED = 0.05

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Interval(NamedTuple):
    """A percentile interval."""

    low: float
    high: float


def bootstrap(
    clusters: Sequence | NDArray,
    statistic: Statistic,
    *,
    bootstraps: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Values of a statistic when as many clusters as there are, are drawn with replacement.

    Rows of one cluster are not independent (genes of a chromosome share elements; pairs of a gene share the gene), so
    they are drawn or left out together. For the difference of two models on the same rows let ``statistic`` return the
    difference: both then see the same draws.

    Parameters
    ----------
    clusters
        The cluster of each row, shape (n,).
    statistic
        Takes weights of shape (b, n), how often each row was drawn, and gives shape (b,) or (b, k).
    bootstraps
        Number of resamples.
    seed
        The same seed and clusters give the same draws.
    progress
        Called with (resamples done, ``bootstraps``).

    Returns
    -------
    ndarray, shape (bootstraps,) or (bootstraps, k)
    """
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    number = int(member.max()) + 1 if member.size else 0
    if number == 0 or bootstraps < 1:
        raise ValueError("a bootstrap needs at least one row and one resample")
    generator = np.random.default_rng(seed)
    chances = np.full(number, 1 / number)
    step = max(1, _BLOCK // member.size)
    values = []
    for start in range(0, bootstraps, step):
        size = min(step, bootstraps - start)
        drawn = generator.multinomial(number, chances, size=size)
        values.append(statistic(drawn[:, member].astype(np.float64)))
        if progress is not None:
            progress(start + size, bootstraps)
    return np.concatenate(values)


def percentile_interval(values: NDArray[np.float64], *, level: float = 0.95) -> Interval | None:
    """The middle ``level`` of bootstrap values of shape (b,); None if more than a few are undefined (NaN)."""
    defined = values[np.isfinite(values)]
    if defined.size < (1 - _UNDEFINED) * values.size or not defined.size:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
