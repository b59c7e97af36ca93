"""The published computation as plainly as it can be written: 61 x 2,000 one-hot positions for every gene.

It shares nothing with the package but the weights. The tests hold the package against it, and the benchmarks measure
how much time and memory the package saves.

It computes as the model's mode says: in training mode batch normalisation takes, and updates, the statistics of
everything it sees, all the padding included, as the authors' training does. Gradients reach the model's parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

ROWS = 61
LENGTH = 2000


class PaddedOutput(NamedTuple):
    """prediction (G,), attention (layers, G, 61, 61) averaged over heads, embedding (G, 61, 64)."""

    prediction: Tensor
    attention: Tensor
    embedding: Tensor


def padded_tower(model: nn.Module, one_hot: Tensor) -> Tensor:
    """(S, channels, positions): the encoder on (S, L, 4) one-hot sequences, every position of every layer."""
    weights = _weights(model)
    hidden = functional.pad(one_hot.transpose(1, 2), (3, 4))
    hidden = functional.elu(functional.conv1d(hidden, weights["encoder.stem.weight"], weights["encoder.stem.bias"]))
    for block in range(4):
        name = f"encoder.blocks.{block}"
        hidden = _conv(hidden, weights, f"{name}.conv", padding=1)
        hidden = functional.max_pool1d(functional.elu(_norm(hidden, weights, f"{name}.norm", model.training)), 2)
        hidden = hidden + functional.elu(_conv(hidden, weights, f"{name}.pointwise"))
    return hidden


def padded_embedding(model: nn.Module, one_hot: Tensor) -> Tensor:
    """(S, 64): embeddings of (S, 2000, 4) one-hot sequences."""
    weights = _weights(model)
    hidden = padded_tower(model, one_hot)
    for block, dilation in enumerate((2, 4, 6)):
        name = f"embedding.dilated.{block}"
        hidden = _conv(hidden, weights, f"{name}.conv", dilation=dilation)
        hidden = functional.elu(_norm(hidden, weights, f"{name}.norm", model.training))
    hidden = _conv(hidden, weights, "embedding.reduce")
    hidden = functional.elu(_norm(hidden, weights, "embedding.reduce_norm", model.training))
    return functional.elu(_linear(hidden, weights, "embedding.positions")).flatten(1)


def padded_forward(model: nn.Module, one_hot: Tensor, pair_features: Tensor, gene_features: Tensor) -> PaddedOutput:
    """The published forward pass on (G, R, 2000, 4), (G, R, k) and (G, 9)."""
    weights = _weights(model)
    genes, rows = one_hot.shape[:2]
    embedding = padded_embedding(model, one_hot.flatten(0, 1)).view(genes, rows, -1)
    absent = one_hot.sum((2, 3)) == 0
    hidden = embedding
    if pair_features.shape[2] > 0:
        hidden = torch.cat([hidden, pair_features], dim=2)
        hidden = functional.relu(_linear(hidden, weights, "fusion.hidden"))
        hidden = functional.relu(_linear(hidden, weights, "fusion.output"))
    forbidden = ~torch.eye(rows, dtype=torch.bool)
    forbidden[0] = False
    forbidden[:, 0] = False
    attentions = []
    for layer in range(3):
        name = f"interaction.layers.{layer}"
        normed = _layer_norm(hidden, weights, f"{name}.attention_norm").transpose(0, 1)
        attended, attention = functional.multi_head_attention_forward(
            normed,
            normed,
            normed,
            embed_dim_to_check=64,
            num_heads=4,
            in_proj_weight=weights[f"{name}.qkv.weight"],
            in_proj_bias=weights[f"{name}.qkv.bias"],
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=weights[f"{name}.attention_output.weight"],
            out_proj_bias=weights[f"{name}.attention_output.bias"],
            training=False,
            key_padding_mask=absent,
            attn_mask=forbidden,
        )
        hidden = hidden + attended.transpose(0, 1)
        normed = _layer_norm(hidden, weights, f"{name}.feedforward_norm")
        expanded = functional.relu(_linear(normed, weights, f"{name}.expand"))
        hidden = hidden + _linear(expanded, weights, f"{name}.contract")
        assert attention is not None
        attentions.append(attention)
    hidden = torch.cat([hidden[:, 0], gene_features], dim=1)
    hidden = functional.relu(_linear(hidden, weights, "predictor.hidden1"))
    hidden = functional.relu(_linear(hidden, weights, "predictor.hidden2"))
    prediction = _linear(hidden, weights, "predictor.output").squeeze(1)
    return PaddedOutput(prediction, torch.stack(attentions), embedding)


def padded_activity(model: nn.Module, one_hot: Tensor) -> Tensor:
    """(S,): the enhancer-activity model on (S, 256, 4) one-hot sequences; in training without its dropout."""
    weights = _weights(model)
    hidden = padded_tower(model, one_hot).flatten(1)
    for layer in (1, 2):
        hidden = _norm(_linear(hidden, weights, f"dense{layer}"), weights, f"norm{layer}", model.training)
        hidden = functional.relu(hidden)
    return _linear(hidden, weights, "output").squeeze(1)


def one_hot(codes: np.ndarray, length: int = LENGTH) -> np.ndarray:
    """(length, 4) float32 of one sequence's base codes, centred; N is 0.25 in each channel, no base is 0."""
    alphabet = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0.25] * 4, [0] * 4], dtype=np.float32)
    dense = np.zeros((length, 4), dtype=np.float32)
    start = length // 2 - len(codes) // 2
    dense[start : start + len(codes)] = alphabet[codes]
    return dense


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, the model's own, so that gradients and statistics go into them."""
    return dict(model.state_dict(keep_vars=True))


def _conv(hidden: Tensor, weights: dict[str, Tensor], name: str, *, padding: int = 0, dilation: int = 1) -> Tensor:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return functional.conv1d(hidden, weight, bias, padding=padding, dilation=dilation)


def _linear(hidden: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return functional.linear(hidden, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(hidden: Tensor, weights: dict[str, Tensor], name: str, training: bool) -> Tensor:
    return functional.batch_norm(
        hidden,
        weights[f"{name}.running_mean"],
        weights[f"{name}.running_var"],
        weights[f"{name}.weight"],
        weights[f"{name}.bias"],
        training=training,
    )


def _layer_norm(hidden: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return functional.layer_norm(hidden, (64,), weights[f"{name}.weight"], weights[f"{name}.bias"])
