from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.prepare.candidates import candidate_regions, element_classes
from epinformer.prepare.steps import Filters

Interval = tuple[str, int, int]
LENGTHS = {"chr2": 60, "chr1": 45}


def regions(*rows: Interval) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["chrom", "start", "end"], index=pd.RangeIndex(1, len(rows) + 1, name="line"))
    return table.astype({"chrom": "str", "start": "int64", "end": "int64"})


def peaks(*rows: tuple[str, int, int, int]) -> pd.DataFrame:
    """Of chrom, start, end and the summit's position."""
    return regions(*(row[:3] for row in rows)).assign(summit=[row[3] for row in rows])


def rows_of(table: pd.DataFrame) -> list[Interval]:
    return [(str(chrom), int(start), int(end)) for chrom, start, end in table.to_numpy()]


def runs(covered: dict[str, list[set[int]]]) -> list[Interval]:
    """Maximal runs of gaps between bases: intervals that overlap or touch are one, which bases alone do not tell."""
    found = []
    for chrom, sets in covered.items():
        groups: list[tuple[int, int]] = []
        for start, end in sorted((min(points), max(points)) for points in sets):
            if groups and start <= groups[-1][1]:
                groups[-1] = (groups[-1][0], max(end, groups[-1][1]))
            else:
                groups.append((start, end))
        found += [(chrom, start, end) for start, end in groups]
    return found


def points(start: int, end: int) -> set[int]:
    """The boundaries of an interval: two intervals overlap or touch if they share one."""
    return set(range(start, end + 1))


def slow_candidates(
    rows: list[tuple[str, int, int, int]],
    counts: list[int],
    strongest: int,
    flank: int,
    blocklist: list[Interval],
    include: list[Interval],
) -> list[Interval]:
    """The same with sets of positions, and peaks joined by walking from one to the next."""
    order = list(LENGTHS)
    here = [(*row, count) for row, count in zip(rows, counts, strict=True) if row[0] in LENGTHS]
    joined = []
    for chrom, start, end in runs({c: [points(s, e) for k, s, e, *_ in here if k == c] for c in order}):
        members = [row for row in here if row[0] == chrom and points(*row[1:3]) & points(start, end)]
        joined.append((-max(row[4] for row in members), order.index(chrom), start, members))
    kept = [row for group in sorted(joined, key=lambda group: group[:3])[:strongest] for row in group[3]]
    around = {
        chrom: [
            points(max(0, summit - flank), min(LENGTHS[chrom], summit + flank))
            for name, _, _, summit, _ in kept
            if name == chrom
        ]
        for chrom in order
    }
    free = [
        (chrom, start, end)
        for chrom, start, end in runs(around)
        if not any(chrom == name and set(range(start, end)) & set(range(s, e)) for name, s, e in blocklist)
    ]
    cut = [(c, s, min(e, LENGTHS[c])) for c, s, e in include if c in LENGTHS and s < LENGTHS[c]]
    return runs({chrom: [points(s, e) for c, s, e in free + cut if c == chrom] for chrom in order})


@st.composite
def intervals(draw: st.DrawFn, longest: int = 12) -> Interval:
    chrom = draw(st.sampled_from(["chr1", "chr2", "chrUn"]))
    start = draw(st.integers(0, LENGTHS.get(chrom, 40) - 2))
    return chrom, start, start + draw(st.integers(1, longest))


@given(data=st.data())
def test_against_sets_of_positions(data: st.DataObject) -> None:
    found = [("chr1", 3, 9), *data.draw(st.lists(intervals(), max_size=12))]
    rows = [
        (chrom, start, end, min(data.draw(st.integers(start, end - 1)), LENGTHS.get(chrom, 99) - 1))
        for chrom, start, end in found
    ]
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    blocklist, include = (data.draw(st.lists(intervals(5), max_size=4)) for _ in range(2))
    strongest, flank = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    expected = slow_candidates(rows, counts, strongest, flank, blocklist, include)
    arguments = {"strongest": strongest, "flank": flank, "blocklist": regions(*blocklist), "include": regions(*include)}
    if not expected:
        with pytest.raises(InputError, match="the blocklist overlaps all of them"):
            candidate_regions(peaks(*rows), np.array(counts), LENGTHS, **arguments)
        return
    table = candidate_regions(peaks(*rows), np.array(counts), LENGTHS, **arguments)
    assert rows_of(table) == expected
    # The order of the peaks in their file is of no importance.
    shuffled = np.random.default_rng(len(rows)).permutation(len(rows))
    again = candidate_regions(peaks(*rows).iloc[shuffled], np.array(counts)[shuffled], LENGTHS, **arguments)
    assert rows_of(again) == expected


def test_a_peak_of_several_summits_is_kept_whole_and_a_touching_one_with_it() -> None:
    table = peaks(
        ("chr1", 1_000, 3_000, 1_100),
        ("chr1", 1_000, 3_000, 2_900),
        ("chr1", 3_000, 3_100, 3_050),
        ("chr1", 9_000, 9_100, 9_050),
        ("chr1", 100, 200, 150),
    )
    made = candidate_regions(table, np.array([1, 1, 9, 5, 5]), {"chr1": 9_200}, strongest=2)
    # Of the two with 5 reads the first on the chromosome; 150 - 250 is cut at the chromosome's start.
    assert rows_of(made) == [("chr1", 0, 400), ("chr1", 850, 1_350), ("chr1", 2_650, 3_300)]
    made = candidate_regions(table, np.array([1, 1, 9, 5, 4]), {"chr1": 9_200}, strongest=2)
    assert rows_of(made)[-1] == ("chr1", 8_800, 9_200)


def test_the_blocklist_spares_what_is_included() -> None:
    table = peaks(("chr1", 10, 20, 15), ("chr1", 40, 44, 42))
    made = candidate_regions(
        table, np.ones(2), LENGTHS, flank=5, blocklist=regions(("chr1", 19, 30)), include=regions(("chr1", 12, 24))
    )
    assert rows_of(made) == [("chr1", 12, 24), ("chr1", 37, 45)]
    # A base beyond the summit's flank, a blocked interval does no harm.
    made = candidate_regions(table, np.ones(2), LENGTHS, flank=5, blocklist=regions(("chr1", 20, 37)))
    assert rows_of(made) == [("chr1", 10, 20), ("chr1", 37, 45)]


def test_without_lengths_every_chromosome_counts_in_the_order_of_the_peaks() -> None:
    table = peaks(("b", 5, 9, 7), ("a", 2_147_483_000, 2_147_483_600, 2_147_483_500))
    made = candidate_regions(table, np.ones(2), None, include=regions(("c", 1, 2)))
    assert rows_of(made) == [("b", 0, 257), ("a", 2_147_483_250, 2_147_483_647), ("c", 1, 2)]


def test_what_is_dropped_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    table = peaks(("chr1", 10, 20, 15), ("chrUn", 10, 20, 15), ("chr1", 30, 35, 31), ("chr2", 30, 35, 31))
    filters = Filters()
    with caplog.at_level(logging.INFO):
        candidate_regions(
            table,
            np.array([3, 9, 2, 1]),
            LENGTHS,
            strongest=2,
            flank=3,
            blocklist=regions(("chr1", 12, 13)),
            include=regions(("chrUn", 1, 2), ("chr2", 60, 70), ("chr2", 1, 70)),
            filters=filters,
        )
    assert [(step.table, step.before, step.after) for step in filters.steps] == [
        ("peaks", 4, 3),
        ("merged peaks", 3, 2),
        ("regions around summits", 2, 1),
        ("included regions", 3, 1),
    ]
    assert "kept 2 of 3 merged peaks: 1 beyond the strongest 2" in caplog.text


def test_peaks_of_another_assembly() -> None:
    table = peaks(("1", 10, 20, 15))
    with pytest.raises(
        InputError, match=r"p\.bed: has no peak on a chromosome .* \(1 affected; first: 1\)\. Use peaks"
    ):
        candidate_regions(table, np.ones(1), LENGTHS, path="p.bed")
    table = peaks(("chr1", 40, 50, 41), ("chr1", 45, 50, 46))
    with pytest.raises(InputError, match=r"beyond the ends .* \(1 affected; first: line 2: chr1 45 50\)"):
        candidate_regions(table, np.ones(2), LENGTHS, path="p.bed")
    with pytest.raises(InputError, match="has no peak"):
        candidate_regions(table.iloc[:0], np.zeros(0), LENGTHS)


@given(
    elements=st.lists(intervals(), min_size=1, max_size=8),
    promoters=st.lists(intervals(), max_size=4),
    bodies=st.lists(intervals(), max_size=4),
)
def test_classes_against_sets_of_bases(
    elements: list[Interval], promoters: list[Interval], bodies: list[Interval]
) -> None:
    def shares(row: Interval, others: list[Interval]) -> bool:
        return any(row[0] == name and set(range(*row[1:])) & set(range(s, e)) for name, s, e in others)

    expected = [
        "promoter" if shares(row, promoters) else "genic" if shares(row, bodies) else "intergenic" for row in elements
    ]
    assert element_classes(regions(*elements), regions(*promoters), regions(*bodies)).tolist() == expected
