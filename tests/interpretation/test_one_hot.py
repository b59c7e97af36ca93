from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from epinformer.dataset.features import Feature
from epinformer.errors import InputError, ModelError
from epinformer.interpretation.one_hot import OneHotActivity, OneHotExpression, Rest, one_hot
from epinformer.model.activity import ActivityModel
from epinformer.model.config import ModelConfig
from epinformer.model.epinformer import EPInformer
from tests.variant_world import activity_model, expression_model


def uneven(network: nn.Module, seed: int = 0) -> None:
    """Give every normalisation means, variances, scales and shifts of its own."""
    generator = torch.Generator().manual_seed(seed)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.running_mean.uniform_(-0.3, 0.3, generator=generator)
            norm.running_var.uniform_(0.5, 1.5, generator=generator)
            norm.weight.data.uniform_(0.5, 1.5, generator=generator)
            norm.bias.data.uniform_(-0.3, 0.3, generator=generator)


@pytest.fixture(scope="module")
def activity() -> ActivityModel:
    network = activity_model().model
    assert isinstance(network, ActivityModel)
    uneven(network)
    return network


@pytest.fixture(scope="module")
def expression() -> EPInformer:
    network = expression_model("PE-Activity").model
    assert isinstance(network, EPInformer)
    uneven(network)
    return network


def test_every_code_is_a_letter() -> None:
    found = one_hot(np.array([[0, 3, 5], [4, 1, 2]], dtype=np.uint8))
    assert found.shape == (2, 6, 3) and found.dtype == torch.int8
    assert found[0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert found[1].argmax(0).tolist() == [4, 1, 2] and bool((found.sum(1) == 1).all())


def test_activity_has_the_values_of_the_network(activity: ActivityModel) -> None:
    codes = np.random.default_rng(0).integers(0, 6, (5, 256), dtype=np.uint8)
    codes[1, :60] = codes[1, 200:] = 5
    codes[2] = 4
    with torch.inference_mode():
        expected = activity.both_strands(torch.from_numpy(codes))
        found = OneHotActivity(activity)(one_hot(codes).float())
    assert float(expected.std()) > 0.01
    torch.testing.assert_close(found, expected[:, None], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bases", [1, 2, 15, 16, 17, 240, 701, 1_930, 1_999, 2_000])
def test_expression_has_the_embedding_of_the_network(expression: EPInformer, bases: int) -> None:
    codes = np.random.default_rng(bases).integers(0, 6, (2, bases), dtype=np.uint8)
    with torch.inference_mode():
        expected = expression.embed(torch.from_numpy(codes.ravel()), torch.tensor([bases, bases])).sequences
        found = OneHotExpression(expression, bases, nn.Identity())(one_hot(codes).float())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["activity", "expression"])
def test_leaves_the_network_as_it_is(kind: str, activity: ActivityModel, expression: EPInformer) -> None:
    network = copy.deepcopy(activity if kind == "activity" else expression).train()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    made = OneHotActivity(network) if kind == "activity" else OneHotExpression(network, 40, nn.Identity())
    with torch.inference_mode():
        made(one_hot(np.zeros((2, 256 if kind == "activity" else 40), dtype=np.uint8)).float())
    made.double()
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)
    assert all(module.training for module in network.modules())
    assert all(values.requires_grad for name, values in network.named_parameters())


def test_a_network_in_training_is_read_as_in_evaluation(activity: ActivityModel) -> None:
    codes = one_hot(np.random.default_rng(3).integers(0, 4, (2, 256), dtype=np.uint8)).float()
    with torch.inference_mode():
        torch.testing.assert_close(
            OneHotActivity(copy.deepcopy(activity).train())(codes), OneHotActivity(activity)(codes), rtol=0, atol=0
        )


def test_rest_hides_its_parts() -> None:
    whole = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    values = torch.randn(4, 3)
    assert list(Rest(whole).children()) == []
    torch.testing.assert_close(Rest(whole)(values), whole(values), rtol=0, atol=0)


@pytest.mark.parametrize("bases", [0, 2_001])
def test_lengths_that_cannot_be_explained(expression: EPInformer, bases: int) -> None:
    with pytest.raises(InputError, match=r"Give 1 to 2,000 bases"):
        OneHotExpression(expression, bases, nn.Identity())


def test_a_network_without_sequence() -> None:
    config = ModelConfig(sequence="none", target="expression_rna", pair_features=(Feature("distance"),))
    with pytest.raises(ModelError, match="reads no sequence"):
        OneHotExpression(EPInformer(config), 10, nn.Identity())
