from __future__ import annotations

import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.inputs.gene_names import bare_ids, named_genes


def test_only_versions_of_ensembl_ids_are_taken_off() -> None:
    ids = pd.Series(["ENSG00000105610.6", "ENSMUSG01.12", "ENSG01", "AC004.1", "ENSG01.6_PAR_Y", None], dtype="str")
    assert bare_ids(ids).iloc[:5].tolist() == ["ENSG00000105610", "ENSMUSG01", "ENSG01", "AC004.1", "ENSG01.6_PAR_Y"]
    assert bare_ids(ids).isna().tolist() == [False] * 5 + [True]


def test_blanks_are_missing_and_columns_of_blanks_go() -> None:
    table = pd.DataFrame({"gene_id": ["NA", "nan", ""], "gene_name": ["A", "B", "C"]})
    assert list(named_genes(table, "t")) == ["gene_name"]
    named = named_genes(table.assign(gene_id=["E1", "NA", "E3"]), "t")
    assert named["gene_id"].isna().tolist() == [False, True, False]
    assert table["gene_id"].tolist() == ["NA", "nan", ""]


def test_a_row_without_a_gene_is_refused() -> None:
    with pytest.raises(InputError, match="t: does not say which gene.*1 affected"):
        named_genes(pd.DataFrame({"gene_id": ["E1", ""], "gene_name": ["A", "."]}), "t")
    with pytest.raises(InputError, match="2 affected"):
        named_genes(pd.DataFrame({"start": [1, 2]}), "t")
