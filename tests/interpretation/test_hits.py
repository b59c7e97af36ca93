from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from epinformer.errors import EpinformerError, InputError
from epinformer.inputs.motifs import Motif
from epinformer.interpretation import hits as module
from epinformer.interpretation.hits import find_hits

COLUMNS = ["row", "start", "end", "strand", "motif", "id", "name", "score", "p", "q"]
KEY = ["row", "start", "end", "strand", "motif"]


def columns(motif: Motif) -> list[list[int]]:
    """What each base adds at each position, in tenths of bits, position by position."""
    return [[round(10 * math.log2((f + 1e-4) / 0.25)) for f in position] for position in motif.frequencies.T]


def all_scores(motif: Motif) -> np.ndarray:
    """Scores of all words of the motif's width."""
    return np.sort([sum(word) for word in itertools.product(*columns(motif))])


def every_window(codes: np.ndarray, motifs: list[Motif], within: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each window on both strands with its score and p value, one base after the other, words being enumerated."""
    found = []
    near: dict[int, list[set[int]]] = {row: [] for row in range(len(codes))}
    for row, start, end in () if within is None else within[["row", "start", "end"]].to_numpy():
        near[row].append({*range(start, end)})
    for number, motif in enumerate(motifs):
        added, scores = columns(motif), all_scores(motif)
        width = len(added)
        for row in range(len(codes)):
            for start in range(codes.shape[1] - width + 1):
                word = codes[row, start : start + width].tolist()
                if max(word) > 3:
                    continue
                if within is not None:
                    inside = [len({*range(start, start + width)} & bases) for bases in near[row]]
                    if not any(2 * bases >= width for bases in inside):
                        continue
                for strand, letters in (("+", word), ("-", [3 - base for base in reversed(word)])):
                    score = sum(added[at][base] for at, base in enumerate(letters))
                    p = 1 - np.searchsorted(scores, score) / len(scores)
                    found.append((row, start, start + width, strand, number, score / 10, p))
    return pd.DataFrame(found, columns=[*KEY, "score", "p"])


def expected_hits(windows: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """The hits among all windows, with q values after scipy on all of them, those that are no hits being 1."""
    known = windows["p"].where(windows["p"] < threshold, 1.0)
    q = known.groupby(windows["motif"]).transform(lambda p: false_discovery_control(p.to_numpy()))
    table = windows.assign(q=q)[windows["p"] < threshold]
    return table.sort_values(["row", "start", "motif", "strand"], ignore_index=True)


@pytest.fixture(scope="module")
def motifs() -> list[Motif]:
    """Strong, weak, flat, a palindrome, and one wider than the sequences; two share their name."""
    rng = np.random.default_rng(5)
    strong = rng.dirichlet([0.1] * 4, 6).T
    weak = rng.dirichlet([3.0] * 4, 5).T
    flat = np.full((4, 3), 0.25)
    palindrome = np.eye(4)[[0, 1, 2, 3]].T
    wide = rng.dirichlet([0.5] * 4, 40).T
    matrices = [strong, weak, flat, palindrome, wide]
    return [Motif(f"M{i}.1", "same" if i < 2 else f"n{i}", matrix) for i, matrix in enumerate(matrices)]


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    """Rows of 30 bases with N inside and no base at the end; one of N only."""
    rng = np.random.default_rng(11)
    codes = rng.integers(0, 4, (25, 30)).astype(np.uint8)
    codes[rng.random(codes.shape) < 0.04] = 4
    for row in range(1, 25, 3):
        codes[row, 30 - row :] = 5
    codes[7] = 4
    return codes


# Half of all windows are hits of the second, most of them with scores below 0.
@pytest.mark.parametrize("threshold", [0.02, 0.5])
def test_hits_are_those_of_counting(codes: np.ndarray, motifs: list[Motif], threshold: float) -> None:
    table = find_hits(codes, motifs, threshold=threshold)
    windows = every_window(codes, motifs[:4])
    expected = expected_hits(windows, threshold)
    assert table.columns.tolist() == COLUMNS
    assert {0, 1} <= set(expected["motif"]) and set(expected["strand"]) == {"+", "-"}
    pd.testing.assert_frame_equal(table[[*KEY, "score", "p", "q"]], expected, rtol=1e-10, check_dtype=False)
    assert table["id"].tolist() == [motifs[motif].id for motif in table["motif"]]
    assert table["name"].tolist() == [motifs[motif].name for motif in table["motif"]]
    # Not smaller than with all p values, which are not known above the threshold.
    for motif, hits in table.groupby("motif"):
        all_p = windows.loc[windows["motif"] == motif, "p"].to_numpy()
        exact = false_discovery_control(all_p)[all_p < threshold]
        assert (np.sort(hits["q"]) >= np.sort(exact) * (1 - 1e-9)).all()
    if threshold == 0.5:
        assert table["score"].min() < 0


def test_both_strands_by_hand() -> None:
    # AACGT on + at 3, and its reverse complement ACGTT at 12; N inside a third one.
    motif = Motif("M1.1", "five", np.eye(4)[[0, 0, 1, 2, 3]].T)
    text = "CCCAACGTCCCCACGTTCCCAANGTC"
    codes = np.array([["ACGTN".index(base) for base in text]], dtype=np.uint8)
    table = find_hits(codes, [motif], threshold=0.002)
    assert table[["start", "end", "strand"]].to_numpy().tolist() == [[3, 8, "+"], [12, 17, "-"]]
    assert (table["p"] == 4.0**-5).all() and (table["score"] == 10.0).all()
    # Windows without N on both strands: 18 and none after it.
    assert table["q"].tolist() == pytest.approx([4.0**-5 * 36 / 2] * 2)
    # A p value at the threshold is not below it.
    assert len(find_hits(codes, [motif], threshold=4.0**-5)) == 0
    assert len(find_hits(codes, [motif], threshold=4.0**-5 * 1.001)) == 2


def test_the_best_word_has_its_own_probability() -> None:
    # Rounding must not put the best score above all that the p values know of.
    rng = np.random.default_rng(2)
    motifs = [Motif(f"M{width}", "x", rng.dirichlet([0.2] * 4, width).T) for width in range(7, 31)]
    codes = np.full((len(motifs), 30), 5, dtype=np.uint8)
    for row, motif in enumerate(motifs):
        best = motif.frequencies.argmax(axis=0)
        codes[row, : len(best)] = best
    table = find_hits(codes, motifs).query("row == motif and start == 0 and strand == '+'")
    assert len(table) == len(motifs)
    ways = [math.prod(int(np.sum(np.array(c) == max(c))) for c in columns(motif)) for motif in motifs]
    widths = [motif.frequencies.shape[1] for motif in motifs]
    np.testing.assert_allclose(
        table["p"], [way / 4.0**width for way, width in zip(ways, widths, strict=True)], rtol=1e-9
    )


def test_within_intervals(codes: np.ndarray, motifs: list[Motif]) -> None:
    rng = np.random.default_rng(4)
    start = rng.integers(-2, 29, 40)
    within = pd.DataFrame({"row": rng.integers(0, 25, 40), "start": start, "end": start + rng.integers(1, 9, 40)})
    within = within.assign(sign=1)
    table = find_hits(codes, motifs, threshold=0.3, within=within)
    expected = expected_hits(every_window(codes, motifs[:4], within), 0.3)
    assert 20 < len(table) < len(find_hits(codes, motifs, threshold=0.3))
    pd.testing.assert_frame_equal(table[[*KEY, "score", "p", "q"]], expected, rtol=1e-10, check_dtype=False)


def test_chunks_change_nothing(codes: np.ndarray, motifs: list[Motif], monkeypatch: pytest.MonkeyPatch) -> None:
    within = pd.DataFrame({"row": [0, 3, 4, 24, 24], "start": [0, 5, 5, 2, 20], "end": [30, 20, 15, 9, 28]})
    whole = [find_hits(codes, motifs, threshold=0.1, within=intervals) for intervals in (None, within)]
    monkeypatch.setattr(module, "_BASES", 120)
    for table, intervals in zip(whole, (None, within), strict=True):
        assert len(table) > 0
        pd.testing.assert_frame_equal(find_hits(codes, motifs, threshold=0.1, within=intervals), table)


def test_no_hits(codes: np.ndarray, motifs: list[Motif]) -> None:
    dtypes = find_hits(codes, motifs, threshold=0.1).dtypes.to_dict()
    none = pd.DataFrame({"row": [], "start": [], "end": []}, dtype="int64")
    for table in (
        find_hits(codes, motifs[2:3], threshold=0.1),
        find_hits(codes, motifs[4:]),
        find_hits(codes[:0], motifs),
        find_hits(codes[7:8], motifs, threshold=0.5),
        find_hits(codes, motifs, threshold=0.5, within=none),
    ):
        assert len(table) == 0 and table.dtypes.to_dict() == dtypes


def test_what_cannot_be_looked_for(codes: np.ndarray, motifs: list[Motif], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no motifs to look for"):
        find_hits(codes, [])
    for threshold in (0, 1, -0.1, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            find_hits(codes, motifs, threshold=threshold)
    for row in (-1, 25):
        with pytest.raises(ValueError, match="a row that is not there"):
            find_hits(codes, motifs, within=pd.DataFrame({"row": [0, row], "start": [0, 0], "end": [9, 9]}))
    monkeypatch.setitem(sys.modules, "memelite", None)
    with pytest.raises(EpinformerError, match=r"finding motifs needs the package memelite.*epinformer\[interpret\]"):
        find_hits(codes, motifs)
