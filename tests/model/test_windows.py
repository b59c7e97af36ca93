from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from epinformer.bases import NO_BASE
from epinformer.model.windows import CODES, STRIDE, kept_positions, lay_out, runs

lengths_of_sequences = st.lists(st.integers(0, 2000), max_size=12)


def random_codes(lengths: list[int]) -> torch.Tensor:
    rng = np.random.default_rng(sum(lengths))
    return torch.from_numpy(rng.integers(0, 5, sum(lengths), dtype=np.uint8))


@given(lengths_of_sequences)
def test_every_position_that_a_base_can_change_is_kept_once(lengths: list[int]) -> None:
    windows = lay_out(random_codes(lengths), torch.tensor(lengths, dtype=torch.int64), 2000, 8)
    sequence, position, source = kept_positions(windows.first, windows.size, 125)
    kept = {i: set(position[sequence == i].tolist()) for i in range(len(lengths) + 1)}
    assert sum(map(len, kept.values())) == len(sequence)
    for i, length in enumerate(lengths):
        start = 1000 - length // 2
        # The design's geometry, clipped to the sequence.
        needed = range(max((start - 20) // 16, 0), min(-((start + length + 20) // -16), 125)) if length else range(0)
        assert set(needed) <= kept[i]
        assert len(kept[i]) <= len(needed) + 2
    assert kept[len(lengths)] == set(range(125))
    offset = windows.offset[sequence]
    assert torch.equal(source, offset + position - windows.first[sequence])


@given(lengths_of_sequences, st.sampled_from([1, 5, 8]))
def test_kmers_are_those_of_the_centred_sequences(lengths: list[int], kernel: int) -> None:
    codes = random_codes(lengths)
    windows = lay_out(codes, torch.tensor(lengths, dtype=torch.int64), 2000, kernel)
    kmers = windows.distinct[windows.kmers.long()].numpy()
    assert kmers[0] == kmers[-1] == 0
    assert len(torch.unique(windows.distinct)) == len(windows.distinct)
    row = kmers[1:-1].reshape(-1, STRIDE)
    left = (kernel - 1) // 2
    taken = 0
    for i, length in enumerate([*lengths, 0]):
        padded = np.full(2000 + kernel, NO_BASE)
        start = 1000 - length // 2
        padded[left + start : left + start + length] = codes[taken : taken + length]
        taken += length
        digits = np.lib.stride_tricks.sliding_window_view(padded, kernel)[:2000]
        expected = 1 + digits @ CODES ** np.arange(kernel - 1, -1, -1)
        begin, size, first = (int(values[i]) for values in (windows.offset, windows.size, windows.first))
        assert np.array_equal(row[begin : begin + size].ravel(), expected[first * 16 : (first + size) * 16])
        assert (row[begin + size] == 0).all(), "the position after a window is a separator"


@given(st.lists(st.integers(1, 126), min_size=1, max_size=40), st.integers(1, 5000))
def test_runs_cover_all_windows_in_order(steps: list[int], bases: int) -> None:
    offset = [0, *np.cumsum(steps).tolist()]
    found = runs(offset, bases)
    assert [index for run in found for index in range(*run)] == list(range(len(steps)))
    assert all((offset[end] - offset[begin]) * 16 < bases + 126 * 16 for begin, end in found)


def test_runs_of_nothing() -> None:
    assert runs([0], 100) == []
