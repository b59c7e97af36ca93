from __future__ import annotations

import numpy as np
import pytest

from epinformer.dataset.folds import paper_folds
from epinformer.simulation.layout import World, lay_out
from epinformer.simulation.model import CHROMOSOMES


@pytest.fixture(scope="module")
def world() -> World:
    return lay_out(600, 1)


def test_every_chromosome_has_genes_and_every_fold_can_be_tested(world: World) -> None:
    counts = world.genes["chrom"].value_counts()
    assert list(world.lengths) == [*(f"chr{i}" for i in range(1, 23)), "chrX", "chrY"]
    assert counts.sum() == 600 and counts["chrY"] == 4 and counts.drop("chrY").min() > 15
    for fold in paper_folds():
        assert sorted(set(fold.split(world.genes["chrom"]))) == ["test", "train", "validation"]


@pytest.mark.parametrize("genes", [48, 49, 149, 300])
def test_any_number_of_genes_is_shared_out(genes: int) -> None:
    world = lay_out(genes, 0)
    counts = world.genes["chrom"].value_counts().reindex(CHROMOSOMES, fill_value=0)
    assert counts.sum() == genes and counts.drop("chrY").min() >= 1
    assert world.genes["gene_id"].is_unique


def test_elements_lie_on_their_chromosome_in_order_and_apart(world: World) -> None:
    for chrom, table in world.elements.groupby("chrom"):
        assert table["start"].min() >= 0 and table["end"].max() <= world.lengths[str(chrom)]
        assert table["start"].is_monotonic_increasing and table["center"].is_monotonic_increasing
        assert (table["start"].to_numpy()[1:] >= table["end"].to_numpy()[:-1]).all()
        assert ((table["start"] <= table["center"] - 110) & (table["center"] + 110 <= table["end"])).mean() == 1
    assert world.elements["element_id"].is_unique
    assert world.genes.groupby("chrom")["tss"].diff().min() >= 8_000


def test_the_odd_cases_are_there(world: World) -> None:
    elements, genes = world.elements, world.genes
    width = elements["end"] - elements["start"]
    assert 0 < (width > 2_000).mean() < 0.03 and width.min() >= 300
    assert not ((width > 1_200) & (width <= 2_000)).any()
    assert (elements["start"] == 0).any()
    assert (elements["end"] == elements["chrom"].map(world.lengths)).any()
    assert genes["isolated"].any()


def test_a_genes_promoter_is_its_own_and_an_isolated_gene_has_nothing_else(world: World) -> None:
    own = world.elements.loc[world.genes["promoter"]]
    assert (own["kind"] == "promoter").all()
    assert set(np.abs(own["center"].to_numpy() - world.genes["tss"].to_numpy())) == {60}
    middle = ((world.elements["start"] + world.elements["end"]) // 2).to_numpy()
    for row in np.flatnonzero(world.genes["isolated"]):
        here = (world.elements["chrom"] == world.genes["chrom"][row]).to_numpy()
        near = np.flatnonzero(here & (np.abs(middle - world.genes["tss"][row]) <= 100_000))
        assert near.tolist() == [world.genes["promoter"][row]]


def test_about_a_dozen_elements_a_gene_and_some_at_equal_distance(world: World) -> None:
    middle = ((world.elements["start"] + world.elements["end"]) // 2).to_numpy()
    counts, ties = [], 0
    for chrom, tss in zip(world.genes["chrom"], world.genes["tss"], strict=True):
        apart = np.abs(middle[(world.elements["chrom"] == chrom).to_numpy()] - tss)
        apart = apart[(apart > 1_000) & (apart <= 100_000)]
        counts.append(len(apart))
        ties += len(apart) - len(set(apart.tolist()))
    assert 10 < np.mean(counts) < 16
    assert ties > 10


def test_a_chromosome_is_about_a_megabase_and_a_seed_is_a_world(world: World) -> None:
    small = lay_out(300, 0)
    assert 0.7e6 < np.mean([*small.lengths.values()]) < 1.3e6
    again, other = lay_out(300, 0), lay_out(300, 1)
    assert small.elements.equals(again.elements) and small.genes.equals(again.genes)
    assert not small.elements["start"].head(50).equals(other.elements["start"].head(50))
