"""Features on one scale: centred and scaled by what the training genes were like."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# In standard deviations: an input far outside of what was trained on must not carry the prediction off with it.
_FARTHEST = 10.0


class Standardiser(nn.Module):
    """(x - mean) / scale, at most 10 either way; mean and scale are buffers, and so part of a model's weights."""

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def fit(self, values: Tensor) -> None:
        """Take mean and standard deviation of (n, features) values; a constant feature keeps the scale 1."""
        if len(values) == 0:
            return
        # In double precision: the mean of a million large values must not drown their differences.
        deviation, mean = torch.std_mean(values.double(), 0, correction=0)
        deviation[deviation <= 1e-6 * mean.abs().clamp(min=1e-6)] = 1.0
        self.mean.copy_(mean)
        self.scale.copy_(deviation)

    def forward(self, values: Tensor) -> Tensor:
        """Standardise (n, features) values."""
        return ((values - self.mean) / self.scale).clamp(-_FARTHEST, _FARTHEST)
