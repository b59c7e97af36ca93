from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.padded import one_hot, padded_embedding, padded_tower
from epinformer.model import encoder as encoder_module
from epinformer.model.config import ModelConfig, activity_config, published_config
from epinformer.model.embedding import SequenceEmbedding
from epinformer.model.encoder import SequenceEncoder

SMALL = published_config("PE").model_copy(update={"stem_channels": 12, "block_channels": (8, 6, 6, 8)})


class Sequences(nn.Module):
    """Encoder and embedding, under the names that the padded reference knows."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = SequenceEncoder(config)
        self.embedding = SequenceEmbedding(config, self.encoder.channels, self.encoder.positions)
        shake_norms(self)
        self.eval()


def shake_norms(module: nn.Module) -> None:
    """Give every batch normalisation statistics and weights of a trained one, negative weights among them."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
            nn.init.uniform_(norm.weight, -1.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)


def towers(encoder: SequenceEncoder, sequences: list[np.ndarray], dtype: torch.dtype = torch.float32) -> Tensor:
    """(S + 1, positions, channels), the last of an empty sequence."""
    codes = torch.from_numpy(np.concatenate([np.zeros(0, np.uint8), *sequences]))
    lengths = torch.tensor([len(sequence) for sequence in sequences], dtype=torch.int64)
    runs = list(encoder(codes, lengths, dtype=dtype))
    assert [run.begin for run in runs[1:]] == [run.end for run in runs[:-1]]
    return torch.cat([run.tower for run in runs])


def dense(sequences: list[np.ndarray], length: int = 2000) -> Tensor:
    return torch.from_numpy(np.stack([one_hot(sequence, length) for sequence in sequences]))


def random_sequences(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    # Codes 4 (N) and 5 (no base) may stand anywhere.
    rng = np.random.default_rng(seed)
    return [rng.choice(6, n, p=[0.23, 0.23, 0.23, 0.23, 0.05, 0.03]).astype(np.uint8) for n in lengths]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 2000), max_size=6), st.integers(0, 99))
def test_ragged_equals_padded(lengths: list[int], seed: int) -> None:
    model = Sequences(SMALL, seed)
    sequences = random_sequences(lengths, seed)
    with torch.inference_mode():
        ragged = towers(model.encoder, sequences)
        padded = padded_tower(model, dense([*sequences, np.zeros(0, np.uint8)])).transpose(1, 2)
        torch.testing.assert_close(ragged, padded, rtol=1e-4, atol=1e-5)
        everything = dense([*sequences, np.zeros(0, np.uint8)])
        torch.testing.assert_close(model.embedding(ragged), padded_embedding(model, everything), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 255, 256, 1927, 1928, 1929, 1959, 1960, 1961, 1999, 2000])
def test_window_edges(length: int) -> None:
    model = Sequences(SMALL)
    sequences = random_sequences([length, length], seed=length)
    with torch.inference_mode():
        padded = padded_tower(model, dense(sequences)).transpose(1, 2)
        torch.testing.assert_close(towers(model.encoder, sequences)[:-1], padded, rtol=1e-4, atol=1e-5)


def test_runs_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sequences(SMALL)
    sequences = random_sequences([700, 0, 2000, 31, 512, 900])
    with torch.inference_mode():
        whole = towers(model.encoder, sequences)
        monkeypatch.setattr(encoder_module, "RUN_BASES", 1)
        torch.testing.assert_close(towers(model.encoder, sequences), whole, rtol=1e-5, atol=1e-6)


def test_256_bp_sequences_of_the_activity_model() -> None:
    config = activity_config().model_copy(update={"stem_channels": 12, "block_channels": (8, 6, 6, 8)})
    torch.manual_seed(1)
    encoder = SequenceEncoder(config)
    shake_norms(encoder)
    sequences = random_sequences([256, 100, 256])
    model = nn.ModuleDict({"encoder": encoder}).eval()
    with torch.inference_mode():
        padded = padded_tower(model, dense(sequences, 256)).transpose(1, 2)
        torch.testing.assert_close(towers(encoder, sequences)[:-1], padded, rtol=1e-4, atol=1e-5)


def test_bf16_is_near() -> None:
    model = Sequences(published_config("PE"))
    sequences = random_sequences([600])
    with torch.inference_mode():
        full = model.embedding(towers(model.encoder, sequences))
        half = model.embedding(towers(model.encoder, sequences, torch.bfloat16))
    assert half.dtype is torch.bfloat16
    assert 0 < (full - half.float()).abs().max() < 0.05 * full.abs().max()


def test_training_normalises_over_the_sequences_alone() -> None:
    """With whole windows nothing is left out, so a plain dense network in training mode is the oracle."""
    model = Sequences(SMALL)
    model.encoder.train()
    sequences = random_sequences([2000, 2000, 2000])
    before = {name: value.clone() for name, value in model.encoder.named_buffers()}
    hidden = functional.pad(dense(sequences).transpose(1, 2), (3, 4))
    hidden = functional.elu(functional.conv1d(hidden, model.encoder.stem.weight, model.encoder.stem.bias))
    statistics = {}
    for index, block in enumerate(model.encoder.blocks):
        mean, variance = before[f"blocks.{index}.norm.running_mean"], before[f"blocks.{index}.norm.running_var"]
        hidden = functional.conv1d(hidden, block.conv.weight, block.conv.bias, padding=1)
        hidden = functional.batch_norm(hidden, mean, variance, block.norm.weight, block.norm.bias, training=True)
        statistics[index] = (mean, variance)
        hidden = functional.max_pool1d(functional.elu(hidden), 2)
        hidden = hidden + functional.elu(functional.conv1d(hidden, block.pointwise.weight, block.pointwise.bias))
    result = towers(model.encoder, sequences)
    torch.testing.assert_close(result[:-1], hidden.transpose(1, 2), rtol=1e-4, atol=1e-4)
    for index, block in enumerate(model.encoder.blocks):
        torch.testing.assert_close(block.norm.running_mean, statistics[index][0])
        torch.testing.assert_close(block.norm.running_var, statistics[index][1])

    weights = [model.encoder.stem.weight, model.encoder.blocks[0].conv.weight, model.encoder.blocks[3].norm.weight]
    expected = torch.autograd.grad(hidden.square().sum(), weights)
    found = torch.autograd.grad(result[:-1].square().sum(), weights)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))


def test_training_ignores_padding() -> None:
    """Statistics of short sequences do not depend on what else is in the batch being empty."""
    sequences = random_sequences([300, 450])
    results = []
    for extra in ([], [np.zeros(0, np.uint8)] * 5):
        model = Sequences(SMALL)
        model.encoder.train()
        towers(model.encoder, [*sequences, *extra])
        results.append([value.clone() for value in model.encoder.buffers()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_frozen_normalisation_is_that_of_evaluation() -> None:
    """Training with frozen statistics, as when a pretrained encoder is tuned."""
    model = Sequences(SMALL)
    sequences = random_sequences([300, 2000])
    with torch.inference_mode():
        expected = towers(model.encoder, sequences)
    model.encoder.train()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.eval()
    before = [value.clone() for value in model.encoder.buffers()]
    torch.testing.assert_close(towers(model.encoder, sequences), expected, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(before, model.encoder.buffers(), strict=True))


def test_embedding_in_training_is_that_of_torchs_own_layers() -> None:
    model = Sequences(SMALL).train()
    towers_in = torch.randn(5, 125, 8, generator=torch.Generator().manual_seed(3))
    before = {name: value.clone() for name, value in model.embedding.state_dict().items()}
    found = model.embedding(towers_in)
    after = {name: value.clone() for name, value in model.embedding.state_dict().items()}
    model.embedding.load_state_dict(before)
    hidden = towers_in.transpose(1, 2)
    for block in model.embedding.dilated:
        hidden = functional.elu(block.norm(block.conv(hidden)))
    hidden = functional.elu(model.embedding.reduce_norm(model.embedding.reduce(hidden)))
    expected = functional.elu(model.embedding.positions(hidden)).flatten(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for name, value in model.embedding.state_dict().items():
        torch.testing.assert_close(after[name], value)
    assert (after["dilated.0.norm.running_mean"] != before["dilated.0.norm.running_mean"]).all()
    assert after["reduce_norm.num_batches_tracked"] == before["reduce_norm.num_batches_tracked"] + 1
