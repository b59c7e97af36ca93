"""Overlaps of intervals and regions, against every pair of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs.counting import Overlaps, Workers

intervals = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(-9, 40), st.integers(1, 25)).map(
        lambda row: (row[0], row[1], row[1] + row[2])
    ),
    max_size=25,
)


@given(intervals, intervals, st.integers(1, 7))
def test_any_intervals(rows: list[tuple[str, int, int]], reads: list[tuple[str, int, int]], part: int) -> None:
    overlaps = Overlaps(pd.DataFrame(rows, columns=["chrom", "start", "end"]))
    for first in range(0, len(reads), part):
        for chrom in overlaps.chroms:
            here = [read[1:] for read in reads[first : first + part] if read[0] == chrom]
            start, end = np.array(here, dtype=np.int64).reshape(-1, 2).T
            overlaps.add(chrom, start, end)
    assert overlaps.counts().tolist() == [
        sum(own == chrom and start < last and end > first for own, start, end in reads) for chrom, first, last in rows
    ]
    assert {chrom: overlaps.on(chrom) for chrom in overlaps.chroms} == {
        chrom: sum(row[0] == chrom for row in rows) for chrom in dict.fromkeys(row[0] for row in rows)
    }


def test_from_several_threads() -> None:
    overlaps = Overlaps(pd.DataFrame({"chrom": ["a"] * 3, "start": [0, 5, 50], "end": [10, 60, 60]}))
    start = np.arange(60)

    def add() -> None:
        for _ in range(200):
            overlaps.add("a", start, start + 1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps.counts().tolist() == [8_000, 44_000, 8_000]


def test_empty_regions_are_refused() -> None:
    table = pd.DataFrame({"chrom": ["a", "b", "b"], "start": [0, 5, 9], "end": [1, 5, 8]})
    with pytest.raises(InputError, match=r"starts are not below their ends .*\(2 affected; first: b:5-5\)"):
        Overlaps(table)


def test_results_come_in_order_and_few_are_waiting() -> None:
    given_out = 0

    def items() -> Iterator[int]:
        nonlocal given_out
        for item in range(50):
            given_out += 1
            yield item

    def slow(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item

    with Workers(3) as workers:
        for number, result in enumerate(workers.ahead(slow, items())):
            assert result == number
            assert given_out <= number + 5


def test_an_error_ends_the_threads() -> None:
    before = threading.active_count()

    def fail(item: int) -> int:
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"), Workers(2) as workers:
        list(workers.ahead(fail, range(9)))
    assert threading.active_count() == before
