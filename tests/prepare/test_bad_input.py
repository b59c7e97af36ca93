"""Every bad input: the message names the file, how many rows, the first one and the fix; nothing is left behind."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from epinformer.errors import EpinformerError, InputError


def edit(name: str, old: str, new: str) -> Any:
    """A change of one file after it was written."""

    def change(world: Any) -> None:
        path = world.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def cut_gzip(world: Any) -> None:
    data = gzip.compress((world.folder / "dnase.bedgraph").read_bytes(), mtime=0)
    (world.folder / "dnase.bedgraph").write_bytes(data[:-12])


def shorter_chromosome(world: Any) -> None:
    text = "".join(f">{name}\n{bases[:40_400]}\n" for name, bases in world.sequence.items())
    (world.folder / "genome.fa").write_text(text)


def no_such_chromosome(world: Any) -> None:
    (world.folder / "genome.fa").write_text(f">chr1\n{world.sequence['chr1']}\n")


BAD = {
    "missing column": (
        edit("half_life.csv", "CDSGC", "CDS_GC"),
        r"half_life\.csv: lacks the column CDSGC_log10zscore or CDSGC\. Add it, .* has gene_id.* close to it: CDS_GC",
    ),
    "missing count": (
        edit("dnase.bedgraph", "\t10\n", "\n"),
        r"dnase\.bedgraph: has rows of 3 columns and needs 4 \(1 affected; first: line 1",
    ),
    "other rows": (
        edit("h3k27ac.0.bedgraph", "chr1\t19800", "chr1\t19801"),
        r"h3k27ac\.0\.bedgraph: has other rows than dnase\.bedgraph: 1 missing, 1 of its own \(2 affected; first: "
        r"chr1:19800-20100 is missing and chr1:19801-20100 on line 2 is not among them\)\. Count every",
    ),
    "promoter rows": (
        edit("dnase.tss.bedgraph", "chr2\t49500\t50500\t25\n", ""),
        r"dnase\.tss\.bedgraph: has other rows than genes\.bed: 1 missing, 0 of its own \(1 affected; first: "
        r"chr2:49500-50500 is missing\)",
    ),
    "two styles in one file": (
        edit("dnase.bedgraph", "chr1\t35000", "1\t35000"),
        r"dnase\.bedgraph: names chromosomes in two styles \(1 affected; first: 1 beside chr1\)",
    ),
    "two styles in the gene table": (
        edit("genes.bed", "chr1\t100\t", "1\t100\t"),
        r"genes\.bed: names chromosomes in two styles \(1 affected; first: 1 beside chr1\)",
    ),
    "another style for another chromosome": (
        edit("genes.bed", "chr2\t49500", "2\t49500"),
        r"genes\.bed: names chromosomes in two styles \(1 affected; first: chr1 beside 2\)",
    ),
    "rounded by a spreadsheet": (
        edit("dnase.bedgraph", "chr1\t10000\t", "chr1\t1E+04\t"),
        r"dnase\.bedgraph: column start .* \(1 affected; first: line 1: '1E\+04'\)\. A spreadsheet",
    ),
    "gene bodies": (
        edit("genes.bed", "chr1\t29500\t30500", "chr1\t22500\t30500"),
        r"genes\.bed: has intervals longer than 5,000 bp.* \(1 affected; first: line 2: .*tss: strand",
    ),
    "start not below end": (
        edit("h3k27ac.1.bedgraph", "chr1\t10000\t10500", "chr1\t10500\t10500"),
        r"h3k27ac\.1\.bedgraph: has starts that are not below ends \(1 affected; first: line 1: chr1 10500 10500",
    ),
    "negative start": (
        edit("genes.bed", "chr1\t100\t", "chr1\t-100\t"),
        r"genes\.bed: has negative starts \(1 affected; first: line 3: chr1 -100 1100 G3 \+\)\. Coordinates",
    ),
    "duplicate gene": (
        edit("genes.bed", "G3", "G1"),
        r"genes\.bed: names a gene twice \(1 affected; first: line 3: chr1 100 1100 G1 \+\)\. Keep one row",
    ),
    "duplicate element": (
        edit("dnase.bedgraph", "chr1\t19800\t20100", "chr1\t10000\t10500"),
        r"dnase\.bedgraph: gives an element twice \(1 affected; first: line 2: chr1 10000 10500",
    ),
    "strand": (
        edit("genes.bed", "-\n", ".\n"),
        r"genes\.bed: has strands that are neither \+ nor - \(1 affected; first: line 2: .* G2 \.\)",
    ),
    "NaN count": (
        edit("h3k27ac.0.bedgraph", "\t8\n", "\tnan\n"),
        r"h3k27ac\.0\.bedgraph: column count holds something else .* number \(1 affected; first: line 3: 'nan'\)",
    ),
    "infinite count": (
        edit("dnase.tss.bedgraph", "\t100\n", "\tinf\n"),
        r"dnase\.tss\.bedgraph: column count holds .* finite number \(1 affected; first: line 1: 'inf'\)",
    ),
    "negative count": (
        edit("dnase.bedgraph", "\t30\n", "\t-30\n"),
        r"dnase\.bedgraph: has negative counts \(1 affected; first: line 3: chr1 25000 29001 -30\.0\)\. Give reads",
    ),
    "total in millions": (
        lambda world: world.config["signals"]["dnase"][0].update(total_reads=45.5),
        r"dnase\.bedgraph: has more reads in one region than .* \(45\.5\) \(2 affected; first: line 5.*millions",
    ),
    "empty file": (
        lambda world: (world.folder / "dnase.bedgraph").write_text(""),
        r"dnase\.bedgraph: is empty\. Check",
    ),
    "truncated gzip": (cut_gzip, r"dnase\.bedgraph: is truncated: .*Copy or download it again"),
    "missing files": (
        lambda world: [(world.folder / name).unlink() for name in ("rna.csv", "genes.bed")],
        r"input files are not there \(2 affected; first: genes\.bed \(genes\.table\)\)\. Check the names",
    ),
    "beyond the chromosome's end": (
        shorter_chromosome,
        r"genes\.bed: has positions beyond the ends of their chromosomes, so it is of another assembly \(1 affected; "
        r"first: chr2:49500-50500, but chr2 has 40,400 bp\)\. Use files of one assembly",
    ),
    "no such chromosome": (
        no_such_chromosome,
        r"genes\.bed: has genes outside the genome \(1 affected; first: G4 .*, but genome\.fa has no chr2\)",
    ),
    "no chromosome in common": (
        lambda world: (world.folder / "genes.bed").write_text("chr7\t19500\t20500\tG1\t0\t+\n"),
        r"dnase\.bedgraph: shares no chromosome with genes\.bed \(first: chr1 here, chr7 there\)",
    ),
    "other gene ids": (
        lambda world: (world.folder / "rna.csv").write_text("ENSID,actual\nENSG1.7,3\n"),
        r"rna\.csv: has none of the genes \(4 affected; first: G1 is not found; the file has ENSG1\.7\)",
    ),
    "expression twice": (
        edit("rna.csv", "G2", "G1"),
        r"rna\.csv: gives the expression of a gene twice \(1 affected; first: line 3: G1 -0\.5\)",
    ),
    "expression is text": (
        edit("rna.csv", "-0.5", "low"),
        r"rna\.csv: column value holds something else than a finite number \(1 affected; first: line 3: 'low'\)",
    ),
    "features twice": (
        edit("half_life.csv", "G2", "G1"),
        r"half_life\.csv: gives the features of a gene twice \(1 affected; first: line 3: G1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(world: Any, name: str) -> None:
    change, message = BAD[name]
    world.write()
    change(world)
    with pytest.raises(EpinformerError, match=message):
        world.prepare(rewrite=False)
    assert world.nothing_left()


def test_elements_beyond_the_end(world: Any) -> None:
    world.genes[3][:3] = ["chr2", 19_500, 20_500]
    world.write()
    shorter_chromosome(world)
    message = (
        r"dnase\.bedgraph: has elements outside the genome \(1 affected; first: chr1:40000-40500, but chr1 of "
        r"genome\.fa ends at 40,400\)"
    )
    with pytest.raises(InputError, match=message):
        world.prepare(rewrite=False)
    assert world.nothing_left()
    world.config["genome"]["outside"] = "drop"
    step = world.prepare(rewrite=False).manifest.filters[2]
    assert (step.table, step.step, step.before, step.after) == ("elements", "outside the genome", 6, 5)


def test_a_long_element_that_is_beyond_the_end_until_it_is_cut(world: Any) -> None:
    # Its middle 2 kb end at 60,000, where the chromosome does.
    world.elements[3] = ["chr1", 57_000, 61_000]
    message = r"dnase\.bedgraph: has elements outside the genome \(1 affected; first: chr1:57000-61000, but chr1 of"
    with pytest.raises(InputError, match=message):
        world.prepare()
    assert world.nothing_left()
    world.config["genome"]["outside"] = "drop"
    step = world.prepare(rewrite=False).manifest.filters[2]
    assert (step.table, step.before, step.after) == ("elements", 6, 5)


def test_a_long_element_at_the_edge_of_a_locus(world: Any) -> None:
    # The middle 2 kb of chr1:25000-29001 are 26,000-28,000.
    world.genes = world.genes[:1]
    world.promoter_dnase, world.promoter_h3k27ac = world.promoter_dnase[:1], [[8], [1]]
    world.elements = [row for row in world.elements if row[1] in (19_800, 25_000)]
    world.dnase, world.h3k27ac = [20, 30], [[0, 8], [2, 2]]
    del world.config["half_life"], world.config["expression"]
    world.cut(10_000, 28_000, "error")
    message = (
        r"has elements outside the genome \(1 affected; first: chr1:25000-29001, but genome\.fa holds chr1:10000-28000"
    )
    with pytest.raises(InputError, match=message):
        world.prepare()
    world.config |= {"genome": {"fasta": "genome.fa", "outside": "drop"}, "pairs": {"max_distance": 7_000}}
    assert world.prepare(rewrite=False).elements["element_id"].tolist() == ["chr1:19800-20100", "chr1:25000-29001"]


def test_elements_outside_a_locus(world: Any) -> None:
    world.cut(4_000, 36_000, "error")
    message = r"genes\.bed: has genes outside the genome \(2 affected; first: G3 .* at chr1:600, but genome\.fa holds"
    with pytest.raises(InputError, match=message):
        world.prepare()


def test_no_element_inside_the_locus(world: Any) -> None:
    world.elements = [[row[0], 59_000 + i, 59_500 + i] for i, row in enumerate(world.elements)]
    world.cut(4_000, 36_000)
    with pytest.raises(InputError, match=r"dnase\.bedgraph: none of its elements is left after the filters"):
        world.prepare()
    assert world.nothing_left()
