from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from epinformer.errors import InputError
from epinformer.interpretation import mutagenesis
from epinformer.interpretation.mutagenesis import activity_mutants, hypothetical, sequence_mutants
from epinformer.model.activity import ActivityModel
from epinformer.model.config import activity_config, published_config
from epinformer.model.epinformer import EPInformer
from epinformer.model.published import read_published

CPU = torch.device("cpu")
WIDTHS = {"stem_channels": 12, "block_channels": (8, 6, 6, 8)}


@pytest.fixture
def activity() -> ActivityModel:
    network = ActivityModel(activity_config().model_copy(update={**WIDTHS, "hidden": 16}))
    shake(network)
    return network


@pytest.fixture
def expression() -> EPInformer:
    network = EPInformer(published_config("PE").model_copy(update=WIDTHS))
    shake(network)
    return network


def shake(network: nn.Module) -> None:
    """Weights that let the effect of a single base pass through all layers."""
    torch.manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.weight, -1.5, 1.5)
        elif isinstance(module, (nn.Conv1d, nn.Linear)):
            nn.init.normal_(module.weight, std=1.5 * module.weight[0].numel() ** -0.5)


def windows(number: int, seed: int = 0) -> np.ndarray:
    """The second begins with no base and the third holds an N."""
    codes = np.random.default_rng(seed).integers(0, 4, (number, 256)).astype(np.uint8)
    codes[1:2, :40] = 5
    codes[2:3, 100:110] = 4
    return codes


def brute_force(network: ActivityModel, codes: np.ndarray) -> np.ndarray:
    """(4, 256) of one window, each mutant predicted on its own."""
    rows = np.tile(codes, (4, 256, 1))
    for base in range(4):
        known = np.flatnonzero(codes < 4)
        rows[base, known, known] = base
    with torch.inference_mode():
        return network.eval().both_strands(torch.from_numpy(rows).flatten(0, 1)).view(4, 256).double().numpy()


def test_activity_equals_brute_force(activity: ActivityModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutagenesis, "_RUN_WINDOWS", 2)
    codes, told = windows(3), []
    activity.train()
    found = activity_mutants(activity, codes, device=CPU, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 3), (3, 3)]
    assert activity.training
    assert found.predicted.dtype == found.mutants.dtype == np.float64
    for row in range(3):
        expected = brute_force(activity, codes[row])
        np.testing.assert_allclose(found.mutants[row], expected, rtol=0, atol=1e-5)
        own = expected[np.minimum(codes[row], 3), np.arange(256)]
        np.testing.assert_allclose(found.predicted[row], own, rtol=0, atol=1e-5)
    assert np.ptp(found.mutants[0]) > 0.05


def test_the_other_strand_has_the_same_mutants_flipped(activity: ActivityModel) -> None:
    codes = windows(2, seed=7)
    complement = np.array([3, 2, 1, 0, 4, 5], dtype=np.uint8)[codes[:, ::-1]]
    one, other = activity_mutants(activity, codes, device=CPU), activity_mutants(activity, complement, device=CPU)
    np.testing.assert_allclose(one.predicted, other.predicted, atol=1e-6)
    np.testing.assert_allclose(one.mutants, other.mutants[:, ::-1, ::-1], atol=1e-6)


def test_no_windows(activity: ActivityModel) -> None:
    found = activity_mutants(activity, windows(0), device=CPU)
    assert found.predicted.shape == (0,) and found.mutants.shape == (0, 4, 256)


@pytest.mark.parametrize("length", [1, 2, 61, 2000])
def test_sequences_equal_brute_force(expression: EPInformer, length: int) -> None:
    network = expression
    rng = np.random.default_rng(length)
    codes = rng.integers(0, 5, length).astype(np.uint8)
    found = sequence_mutants(network, codes, device=CPU)
    assert network.training and found.shape == (4, length, 64)
    network.eval()
    for position in {0, 1 % length, length // 2, length - 1}:
        rows = np.tile(codes, (4, 1))
        if codes[position] < 4:
            rows[:, position] = np.arange(4)
        with torch.inference_mode():
            expected = network.embed(torch.from_numpy(rows).flatten(), torch.full((4,), length)).sequences
        torch.testing.assert_close(found[:, position], expected, rtol=1e-5, atol=1e-5)


def test_hypothetical_is_the_formula() -> None:
    rng = np.random.default_rng(4)
    mutants, codes = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 6, (2, 3, 5)).astype(np.uint8)
    found = hypothetical(mutants, codes)
    assert found.dtype == np.float32
    for i, j, p in np.ndindex(2, 3, 5):
        for base in range(4):
            mean = sum(mutants[i, j, :, p]) / 4
            expected = mutants[i, j, base, p] - mean if codes[i, j, p] in (0, 1, 2, 3) else 0.0
            assert found[i, j, base, p] == pytest.approx(expected, abs=1e-6)
    assert (found == 0).any() and (found != 0).any()


@pytest.mark.parametrize("shape", [(2, 255), (256,), (0, 100)])
def test_windows_of_another_length(activity: ActivityModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="256 bp"):
        activity_mutants(activity, np.zeros(shape, dtype=np.uint8), device=CPU)


@pytest.mark.parametrize("length", [0, 2001])
def test_sequences_of_impossible_length(expression: EPInformer, length: int) -> None:
    with pytest.raises(InputError, match=r"1 to 2,000"):
        sequence_mutants(expression, np.zeros(length, dtype=np.uint8), device=CPU)


@pytest.mark.real_data
def test_published_activity_weights(shared_data: Path) -> None:
    published = read_published(next((shared_data / "published").glob("*seq2activityLog2*.pt")))
    network = ActivityModel(published.config)
    network.load_state_dict(published.state)
    codes = windows(1, seed=9)
    found = activity_mutants(network, codes, device=CPU)
    np.testing.assert_allclose(found.mutants[0], brute_force(network, codes[0]), rtol=0, atol=1e-5)
