"""The interaction encoder: a promoter attends to its elements, an element to its promoter and itself.

The published attention masks everything else, so it is a star, and no (elements x elements) matrix is needed: the
promoter's row is one softmax over its gene's rows, and an element's row is a choice between two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from epinformer.model.config import ModelConfig


class StarAttentionLayer(nn.Module):
    """Pre-norm multi-head attention with residual, then LayerNorm, 64 -> 256 -> 64 with ReLU, with residual."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.attention_output = nn.Linear(config.width, config.width)
        self.feedforward_norm = nn.LayerNorm(config.width)
        self.expand = nn.Linear(config.width, config.feedforward)
        self.contract = nn.Linear(config.feedforward, config.width)

    def forward(
        self, rows: Tensor, gene: Tensor, promoter: Tensor, slots: Tensor, *, promoters_only: bool = False
    ) -> tuple[Tensor, Tensor]:
        """One layer over the rows of G genes.

        Parameters
        ----------
        rows
            (N, width): promoters and elements of all genes.
        gene
            (N,) int64: gene of each row.
        promoter
            (G,) int64: row of each gene's promoter.
        slots
            (G, R) int64: the rows of each gene, -1 where there is none.
        promoters_only
            Return the promoters' rows only, as suffices after the last layer.

        Returns
        -------
        rows
            (N, width), or (G, width) with ``promoters_only``.
        attention
            (G, heads, R): the promoter's attention to each of its gene's rows; 0 where there is none.
        """
        query, key, value = self.qkv(self.attention_norm(rows)).unflatten(1, (3, self.heads, -1)).unbind(1)
        genes = len(promoter)
        scale = 1.0 / math.sqrt(query.shape[-1])
        # The softmax of a gene is over as many rows as it has: nothing is padded until the attention is shown.
        asked = query.index_select(0, promoter)
        scores = (asked.index_select(0, gene) * key).sum(-1) * scale
        index, absent = slots.clamp(min=0), (slots < 0)[..., None]
        largest = scores.detach()[index].masked_fill(absent, float("-inf")).amax(1)
        share = torch.exp(scores - largest.index_select(0, gene))
        total = share.new_zeros(genes, self.heads).index_add(0, gene, share)
        share = share / total.index_select(0, gene)
        to_promoters = value.new_zeros(genes, *value.shape[1:]).index_add(0, gene, share[..., None] * value)
        attention = share[index].masked_fill(absent, 0.0).transpose(1, 2)
        if promoters_only:
            kept = rows.index_select(0, promoter) + self.attention_output(to_promoters.flatten(1))
            return self._feedforward(kept), attention

        # Of two keys, the softmax is the logistic function of the difference of their scores.
        of_promoter = torch.stack([key, value]).index_select(1, promoter).index_select(1, gene)
        difference = (query * (key - of_promoter[0])).sum(-1, keepdim=True) * scale
        own = torch.sigmoid(difference)
        attended = own * value + (1 - own) * of_promoter[1]
        attended = attended.index_copy(0, promoter, to_promoters)
        return self._feedforward(rows + self.attention_output(attended.flatten(1))), attention

    def _feedforward(self, rows: Tensor) -> Tensor:
        return rows + self.contract(functional.relu(self.expand(self.feedforward_norm(rows))))


class Interaction(nn.Module):
    """Three `StarAttentionLayer`; 149,952 parameters at the published widths."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(StarAttentionLayer(config) for _ in range(config.layers))

    def forward(self, rows: Tensor, gene: Tensor, promoter: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Promoter embeddings after the last layer, (G, width), and attention, (layers, G, heads, R)."""
        attentions = []
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            rows, attention = layer(rows, gene, promoter, slots, promoters_only=index == last)
            attentions.append(attention)
        return rows, torch.stack(attentions)
