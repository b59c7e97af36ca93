from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from epinformer.interpretation.enrichment import enrichment

COLUMNS = ["id", "name", "first", "second", "odds_ratio", "log2_odds_ratio", "p", "q"]


def hits(rows: dict[str, list[int]]) -> pd.DataFrame:
    """Hits of motifs in rows; the name is the identifier in lower case, without its version."""
    flat = [(row, motif, motif.lower().partition(".")[0]) for motif, of in rows.items() for row in of]
    return pd.DataFrame(flat, columns=["row", "id", "name"]).astype({"row": "int64", "id": "str", "name": "str"})


def fisher(a: int, n: int, c: int, m: int) -> float:
    """Two-sided exact test by counting: all tables of these margins that are as improbable as this one, or more."""
    ways = [math.comb(n, x) * math.comb(m, a + c - x) for x in range(a + c + 1)]
    return sum(way for way in ways if way <= ways[a]) / sum(ways)


def test_counts_ratios_and_p_values() -> None:
    first = hits({"A.1": [0, 1, 2, 3, 3, 3], "B.1": [4], "D.2": [0, 5, 6]})
    second = hits({"A.1": [0], "C.1": [1, 2, 2], "D.2": [1, 2, 3, 4, 5, 6, 7, 8, 9]})
    table = enrichment(first, 8, second, 10).set_index("id")
    counts = {"A.1": (4, 1), "B.1": (1, 0), "C.1": (0, 2), "D.2": (3, 9)}
    assert table["name"].to_dict() == {"A.1": "a", "B.1": "b", "C.1": "c", "D.2": "d"}
    for motif, (a, c) in counts.items():
        row = table.loc[motif]
        assert (row["first"], row["second"]) == (a, c)
        assert row["p"] == pytest.approx(fisher(a, 8, c, 10), rel=1e-9)
        haldane = (a + 0.5) * (10 - c + 0.5) / ((8 - a + 0.5) * (c + 0.5))
        assert row["log2_odds_ratio"] == pytest.approx(math.log2(haldane))
    assert table["odds_ratio"].to_dict() == {
        "A.1": pytest.approx(4 * 9 / (4 * 1)),
        "B.1": math.inf,
        "C.1": 0.0,
        "D.2": pytest.approx(3 * 1 / (5 * 9)),
    }
    # Benjamini and Hochberg over the four, by hand.
    p = np.sort(table["p"].to_numpy())
    q = [min(p[j] * 4 / (j + 1) for j in range(i, 4)) for i in range(4)]
    np.testing.assert_allclose(table["q"], q)
    assert table.index[0] == "D.2" and table["q"].is_monotonic_increasing


def test_sets_without_hits_or_without_sequences() -> None:
    some, none = hits({"A.1": [0, 1], "B.1": [0, 1, 2]}), hits({})
    dtypes = enrichment(some, 3, some, 3).dtypes.to_dict()
    for table, rows in (
        (enrichment(none, 5, none, 0), 0),
        (enrichment(some, 3, none, 0), 2),
        (enrichment(none, 0, some, 3), 2),
        (enrichment(none, 4, some, 3), 2),
    ):
        assert table.columns.tolist() == COLUMNS and table.dtypes.to_dict() == dtypes
        assert len(table) == rows and not table.drop(columns="odds_ratio").isna().any(axis=None)
    # Nothing can be said without sequences.
    empty = enrichment(some, 3, none, 0)
    assert empty["p"].tolist() == [1, 1] and empty["odds_ratio"].isna().all()
    # All against none of four and three: 1 of C(7, 3) tables.
    assert enrichment(none, 4, some, 3).set_index("id").loc["B.1", "p"] == pytest.approx(1 / 35)
    # The same set twice: as likely.
    same = enrichment(some, 4, some, 4)
    assert (
        same["p"].tolist() == [1, 1] and same["odds_ratio"].tolist() == [1, 1] and same["id"].tolist() == ["A.1", "B.1"]
    )


def test_more_rows_than_sequences() -> None:
    with pytest.raises(ValueError, match="3 sequences have hits, and there are 2"):
        enrichment(hits({"A.1": [0, 1, 9]}), 2, hits({}), 1)
