from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from epinformer.errors import OutputError
from epinformer.report.tables import refuse_targets, require_table_name, write_table, write_tables


def test_write_table(tmp_path: Path) -> None:
    table = pd.DataFrame({"gene_id": ["A"], "fold": pd.array([None], dtype="Int64"), "predicted": [1 / 3]})
    for name in ("p.tsv", "p.tsv.gz"):
        write_table(table, tmp_path / name)
        pd.testing.assert_frame_equal(
            pd.read_csv(tmp_path / name, sep="\t").drop(columns="fold"), table.drop(columns="fold")
        )
    with pytest.raises(OutputError, match="folder does not exist"):
        write_table(table, tmp_path / "no" / "p.tsv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.tsv", "p.tsv.gz"]


def test_the_same_table_gives_the_same_file(tmp_path: Path) -> None:
    table = pd.DataFrame({"gene_id": ["A"]})
    for name in ("a.tsv.gz", "b.tsv.gz"):
        write_table(table, tmp_path / name)
    content = (tmp_path / "a.tsv.gz").read_bytes()
    assert content == (tmp_path / "b.tsv.gz").read_bytes() and b"tmp" not in content


def test_targets_are_refused_before_the_work(tmp_path: Path) -> None:
    data = tmp_path / "k562.dataset"
    data.mkdir()
    genes = tmp_path / "genes.txt"
    genes.write_text("A")
    refuse_targets([tmp_path / "p.tsv", tmp_path / "a.tsv"], [data, genes, tmp_path / "not.there"])
    refuse_targets([Path("/dev/null")], [data])
    for targets, message in (
        ([data], "is a directory"),
        ([tmp_path / "no" / "p.tsv"], "its folder does not exist"),
        ([tmp_path / "p.tsv", tmp_path / "k562.dataset" / ".." / "p.tsv"], "named for two different results"),
        ([data / "genes.parquet"], r"would overwrite the input .*k562\.dataset"),
        ([genes], r"would overwrite the input .*genes\.txt"),
    ):
        with pytest.raises(OutputError, match=message):
            refuse_targets(targets, [data, genes])


def test_parquet_in_pieces_is_one_table(tmp_path: Path) -> None:
    held_out = pd.array([True, None], dtype="boolean")
    first = pd.DataFrame({"gene_id": ["A", None], "n": [1, 2], "x": [0.1, None], "held_out": held_out})
    second = first.assign(x=[float("nan")] * 2, gene_id=pd.array([None, None], dtype="str"))
    assert write_tables(iter([first, second]), tmp_path / "t.parquet") == 4
    whole = pd.concat([first, second], ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), whole, check_dtype=False)
    assert write_tables(iter([first, second]), tmp_path / "t.tsv", header=False) == 4
    assert (tmp_path / "t.tsv").read_text().splitlines()[:2] == ["A\t1\t0.1\tTrue", "\t2\t\t"]


def test_names_of_tables() -> None:
    for name in ("a.tsv", "a.tsv.gz", "a.parquet", "b.c.tsv"):
        require_table_name(Path(name))
    for name in ("a.csv", "a", "tsv", "a.gz", "a.bed.gz", "a.tsv.bz2"):
        with pytest.raises(OutputError, match=r"which kind of table .* End it in \.tsv, \.tsv\.gz or \.parquet"):
            require_table_name(Path(name))
