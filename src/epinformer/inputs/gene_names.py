"""Genes as tables name them: by an id with or without its version, by a symbol, or by both."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from epinformer.inputs.regions import refuse

_BLANK = ("", "na", "n/a", "nan", "null", "none", ".")


def bare_ids(ids: pd.Series) -> pd.Series:
    """Gene ids without their version ("ENSG00000105610.6" is "ENSG00000105610"); others as they are."""
    return ids.str.replace(r"^(ENS[A-Z]*\d+)\.\d+$", r"\1", regex=True)


def named_genes(table: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """A copy of a table in which blank gene ids and symbols are missing, and a column of nothing else is dropped.

    Raises
    ------
    InputError
        The table has neither gene_id nor gene_name, or a row has neither.
    """
    table = table.copy()
    for column in ("gene_id", "gene_name"):
        if column in table:
            blank = table[column].isna() | table[column].str.lower().isin(_BLANK)
            table[column] = table[column].mask(blank)
            if blank.all():
                del table[column]
    present = [column for column in ("gene_id", "gene_name") if column in table]
    unnamed = table[present].isna().all(axis=1) if present else pd.Series(True, index=table.index)
    refuse(table, unnamed, path, "does not say which gene some rows are of", "Give a gene id or symbol in each row")
    return table
