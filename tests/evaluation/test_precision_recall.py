from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from epinformer.evaluation.precision_recall import (
    average_precision,
    curve,
    precision_at_recall,
    threshold_at_recall,
)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with ties, and weights of four resamples."""
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 60))
    scores = np.round(generator.random(n), int(generator.integers(0, 3)))
    return generator.random(n) < 0.3, scores, generator.integers(0, 3, (4, n))


@pytest.mark.parametrize("seed", range(60))
def test_weighted_metrics_are_those_of_scikit_learn_on_repeated_rows(seed: int) -> None:
    labels, scores, weights = drawn(seed)
    average, precision = average_precision(labels, scores, weights), precision_at_recall(labels, scores, weights)
    for row, weight in enumerate(weights):
        y, x = np.repeat(labels, weight), np.repeat(scores, weight)
        if not y.any():
            assert np.isnan(average[row]) and np.isnan(precision[row])
            continue
        assert average[row] == pytest.approx(average_precision_score(y, x))
        precisions, recalls, _ = precision_recall_curve(y, x)
        highest = np.flatnonzero(recalls[:-1] >= 0.7 - 1e-9)[-1]
        assert precision[row] == pytest.approx(precisions[highest])


@pytest.mark.parametrize("seed", range(10))
def test_the_curve_is_that_of_scikit_learn(seed: int) -> None:
    labels, scores, _ = drawn(seed + 100)
    labels[0] = True
    points = curve(labels, scores)
    precisions, recalls, thresholds = precision_recall_curve(labels, scores)
    # There the rows go up and end at an extra point.
    np.testing.assert_allclose(points.threshold[::-1], thresholds)
    np.testing.assert_allclose(points.precision[::-1], precisions[:-1])
    np.testing.assert_allclose(points.recall[::-1], recalls[:-1])


def test_the_order_of_equal_scores_does_not_matter() -> None:
    labels = np.array([True, True, False, False, False])
    for order in (np.arange(5), np.arange(5)[::-1]):
        assert average_precision(labels[order], np.zeros(5))[0] == pytest.approx(0.4)
        assert precision_at_recall(labels[order], np.zeros(5))[0] == pytest.approx(0.4)


def test_rows_without_a_score_are_below_all_others() -> None:
    labels, scores = np.array([1, 0, 1, 0]), np.array([-5.0, -7.0, np.nan, np.nan])
    assert average_precision(labels, scores)[0] == average_precision_score(labels, [3, 2, 1, 1])
    assert threshold_at_recall(labels, scores, recall=0.5) == -5
    assert threshold_at_recall(labels, scores, recall=0.7) is None
    assert curve(labels, scores).threshold[-1] == -np.inf


def test_seven_of_ten_are_seventy_per_cent() -> None:
    labels = np.repeat([True, False], 10)
    scores = np.r_[np.arange(10.0, 0, -1), np.full(3, 3.5), np.zeros(7)]
    # The tenth of 0.7 x 10 = 7.000000000000001 must not ask for an eighth.
    assert precision_at_recall(labels, scores)[0] == 1
    assert threshold_at_recall(labels, scores) == 4


def test_nothing_to_find_is_undefined() -> None:
    for labels, scores in (([], []), ([0, 0], [1, 2])):
        assert np.isnan(average_precision(labels, scores)).tolist() == [True]
        assert np.isnan(precision_at_recall(labels, scores)).tolist() == [True]
        assert threshold_at_recall(labels, scores) is None
        assert all(len(values) == 0 for values in curve(labels, scores))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes"):
        average_precision([1, 0], [1, 2, 3])
    with pytest.raises(ValueError, match="shapes"):
        average_precision([1, 0], [1, 2], np.ones((3, 3)))
