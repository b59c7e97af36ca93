from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from epinformer.prepare.candidates import overlapping
from epinformer.prepare.overlaps import Intervals

PLACES = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "chr3"]), st.integers(0, 60), st.integers(1, 40)), max_size=20
)


def table(places: list[tuple[str, int, int]]) -> pd.DataFrame:
    rows = [(chrom, start, start + length) for chrom, start, length in places]
    return pd.DataFrame(rows, columns=["chrom", "start", "end"]).astype({"start": int, "end": int})


@given(PLACES, PLACES)
def test_against_every_pair(regions: list[tuple[str, int, int]], intervals: list[tuple[str, int, int]]) -> None:
    one, other = table(regions), table(intervals)
    expected = {
        (i, j)
        for i, a in enumerate(one.itertuples())
        for j, b in enumerate(other.itertuples())
        if a.chrom == b.chrom and a.start < b.end and b.start < a.end
    }
    found = list(zip(*(rows.tolist() for rows in Intervals(other).overlapping(one)), strict=True))
    assert len(found) == len(set(found)) and set(found) == expected
    assert overlapping(one, other).tolist() == [any(i == row for i, _ in expected) for row in range(len(one))]
