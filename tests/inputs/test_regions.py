from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs.regions import aligned_counts, read_counts, read_regions


def write(folder: Path, text: str) -> Path:
    path = folder / "r.bed"
    path.write_text(text)
    return path


def test_regions(tmp_path: Path) -> None:
    table = read_regions(write(tmp_path, "chr2\t5\t9\tname\t0\nchr1\t0\t1\tother\t0\n"))
    assert table.to_dict("list") == {"chrom": ["chr2", "chr1"], "start": [5, 0], "end": [9, 1]}


@pytest.mark.parametrize("row", ["chr1\t5\t9\t7.5", "chr1 5 9 7.5", "chr1\t5\t9\tname\t0\t+\t7.5"])
def test_the_count_is_the_last_column(tmp_path: Path, row: str) -> None:
    table = read_counts(write(tmp_path, row + "\n"))
    assert table.to_dict("list") == {"chrom": ["chr1"], "start": [5], "end": [9], "count": [7.5]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "c\t5\t5\t1",
            r"r\.bed: has starts that are not below ends \(2 affected; first: line 2: c 5 5 1\.0\)\. Intervals",
        ),
        ("c\t6\t5\t1", r"has starts that are not below ends \(2 affected; first: line 2: c 6 5 1\.0\)"),
        ("c\t-1\t5\t1", r"r\.bed: has negative starts \(2 affected; first: line 2: c -1 5 1\.0\)\. Coordinates"),
        ("c\t1\t2147483648\t1", r"r\.bed: has ends beyond any chromosome \(2 affected; first: line 2: c 1 2147483648"),
        ("c\t1\t5\t-1", r"r\.bed: has negative counts \(2 affected; first: line 2: c 1 5 -1\.0\)\. Give reads"),
        ("c\t1\t5\tnan", r"column count holds .* finite number \(2 affected; first: line 2: 'nan'\)"),
        ("c\t1\t5\tinf", r"column count holds .* finite number \(2 affected; first: line 2: 'inf'\)"),
    ],
)
def test_bad_counts(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_counts(write(tmp_path, f"c\t1\t2\t3\n{row}\n{row}\n"))


def test_regions_without_counts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows of 3 columns and needs 4 \(1 affected; .*end \(3\), count \(last\)"):
        read_counts(write(tmp_path, "c\t1\t2\n"))


def frame(rows: list[tuple[str, int, int]], counts: np.ndarray | None = None) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["chrom", "start", "end"], index=pd.RangeIndex(1, len(rows) + 1, name="line"))
    return table if counts is None else table.assign(count=counts)


intervals = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5), st.integers(6, 9))


@given(
    st.lists(intervals, min_size=1, max_size=30, unique=True).flatmap(
        lambda r: st.tuples(st.just(r), st.permutations(r))
    )
)
def test_any_order_is_aligned(orders: tuple[list[tuple[str, int, int]], list[tuple[str, int, int]]]) -> None:
    regions, shuffled = orders
    counts = np.arange(len(shuffled), dtype=float)
    expected = [counts[shuffled.index(row)] for row in regions]
    assert aligned_counts(frame(shuffled, counts), frame(regions), "c", "r").tolist() == expected


def test_repeated_intervals_are_aligned() -> None:
    regions = [("a", 1, 2), ("a", 1, 2), ("b", 1, 2)]
    counts = frame([("b", 1, 2), ("a", 1, 2), ("a", 1, 2)], np.array([9.0, 7.0, 7.0]))
    assert aligned_counts(counts, frame(regions), "c", "r").tolist() == [7, 7, 9]
    with pytest.raises(InputError, match=r"1 missing, 0 of its own \(1 affected; first: a:1-2 is missing\)"):
        aligned_counts(counts.iloc[:2], frame(regions), "c", "r")


def test_other_rows_are_counted() -> None:
    regions = frame([("a", 1, 2), ("a", 2, 3), ("a", 3, 4)])
    counts = frame([("a", 3, 4), ("x", 1, 2), ("a", 9, 10), ("a", 8, 9)], np.ones(4))
    with pytest.raises(InputError) as caught:
        aligned_counts(counts, regions, "counts.bed", "folder/regions.bed")
    assert str(caught.value) == (
        "counts.bed: has other rows than regions.bed: 2 missing, 3 of its own (5 affected; first: a:1-2 is missing and "
        "x:1-2 on line 2 is not among them). Count every file over the same regions."
    )
