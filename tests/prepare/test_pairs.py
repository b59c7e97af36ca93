from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.prepare import pairs as module
from epinformer.prepare.pairs import FARTHEST_TSS, make_pairs, neighbours, other_tss_distances


def frames(
    genes: list[tuple[str, int, str]], elements: list[tuple[str, int, int]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    return (
        pd.DataFrame(genes, columns=["chrom", "tss", "strand"]).astype({"tss": "int64"}),
        pd.DataFrame(elements, columns=["chrom", "start", "end"]).astype({"start": "int64", "end": "int64"}),
    )


def brute_force(genes, elements, low, high, most) -> list[tuple[int, int, int]]:
    """Every gene against every element, sorted and cut one by one."""
    rows = []
    for g, (chrom, tss, strand) in enumerate(genes):
        found = []
        for e, (other, start, end) in enumerate(elements):
            offset = (start + end) // 2 - tss
            if other == chrom and (low is None or abs(offset) > low) and abs(offset) <= high:
                found.append((abs(offset), e, offset if strand == "+" else -offset))
        found.sort()
        rows += [(g, e, signed) for _, e, signed in found[:most]]
    return rows


chromosomes = st.sampled_from(["chr1", "chr2", "chrX"])
# A small range of positions, so that ties, limits met exactly and shared positions are common.
gene_lists = st.lists(st.tuples(chromosomes, st.integers(0, 60), st.sampled_from("+-")), min_size=1, max_size=12)
element_lists = st.lists(
    st.tuples(chromosomes, st.integers(0, 60), st.integers(1, 9)).map(lambda e: (e[0], e[1], e[1] + e[2])),
    min_size=1,
    max_size=30,
)


@given(
    gene_lists,
    element_lists,
    st.none() | st.integers(0, 10),
    st.integers(11, 40),
    st.none() | st.integers(1, 6),
    st.integers(1, 50),
)
def test_equals_brute_force(genes, elements, low, high, most, chunk) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_PAIRS", chunk)
        made = make_pairs(*frames(genes, elements), min_distance=low, max_distance=high, max_elements=most)
    assert list(made.table.itertuples(index=False, name=None)) == brute_force(genes, elements, low, high, most)
    everything = brute_force(genes, elements, low, high, None)
    assert made.in_range == len(everything)
    counts = np.bincount([row[0] for row in everything], minlength=len(genes))
    assert made.genes_capped == (0 if most is None else (counts > most).sum())
    assert (made.table.dtypes == np.int32).all()


def test_limits_are_open_below_and_closed_above() -> None:
    genes, elements = frames(
        [("chr1", 200_000, "+")],
        [("chr1", m, m + 1) for m in (99_999, 100_000, 199_000, 198_999, 201_000, 201_001, 300_000, 300_001)],
    )
    made = make_pairs(genes, elements)
    assert made.table["element_index"].tolist() == [3, 5, 1, 6]
    assert made.table["distance"].tolist() == [-1_001, 1_001, -100_000, 100_000]


def test_distance_is_positive_downstream_on_both_strands() -> None:
    genes, elements = frames([("chr1", 5_000, "+"), ("chr1", 5_000, "-")], [("chr1", 7_000, 7_001)])
    assert make_pairs(genes, elements).table["distance"].tolist() == [2_000, -2_000]


def test_ties_go_by_element_order() -> None:
    genes, elements = frames(
        [("chr1", 50_000, "+")], [("chr1", 52_000, 52_001), ("chr1", 48_000, 48_001), ("chr1", 52_000, 52_001)]
    )
    assert make_pairs(genes, elements, max_elements=2).table["element_index"].tolist() == [0, 1]


def test_no_pairs_at_all() -> None:
    made = make_pairs(*frames([("chr1", 5, "+")], [("chr2", 5, 6)]))
    assert len(made.table) == 0 and made.in_range == 0
    assert (made.table.dtypes == np.int32).all()


def test_tables_may_carry_any_index() -> None:
    genes, elements = frames([("chr1", 5_000, "+"), ("chr1", 5_000, "-")], [("chr1", 7_000, 7_001)])
    plain = make_pairs(genes, elements).table
    genes.index, elements.index = [7, 3], [9]
    pd.testing.assert_frame_equal(make_pairs(genes, elements).table, plain)


def test_chunks_bound_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_PAIRS", 100)
    genes, elements = frames([("chr1", 500, "+")] * 40, [("chr1", i, i + 1) for i in range(30)])
    sizes = [len(gene) for gene, _, _ in neighbours(genes, elements, 10_000)]
    assert sum(sizes) == 1200 and max(sizes) <= 100


@given(gene_lists, element_lists, gene_lists)
def test_the_nearest_tss_of_another_gene(genes, elements, others) -> None:
    gene_table, element_table = frames(genes, elements)
    known = frames(genes + others, elements)[0]
    pairs = make_pairs(gene_table, element_table, min_distance=None, max_distance=30, max_elements=None).table
    found = other_tss_distances(pairs, gene_table, element_table, known)
    assert found.dtype == np.int32
    expected = []
    for row in pairs.itertuples():
        (chrom, own, _), (_, start, end) = genes[row.gene_index], elements[row.element_index]
        positions = [tss for other, tss, _ in genes + others if other == chrom and tss != own]
        expected.append(min([abs(tss - (start + end) // 2) for tss in positions] + [FARTHEST_TSS]))
    assert found.tolist() == expected
