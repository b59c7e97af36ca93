from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.inputs.genome import open_genome
from epinformer.interpretation.choosing import Wanted, activity_targets, chromosome_lengths, expression_targets
from tests.variant_world import CHROMS, ELEMENTS, LENGTH, World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def bed(folder: Path, *rows: tuple[str, int, int]) -> Path:
    path = folder / "regions.bed"
    path.write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in rows))
    return path


def links(folder: Path, score: str = "abc") -> Path:
    table = pd.DataFrame(
        {
            "chrom": ["chr22", "chr22", "chr2"],
            "start": [1_400, 4_300, 1_400],
            "end": [2_010, 5_000, 2_010],
            "gene_id": ["ENSG00000000003", "ENSG00000000004", "ENSG00000000000"],
            score: [0.1, 0.9, 0.5],
        }
    )
    path = folder / f"{score}.tsv"
    table.to_csv(path, sep="\t", index=False)
    return path


def test_activity_models_explain_all_elements_if_nothing_is_said(world: World) -> None:
    table = activity_targets(Wanted(), world.dataset, None).table
    assert list(zip(table.chrom, table.start, table.end, strict=True)) == [
        (chrom, *span) for chrom in CHROMS for span in ELEMENTS
    ]
    assert (table.kind == "element").all() and (table.gene_index == -1).all() and table.gene_id.isna().all()


def test_regions_come_from_the_genome_or_the_dataset(world: World, tmp_path: Path) -> None:
    regions = bed(tmp_path, ("chr22", 100, 400), ("22", 8_000, 8_500), ("chr22", 100, 400))
    with pytest.raises(InputError, match="two styles|both"):
        activity_targets(Wanted(regions=regions), world.dataset, None)
    regions = bed(tmp_path, ("22", 100, 400), ("22", 3_600, 3_900), ("22", 100, 400))
    with open_genome(world.fasta) as genome:
        table = activity_targets(Wanted(regions=regions), None, genome).table
    assert table.chrom.tolist() == ["chr22"] * 2 and table.start.tolist() == [100, 3_600]
    found = activity_targets(Wanted(regions=regions), world.dataset, None)
    assert found.read(1).tolist() == world.genome["chr22"][3_600:3_900].tolist()


def test_it_is_said_what_is_missing(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Give --genome or --data"):
        activity_targets(Wanted(regions=bed(tmp_path, ("chr22", 1, 300))), None, None)
    with pytest.raises(InputError, match="regions.bed: activity models know of no genes"):
        activity_targets(Wanted(regions=bed(tmp_path, ("chr22", 1, 300)), genes=["GENE3"]), world.dataset, None)
    with pytest.raises(InputError, match="Give --data, or --regions and --genome"):
        activity_targets(Wanted(), None, None)
    with pytest.raises(InputError, match="Give --gene, --genes, --links or --regions"):
        expression_targets(Wanted(), world.dataset)


def test_the_best_links(world: World, tmp_path: Path) -> None:
    for wanted in (Wanted(links=links(tmp_path), top=2), Wanted(links=links(tmp_path, "own"), top=2, score="own")):
        for targets in (activity_targets(wanted, world.dataset, None), expression_targets(wanted, world.dataset)):
            table = targets.table
            assert table.score.tolist() == [0.9, 0.5] and table.start.tolist() == [4_300, 1_400]
            assert table.gene_index.tolist() == [4, 0]
    with pytest.raises(InputError, match="Name one of its scores with --score: own"):
        activity_targets(Wanted(links=links(tmp_path, "own")), world.dataset, None)


def test_regions_and_genes_of_expression_models(world: World, tmp_path: Path) -> None:
    regions = bed(tmp_path, ("chr22", 1_450, 1_500))
    every = expression_targets(Wanted(regions=regions), world.dataset).table
    assert set(every.start) == {1_400} and len(every) > 1
    one = expression_targets(Wanted(regions=regions, genes=["GENE3"]), world.dataset).table
    assert one.gene_name.tolist() == ["GENE3"] and (one.pair >= 0).all()


def test_lengths_of_chromosomes(world: World) -> None:
    targets = activity_targets(Wanted(), world.dataset, None)
    assert chromosome_lengths(targets, "GRCh38", None, None) == {"chr2": 242_193_529, "chr22": 50_818_468}
    with open_genome(world.fasta) as genome:
        assert chromosome_lengths(targets, "made up", genome, world.dataset) == dict.fromkeys(CHROMS, LENGTH)
    assert chromosome_lengths(targets, None, None, world.dataset) == dict.fromkeys(CHROMS, 9_000)
    assert chromosome_lengths(targets, None, None, None) == dict.fromkeys(CHROMS, 9_000)
