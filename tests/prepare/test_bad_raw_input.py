"""Raw files that are damaged, of something else, or fit no other: one line that tells, and nothing left behind."""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pybigtools
import pysam
import pytest
from typer.testing import CliRunner

from epinformer.cli.main import app
from epinformer.dataset.store import Dataset
from tests.contact_files import random_counts, write_cool, write_hic

LENGTHS = {"chr1": 60_000, "chr2": 60_000}
READS = [("chr1", start) for start in (600, 20_000, 25_100, 25_110, 35_200, 35_210, 35_220)] + [("chr2", 1_100)]
PEAKS = [("chr1", 25_000, 25_400, 150), ("chr1", 35_100, 35_500, 120), ("chr2", 1_000, 1_700, 300)]
BARCODES = ["ACGTACGTAC-1", "TTGTACGTAC-1"]


def write_reads(path: Path, reads: list[tuple[str, int]], lengths: dict[str, int], mode: str = "wb") -> None:
    """Reads of 36 bases in the order in which they are given; a CRAM file holds all their bases."""
    names = list(lengths)
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": n, "LN": lengths[n]} for n in names]}
    options = [b"no_ref=1"] if mode == "wc" else []
    with pysam.AlignmentFile(str(path), mode, header=header, format_options=options) as file:
        for number, (chrom, start) in enumerate(reads):
            row = pysam.AlignedSegment(file.header)
            row.query_name = f"r{number}"
            row.reference_id, row.reference_start = names.index(chrom), start
            row.cigarstring, row.mapping_quality = "36M", 30
            row.query_sequence = "ACGT" * 9
            file.write(row)


def write_track(path: Path, value: float = 1.0) -> None:
    pybigtools.open(str(path), "w").write(LENGTHS, [(chrom, 10, 50_000, value) for chrom in LENGTHS])


def text_of_peaks(peaks: list[tuple[str, int, int, int]]) -> str:
    return "".join(f"{chrom}\t{start}\t{end}\t.\t0\t.\t1\t1\t1\t{summit}\n" for chrom, start, end, summit in peaks)


def annotation(genes: list[list[Any]]) -> str:
    lines = []
    for chrom, start, end, gene, _, strand in genes:
        of_gene = f'gene_id "{gene}"; gene_type "protein_coding"; gene_name "name{gene}";'
        tss = (start + end) // 2
        body = (tss + 1, tss + 3_000) if strand == "+" else (max(1, tss - 2_999), tss + 1)
        for kind in ("gene", "transcript", "exon", "CDS"):
            of_transcript = "" if kind == "gene" else f' transcript_id "T{gene}";'
            lines.append(f"{chrom}\tmade\t{kind}\t{body[0]}\t{body[1]}\t.\t{strand}\t0\t{of_gene}{of_transcript}\n")
    return "".join(lines)


@pytest.fixture
def raw(world: Any) -> Any:
    """The small world with raw files of every kind, of which reads, peaks and a map are configured."""
    world.write()
    folder = world.folder
    write_reads(folder / "dnase.bam", READS, LENGTHS)
    pysam.index(str(folder / "dnase.bam"))
    write_reads(folder / "dnase.cram", READS, LENGTHS, "wc")
    write_track(folder / "dnase.bw")
    tags = "".join(f"{chrom}\t{start}\t{start + 36}\tN\t1000\t+\n" for chrom, start in READS)
    (folder / "dnase.tagAlign").write_text(tags)
    rows = "".join(f"{c}\t{s}\t{s + 90}\t{BARCODES[i % 2]}\t1\n" for i, (c, s) in enumerate(READS))
    (folder / "fragments.tsv").write_text(rows)
    (folder / "cells.txt").write_text("\n".join(BARCODES) + "\n")
    (folder / "dnase.narrowPeak").write_text(text_of_peaks(PEAKS))
    (folder / "genes.gtf").write_text(annotation(world.genes))
    write_cool(folder / "map.cool", random_counts(LENGTHS, 5_000), LENGTHS, 5_000)
    starts = range(0, 60_000, 5_000)
    bins = [(chrom, i, j) for chrom in LENGTHS for i in starts for j in starts if i <= j]
    bedpe = "".join(f"{c}\t{i}\t{i + 5_000}\t{c}\t{j}\t{j + 5_000}\t2.5\n" for c, i, j in bins)
    (folder / "map.bedpe").write_text(bedpe)
    world.config["signals"] = {"dnase": ["dnase.bam"]}
    world.config["elements"] = {"peaks": "dnase.narrowPeak"}
    world.config["contact"] = {"map": "map.cool", "normalisation": "none"}
    return world


def cut(world: Any, name: str, share: float = 0.6, *, packed: bool = False) -> str:
    """Leave only the first part of a file, perhaps of its gzipped content; give the name of that."""
    path: Path = world.folder / name
    data = path.read_bytes()
    if packed:
        path, data = path.with_name(f"cut.{name}.gz"), gzip.compress(data, mtime=0)
    path.write_bytes(data[: int(share * len(data))])
    return path.name


def signal(world: Any, replicate: Any) -> None:
    world.config["signals"] = {"dnase": [replicate]}


def replaced(world: Any, name: str, old: str, new: str, count: int = 1) -> None:
    path = world.folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def windows_ends(world: Any, *names: str) -> None:
    for name in names:
        path = world.folder / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def without_attribute(name: str) -> Callable[[Any], None]:
    def change(world: Any) -> None:
        replaced(world, "genes.gtf", name, "other", -1)
        world.config["genes"] = {"table": "genes.gtf"}

    return change


def another_map(world: Any, lengths: dict[str, int], *, hic: bool = False) -> None:
    counts = random_counts(lengths, 5_000)
    if hic:
        world.config["contact"]["map"] = write_hic(world.folder / "other.hic", counts, lengths, [5_000]).name
    else:
        world.config["contact"]["map"] = write_cool(world.folder / "other.cool", counts, lengths, 5_000).name


def no_reads(world: Any) -> None:
    write_reads(world.folder / "none.bam", [], LENGTHS)
    signal(world, "none.bam")


def other_reads(lengths: dict[str, int]) -> Callable[[Any], None]:
    def change(world: Any) -> None:
        write_reads(world.folder / "other.bam", [row for row in READS if row[0] in lengths], lengths)
        signal(world, "other.bam")

    return change


def no_signal(world: Any) -> None:
    write_track(world.folder / "flat.bw", 0.0)
    signal(world, "flat.bw")


BAD: dict[str, tuple[Callable[[Any], Any], str]] = {
    "truncated BAM": (lambda w: cut(w, "dnase.bam"), r"dnase\.bam: is truncated, damaged or no BAM"),
    "truncated CRAM": (
        lambda w: (cut(w, "dnase.cram"), signal(w, "dnase.cram")),
        r"dnase\.cram: is truncated, damaged or no BAM or CRAM file: .* Copy or make it again",
    ),
    "truncated bigWig": (
        lambda w: (cut(w, "dnase.bw"), signal(w, "dnase.bw")),
        r"dnase\.bw: is truncated: .*Copy or download it again",
    ),
    "truncated tags": (
        lambda w: signal(w, cut(w, "dnase.tagAlign", packed=True)),
        r"cut\.dnase\.tagAlign\.gz: is truncated: .*Copy or download it again",
    ),
    "truncated peaks": (
        lambda w: w.config["elements"].update(peaks=cut(w, "dnase.narrowPeak", packed=True)),
        r"cut\.dnase\.narrowPeak\.gz: is truncated",
    ),
    "truncated map": (lambda w: cut(w, "map.cool"), r"map\.cool: is truncated or damaged"),
    "truncated table of bins": (
        lambda w: w.config.update(contact={"bedpe": cut(w, "map.bedpe", packed=True)}),
        r"cut\.map\.bedpe\.gz: is truncated",
    ),
    "truncated annotation": (
        lambda w: w.config.update(genes={"table": cut(w, "genes.gtf", packed=True)}),
        r"cut\.genes\.gtf\.gz: is truncated",
    ),
    "truncated annotation of half lives": (
        lambda w: w.config.update(half_life={"annotation": cut(w, "genes.gtf", packed=True)}),
        r"cut\.genes\.gtf\.gz: is truncated",
    ),
    "empty peaks": (
        lambda w: (w.folder / "dnase.narrowPeak").write_text(""),
        r"dnase\.narrowPeak: is empty\. Check how",
    ),
    "a chromosome that reads lack": (
        other_reads({"chr1": 60_000}),
        r"other\.bam: lacks chromosomes of genes in its header, .* \(1 affected; first: chr2\)\. Use files",
    ),
    "reads of no chromosome of the genes": (
        other_reads({"chr9": 60_000}),
        r"other\.bam: shares no chromosome with genes\.bed \(first: chr9 here, chr1 there\)",
    ),
    "peaks in two styles": (
        lambda w: replaced(w, "dnase.narrowPeak", "chr2\t", "2\t"),
        r"dnase\.narrowPeak: names chromosomes in two styles \(1 affected; first: chr1 beside 2\)",
    ),
    "negative peak": (
        lambda w: replaced(w, "dnase.narrowPeak", "\t35100\t", "\t-35100\t"),
        r"dnase\.narrowPeak: has negative starts \(1 affected; first: line 2: .*Coordinates are 0-based",
    ),
    "empty peak": (
        lambda w: replaced(w, "dnase.narrowPeak", "\t35100\t35500\t", "\t35100\t35100\t"),
        r"dnase\.narrowPeak: has starts that are not below ends \(1 affected; first: line 2: ",
    ),
    "negative tag": (
        lambda w: (replaced(w, "dnase.tagAlign", "\t600\t", "\t-600\t"), signal(w, "dnase.tagAlign")),
        r"dnase\.tagAlign: has negative starts \(1 affected; first: line 1: .*Coordinates are 0-based",
    ),
    "empty region of the blocklist": (
        lambda w: (
            (w.folder / "block.bed").write_text("chr1\t5\t9\nchr1\t9\t9\n"),
            w.config["elements"].update(blocklist="block.bed"),
        ),
        r"block\.bed: has starts that are not below ends \(1 affected; first: line 2: chr1 9 9\)",
    ),
    "unknown resolution": (
        lambda w: w.config["contact"].update(resolution=7_000),
        r"map\.cool: has no bins of 7,000 bp\. Set resolution to one that the file has: 5,000\.",
    ),
    "unknown normalisation": (
        lambda w: w.config["contact"].update(normalisation="SCALE"),
        r"map\.cool: has no normalisation SCALE\. Set normalisation to one that the file has: none\.",
    ),
    "a .hic without the chromosomes": (
        lambda w: another_map(w, {"chr8": 60_000, "chr9": 60_000}, hic=True),
        r"other\.hic: shares no chromosome with genes\.bed \(first: chr\d here, chr1 there\)",
    ),
    "a folder without average Hi-C": (
        lambda w: w.config.update(contact={"average": "."}),
        r"holds no chr1/chr1\.bed\.gz or the like\. Name the folder",
    ),
    "contacts without a column": (
        lambda w: w.config.update(contact={"table": "rna.csv"}),
        r"rna\.csv: lacks the columns gene_id, contact\. Add",
    ),
    "no gene_id": (
        without_attribute("gene_id"),
        r"genes\.gtf: has rows without the attribute gene_id \(16 affected; first: line 1: .*Add it to every row",
    ),
    "no transcript_id": (
        without_attribute("transcript_id"),
        r"genes\.gtf: has rows without the attribute transcript_id \(12 affected; first: line 2: ",
    ),
    "no gene_type": (
        without_attribute("gene_type"),
        r"genes\.gtf: has transcripts without the attribute gene_type .* \(4 affected; first: line 2: TG1\)",
    ),
    "a barcode twice": (
        lambda w: (
            (w.folder / "cells.txt").write_text("\n".join([*BARCODES, BARCODES[0]])),
            signal(w, {"reads": "fragments.tsv", "barcodes": "cells.txt"}),
        ),
        r"cells\.txt: names barcodes twice \(.*first: line \d: ACGTACGTAC-1.*\)\. Keep one line a barcode",
    ),
    "barcodes of another file": (
        lambda w: (
            (w.folder / "cells.txt").write_text("GGGGGGGGGG-1\n"),
            signal(w, {"reads": "fragments.tsv", "barcodes": "cells.txt"}),
        ),
        r"fragments\.tsv: has no fragment of any of the barcodes \(1 affected; first: GGGGGGGGGG-1 is asked for",
    ),
    "reads of another assembly": (
        other_reads({"chr1": 249_250_621, "chr2": 60_000}),
        r"other\.bam: is of another assembly \(1 affected; first: chr1 has 249,250,621 bp here and 60,000 in genome",
    ),
    "a map of another assembly": (
        lambda w: another_map(w, {"chr1": 65_000, "chr2": 60_000}),
        r"other\.cool: is of another assembly \(1 affected; first: chr1 has 65,000 bp here and 60,000 in genome\.fa\)",
    ),
    "tested regions beyond a chromosome's end": (
        lambda w: (
            (w.folder / "tested.bed").write_text("chr1\t40000\t40500\nchr2\t59900\t60100\n"),
            w.config["elements"].update(tested="tested.bed"),
        ),
        r"tested\.bed: has regions beyond the ends of their chromosomes \(1 affected; first: line 2: chr2 59900 60100",
    ),
    "no read at all": (
        no_reads,
        r"none\.bam: holds no read to count \(mapped primary reads\)\. Check filters and file",
    ),
    "no read that passes": (
        lambda w: signal(w, {"reads": "dnase.bam", "min_mapping_quality": 31}),
        r"dnase\.bam: holds no read to count \(mapped primary reads, mapping quality at least 31\)",
    ),
    "no tag at all": (
        lambda w: ((w.folder / "dnase.tagAlign").write_text(""), signal(w, "dnase.tagAlign")),
        r"dnase\.tagAlign: is empty\. Check how the file was made",
    ),
    "no signal at all": (no_signal, r"flat\.bw: has no signal: its values add up to 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_line_and_nothing_left(raw: Any, name: str) -> None:
    change, message = BAD[name]
    change(raw)
    raw.load()
    before = sorted(raw.folder.iterdir())
    result = CliRunner().invoke(app, ["prepare", str(raw.folder / "config.yaml"), "-o", str(raw.output)])
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and result.stderr.endswith(errors[0] + "\n"), "it is one line, and the last one"
    assert re.search(message, errors[0]), errors[0]
    assert "Traceback" not in result.stderr
    assert sorted(raw.folder.iterdir()) == before


def same(one: Dataset, other: Dataset) -> None:
    pd.testing.assert_frame_equal(one.genes, other.genes)
    pd.testing.assert_frame_equal(one.elements, other.elements)
    pd.testing.assert_frame_equal(one.pairs, other.pairs)
    assert np.array_equal(one.codes, other.codes)


def again(world: Any) -> Dataset:
    """Prepare to another place, with the files as they are."""
    world.output = world.folder / "again.dataset"
    dataset: Dataset = world.prepare(rewrite=False)
    return dataset


def test_windows_line_ends_change_nothing(raw: Any) -> None:
    (raw.folder / "block.bed").write_text("chr1\t100\t200\n")
    raw.config["elements"]["blocklist"] = "block.bed"
    signal(raw, "dnase.tagAlign")
    first = raw.prepare(rewrite=False)
    windows_ends(raw, "genes.bed", "dnase.narrowPeak", "block.bed", "dnase.tagAlign", "half_life.csv", "rna.csv")
    same(first, again(raw))


def test_reads_in_any_order_without_an_index(raw: Any, caplog: pytest.LogCaptureFixture) -> None:
    first = raw.prepare(rewrite=False)
    write_reads(raw.folder / "mixed.bam", READS[::-1], LENGTHS)
    signal(raw, "mixed.bam")
    with caplog.at_level(logging.INFO):
        same(first, again(raw))
    assert "mixed.bam: has no index; it is read from end to end" in caplog.text


def test_the_other_style_of_names_changes_nothing(raw: Any, caplog: pytest.LogCaptureFixture) -> None:
    first = raw.prepare(rewrite=False)
    (raw.folder / "dnase.narrowPeak").write_text(text_of_peaks([(c[3:], *rest) for c, *rest in PEAKS]))
    write_reads(raw.folder / "bare.bam", [(c[3:], s) for c, s in READS], {c[3:]: n for c, n in LENGTHS.items()})
    signal(raw, "bare.bam")
    with caplog.at_level(logging.INFO):
        same(first, again(raw))
    assert "dnase.narrowPeak: 2 chromosome names are read in the other files' style (1 as chr1)" in caplog.text


def test_a_map_without_one_of_the_chromosomes(raw: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Pairs there take what the map has at their distance, and it is said."""
    another_map(raw, {"chr1": 60_000}, hic=True)
    raw.genes[3][1:3] = [9_500, 10_500]
    raw.table("genes.bed", raw.genes)
    with caplog.at_level(logging.INFO):
        pairs = raw.prepare(rewrite=False).pairs
    assert pairs["contact"].notna().all()
    assert "other.hic: lacks chr2, where 1 of 4 genes are" in caplog.text
    assert "other.hic lacks chr2, where 1 of" in caplog.text


def test_contacts_separated_by_spaces(raw: Any) -> None:
    (raw.folder / "map.bedpe").write_text((raw.folder / "map.bedpe").read_text().replace("\t", " "))
    raw.config["contact"] = {"bedpe": "map.bedpe"}
    assert (raw.prepare(rewrite=False).pairs["contact"] == 2.5).all()
