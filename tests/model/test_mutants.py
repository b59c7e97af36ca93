from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from benchmarks.padded import one_hot, padded_tower
from epinformer.errors import ModelError
from epinformer.model.activity import ActivityModel
from epinformer.model.config import ModelConfig, activity_config, published_config
from epinformer.model.epinformer import EPInformer
from epinformer.model.mutant_outputs import ActivityMutants, embedding_mutants
from epinformer.model.mutants import MutantEncoder, geometry
from epinformer.model.windows import REACH, STRIDE

WIDTHS = {"stem_channels": 12, "block_channels": (8, 6, 6, 8)}


def activity_network(length: int, kernel: int = 8, seed: int = 0) -> ActivityModel:
    torch.manual_seed(seed)
    update = {**WIDTHS, "sequence_length": length, "stem_kernel": kernel, "hidden": 16}
    network = ActivityModel(activity_config().model_copy(update=update))
    shake(network)
    return network.eval()


def expression_network(config: ModelConfig, seed: int = 0) -> EPInformer:
    torch.manual_seed(seed)
    network = EPInformer(config.model_copy(update=WIDTHS))
    shake(network)
    return network.eval()


def shake(network: nn.Module) -> None:
    """Batch normalisation as after training, negative weights among them, and layers that let a base's effect pass."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        elif isinstance(module, (nn.Conv1d, nn.Linear)):
            nn.init.normal_(module.weight, std=1.5 * module.weight[0].numel() ** -0.5)


def random_codes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    # Codes 4 (N) and 5 (no base) may stand anywhere.
    return rng.choice(6, shape, p=[0.22, 0.22, 0.22, 0.22, 0.07, 0.05]).astype(np.uint8)


def mutated(codes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(4, positions, bases): the sequence with each base at each position; itself where it has none of the four."""
    rows = np.tile(codes, (4, len(positions), 1))
    for base in range(4):
        for row, position in enumerate(positions.tolist()):
            if codes[position] < 4:
                rows[base, row, position] = base
    return rows


def test_encoder_changes_equal_the_padded_towers_of_all_mutants() -> None:
    encoder = activity_network(256).encoder
    frames = random_codes(np.random.default_rng(1), 2, 256)
    frames[1, :90] = 5
    with torch.inference_mode():
        mutants = MutantEncoder(encoder, torch.from_numpy(frames))
        response = mutants.response(torch.from_numpy(frames))
        network = nn.ModuleDict({"encoder": encoder}).eval()
        own = padded_tower(network, dense(frames))
        torch.testing.assert_close(response.tower.permute(1, 2, 0), own, rtol=1e-4, atol=1e-5)
        seen = np.zeros((2, 256), dtype=int)
        for change in mutants.changes(response, 0, 16):
            for place in range(16):
                position = 16 * place + change.phase
                # Beyond both ends, where nothing may change, eight positions more.
                found = torch.zeros(32, 2, 3, 8)
                found[8 + place + change.first :][: len(change.delta)] = change.delta[:, place]
                assert (found[:8] == 0).all() and (found[24:] == 0).all()
                for row in range(2):
                    variants = np.tile(frames[row], (3, 1))
                    if frames[row, position] < 4:
                        variants[:, position] = change.bases[place, row]
                        assert len({*variants[:, position].tolist(), int(frames[row, position])}) == 4
                    expected = padded_tower(network, dense(variants)) - own[row]
                    torch.testing.assert_close(found[8:24, row].permute(1, 2, 0), expected, rtol=1e-4, atol=1e-5)
                    seen[row, position] += 1
    assert (seen == 1).all()


def dense(codes: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([one_hot(row, len(row)) for row in codes]))


@settings(max_examples=15)
@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 99))
def test_activity_of_all_mutants_equals_that_of_each(kernel: int, places: int, seed: int) -> None:
    """Short windows, in which a base reaches one end, the other or both, and first convolutions of every width."""
    network = activity_network(16 * places, kernel, seed)
    frames = random_codes(np.random.default_rng(seed), 2, 16 * places)
    with torch.inference_mode():
        predicted, mutants = ActivityMutants(network, torch.from_numpy(frames))(torch.from_numpy(frames))
        every = np.stack([mutated(row, np.arange(16 * places)) for row in frames])
        expected = network(torch.from_numpy(every).flatten(), torch.full((every[..., 0].size,), 16 * places))
        own = network(torch.from_numpy(frames).flatten(), torch.full((2,), 16 * places))
    torch.testing.assert_close(mutants.flatten(), expected, rtol=1e-4, atol=3e-5)
    torch.testing.assert_close(predicted, own, rtol=1e-4, atol=3e-5)
    same = np.take_along_axis(mutants.numpy(), np.minimum(frames, 3)[:, None].astype(np.int64), 1)[:, 0]
    assert (same == predicted.numpy()[:, None]).all()


@settings(max_examples=15)
@given(st.integers(1, 432), st.integers(0, 99), st.sampled_from([(2, 4, 6), (1,), ()]))
def test_embeddings_of_all_mutants_equal_that_of_each(length: int, seed: int, dilations: tuple[int, ...]) -> None:
    config = published_config("PE").model_copy(update={"sequence_length": 432, "dilations": dilations})
    network = expression_network(config, seed)
    rng = np.random.default_rng(seed)
    codes = random_codes(rng, length)
    some = np.unique(np.concatenate([rng.integers(0, length, 8), [0, length - 1]]))
    with torch.inference_mode():
        found = embedding_mutants(network, torch.from_numpy(codes))
        every = torch.from_numpy(mutated(codes, some))
        expected = network.embed(every.flatten(), torch.full((every[..., 0].numel(),), length)).sequences
    assert found.shape == (4, length, 64)
    torch.testing.assert_close(found[:, some].flatten(0, 1), expected, rtol=1e-4, atol=3e-5)


def test_only_rows_that_were_announced_are_needed() -> None:
    network = activity_network(64)
    frames = torch.from_numpy(random_codes(np.random.default_rng(3), 5, 64))
    with torch.inference_mode():
        model = ActivityMutants(network, frames)
        whole = model(frames)
        parts = [model(part) for part in frames.split(2)]
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), whole[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), whole[1], rtol=1e-5, atol=1e-6)


def test_bf16_is_near() -> None:
    network = expression_network(published_config("PE"))
    codes = torch.from_numpy(np.random.default_rng(5).integers(0, 4, 120).astype(np.uint8))
    with torch.inference_mode():
        full = embedding_mutants(network, codes)
        half = embedding_mutants(network, codes, dtype=torch.bfloat16)
        frames = codes[None, :112]
        activity = activity_network(112)
        mutants = [ActivityMutants(activity, frames, dtype=kind)(frames)[1] for kind in (torch.float32, torch.bfloat16)]
    assert half.dtype is torch.float32
    assert 0 < (full - half).abs().max() < 0.05 * full.abs().max()
    assert 0 < (mutants[0] - mutants[1]).abs().max() < 0.05 * mutants[0].abs().max()


@pytest.mark.parametrize("kernel", range(1, 9))
def test_geometry_stays_within_reach(kernel: int) -> None:
    """A base is within reach of an output position that it changes, and 3 or 4 of these are computed at most."""
    for phase, (spans, first) in enumerate(geometry(kernel)):
        count = (spans[-1][1] - spans[-1][0]) // 2
        assert 1 <= count <= 4
        assert STRIDE * (first + 1) + REACH > phase
        assert STRIDE * (first + count - 1) - REACH <= phase


def test_training_mode_is_refused() -> None:
    frames = torch.zeros((1, 64), dtype=torch.uint8)
    with pytest.raises(ModelError, match="training mode"):
        ActivityMutants(activity_network(64).train(), frames)


def test_a_network_without_sequence_is_refused() -> None:
    network = EPInformer(published_config("PE").model_copy(update={"sequence": "none"})).eval()
    with pytest.raises(ModelError, match="no sequence"):
        embedding_mutants(network, torch.zeros(10, dtype=torch.uint8))
