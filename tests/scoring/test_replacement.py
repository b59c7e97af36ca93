from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.dataset.store import Dataset
from epinformer.errors import InputError
from epinformer.scoring.replacement import Silence, cut_element, element_codes, shuffled, silenced_elements


def neighbours(codes: np.ndarray) -> Counter:
    return Counter(zip(codes[:-1].tolist(), codes[1:].tolist(), strict=True))


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 10))
def test_shuffling_keeps_every_pair_of_neighbours(bases: list[int], seed: int) -> None:
    codes = np.array(bases, dtype=np.uint8)
    before = codes.copy()
    found = shuffled(codes, np.random.default_rng(seed))
    assert found.dtype == np.uint8 and len(found) == len(codes)
    assert neighbours(found) == neighbours(codes) and Counter(found.tolist()) == Counter(bases)
    assert found[:1].tolist() == codes[:1].tolist() and found[-1:].tolist() == codes[-1:].tolist()
    np.testing.assert_array_equal(codes, before)


def test_shuffles_reach_every_order_alike() -> None:
    """Of 0 1 0 2 0 1 2 0 there are several orders with the same neighbours, and each is drawn about equally often."""
    codes = np.array([0, 1, 0, 2, 0, 1, 2, 0], dtype=np.uint8)
    random = np.random.default_rng(0)
    drawn = Counter(tuple(shuffled(codes, random).tolist()) for _ in range(2_000))

    def orders(path: list[int], left: Counter) -> set[tuple[int, ...]]:
        if not +left:
            return {tuple(path)}
        every = set()
        for step in [step for step in left if step[0] == path[-1] and left[step]]:
            every |= orders([*path, step[1]], left - Counter([step]))
        return every

    possible = orders([0], neighbours(codes))
    assert set(drawn) == possible and len(possible) == 6
    assert all(2_000 / 6 * 0.7 < count < 2_000 / 6 * 1.3 for count in drawn.values())


def test_silenced(synthetic: Dataset) -> None:
    elements = np.array([3, 17, 30])
    table, codes = silenced_elements(synthetic, elements, Silence(quantile=0.3, seed=4))
    assert table.element_id.tolist() == synthetic.elements.element_id[elements].tolist()
    for name in ("dnase_rpm", "h3k27ac_rpm", "activity"):
        limit = np.quantile(synthetic.elements[name], 0.3)
        np.testing.assert_allclose(table[name], np.minimum(synthetic.elements[name][elements], limit))
    assert codes is not None
    for number, bases in zip(elements, codes, strict=True):
        assert neighbours(bases) == neighbours(element_codes(synthetic, number))
    again = silenced_elements(synthetic, elements[1:2], Silence(quantile=0.3, seed=4))[1]
    other = silenced_elements(synthetic, elements[1:2], Silence(quantile=0.3, seed=5))[1]
    assert again is not None and other is not None
    np.testing.assert_array_equal(again[0], codes[1])
    assert not np.array_equal(other[0], codes[1])


def test_silenced_without_sequence(plain: Dataset) -> None:
    table, codes = silenced_elements(plain, np.array([2]), Silence(quantile=0.0))
    assert codes is None and table.activity.tolist() == [plain.elements.activity.min()]
    assert table["length"].tolist() == [plain.elements["length"][2]]
    for quantile in (-0.1, 1.5):
        with pytest.raises(InputError, match="is no quantile"):
            silenced_elements(plain, np.array([2]), Silence(quantile=quantile))


def test_cut(synthetic: Dataset) -> None:
    number = int((synthetic.elements.sequence_length > 300).idxmax())
    row = synthetic.elements.iloc[number]
    bases = element_codes(synthetic, number)
    length = len(bases)
    inside = np.array([[row.start - 50, row.start + 100], [row.start + 150, row.start + 200], [row.end - 10, row.end]])
    found = cut_element(synthetic, number, inside)
    assert found is not None and found[1] is not None
    np.testing.assert_array_equal(found[1], np.concatenate([bases[100:150], bases[200:-10]]))
    assert (found[0].start, found[0].end) == (row.start + 100, row.end - 10)
    share = (length - 160) / length
    assert found[0].activity == pytest.approx(row.activity * share)
    assert found[0].dnase_rpm == pytest.approx(row.dnase_rpm * share)
    untouched = cut_element(synthetic, number, np.array([[row.end, row.end + 5]]))
    assert untouched is not None and untouched[0].equals(row)
    assert (
        cut_element(synthetic, number, np.array([[row.start - 1, row.start + 90], [row.start + 80, row.end]])) is None
    )


def test_cut_without_sequence(plain: Dataset) -> None:
    row = plain.elements.iloc[5]
    found = cut_element(plain, 5, np.array([[row.start + 10, row.start + 110]]))
    assert found is not None and found[1] is None
    assert (found[0].start, found[0].end, found[0]["length"]) == (row.start, row.end, row["length"] - 100)
