from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.bases import COMPLEMENT
from epinformer.errors import EpinformerError, InputError
from epinformer.inputs.motifs import read_meme
from epinformer.interpretation.attribution_file import bases_of
from epinformer.interpretation.discovery import WIDTH, Pattern, discover, save_modisco
from epinformer.interpretation.seqlets import call_seqlets
from tests.planted_world import PLANTED, World, noise, world

COLUMNS = ["row", "start", "end", "sign", "attribution", "p"]


@pytest.fixture(scope="module")
def planted() -> World:
    return world()


@pytest.fixture(scope="module")
def seqlets(planted: World) -> pd.DataFrame:
    return call_seqlets(planted.attributions.actual, bases_of(planted.attributions.codes))


@pytest.fixture(scope="module")
def threads() -> Iterator[int]:
    """As many threads for numba as it may have: modisco-lite forks if there are two."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    yield numba.get_num_threads()
    numba.set_num_threads(before)


@pytest.fixture(scope="module")
def patterns(planted: World, seqlets: pd.DataFrame, threads: int) -> tuple[Pattern, ...]:
    """Found while a fork would be an error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fork", lambda: pytest.fail("the process was forked"))
        return discover(planted.attributions.codes, planted.attributions.hypothetical, seqlets)


def reverse_complement(motif: str) -> str:
    return motif[::-1].translate(str.maketrans("ACGT", "TGCA"))


def by_hand(*rows: tuple[int, int, int, int, float, float]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COLUMNS)


def oriented(values: np.ndarray, place: tuple[int, int, int, str]) -> np.ndarray:
    """Codes (L,) or attributions (4, L) of a seqlet, as its strand reads."""
    row, start, end, strand = place
    own = values[row][..., start:end]
    if strand == "+":
        return own
    return COMPLEMENT[own[::-1]] if own.ndim == 1 else own[::-1, ::-1]


def planted_as(pattern: Pattern) -> str:
    """The planted motif that a pattern is, on either strand."""
    (motif,) = [
        motif
        for motif, sign, *_ in PLANTED
        if sign == pattern.sign and pattern.consensus in (motif, reverse_complement(motif))
    ]
    return motif


def test_planted_motifs_are_found_each_as_one_pattern(patterns: tuple[Pattern, ...]) -> None:
    assert [pattern.name for pattern in patterns] == ["pos_0", "pos_1", "neg_0", "neg_1"]
    assert [pattern.sign for pattern in patterns] == [1, 1, -1, -1]
    assert {planted_as(pattern) for pattern in patterns} == {motif for motif, *_ in PLANTED}
    for pattern in patterns:
        assert pattern.trimmed.shape == (4, len(pattern.consensus) + 2)
        assert (np.sign(pattern.contributions[:, pattern.core].sum(axis=0)) == pattern.sign).all()


def test_seqlets_lie_where_the_motif_was_planted_on_its_strand(planted: World, patterns: tuple[Pattern, ...]) -> None:
    for pattern in patterns:
        motif, core, width = planted_as(pattern), pattern.core, pattern.frequencies.shape[1]
        same = pattern.consensus == motif
        found = set()
        for row, start, end, strand in pattern.seqlets.itertuples(index=False):
            assert end - start == width and start >= 0 and end <= planted.attributions.codes.shape[1]
            first = start + core.start if strand == "+" else end - core.stop
            found.add((row, first, first + len(motif), strand if same else "+-"[strand == "+"]))
        assert len(found) == len(pattern.seqlets)
        sites = planted.sites.loc[planted.sites["motif"] == motif, ["row", "start", "end", "strand"]]
        truth = set(sites.itertuples(index=False, name=None))
        # A few are elsewhere by chance. Those over whose sequence the pattern would reach are left out.
        assert len(found & truth) > 0.97 * len(found) and len(found & truth) > 0.6 * len(truth)


def test_a_pattern_is_the_mean_of_its_seqlets(planted: World, patterns: tuple[Pattern, ...]) -> None:
    codes, scores = planted.attributions.codes, planted.attributions.hypothetical
    for pattern in patterns:
        places = list(pattern.seqlets.itertuples(index=False, name=None))
        bases = np.array([oriented(codes, place) for place in places])
        one_hot = (bases[:, None] == np.arange(4)[:, None]).astype(float)
        hypothetical = np.array([oriented(scores, place) for place in places])
        there = one_hot.mean(axis=0)
        np.testing.assert_allclose(pattern.frequencies, there / there.sum(axis=0), atol=1e-6)
        np.testing.assert_allclose(pattern.hypothetical, hypothetical.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(pattern.contributions, (one_hot * hypothetical).mean(axis=0), atol=1e-5)


def test_the_same_again_whatever_the_state_of_random_numbers_and_threads(
    planted: World, seqlets: pd.DataFrame, patterns: tuple[Pattern, ...], threads: int
) -> None:
    import numba

    state = np.random.get_state()
    np.random.seed(12345)
    try:
        again = discover(planted.attributions.codes, planted.attributions.hypothetical, seqlets)
    finally:
        np.random.set_state(state)
    assert numba.get_num_threads() == threads
    assert len(again) == len(patterns)
    for first, second in zip(patterns, again, strict=True):
        assert first.seqlets.equals(second.seqlets)
        for name in ("frequencies", "contributions", "hypothetical"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_nothing_recurs_in_noise() -> None:
    attributions = noise()
    seqlets = call_seqlets(attributions.actual)
    assert discover(attributions.codes, attributions.hypothetical, seqlets, min_seqlets=20) == ()


def test_one_seqlet_is_no_pattern(planted: World, seqlets: pd.DataFrame) -> None:
    one = seqlets[seqlets["sign"] == 1].iloc[:1]
    assert discover(planted.attributions.codes, planted.attributions.hypothetical, one, min_seqlets=1) == ()


def test_only_the_sign_with_enough_seqlets_is_grouped(planted: World, seqlets: pd.DataFrame) -> None:
    few = pd.concat([seqlets[seqlets["sign"] == 1].iloc[:19], seqlets[seqlets["sign"] == -1]])
    found = discover(planted.attributions.codes, planted.attributions.hypothetical, few, min_seqlets=20)
    assert [pattern.name for pattern in found] == ["neg_0", "neg_1"]


def test_of_more_seqlets_the_strongest_are_grouped(planted: World, seqlets: pd.DataFrame) -> None:
    weaker = seqlets.assign(attribution=np.where(seqlets["row"] % 2 > 0, 1e-3, 1.0) * seqlets["attribution"])
    attributions = planted.attributions
    found = discover(attributions.codes, attributions.hypothetical, weaker, min_seqlets=100, max_seqlets=110)
    assert len(found) > 1 and sum(len(pattern.seqlets) for pattern in found) <= 220
    assert all((pattern.seqlets["row"] % 2 == 0).all() for pattern in found)


@pytest.mark.parametrize(
    ("seqlets", "said"),
    [
        (by_hand(), "needs 100 seqlets .* there are 0 and 0"),
        # The second is of the same place as the first, the third of a sequence of 30 bases.
        (
            by_hand(
                (0, 20, 30, 1, 3.0, 1e-6),
                (0, 34, 42, 1, 2.0, 1e-6),
                (1, 10, 20, 1, 2.0, 1e-6),
                (0, 80, 90, -1, -1.0, 1e-6),
            ),
            "needs 100 seqlets .* there are 1 and 1",
        ),
        # Two at the ends of a sequence of 70 bases, which are moved inwards, and one beside an N.
        (
            by_hand((2, 0, 4, -1, -2.0, 0.0), (2, 66, 70, -1, -2.0, 0.0), (3, 40, 50, -1, -2.0, 0.0)),
            "needs 100 seqlets .* there are 0 and 2",
        ),
    ],
)
def test_too_few_seqlets_are_counted(seqlets: pd.DataFrame, said: str) -> None:
    codes = np.zeros((4, 90), dtype=np.uint8)
    codes[1, WIDTH - 1 :] = 5
    codes[2, 70:] = 5
    codes[3, 30] = 4
    with pytest.raises(InputError, match=said):
        discover(codes, np.zeros((4, 4, 90), dtype=np.float32), seqlets)


def test_without_the_package_it_says_what_to_install(
    planted: World, seqlets: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "modiscolite.tfmodisco", None)
    with pytest.raises(EpinformerError, match=r"epinformer\[interpret\]"):
        discover(planted.attributions.codes, planted.attributions.hypothetical, seqlets)


def test_core_flanks_and_consensus_by_hand() -> None:
    columns = [
        (0.25, 0.25, 0.25, 0.25),
        (0.9, 0.1, 0.0, 0.0),
        (0.1, 0.2, 0.6, 0.1),
        (0.0, 0.45, 0.0, 0.55),
        (0.4, 0.3, 0.2, 0.1),
        (0.7, 0.1, 0.1, 0.1),
    ]
    frequencies = np.array(columns).T
    # Of 0, 1.53, 0.43, 1.01, 0.15 and 0.64 bits, by hand; the strongest is 1.53 x 1.
    contributions = frequencies * np.array([5.0, 1.0, -0.5, 0.1, 3.2, 0.7])
    pattern = Pattern("neg_0", -1, frequencies, contributions, frequencies, pd.DataFrame())
    assert (pattern.core, pattern.kept) == (slice(1, 5), slice(0, 6))
    assert pattern.consensus == "AGYN"
    np.testing.assert_array_equal(pattern.trimmed, frequencies)
    # The last is then 30 % as strong as well; there is nothing beside it.
    whole = pattern._replace(contributions=frequencies * np.array([5.0, 1.0, -0.5, 0.1, 3.2, 0.8]))
    assert whole.core == slice(1, 6) and whole.kept == slice(0, 7) and whole.trimmed.shape == (4, 6)


def test_modisco_reads_what_is_saved(patterns: tuple[Pattern, ...], tmp_path: Path) -> None:
    from modiscolite.io import write_bed_from_h5, write_meme_from_h5
    from modiscolite.util import MemeDataType

    save_modisco(patterns, tmp_path / "modisco.h5")
    write_meme_from_h5(tmp_path / "modisco.h5", MemeDataType.PFM, tmp_path / "patterns.meme", True)
    motifs = read_meme(tmp_path / "patterns.meme")
    assert [motif.id for motif in motifs] == [f"{sign}_patterns.pattern_{n}" for sign in ("pos", "neg") for n in (0, 1)]
    for motif, pattern in zip(motifs, patterns, strict=True):
        np.testing.assert_allclose(motif.frequencies, pattern.frequencies, atol=1e-5)
    # Its BED is of windows around the middles of peaks.
    peaks = [f"chr1\t{1000 * row}\t{1000 * row + 100}\tpeak\t1" for row in range(300)]
    (tmp_path / "peaks.bed").write_text("\n".join(peaks) + "\n")
    write_bed_from_h5(tmp_path / "modisco.h5", tmp_path / "peaks.bed", tmp_path / "out.bed", "*", 100, True)
    lines = [line.split("\t") for line in (tmp_path / "out.bed").read_text().splitlines() if line.startswith("chr1")]
    both = pd.concat([pattern.seqlets for pattern in patterns])
    assert [int(line[2]) for line in lines] == (1000 * both["row"] + both["end"]).tolist()
    assert [line[5] for line in lines] == both["strand"].tolist()
