"""Contacts of gene-element pairs, given as a table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.regions import check_intervals, refuse, refuse_duplicates, region_names
from epinformer.inputs.tables import Column, read_headed, read_header

_COLUMNS = (
    Column("gene_id", "text", ("gene_id",)),
    Column("element_id", "text", ("element_id",), optional=True),
    Column("chrom", "text", ("chrom", "chr"), optional=True),
    Column("start", "int", ("start",), optional=True),
    Column("end", "int", ("end",), optional=True),
    Column("contact", "float", ("contact",)),
)


def pair_contact_columns(path: str | Path) -> list[str]:
    """The column names of a file that `read_pair_contacts` reads, of which no row is looked at.

    Raises
    ------
    InputError
        The file cannot be read, or lacks a column.
    """
    names = read_header(path, _COLUMNS)
    if "element_id" not in names and not ({"chrom", "chr"} & set(names) and {"start", "end"} <= set(names)):
        raise InputError(
            "does not say which element a contact is of",
            source=path,
            fix="Add the column element_id (chrom:start-end), or chrom, start and end",
        )
    return names


def read_pair_contacts(path: str | Path) -> pd.DataFrame:
    """Read contacts of pairs from a CSV or TSV file.

    The file has the columns gene_id and contact, and names the element by element_id (`chrom:start-end`) or by
    chrom (or chr), start and end, as the element table has them: 0-based half-open, before long elements are cut.

    Returns
    -------
    DataFrame
        gene_id, chrom, element_id, contact (float64), indexed by line number.

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, has negative contacts or contacts that are no finite numbers, or
        gives a pair twice.
    """
    pair_contact_columns(path)
    table = read_headed(path, _COLUMNS)
    if "element_id" in table:
        table["chrom"] = table["element_id"].str.rpartition(":")[0]
    else:
        check_intervals(table, path)
        table["element_id"] = region_names(table)
    table = table[["gene_id", "chrom", "element_id", "contact"]]
    refuse(table, table["contact"] < 0, path, "has negative contacts", "Give contact frequencies, 0 or more")
    refuse_duplicates(table, ["gene_id", "element_id"], path, "gives a pair twice", "Keep one row a pair")
    return table
