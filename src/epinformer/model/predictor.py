"""The predictor: from the promoter's embedding and the gene's own features to expression."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.model.config import ModelConfig


class Predictor(nn.Module):
    """[embedding 64, half-life features 8, promoter activity 1] -> 128 -> 128 -> 1 with ReLU; 26,113 parameters."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(config.width + len(config.gene_features), config.hidden)
        self.hidden2 = nn.Linear(config.hidden, config.hidden)
        self.output = nn.Linear(config.hidden, 1)

    def forward(self, promoter: Tensor, gene_features: Tensor) -> Tensor:
        """Predict (G,) from (G, width) promoter embeddings and (G, f) gene features."""
        hidden = functional.relu(self.hidden1(torch.cat([promoter, gene_features], dim=1)))
        return self.output(functional.relu(self.hidden2(hidden))).squeeze(1)
