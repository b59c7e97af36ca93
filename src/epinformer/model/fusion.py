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
        embedding = config.width if config.sequence == "bases" else 0
        self.hidden = nn.Linear(embedding + len(config.pair_features), config.width)
        self.output = nn.Linear(config.width, config.width)

    def forward(self, embedding: Tensor, pair_features: Tensor, more: Tensor | None = None) -> Tensor:
        """Fuse each row's parts into one vector, (N, width).

        Parameters
        ----------
        embedding
            (N, width), or (N, 0) without sequence.
        pair_features
            (N, k), 0 for promoters.
        more
            (N, width), added before the first ReLU: what promoters have instead of pair features.
        """
        hidden = self.hidden(torch.cat([embedding, pair_features], dim=1))
        hidden = functional.relu(hidden if more is None else hidden + more)
        return functional.relu(self.output(hidden))
