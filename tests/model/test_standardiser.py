from __future__ import annotations

import numpy as np
import torch

from epinformer.model.standardiser import Standardiser


def test_mean_zero_deviation_one_and_far_values_cut() -> None:
    values = np.random.default_rng(0).normal([5, -1e6, 3, 0], [2, 1e3, 0, 1e-3], (200, 4)).astype(np.float32)
    standardiser = Standardiser(4)
    standardiser.fit(torch.from_numpy(values))
    found = standardiser(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-2)
    np.testing.assert_allclose(found.std(0), [1, 1, 0, 1], rtol=2e-2)
    assert standardiser.scale[2] == 1  # constant in training: left as it is
    far = standardiser(torch.tensor([[1e9, 0.0, 4.0, 0.0]]))
    assert far[0, 0] == 10 and far[0, 2] == 1


def test_is_part_of_the_weights_and_needs_no_rows() -> None:
    standardiser = Standardiser(2)
    standardiser.fit(torch.zeros(0, 2))
    assert list(standardiser.state_dict()) == ["mean", "scale"]
    assert torch.equal(standardiser(torch.tensor([[1.0, -2.0]])), torch.tensor([[1.0, -2.0]]))
