"""Training arithmetic on long rows, a slice at a time: temporaries stay in the processor's cache and are not kept.

Autograd would keep every intermediate of a layer for the whole batch, hundreds of megabytes each, and the time would go
to moving them. Here the forward pass keeps what enters a layer and the backward pass computes the rest again, slice by
slice. Gradients of weights are added up in the weights' own type.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

SliceFunction = Callable[..., Tensor]


def in_slices(
    function: SliceFunction, edges: Sequence[int], rows: Tensor, *weights: Tensor, mask: Tensor | None = None
) -> Tensor:
    """``function(rows, *weights)`` for a function that treats the slices of its rows apart.

    Parameters
    ----------
    function
        Takes some rows and the weights and gives as many rows, or a fixed fraction of them.
    edges
        Where slices begin and end: ascending, the first 0 and the last the number of rows.
    rows
        (P, channels).
    weights
        Whatever else the function reads, all of it floating-point.
    mask
        (P,): cut like the rows and given to the function after them, if it takes one; no gradient reaches it.
    """
    return _Sliced.apply(function, tuple(edges), mask, rows, *weights)


class _Sliced(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        function: SliceFunction,
        edges: tuple[int, ...],
        mask: Tensor | None,
        rows: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        ctx.function, ctx.edges, ctx.mask = function, edges, mask
        ctx.save_for_backward(rows, *weights)
        return _forward(function, edges, mask, rows, weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, *weights = ctx.saved_tensors
        found = _backward(ctx.function, ctx.edges, ctx.mask, rows, weights, gradients[0], ctx.needs_input_grad[3])
        return None, None, None, *found


def _cut(rows: Tensor, mask: Tensor | None, begin: int, end: int) -> list[Tensor]:
    return [rows[begin:end]] if mask is None else [rows[begin:end], mask[begin:end]]


def _forward(
    function: SliceFunction, edges: Sequence[int], mask: Tensor | None, rows: Tensor, weights: Sequence[Tensor]
) -> Tensor:
    whole: Tensor | None = None
    written = 0
    for begin, end in itertools.pairwise(edges):
        part = function(*_cut(rows, mask, begin, end), *weights)
        if whole is None:
            whole = part.new_empty(edges[-1] * len(part) // (end - begin), *part.shape[1:])
        whole[written : written + len(part)] = part
        written += len(part)
    assert whole is not None
    return whole


def _backward(
    function: SliceFunction,
    edges: Sequence[int],
    mask: Tensor | None,
    rows: Tensor,
    weights: Sequence[Tensor],
    gradient: Tensor,
    rows_too: bool,
) -> list[Tensor | None]:
    """Gradients of the rows, if wanted, and of each weight."""
    leaves = [weight.detach().requires_grad_() for weight in weights]
    sums = [torch.zeros_like(weight) for weight in weights]
    row_gradient = torch.empty_like(rows) if rows_too else None
    scale = edges[-1] // len(gradient)
    for begin, end in itertools.pairwise(edges):
        part, *masks = _cut(rows.detach(), mask, begin, end)
        wanted = [part.requires_grad_(), *leaves] if rows_too else leaves
        with torch.enable_grad():
            out = function(part, *masks, *leaves)
        found = list(torch.autograd.grad(out, wanted, gradient[begin // scale : end // scale]))
        if row_gradient is not None:
            row_gradient[begin:end] = found.pop(0)
        for total, one in zip(sums, found, strict=True):
            total += one
    return [row_gradient, *sums]


class Counted(NamedTuple):
    """Which rows batch normalisation learns from.

    Attributes
    ----------
    mask
        (P,) float32: 0 for rows that do not count, else 1.
    number
        How many count, at least 1.
    end
        Rows from here on do not count, whatever their mask.
    """

    mask: Tensor
    number: int
    end: int


def normalised_in_slices(
    function: SliceFunction,
    edges: Sequence[int],
    rows: Tensor,
    counted: Counted,
    norm: nn.BatchNorm1d,
    *weights: Tensor,
) -> Tensor:
    """`in_slices` after a batch normalisation in training mode, whose running statistics are updated.

    Parameters
    ----------
    function
        Called with some rows, their mask, the normalisation's scale and shift, (channels,) float32 each, and the
        weights.
    edges, rows, weights
        As in `in_slices`.
    counted
        The rows whose mean and variance normalise all rows.
    norm
        The normalisation.
    """
    out, mean, variance = _Normalised.apply(
        function, tuple(edges), rows, counted, norm.eps, norm.weight, norm.bias, *weights
    )
    learn(norm, mean, variance, counted.number)
    return out


@torch.no_grad()
def learn(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Update the running statistics of a normalisation with a batch's mean and biased variance over ``count`` rows."""
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    momentum = 0.1 if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
    norm.num_batches_tracked.add_(1)


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        function: SliceFunction,
        edges: tuple[int, ...],
        rows: Tensor,
        counted: Counted,
        eps: float,
        gain: Tensor,
        bias: Tensor,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _moments(edges, rows, counted)
        scale, shift = _affine(mean, variance, gain, bias, eps)
        ctx.function, ctx.edges, ctx.counted, ctx.eps = function, edges, counted, eps
        ctx.save_for_backward(rows, mean, variance, gain, bias, *weights)
        ctx.mark_non_differentiable(mean, variance)
        return _forward(function, edges, counted.mask, rows, [scale, shift, *weights]), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, *vectors = ctx.saved_tensors
        vectors, weights = vectors[:4], vectors[4:]
        edges, counted = ctx.edges, ctx.counted
        leaves = [vector.detach().requires_grad_() for vector in vectors]
        with torch.enable_grad():
            fitted = _affine(leaves[0], leaves[1], leaves[2], leaves[3], ctx.eps)
        # First as if scale and shift were weights, then what reaches the rows through their mean and variance.
        inputs = [*(vector.detach() for vector in fitted), *weights]
        row_gradient, *found = _backward(ctx.function, edges, counted.mask, rows, inputs, gradients[0], True)
        assert row_gradient is not None
        mean, variance, gain, bias = torch.autograd.grad(fitted, leaves, found[:2])
        slope = 2 * variance / counted.number
        level = mean / counted.number - slope * vectors[0]
        for begin, end in itertools.pairwise(edges):
            stop = min(end, counted.end)
            if begin < stop:
                part = torch.addcmul(level, rows[begin:stop].float(), slope).mul_(counted.mask[begin:stop, None])
                row_gradient[begin:stop] += part
        return None, None, row_gradient, None, None, gain, bias, *found[2:]


def affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Scale and shift of a batch normalisation with its running statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    return _affine(norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps)


def _affine(mean: Tensor, variance: Tensor, gain: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    scale = gain * torch.rsqrt(variance + eps)
    return scale, bias - mean * scale


def _moments(edges: Sequence[int], rows: Tensor, counted: Counted) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of the rows that count, float32, in one pass around a rough mean."""
    rough = (
        rows[: min(edges[1], counted.end)].float().mean(0) if counted.end else rows.new_zeros(rows.shape[1:]).float()
    )
    total, squares = torch.zeros_like(rough), torch.zeros_like(rough)
    for begin, end in itertools.pairwise(edges):
        stop = min(end, counted.end)
        if begin < stop:
            centred = rows[begin:stop].float() - rough
            mask = counted.mask[begin:stop]
            total += mask @ centred
            squares += mask @ centred.square_()
    offset = total / counted.number
    return rough + offset, squares / counted.number - offset.square()
