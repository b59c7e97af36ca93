from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.inputs.tss import read_tss, recentred

GENES = pd.DataFrame(
    {
        "gene_id": ["ENSG1.4", "ENSG2.1", "ENSG3.1"],
        "gene_name": ["A", "B", "C"],
        "chrom": ["chr1", "chr1", "chrX"],
        "start": [1000, 5000, 100],
        "end": [2000, 6000, 300],
        "tss": [1000, 5999, 100],
        "strand": ["+", "-", "+"],
    }
)


def write(folder: Path, text: str) -> Path:
    path = folder / "tss.txt"
    path.write_text(text)
    return path


def table(*rows: tuple[str, str, int, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["gene_id", "chrom", "tss", "strand"], index=pd.Index(range(2, len(rows) + 2)))


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("strand\tgene_id\tchrom\ttss\n-\tG\tchr1\t105\n", 105),
        ("gene_id,chrom,tss,strand\r\nG,chr1,105,-\r\n", 105),
        ("chr1\t100\t111\tG\t0\t-\n", 105),
        ("chr1\t100\t111\tG\t0\t-\t103\t104\t0,0,0\n", 103),
        ("chr1\t100\t111\tG\t0\t-\t103\t106\n", 105),
        ("chr1\t100\t111\tG\t0\t-\t111\t112\n", 105),
        ("chr1\t100\t111\tG\t0\t-\t7.5\t3.25\t-1\t4\n", 105),
    ],
)
def test_tables_and_peaks(tmp_path: Path, text: str, position: int) -> None:
    assert read_tss(write(tmp_path, text)).to_dict("list") == {
        "gene_id": ["G"],
        "chrom": ["chr1"],
        "tss": [position],
        "strand": ["-"],
    }


def test_thick_parts_count_only_where_all_are_single_bases(tmp_path: Path) -> None:
    text = "chr1\t100\t110\tG\t0\t-\t103\t104\nchr1\t200\t210\tH\t0\t-\t200\t210\n"
    assert read_tss(write(tmp_path, text))["tss"].tolist() == [105, 205]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("G,chr1,-1,+\n", r"has TSSs that are on no chromosome \(1 affected; first: line 2: G chr1 -1 \+\)"),
        ("G,chr1,3e5,+\n", r"column tss holds something else than a whole number"),
        ("G,chr1,5,.\n", r"has strands that are neither \+ nor - \(1 affected; first: line 2"),
        (",chr1,5,+\n", r"has TSSs without a gene id \(1 affected"),
        (
            "G,chr1,5,+\nG,chr1,7,+\nG,chr1,8,+\n",
            r"names a gene twice \(2 affected; first: line 3: G chr1 7",
        ),
        ("", r"holds no rows"),
    ],
)
def test_bad_tables(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"tss\.txt: {message}"):
        read_tss(write(tmp_path, f"gene_id,chrom,tss,strand\n{rows}"))


def test_bad_peaks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has starts that are not below ends \(1 affected; first: line 1"):
        read_tss(write(tmp_path, "chr1\t5\t5\tG\t0\t+\n"))
    with pytest.raises(InputError, match=r"rows of 4 columns and needs 6"):
        read_tss(write(tmp_path, "chr1\t5\t6\tG\n"))


def test_genes_of_the_table_move_and_others_stay(caplog: pytest.LogCaptureFixture) -> None:
    before = GENES.copy()
    with caplog.at_level(logging.INFO):
        moved = recentred(
            GENES, table(("ENSG9", "1", 5, "+"), ("ENSG2", "1", 6100, "-"), ("ENSG1", "1", 990, "+")), "t"
        )
    pd.testing.assert_frame_equal(GENES, before)
    pd.testing.assert_frame_equal(moved, GENES.assign(tss=[990, 6100, 100]))
    assert "t: 2 of 3 genes have their TSS from it, by 56 bp in the median; 1 keep theirs" in caplog.text


def test_genes_without_names_are_found_by_id() -> None:
    genes = GENES.drop(columns="gene_name")
    assert recentred(genes, table(("ENSG3.1", "chrX", 7, "+")), "t")["tss"].tolist() == [1000, 5999, 7]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("B", "chrX", 5500, "-"),
            r"has TSSs on another chromosome than their gene \(1 affected; first: line 3: ENSG2\.1 at chrX:5500 -, and "
            r"the gene at chr1:5000-6000 -\)\. Remove or correct",
        ),
        (("B", "chr1", 5500, "+"), r"has TSSs on another strand than their gene \(1 affected; first: line 3: ENSG2\.1"),
        (("B", "chr1", 1_006_000, "-"), r"more than 1,000,000 bp from their gene \(1 affected; .*of another assembly"),
        (("C", "chrX", 1_000_300, "+"), r"more than 1,000,000 bp from their gene \(1 affected; first: line 3: ENSG3"),
    ],
)
def test_a_tss_that_cannot_be_the_genes(row: tuple[str, str, int, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recentred(GENES, table(("A", "chr1", 1000, "+"), row), "t")


def test_the_farthest_a_tss_may_be() -> None:
    moved = recentred(GENES, table(("B", "chr1", 1_005_999, "-"), ("C", "chrX", 1_000_299, "+")), "t")
    assert moved["tss"].tolist() == [1000, 1_005_999, 1_000_299]


def test_none_of_the_genes() -> None:
    with pytest.raises(InputError, match="t: has none of the genes"):
        recentred(GENES, table(("ENSG9", "chr1", 5, "+")), "t")
