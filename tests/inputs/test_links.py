from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.inputs.links import WITHOUT, number_columns, read_links

TABLE = pd.DataFrame(
    {
        "gene_id": ["ENSG1", "ENSG1", "ENSG2"],
        "gene_name": ["A", "A", "B"],
        "chrom": "chr1",
        "start": [100, 300, 300],
        "end": [200, 400, 400],
        "tss": [1000, 1000, 9000],
        "strand": ["+", "+", "-"],
        "fold": [1, 1, 2],
        "class": ["genic", "genic", "promoter"],
        "attention": [0.5, np.nan, 0.25],
        "distance": [-850, -650, 8650],
    }
)


def written(folder: Path, data: pd.DataFrame, suffix: str = ".tsv") -> Path:
    path = folder / f"links{suffix}"
    if suffix == ".parquet":
        data.to_parquet(path)
    else:
        data.to_csv(path, sep="," if suffix == ".csv" else "\t", index=False)
    return path


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".csv", ".parquet"])
def test_every_format_gives_the_same(tmp_path: Path, suffix: str) -> None:
    links = read_links(written(tmp_path, TABLE, suffix))
    assert links.scores == ("attention", "distance")
    assert list(links.table) == ["chrom", "start", "end", "gene_id", "gene_name", "tss", "strand", *links.scores]
    expected = TABLE[list(links.table)].astype({"distance": float, "tss": float})
    pd.testing.assert_frame_equal(
        links.table.reset_index(drop=True), expected, check_dtype=suffix != ".parquet", check_column_type=False
    )


def test_the_names_of_abc_and_encode(tmp_path: Path) -> None:
    text = (
        "#chr\tstart\tend\tname\tclass\tTargetGene\tTargetGeneEnsembl_ID\tTargetGeneTSS\tCellType\tABC.Score\tisSelf\n"
        "chr1\t10\t20\tx\tgenic\tA\tNA\t15\tK562\t5.0e-4\tFalse\n"
    )
    (tmp_path / "abc.txt").write_text(text)
    links = read_links(tmp_path / "abc.txt")
    assert links.scores == ("ABC.Score",)
    assert links.table.to_dict("records") == [
        {"chrom": "chr1", "start": 10, "end": 20, "gene_name": "A", "tss": 15.0, "ABC.Score": 5e-4}
    ]


def test_scores_may_be_chosen(tmp_path: Path) -> None:
    for suffix in (".tsv", ".parquet"):
        path = written(tmp_path, TABLE, suffix)
        assert read_links(path, scores=["distance"]).scores == ("distance",)
        with pytest.raises(InputError, match="has no such score.*first: class.*It has attention, distance"):
            read_links(path, scores=["class"])
        with pytest.raises(InputError, match="first: nothing"):
            read_links(path, scores=["nothing"])


def test_a_distance_is_judged_once(tmp_path: Path) -> None:
    path = written(tmp_path, TABLE.assign(neg_distance=-TABLE["distance"].abs(), self_promoter=0))
    assert read_links(path).scores == ("attention", "neg_distance")
    assert read_links(path, scores=["distance"]).scores == ("distance",)


@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
class TestBadInput:
    def test_no_scores(self, tmp_path: Path, suffix: str) -> None:
        path = written(tmp_path, TABLE.drop(columns=["attention", "distance"]), suffix)
        with pytest.raises(InputError, match="has no column of scores.*at least one column of numbers"):
            read_links(path)

    def test_scores_without_a_value(self, tmp_path: Path, suffix: str) -> None:
        path = written(tmp_path, TABLE.assign(attention=np.nan), suffix)
        assert read_links(path).scores == ("distance",)
        with pytest.raises(InputError, match="score without any value.*first: attention"):
            read_links(path, scores=["attention", "distance"])
        path = written(tmp_path, TABLE.assign(attention=np.nan).drop(columns="distance"), suffix)
        with pytest.raises(InputError, match="score without any value"):
            read_links(path)

    def test_infinite_scores(self, tmp_path: Path, suffix: str) -> None:
        path = written(tmp_path, TABLE.assign(attention=[1, np.inf, -np.inf]), suffix)
        with pytest.raises(InputError, match="attention.*2 affected; first: line [23]"):
            read_links(path)

    def test_a_link_twice(self, tmp_path: Path, suffix: str) -> None:
        with pytest.raises(InputError, match="gives a link twice.*1 affected"):
            read_links(written(tmp_path, pd.concat([TABLE, TABLE.iloc[:1]]), suffix))

    def test_no_gene_and_no_coordinates(self, tmp_path: Path, suffix: str) -> None:
        with pytest.raises(InputError, match="which gene"):
            read_links(written(tmp_path, TABLE.drop(columns=["gene_id", "gene_name"]), suffix))
        with pytest.raises(InputError, match="lacks the columns? chrom"):
            read_links(written(tmp_path, TABLE.drop(columns=["chrom"]), suffix))
        with pytest.raises(InputError, match="not below ends.*3 affected"):
            read_links(written(tmp_path, TABLE.assign(end=50), suffix))

    def test_no_rows_and_no_file(self, tmp_path: Path, suffix: str) -> None:
        with pytest.raises(InputError, match="holds no rows"):
            read_links(written(tmp_path, TABLE.head(0), suffix))
        with pytest.raises(InputError, match="no such file"):
            read_links(tmp_path / f"other{suffix}")


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    whole = written(tmp_path, TABLE, ".parquet")
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged Parquet"):
        read_links(whole)


def test_a_parquet_file_with_a_gap_in_its_coordinates(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks the start of some links.*1 affected"):
        read_links(written(tmp_path, TABLE.assign(start=[1, None, 3]), ".parquet"))


def test_numbers_that_turn_into_words_are_told(tmp_path: Path) -> None:
    text = "gene_name\tchrom\tstart\tend\tscore\n" + "A\tchr1\t1\t2\t0.5\n" * 1_500 + "A\tchr1\t5\t9\tgood\n"
    (tmp_path / "links.tsv").write_text(text)
    with pytest.raises(InputError, match="column score.*first: line 1,502: 'good'"):
        read_links(tmp_path / "links.tsv")


def test_what_surrounds_a_link_is_a_score_only_when_named(tmp_path: Path) -> None:
    path = tmp_path / "links.tsv"
    header = ["chrom", "start", "end", "gene_id", "abc", "dnase_rpm", "promoter_activity", "tss_between", WITHOUT]
    path.write_text("\t".join(header) + "\nchr1\t5\t9\tG1\t0.5\t2\t3\t4\tchr1\n")
    assert read_links(path).scores == ("abc",)
    assert number_columns(path) == ["abc", "dnase_rpm", "promoter_activity", "tss_between"]
    named = read_links(path, scores=["tss_between", "dnase_rpm"])
    assert named.scores == ("tss_between", "dnase_rpm") and named.table["dnase_rpm"].tolist() == [2.0]
    assert named.table[WITHOUT].tolist() == ["chr1"]
    pd.read_csv(path, sep="\t").to_parquet(tmp_path / "links.parquet")
    assert number_columns(tmp_path / "links.parquet") == number_columns(path)
