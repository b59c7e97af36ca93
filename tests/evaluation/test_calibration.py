from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from epinformer.evaluation.calibration import EDGES, calibration


def test_bins_and_brier_score_against_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    probability = generator.beta(0.3, 2, 5_000)
    labels = generator.random(5_000) < probability
    found = calibration(labels, probability)
    assert found.brier == pytest.approx(brier_score_loss(labels, probability))
    assert found.brier_of_share == pytest.approx(labels.mean() * (1 - labels.mean()))
    assert found.table["rows"].sum() == 5_000
    for row in found.table.itertuples():
        inside = (probability >= row.low) & (probability < row.high)
        assert (row.rows, row.share) == (inside.sum(), labels[inside].mean())
        assert row.probability == pytest.approx(probability[inside].mean())
        # True probabilities come true as often as they say.
        assert abs(row.share - row.probability) < 4 * np.sqrt(row.probability / row.rows)


def test_limits_belong_to_the_bin_above_but_for_one() -> None:
    found = calibration(np.array([True, False, True]), np.array([0.0, 0.2, 1.0]))
    assert found.table[["low", "high"]].to_numpy().tolist() == [[0.0, EDGES[1]], [0.2, 0.4], [0.8, 1.0]]
    assert found.to_dict()["reliability"][2] == {"low": 0.8, "high": 1.0, "rows": 1, "probability": 1.0, "share": 1.0}
