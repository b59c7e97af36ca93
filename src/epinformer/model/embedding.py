"""From the encoder's 125 positions to one vector per sequence: dilated convolutions and a projection over positions."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.model.config import ModelConfig
from epinformer.model.encoder import folded_conv


class DilatedBlock(nn.Module):
    """Convolution of width 3 without padding, batch normalisation, ELU."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, 3, dilation=dilation)
        self.norm = nn.BatchNorm1d(channels_out)


class SequenceEmbedding(nn.Module):
    """Dilated convolutions over the positions, then a projection.

    Three dilated convolutions to 64 channels (125 -> 121 -> 113 -> 101 positions), one of width 1 to 32 channels, and
    a linear layer over positions (101 -> 2) with ELU, flattened channel by channel to 64 numbers.
    52,076 parameters at the published widths.
    """

    def __init__(self, config: ModelConfig, channels: int, positions: int) -> None:
        super().__init__()
        widths = (channels, *[config.dilated_channels] * len(config.dilations))
        self.dilated = nn.ModuleList(
            DilatedBlock(a, b, d) for a, b, d in zip(widths, widths[1:], config.dilations, strict=False)
        )
        self.reduce = nn.Conv1d(widths[-1], config.reduced_channels, 1)
        self.reduce_norm = nn.BatchNorm1d(config.reduced_channels)
        left = positions - 2 * sum(config.dilations)
        self.positions = nn.Linear(left, config.width // config.reduced_channels)

    def forward(self, tower: Tensor) -> Tensor:
        """Embed sequences: (S, positions, channels) in, (S, width) out."""
        image = tower[:, None].permute(0, 3, 1, 2)
        for block in self.dilated:
            dilated = cast(DilatedBlock, block)
            image = _layer(image, dilated.conv, dilated.norm)
        image = _layer(image, self.reduce, self.reduce_norm)
        weight, bias = self.positions.weight.to(image.dtype), self.positions.bias.to(image.dtype)
        return functional.elu(functional.linear(image[:, :, 0], weight, bias)).flatten(1)


def _layer(image: Tensor, conv: nn.Conv1d, norm: nn.BatchNorm1d) -> Tensor:
    """Convolution, batch normalisation and ELU of (S, in, 1, positions), channels last in memory."""
    weight, bias = folded_conv(conv, norm)
    kernel = weight[:, :, None].to(image.dtype).contiguous(memory_format=torch.channels_last)
    image = functional.conv2d(image, kernel, bias.to(image.dtype), dilation=(1, conv.dilation[0]))
    if norm.training:
        image = _normalised(image, norm)
    return functional.elu(image, inplace=True)


def _normalised(image: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Batch normalisation in training, which `norm` itself would do after copying the image into another layout."""
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    momentum = 0.1 if norm.momentum is None else norm.momentum
    return functional.batch_norm(
        image, norm.running_mean, norm.running_var, norm.weight, norm.bias, True, momentum, norm.eps
    )
