from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from epinformer.errors import OutputError
from epinformer.inputs.variants import read_variants
from epinformer.report.variants import FIELDS, annotated_header, write_variants
from epinformer.scoring.variants import ScoredChunk

HEAD = (
    '##fileformat=VCFv4.2\n##contig=<ID=chr1>\n##INFO=<ID=AC,Number=A,Type=Integer,Description="x">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\n"
)
ROWS = (
    "chr1\t50\tb\tA\tC,G\t.\tPASS\tAC=1,2\tGT\t0/1",
    "chr1\t20\ta\tA\t.\t.\tPASS\tAC=1\tGT\t0/0",
    "chr1\t30\tc\tA\tT\t9\tPASS\t.\tGT\t1/1",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "v.vcf"
    path.write_text(HEAD + "".join(f"{row}\n" for row in ROWS))
    return path


def scored(source: Path, with_activity: bool = True) -> list[ScoredChunk]:
    """Made-up effects: the first allele in two elements of two genes, the second nowhere, the third of one gene."""
    (chunk,) = read_variants(source)
    allele = np.array([0, 0, 0, 1, 2])
    table = chunk.alleles[["chrom", "pos", "id", "ref", "alt"]].iloc[allele].reset_index(drop=True)
    nan = np.nan
    table = table.assign(
        status=["no held-out model", "scored", "scored", "no element", "scored"],
        element_id=["chr1:0-99", "chr1:9-99", "chr1:9-99", None, None],
        gene_id=["g1", "g2", "g 3;x", None, "g4"],
        activity_change=[0.5, -0.75, -0.75, nan, 0.25],
        effect_sequence=[nan, 3.0, 0.0, nan, 0.5],
        effect=[nan, 0.25, -1.5, nan, nan],
    )
    return [ScoredChunk(chunk, table, allele, with_activity)]


def test_the_annotated_vcf_has_all_rows_in_order(source: Path, tmp_path: Path) -> None:
    table, vcf = tmp_path / "t.tsv", tmp_path / "out.vcf.gz"
    write_variants(scored(source), table, vcf=vcf, source=source)
    assert len(pd.read_csv(table, sep="\t")) == 5
    with pysam.VariantFile(str(vcf)) as file:
        for name, (kind, words) in FIELDS.items():
            found = file.header.info[name]
            assert (found.number, found.type, found.description) == ("A", kind, words)
        records = list(file)
    assert [record.id for record in records] == ["b", "a", "c"]
    assert records[0].info["AC"] == (1, 2) and records[0].samples["s1"]["GT"] == (0, 1)
    assert records[0].info["EPI_STATUS"] == ("scored", "no_element")
    assert records[0].info["EPI_ELEMENT"] == ("chr1:9-99", ".")
    assert records[0].info["EPI_ACTIVITY"] == (-0.75, None)
    assert records[0].info["EPI_GENE"] == ("g_3%3Bx", ".") and records[0].info["EPI_EFFECT"] == (-1.5, None)
    assert "EPI_STATUS" not in records[1].info and records[1].info["AC"] == (1,)
    assert records[2].info["EPI_STATUS"] == ("scored",) and "EPI_EFFECT" in records[2].info
    lines = gzip.decompress(vcf.read_bytes()).decode().splitlines()
    assert lines[-2] == ROWS[1] and lines[-1].split("\t")[8:] == ["GT", "1/1"]
    assert vcf.read_bytes()[12:14] == b"BC"  # in blocks, as tabix needs it


def test_without_activity_models_the_bases_tell_the_effect(source: Path, tmp_path: Path) -> None:
    vcf = tmp_path / "out.vcf"
    write_variants(scored(source, with_activity=False), tmp_path / "t.tsv", vcf=vcf, source=source)
    rows = [line.split("\t")[7] for line in vcf.read_text().splitlines() if not line.startswith("#")]
    assert "EPI_GENE=g2,.;EPI_EFFECT=3,." in rows[0] and rows[2].endswith("EPI_GENE=g4;EPI_EFFECT=0.5")


def test_annotating_again_replaces(source: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "1.vcf", tmp_path / "2.vcf"
    write_variants(scored(source), tmp_path / "t.tsv", vcf=first, source=source)
    write_variants(scored(first), tmp_path / "t.tsv", vcf=second, source=first)
    assert second.read_text() == first.read_text()
    head = HEAD.splitlines()
    assert annotated_header(annotated_header(head)) == annotated_header(head)


def test_names_that_are_refused(source: Path, tmp_path: Path) -> None:
    for target, vcf, message in (
        (tmp_path / "t.txt", None, "which kind of table"),
        (tmp_path / "t.tsv", tmp_path / "v.bcf", "shall be a VCF"),
        (tmp_path / "t.tsv", source, "would overwrite the input"),
        (source, None, "would overwrite the input"),
        (tmp_path / "t.tsv", tmp_path / "no" / "v.vcf", "its folder does not exist"),
    ):
        with pytest.raises(OutputError, match=message):
            write_variants(scored(source), target, vcf=vcf, source=source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.vcf"]


def test_nothing_is_left_of_what_failed(source: Path, tmp_path: Path) -> None:
    def broken():
        yield from scored(source)
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        write_variants(broken(), tmp_path / "t.tsv", vcf=tmp_path / "o.vcf.gz", source=source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.vcf"]
