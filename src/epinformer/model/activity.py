"""The enhancer-activity model: 256 bp of sequence to activity."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.bases import COMPLEMENT
from epinformer.model.config import ModelConfig
from epinformer.model.encoder import SequenceEncoder


class ActivityModel(nn.Module):
    """The expression model's encoder on 256 bp and three dense layers.

    2,048 -> 256 -> 256 -> 1 with batch normalisation, ReLU and dropout 0.1; 802,305 parameters in all. Predicts
    log2(0.1 + activity) (paper, Methods, "Model architecture").
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = SequenceEncoder(config)
        self.dense1 = nn.Linear(self.encoder.channels * self.encoder.positions, config.hidden)
        self.norm1 = nn.BatchNorm1d(config.hidden)
        self.dense2 = nn.Linear(config.hidden, config.hidden)
        self.norm2 = nn.BatchNorm1d(config.hidden)
        self.output = nn.Linear(config.hidden, 1)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, codes: Tensor, lengths: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Predict the activity of S sequences.

        Parameters
        ----------
        codes
            (bases,) uint8: the sequences one after the other; A0 C1 G2 T3, N 4, no base 5.
        lengths
            (S,) int64: bases of each sequence, at most 256; shorter ones are centred.
        dtype
            Type of the encoder's arithmetic, float32 or bfloat16.

        Returns
        -------
        Tensor
            (S,) float32, on the scale of the model's target.
        """
        towers = [encoded.tower for encoded in self.encoder(codes, lengths, dtype=dtype)]
        # The last tower is that of no sequence. The published layer reads 128 x 16 channel by channel.
        hidden = torch.cat(towers)[:-1].float().transpose(1, 2).flatten(1)
        hidden = self.dropout(functional.relu(self.norm1(self.dense1(hidden))))
        hidden = self.dropout(functional.relu(self.norm2(self.dense2(hidden))))
        return self.output(hidden).squeeze(1)

    def both_strands(self, codes: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Mean prediction (S,) of whole windows (S, length) uint8 and of their reverse complements."""
        complement = torch.as_tensor(COMPLEMENT, device=codes.device)
        strands = torch.cat([codes, complement[codes.flip(1).long()]])
        lengths = torch.full((len(strands),), codes.shape[1], dtype=torch.int64, device=codes.device)
        return self(strands.flatten(), lengths, dtype=dtype).view(2, -1).mean(0)
