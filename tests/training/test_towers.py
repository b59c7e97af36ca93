from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.padded import one_hot, padded_tower
from epinformer.dataset.batch import Batch, sequence_codes
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, ModelError, OutputError
from epinformer.model.config import published_config
from epinformer.model.encoder import SequenceEncoder
from epinformer.model.epinformer import EPInformer
from epinformer.training import towers as towers_module
from epinformer.training.towers import TowerCache, weights_hash

SMALL = published_config("PE-Activity").model_copy(update={"stem_channels": 12, "block_channels": (8, 6, 6, 8)})


@pytest.fixture
def encoder() -> SequenceEncoder:
    torch.manual_seed(0)
    return SequenceEncoder(SMALL)


def padded(encoder: SequenceEncoder, dataset: Dataset, sequences: np.ndarray) -> Tensor:
    """(S, positions, channels) by the plain padded computation."""
    offsets = dataset.sequence_offsets
    assert dataset.codes is not None
    codes = [dataset.codes[offsets[i] : offsets[i + 1]] for i in sequences]
    dense = torch.from_numpy(np.stack([one_hot(sequence) for sequence in codes]))
    with torch.inference_mode():
        return padded_tower(nn.ModuleDict({"encoder": encoder}).eval(), dense).transpose(1, 2)


def close(found: Tensor, expected: Tensor) -> None:
    # float16 has 11 significant bits.
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_holds_what_the_padded_computation_gives(tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset) -> None:
    told: list[tuple[int, int]] = []
    cache = TowerCache.build_or_open(
        tmp_path / "a" / "b", encoder, synthetic, progress=lambda done, total: told.append((done, total))
    )
    used = np.unique(synthetic.pairs["element_index"])
    assert cache.sequences.tolist() == [*range(12), *(12 + used).tolist()]
    assert told[-1] == (len(cache.sequences), len(cache.sequences))
    # Any order, and the same one twice.
    sequences = np.array([12 + used[3], 0, 12 + used[0], 5, 0])
    found = cache.towers(sequences)
    assert found.dtype is torch.float32 and found.shape == (5, 125, 8)
    close(found, padded(encoder, synthetic, sequences))
    close(cache.empty, padded_empty(encoder))
    assert cache.towers(np.zeros(0, dtype=np.int64)).shape == (0, 125, 8)
    rows = np.load(cache.path / "towers.npy", mmap_mode="r")
    assert rows.dtype == np.float16 and len(rows) < 0.7 * 125 * len(cache.sequences)


def padded_empty(encoder: SequenceEncoder) -> Tensor:
    with torch.inference_mode():
        dense = torch.zeros(1, 2000, 4)
        return padded_tower(nn.ModuleDict({"encoder": encoder}).eval(), dense)[0].T


def test_is_written_in_chunks_of_any_size(
    tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = TowerCache.build_or_open(tmp_path / "one", encoder, synthetic)
    monkeypatch.setattr(towers_module, "_CHUNK_BASES", 3_000)
    other = TowerCache.build_or_open(tmp_path / "other", encoder, synthetic)
    close(other.towers(one.sequences), one.towers(one.sequences))


def test_is_computed_once_for_the_same_and_anew_for_anything_else(
    tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = TowerCache.build_or_open(tmp_path, encoder, synthetic)
    paths = {first.path}
    calls = []
    monkeypatch.setattr(encoder, "forward", lambda *_, **__: calls.append(1))
    assert TowerCache.build_or_open(tmp_path, encoder, synthetic).path == first.path
    assert not calls
    monkeypatch.undo()
    paths.add(TowerCache.build_or_open(tmp_path, encoder, synthetic, dtype=torch.bfloat16).path)
    paths.add(TowerCache.build_or_open(tmp_path, encoder, synthetic, sequences=np.arange(3)).path)
    before = weights_hash(encoder)
    encoder.blocks[0].norm.running_mean += 0.5
    assert weights_hash(encoder) != before
    changed = TowerCache.build_or_open(tmp_path, encoder, synthetic)
    close(changed.towers(np.arange(2)), padded(encoder, synthetic, np.arange(2)))
    paths.add(changed.path)
    assert len(paths) == 4
    assert sorted(tmp_path.iterdir()) == sorted(paths), "nothing else is left"


def test_a_killed_or_damaged_one_is_made_again(tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset) -> None:
    cache = TowerCache.build_or_open(tmp_path, encoder, synthetic)
    whole = (cache.path / "towers.npy").read_bytes()
    for damage in (whole[: len(whole) // 2], b"", b"not an array"):
        (cache.path / "towers.npy").write_bytes(damage)
        again = TowerCache.build_or_open(tmp_path, encoder, synthetic)
        assert (again.path / "towers.npy").read_bytes() == whole
    (cache.path / "towers.json").unlink()
    with pytest.raises(OutputError, match="not overwritten"):
        TowerCache.build_or_open(tmp_path, encoder, synthetic)
    shutil.rmtree(cache.path)
    cache.path.mkdir()
    TowerCache.build_or_open(tmp_path, encoder, synthetic)


def test_a_run_that_fails_leaves_nothing(
    tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TowerCache.build_or_open(tmp_path, encoder.train(), synthetic, progress=stop)
    assert list(tmp_path.iterdir()) == []
    assert encoder.training and encoder.blocks[0].norm.training

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(towers_module.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        TowerCache.build_or_open(tmp_path, encoder, synthetic)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk(
    tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(towers_module, "_write", lambda path, shape, parts: WRITE(Path("/dev/full"), shape, parts))
    with pytest.raises(OutputError, match=r"cannot be written: No space left on device.*Free some space"):
        TowerCache.build_or_open(tmp_path, encoder, synthetic)
    assert list(tmp_path.iterdir()) == []


WRITE = towers_module._write


def test_modes_and_statistics_are_as_before(tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset) -> None:
    encoder.train()
    encoder.blocks[1].eval()
    modes = [module.training for module in encoder.modules()]
    before = weights_hash(encoder)
    TowerCache.build_or_open(tmp_path, encoder, synthetic)
    assert [module.training for module in encoder.modules()] == modes
    assert weights_hash(encoder) == before


def test_asking_for_a_sequence_that_is_not_there(tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset) -> None:
    cache = TowerCache.build_or_open(tmp_path, encoder, synthetic, sequences=np.arange(4))
    with pytest.raises(DatasetError, match=r"2 affected; first: sequence 4"):
        cache.towers(np.array([1, 4, 9]))


def test_an_encoder_beyond_float16_is_refused(tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset) -> None:
    with torch.no_grad():
        encoder.blocks[3].pointwise.bias += 1e6
    with pytest.raises(ModelError, match="65,504"):
        TowerCache.build_or_open(tmp_path, encoder, synthetic)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_cannot_be_made(tmp_path: Path, encoder: SequenceEncoder, synthetic: Dataset) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        TowerCache.build_or_open(tmp_path / "file" / "below", encoder, synthetic)


@pytest.mark.parametrize("training", [False, True])
def test_a_model_goes_on_from_towers(tmp_path: Path, synthetic: Dataset, training: bool) -> None:
    """The same predictions and gradients as with the frozen encoder in place."""
    torch.manual_seed(1)
    model = EPInformer(SMALL)
    assert model.encoder is not None
    model.train(training)
    model.encoder.eval().requires_grad_(False)
    cache = TowerCache.build_or_open(tmp_path, model.encoder, synthetic)
    genes = np.array([1, 4, 0])
    features = {"pair_features": SMALL.pair_features, "gene_features": SMALL.gene_features}
    state = {name: value.clone() for name, value in model.state_dict().items()}
    results = []
    numbered = Batch.from_dataset(synthetic, genes, **features, sequences=cache.sequences)
    used = np.unique(numbered.row_sequence.numpy())
    in_place = model(Batch.from_dataset(synthetic, genes, **features)).prediction.detach()
    for known in (False, True):
        model.load_state_dict(state)
        batch = Batch.from_dataset(synthetic, genes, **features)
        if known:
            embeddings = model.embed_towers(cache.towers(cache.sequences[used]), cache.empty)
        else:
            # All sequences in one row, as the cache lays them out: in another the last bits of a value may differ, and
            # so the half to which it is rounded.
            everything = sequence_codes(synthetic, cache.sequences)
            towers = torch.cat([run.tower for run in model.encoder(*everything)]).half().float()
            embeddings = model.embed_towers(towers[:-1][used], towers[-1])
        output = model(batch, embeddings)
        model.zero_grad()
        output.prediction.square().sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        results.append((output.prediction.detach(), output.embedding.detach(), gradients))
    (one, one_embedding, one_gradients), (other, other_embedding, other_gradients) = results
    torch.testing.assert_close(other, in_place, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other_embedding, one_embedding, rtol=1e-3, atol=1e-4)
    assert len(one_gradients) == len(other_gradients) > 20
    for a, b in zip(other_gradients, one_gradients, strict=True):
        assert (a - b).norm() <= 0.001 * b.norm() + 1e-4
