from __future__ import annotations

import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.prepare.elements import element_table, midpoints


def regions(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["chrom", "start", "end"], index=pd.RangeIndex(1, len(rows) + 1, name="line"))


def test_long_elements_are_cut_and_keep_their_name_and_midpoint() -> None:
    given = regions(("chr2", 0, 2_001), ("chr1", 10, 2_010), ("chr1", 100, 5_100), ("chr1", 5, 6))
    table = element_table(given, "e.bed")
    assert table.to_numpy().tolist() == [
        ["chr2:0-2001", "chr2", 0, 2_000, 2_001],
        ["chr1:10-2010", "chr1", 10, 2_010, 2_000],
        ["chr1:100-5100", "chr1", 1_600, 3_600, 5_000],
        ["chr1:5-6", "chr1", 5, 6, 1],
    ]
    assert midpoints(table).tolist() == ((given["start"] + given["end"]) // 2).tolist()


def test_repeated_elements() -> None:
    given = regions(("chr1", 1, 5), ("chr1", 2, 5), ("chr1", 1, 5), ("chr1", 1, 5))
    with pytest.raises(
        InputError, match=r"e\.bed: gives an element twice \(2 affected; first: line 3: chr1 1 5\). Keep"
    ):
        element_table(given, "e.bed")
