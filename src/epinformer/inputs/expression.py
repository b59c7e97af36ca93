"""Expression labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from epinformer.inputs.regions import refuse_duplicates
from epinformer.inputs.tables import Column, read_headed


def read_expression(path: str | Path, *, id_column: str, value_column: str) -> pd.Series:
    """Read one assay's label of each gene from a CSV or TSV file; the values are taken as they are.

    Returns
    -------
    Series
        float64 indexed by gene id; NaN where the file leaves the value blank.

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, has a value that is not a number, or gives a gene twice.
    """
    table = read_headed(
        path, (Column("gene_id", "text", (id_column,)), Column("value", "float", (value_column,), blank=True))
    )
    refuse_duplicates(table, ["gene_id"], path, "gives the expression of a gene twice", "Keep one row a gene")
    return table.set_index("gene_id")["value"]
