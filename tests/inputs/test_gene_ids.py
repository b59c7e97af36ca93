from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs.gene_ids import match_genes


def table(*ids: str) -> pd.DataFrame:
    """A row a gene, its value the row's number."""
    return pd.DataFrame({"value": np.arange(len(ids), dtype=float)}, index=pd.Index(ids, dtype="str", name="gene_id"))


def genes(*ids: str, names: list[str] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"gene_id": pd.array(ids, dtype="str")}, index=pd.RangeIndex(5, 5 + len(ids)))
    return frame if names is None else frame.assign(gene_name=pd.array(names, dtype="str"))


def found(rows: pd.DataFrame) -> list[int | None]:
    return [None if np.isnan(value) else int(value) for value in rows["value"]]


def test_whole_ids(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        result = match_genes(table("b", "a"), genes("a", "x", "b", "y"), "t.csv")
    assert found(result.rows) == [1, None, 0, None]
    assert result.rows.index.tolist() == ["a", "x", "b", "y"]
    assert result.unmatched == ["x", "y"] and result.how == "2 by id"
    assert "t.csv: genes found: 2 by id" in caplog.text
    assert "t.csv: 2 genes are not in it (x, y)" in caplog.text
    assert "t.csv: the genes that are not in it: x, y" in caplog.text


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        (("ENSG01.5", "ENSG02.1"), ("ENSG02", "ENSG01")),
        (("ENSG01", "ENSG02"), ("ENSG02.7", "ENSG01.12")),
        (("ENSMUSG01.5", "ENSMUSG02.1"), ("ENSMUSG02.2", "ENSMUSG01.6")),
    ],
)
def test_versions(ids: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    result = match_genes(table(*ids), genes(*wanted), "t")
    assert found(result.rows) == [1, 0] and result.how == "2 by id without version"


def test_other_ids_have_no_version() -> None:
    assert found(match_genes(table("AC01.1", "AC02.1"), genes("AC01", "AC02.1"), "t").rows) == [None, 1]


def test_several_rows_of_one_id(caplog: pytest.LogCaptureFixture) -> None:
    result = match_genes(table("ENSG01.1", "ENSG01.2", "ENSG02.1", "ENSG03.1"), genes("ENSG01", "ENSG02"), "t")
    assert found(result.rows) == [None, 2] and result.unmatched == ["ENSG01"]
    assert "t: 1 genes could be of several rows, or share one, and get none (ENSG01)" in caplog.text


def test_several_genes_of_one_row(caplog: pytest.LogCaptureFixture) -> None:
    result = match_genes(table("ENSG01", "ENSG02"), genes("ENSG01.1", "ENSG01.2", "ENSG02.2"), "t")
    assert found(result.rows) == [None, None, 1]
    assert "2 genes could be of several rows, or share one, and get none (ENSG01.1, ENSG01.2)" in caplog.text


def test_a_whole_id_comes_first() -> None:
    # The row of version 2 is its own gene's, and no other version of it is offered to anybody.
    result = match_genes(table("ENSG01.2", "ENSG02.1"), genes("ENSG01.2", "ENSG01.3", "ENSG02"), "t")
    assert found(result.rows) == [0, None, 1] and result.how == "1 by id, 1 by id without version"


def test_copies_on_y(caplog: pytest.LogCaptureFixture) -> None:
    rows = table("ENSG01.5", "ENSG01.5_PAR_Y", "ENSG02.1_PAR_Y")
    with caplog.at_level(logging.INFO):
        result = match_genes(rows, genes("ENSG01", "ENSG02", "ENSG02.1_PAR_Y"), "t")
    assert found(result.rows) == [0, None, 2]
    assert "t: 2 rows are of copies on chrY, which only genes of these very ids get (ENSG01.5_PAR_Y, EN" in caplog.text


def test_symbols() -> None:
    wanted = genes("E1", "E2", "E3", "E4", "E5", names=["A", "B", "B", "C", ""])
    # C is twice in the table, B twice among the genes; blanks are no symbol.
    names = pd.Series(["B", "C", "A", "C", "", ""])
    result = match_genes(table("1", "2", "3", "4", "5", "E5"), wanted, "t", names=names)
    assert found(result.rows) == [2, None, None, None, 5] and result.how == "1 by id, 1 by symbol"
    assert result.unmatched == ["E2", "E3", "E4"]


def test_a_table_of_symbols() -> None:
    result = match_genes(table("B", "A"), genes("E1", "E2", names=["A", "Z"]), "t")
    assert found(result.rows) == [1, None] and result.how == "1 by symbol"


def test_a_symbol_does_not_take_the_row_of_another_id() -> None:
    # Row E1 is gene E1's; that its symbol is gene E2's name makes it no other's.
    wanted = genes("E1", "E2", names=["OLD", "NEW"])
    assert found(match_genes(table("E1"), wanted, "t", names=pd.Series(["NEW"])).rows) == [0, None]


def test_none_at_all() -> None:
    with pytest.raises(InputError, match=r"t: has none of the genes \(2 affected; first: z is not found; the file "):
        match_genes(table("b", "a"), genes("z", "y", names=["z", "y"]), "t")


_IDS = st.lists(st.sampled_from([f"ENSG{i}{v}" for i in range(4) for v in ("", ".1", ".2")]), min_size=1, unique=True)


@given(_IDS, _IDS, st.data())
def test_no_row_twice_and_none_by_guess(rows: list[str], wanted: list[str], data: st.DataObject) -> None:
    symbols = st.sampled_from(["", "A", "B", "C"])
    row_names = data.draw(st.lists(symbols, min_size=len(rows), max_size=len(rows)))
    gene_names = data.draw(st.lists(symbols, min_size=len(wanted), max_size=len(wanted)))

    def sole(own: list[str], others: list[str], name: str) -> bool:
        return bool(name) and own.count(name) == 1 and others.count(name) == 1

    expected: list[int | None] = [rows.index(gene) if gene in rows else None for gene in wanted]
    for own, others in (
        ([gene.partition(".")[0] for gene in wanted], [row.partition(".")[0] for row in rows]),
        (gene_names, row_names),
    ):
        taken = set(expected)
        for number, name in enumerate(own):
            if expected[number] is None and sole(own, others, name) and others.index(name) not in taken:
                expected[number] = others.index(name)
    frame = genes(*wanted, names=gene_names)
    if not any(row is not None for row in expected):
        with pytest.raises(InputError):
            match_genes(table(*rows), frame, "t", names=pd.Series(row_names))
        return
    assert found(match_genes(table(*rows), frame, "t", names=pd.Series(row_names)).rows) == expected
