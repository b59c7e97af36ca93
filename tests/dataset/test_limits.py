from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from epinformer.dataset.limits import PairLimits, limited
from epinformer.dataset.store import Dataset


@given(
    st.lists(st.lists(st.integers(-9, 9), max_size=6), min_size=1, max_size=5),
    st.one_of(st.none(), st.integers(0, 5)),
    st.one_of(st.none(), st.integers(4, 9)),
    st.one_of(st.none(), st.integers(1, 4)),
)
def test_against_a_loop(synthetic: Dataset, genes: list[list[int]], low: int, high: int, most: int) -> None:
    ordered = [sorted(distances, key=abs) for distances in genes]
    rows = [(gene, distance) for gene, distances in enumerate(ordered) for distance in distances]
    pairs = pd.DataFrame(rows, columns=["gene_index", "distance"], dtype="int32")
    dataset = dataclasses.replace(synthetic, pairs=pairs)
    found = limited(dataset, PairLimits(low, high, most)).pairs
    expected = []
    for gene, distances in enumerate(ordered):
        inside = [d for d in distances if (low is None or abs(d) > low) and (high is None or abs(d) <= high)]
        expected += [(gene, d) for d in inside[:most]]
    assert list(found.itertuples(index=False, name=None)) == expected


def test_nothing_to_leave_out_costs_nothing(synthetic: Dataset) -> None:
    assert limited(synthetic, PairLimits()) is synthetic
    few = limited(synthetic, PairLimits(max_elements=2))
    assert np.diff(few.pair_offsets).max() == 2 and few.n_elements == synthetic.n_elements
