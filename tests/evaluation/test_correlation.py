from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from epinformer.evaluation.correlation import pearson, r_squared, spearman


def oracle_r2(x: np.ndarray, y: np.ndarray) -> float:
    return 1 - sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / sum((a - np.mean(x)) ** 2 for a in x)


METRICS: list[tuple[Callable, Callable]] = [
    (pearson, lambda x, y: scipy.stats.pearsonr(x, y).statistic),
    (spearman, lambda x, y: scipy.stats.spearmanr(x, y).statistic),
    (r_squared, oracle_r2),
]
metrics = pytest.mark.parametrize(("metric", "oracle"), METRICS, ids=["pearson", "spearman", "r2"])


@st.composite
def draws(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two columns with many ties, and weights of three resamples."""
    size = draw(st.integers(2, 12))
    numbers = st.lists(st.integers(-4, 4), min_size=size, max_size=size)
    weights = st.lists(st.lists(st.integers(0, 3), min_size=size, max_size=size), min_size=3, max_size=3)
    return np.array(draw(numbers)) / 3, np.array(draw(numbers)) / 7, np.array(draw(weights))


@metrics
@given(drawn=draws())
def test_a_weight_is_a_row_repeated(metric: Callable, oracle: Callable, drawn: tuple) -> None:
    observed, predicted, weights = drawn
    values = metric(observed, predicted, weights)
    assert values.shape == (3,)
    for value, weight in zip(values, weights, strict=True):
        x, y = np.repeat(observed, weight), np.repeat(predicted, weight)
        flat = np.unique(x).size < 2 or (metric is not r_squared and np.unique(y).size < 2)
        if flat:
            assert np.isnan(value)
        else:
            assert_allclose(value, oracle(x, y), atol=1e-10)


@metrics
def test_no_weights_are_weights_of_one(metric: Callable, oracle: Callable) -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=500)
    y = x + generator.normal(size=500)
    assert_allclose(metric(x, y), [oracle(x, y)])
    assert_allclose(metric(x, y, np.ones((2, 500))), [oracle(x, y)] * 2)


@metrics
def test_a_small_spread_around_a_large_number_is_not_lost(metric: Callable, oracle: Callable) -> None:
    generator = np.random.default_rng(4)
    x = 1e6 + generator.normal(size=200)
    y = x + generator.normal(size=200)
    assert_allclose(metric(x, y, np.ones((1, 200))), [oracle(x, y)], rtol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9 / 3])
def test_a_constant_side_is_undefined_in_spite_of_rounding(constant: float) -> None:
    flat, other = np.full(7, constant), np.arange(7.0)
    assert np.isnan(pearson(flat, other)).all() and np.isnan(pearson(other, flat)).all()
    assert np.isnan(spearman(flat, other)).all() and np.isnan(spearman(other, flat)).all()
    assert np.isnan(r_squared(flat, other)).all()
    assert_allclose(r_squared(other, np.full(7, 3.0)), [0], atol=1e-12)


@metrics
@pytest.mark.parametrize("size", [0, 1])
def test_fewer_than_two_rows_are_undefined(metric: Callable, oracle: Callable, size: int) -> None:
    assert np.isnan(metric(np.ones(size), np.ones(size))).all()


def test_perfect_agreement_does_not_exceed_one() -> None:
    x = np.random.default_rng(5).normal(size=1000)
    assert pearson(x, 3 * x + 1)[0] == spearman(x, 3 * x + 1)[0] == pytest.approx(1)
    assert pearson(x, 3 * x + 1)[0] <= 1
    assert r_squared(x, x)[0] == 1


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes do not agree"):
        pearson([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="shapes do not agree"):
        pearson([1, 2], [1, 2], np.ones((4, 3)))
