"""The elements of the best links."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.dataset.limits import PairLimits, limited
from epinformer.errors import DatasetError, InputError
from epinformer.inputs.links import Links, read_links
from epinformer.interpretation.link_targets import link_targets
from epinformer.interpretation.targets import explicable
from tests.target_checks import check_bases, with_unknown, without_sequence
from tests.variant_world import World, make_world

Row = tuple[str, int, int, str, float | str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def table(tmp_path: Path, rows: list[Row], gene: str = "gene_name") -> tuple[Links, Path]:
    path = tmp_path / "links.tsv"
    lines = ["\t".join(map(str, row)) for row in rows]
    path.write_text("\n".join([f"chrom\tstart\tend\t{gene}\tabc\tother", *(f"{line}\t1" for line in lines)]) + "\n")
    return read_links(path), path


def summary(world: World, links: tuple[Links, Path], top: int) -> list[tuple[int, int, float]]:
    targets = link_targets(world.dataset, links[0], top, "abc", links[1])
    check_bases(targets, world)
    assert set(targets.table["kind"]) == {"element"}
    return list(targets.table[["element_index", "gene_index", "score"]].itertuples(index=False, name=None))


def test_the_best_links_and_of_equal_ones_the_first(world: World, tmp_path: Path) -> None:
    rows: list[Row] = [
        ("chr2", 0, 500, "GENE0", 0.2),
        ("chr2", 2_800, 2_960, "GENE0", 0.5),
        ("chr22", 4_300, 5_000, "GENE4", 0.9),
        ("chr2", 1_400, 2_010, "GENE0", 0.5),
        ("chr22", 0, 500, "GENE3", "nan"),
        ("chr2", 4_300, 5_000, "GENE1", 0.5),
    ]
    links = table(tmp_path, rows)
    expected = [(11, 4, 0.9), (3, 0, 0.5), (1, 0, 0.5), (4, 1, 0.5), (0, 0, 0.2)]
    for top in (1, 2, 3, 4, 5, 50):
        assert summary(world, links, top) == expected[:top]


def test_links_know_their_pair_and_gene(world: World, tmp_path: Path) -> None:
    rows: list[Row] = [("chr2", 4_300, 5_000, "GENE1", 3), ("chr22", 8_600, 9_000, "GENE3", 2)]
    links, path = table(tmp_path, [*rows, ("chr2", 0, 500, "UNKNOWN", 1)])
    targets = link_targets(world.dataset, links, 9, "abc", path)
    pairs = world.dataset.pairs
    own = pairs.index[(pairs["gene_index"] == 1) & (pairs["element_index"] == 4)].tolist()
    # 8,600 is too far from GENE3's TSS at 700, and the dataset has no gene of the third name.
    assert targets.table["pair"].tolist() == [*own, -1, -1]
    assert targets.table["gene_index"].tolist() == [1, 3, -1]
    assert targets.table["gene_name"].tolist() == ["GENE1", "GENE3", "UNKNOWN"]
    assert targets.table["gene_id"].fillna("none").tolist() == ["ENSG00000000001", "ENSG00000000003", "none"]
    assert targets.table["name"].tolist() == ["chr2:4300-5000", "chr22:8600-9000", "chr2:0-500"]
    assert explicable(targets, path).table["pair"].tolist() == own
    with pytest.raises(InputError, match=r"every sequence is of no pair that the models look at \(3 affected"):
        explicable(link_targets(limited(world.dataset, PairLimits(max_elements=0)), links, 9, "abc", path), path)


def test_genes_by_id_whatever_its_version(world: World, tmp_path: Path) -> None:
    rows: list[Row] = [("chr2", 0, 500, "ENSG00000000000.7", 2), ("chr2", 0, 500, "ENSG00000000001", 1)]
    links, path = table(tmp_path, [*rows, ("chr2", 0, 500, "ENSG00000000009.1", 0)], "gene_id")
    targets = link_targets(world.dataset, links, 9, "abc", path)
    assert targets.table["gene_index"].tolist() == [0, 1, -1]
    assert targets.table["gene_id"].tolist() == ["ENSG00000000000", "ENSG00000000001", "ENSG00000000009.1"]


def test_a_symbol_of_several_genes_is_no_gene(world: World, tmp_path: Path) -> None:
    names = world.dataset.genes["gene_name"].replace("GENE1", "GENE0")
    dataset = dataclasses.replace(world.dataset, genes=world.dataset.genes.assign(gene_name=names))
    links, path = table(tmp_path, [("chr2", 0, 500, "GENE0", 2), ("chr2", 0, 500, "GENE2", 1)])
    assert link_targets(dataset, links, 9, "abc", path).table["gene_index"].tolist() == [-1, 2]


def test_the_element_is_the_same_interval_or_the_one_that_overlaps_most(world: World, tmp_path: Path) -> None:
    # Element 1 now holds the whole of element 2.
    elements = world.dataset.elements.copy()
    elements.loc[1, "end"] = 2_600
    wide = world._replace(dataset=dataclasses.replace(world.dataset, elements=elements))
    rows: list[Row] = [
        ("chr2", 1_900, 2_500, "GENE0", 9),  # the same interval as 2
        ("chr2", 1_900, 2_499, "GENE1", 8),  # in both: the first
        ("chr2", 2_550, 2_900, "GENE2", 7),  # 50 bp of 1, 100 of 3
        ("chr22", 1_300, 1_960, "GENE3", 6),  # 560 bp of 8, 60 of 9
        ("chr22", 4_999, 5_501, "GENE4", 5),  # one base of each
        ("chr22", 5_000, 5_500, "GENE5", 4),  # touches 11 and 12
    ]
    links, path = table(tmp_path, rows)
    found = link_targets(wide.dataset, links, 9, "abc", path).table
    assert list(zip(found["score"], found["element_index"], strict=True)) == [(9, 2), (8, 1), (7, 3), (6, 8), (5, 11)]


def test_an_element_and_gene_once(world: World, tmp_path: Path) -> None:
    rows: list[Row] = [
        ("chr2", 4_300, 4_500, "GENE1", 1),
        ("chr2", 4_500, 5_000, "GENE1", 2),
        ("chr2", 4_300, 5_000, "GENE2", 3),
        ("chr2", 4_310, 4_500, "X", 1),
        ("chr2", 4_310, 4_500, "Y", 1),
        ("chr2", 4_320, 4_500, "Y", 0),
        ("chr2", 0, 500, "GENE1", -1),
    ]
    assert summary(world, table(tmp_path, rows), 9) == [(4, 2, 3), (4, 1, 2), (4, -1, 1), (4, -1, 1), (0, 1, -1)]


def test_chromosome_names_of_the_other_style(world: World, tmp_path: Path) -> None:
    rows: list[Row] = [("2", 4_300, 5_000, "GENE1", 1), ("22", 4_300, 5_000, "GENE1", 2)]
    assert summary(world, table(tmp_path, rows), 9) == [(11, 1, 2), (4, 1, 1)]


def test_links_without_an_element_are_counted(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows: list[Row] = [
        ("chr2", 4_300, 5_000, "GENE1", 1),
        ("chr7", 0, 500, "GENE1", 4),
        ("chr2", 600, 700, "GENE1", 2),
        ("chr2", 0, 500, "GENE1", 3),
    ]
    links = table(tmp_path, rows)
    with caplog.at_level(logging.WARNING):
        assert summary(world, links, 9) == [(0, 1, 3), (4, 1, 1)]
        # The second is not made up for by the third.
        assert summary(world, links, 2) == [(0, 1, 3)]
    assert f"{links[1]}: of the best 4 links 2 have no element in world.dataset and are left out" in caplog.text
    assert "(first: line 3: chr7:0-500)" in caplog.text
    with pytest.raises(InputError) as error:
        link_targets(world.dataset, links[0], 1, "abc", links[1])
    assert str(error.value) == (
        f"{links[1]}: has no link among the best whose element overlaps one of world.dataset (1 affected; first: line "
        "3: chr7:0-500). Give links of the same assembly (hg38), or the dataset that they were made of."
    )


def test_bad_links(world: World, tmp_path: Path) -> None:
    links, path = table(tmp_path, [("chr2", 4_300, 5_000, "GENE1", 1)])
    with pytest.raises(InputError, match=r"links\.tsv: has no score E2G\. It has abc, other"):
        link_targets(world.dataset, links, 9, "E2G", path)
    with pytest.raises(InputError, match="the top 0 links are none"):
        link_targets(world.dataset, links, 0, "abc", path)
    unscored = Links(links.table.assign(abc=np.nan), links.scores)
    with pytest.raises(InputError, match=r"links\.tsv: has no link with a abc"):
        link_targets(world.dataset, unscored, 9, "abc", path)
    empty = Links(links.table.iloc[:0], links.scores)
    with pytest.raises(InputError, match=r"links\.tsv: has no link with a abc"):
        link_targets(world.dataset, empty, 9, "abc", path)
    with pytest.raises(DatasetError, match="has no sequence"):
        link_targets(without_sequence(world.dataset), links, 9, "abc", path)
    with pytest.raises(InputError, match="leaves nothing to explain"):
        link_targets(with_unknown(world.dataset, world.dataset.n_genes + 4), links, 9, "abc", path)


def test_unknown_bases_beside_known_ones(world: World, tmp_path: Path) -> None:
    rows: list[Row] = [("chr2", 4_300, 5_000, "GENE1", 2), ("chr2", 0, 500, "GENE1", 1)]
    links, path = table(tmp_path, rows)
    dataset = with_unknown(world.dataset, world.dataset.n_genes + 4)
    targets = link_targets(dataset, links, 9, "abc", path)
    assert targets.table["element_index"].tolist() == [0]
    pd.testing.assert_index_equal(targets.table.index, pd.RangeIndex(1))
    check_bases(targets, world)
