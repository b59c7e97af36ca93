from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.model.slices import Counted, affine, in_slices, normalised_in_slices

EDGES = [0, 4, 6, 16, 20]


def pooled(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.elu(rows[0::2] + rows[1::2]) @ weight + bias


def masked(rows: Tensor, mask: Tensor, scale: Tensor, shift: Tensor, weight: Tensor) -> Tensor:
    return torch.tanh(rows * scale + shift) @ weight * mask[:, None]


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.mark.parametrize("edges", [EDGES, [0, 20], list(range(0, 22, 2))])
def test_in_slices_is_the_function_itself(edges: list[int]) -> None:
    inputs = numbers(20, 3, seed=0), numbers(3, 5, seed=1), numbers(5, seed=2)
    found, expected = in_slices(pooled, edges, *inputs), pooled(*inputs)
    torch.testing.assert_close(found, expected)
    weight = torch.randn(10, 5, generator=torch.Generator().manual_seed(3))
    for a, b in zip(
        torch.autograd.grad((found * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_rows_may_be_no_numbers_to_learn_from() -> None:
    rows, weight = torch.arange(20), numbers(7, 2, seed=0)
    found = in_slices(lambda part, table: table[part % 7], EDGES, rows, weight)
    assert torch.equal(found, weight[rows % 7])
    found.sum().backward()
    assert weight.grad.tolist() == [[3.0, 3.0]] * 6 + [[2.0, 2.0]]


@pytest.mark.parametrize("end", [20, 13, 6])
def test_normalisation_is_torchs_over_the_rows_that_count(end: int) -> None:
    mask = torch.ones(20)
    mask[[3, 5, 12, 19]] = 0
    counts = (mask > 0) & (torch.arange(20) < end)
    inputs = numbers(20, 4, seed=0), numbers(4, 3, seed=1)
    norms = [nn.BatchNorm1d(4), nn.BatchNorm1d(4)]
    for norm in norms:
        nn.init.normal_(norm.running_mean, generator=torch.Generator().manual_seed(4))
        nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(5))
    rows, weight = inputs
    # Far from zero, where a plain sum of squares would lose its digits.
    shifted = rows + 300
    found = normalised_in_slices(masked, EDGES, shifted, Counted(mask, int(counts.sum()), end), norms[0], weight)

    seen = shifted[counts]
    norms[1](seen)
    variance, mean = torch.var_mean(seen, 0, correction=0)
    scale = norms[1].weight / (variance + norms[1].eps).sqrt()
    expected = masked(shifted, mask, scale, norms[1].bias - mean * scale, weight)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    target = torch.randn(20, 3, generator=torch.Generator().manual_seed(9))
    found_gradients = torch.autograd.grad((found * target).sum(), [*inputs, *norms[0].parameters()])
    expected_gradients = torch.autograd.grad((expected * target).sum(), [*inputs, *norms[1].parameters()])
    for a, b in zip(found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=2e-3)
    for (name, a), b in zip(norms[0].named_buffers(), norms[1].buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5, msg=name)


def test_affine_is_batch_normalisation_in_evaluation() -> None:
    norm, generator = nn.BatchNorm1d(3).eval(), torch.Generator().manual_seed(0)
    for value in norm.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 2, generator=generator)
    rows = torch.randn(7, 3, generator=generator)
    scale, shift = affine(norm)
    torch.testing.assert_close(rows * scale + shift, norm(rows))
