"""Inputs compared with each other before anything long runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pybigtools
import pytest

from epinformer.errors import InputError
from epinformer.prepare.check import check, require_sound
from epinformer.prepare.opening import silent_readers


def found(world: Any, setting: str, other: str) -> tuple[int, int]:
    """Rows of an input, and how many of them the other has something for."""
    world.write()
    table = check(world.load()).overlaps
    row = table[(table["setting"] == setting) & (table["other"] == other)].iloc[0]
    return int(row["rows"]), int(row["found"])


def problems(world: Any) -> list[str]:
    world.write()
    return check(world.load()).problems


def bigwig(path: Path, lengths: dict[str, int]) -> None:
    writer = pybigtools.open(str(path), "w")
    writer.write(lengths, [(chrom, 10, 20, 1.0) for chrom in lengths])


def test_a_sound_world(world: Any) -> None:
    world.write()
    result = check(world.load())
    assert (result.problems, result.remarks) == ([], [])
    assert [item.setting for item in result.inputs] == [
        "genes.table",
        "genome.fasta",
        *(
            f"signals.{name}.{what}"
            for name in ("dnase[0]", "h3k27ac[0]", "h3k27ac[1]")
            for what in ("elements", "promoters")
        ),
        "half_life.table",
        "expression.rna.table",
    ]
    said = {item.setting: item.what for item in result.inputs}
    assert said["genes.table"] == "4 genes"
    assert said["genome.fasta"] == "2 sequences, 120,000 bases"
    assert said["signals.dnase[0].elements"] == "6 regions with 210 reads"
    require_sound(result)


def test_overlaps_are_counted(world: Any) -> None:
    """By hand: of the elements only 19,800-20,100 lies within 500 bp of a TSS (20,000); all others are elsewhere."""
    assert found(world, "signals.dnase[0].elements", "genes.table") == (6, 1)
    assert found(world, "genes.table", "signals.dnase[0].elements") == (4, 1)
    assert found(world, "genes.table", "signals.dnase[0].promoters") == (4, 4)
    assert found(world, "signals.dnase[0].elements", "genome.fasta") == (6, 6)


def test_gene_ids_are_counted(world: Any) -> None:
    world.expression = world.expression[:3]
    assert found(world, "genes.table", "expression.rna.table") == (4, 3)
    assert problems(world) == []


def test_genes_by_symbol(world: Any) -> None:
    """The gene list has no symbols, the table of half-life features has some, and its ids have versions."""
    world.half_life = [[f"{row[0]}.7", *row[1:]] for row in world.half_life]
    assert found(world, "genes.table", "half_life.table") == (4, 0), "G1.7 is no version that is known to be one"
    world.half_life = [["x" + row[0], row[0], *row[2:]] for row in world.half_life]
    assert found(world, "genes.table", "half_life.table") == (4, 0)
    world.half_life = [[row[0], row[0][1:].removesuffix(".7"), *row[2:]] for row in world.half_life]
    assert found(world, "genes.table", "half_life.table") == (4, 4)


def test_no_gene_in_common(world: Any) -> None:
    world.expression = [["ENSG1", 0.5], ["ENSG2", 1.0]]
    (said,) = problems(world)
    assert (
        "rna.csv: has none of the genes (4 affected; first: G1 is not found; the file has ENSG1). Use the same" in said
    )


def test_all_problems_are_listed(world: Any) -> None:
    world.dnase[1] = -1
    world.expression = [["ENSG1", 0.5]]
    said = problems(world)
    assert len(said) == 2 and "has negative counts" in said[0] and "has none of the genes" in said[1]
    with pytest.raises(InputError, match=r"2 things are wrong with the inputs:\n  - .*\n  - .*\nMend all of them"):
        require_sound(check(world.load()))


def test_a_track_of_another_assembly(world: Any) -> None:
    """Its chr1 is that of hg19, while the genome's chr1 has 60,000 bp."""
    bigwig(world.folder / "ctcf.bw", {"chr1": 249_250_621, "chr2": 60_000})
    world.config["signals"]["ctcf"] = ["ctcf.bw"]
    (said,) = problems(world)
    assert "ctcf.bw: is of another assembly" in said
    assert "(1 affected; first: chr1 has 249,250,621 bp here and 60,000 in genome.fa)" in said


def test_a_known_assembly_by_its_name(world: Any) -> None:
    world.config["assembly"] = "GRCh38"
    del world.config["genome"]
    bigwig(world.folder / "ctcf.bw", {"1": 249_250_621})
    world.config["signals"]["ctcf"] = ["ctcf.bw"]
    (said,) = problems(world)
    assert "ctcf.bw: is of another assembly (its lengths are those of hg19)" in said
    assert "first: chr1 has 249,250,621 bp here and 248,956,422 in GRCh38" in said


def test_two_mitochondrial_sequences_are_of_one_assembly(world: Any) -> None:
    """UCSC's hg19 has chrM of 16,571 bp, and all others that of 16,569."""
    world.sequence["chrM"] = "A" * 571
    bigwig(world.folder / "ctcf.bw", {"1": 60_000, "2": 60_000, "MT": 569})
    world.config["signals"]["ctcf"] = ["ctcf.bw"]
    assert problems(world) == []


def test_an_annotation_for_half_lives_is_compared(world: Any) -> None:
    named = 'gene_id "{0}"; transcript_id "T{0}"; gene_type "protein_coding";'
    rows = [
        f"{chrom}\tmade\texon\t501\t700\t.\t+\t.\t{named.format(gene)}\n"
        for chrom, gene in (("chr1", "G1"), ("chr2", "G9"))
    ]
    (world.folder / "a.gtf").write_text("".join(rows))
    world.config["half_life"] = {"annotation": "a.gtf"}
    assert found(world, "genes.table", "half_life.annotation") == (4, 1)


def test_positions_beyond_a_chromosome(world: Any) -> None:
    world.config["chrom_sizes"] = "chrom.sizes"
    del world.config["genome"]
    (world.folder / "chrom.sizes").write_text("chr1\t38000\nchr2\t60000\n")
    said = problems(world)
    assert len(said) == 3, "elements of the three experiments"
    assert "dnase.bedgraph: has positions beyond the ends of their chromosomes" in said[0]
    assert "(1 affected; first: chr1:40000-40500, but chr1 has 38,000 bp)" in said[0]


def test_what_is_to_be_dropped_is_only_remarked(world: Any) -> None:
    world.config["genome"]["outside"] = "drop"
    world.sequence["chr1"] = world.sequence["chr1"][:38_000]
    world.write()
    result = check(world.load())
    assert result.problems == []
    assert "dnase.bedgraph: has positions beyond" in result.remarks[0]


def test_two_styles_in_one_file(world: Any) -> None:
    world.elements[4][0] = "2"
    said = problems(world)
    assert len(said) == 3
    assert "dnase.bedgraph: names chromosomes in two styles (1 affected; first: chr1 beside 2)" in said[0]


def test_a_chromosome_that_only_the_genes_have(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    bigwig(world.folder / "ctcf.bw", {"chr1": 60_000})
    world.config["signals"]["ctcf"] = ["ctcf.bw"]
    world.write()
    result = check(world.load())
    assert result.problems == []
    assert result.remarks == ["ctcf.bw: lacks chr2, where 1 of 4 genes are"]
    with caplog.at_level(logging.WARNING):
        require_sound(result)
    assert "ctcf.bw: lacks chr2" in caplog.text


def test_a_blocklist_of_other_chromosomes(world: Any) -> None:
    (world.folder / "block.bed").write_text("chr9\t100\t200\n")
    (world.folder / "p.narrowPeak").write_text("chr1\t100\t400\t.\t0\t.\t1\t1\t1\t50\n")
    (world.folder / "d.tagAlign").write_text("chr1\t100\t136\tN\t1000\t+\n")
    world.config["signals"] = {"dnase": ["d.tagAlign"]}
    world.config["elements"] = {"peaks": "p.narrowPeak", "blocklist": "block.bed"}
    world.write()
    result = check(world.load())
    assert result.problems == []
    assert any("block.bed: shares no chromosome with genes.bed" in remark for remark in result.remarks)


def test_a_file_that_is_not_there(world: Any) -> None:
    world.write()
    (world.folder / "rna.csv").unlink()
    with pytest.raises(InputError, match=r"input files are not there \(1 affected; first: rna\.csv"):
        check(world.load())


def test_damaged_files_are_told_and_the_others_compared(world: Any) -> None:
    world.config["signals"]["ctcf"] = ["ctcf.bam", "ctcf.bigWig"]
    (world.folder / "ctcf.bam").write_bytes(b"\x1f\x8b\x08\x04 no blocks follow")
    (world.folder / "ctcf.bigWig").write_bytes(b"no track")
    world.write()
    result = check(world.load())
    failed = [item.path.name for item in result.inputs if item.failed]
    assert failed == ["ctcf.bam", "ctcf.bigWig"]
    assert len(result.problems) == 2
    assert isinstance(result.overlaps, pd.DataFrame) and len(result.overlaps) > 20


def test_tags_are_looked_at(world: Any) -> None:
    (world.folder / "ctcf.tagAlign").write_text("chr1\t100\t136\tN\t1000\t+\nchr2\t1500\t1536\tN\t1000\t-\n")
    world.config["signals"]["ctcf"] = [{"reads": "ctcf.tagAlign"}]
    assert found(world, "signals.ctcf[0].reads", "signals.dnase[0].elements") == (2, 1)


def test_readers_speak_once(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("epinformer.inputs")
    before = log.level
    with silent_readers():
        log.warning("no")
    assert log.level == before
    log.warning("yes")
    assert "yes" in caplog.text and "no" not in [record.getMessage() for record in caplog.records]
