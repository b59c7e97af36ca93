from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from epinformer.evaluation import bootstrap as module
from epinformer.evaluation.bootstrap import Interval, bootstrap, percentile_interval


def test_clusters_are_drawn_whole_and_as_many_as_there_are() -> None:
    clusters = np.array(["b", "a", "b", "c", "a", "b"])
    seen: list[np.ndarray] = []

    def statistic(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return weights.sum(axis=1)

    values = bootstrap(clusters, statistic, bootstraps=200, seed=1)
    weights = np.concatenate(seen)
    assert values.shape == (200,)
    for name in "abc":
        inside = weights[:, clusters == name]
        assert (inside == inside[:, :1]).all()
    assert_array_equal(sum(weights[:, np.flatnonzero(clusters == name)[0]] for name in "abc"), np.full(200, 3))


def test_frequencies_are_those_of_drawing_with_replacement() -> None:
    """Two clusters: AA, AB or BA, BB come with chances 1/4, 1/2, 1/4."""
    values = bootstrap(["a", "b"], lambda weights: weights[:, 0], bootstraps=20_000, seed=2)
    assert_allclose(np.bincount(values.astype(int)) / 20_000, [0.25, 0.5, 0.25], atol=0.015)


def test_the_spread_is_that_of_enumerating_every_draw() -> None:
    x = np.array([1.0, 5.0, 9.0])
    exact = np.std([np.mean(draw) for draw in itertools.product(x, repeat=3)])
    values = bootstrap([0, 1, 2], lambda weights: weights @ x / weights.sum(axis=1), bootstraps=20_000, seed=3)
    assert np.std(values) == pytest.approx(exact, rel=0.02)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = np.arange(50) % 7
    x = np.arange(50.0)
    calls: list[tuple[int, int]] = []

    def draw() -> np.ndarray:
        return bootstrap(
            clusters, lambda w: w @ x, bootstraps=33, seed=4, progress=lambda done, of: calls.append((done, of))
        )

    whole = draw()
    assert calls == [(33, 33)]
    monkeypatch.setattr(module, "_BLOCK", 500)
    assert_array_equal(draw(), whole)
    assert calls[1:] == [(10, 33), (20, 33), (30, 33), (33, 33)]


def test_the_number_of_resamples_is_not_held_in_memory_before_the_first() -> None:
    def stop(weights: np.ndarray) -> np.ndarray:
        assert weights.size <= 2_000_000
        raise StopIteration

    with pytest.raises(StopIteration):
        bootstrap(np.arange(100), stop, bootstraps=10**12, seed=0)


def test_seed_decides() -> None:
    def draw(seed: int) -> np.ndarray:
        return bootstrap([0, 1, 2], lambda w: w[:, 0], bootstraps=50, seed=seed)

    assert_array_equal(draw(5), draw(5))
    assert (draw(5) != draw(6)).any()


def test_several_values_at_once_share_the_draws() -> None:
    values = bootstrap([0, 1, 2], lambda w: np.stack([w[:, 0], -w[:, 0]], axis=1), bootstraps=20, seed=0)
    assert values.shape == (20, 2)
    assert_array_equal(values[:, 0], -values[:, 1])


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap([], lambda w: w.sum(axis=1), bootstraps=10, seed=0)


def test_interval_is_the_middle_part() -> None:
    assert percentile_interval(np.arange(101.0), level=0.9) == pytest.approx((5, 95))


def test_interval_bears_few_undefined_values_only() -> None:
    values = np.arange(100.0)
    values[:5] = np.nan
    assert percentile_interval(values, level=1.0) == Interval(5, 99)
    values[:6] = np.nan
    assert percentile_interval(values) is None
    assert percentile_interval(np.array([])) is None
