"""The encoder in training: all windows of a batch in one row, layer by layer, because batch normalisation must see all.

It computes what `SequenceEncoder` computes in evaluation, with the batch's own statistics in batch normalisation. Each
layer passes over the row in slices (see `slices`), cut where windows end, so no convolution sees its slice's edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.model.slices import Counted, affine, in_slices, normalised_in_slices
from epinformer.model.windows import STRIDE, Windows, kmer_one_hot, runs

if TYPE_CHECKING:
    from epinformer.model.encoder import ResidualBlock

SLICE_BASES = 16_384
"""Bases of a slice of the first block; later blocks, with half the positions each, take twice as many."""

SLICE_KMERS = 4_096
"""Distinct k-mers worked out at a time."""

SLICE_CUDA = 64
"""How many times larger slices are on a GPU."""


def encode_row(
    stem: nn.Conv1d, blocks: Sequence[ResidualBlock], windows: Windows, edges: list[int], dtype: torch.dtype
) -> Tensor:
    """(P, channels): the last block's output on a whole row, separators included.

    Parameters
    ----------
    stem, blocks
        The encoder's layers, of which at least one normalises with the batch's statistics.
    windows, edges
        The row, and its windows' offsets as numbers.
    dtype
        Type of the arithmetic, float32 or bfloat16; statistics and gradients of weights are float32.
    """
    factor = SLICE_CUDA if windows.kmers.is_cuda else 1
    row = _look_up(stem, blocks[0], windows, factor, dtype)
    mask = torch.ones(edges[-1], device=row.device).index_fill_(0, windows.offset[1:] - 1, 0)
    # The last window is that of an empty sequence, from which batch normalisation does not learn.
    positions, count = edges[-2], edges[-2] - (len(edges) - 2)
    for index, block in enumerate(blocks):
        step = STRIDE >> index
        cuts = [edges[begin] * step for begin, _ in runs(edges, SLICE_BASES * factor << index)] + [edges[-1] * step]
        if index > 0:
            row = in_slices(_convolved, cuts, row, block.conv.weight, _bias(block.conv))
        counted = Counted(mask.repeat_interleave(step), max(count * step, 1), positions * step)
        weights = block.pointwise.weight.squeeze(2), _bias(block.pointwise)
        if block.norm.training:
            row = normalised_in_slices(_pooled, cuts, row, counted, block.norm, *weights)
        else:
            row = in_slices(_pooled, cuts, row, *affine(block.norm), *weights, mask=counted.mask)
    return row


def _bias(conv: nn.Conv1d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


def _pooled(rows: Tensor, mask: Tensor, scale: Tensor, shift: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A block after its convolution; separators become 0, as the next convolution must see them."""
    dtype = rows.dtype
    picked: Tensor = _PairExtreme.apply(rows, scale >= 0)
    rows = functional.elu(torch.addcmul(shift, picked.float(), scale)).to(dtype)
    rows = rows + functional.elu(functional.linear(rows, weight.to(dtype), bias.to(dtype)))
    return rows * mask[0::2, None].to(dtype)


class _PairExtreme(torch.autograd.Function):
    """Of each two rows the larger value, or the smaller where scaling turns that into the larger one.

    Pooling before scaling does the scaling on half the rows. Of two equal values the first has the gradient, as in
    torch's pooling.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, rising: Tensor) -> Tensor:
        first, second = rows[0::2], rows[1::2]
        picked = torch.where(rising, torch.maximum(first, second), torch.minimum(first, second))
        ctx.save_for_backward(rows, picked)
        return picked

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, picked = ctx.saved_tensors
        spread = torch.empty_like(rows)
        torch.mul(gradients[0], picked == rows[0::2], out=spread[0::2])
        torch.sub(gradients[0], spread[0::2], out=spread[1::2])
        return spread, None


def _convolved(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    image = rows.view(1, 1, *rows.shape).permute(0, 3, 1, 2)
    kernel = weight[:, :, None].to(rows.dtype).contiguous(memory_format=torch.channels_last)
    out = functional.conv2d(image, kernel, bias.to(rows.dtype), padding=(0, weight.shape[2] // 2))
    return out.permute(0, 2, 3, 1).reshape(rows.shape[0], -1)


def _look_up(stem: nn.Conv1d, block: ResidualBlock, windows: Windows, factor: int, dtype: torch.dtype) -> Tensor:
    """(16 P, channels): the stem and the first block's convolution, from a table over distinct k-mers."""

    def table_rows(kmers: Tensor, stem_weight: Tensor, stem_bias: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        one_hot = kmer_one_hot(kmers, stem.kernel_size[0]).to(dtype)
        hidden = functional.linear(one_hot, stem_weight.transpose(1, 2).flatten(1).to(dtype), stem_bias.to(dtype))
        taps = functional.elu(hidden) @ weight.permute(1, 2, 0).flatten(1).to(dtype)
        # The middle tap carries the bias. Entry 0 stands for what lies outside of a window: zero padding.
        taps = taps + functional.pad(bias, (len(bias), len(bias))).to(dtype)
        return taps * (kmers > 0)[:, None]

    cuts = [*range(0, len(windows.distinct), SLICE_KMERS * factor), len(windows.distinct)]
    weights = stem.weight, _bias(stem), block.conv.weight, _bias(block.conv)
    table = in_slices(table_rows, cuts, windows.distinct, *weights)
    return _LookUp.apply(table.view(3 * len(table), -1), windows.kmers)


class _LookUp(torch.autograd.Function):
    """At each base the sum of three rows of the table, one a tap."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, kmers: Tensor) -> Tensor:
        ctx.save_for_backward(kmers)
        ctx.entries = len(table) // 3
        bases = len(kmers) - 2
        index = torch.stack([kmers[tap : bases + tap] * 3 + tap for tap in range(3)], 1).flatten()
        bags = torch.arange(0, 3 * bases, 3, dtype=torch.int32, device=table.device)
        return functional.embedding_bag(index, table, bags, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Sum over the bases that read a row, which sorting the k-mers brings together: no two writers, one order."""
        (kmers,) = ctx.saved_tensors
        (gradient,) = gradients
        counts = torch.bincount(kmers, minlength=ctx.entries)
        order = torch.argsort(kmers, stable=True)[int(counts[0]) :]
        bags = torch.cumsum(counts[1:], 0) - counts[1:]
        table = gradient.new_zeros(ctx.entries, 3, gradient.shape[1])
        for tap in range(3):
            # The row ends on a separator, whose gradient is 0; there goes what would stand before its beginning.
            table[1:, tap] = functional.embedding_bag((order - tap) % len(gradient), gradient, bags, mode="sum")
        return table.flatten(0, 1), None
