"""The sequence encoder: a stem convolution and four residual, pooling blocks; 2,000 bp to 125 positions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.model.config import ModelConfig
from epinformer.model.training_row import encode_row
from epinformer.model.windows import STRIDE, Windows, kept_positions, kmer_one_hot, lay_out, runs

RUN_BASES = 32_768
"""Bases encoded at a time: large enough for full convolution speed, small enough to stay in the processor's cache."""

RUN_BASES_CUDA = 1_048_576
"""The same on a GPU, which has no use for small pieces."""


class ResidualBlock(nn.Module):
    """Convolution of width 3, batch normalisation, pooling by 2 and ELU; then ``x + ELU(1x1 convolution of x)``.

    ELU grows with its input, so pooling before it gives the same values as the published order at half the cost.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, 3, padding=1)
        self.norm = nn.BatchNorm1d(channels_out)
        self.pointwise = nn.Conv1d(channels_out, channels_out, 1)


class Encoded(NamedTuple):
    """What the encoder yields for a run of sequences ``[begin, end)``: tower (end - begin, positions, channels)."""

    begin: int
    end: int
    tower: Tensor


class SequenceEncoder(nn.Module):
    """Stem convolution (4 -> 256, width 8, ELU) and four `ResidualBlock` (128, 64, 64, 128 channels).

    210,688 parameters at the published widths. Sequences come as ragged base codes and only the positions that their
    bases can change are computed (see `windows`); in evaluation mode the result equals the published padded
    computation to rounding. In training mode batch normalisation sees the computed positions only, where the authors'
    also sees padding, so there the two differ.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.sequence_length = config.sequence_length
        self.positions = config.sequence_length // STRIDE
        self.stem = nn.Conv1d(4, config.stem_channels, config.stem_kernel)
        widths = (config.stem_channels, *config.block_channels)
        self.blocks = nn.ModuleList(ResidualBlock(a, b) for a, b in itertools.pairwise(widths))
        self.channels = widths[-1]

    def residual_blocks(self) -> list[ResidualBlock]:
        """The four blocks, in the order in which a sequence passes them."""
        return [cast(ResidualBlock, block) for block in self.blocks]

    def forward(self, codes: Tensor, lengths: Tensor, *, dtype: torch.dtype = torch.float32) -> Iterator[Encoded]:
        """Encode ragged sequences, a run at a time, and after them a sequence without bases.

        Parameters
        ----------
        codes
            (bases,) uint8: the sequences one after the other; A0 C1 G2 T3, N 4, no base 5.
        lengths
            (S,) int64: bases of each sequence.
        dtype
            Type of the arithmetic: float32 or bfloat16.

        Yields
        ------
        Encoded
            In order, sequence S being the empty one; all in one run while training, because batch normalisation must
            see the whole batch.
        """
        windows = lay_out(codes, lengths, self.sequence_length, self.stem.kernel_size[0])
        edges = windows.offset.tolist()
        count = len(lengths)
        if any(block.norm.training for block in self.residual_blocks()):
            row = encode_row(self.stem, self.residual_blocks(), windows, edges, dtype)
            empty = row[edges[count] : edges[count] + self.positions]
            yield self._placed(windows, 0, count + 1, row, empty)
            return
        table = self.kmer_table(windows.distinct, dtype)
        empty = self._tower(windows, edges[count:], table)[: self.positions]
        bases = RUN_BASES_CUDA if codes.is_cuda else RUN_BASES
        for begin, end in runs(edges[: count + 1], bases):
            yield self._placed(windows, begin, end, self._tower(windows, edges[begin : end + 1], table), empty)
        yield Encoded(count, count + 1, empty[None])

    def _placed(self, windows: Windows, begin: int, end: int, row: Tensor, empty: Tensor) -> Encoded:
        """Put the computed positions of windows ``[begin, end)`` where they belong in the response to nothing."""
        sequence, position, source = kept_positions(windows.first[begin:end], windows.size[begin:end], self.positions)
        tower = empty.repeat(end - begin, 1)
        tower = tower.index_copy(0, sequence * self.positions + position, row[source])
        return Encoded(begin, end, tower.view(end - begin, self.positions, self.channels))

    def kmer_table(self, distinct: Tensor, dtype: torch.dtype) -> Tensor:
        """(3 U, channels): what each distinct k-mer adds to the first block's convolution through each of its taps.

        Row ``3 u + t`` is tap t's weights times the stem's output at k-mer u; the middle tap also carries the bias.
        """
        kernel = self.stem.kernel_size[0]
        stem_weight = self.stem.weight.permute(2, 1, 0).reshape(kernel * 4, -1)
        assert self.stem.bias is not None
        stem = torch.addmm(self.stem.bias, kmer_one_hot(distinct, kernel).to(stem_weight), stem_weight)

        weight, bias = folded_conv(self.residual_blocks()[0].conv, self.residual_blocks()[0].norm)
        table = functional.elu(stem, inplace=True) @ weight.permute(1, 2, 0).flatten(1)
        taps = table.view(len(distinct), 3, -1)
        taps[:, 1] += bias
        # Entry 0 stands for what lies outside of a window, where a convolution sees its own zero padding.
        taps[0] = 0
        return taps.flatten(0, 1).to(dtype)

    def _tower(self, windows: Windows, edges: list[int], table: Tensor) -> Tensor:
        """(P, channels): the last block's output over the consecutive windows between ``edges``, with separators."""
        first, last = edges[0], edges[-1]
        separators = torch.tensor(edges[1:], device=table.device) - 1 - first
        bases = slice(first * STRIDE, last * STRIDE)
        kmers = [windows.kmers[bases.start + tap : bases.stop + tap] * 3 + tap for tap in range(3)]
        bags = torch.arange(0, 3 * (bases.stop - bases.start), 3, dtype=torch.int32, device=table.device)
        row = functional.embedding_bag(torch.stack(kmers, 1).flatten(), table, bags, mode="sum")
        for index, block in enumerate(self.residual_blocks()):
            if index > 0:
                row.view(last - first, -1, row.shape[-1]).index_fill_(0, separators, 0)
                weight, bias = folded_conv(block.conv, block.norm)
                row = _conv(row, weight, bias)
            row = functional.elu(torch.maximum(row[0::2], row[1::2]), inplace=True)
            assert block.pointwise.bias is not None
            row = row + functional.elu(_conv(row, block.pointwise.weight, block.pointwise.bias), inplace=True)
        return row


def folded_conv(conv: nn.Conv1d, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Weight (out, in, width) and bias (out,) of a convolution with the normalisation after it folded in.

    While the normalisation is training it cannot be folded and the convolution's own values are returned.
    """
    assert conv.bias is not None
    if norm.training:
        return conv.weight, conv.bias
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return conv.weight * scale[:, None, None], (conv.bias - norm.running_mean) * scale + norm.bias


def _conv(row: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve a row (positions, in) to (positions, out) with zero padding, channels last in memory throughout."""
    image = row.view(1, 1, *row.shape).permute(0, 3, 1, 2)
    kernel = weight[:, :, None].to(row.dtype).contiguous(memory_format=torch.channels_last)
    out = functional.conv2d(image, kernel, bias.to(row.dtype), padding=(0, weight.shape[2] // 2))
    return out.permute(0, 2, 3, 1).reshape(row.shape[0], -1)
