"""What follows the encoder on every single-base mutant: dense layers to activity, dilated convolutions to an embedding.

As in `mutants`, the unmutated sequence is computed once, and of a mutant only what differs.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.bases import NO_BASE
from epinformer.errors import ModelError
from epinformer.model.activity import ActivityModel
from epinformer.model.embedding import DilatedBlock, SequenceEmbedding
from epinformer.model.encoder import folded_conv
from epinformer.model.epinformer import EPInformer
from epinformer.model.mutants import MARGIN, SUBSTITUTIONS, Change, MutantEncoder, at_places, before_change, convolve
from epinformer.model.windows import STRIDE


class ActivityMutants:
    """The enhancer-activity model, ready for the mutants of some windows.

    Parameters
    ----------
    network
        In evaluation mode.
    frames
        (R, length) uint8: whole windows of the model; only these, or some of them, can be asked for afterwards.
    dtype
        Type of the encoder's arithmetic.

    Raises
    ------
    ModelError
        The network is in training mode.
    """

    def __init__(self, network: ActivityModel, frames: Tensor, *, dtype: torch.dtype = torch.float32) -> None:
        self._encoder = MutantEncoder(network.encoder, frames, dtype=dtype)
        weight, self._bias1 = _folded_linear(network.dense1, network.norm1)
        # The published layer reads its input channel by channel; here it is (positions, channels, hidden).
        self._weight1 = weight.view(len(weight), network.encoder.channels, -1).permute(2, 1, 0).contiguous()
        self._margin = MARGIN // STRIDE
        self._padded1 = functional.pad(self._weight1, (0, 0, 0, 0, self._margin, self._margin))
        weight, self._bias2 = _folded_linear(network.dense2, network.norm2)
        self._weight2 = weight.T.contiguous()
        self._output = network.output

    def __call__(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Predict frames (R, length) and their mutants, as they stand: not both strands.

        Returns
        -------
        predicted
            (R,) float32.
        mutants
            (R, 4, length) float32: with each base at each position; where the frame has that base, or none of the
            four, the frame's own.
        """
        response = self._encoder.response(frames)
        hidden = torch.addmm(
            self._bias1, response.tower.transpose(0, 1).flatten(1).float(), self._weight1.flatten(0, 1)
        )
        predicted = self._rest(hidden)
        places = frames.shape[1] // STRIDE
        mutants = predicted.expand(4, frames.shape[1], -1).clone()
        for change in self._encoder.changes(response, 0, places):
            changed = hidden.repeat_interleave(SUBSTITUTIONS, 0).repeat(places, 1, 1)
            for position, part in enumerate(change.delta.float().flatten(2, 3)):
                first = self._margin + change.first + position
                changed.baddbmm_(part, self._padded1[first : first + places])
            _place(mutants, change, self._rest(changed).view(change.bases.shape))
        known = (frames < 4).T
        return predicted, torch.where(known, mutants, predicted).permute(2, 0, 1)

    def _rest(self, hidden: Tensor) -> Tensor:
        hidden = functional.relu(torch.matmul(functional.relu(hidden), self._weight2).add_(self._bias2))
        return self._output(hidden).squeeze(-1)


class EmbeddingLayer(NamedTuple):
    """A convolution over positions without padding: taps (t, in, out), bias (out,) and dilation."""

    taps: Tensor
    bias: Tensor
    dilation: int

    @property
    def reach(self) -> int:
        """Positions after its own that an output sees."""
        return self.dilation * (len(self.taps) - 1)


def embedding_mutants(network: EPInformer, codes: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Embeddings of every single-base mutant of a sequence.

    Parameters
    ----------
    network
        In evaluation mode.
    codes
        (bases,) uint8: 1 to 2,000 bp, which are centred as the model centres them.
    dtype
        Type of the arithmetic.

    Returns
    -------
    Tensor
        (4, bases, width) float32: with each base at each position; where the sequence has that base, or none of the
        four, its own.

    Raises
    ------
    ModelError
        The network reads no sequence, or is in training mode.
    """
    if network.encoder is None or network.embedding is None:
        raise ModelError("reads no sequence and has no mutants", fix="Use a model with sequence")
    length, bases = network.encoder.sequence_length, len(codes)
    start = length // 2 - bases // 2
    frame = functional.pad(codes, (start, length - start - bases), value=NO_BASE)[None]
    encoder = MutantEncoder(network.encoder, frame, dtype=dtype)
    response = encoder.response(frame)
    layers = _embedding_layers(network.embedding, dtype)
    # What a base changes reaches as far back as the convolutions are wide; so far everything is stored, as zeros.
    margin = MARGIN // STRIDE + sum(layer.reach for layer in layers)
    sums, outputs = _embedded(layers, response.tower, margin)
    positions = network.embedding.positions
    weight, bias = positions.weight.to(dtype), positions.bias.to(dtype)
    left = positions.in_features
    own = functional.linear(outputs[-1][margin : margin + left].permute(1, 2, 0), weight, bias)
    weight = functional.pad(weight.T, (0, 0, margin, len(outputs[-1]) - margin - left))

    embedded = functional.elu(own).flatten(1).float()
    mutants = embedded.expand(4, length, 1, -1).clone()
    begin, end = start // STRIDE, -(-(start + bases) // STRIDE)
    for change in encoder.changes(response, begin, end):
        delta, span = change.delta, (change.first, change.first + len(change.delta))
        for layer, before, after in zip(layers, sums, outputs, strict=True):
            span = (span[0] - layer.reach, span[1])
            row = before_change(before, margin, 1, span, begin, end)
            for tap, kernel in enumerate(layer.taps):
                place = layer.reach - tap * layer.dilation
                convolve(row[place : place + len(delta)], delta, kernel)
            delta = functional.elu(row, inplace=True).sub_(at_places(after, margin, 1, span, begin, end).unsqueeze(3))
        columns = delta.permute(1, 2, 3, 4, 0)
        added = columns.flatten(1, 3) @ at_places(weight, margin, 1, span, begin, end).transpose(0, 1)
        changed = functional.elu(own[:, None] + added.view(*columns.shape[:-1], -1)).flatten(-2)
        _place(mutants[:, STRIDE * begin : STRIDE * end], change, changed.float())
    known = (codes < 4)[:, None]
    return torch.where(known, mutants[:, start : start + bases, 0], embedded)


def _place(mutants: Tensor, change: Change, values: Tensor) -> None:
    """Put what was found (K, R, 3, ...) for the mutants of a change where it belongs in (4, 16 K, R, ...)."""
    values = values.movedim(2, 0)
    index = change.bases.movedim(2, 0).long()
    index = index.view(*index.shape, *[1] * (values.dim() - 3)).expand_as(values)
    mutants[:, change.phase :: STRIDE].scatter_(0, index, values)


def _folded_linear(linear: nn.Linear, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) of a layer with the normalisation after it folded in."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return linear.weight * scale[:, None], (linear.bias - norm.running_mean) * scale + norm.bias


def _embedding_layers(embedding: SequenceEmbedding, dtype: torch.dtype) -> list[EmbeddingLayer]:
    pairs = [(cast(DilatedBlock, block).conv, cast(DilatedBlock, block).norm) for block in embedding.dilated]
    layers = []
    for conv, norm in (*pairs, (embedding.reduce, embedding.reduce_norm)):
        weight, bias = folded_conv(conv, norm)
        layers.append(EmbeddingLayer(weight.permute(2, 1, 0).to(dtype).contiguous(), bias.to(dtype), conv.dilation[0]))
    return layers


def _embedded(layers: list[EmbeddingLayer], tower: Tensor, margin: int) -> tuple[list[Tensor], list[Tensor]]:
    """Each layer's sums and outputs on the unmutated tower (positions, R, channels), between margins of zeros.

    A layer has fewer positions than the one before; all begin at ``margin``, and what lies behind is 0 as well.
    """
    sums, outputs = [], []
    row, total = tower, len(tower) + 2 * margin
    for layer in layers:
        count = len(row) - layer.reach
        found = layer.bias.expand(count, row.shape[1], -1).contiguous()
        for tap, kernel in enumerate(layer.taps):
            convolve(found, row[tap * layer.dilation : tap * layer.dilation + count], kernel)
        row = functional.elu(found)
        beside = (0, 0, 0, 0, margin, total - margin - count)
        sums.append(functional.pad(found, beside))
        outputs.append(functional.pad(row, beside))
    return sums, outputs
