from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.padded import one_hot
from epinformer.model import training_row
from epinformer.model.config import published_config
from epinformer.model.encoder import SequenceEncoder

SMALL = published_config("PE").model_copy(update={"stem_channels": 12, "block_channels": (8, 6, 6, 8)})
LENGTHS = [700, 0, 2000, 31, 1, 512, 900, 1999]


def shaken(seed: int = 0) -> SequenceEncoder:
    """An encoder in training with normalisations of either sign and statistics of a trained one."""
    torch.manual_seed(seed)
    encoder = SequenceEncoder(SMALL).train()
    for norm in encoder.modules():
        if isinstance(norm, nn.BatchNorm1d):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
            nn.init.uniform_(norm.weight, -1.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    return encoder


def random_sequences(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.choice(6, n, p=[0.23, 0.23, 0.23, 0.23, 0.05, 0.03]).astype(np.uint8) for n in lengths]


def fast(encoder: SequenceEncoder, sequences: list[np.ndarray], dtype: torch.dtype = torch.float32) -> Tensor:
    codes = torch.from_numpy(np.concatenate([np.zeros(0, np.uint8), *sequences]))
    lengths = torch.tensor([len(sequence) for sequence in sequences], dtype=torch.int64)
    (run,) = encoder(codes, lengths, dtype=dtype)
    return run.tower


def plain(encoder: SequenceEncoder, sequences: list[np.ndarray]) -> Tensor:
    """Every window by itself with torch's own layers; statistics over all positions of the windows of sequences.

    Windows as the module `windows` states them: positions floor((s - 20) / 16) - 1 .. ceil((s + n + 20) / 16) + 1,
    clipped to 0 .. 125; one position at either end is dropped unless it is the sequence's own end.
    """
    spans = []
    windows = []
    for sequence in [*sequences, np.zeros(0, np.uint8)]:
        begin = 1000 - len(sequence) // 2
        first, last = (begin - 20) // 16 - 1, -((begin + len(sequence) + 20) // -16) + 1
        first, last = max(first, 0), min(last, 125)
        if len(windows) == len(sequences):
            first, last = 0, 125
        elif len(sequence) == 0:
            first, last = 0, 0
        dense = functional.pad(torch.from_numpy(one_hot(sequence)).T, (3, 4))
        hidden = functional.elu(functional.conv1d(dense[None], encoder.stem.weight, encoder.stem.bias))
        spans.append((first, last))
        windows.append(hidden[:, :, 16 * first : 16 * last])
    for block in encoder.blocks:
        windows = [
            functional.conv1d(window, block.conv.weight, block.conv.bias, padding=1) if window.shape[2] else window
            for window in windows
        ]
        norm = block.norm
        seen = torch.cat([window for window in windows[:-1] if window.shape[2]], 2)
        if norm.training:
            mean, variance = seen.mean((0, 2)), seen.var((0, 2), correction=0)
            with torch.no_grad():
                norm.running_mean.lerp_(mean, 0.1)
                norm.running_var.lerp_(seen.var((0, 2), correction=1), 0.1)
        else:
            mean, variance = norm.running_mean, norm.running_var
        for number, window in enumerate(windows):
            if window.shape[2] == 0:
                continue
            hidden = (window - mean[:, None]) / (variance[:, None] + norm.eps).sqrt()
            hidden = hidden * norm.weight[:, None] + norm.bias[:, None]
            hidden = functional.max_pool1d(functional.elu(hidden), 2)
            pointwise = functional.conv1d(hidden, block.pointwise.weight, block.pointwise.bias)
            windows[number] = hidden + functional.elu(pointwise)
    empty = windows[-1][0].T
    towers = []
    for (first, last), window in zip(spans, windows, strict=True):
        left, right = first + (first > 0), last - (last < 125)
        if last == first:
            towers.append(empty)
            continue
        inner = window[0].T[left - first : right - first]
        towers.append(torch.cat([empty[:left], inner, empty[right:]]))
    return torch.stack(towers)


def check_equal(sequences: list[np.ndarray], eval_blocks: tuple[int, ...] = (), seed: int = 0) -> None:
    results = []
    for function in (fast, plain):
        encoder = shaken(seed)
        for block in eval_blocks:
            encoder.blocks[block].norm.eval()
        tower = function(encoder, sequences)
        weight = torch.randn(tower.shape, generator=torch.Generator().manual_seed(seed))
        (tower * weight).sum().backward()
        results.append((tower.detach(), dict(encoder.named_parameters()), dict(encoder.named_buffers())))
    (tower, parameters, buffers), (expected, wanted, statistics) = results
    torch.testing.assert_close(tower, expected, rtol=1e-3, atol=1e-4)
    for name, parameter in wanted.items():
        assert parameter.grad is not None and parameters[name].grad is not None, name
        # Batch normalisation cancels the bias before it; rounding is left, on the scale of the weight's gradient.
        scale = max(float(wanted[name.replace("conv.bias", "conv.weight")].grad.abs().max()), 1.0)
        torch.testing.assert_close(
            parameters[name].grad, parameter.grad, rtol=1e-3, atol=3e-4 * scale, msg=lambda m, n=name: f"{n}: {m}"
        )
        if not name.endswith("conv.bias"):
            assert parameter.grad.abs().max() > 0
    for name, value in statistics.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(buffers[name], value, rtol=1e-4, atol=1e-5)


def test_equals_plain_layers_on_every_window() -> None:
    check_equal(random_sequences(LENGTHS))


@pytest.mark.parametrize("bases", [1, 500, 3_000])
def test_slices_do_not_matter(bases: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_row, "SLICE_BASES", bases)
    monkeypatch.setattr(training_row, "SLICE_KMERS", max(bases // 3, 97))
    check_equal(random_sequences(LENGTHS, bases), seed=bases)


def test_some_normalisations_may_be_frozen() -> None:
    check_equal(random_sequences(LENGTHS), eval_blocks=(0, 2))


@pytest.mark.parametrize("lengths", [[5], [2000], [0, 300]])
def test_few_sequences(lengths: list[int]) -> None:
    check_equal(random_sequences(lengths))


def test_sequences_without_bases_alone() -> None:
    encoder = shaken()
    tower = fast(encoder, random_sequences([0, 0]))
    assert torch.isfinite(tower).all() and tower.shape == (3, 125, 8)
    tower.sum().backward()
    assert all(torch.isfinite(value).all() for value in encoder.state_dict().values())


def test_repeated_bases_tie_in_pooling() -> None:
    """Equal neighbours: the first has the gradient, as in torch's pooling."""
    check_equal([np.zeros(400, np.uint8), np.full(900, 4, np.uint8), random_sequences([500])[0]])


def test_the_same_twice() -> None:
    """Sums of gradients have one order, so that training can be repeated exactly."""
    sequences = random_sequences(LENGTHS)
    gradients = []
    for _ in range(2):
        encoder = shaken()
        fast(encoder, sequences).square().sum().backward()
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_bf16_points_the_same_way() -> None:
    sequences = random_sequences([700, 2000, 512, 900])
    towers, gradients = [], []
    for dtype in (torch.float32, torch.bfloat16):
        encoder = shaken()
        tower = fast(encoder, sequences, dtype)
        assert tower.dtype is dtype
        tower.float().square().mean().backward()
        assert all(value.dtype is not torch.bfloat16 for value in encoder.state_dict().values())
        towers.append(tower.detach().float())
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in encoder.parameters()]))
    assert 0 < (towers[0] - towers[1]).norm() < 0.03 * towers[0].norm()
    assert functional.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.99


def test_frozen_weights_have_no_gradient() -> None:
    encoder = shaken()
    encoder.stem.requires_grad_(False)
    encoder.blocks[0].conv.requires_grad_(False)
    fast(encoder, random_sequences([300, 400])).square().sum().backward()
    assert encoder.stem.weight.grad is None and encoder.blocks[0].conv.weight.grad is None
    assert encoder.blocks[0].norm.weight.grad is not None and encoder.blocks[3].conv.weight.grad is not None
