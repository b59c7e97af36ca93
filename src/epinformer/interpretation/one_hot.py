"""The networks on one-hot bases, made of modules that DeepLIFT has rules for. Their values are those of the networks.

Each of the six base codes is a letter with a channel of its own, so every sequence is one-hot, also where a base is not
known or there is none. The first convolution gives an N a quarter of each base's weight and no base nothing, as the
encoder does.

Convolutions, linear layers and normalisation outside of training are linear and need no rule. ELU, ReLU and pooling
are modules, each called once in a forward pass. Pooling comes before ELU, as in `ResidualBlock`, at half the cost of
the published order and with the same attributions: of two positions one gets the whole difference of their maximum, and
how much ELU scales it depends on the two maxima alone.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.bases import COMPLEMENT
from epinformer.errors import InputError, ModelError
from epinformer.model.activity import ActivityModel
from epinformer.model.embedding import DilatedBlock, SequenceEmbedding
from epinformer.model.encoder import ResidualBlock, SequenceEncoder, folded_conv
from epinformer.model.epinformer import EPInformer
from epinformer.model.windows import CODES, STRIDE, kept_spans


def one_hot(codes: np.ndarray) -> Tensor:
    """(..., 6, L) int8 of base codes (..., L): channel c is 1 where the code is c."""
    return torch.from_numpy((codes[..., None, :] == np.arange(CODES)[:, None]).astype(np.int8))


class OneHotActivity(nn.Module):
    """`ActivityModel.both_strands` on one-hot windows: (B, 6, length) to (B, 1).

    Parameters
    ----------
    network
        Left as it is: the weights are copied.
    """

    complement: Tensor

    def __init__(self, network: ActivityModel) -> None:
        super().__init__()
        own = copy.deepcopy(network).eval().requires_grad_(False)
        self.strand = nn.Sequential(
            _Encoder(own.encoder),
            nn.Flatten(),
            own.dense1,
            own.norm1,
            nn.ReLU(),
            own.dense2,
            own.norm2,
            nn.ReLU(),
            own.output,
        )
        self.register_buffer("complement", torch.from_numpy(COMPLEMENT.astype(np.int64)))
        self.eval()

    def forward(self, bases: Tensor) -> Tensor:
        """Mean prediction of windows and of their reverse complements.

        The two strands of a window are neighbours, so the first half of what any layer sees belongs to the first half
        of the windows. DeepLIFT expects the references in the second half.
        """
        reverse = bases.flip(2)[:, self.complement]
        both = torch.stack([bases, reverse], 1).flatten(0, 1)
        mean: Tensor = self.strand(both).view(-1, 2).mean(1, keepdim=True)
        return mean


class OneHotExpression(nn.Module):
    """A sequence of given length, centred as `EPInformer` centres it, to what follows from its embedding.

    (B, 6, bases) to what ``rest`` gives, (B, 1). As in `epinformer.model.windows` only positions are computed that the
    bases can change.

    Parameters
    ----------
    network
        Left as it is: the weights are copied.
    bases
        Length of the sequence.
    rest
        From the embedding (B, width) to predictions (B, 1). On the network's device and in evaluation mode.

    Raises
    ------
    ModelError
        The network reads no sequence.
    InputError
        There are no bases, or more than the network reads.
    """

    before: Tensor
    after: Tensor

    def __init__(self, network: EPInformer, bases: int, rest: nn.Module) -> None:
        super().__init__()
        if network.encoder is None or network.embedding is None:
            raise ModelError("reads no sequence, so none can be explained", fix="Take a model that reads bases")
        length = network.encoder.sequence_length
        if not 0 < bases <= length:
            raise InputError(f"a sequence of {bases:,} bases cannot be explained", fix=f"Give 1 to {length:,} bases")
        encoder = copy.deepcopy(network.encoder).eval().requires_grad_(False)
        embedding = copy.deepcopy(network.embedding).eval().requires_grad_(False)
        self.encoder = _Encoder(encoder)
        with torch.no_grad():
            nothing = self.encoder(encoder.stem.weight.new_zeros(1, CODES, length))
        kept = [int(value) for value in kept_spans(torch.tensor([bases]), length)]
        first, last = kept[0], kept[0] + kept[1]
        # One more position on each side, whose neighbours the convolutions' own padding replaces, is computed and
        # dropped, except at the ends of the model's window.
        begin, end = max(first - 1, 0), min(last + 1, encoder.positions)
        start = length // 2 - bases // 2
        self.margin = (start - STRIDE * begin, STRIDE * end - start - bases)
        self.computed = slice(first - begin, last - begin)
        self.register_buffer("before", nothing[:, :, :first])
        self.register_buffer("after", nothing[:, :, last:])
        self.embedding = _embedding(embedding)
        self.rest = Rest(rest)
        self.eval()

    def forward(self, bases: Tensor) -> Tensor:
        """What ``rest`` gives for sequences (B, 6, bases)."""
        # No base is 0 in the first convolution, and so is a sequence without any letter.
        tower = self.encoder(functional.pad(bases, self.margin))[:, :, self.computed]
        before, after = (part.expand(len(bases), -1, -1) for part in (self.before, self.after))
        found: Tensor = self.rest(self.embedding(torch.cat([before, tower, after], 2)))
        return found


class Rest(nn.Module):
    """A module as one layer: its parts are hidden, so that DeepLIFT gives them no rules of their own."""

    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self._whole = (whole,)

    def forward(self, embeddings: Tensor) -> Tensor:
        """What the module gives."""
        found: Tensor = self._whole[0](embeddings)
        return found


class _Encoder(nn.Module):
    """`SequenceEncoder` on one-hot bases: (B, 6, length) to (B, channels, length / 16)."""

    def __init__(self, encoder: SequenceEncoder) -> None:
        super().__init__()
        kernel = encoder.stem.kernel_size[0]
        assert encoder.stem.bias is not None
        weight = encoder.stem.weight
        unknown = weight.mean(1, keepdim=True)
        # "Same" padding of an even kernel puts the smaller half on the left.
        self.pad = nn.ConstantPad1d(((kernel - 1) // 2, kernel // 2), 0.0)
        self.stem = _conv(torch.cat([weight, unknown, torch.zeros_like(unknown)], 1), encoder.stem.bias)
        self.elu = nn.ELU()
        self.blocks = nn.Sequential(*(_Block(block) for block in encoder.residual_blocks()))

    def forward(self, bases: Tensor) -> Tensor:
        tower: Tensor = self.blocks(self.elu(self.stem(self.pad(bases))))
        return tower


class _Block(nn.Module):
    """`ResidualBlock` in evaluation mode: (B, in, positions) to (B, out, positions / 2)."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        assert block.pointwise.bias is not None
        self.pooled = nn.Sequential(
            _conv(*folded_conv(block.conv, block.norm), padding=1),
            nn.MaxPool1d(2),
            nn.ELU(),
        )
        self.added = nn.Sequential(_conv(block.pointwise.weight, block.pointwise.bias), nn.ELU())

    def forward(self, image: Tensor) -> Tensor:
        pooled: Tensor = self.pooled(image)
        return pooled + self.added(pooled)


def _embedding(embedding: SequenceEmbedding) -> nn.Sequential:
    """`SequenceEmbedding` in evaluation mode: (B, channels, positions) to (B, width)."""
    layers: list[nn.Module] = []
    for block in embedding.dilated:
        assert isinstance(block, DilatedBlock)
        layers += [_conv(*folded_conv(block.conv, block.norm), dilation=block.conv.dilation[0]), nn.ELU()]
    layers += [_conv(*folded_conv(embedding.reduce, embedding.reduce_norm)), nn.ELU()]
    return nn.Sequential(*layers, embedding.positions, nn.ELU(), nn.Flatten())


def _conv(weight: Tensor, bias: Tensor, *, padding: int = 0, dilation: int = 1) -> nn.Conv1d:
    conv = nn.Conv1d(weight.shape[1], weight.shape[0], weight.shape[2], padding=padding, dilation=dilation)
    conv.weight, conv.bias = (nn.Parameter(values.detach(), requires_grad=False) for values in (weight, bias))
    return conv
