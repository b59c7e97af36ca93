"""The promoters and elements of genes, and what is left out of what is to be explained."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.bases import NO_BASE
from epinformer.dataset.limits import PairLimits, limited
from epinformer.errors import DatasetError, InputError
from epinformer.interpretation.targets import (
    Part,
    Targets,
    distinct,
    explicable,
    gene_targets,
    of_pairs,
    of_sequences,
    with_bases,
)
from tests.target_checks import check_bases, with_unknown, without_sequence
from tests.variant_world import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("part", ["all", "elements", "promoter"])
def test_promoter_and_elements_of_genes(world: World, part: Part) -> None:
    dataset = world.dataset
    targets = gene_targets(dataset, ["GENE4", "ENSG00000000000"], part)
    expected = []
    for gene in (0, 4):
        own = dataset.genes.iloc[gene]
        if part != "elements":
            name = f"GENE{gene} promoter"
            place = (own.chrom, own.tss - 1_000, own.tss + 1_000)
            expected.append((name, "promoter", *place, own.gene_id, own.gene_name, gene, -1, -1))
        for row, pair in dataset.pairs.iterrows():
            if pair.gene_index == gene and part != "promoter":
                element = dataset.elements.iloc[int(pair.element_index)]
                place = (element.chrom, element.start, element.end)
                numbers = (gene, int(pair.element_index), row)
                expected.append((element.element_id, "element", *place, own.gene_id, own.gene_name, *numbers))
    columns = ["name", "kind", "chrom", "start", "end", "gene_id", "gene_name", "gene_index", "element_index", "pair"]
    assert list(targets.table[columns].itertuples(index=False, name=None)) == expected
    assert len(expected) == {"all": 11, "elements": 9, "promoter": 2}[part]
    assert targets.table["score"].isna().all()
    assert {str(targets.table[name].dtype) for name in ("start", "end", *columns[-3:])} == {"int64"}
    check_bases(targets, world)


def test_a_promoter_beyond_the_start_of_a_chromosome_holds_no_base_there(world: World) -> None:
    targets = gene_targets(world.dataset, ["GENE0"], "promoter")
    assert targets.table["start"].tolist() == [-300]
    assert (targets.read(0) == NO_BASE).tolist() == [True] * 300 + [False] * 1_700


def test_a_gene_without_elements_has_its_promoter(world: World) -> None:
    pairs = world.dataset.pairs[world.dataset.pairs["gene_index"] != 1].reset_index(drop=True)
    dataset = dataclasses.replace(world.dataset, pairs=pairs)
    assert gene_targets(dataset, ["GENE1"], "all").table["name"].tolist() == ["GENE1 promoter"]
    assert set(gene_targets(dataset, ["GENE1", "GENE2"], "elements").table["gene_index"]) == {2}
    with pytest.raises(InputError, match=r"have no elements that the models look at \(1 affected; first: ENSG0+1\)"):
        gene_targets(dataset, ["GENE1"], "elements")


def test_only_pairs_that_the_models_look_at(world: World) -> None:
    dataset = limited(world.dataset, PairLimits(max_elements=1))
    targets = gene_targets(dataset, ["GENE1", "GENE4"], "elements")
    assert targets.table["element_index"].tolist() == [4, 11]
    assert dataset.pairs["element_index"].iloc[targets.table["pair"]].tolist() == [4, 11]


def test_promoters_are_named_by_id_where_symbols_do_not_tell(world: World) -> None:
    names = pd.Series(["SAME", "SAME", None, "", "GENE4", "GENE5"], dtype="str")
    dataset = dataclasses.replace(world.dataset, genes=world.dataset.genes.assign(gene_name=names))
    ids = dataset.genes["gene_id"].tolist()
    targets = gene_targets(dataset, ids, "promoter")
    assert targets.table["name"].tolist() == [f"{name} promoter" for name in [*ids[:4], "GENE4", "GENE5"]]
    assert targets.table["gene_name"].isna().tolist() == [False, False, True, False, False, False]


def test_elements_of_no_gene(world: World) -> None:
    nothing = np.full(world.dataset.n_elements, -1)
    targets = of_sequences(world.dataset, nothing, np.arange(world.dataset.n_elements), nothing)
    assert targets.table["name"].tolist() == world.dataset.elements["element_id"].tolist()
    assert targets.table[["gene_id", "gene_name"]].isna().all(axis=None) and set(targets.table["gene_index"]) == {-1}
    check_bases(targets, world)


def test_bad_genes_and_datasets(world: World) -> None:
    with pytest.raises(InputError, match=r"does not hold all genes asked for \(1 affected; first: GENE9\)"):
        gene_targets(world.dataset, ["GENE1", "GENE9"], "all")
    with pytest.raises(DatasetError, match=r"has no sequence\. Prepare it with a genome"):
        gene_targets(without_sequence(world.dataset), ["GENE1"], "all")
    elements = world.dataset.elements.assign(start=pd.array([None] * 14, "Int64"), end=pd.array([None] * 14, "Int64"))
    with pytest.raises(DatasetError, match="does not say where its genes and elements lie"):
        gene_targets(dataclasses.replace(world.dataset, elements=elements), ["GENE1"], "all")


def test_sequences_without_known_bases_are_left_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    whole = gene_targets(world.dataset, ["GENE1"], "all")
    n_genes = world.dataset.n_genes
    dataset = with_unknown(world.dataset, 1, n_genes + int(whole.table["element_index"].iloc[2]))
    with caplog.at_level(logging.WARNING):
        targets = gene_targets(dataset, ["GENE1"], "all")
    kept = whole.table.drop(index=[0, 2]).reset_index(drop=True)
    pd.testing.assert_frame_equal(targets.table, kept)
    check_bases(targets, world)
    count = len(whole.table)
    assert f"2 of {count} sequences are without any A, C, G or T and are left out" in caplog.text
    assert "(first: GENE1 promoter (chr2:3500-5500))" in caplog.text
    with pytest.raises(InputError, match=r"every sequence is without any A, C, G or T \(1 affected; first: GENE1 prom"):
        gene_targets(dataset, ["GENE1"], "promoter")


def test_one_known_base_is_enough() -> None:
    table = pd.DataFrame({"name": ["a", "b"], "chrom": "chr1", "start": [0, 9], "end": [3, 12]})
    codes = [np.array([5, 4, 3], np.uint8), np.array([4, 4, 5], np.uint8)]
    targets = with_bases(Targets(table, codes.__getitem__), Path("some.bed"))
    assert targets.table["name"].tolist() == ["a"]
    np.testing.assert_array_equal(targets.read(0), codes[0])


def test_distinct_keeps_the_first_of_each_sequence(world: World) -> None:
    # GENE1 and GENE2 share elements.
    targets = gene_targets(world.dataset, ["GENE1", "GENE2"], "all")
    once = distinct(targets)
    seen, expected = set(), []
    for row, place in enumerate(zip(targets.table["chrom"], targets.table["start"], targets.table["end"], strict=True)):
        if place not in seen:
            seen.add(place)
            expected.append(row)
    assert len(expected) < len(targets.table)
    pd.testing.assert_frame_equal(once.table, targets.table.iloc[expected].reset_index(drop=True))
    check_bases(once, world)


def test_explicable_are_promoters_and_pairs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    genes, pairs = np.array([0, 1, 2]), np.array([-1, 7, -1])
    targets = of_pairs(world.dataset, genes, pairs)
    assert explicable(targets, "links.tsv") is targets
    table = targets.table.assign(kind=["promoter", "element", "region"])
    with caplog.at_level(logging.WARNING):
        kept = explicable(Targets(table, targets.read), "links.tsv")
    assert kept.table["kind"].tolist() == ["promoter", "element"]
    assert "links.tsv: 1 of 3 sequences are of no pair that the models look at" in caplog.text
    with pytest.raises(InputError, match=r"^links\.tsv: leaves nothing to explain: every sequence is of no pair"):
        explicable(Targets(table.assign(pair=-1, kind="element"), targets.read), "links.tsv")
