from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from epinformer.dataset.batch import Batch
from epinformer.dataset.store import Dataset
from epinformer.model.epinformer import EPInformer
from epinformer.scoring import changes as module
from epinformer.scoring.changes import Changes, predict_changes, removed_in_turn


def ragged(sizes: list[int], features: int, seed: int = 0) -> Batch:
    """Random genes with so many elements each, for a network without sequence."""
    random = torch.Generator().manual_seed(seed)
    counts = torch.tensor(sizes) + 1
    gene = torch.repeat_interleave(torch.arange(len(sizes)), counts)
    slot = torch.cat([torch.arange(count) for count in counts.tolist()])
    pair = torch.randn(len(gene), features, generator=random) * (slot > 0)[:, None]
    return Batch(
        codes=torch.zeros(0, dtype=torch.uint8),
        lengths=torch.zeros(0, dtype=torch.int64),
        row_sequence=torch.zeros(len(gene), dtype=torch.int64),
        row_gene=gene,
        row_slot=slot,
        width=int(counts.max()),
        pair_features=pair,
        gene_features=torch.randn(len(sizes), 2, generator=random),
    )


def alone(network: EPInformer, batch: Batch, gene: int, features: torch.Tensor) -> float:
    """The prediction for one gene with these features of its elements, through the whole forward pass."""
    one = ragged([len(features)], batch.pair_features.shape[1])
    rows = torch.cat([torch.zeros(1, features.shape[1]), features])
    part = dataclasses.replace(one, pair_features=rows, gene_features=batch.gene_features[gene : gene + 1])
    return float(network(part).prediction)


@pytest.mark.parametrize("chunk", [1, 7, 8_192])
def test_equals_a_forward_pass_of_what_is_left(signals_model, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", chunk)
    network = signals_model().model
    batch = ragged([0, 3, 1, 5], 4)
    others = ragged([2], 4, seed=1).pair_features[1:]
    first = [0, 1, 5, 7]
    # gene, removed slots, replaced slot -> row of others
    knockouts = [(1, [1], {}), (3, [2, 4], {}), (2, [1], {}), (3, [], {5: 1}), (1, [3], {1: 0, 2: 1}), (0, [], {})]
    flat = [
        (number, first[gene] + slot, others_row)
        for number, (gene, removed, replaced) in enumerate(knockouts)
        for slot, others_row in sorted([(slot, -1) for slot in removed] + list(replaced.items()))
    ]
    knockout, changed, replacement = np.array(flat).T
    with torch.inference_mode():
        rows = network.rows(batch, None)
        of_others = network.rows(ragged([2], 4, seed=1), None)[1:]
        done: list[int] = []
        genes = np.array([gene for gene, _, _ in knockouts])
        arrays = genes, knockout, changed, replacement
        found = predict_changes(network, batch, rows, of_others, *arrays, progress=done.append)
        for value, (gene, removed, replaced) in zip(found, knockouts, strict=True):
            features = batch.pair_features[batch.row_gene == gene][1:].clone()
            for slot, row in replaced.items():
                features[slot - 1] = others[row]
            kept = [slot - 1 for slot in range(1, len(features) + 1) if slot not in removed]
            assert value == pytest.approx(alone(network, batch, gene, features[kept]), abs=1e-6)
    assert done[-1] == len(knockouts) and done == sorted(done)


def test_in_turn_and_choice_of_genes(plain: Dataset) -> None:
    genes = np.array([0, 1, 4])
    changes = removed_in_turn(plain, genes)
    pairs = plain.pairs[plain.pairs.gene_index.isin(genes)]
    assert changes.gene.tolist() == pairs.gene_index.tolist()
    assert changes.pair.tolist() == pairs.index.tolist()
    assert (changes.replacement == -1).all() and changes.knockout.tolist() == list(range(len(pairs)))
    several = Changes(np.array([4, 1, 4]), np.array([0, 0, 1, 2, 2]), np.arange(5), np.array([-1, 0, -1, 1, 2]))
    chosen, some = several.of(np.array([4]))
    assert chosen.tolist() == [True, False, True] and some.gene.tolist() == [4, 4]
    assert some.knockout.tolist() == [0, 0, 1, 1] and some.pair.tolist() == [0, 1, 3, 4]
    assert some.replacement.tolist() == [-1, 0, 1, 2]


@pytest.mark.real_data
@pytest.mark.parametrize("weights", ["PE_Activity", "PE_Activity_HiC"])
def test_published_knock_outs(weights: str, shared_data: Path) -> None:
    """The authors' code zeroes an element's sequence, which masks the element."""
    folder = shared_data / "published"
    network = EPInformer.from_published(folder / f"fold_1_EPInformer_{weights}_CAGE_K562_checkpoint.pt")
    inputs = np.load(folder / "inputs.npz")
    features = inputs["extra_feat_3" if "HiC" in weights else "extra_feat_2"]
    batch = Batch.from_dense(inputs["pe_seq"][2:3], features[2:3], inputs["rna_feat"][2:3])
    name = "PE_Activity_HiC_K562_CAGE_fold1" if "HiC" in weights else "PE_Activity_K562_CAGE_fold1"
    expected = np.load(folder / f"outputs_{name}.npz")["knockout_gene2_enh1to5"]
    number = np.arange(5)
    with torch.inference_mode():
        rows = network.rows(batch, network.embed(batch.codes, batch.lengths))
        found = predict_changes(
            network, batch, rows, rows[:0], np.zeros(5, dtype=np.int64), number, 1 + number, np.full(5, -1)
        )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
