from __future__ import annotations

import copy
import sys
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epinformer.bases import COMPLEMENT
from epinformer.dataset.batch import Batch
from epinformer.errors import EpinformerError, InputError
from epinformer.inputs.genome import open_genome
from epinformer.interpretation import deeplift as module
from epinformer.interpretation.deeplift import activity_deeplift, deeplift, sequence_deeplift, shuffled_references
from epinformer.interpretation.one_hot import one_hot
from epinformer.model.activity import ActivityModel
from epinformer.model.config import ModelConfig, activity_config
from epinformer.model.embedding import DilatedBlock
from epinformer.model.encoder import ResidualBlock
from epinformer.model.epinformer import Embeddings, EPInformer
from epinformer.model.published import read_published

# Where the deltas of the published networks lie in float32.
ROUNDING = 5e-6


def random_codes(*shape: int, seed: int = 0, letters: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, letters, shape, dtype=np.uint8)


def contributed(hypothetical: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(n,): the scores of the sequence's own bases, summed."""
    known = np.minimum(codes, 3)[:, None].astype(np.int64)
    return (np.take_along_axis(hypothetical, known, 1)[:, 0] * (codes < 4)).sum(1, dtype=np.float64)


@pytest.fixture(scope="module")
def network() -> ActivityModel:
    """A random network in which a single base matters by up to 0.1."""
    torch.manual_seed(2)
    made = ActivityModel(activity_config()).eval()
    for part in made.modules():
        if isinstance(part, nn.Conv1d | nn.Linear):
            part.weight.data *= 2
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.uniform_(-0.3, 0.3)
    return made


@pytest.fixture(scope="module")
def windows() -> tuple[np.ndarray, np.ndarray]:
    """Windows with N at both ends and within, one that is short, and one without a known base; with references."""
    codes = random_codes(4, 256)
    codes[1, 100:120] = codes[1, 7] = 4
    codes[2, :30] = codes[2, 211:] = 5
    codes[3] = 4
    return codes, shuffled_references(codes, 3, np.arange(4))


class Scaled(nn.Module):
    """One hidden layer: weights of 6 letters, an activation, weights of the hidden units."""

    def __init__(self, first: Tensor, activation: nn.Module, second: Tensor) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)
        self.activation = activation

    def forward(self, bases: Tensor) -> Tensor:
        return self.activation(bases.flatten(1) @ self.first) @ self.second


def test_linear_network_is_weight_times_difference_exactly() -> None:
    """Whole numbers, and as many references as a power of two: nothing is rounded."""
    length, random = 12, np.random.default_rng(1)
    weight = random.integers(-50, 50, (6, length)).astype(np.float32)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(6 * length, 1))
    linear[1].weight.data = torch.from_numpy(weight.reshape(1, -1))
    linear[1].bias.data.fill_(7)
    codes, references = random_codes(3, length, letters=6), random_codes(3, 4, length, seed=2, letters=6)

    found = deeplift(linear.eval(), codes, references, device="cpu")

    place = np.arange(length)
    for row in range(3):
        every = [weight[:4] - weight[reference, place] for reference in references[row]]
        np.testing.assert_array_equal(found.hypothetical[row], np.mean(every, 0) * (codes[row] < 4))
        assert found.predicted[row] == weight[codes[row], place].sum() + 7
        assert found.references_mean[row] == np.mean([weight[r, place].sum() + 7 for r in references[row]])
    np.testing.assert_array_equal(found.delta, 0)
    assert not linear.training and not linear[1].training
    assert found.hypothetical.dtype == np.float32 and found.predicted.dtype == np.float64


def test_one_hidden_layer_by_hand() -> None:
    length, random = 10, np.random.default_rng(3)
    first, second = random.normal(size=(6 * length, 5)), random.normal(size=(5, 1))
    made = Scaled(*(torch.from_numpy(first).float(), nn.ReLU(), torch.from_numpy(second).float()))
    codes, references = random_codes(2, length), random_codes(2, 3, length, seed=4)

    found = deeplift(made, codes, references, device="cpu")

    for row in range(2):
        every = []
        inside = one_hot(codes[row]).numpy().ravel() @ first
        for reference in references[row]:
            other = one_hot(reference).numpy().ravel() @ first
            slope = (np.maximum(inside, 0) - np.maximum(other, 0)) / (inside - other)
            multiplier = (first @ (slope * second[:, 0])).reshape(6, length)
            every.append(multiplier[:4] - multiplier[reference, np.arange(length)])
        np.testing.assert_allclose(found.hypothetical[row], np.mean(every, 0), atol=1e-5)


def test_a_layer_without_a_rule_shows_in_delta_and_warns_of_nothing() -> None:
    """Warnings are errors here: those of convergence must not reach the user."""

    class Square(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return values**2

    length = 6
    first = np.random.default_rng(5).normal(size=(6 * length, 1))
    made = Scaled(torch.from_numpy(first).float(), Square(), torch.ones(1, 1))
    codes, references = random_codes(1, length), random_codes(1, 2, length, seed=6)
    found = deeplift(made, codes, references, device="cpu")
    inside, *others = ((one_hot(row).numpy().ravel() @ first)[0] for row in [codes[0], *references[0]])
    # Taken as linear: the gradient at the sequence times the difference.
    assert found.delta[0] == pytest.approx(max((inside - other) ** 2 for other in others), rel=1e-4)
    assert found.delta[0] > 0.1


def test_other_warnings_are_not_lost() -> None:
    class Warning_(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            warnings.warn("something else", RuntimeWarning, stacklevel=1)
            return values

    made = Scaled(torch.ones(24, 1), Warning_(), torch.ones(1, 1))
    with pytest.warns(RuntimeWarning, match="something else"):
        deeplift(made, random_codes(1, 4), random_codes(1, 1, 4), device="cpu")


class Published(nn.Module):
    """The activity model on four channels, layer by layer in the published order: ELU, then pooling."""

    def __init__(self, network: ActivityModel) -> None:
        super().__init__()
        network = copy.deepcopy(network)
        self.stem = nn.Sequential(nn.ConstantPad1d((3, 4), 0.0), network.encoder.stem, nn.ELU())
        blocks = network.encoder.blocks
        self.first = nn.ModuleList(nn.Sequential(b.conv, b.norm, nn.ELU(), nn.MaxPool1d(2)) for b in blocks)
        self.second = nn.ModuleList(nn.Sequential(b.pointwise, nn.ELU()) for b in blocks)
        layers = [network.dense1, network.norm1, nn.ReLU(), network.dense2, network.norm2, nn.ReLU(), network.output]
        self.dense = nn.Sequential(nn.Flatten(), *layers)

    def one(self, bases: Tensor) -> Tensor:
        image = self.stem(bases)
        for first, second in zip(self.first, self.second, strict=True):
            image = first(image)
            image = image + second(image)
        return self.dense(image)

    def forward(self, bases: Tensor) -> Tensor:
        return (self.one(bases) + self.one(bases.flip(1, 2))) / 2


def test_equals_the_published_order_on_four_channels(network: ActivityModel) -> None:
    deep_lift_shap = pytest.importorskip("tangermeme.deep_lift_shap").deep_lift_shap
    codes = random_codes(2, 256, seed=9)
    references = shuffled_references(codes, 4, np.array([3, 4]))
    expected = deep_lift_shap(
        Published(network),
        one_hot(codes)[:, :4].float(),
        references=one_hot(references)[:, :, :4].float(),
        hypothetical=True,
        device="cpu",
    ).numpy()
    found = activity_deeplift(network, codes, references, device="cpu").hypothetical
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


def check_sums(network: ActivityModel, codes: np.ndarray, references: np.ndarray) -> None:
    found = activity_deeplift(network, codes, references, device="cpu")
    with torch.inference_mode():
        predicted = network.both_strands(torch.from_numpy(codes)).double().numpy()
        others = network.both_strands(torch.from_numpy(references.reshape(-1, 256))).double().numpy()
    others = others.reshape(len(codes), -1).mean(1)
    np.testing.assert_allclose(found.predicted, predicted, atol=ROUNDING)
    np.testing.assert_allclose(found.references_mean, others, atol=ROUNDING)
    np.testing.assert_allclose(contributed(found.hypothetical, codes), predicted - others, atol=ROUNDING)
    assert (found.delta <= ROUNDING).all() and (found.delta >= 0).all()
    assert np.abs(predicted - others).max() > 100 * ROUNDING


def check_strands(network: ActivityModel, codes: np.ndarray, references: np.ndarray) -> None:
    forward = activity_deeplift(network, codes, references, device="cpu").hypothetical
    reverse = activity_deeplift(network, COMPLEMENT[codes[:, ::-1]], COMPLEMENT[references[..., ::-1]], device="cpu")
    assert np.abs(forward).max() > 0.01
    np.testing.assert_allclose(reverse.hypothetical[:, ::-1, ::-1], forward, atol=ROUNDING)
    # It is the strands that are told apart: without flipping they differ.
    assert np.abs(reverse.hypothetical - forward).max() > 0.01


def test_contributions_sum_to_the_difference(network: ActivityModel, windows: tuple[np.ndarray, np.ndarray]) -> None:
    check_sums(network, *windows)


def test_both_strands_agree(network: ActivityModel, windows: tuple[np.ndarray, np.ndarray]) -> None:
    check_strands(network, *windows)


def test_unknown_and_missing_bases_have_no_score(
    network: ActivityModel, windows: tuple[np.ndarray, np.ndarray]
) -> None:
    codes, references = windows
    found = activity_deeplift(network, codes, references, device="cpu")
    assert not found.hypothetical.transpose(0, 2, 1)[codes >= 4].any()
    assert found.hypothetical.transpose(0, 2, 1)[codes < 4].any()
    # The last has no known base at all, so its references are itself.
    assert found.delta[3] == 0 and found.predicted[3] == found.references_mean[3]


def test_references_that_are_the_sequence(network: ActivityModel) -> None:
    codes = random_codes(2, 256, seed=11)
    found = activity_deeplift(network, codes, np.repeat(codes[:, None], 2, axis=1), device="cpu")
    # The bases that are there contribute nothing; the others what they would change.
    np.testing.assert_array_equal(contributed(found.hypothetical, codes), 0)
    np.testing.assert_array_equal(found.delta, 0)
    np.testing.assert_allclose(found.references_mean, found.predicted, rtol=0, atol=1e-6)


def test_neither_order_nor_chunks_matter(
    network: ActivityModel, windows: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, references = windows
    whole = activity_deeplift(network, codes, references, device="cpu")
    order = np.array([2, 0, 3, 1])
    monkeypatch.setattr(module, "_PAIRS", 7)
    monkeypatch.setattr(module, "_BASES", 600)
    done: list[tuple[int, int]] = []
    again = activity_deeplift(
        network, codes[order], references[order], device="cpu", progress=lambda *now: done.append(now)
    )
    for first, second in zip(whole, again, strict=True):
        np.testing.assert_allclose(second, first[order], atol=ROUNDING)
    assert done == [(2, 4), (4, 4)]


def test_no_windows(network: ActivityModel) -> None:
    found = activity_deeplift(
        network, np.zeros((0, 256), dtype=np.uint8), np.zeros((0, 3, 256), dtype=np.uint8), device="cpu"
    )
    assert [values.shape for values in found] == [(0,), (0, 4, 256), (0,), (0,)]


def test_network_is_left_as_it_was(network: ActivityModel, windows: tuple[np.ndarray, np.ndarray]) -> None:
    codes, references = (values[:1] for values in windows)
    other = ActivityModel(network.config)
    other.load_state_dict(network.state_dict())
    other.train()
    before = {name: values.clone() for name, values in other.state_dict().items()}
    found = activity_deeplift(other, codes, references, device="cpu")
    untouched(other, before, training=True)
    # It was read as in evaluation.
    np.testing.assert_array_equal(
        found.hypothetical, activity_deeplift(network, codes, references, device="cpu").hypothetical
    )


def untouched(network: nn.Module, before: dict[str, Tensor], *, training: bool) -> None:
    after = network.state_dict()
    assert all(torch.equal(after[name], values) for name, values in before.items())
    for part in network.modules():
        assert part.training == training
        assert not part._forward_hooks and not part._backward_hooks and not hasattr(part, "_NON_LINEAR_OPS")
    assert all(values.grad is None and values.requires_grad for values in network.parameters())


class GeneOf(nn.Module):
    """A gene's prediction by the embedding of one of its rows, through the network's own `rows` and `interact`."""

    def __init__(self, network: EPInformer, batch: Batch, row: int) -> None:
        super().__init__()
        self.network, self.batch, self.row = network, batch, row
        with torch.no_grad():
            self.embeddings = network.embed(batch.codes, batch.lengths)

    def forward(self, embeddings: Tensor) -> Tensor:
        number, rows = len(embeddings), len(self.batch.row_gene)
        many = self.batch.take(torch.zeros(number, dtype=torch.int64))
        sequence = many.row_sequence.view(number, rows).clone()
        sequence[:, self.row] = len(self.embeddings.sequences) + torch.arange(number)
        many = replace(many, row_sequence=sequence.flatten())
        every = Embeddings(torch.cat([self.embeddings.sequences, embeddings]), self.embeddings.empty)
        return self.network.interact(self.network.rows(many, every), many)[0][:, None]


@pytest.fixture(scope="module")
def small() -> EPInformer:
    """A small network whose predictions differ enough between sequences."""
    torch.manual_seed(4)
    widths = {"stem_channels": 16, "block_channels": (12, 8, 8, 12), "dilated_channels": 8, "reduced_channels": 4}
    config = ModelConfig(target="expression_rna", width=8, heads=2, layers=2, feedforward=16, hidden=8, **widths)
    network = EPInformer(config).eval()
    for part in network.modules():
        if isinstance(part, ResidualBlock | DilatedBlock):
            part.conv.weight.data *= 3
            part.norm.running_mean.uniform_(-0.3, 0.3)
        if isinstance(part, nn.Linear):
            part.weight.data *= 2
    return network


def gene(network: EPInformer) -> tuple[Batch, list[np.ndarray]]:
    """A gene with a promoter and two elements."""
    codes = [random_codes(length, seed=length) for length in (2_000, 300, 41)]
    count = len(codes)
    batch = Batch(
        codes=torch.from_numpy(np.concatenate(codes)),
        lengths=torch.tensor([len(part) for part in codes]),
        row_sequence=torch.arange(count),
        row_gene=torch.zeros(count, dtype=torch.int64),
        row_slot=torch.arange(count),
        width=count,
        pair_features=torch.zeros(count, len(network.config.pair_features)),
        gene_features=torch.zeros(1, len(network.config.gene_features)),
    )
    return batch, codes


@pytest.mark.parametrize("row", [0, 1, 2])
def test_expression_of_a_gene(small: EPInformer, row: int) -> None:
    batch, sequences = gene(small)
    codes = sequences[row]
    references = shuffled_references(codes[None], 3, np.array([row]))[0]
    before = {name: values.clone() for name, values in small.state_dict().items()}
    # The rest has the network's layers as its parts, which must not get rules of their own.
    found = sequence_deeplift(small, codes, references, GeneOf(small, batch, row), device="cpu")
    untouched(small, before, training=False)

    def predicted(other: np.ndarray) -> float:
        every = [other if number == row else part for number, part in enumerate(sequences)]
        changed = replace(batch, codes=torch.from_numpy(np.concatenate(every)))
        with torch.inference_mode():
            return float(small(changed).prediction)

    others = np.array([predicted(reference) for reference in references])
    difference = predicted(codes) - others
    assert found.predicted[0] == pytest.approx(predicted(codes), abs=1e-5)
    assert found.references_mean[0] == pytest.approx(others.mean(), abs=1e-5)
    assert np.abs(difference).max() > 0.01
    # The rest is integrated in steps: what is left open is small, and no more than delta says.
    assert found.delta[0] < 0.02 * np.abs(difference).max()
    summed = contributed(found.hypothetical, codes[None])[0]
    assert abs(summed - difference.mean()) <= found.delta[0] + 1e-6


def test_rest_by_hand(small: EPInformer) -> None:
    """A square of a sum of the embedding: its averaged gradient is the sum of both ends times that of the sum."""

    class Summed(nn.Module):
        def forward(self, embeddings: Tensor) -> Tensor:
            return embeddings.sum(1, keepdim=True)

    class Squared(nn.Module):
        def forward(self, embeddings: Tensor) -> Tensor:
            return embeddings.sum(1, keepdim=True) ** 2

    codes = random_codes(90, seed=1)
    references = shuffled_references(codes[None], 1, np.array([0]))[0]
    summed = sequence_deeplift(small, codes, references, Summed(), device="cpu")
    squared = sequence_deeplift(small, codes, references, Squared(), device="cpu")
    ends = summed.predicted[0] + summed.references_mean[0]
    assert summed.delta[0] < ROUNDING and squared.delta[0] < ROUNDING * 10
    assert np.abs(squared.hypothetical).max() > 0.01
    np.testing.assert_allclose(squared.hypothetical, ends * summed.hypothetical, rtol=1e-3, atol=1e-5)


def test_references_are_shuffles_of_the_known_stretches() -> None:
    codes = random_codes(3, 120)
    codes[1, 50:57] = 4
    codes[1, 100:] = 5
    codes[2] = 0
    before = codes.copy()
    seeds = np.array([5, 6, 7])
    found = shuffled_references(codes, 6, seeds)
    assert found.shape == (3, 6, 120) and found.dtype == np.uint8
    np.testing.assert_array_equal(codes, before)
    stretches = [(0, 0, 120), (1, 0, 50), (1, 57, 100)]
    for row, begin, end in stretches:
        own = Counter(zip(codes[row, begin : end - 1].tolist(), codes[row, begin + 1 : end].tolist(), strict=True))
        for reference in found[row]:
            part = reference[begin:end]
            assert Counter(zip(part[:-1].tolist(), part[1:].tolist(), strict=True)) == own
        assert len({reference.tobytes() for reference in found[row]}) == 6
    assert (found[1, :, 50:57] == 4).all() and (found[1, :, 100:] == 5).all()
    # A single base has no other order.
    assert (found[2] == 0).all()
    # Each sequence has its own seed: alone and in another order it is shuffled as among others.
    np.testing.assert_array_equal(shuffled_references(codes[[1, 0]], 6, seeds[[1, 0]]), found[[1, 0]])
    assert (shuffled_references(codes[:1], 6, seeds[1:2])[0] != found[0]).any()


def test_no_references_are_too_few() -> None:
    with pytest.raises(InputError, match="0 references are too few"):
        shuffled_references(random_codes(1, 10), 0, np.array([1]))


def test_windows_of_another_length(network: ActivityModel) -> None:
    with pytest.raises(InputError, match=r"windows have 200 bases.*The model reads windows of 256"):
        activity_deeplift(network, random_codes(1, 200), random_codes(1, 1, 200), device="cpu")


def test_says_which_extra_to_install(network: ActivityModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tangermeme", None)
    monkeypatch.delitem(sys.modules, "tangermeme.deep_lift_shap", raising=False)
    with pytest.raises(EpinformerError, match=r"DeepLIFT needs the package tangermeme.*epinformer\[interpret\]"):
        activity_deeplift(network, random_codes(1, 256), random_codes(1, 1, 256), device="cpu")


@pytest.mark.real_data
def test_published_weights_on_real_sequence(shared_data: Path) -> None:
    path = shared_data / (
        "published/fold_1_best_K562_seq2activityLog2_leaveChrOut_combinedRS_2bins_bs64_H3K27ac_adamW_erisxdl_r0_checkpoint.pt"
    )
    published = read_published(path)
    network = ActivityModel(published.config)
    network.load_state_dict(published.state)
    network.eval()
    genome = open_genome(shared_data / "k562_chr22" / "chr22_hg38_37200001-40600000.fa.gz")
    codes = np.stack([genome.codes("chr22", start, start + 256) for start in (37_563_000, 38_201_500, 39_456_000)])
    references = shuffled_references(codes, 3, np.arange(3))
    check_sums(network, codes, references)
    check_strands(network, codes, references)
