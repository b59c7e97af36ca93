"""Regions of a BED file, with bases of a genome or of a dataset, and the elements that they overlap."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, InputError
from epinformer.inputs.genome import Genome, open_genome
from epinformer.inputs.named_regions import read_named_regions
from epinformer.interpretation.region_targets import overlapping_targets, region_targets
from tests.target_checks import check_bases, with_unknown, without_sequence
from tests.variant_world import LENGTH, World, make_world

Row = tuple[str, int, int, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def genome(world: World) -> Iterator[Genome]:
    with open_genome(world.fasta) as opened:
        yield opened


def bed(tmp_path: Path, rows: list[Row], chroms: tuple[str, ...] = ("chr2", "chr22")) -> tuple[pd.DataFrame, Path]:
    path = tmp_path / "regions.bed"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return read_named_regions(path, chroms), path


# In an element, in a promoter alone, up to an element's end, at the chromosome's start.
HELD: list[Row] = [
    ("chr22", 5_600, 7_000, "long"),
    ("chr2", 3_550, 4_200, "promoter"),
    ("chr22", 8_700, 9_000, "last"),
    ("chr2", 0, 256, "first"),
]


@pytest.mark.parametrize("where", ["genome", "dataset", "both"])
def test_regions_have_the_bases_of_the_genome(world: World, genome: Genome, tmp_path: Path, where: str) -> None:
    regions, path = bed(tmp_path, HELD)
    given = None if where == "dataset" else genome
    targets = region_targets(regions, given, None if where == "genome" else world.dataset, path)
    assert list(targets.table[["chrom", "start", "end", "name"]].itertuples(index=False, name=None)) == HELD
    assert set(targets.table["kind"]) == {"region"}
    assert targets.table[["gene_id", "gene_name", "score"]].isna().all(axis=None)
    assert (targets.table[["gene_index", "element_index", "pair"]] == -1).all(axis=None)
    check_bases(targets, world)


@pytest.mark.parametrize("where", ["genome", "dataset"])
def test_the_other_style_of_chromosome_names(world: World, genome: Genome, tmp_path: Path, where: str) -> None:
    regions, path = bed(tmp_path, [("2", 4_400, 4_700, "a"), ("22", 4_400, 4_700, "b")], chroms=())
    assert regions["chrom"].tolist() == ["2", "22"]
    given = (genome, None) if where == "genome" else (None, world.dataset)
    targets = region_targets(regions, *given, path)
    assert targets.table["chrom"].tolist() == ["chr2", "chr22"]
    check_bases(targets, world)


def test_a_genome_without_chr_under_a_dataset_with_it(world: World, tmp_path: Path) -> None:
    fasta = tmp_path / "plain.fa"
    fasta.write_text(world.fasta.read_text().replace(">chr", ">"))
    regions, path = bed(tmp_path, [("chr22", 2_000, 3_000, "a")])
    with open_genome(fasta) as opened:
        targets = region_targets(regions, opened, world.dataset, path)
        assert targets.table["chrom"].tolist() == ["chr22"]
        check_bases(targets, world)
        assert region_targets(regions, opened, None, path).table["chrom"].tolist() == ["22"]


def test_regions_shorter_than_a_window(world: World, genome: Genome, tmp_path: Path) -> None:
    regions, path = bed(tmp_path, [("chr2", 0, 256, "fits"), ("chr2", 300, 555, "short"), ("chr2", 9, 10, "base")])
    with pytest.raises(InputError) as error:
        region_targets(regions, genome, world.dataset, path)
    assert str(error.value) == (
        f"{path}: has regions shorter than the 256 bp that the model reads (2 affected; first: line 2: chr2 300 555 "
        "short). Widen them to 256 bp or more."
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("chr22", LENGTH - 300, LENGTH + 1, "beyond"), f"chr22 of genome.fa ends at {LENGTH:,}"),
        (("chr7", 100, 900, "elsewhere"), "genome.fa has no chr7"),
    ],
)
def test_regions_outside_the_genome(genome: Genome, tmp_path: Path, row: Row, reason: str) -> None:
    regions, path = bed(tmp_path, [("chr2", 100, 900, "inside"), row])
    with pytest.raises(InputError) as error:
        region_targets(regions, genome, None, path)
    assert str(error.value) == (
        f"{path}: has regions outside the genome (1 affected; first: line 2: {row[0]}:{row[1]}-{row[2]}, but {reason})"
        ". Give a genome of the same assembly, or drop these rows."
    )


def test_regions_outside_a_locus(world: World, tmp_path: Path) -> None:
    fasta = tmp_path / "locus.fa"
    fasta.write_text(f">chr2:1001-3000\n{world.text('chr2', 1_000, 3_000)}\n")
    inside, path = bed(tmp_path, [("chr2", 1_000, 3_000, "all"), ("chr2", 2_500, 2_800, "part")])
    outside, _ = bed(tmp_path, [("chr2", 999, 3_000, "before")])
    with open_genome(fasta) as opened:
        check_bases(region_targets(inside, opened, None, path), world)
        with pytest.raises(InputError, match=r"first: line 1: chr2:999-3000, but locus\.fa holds chr2:1000-3000"):
            region_targets(outside, opened, None, path)


# Over the start of an element, over its end; in the gap between two; in two that overlap but in neither whole.
@pytest.mark.parametrize("place", [(5_499, 7_400), (5_520, 7_501), (2_505, 2_795), (1_890, 2_011)])
def test_regions_that_no_sequence_of_the_dataset_holds(world: World, tmp_path: Path, place: tuple[int, int]) -> None:
    start, end = place
    end = max(end, start + 256)
    regions, path = bed(tmp_path, [("chr2", 0, 300, "held"), ("chr2", start, end, "not")])
    with pytest.raises(InputError) as error:
        region_targets(regions, None, world.dataset, path)
    assert "has regions that lie in no element or promoter of world.dataset" in str(error.value)
    assert f"(1 affected; first: line 2: chr2 {start} {end} not). Give the genome's FASTA" in str(error.value)


def test_regions_need_bases(world: World, tmp_path: Path) -> None:
    regions, path = bed(tmp_path, HELD)
    with pytest.raises(InputError, match="nothing gives their bases"):
        region_targets(regions, None, None, path)
    with pytest.raises(DatasetError, match="has no sequence"):
        region_targets(regions, None, without_sequence(world.dataset), path)


def test_regions_of_unknown_bases(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fasta = tmp_path / "unknown.fa"
    fasta.write_text(">chr2\n" + "N" * 1_000 + "ACGT" * 100 + "\n")
    some, path = bed(tmp_path, [("chr2", 0, 300, "gap"), ("chr2", 800, 1_100, "half"), ("chr2", 1_000, 1_400, "known")])
    with open_genome(fasta) as opened:
        with caplog.at_level(logging.WARNING):
            targets = region_targets(some, opened, None, path)
        assert targets.table["name"].tolist() == ["half", "known"]
        assert targets.read(1).tolist() == [0, 1, 2, 3] * 100
        assert f"{path}: 1 of 3 sequences are without any A, C, G or T" in caplog.text
        assert "(first: gap (chr2:0-300))" in caplog.text
        with pytest.raises(InputError, match=r"leaves nothing to explain.*\(2 affected; first: gap \(chr2:0-300\)\)"):
            region_targets(some.iloc[[0, 0]], opened, None, path)


def plain_overlaps(dataset: Dataset, rows: list[Row], genes: set[int]) -> list[tuple[int, str]]:
    """Pairs in the order of the first region that hits them, and the names of all."""
    names: dict[int, list[str]] = {}
    for chrom, start, end, name in rows:
        for pair in dataset.pairs.itertuples():
            element = dataset.elements.iloc[int(pair.element_index)]
            shared = min(end, element.end) - max(start, element.start)
            if pair.gene_index in genes and element.chrom == chrom and shared > 0:
                own = names.setdefault(int(pair.Index), [])
                if name not in own:
                    own.append(name)
    return [(pair, ";".join(own)) for pair, own in names.items()]


@pytest.mark.parametrize("genes", [None, ["GENE1"], ["GENE5", "GENE3"]])
def test_pairs_whose_element_a_region_overlaps(
    world: World, tmp_path: Path, genes: list[str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[Row] = [
        ("chr22", 4_999, 5_500, "one base"),
        ("chr2", 1_950, 1_960, "two elements"),
        ("chr2", 2_010, 4_301, "three"),
        ("chr22", 8_000, 8_600, "touches none"),
        ("chr22", 4_400, 4_500, "again"),
        ("chr22", 4_300, 4_301, "again"),
    ]
    regions, _ = bed(tmp_path, rows)
    with caplog.at_level(logging.WARNING):
        targets = overlapping_targets(world.dataset, regions, genes)
    chosen = set(range(6)) if genes is None else {int(name[-1]) for name in genes}
    expected = plain_overlaps(world.dataset, rows, chosen)
    assert list(zip(targets.table["pair"], targets.table["name"], strict=True)) == expected
    assert expected and set(targets.table["kind"]) == {"element"}
    own = world.dataset.pairs.iloc[targets.table["pair"]]
    assert targets.table["gene_index"].tolist() == own["gene_index"].tolist()
    assert targets.table["element_index"].tolist() == own["element_index"].tolist()
    check_bases(targets, world)
    lonely = {None: "1 of 6", "GENE1": "4 of 6", "GENE5": "3 of 6"}[genes[0] if genes else None]
    assert f"{lonely} regions overlap no element that the models look at" in caplog.text


def test_regions_that_overlap_nothing(world: World, tmp_path: Path) -> None:
    regions, _ = bed(tmp_path, [("chr2", 600, 1_400, "gap"), ("chr7", 0, 9_000, "elsewhere")])
    with pytest.raises(InputError, match=r"no region overlaps an element.*\(2 affected; first: gap\)"):
        overlapping_targets(world.dataset, regions, None)
    with pytest.raises(InputError, match="does not hold all genes"):
        overlapping_targets(world.dataset, regions, ["nobody"])


def test_regions_over_elements_in_the_other_style(world: World, tmp_path: Path) -> None:
    regions, _ = bed(tmp_path, [("2", 4_400, 4_401, "a")], chroms=tuple(world.dataset.elements["chrom"].unique()))
    assert set(overlapping_targets(world.dataset, regions, None).table["element_index"]) == {4}


def test_elements_of_unknown_bases_in_regions(world: World, tmp_path: Path) -> None:
    regions, _ = bed(tmp_path, [("chr2", 4_300, 5_000, "a")])
    with pytest.raises(InputError, match="leaves nothing to explain"):
        overlapping_targets(with_unknown(world.dataset, world.dataset.n_genes + 4), regions, None)
