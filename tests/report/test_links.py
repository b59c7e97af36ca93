from __future__ import annotations

import gzip
import io
from pathlib import Path

import pandas as pd
import pytest

from epinformer.errors import InputError, OutputError
from epinformer.report.links import write_links

COLUMNS = ["gene_id", "gene_name", "chrom", "tss", "strand", "element_id", "start", "end", "abc"]
FIRST = pd.DataFrame(
    [("G1", "A", "chr2", 500, "+", "e1", 10, 20, 0.5), ("G1", "A", "chr2", 500, "+", "e2", 30, 40, float("nan"))],
    columns=COLUMNS,
)
SECOND = pd.DataFrame([("G2", "B", "chr1", 100, "-", "e3", 60, 90, 0.125)], columns=COLUMNS)


def test_table_as_text_and_parquet(tmp_path: Path) -> None:
    text, packed, parquet = tmp_path / "l.tsv", tmp_path / "l.tsv.gz", tmp_path / "l.parquet"
    for path in (text, packed, parquet):
        write_links(iter([FIRST, SECOND]), path)
    whole = pd.concat([FIRST, SECOND], ignore_index=True)
    assert text.read_text().splitlines()[1:] == [
        "G1\tA\tchr2\t500\t+\te1\t10\t20\t0.5",
        "G1\tA\tchr2\t500\t+\te2\t30\t40\t",
        "G2\tB\tchr1\t100\t-\te3\t60\t90\t0.125",
    ]
    assert gzip.decompress(packed.read_bytes()) == text.read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), whole)
    stream = io.StringIO()
    write_links(iter([FIRST, SECOND]), stream)
    assert stream.getvalue() == text.read_text()


def test_a_threshold_leaves_links_out(tmp_path: Path) -> None:
    path, genes = tmp_path / "l.tsv", tmp_path / "g.tsv"
    write_links(iter([FIRST, SECOND]), path, threshold=0.2, summary=genes)
    assert pd.read_csv(path, sep="\t").element_id.tolist() == ["e1"]
    table = pd.read_csv(genes, sep="\t")
    assert table.gene_id.tolist() == ["G1", "G2"]
    assert table.elements.tolist() == [2, 1] and table.links.tolist() == [1, 0]


def test_browser_formats_have_no_header_but_bedpe(tmp_path: Path) -> None:
    path, packed = tmp_path / "l.bed", tmp_path / "l.bedpe.gz"
    write_links(iter([FIRST, SECOND]), path, kind="bed12")
    assert [line.split("\t")[0] for line in path.read_text().splitlines()] == ["chr1", "chr2"]
    write_links(iter([FIRST, SECOND]), packed, kind="bedpe", summary=tmp_path / "g.parquet")
    assert gzip.decompress(packed.read_bytes()).decode().startswith("#chrom1\tstart1\t")
    assert len(pd.read_parquet(tmp_path / "g.parquet")) == 2


def test_names_are_refused_before_the_work(tmp_path: Path) -> None:
    def never():
        raise AssertionError("asked for links")
        yield

    data = tmp_path / "data"
    data.mkdir()
    for target, summary, problem in (
        (tmp_path / "l.csv", None, "l.csv: does not say by its name which kind of table"),
        (tmp_path / "l.tsv", tmp_path / "g.xlsx", "g.xlsx: does not say"),
        (tmp_path / "l.tsv", tmp_path / "l.tsv", "named for two"),
        (data / "l.tsv", None, "would overwrite the input"),
        (tmp_path / "none" / "l.tsv", None, "folder does not exist"),
    ):
        with pytest.raises(OutputError, match=problem):
            write_links(never(), target, summary=summary, inputs=[data])
    with pytest.raises(OutputError, match=r"g\.bed: does not say"):
        write_links(never(), tmp_path / "l.bed", kind="bed12", summary=tmp_path / "g.bed")
    with pytest.raises(OutputError, match=r"l\.parquet: is a name for a table, not for bedpe. End it in \.bedpe"):
        write_links(never(), tmp_path / "l.parquet", kind="bedpe")


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def failing():
        yield FIRST
        raise InputError("is broken")

    for name in ("l.tsv", "l.parquet"):
        with pytest.raises(InputError, match="is broken"):
            write_links(failing(), tmp_path / name)
        with pytest.raises(InputError, match="no score contact"):
            write_links(iter([FIRST]), tmp_path / name, score="contact")
    assert list(tmp_path.iterdir()) == []
