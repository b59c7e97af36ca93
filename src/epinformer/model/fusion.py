"""The fusion layer: a sequence's embedding and the signals of its pair become one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.model.config import ModelConfig


class Fusion(nn.Module):
    """Concatenate the pair's features to the embedding, then two linear layers with ReLU.

    8,512 parameters at three features. The paper's 1x1 convolutions are these linear layers.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(config.width + len(config.pair_features), config.width)
        self.output = nn.Linear(config.width, config.width)

    def forward(self, embedding: Tensor, pair_features: Tensor) -> Tensor:
        """Fuse (N, width) embeddings with (N, k) features, 0 for promoters, to (N, width)."""
        fused = functional.relu(self.hidden(torch.cat([embedding, pair_features], dim=1)))
        return functional.relu(self.output(fused))
