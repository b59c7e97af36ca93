from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from epinformer.dataset.store import Dataset
from epinformer.model.config import published_config
from epinformer.model.epinformer import EPInformer
from epinformer.training.module import ExpressionModule, regression_loss
from epinformer.training.settings import FitConfig


def test_losses_by_hand() -> None:
    rng = np.random.default_rng(0)
    predicted, target = rng.normal(size=(2, 7))
    difference = np.abs(predicted - target)
    p, q = softmax(target), softmax(predicted)
    divergence = (p * np.log(p / q)).sum()
    expected = {
        "mse": (difference**2).mean(),
        "smooth_l1": np.where(difference < 1, difference**2 / 2, difference - 0.5).mean(),
        "l1_kl": (difference.mean() + 2 * divergence) / 3,
    }
    for loss, value in expected.items():
        found = regression_loss(torch.tensor(predicted), torch.tensor(target), FitConfig(loss=loss, kl_weight=2))
        assert found.item() == pytest.approx(value, rel=1e-9)


def test_l1_kl_of_a_perfect_prediction_is_zero_and_a_shift_leaves_only_l1() -> None:
    target = torch.tensor([0.0, 1.0, -2.0])
    settings = FitConfig(loss="l1_kl")
    assert regression_loss(target, target, settings).item() == pytest.approx(0, abs=1e-7)
    assert regression_loss(target + 3, target, settings).item() == pytest.approx(1.5, rel=1e-6)


def test_a_frozen_encoder_stays_in_evaluation_mode(bases: Dataset) -> None:
    network = EPInformer(published_config("PE", "expression_rna"))
    module = ExpressionModule(network, FitConfig(), seed=0, dtype=torch.float32, frozen=True)
    module.train()
    assert network.encoder is not None and network.embedding is not None
    assert not network.encoder.training and network.embedding.training
    assert not any(parameter.requires_grad for parameter in network.encoder.parameters())
    assert all(parameter.requires_grad for parameter in network.embedding.parameters())
