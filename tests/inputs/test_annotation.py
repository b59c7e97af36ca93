from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs.annotation import (
    Annotation,
    chosen_transcripts,
    genes_of,
    is_annotation,
    read_annotation,
)
from tests.annotated import DIALECTS, Made, Spliced, runs, spliced, text_of

PLUS = Made(
    "ENSG00000000007",
    "3",
    "AAA",
    "protein_coding",
    "chr1",
    "+",
    [
        Spliced("T1", [(101, 200), (301, 400), (501, 600)], (50, 250)),
        # Its stop codon is split between two exons.
        Spliced("T2", [(151, 200), (301, 399), (501, 540)], (10, 151), tags=("basic", "MANE_Select")),
    ],
)
MINUS = Made(
    "ENSG00000000008",
    "12",
    "BBB",
    "protein_coding",
    "chrX",
    "-",
    [
        Spliced("T3", [(1001, 1100), (1201, 1300)], (20, 143)),
        Spliced("T4", [(1051, 1100), (1201, 1400)]),
        Spliced("T5", [(1001, 1100), (1201, 1290)], (60, 120)),
    ],
)
RNA = Made("ENSG00000000009", "1", "CCC", "lncRNA", "chr1", "+", [Spliced("T6", [(5001, 5100)])])
GENES = [PLUS, RNA, MINUS]


def write(folder: Path, text: str, name: str = "genes.gtf") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read(folder: Path, genes: list[Made], dialect: str = "gencode.gtf", **options: object) -> Annotation:
    return read_annotation(write(folder, text_of(genes, dialect), f"genes.{dialect}"), **options)  # type: ignore[arg-type]


def pieces(table: pd.DataFrame) -> dict[str, list[tuple[int, int]]]:
    return {
        str(name): list(zip(own["start"], own["end"], strict=True))
        for name, own in table.groupby("transcript_id", sort=False)
    }


def with_stop(transcript: Spliced, strand: str) -> list[int]:
    coding, stop = transcript.coding_bases(strand)
    return coding + stop


def half_open(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(start - 1, end) for start, end in stretches]


def row(kind: str, start: object, end: object, strand: str = "+", chrom: str = "chr1", attributes: str = "") -> str:
    attributes = attributes or 'gene_id "G"; transcript_id "T"; gene_type "protein_coding";'
    return f"{chrom}\tmade\t{kind}\t{start}\t{end}\t.\t{strand}\t.\t{attributes}\n"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_gives_the_same_genes(tmp_path: Path, dialect: str) -> None:
    source, _, form = dialect.partition(".")
    annotation = read(tmp_path, GENES, dialect)
    ids = {
        "gencode": ["ENSG00000000007.3", "ENSG00000000008.12"],
        "ensembl": ["ENSG00000000007", "ENSG00000000008"],
        "refseq": ["AAA", "BBB"] if form == "gtf" else ["7", "8"],
    }[source]
    prefix = "" if source == "ensembl" else "chr"
    genes = genes_of(annotation)
    assert genes.to_dict("list") == {
        "gene_id": ids,
        "gene_name": ["AAA", "BBB"],
        "gene_type": ["protein_coding"] * 2,
        "chrom": [f"{prefix}1", f"{prefix}X"],
        "start": [100, 1000],
        "end": [600, 1400],
        "tss": [150, 1299],
        "strand": ["+", "-"],
    }
    transcripts = annotation.transcripts.set_index("transcript_id")
    assert transcripts.index.tolist() == ["T1", "T2", "T3", "T4", "T5"]
    assert transcripts["choice"].tolist() == [9, 0, 9, 9, 9]
    expected = {
        transcript.id: (half_open(transcript.exons), half_open(runs(with_stop(transcript, gene.strand))))
        for gene in (PLUS, MINUS)
        for transcript in gene.transcripts
    }
    assert pieces(annotation.exons) == {name: exons for name, (exons, _) in expected.items()}
    assert pieces(annotation.cds) == {name: cds for name, (_, cds) in expected.items() if cds}
    assert transcripts["stop"].tolist() == [3, 3, 3, 0, 3]
    for name, (exons, cds) in expected.items():
        assert (transcripts.loc[name, "start"], transcripts.loc[name, "end"]) == (exons[0][0], exons[-1][1])
        assert transcripts.loc[name, "exon_length"] == sum(end - start for start, end in exons)
        assert transcripts.loc[name, "cds_length"] == sum(end - start for start, end in cds)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rows_may_stand_in_any_order(tmp_path: Path, dialect: str) -> None:
    lines = text_of(GENES, dialect).splitlines(keepends=True)
    usual = read_annotation(write(tmp_path, "".join(lines), f"usual.{dialect}"))
    other = read_annotation(write(tmp_path, lines[0] + "".join(lines[:0:-1]), f"other.{dialect}"))
    for table, by in (("transcripts", ["transcript_id"]), ("exons", ["transcript_id", "start"])):
        first, second = (
            getattr(annotation, table)
            .drop(columns=["line", "place"], errors="ignore")
            .sort_values(by, ignore_index=True)
            for annotation in (usual, other)
        )
        pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(
        genes_of(usual).reset_index(drop=True), genes_of(other).sort_values("start", ignore_index=True)
    )


@pytest.mark.parametrize("types", [None, ("lncRNA", "protein_coding"), ("lncRNA",)])
def test_types_of_genes(tmp_path: Path, types: tuple[str, ...] | None) -> None:
    genes = genes_of(read(tmp_path, GENES, gene_types=types))
    assert genes["gene_name"].tolist() == (["CCC"] if types == ("lncRNA",) else ["AAA", "CCC", "BBB"])


def test_gzip_windows_ends_comments_and_sequences(tmp_path: Path) -> None:
    text = text_of(GENES, "ensembl.gff3")
    plain = read_annotation(write(tmp_path, text))
    path = tmp_path / "named.txt"
    path.write_bytes(gzip.compress((text.replace("\n", "\r\n") + "###\r\n\r\n##FASTA\r\n>1\r\nACGT\r\n").encode()))
    other = read_annotation(path)
    for one, two in zip(plain[:3], other[:3], strict=True):
        pd.testing.assert_frame_equal(one, two)
    assert is_annotation(path)


def test_what_is_an_annotation(tmp_path: Path) -> None:
    assert is_annotation(write(tmp_path, "##gff-version 3\n"))
    for dialect in DIALECTS:
        assert is_annotation(write(tmp_path, text_of(GENES, dialect).split("\n", 1)[1]))
    bed12 = "chr1\t0\t9\tg\t0\t+\t0\t9\t0,0,0\t1\t9,\t0,\n"
    for text in ("", "# only this\n", "chr1\t0\t9\tg\t0\t+\n", bed12, "gene_id,tss\na,3\n"):
        assert not is_annotation(write(tmp_path, text))
    with pytest.raises(InputError, match=r"none\.gtf: there is no such file"):
        is_annotation(tmp_path / "none.gtf")


def test_the_order_of_choice(tmp_path: Path) -> None:
    """Each transcript beats those after it, and stands last in the file."""
    ranked = [
        Spliced("Z1", [(100, 110)], tags=("MANE_Select",)),
        Spliced("Z2", [(100, 110)], tags=("Ensembl_canonical",)),
        Spliced("Z3", [(100, 110)], tags=("CCDS", "appris_principal_1")),
        Spliced("Z4", [(100, 110)], tags=("appris_principal_4",)),
        Spliced("Y1", [(100, 200)], (0, 90), tags=("MANE_Plus_Clinical", "appris_alternative_1")),
        Spliced("X1", [(100, 300)], (0, 60)),
        Spliced("W1", [(100, 250)], (0, 60)),
        Spliced("V1", [(100, 400)]),
        Spliced("V2", [(101, 401)]),
    ]
    for best in range(len(ranked)):
        gene = PLUS._replace(transcripts=ranked[best:][::-1])
        chosen = chosen_transcripts(read(tmp_path, [gene]))
        assert chosen["transcript_id"].tolist() == [ranked[best].id]
        assert chosen["tss"].tolist() == [ranked[best].exons[0][0] - 1]


def test_refseq_select_counts_as_canonical(tmp_path: Path) -> None:
    gene = PLUS._replace(transcripts=[PLUS.transcripts[0], Spliced("S", [(130, 160)], tags=("RefSeq_Select",))])
    for dialect in ("refseq.gtf", "refseq.gff3"):
        assert chosen_transcripts(read(tmp_path, [gene], dialect))["transcript_id"].tolist() == ["S"]


def shifted(gene: Made, chrom: str, **changes: str) -> Made:
    """A copy of a gene at another place, with transcripts of other ids."""
    transcripts = [transcript._replace(id=f"{transcript.id}-2") for transcript in gene.transcripts]
    return gene._replace(chrom=chrom, transcripts=transcripts, **changes)


def test_copies_of_the_pseudo_autosomal_regions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        genes = genes_of(read(tmp_path, [shifted(MINUS, "chrY", version="12_PAR_Y"), MINUS]))
    assert genes["chrom"].tolist() == ["chrX"] and genes["tss"].tolist() == [1299]
    assert "1 genes of Y are copies of genes of X and are left out (first: ENSG00000000008.12_PAR_Y)" in caplog.text


def test_refseq_gives_both_copies_one_id(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = text_of([shifted(MINUS, "chrY")], "refseq.gff3").replace("gene-BBB", "gene-BBB-2")
    with caplog.at_level(logging.INFO):
        genes = genes_of(read_annotation(write(tmp_path, copy + text_of([MINUS], "refseq.gff3"))))
    assert genes["gene_id"].tolist() == ["8"] and genes["chrom"].tolist() == ["chrX"]
    assert "1 genes are at several places; one is taken" in caplog.text


def test_namesakes_on_x_and_y_that_are_several_stay(tmp_path: Path) -> None:
    copies = [shifted(MINUS, "chrY", id=f"ENSG0000000010{i}") for i in range(2)]
    copies[1] = copies[1]._replace(transcripts=[t._replace(id=t.id + "-3") for t in MINUS.transcripts])
    assert len(genes_of(read(tmp_path, [MINUS, *copies]))) == 3


def test_a_gene_on_a_chromosome_and_on_scaffolds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = text_of([shifted(PLUS, "chr2")], "gencode.gtf").replace("chr2", "KI270728.1") + text_of(
        [PLUS], "gencode.gtf"
    )
    with caplog.at_level(logging.INFO):
        genes = genes_of(read_annotation(write(tmp_path, text)))
    assert genes["chrom"].tolist() == ["chr1"] and "1 genes are at several places" in caplog.text
    assert genes["end"].tolist() == [600]


def test_accessions_that_are_unknown_stay_and_the_file_is_believed(tmp_path: Path) -> None:
    region = "NC_000932.7\tRefSeq\tregion\t1\t9\t.\t+\t.\tID=a;chromosome=2L;genome=chromosome\n"
    text = "".join(
        row("gene", 1, 9, chrom=chrom, attributes=f"ID=g{i};gene_biotype=protein_coding")
        + row("mRNA", 1, 9, chrom=chrom, attributes=f"ID=t{i};Parent=g{i}")
        + row("exon", 1, 9, chrom=chrom, attributes=f"Parent=t{i}")
        for i, chrom in enumerate(["NC_000932.7", "NC_000086.8", "NC_012920.1", "NW_001.1", "NC_000931.1"])
    )
    genes = genes_of(read_annotation(write(tmp_path, region + text)))
    assert genes["chrom"].tolist() == ["chr2L", "chrX", "chrM", "NW_001.1", "NC_000931.1"]


def test_without_stop_codon_rows(tmp_path: Path) -> None:
    """GTF leaves the stop codon out of the CDS, GFF3 has it in, save where a tag says that the end is not found."""
    gene = PLUS._replace(transcripts=[PLUS.transcripts[0], Spliced("E", [(100, 200)], (0, 30), False, ("cds_end_NF",))])
    gtf = "".join(line for line in text_of([gene], "ensembl.gtf").splitlines(True) if "stop_codon" not in line)
    assert read_annotation(write(tmp_path, gtf)).transcripts["stop"].tolist() == [0, 0]
    annotation = read(tmp_path, [gene], "ensembl.gff3")
    assert annotation.transcripts["stop"].tolist() == [3, 0]
    assert annotation.transcripts["cds_length"].tolist() == [200, 30]


def test_a_stop_codon_inside_or_beside_its_coding_sequence_is_the_same(tmp_path: Path) -> None:
    beside = row("exon", 1, 90) + row("CDS", 11, 70) + row("stop_codon", 71, 73)
    inside = row("exon", 1, 90) + row("CDS", 11, 73) + row("stop_codon", 71, 73)
    for text in (beside, inside):
        annotation = read_annotation(write(tmp_path, text))
        assert pieces(annotation.cds) == {"T": [(10, 73)]} and annotation.transcripts["stop"].tolist() == [3]


def test_coding_pieces_that_overlap_by_a_frameshift_stay_apart(tmp_path: Path) -> None:
    text = row("exon", 1, 90) + row("CDS", 11, 40) + row("CDS", 40, 70) + row("stop_codon", 71, 73)
    assert pieces(read_annotation(write(tmp_path, text)).cds) == {"T": [(10, 40), (39, 73)]}


def test_coding_sequence_without_exons_and_without_transcript(tmp_path: Path) -> None:
    text = row("gene", 5, 30, attributes="ID=gene-ND1;Name=ND1;gene_biotype=protein_coding") + row(
        "CDS", 5, 30, attributes="ID=cds-1;Parent=gene-ND1"
    )
    annotation = read_annotation(write(tmp_path, text))
    assert pieces(annotation.exons) == pieces(annotation.cds) == {"ND1": [(4, 30)]}
    assert genes_of(annotation)["gene_id"].tolist() == ["ND1"]


def test_exons_of_several_parents(tmp_path: Path) -> None:
    text = (
        row("gene", 1, 90, attributes="ID=g;biotype=protein_coding")
        + row("mRNA", 1, 90, attributes="ID=a;Parent=g")
        + row("mRNA", 1, 90, attributes="ID=b;Parent=g")
        + row("exon", 1, 40, attributes="Parent=a,b")
        + row("exon", 60, 90, attributes="ID=x;Note=Parent of none;Parent=b")
    )
    assert pieces(read_annotation(write(tmp_path, text)).exons) == {"a": [(0, 40)], "b": [(0, 40), (59, 90)]}


def test_attributes_with_semicolons_and_look_alikes(tmp_path: Path) -> None:
    attributes = (
        'note "a; gene_id \'x\'"; orig_transcript_id "no"; gene_id "G"; gene_type "protein_coding"; transcript_id "T"'
    )
    bare = "gene_id G; transcript_id T; gene_type protein_coding;"
    for text in (attributes, bare):
        annotation = read_annotation(write(tmp_path, row("exon", 1, 9, attributes=text)))
        assert annotation.transcripts[["transcript_id", "gene_id", "gene_name"]].values.tolist() == [["T", "G", "G"]]


def test_repeated_rows_count_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    annotation = read_annotation(write(tmp_path, (row("exon", 1, 90) + row("CDS", 11, 70)) * 2))
    assert annotation.transcripts["exon_length"].tolist() == [90]
    assert "genes.gtf: 2 rows repeat others and count once" in caplog.text


def test_genes_without_a_type_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spike = row("exon", 1, 90, chrom="ERCC", attributes='gene_id "E"; transcript_id "E1";')
    text = spike + row("exon", 1, 90)
    assert genes_of(read_annotation(write(tmp_path, text)))["gene_id"].tolist() == ["G"]
    assert "1 transcripts are of genes without a type and are left out (first: E1 on line 1)" in caplog.text
    assert len(genes_of(read_annotation(write(tmp_path, text), gene_types=None))) == 2


GOOD = row("exon", 1, 90)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"genes\.gtf: holds no rows\. Give a GTF or GFF3"),
        ("#!only\n", r"holds no rows"),
        (
            "chr1\t0\t9\tg\t0\t+\n",
            r"neither GTF nor GFF3 \(first: line 1: 'chr1.t0.*g.t0.t\+'\)\. Give nine columns",
        ),
        (GOOD.replace("\t", " "), r"is neither GTF nor GFF3 \(first: line 1"),
        (GOOD + "chr1\tshort\n", r"rows that do not have nine columns \(1 affected; first: line 2: chr1 short"),
        (
            GOOD + row("exon", 1, 9, attributes='gene_id "G";') * 2,
            r"has rows without the attribute transcript_id \(2 affected; first: line 2: chr1 made exon 1 9",
        ),
        (
            GOOD + row("exon", 1, 9, attributes='gene_id "G"; transcript_id "";'),
            r"without the attribute transcript_id \(1 affected; first: line 2",
        ),
        (
            GOOD + row("CDS", 1, 9, attributes='transcript_id "U";'),
            r"without the attribute gene_id \(1 affected; first: line 2: .*transcript_id \"U\";\)\. Add it",
        ),
        (row("exon", 1, 9, attributes="ID=x"), r"without the attribute Parent \(1 affected; first: line 1"),
        (
            row("exon", 1, 9, attributes='gene_id "G"; transcript_id "T";') * 2,
            r"without the attribute gene_type \(or gene_biotype\) of their gene \(1 affected; first: line 1: T\)",
        ),
        (
            row("mRNA", 1, 9, attributes="ID=t;Parent=g") + row("exon", 1, 9, attributes="Parent=t"),
            r"has transcripts whose gene it does not have \(1 affected; first: line 1: t\)",
        ),
        (
            GOOD + row("exon", 9, 8),
            r"starts and ends that are no intervals \(1 affected; first: line 2: chr1 made",
        ),
        (GOOD + row("exon", 0, 8), r"no intervals \(1 affected; first: line 2"),
        (GOOD + row("exon", "x", 8), r"no intervals \(1 affected; first: line 2"),
        (GOOD + row("exon", 5, 3_000_000_000), r"no intervals \(1 affected; first: line 2"),
        (GOOD + row("exon", 5, 8, ".") * 3, r"strands that are neither \+ nor - \(3 affected; first: line 2"),
        (
            GOOD + row("exon", 95, 99, "-"),
            r"transcripts on two chromosomes or strands \(1 affected; first: line 2: .*\)\. T starts on line 1",
        ),
        (
            GOOD + row("CDS", 5, 9, chrom="chr2"),
            r"on two chromosomes or strands \(1 affected; first: line 2",
        ),
        (
            GOOD + row("CDS", 81, 91) + row("CDS", 5, 7),
            r"coding sequence outside the exons of its transcript \(1 affected; first: line 1: T at chr1:81-91 \(",
        ),
        (row("gene", 1, 9, attributes='gene_id "G";'), r"has no exons\. Give the whole annotation"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_annotation(write(tmp_path, text))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_gene_of_the_type_lists_the_types(tmp_path: Path, dialect: str) -> None:
    message = (
        r"has no gene of type miRNA or tRNA with exons\. Choose among its types: protein_coding \(2\), lncRNA \(1\)"
    )
    with pytest.raises(InputError, match=message):
        read(tmp_path, GENES, dialect, gene_types=["miRNA", "tRNA"])


def test_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "genes.gtf.gz"
    path.write_bytes(gzip.compress(text_of(GENES, "gencode.gtf").encode())[:-20])
    with pytest.raises(InputError, match=r"genes\.gtf\.gz: (is truncated|has damaged gzip)"):
        read_annotation(path)


@given(
    transcripts=st.lists(st.integers(), min_size=1, max_size=3).flatmap(
        lambda items: st.tuples(*(spliced(f"T{i}") for i in range(len(items))))
    ),
    strand=st.sampled_from("+-"),
    dialect=st.sampled_from(DIALECTS),
)
def test_any_transcripts(
    tmp_path_factory: pytest.TempPathFactory, transcripts: tuple[Spliced, ...], strand: str, dialect: str
) -> None:
    gene = PLUS._replace(strand=strand, transcripts=list(transcripts))
    annotation = read(tmp_path_factory.getbasetemp(), [gene], dialect)
    table = annotation.transcripts.set_index("transcript_id")
    exons, cds = pieces(annotation.exons), pieces(annotation.cds)
    for transcript in transcripts:
        coding, stop = transcript.coding_bases(strand)
        assert exons[transcript.id] == half_open(transcript.exons)
        assert cds.get(transcript.id, []) == half_open(runs(coding + stop))
        assert table.loc[transcript.id, "stop"] == len(stop)
    lengths = {t.id: (-len(with_stop(t, strand)), -len(t.bases(strand)), t.id) for t in transcripts}
    best = min(transcripts, key=lambda transcript: lengths[transcript.id])
    assert genes_of(annotation)["tss"].tolist() == [best.bases(strand)[0] - 1]
