from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from epinformer.errors import OutputError
from epinformer.report.tables import write_table


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
