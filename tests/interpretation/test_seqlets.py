from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import EpinformerError
from epinformer.interpretation.attribution_file import bases_of
from epinformer.interpretation.seqlets import call_seqlets, end_to_end
from tests.planted_world import noise, world


def test_rows_of_one_length_are_the_tracks() -> None:
    actual = np.arange(12.0).reshape(3, 4)
    tracks = end_to_end(actual, np.array([4, 4, 4]))
    np.testing.assert_array_equal(tracks.values, actual)


def test_every_base_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epinformer.interpretation.seqlets._WIDTH", 13)
    rng = np.random.default_rng(0)
    lengths = np.array([5, 9, 1, 0, 7, 3])
    actual = np.where(np.arange(9) < lengths[:, None], rng.normal(size=(6, 9)), 0.0)
    tracks = end_to_end(actual, lengths)
    # 25 bases in two tracks, and one zero behind them.
    assert tracks.values.shape == (2, 13)
    track, start = np.divmod(np.arange(25), 13)
    row, first, last = tracks.place(track, start, start + 1)
    np.testing.assert_array_equal(row, np.repeat(np.arange(6), lengths))
    np.testing.assert_array_equal(actual[row, first], tracks.values.ravel()[:25])
    np.testing.assert_array_equal(last - first, 1)


def test_planted_motifs_are_called_with_their_sign() -> None:
    planted = world()
    found = call_seqlets(planted.attributions.actual, bases_of(planted.attributions.codes))
    assert found.equals(found.sort_values(["row", "start", "end"], ignore_index=True))
    assert (found["p"] < 0.01).all() and (np.sign(found["attribution"]) == found["sign"]).all()
    both = planted.sites.merge(found, on=["row", "sign"], suffixes=("", "_called"))
    shared = np.minimum(both["end"], both["end_called"]) - np.maximum(both["start"], both["start_called"])
    whole = shared >= both["end"] - both["start"] - 3
    assert whole.sum() > 0.95 * len(planted.sites) and len(found) < 1.05 * len(planted.sites)
    for row, start, end, _, attribution, _ in found.itertuples(index=False):
        assert attribution == pytest.approx(planted.attributions.actual[row, start:end].sum(), rel=1e-4)


def test_padding_changes_no_seqlet() -> None:
    actual = noise().actual
    expected = call_seqlets(actual)
    assert len(expected) > 100
    wider = np.pad(actual, ((0, 0), (0, 400)))
    found = call_seqlets(wider, np.full(len(actual), actual.shape[1]))
    # Those at the ends of rows may differ, where the next row follows.
    keys = ["row", "start", "end", "sign"]
    same = expected.merge(found, on=keys)
    assert len(same) > 0.95 * max(len(expected), len(found))
    assert np.isclose(same["p_x"], same["p_y"], rtol=1e-6, atol=0).mean() > 0.95


@pytest.mark.parametrize("value", [0.0, 0.7, -2.0])
def test_attributions_that_are_all_the_same_have_no_seqlets(value: float) -> None:
    found = call_seqlets(np.full((5, 50), value, dtype=np.float32))
    assert len(found) == 0 and found.columns.tolist() == ["row", "start", "end", "sign", "attribution", "p"]


def test_no_base_at_all_has_no_seqlets() -> None:
    assert len(call_seqlets(np.zeros((2, 50)), np.zeros(2, dtype=np.int64))) == 0


class Called:
    """Seqlets that are called by hand: of the attributions, and of the negated ones."""

    positive = ((0, 2, 8), (0, 9, 14), (1, 8, 13))
    negative = ((0, 8, 9), (0, 12, 14), (1, 0, 4), (1, 9, 13))

    def recursive_seqlets(self, values: np.ndarray, *, threshold: float) -> pd.DataFrame:
        places = self.positive if values[0, 0] > 0 else self.negative
        table = pd.DataFrame(list(places), columns=["example_idx", "start", "end"])
        return table.assign(**{"p-value": np.arange(len(places)) / 1000})


def test_seqlets_are_cut_at_the_ends_of_rows_and_negative_ones_that_overlap_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("epinformer.interpretation.seqlets.needed", lambda *_: Called())
    monkeypatch.setattr("epinformer.interpretation.seqlets._WIDTH", 14)
    # In tracks of 14 bases the rows begin at 0 and 10 of the first, and at 10 of the second.
    found = call_seqlets(np.tile(np.arange(1.0, 15.0), (3, 1)), np.array([10, 14, 4]))
    positive = found[found["sign"] == 1]
    assert positive[["row", "start", "end"]].to_numpy().tolist() == [[0, 2, 8], [1, 0, 4], [2, 0, 3]]
    assert positive["attribution"].tolist() == [3 + 4 + 5 + 6 + 7 + 8, 1 + 2 + 3 + 4, 1 + 2 + 3]
    assert positive["p"].tolist() == [0.0, 0.001, 0.002]
    # Beside a positive one; in one; alone; in one.
    negative = found[found["sign"] == -1]
    assert negative[["row", "start", "end"]].to_numpy().tolist() == [[0, 8, 9], [1, 4, 8]]
    assert negative["p"].tolist() == [0.0, 0.002]


@pytest.mark.parametrize("threshold", [0.0, 1.0, float("nan")])
def test_a_threshold_that_is_no_p_value_is_an_error(threshold: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        call_seqlets(np.ones((1, 50)), threshold=threshold)


def test_attributions_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ValueError, match="not finite"):
        call_seqlets(np.full((1, 50), np.nan))


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tangermeme.seqlet", None)
    with pytest.raises(EpinformerError, match=r"epinformer\[interpret\]"):
        call_seqlets(np.ones((1, 50)))
