from __future__ import annotations

import logging
import sys
from typing import NamedTuple

import memelite
import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from epinformer.errors import EpinformerError, InputError
from epinformer.inputs.motifs import Motif
from epinformer.interpretation.matching import match

COLUMNS = ["pattern", "motif", "id", "name", "family", "p", "q", "score", "offset", "overlap", "strand"]


class Case(NamedTuple):
    pattern: np.ndarray
    motif: int
    offset: int
    overlap: int
    strand: str


def frequencies(rng: np.random.Generator, width: int) -> np.ndarray:
    return rng.dirichlet([0.15] * 4, width).T


def reverse_complement(matrix: np.ndarray) -> np.ndarray:
    # A T, C G: the rows from the last to the first; and the positions.
    return matrix[[3, 2, 1, 0]][:, ::-1]


@pytest.fixture(scope="module")
def database() -> list[Motif]:
    """Sixty motifs, of which the last is a palindrome and two have one name."""
    rng = np.random.default_rng(7)
    matrices = [frequencies(rng, int(rng.integers(8, 15))) for _ in range(59)]
    half = frequencies(rng, 5)
    matrices.append(np.concatenate([half, reverse_complement(half)], axis=1))
    names = [f"N{number // 2}" for number in range(60)]
    return [Motif(f"M{i}.1", names[i], matrix, "F" if i % 3 else "") for i, matrix in enumerate(matrices)]


@pytest.fixture(scope="module")
def cases(database: list[Motif]) -> list[Case]:
    """Motifs whole, turned, cut and lengthened, and where each must come to lie."""
    found = []
    rng = np.random.default_rng(3)
    for number in (0, 5, 11, 23, 42):
        motif = database[number].frequencies
        width = motif.shape[1]
        found.append(Case(motif, number, 0, width, "+"))
        found.append(Case(reverse_complement(motif), number, 0, width, "-"))
        found.append(Case(motif[:, 2:], number, 2, width - 2, "+"))
        found.append(Case(motif[:, :-1], number, 0, width - 1, "+"))
        # The turned motif without its first two columns: column 2 of the motif's reverse complement lies under it.
        found.append(Case(reverse_complement(motif)[:, 2:], number, 2, width - 2, "-"))
        flank = np.full((4, 3), 0.25) + rng.uniform(-0.01, 0.01, (4, 3))
        flank /= flank.sum(axis=0)
        found.append(Case(np.concatenate([flank, motif], axis=1), number, -3, width, "+"))
        found.append(
            Case(np.concatenate([flank, reverse_complement(motif)[:, :-2]], axis=1), number, -3, width - 2, "-")
        )
    found.append(Case(database[59].frequencies, 59, 0, 10, "+"))
    return found


@pytest.fixture(scope="module")
def matches(database: list[Motif], cases: list[Case]) -> pd.DataFrame:
    return match([case.pattern for case in cases], database)


def test_a_motif_matches_itself_best_and_lies_where_it_should(cases: list[Case], matches: pd.DataFrame) -> None:
    best = matches.groupby("pattern").first()
    assert len(best) == len(cases)
    for case, row in zip(cases, best.itertuples(), strict=True):
        assert row.motif == case.motif and row.p < 1e-6 and row.q < 1e-4
        assert (row.offset, row.overlap, row.strand) == (case.offset, case.overlap, case.strand)


def test_alignment_is_the_best_of_all(database: list[Motif], cases: list[Case], matches: pd.DataFrame) -> None:
    # Independent of Tomtom's scores: where a motif of the database lies on itself all distances are 0.
    for case, row in zip(cases, matches.groupby("pattern").first().itertuples(), strict=True):
        target = database[row.motif].frequencies
        if row.strand == "-":
            target = reverse_complement(target)
        first = max(0, -row.offset)
        under = target[:, row.offset + first : row.offset + first + row.overlap]
        np.testing.assert_array_equal(case.pattern[:, first : first + row.overlap], under)


def test_the_table(database: list[Motif], cases: list[Case], matches: pd.DataFrame) -> None:
    assert matches.columns.tolist() == COLUMNS
    assert len(matches) == len(cases) * len(database) and not matches.isna().any(axis=None)
    assert not matches.duplicated(["pattern", "motif"]).any()
    assert matches["p"].between(0, 1).all() and matches["strand"].isin(["+", "-"]).all()
    for field in ("id", "name", "family"):
        assert matches[field].tolist() == [getattr(database[motif], field) for motif in matches["motif"]]
    ordered = matches.sort_values(["pattern", "q", "p", "motif"], kind="stable")
    pd.testing.assert_frame_equal(ordered, matches)
    for _, rows in matches.groupby("pattern"):
        np.testing.assert_allclose(rows["q"], false_discovery_control(rows["p"]), rtol=1e-12)


def test_strands_are_joined_as_memelite_does(database: list[Motif], cases: list[Case], matches: pd.DataFrame) -> None:
    p, score, *_ = memelite.tomtom([case.pattern for case in cases], [motif.frequencies for motif in database])
    ordered = matches.sort_values(["pattern", "motif"])
    np.testing.assert_allclose(ordered["p"], p.ravel(), rtol=1e-12)
    np.testing.assert_array_equal(ordered["score"], score.ravel())


def test_patterns_do_not_depend_on_each_other(
    database: list[Motif], cases: list[Case], matches: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    again = match([cases[4].pattern], database)
    expected = matches[matches["pattern"] == 4].drop(columns="pattern").reset_index(drop=True)
    pd.testing.assert_frame_equal(again.drop(columns="pattern"), expected)
    assert not caplog.records


def test_few_motifs_are_said(database: list[Motif], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        table = match([database[0].frequencies], database[:1])
    assert len(table) == 1 and table["p"].iloc[0] == table["q"].iloc[0]
    assert "only 1" in caplog.text


def test_a_pattern_without_information_matches_nothing(database: list[Motif]) -> None:
    table = match([np.full((4, 6), 0.25), np.array([[1.0], [0], [0], [0]])], database)
    assert not table.isna().any(axis=None) and table["q"].min() > 0.02


def test_no_patterns(database: list[Motif], matches: pd.DataFrame) -> None:
    table = match([], database)
    assert len(table) == 0 and table.dtypes.to_dict() == matches.dtypes.to_dict()


def test_what_cannot_be_compared(database: list[Motif], monkeypatch: pytest.MonkeyPatch) -> None:
    good = database[0].frequencies
    with pytest.raises(InputError, match="no motifs to compare with"):
        match([good], [])
    for bad in (good.T, good[0], -good, np.full((4, 3), np.nan), np.zeros((4, 0))):
        with pytest.raises(ValueError, match="pattern 1"):
            match([good, bad], database)
    with pytest.raises(ValueError, match="zeros only"):
        match([np.zeros((4, 3))], database)
    monkeypatch.setitem(sys.modules, "memelite", None)
    with pytest.raises(EpinformerError, match=r"comparing motifs needs the package memelite.*epinformer\[interpret\]"):
        match([good], database)
