from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.padded import one_hot
from epinformer.bases import NO_BASE
from epinformer.dataset.batch import Batch, missing_features, sequence_codes
from epinformer.dataset.features import Feature
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, InputError

PAIR = (Feature("distance", "abs_kb"), Feature("contact", "log10_1p"), Feature("activity"))
GENE = (Feature("UTR5LEN"), Feature("promoter_activity"))


def sequences(batch: Batch) -> list[np.ndarray]:
    return [part.numpy() for part in torch.split(batch.codes, batch.lengths.tolist())]


@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 15)), min_size=1, max_size=5))
def test_from_dense_keeps_every_base_where_it_is(spans: list[tuple[int, int]]) -> None:
    """Bases anywhere in a window of 16, not only centred ones."""
    rng = np.random.default_rng(0)
    codes = np.full((1, len(spans), 16), NO_BASE)
    for row, (start, size) in enumerate(spans):
        size = min(size, 16 - start)
        codes[0, row, start : start + size] = rng.integers(0, 6, size)
    dense = np.stack([[one_hot(row, 16) for row in codes[0]]])
    batch = Batch.from_dense(dense, None, np.zeros((1, 2)))
    found = sequences(batch)
    present = [row for row in range(len(spans)) if row == 0 or (codes[0, row] != NO_BASE).any()]
    assert batch.row_slot.tolist() == present
    for row, sequence in zip(present, batch.row_sequence.tolist(), strict=True):
        np.testing.assert_array_equal(one_hot(found[sequence], 16), dense[0, row])
        edges = found[sequence][:1].tolist() + found[sequence][-2:].tolist()
        assert not len(edges) or set(edges) != {NO_BASE} or len(found[sequence]) <= 1, "no longer than need be"
    assert len({row.tobytes() for row in codes[0][present]}) == len(found), "each distinct sequence once"


def test_from_dense_takes_integers_and_tensors() -> None:
    dense = np.zeros((2, 2, 8, 4), dtype=np.uint8)
    dense[:, 0, 2:6, 1] = 1
    features = np.ones((2, 2, 1), dtype=np.float64)
    batch = Batch.from_dense(torch.from_numpy(dense), torch.from_numpy(features), np.zeros((2, 3)))
    assert len(batch) == 2 and batch.width == 2
    assert batch.codes.tolist() == [1, 1, 1, 1] and batch.row_sequence.tolist() == [0, 0]
    assert batch.pair_features.tolist() == [[0], [0]], "a promoter has no pair"
    assert batch.slots().tolist() == [[0, -1], [1, -1]]


@pytest.mark.parametrize(
    ("shape", "pair", "gene", "message"),
    [
        ((1, 2, 8), None, (1, 1), r"one_hot has shape \(1, 2, 8\)"),
        ((1, 2, 8, 5), None, (1, 1), "one_hot has shape"),
        ((0, 2, 8, 4), None, (0, 1), "one_hot has shape"),
        ((1, 2, 8, 4), (1, 3, 1), (1, 1), r"pair_features has shape \(1, 3, 1\), not \(1, 2, features\)"),
        ((1, 2, 8, 4), None, (2, 1), r"gene_features has shape \(2, 1\), not \(1, features\)"),
    ],
)
def test_from_dense_refuses_other_shapes(
    shape: tuple[int, ...], pair: tuple[int, ...] | None, gene: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Batch.from_dense(np.zeros(shape), None if pair is None else np.zeros(pair), np.zeros(gene))


@pytest.mark.parametrize("base", [[1, 1, 0, 0], [0.5, 0.5, 0, 0], [2, 0, 0, 0], [1, -1, 0, 1], [0.25, 0.25, 0.25, 0]])
def test_from_dense_refuses_other_bases(base: list[float]) -> None:
    dense = np.zeros((1, 2, 8, 4))
    dense[0, 1, 3] = base
    with pytest.raises(InputError, match=r"neither one-hot nor 0.25.*1 affected; first: row 1, position 3"):
        Batch.from_dense(dense, None, np.zeros((1, 1)))


def test_from_dataset_against_the_tables(synthetic: Dataset) -> None:
    genes = np.array([0, 1, 5, 11])
    batch = Batch.from_dataset(synthetic, genes, pair_features=PAIR, gene_features=GENE)
    found = sequences(batch)
    assert synthetic.codes is not None
    offsets = synthetic.sequence_offsets
    row = 0
    for number, gene in enumerate(genes):
        pairs = synthetic.pairs[synthetic.pairs.gene_index == gene]
        expected = [(int(gene), np.zeros(3))]
        for pair in pairs.itertuples():
            activity = synthetic.elements.activity[pair.element_index]
            values = np.array([abs(pair.distance) / 1000, np.log10(1 + pair.contact), activity])
            expected.append((synthetic.n_genes + pair.element_index, values))
        for slot, (sequence, values) in enumerate(expected):
            assert (int(batch.row_gene[row]), int(batch.row_slot[row])) == (number, slot)
            bases = synthetic.codes[offsets[sequence] : offsets[sequence + 1]]
            np.testing.assert_array_equal(found[int(batch.row_sequence[row])], bases)
            np.testing.assert_allclose(batch.pair_features[row], values, rtol=1e-6)
            row += 1
        of_gene = synthetic.genes.loc[gene, ["UTR5LEN", "promoter_activity"]].to_numpy(float)
        np.testing.assert_allclose(batch.gene_features[number], of_gene, rtol=1e-6)
    assert row == len(batch.row_gene) and batch.width == 21
    assert len(found) == len(np.unique(batch.row_sequence)), "each distinct sequence once"


def test_from_dataset_with_known_sequences(synthetic: Dataset) -> None:
    genes = np.array([2, 1])
    whole = Batch.from_dataset(synthetic, genes, pair_features=PAIR, gene_features=GENE)
    everything = np.arange(synthetic.n_genes + synthetic.n_elements)
    known = Batch.from_dataset(synthetic, genes, pair_features=PAIR, gene_features=GENE, sequences=everything)
    assert known.codes.numel() == 0
    codes, lengths = sequence_codes(synthetic, everything)
    parts = torch.split(codes, lengths.tolist())
    for a, b in zip(whole.row_sequence, known.row_sequence, strict=True):
        np.testing.assert_array_equal(sequences(whole)[int(a)], parts[int(b)])


def test_promoters_alone(synthetic: Dataset) -> None:
    genes = np.arange(3)
    alone = Batch.from_dataset(synthetic, genes, pair_features=(), gene_features=GENE, elements=False)
    assert alone.width == 1 and alone.row_slot.tolist() == [0, 0, 0]
    assert alone.lengths.tolist() == [2000] * 3


def test_missing_columns_and_values_are_named(synthetic: Dataset) -> None:
    lacking = (*PAIR, Feature("ctcf_rpm"), Feature("h3k4me3_rpm", "zero"))
    assert missing_features(synthetic, lacking, (*GENE, Feature("promoter_atac_rpm"))) == [
        "ctcf_rpm",
        "promoter_atac_rpm",
    ]
    with pytest.raises(DatasetError, match="lacks the feature 'ctcf_rpm' among its pairs or elements"):
        Batch.from_dataset(synthetic, np.arange(2), pair_features=lacking, gene_features=GENE)
    with pytest.raises(DatasetError, match="lacks the feature 'x' among its genes"):
        Batch.from_dataset(synthetic, np.arange(2), pair_features=(), gene_features=(Feature("x"),))

    genes = synthetic.genes.copy()
    genes.loc[[1, 4], "promoter_activity"] = np.nan
    holed = dataclasses.replace(synthetic, genes=genes)
    Batch.from_dataset(holed, np.array([0, 2]), pair_features=PAIR, gene_features=GENE)
    with pytest.raises(DatasetError, match=r"'promoter_activity'.*has no value for some of these genes \(1 affected"):
        Batch.from_dataset(holed, np.array([0, 1, 2]), pair_features=PAIR, gene_features=GENE)


def test_no_sequence(synthetic: Dataset) -> None:
    without = dataclasses.replace(synthetic, codes=None)
    with pytest.raises(DatasetError, match="no sequence"):
        sequence_codes(without, np.arange(2))


def test_to_moves_tensors_only(synthetic: Dataset) -> None:
    batch = Batch.from_dataset(synthetic, np.arange(2), pair_features=PAIR, gene_features=GENE)
    moved = batch.to("meta")
    assert moved.codes.device.type == "meta" and moved.width == batch.width


@given(st.lists(st.integers(0, 11), max_size=6))
def test_taken_genes_are_as_asked_for_alone(synthetic: Dataset, genes: list[int]) -> None:
    everything = np.arange(synthetic.n_genes + synthetic.n_elements)
    features = {"pair_features": PAIR, "gene_features": GENE, "sequences": everything}
    whole = Batch.from_dataset(synthetic, np.arange(12), **features)
    taken = whole.take(torch.tensor(genes, dtype=torch.int64))
    expected = Batch.from_dataset(synthetic, np.array(genes, dtype=np.int64), **features)
    for field in dataclasses.fields(Batch):
        mine, theirs = getattr(taken, field.name), getattr(expected, field.name)
        assert torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else mine == theirs, field.name


def test_part_is_the_batch_of_those_genes(synthetic: Dataset) -> None:
    everything = np.arange(synthetic.n_genes + synthetic.n_elements)
    known = {"pair_features": PAIR, "gene_features": GENE, "sequences": everything}
    whole = Batch.from_dataset(synthetic, np.arange(12), **known)  # type: ignore[arg-type]
    for begin, end in ((0, 12), (0, 1), (1, 4), (11, 12)):
        part = whole.part(begin, end)
        expected = Batch.from_dataset(synthetic, np.arange(begin, end), **known)  # type: ignore[arg-type]
        for field in dataclasses.fields(Batch):
            found, wanted = getattr(part, field.name), getattr(expected, field.name)
            assert torch.equal(found, wanted) if isinstance(found, torch.Tensor) else found == wanted, field.name


def test_damaged_bases_are_told(synthetic: Dataset) -> None:
    assert synthetic.codes is not None
    codes = synthetic.codes.copy()
    codes[4_100] = 200
    damaged = dataclasses.replace(synthetic, codes=codes)
    sequence_codes(damaged, np.array([0, 1]))
    with pytest.raises(DatasetError, match=r"sequence\.npy: .*such as 200 \(1 affected; first: sequence 2\)"):
        sequence_codes(damaged, np.array([0, 1, 2, 3]))


def test_from_dense_takes_what_carries_a_gradient_or_cannot_be_written() -> None:
    dense = torch.zeros(1, 1, 8, 4)
    dense[0, 0, :, 2] = 1
    frozen = dense.numpy().copy()
    frozen.flags.writeable = False
    for values in (dense.clone().requires_grad_(), dense.to(torch.bfloat16), frozen):
        batch = Batch.from_dense(values, None, torch.zeros(1, 1, requires_grad=True))
        assert batch.codes.tolist() == [2] * 8 and not batch.gene_features.requires_grad
