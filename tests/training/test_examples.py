from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from epinformer.dataset.batch import Batch
from epinformer.dataset.store import Dataset
from epinformer.model.config import published_config
from epinformer.model.epinformer import EPInformer
from epinformer.training.examples import EpochOrder, GeneExamples, WindowExamples


def test_a_batch_is_what_the_dataset_gives(bases: Dataset) -> None:
    config = published_config("PE-Activity", "expression_rna")
    genes = np.array([3, 11, 20, 21, 40])
    examples = GeneExamples(bases, config, genes)
    example = examples.__getitems__([4, 1, 2])
    features = {"pair_features": config.pair_features, "gene_features": config.gene_features}
    expected = Batch.from_dataset(bases, genes[[4, 1, 2]], **features)
    torch.manual_seed(0)
    model = EPInformer(config).eval()
    with torch.inference_mode():
        assert torch.allclose(model(example.batch).prediction, model(expected).prediction, atol=1e-6)
    np.testing.assert_allclose(example.target, bases.genes.expression_rna[genes[[4, 1, 2]]], rtol=1e-6)
    assert len(example.batch.lengths) == len(expected.lengths)


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 5), st.integers(0, 5))
def test_every_example_once_an_epoch(examples: int, world: int, seed: int, epoch: int) -> None:
    orders = [EpochOrder(examples, seed, rank=rank, world=world) for rank in range(world)]
    for order in orders:
        order.set_epoch(epoch)
    seen = [index for order in orders for index in order]
    assert len(seen) == len(set(seen)) == examples // world * world
    assert {len(order) for order in orders} == {examples // world}
    assert list(orders[0]) == list(orders[0])


def test_epochs_and_seeds_differ() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        made = EpochOrder(50, seed)
        made.set_epoch(epoch)
        return list(made)

    assert order(1, 0) != order(1, 1) != order(2, 1)


@pytest.mark.parametrize("both", [True, False])
def test_windows_and_their_reverse_complements(both: bool) -> None:
    letters = "ACGTN-"
    codes = np.array([[letters.index(base) for base in text] for text in ("ACCGT-", "NNACGA", "TTTTTT")], np.uint8)
    codes.flags.writeable = False
    examples = WindowExamples(codes, np.array([1.0, 2.0, 3.0]), np.array([1, 0]), both_strands=both)
    assert len(examples) == (4 if both else 2)
    made = examples.__getitems__([0, 3, 1] if both else [0, 1])
    texts = ["".join(letters[code] for code in row) for row in made.codes.tolist()]
    assert texts == (["NNACGA", "-ACGGT", "ACCGT-"] if both else ["NNACGA", "ACCGT-"])
    assert made.target.tolist() == ([2, 1, 1] if both else [2, 1])
