"""The encoder on every single-base mutant of sequences: only what a base can change is computed.

A base changes a handful of each layer's positions, at most four of the last one's. The unmutated sequence is encoded
once, layer by layer, and of a mutant each layer computes the changed positions alone. A convolution is linear, so the
mutant's is the unmutated sequence's plus that of the difference of their inputs. Nothing is approximated.

Which positions these are depends on where the base stands within the 16 bp of an output position, its phase. All
mutants of one phase are computed together: their changed positions have the same number and lie 16 bp apart, so that
the unmutated values beside them are a view, not a copy. Tensors have the positions first, which makes every tap of a
convolution one product of matrices without copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from epinformer.bases import NO_BASE
from epinformer.errors import ModelError
from epinformer.model.encoder import SequenceEncoder, folded_conv
from epinformer.model.windows import CODES, STRIDE, kmer_numbers, ranked

MARGIN = 2 * STRIDE
"""Bases on either side of a frame for which layers are stored too, so that every view of what a base changes exists."""

SUBSTITUTIONS = 3
"""Bases that can take the place of one."""

Span = tuple[int, int]
"""Positions ``[begin, end)``, counted from where a place of 16 bp begins in the layer in question."""

# Frames whose k-mers are marked at a time.
_MARKED_FRAMES = 64


class Layer(NamedTuple):
    """A block's weights: taps (3, in, out) and bias of its convolution, matrix (out, out) and bias of the pointwise."""

    taps: Tensor
    bias: Tensor
    matrix: Tensor
    matrix_bias: Tensor


class Response(NamedTuple):
    """What the encoder computes of R unmutated frames, with a margin of empty positions on either side.

    Attributes
    ----------
    codes
        (length, R) uint8.
    numbers
        (length + 2 MARGIN + 2, R) int32: the k-mer at each base as in `windows.kmer_numbers`; 0 outside of the frame.
    convolutions
        Of each block but the first, (positions, R, channels): its convolution's output before pooling.
    outputs
        Of each block, (positions, R, channels): its output; 0 outside of the frame.
    """

    codes: Tensor
    numbers: Tensor
    convolutions: list[Tensor]
    outputs: list[Tensor]

    @property
    def tower(self) -> Tensor:
        """(positions, R, channels): the last block's output, without margin."""
        margin = MARGIN // STRIDE
        return self.outputs[-1][margin:-margin]


class Change(NamedTuple):
    """How the encoder's output changes when bases of one phase are substituted.

    Attributes
    ----------
    phase
        Where the bases stand within their places of 16 bp.
    bases
        (K, R, 3) uint8: the substitutes of the bases at ``phase + 16 k`` for the K places k in question. Where the
        frame has none of A, C, G and T nothing changes, and they mean nothing.
    first
        What is changed at place k are n positions from ``k + first``; those beyond the frame do not change.
    delta
        (n, K, R, 3, channels): mutant minus unmutated.
    """

    phase: int
    bases: Tensor
    first: int
    delta: Tensor


class MutantEncoder:
    """The encoder of a network in evaluation mode, ready for the mutants of some frames.

    Parameters
    ----------
    encoder
        The network's encoder.
    frames
        (R, length) uint8: whole frames of the encoder's ``sequence_length``; A0 C1 G2 T3, N 4, no base 5. Only these,
        or some of their rows, can be asked for afterwards.
    dtype
        Type of the arithmetic, float32 or bfloat16.

    Raises
    ------
    ModelError
        The encoder is in training mode, where batch normalisation depends on what else is computed.
    """

    def __init__(self, encoder: SequenceEncoder, frames: Tensor, *, dtype: torch.dtype = torch.float32) -> None:
        blocks = encoder.residual_blocks()
        if any(block.norm.training for block in blocks):
            raise ModelError("is in training mode, in which it has no mutants", fix="Call its eval() before")
        self._kernel = encoder.stem.kernel_size[0]
        self._layers = []
        for block in blocks:
            weight, bias = folded_conv(block.conv, block.norm)
            assert block.pointwise.bias is not None
            layer = (weight.permute(2, 1, 0), bias, block.pointwise.weight[:, :, 0].T, block.pointwise.bias)
            self._layers.append(Layer(*(part.to(dtype).contiguous() for part in layer)))
        present = torch.zeros(CODES**self._kernel + 1, dtype=torch.bool, device=frames.device)
        present[0] = True
        for some in frames.split(_MARKED_FRAMES):
            self._mark(self._numbers(some.T), present)
        self._rank, distinct = ranked(present)
        self._table = encoder.kmer_table(distinct, dtype)

    def response(self, frames: Tensor) -> Response:
        """Encode frames (R, length) as they are."""
        codes = frames.T.contiguous()
        numbers = self._numbers(codes)
        convolutions: list[Tensor] = []
        outputs: list[Tensor] = []
        row = self._first_convolution(numbers)
        for block, layer in enumerate(self._layers):
            if block > 0:
                row = layer.bias.expand(*outputs[-1].shape[:2], -1).contiguous()
                convolve(row[1:], outputs[-1][:-1], layer.taps[0])
                convolve(row, outputs[-1], layer.taps[1])
                convolve(row[:-1], outputs[-1][1:], layer.taps[2])
                convolutions.append(row)
            row = _pooled(row, layer)
            margin = MARGIN >> (block + 1)
            row[:margin], row[-margin:] = 0, 0
            outputs.append(row)
        return Response(codes, numbers, convolutions, outputs)

    def changes(self, response: Response, begin: int, end: int) -> Iterator[Change]:
        """What substitutions of the bases ``[16 begin, 16 end)`` of the frames change, phase by phase.

        Parameters
        ----------
        response
            Of the unmutated frames.
        begin, end
            Places, 16 bp each; K of them.
        """
        for phase, (spans, first) in enumerate(geometry(self._kernel)):
            numbers, bases = self._mutated_numbers(response, phase, spans[0], begin, end)
            row = self._first_convolution(numbers)
            delta = row  # the first block starts from k-mers, not from a difference
            for block, (layer, span) in enumerate(zip(self._layers, spans, strict=True)):
                step = STRIDE >> block
                if block > 0:
                    row = before_change(response.convolutions[block - 1], MARGIN >> block, step, span, begin, end)
                    # Tap 1 of the output at a position sees that position, tap 0 the one before, tap 2 the one after.
                    offset = spans[block - 1][0] // 2 - span[0]
                    for tap, weight in enumerate(layer.taps):
                        place = offset + 1 - tap
                        convolve(row[place : place + len(delta)], delta, weight)
                row = _pooled(row, layer)
                half = (span[0] // 2, span[1] // 2)
                before = at_places(response.outputs[block], MARGIN >> (block + 1), step // 2, half, begin, end)
                delta = row.sub_(before.unsqueeze(3))
                _forget_outside(delta, half[0], step // 2, begin, len(response.codes) >> (block + 1))
            yield Change(phase, bases, first, delta)

    def _numbers(self, codes: Tensor) -> Tensor:
        """`Response.numbers` of codes (length, R)."""
        left = (self._kernel - 1) // 2
        beside = (0, 0, left, self._kernel - 1 - left)
        inside = kmer_numbers(functional.pad(codes, beside, value=NO_BASE), self._kernel)
        return functional.pad(inside, (0, 0, MARGIN + 1, MARGIN + 1))

    def _mark(self, numbers: Tensor, present: Tensor) -> None:
        """Mark the k-mers of frames and of all their mutants."""
        present[numbers] = True
        for step in range(self._kernel):
            weight = CODES ** (self._kernel - 1 - step)
            digit = torch.div(numbers - 1, weight, rounding_mode="floor") % CODES
            known = (digit < 4) & (numbers > 0)
            without = numbers[known] - digit[known] * weight
            for base in range(4):
                present[without + base * weight] = True

    def _mutated_numbers(
        self, response: Response, phase: int, span: Span, begin: int, end: int
    ) -> tuple[Tensor, Tensor]:
        """K-mers (n, K, R, 3) of mutants that the first convolution's ``span`` sees, and `Change.bases`."""
        own = response.codes[phase::STRIDE][begin:end, :, None]
        bases = (own + torch.arange(1, 1 + SUBSTITUTIONS, dtype=torch.uint8, device=own.device)) % 4
        numbers = at_places(response.numbers, MARGIN + 1, STRIDE, (span[0] - 1, span[1] + 1), begin, end)
        # The base at p is digit p - i + left of the k-mer at i, counted from the left.
        places = torch.arange(span[0] - 1, span[1] + 1, device=own.device)
        digit = phase - places + (self._kernel - 1) // 2
        weight = torch.where((digit >= 0) & (digit < self._kernel), CODES ** (self._kernel - 1 - digit).clamp(min=0), 0)
        added = torch.where(own < 4, bases.int() - own.int(), 0)
        inside = (numbers > 0).int() * weight.int()[:, None, None]
        return numbers[..., None] + inside[..., None] * added, bases

    def _first_convolution(self, numbers: Tensor) -> Tensor:
        """(n, ..., channels): the first block's convolution at (n + 2, ...) k-mers but the first and the last."""
        index = self._rank[numbers] * 3
        count = len(index) - 2
        bags = torch.stack([index[tap : tap + count] + tap for tap in range(3)], -1).view(-1, 3)
        row = functional.embedding_bag(bags, self._table, mode="sum")
        return row.view(count, *numbers.shape[1:], -1)


def geometry(kernel: int) -> Iterator[tuple[list[Span], int]]:
    """For each of the 16 phases what the base there changes, for a first convolution of width ``kernel``.

    Yields
    ------
    spans, first
        Of each block the outputs of its convolution that the base can change, with those that are pooled with them;
        and the first changed position of the last block's output, counted from the place that holds the base.
    """
    left = (kernel - 1) // 2
    for phase in range(STRIDE):
        begin, end = phase - (kernel - 1 - left), phase + left + 1
        spans = []
        for _ in range(4):
            begin, end = (begin - 1) // 2 * 2, (end + 2) // 2 * 2
            spans.append((begin, end))
            begin, end = begin // 2, end // 2
        yield spans, begin


def at_places(row: Tensor, margin: int, step: int, span: Span, begin: int, end: int) -> Tensor:
    """(n, K, ...): positions ``step k + span`` of the places k in ``[begin, end)``, a view of a row with a margin."""
    first = margin + span[0] + step * begin
    return row[first:].unfold(0, span[1] - span[0], step)[: end - begin].movedim(-1, 0)


def before_change(row: Tensor, margin: int, step: int, span: Span, begin: int, end: int) -> Tensor:
    """(n, K, R, 3, channels): the same once for every substitution, in memory of its own."""
    return at_places(row, margin, step, span, begin, end).unsqueeze(3).repeat(1, 1, 1, SUBSTITUTIONS, 1)


def convolve(row: Tensor, delta: Tensor, weight: Tensor) -> None:
    """Add ``delta`` (..., in) times ``weight`` (in, out) to the contiguous ``row`` (..., out)."""
    row.view(-1, row.shape[-1]).addmm_(delta.view(-1, delta.shape[-1]), weight)


def _pooled(row: Tensor, layer: Layer) -> Tensor:
    """What a block does after its convolution: (2 n, ..., channels) in, (n, ..., channels) out."""
    row = functional.elu(torch.maximum(row[0::2], row[1::2]), inplace=True)
    more = torch.addmm(layer.matrix_bias, row.view(-1, row.shape[-1]), layer.matrix)
    return functional.elu(more, inplace=True).view(row.shape).add_(row)


def _forget_outside(delta: Tensor, first: int, step: int, begin: int, positions: int) -> None:
    """Set to 0 what was computed of positions beyond the frame's ends, where the next convolution sees its zeros."""
    place = torch.arange(begin, begin + delta.shape[1])
    position = first + torch.arange(len(delta))[:, None] + step * place
    for n, k in ((position < 0) | (position >= positions)).nonzero().tolist():
        delta[n, k] = 0
