from __future__ import annotations

import logging
import math

import numpy as np
import pandas as pd
import pytest

from epinformer.prepare import abc as abc_module
from epinformer.prepare import pairs as pairs_module
from epinformer.prepare.abc import abc_contact, abc_pairs, abc_sums, self_promoters
from epinformer.prepare.pairs import make_pairs
from epinformer.settings import AbcConfig

GAMMA, SCALE = 1.024238616787792, 5.9594510043736655


class MadeUpContacts:
    """Contact that looks like noise, is missing now and then, and low around some positions."""

    words = "made-up.hic"

    def __init__(self) -> None:
        self.asked = 0

    def contact(self, chrom: str, tss: np.ndarray, midpoint: np.ndarray) -> np.ndarray:
        assert tss.dtype == midpoint.dtype == np.int64 and tss.shape == midpoint.shape
        self.asked = max(self.asked, len(tss))
        return np.array([self.one(chrom, int(a), int(b)) for a, b in zip(tss, midpoint, strict=True)])

    @staticmethod
    def one(chrom: str, tss: int, midpoint: int) -> float:
        value = (tss * 7 + midpoint * 13 + len(chrom)) % 1_000
        if tss % 3 == 0:
            return math.nan if value < 100 else value / 1e6
        return math.nan if value < 100 else value / 1e3


def power(distance: float, gamma: float = GAMMA, scale: float = SCALE) -> float:
    return math.exp(scale - gamma * math.log(max(distance, 5_000) + 1))


def slow_scores(
    genes: pd.DataFrame, candidates: pd.DataFrame, activity: np.ndarray, settings: AbcConfig, measured: bool
) -> tuple[dict[tuple[int, int], tuple[float, float, bool]], list[float], set[int], int]:
    """(contact, score, own promoter) of every pair, the sums, the weak genes and how many contacts are missing."""
    pairs, sums, weak, missing = {}, [], set(), 0
    for g, gene in enumerate(genes.itertuples()):
        found = []
        for e, row in enumerate(candidates.itertuples()):
            distance = abs((row.start + row.end) / 2 - gene.tss)
            if row.chrom == gene.chrom and distance < settings.window:
                own = row.end + settings.tss_slop > gene.tss > row.start - settings.tss_slop
                found.append((e, distance, own, MadeUpContacts.one(gene.chrom, gene.tss, (row.start + row.end) // 2)))
        own_contacts = [contact for _, _, own, contact in found if own]
        if measured and own_contacts and sum(c for c in own_contacts if c == c) < settings.weak_gene:
            weak.add(g)
        terms = {}
        for e, distance, own, contact in found:
            used = power(distance, settings.gamma, settings.scale)
            if measured:
                missing += math.isnan(contact)
                trusted = used if g in weak or math.isnan(contact) else contact
                reference = power(distance, settings.reference_gamma, -4.80 + 11.63 * settings.reference_gamma)
                ratio = reference / used if settings.scale_powerlaw else 1.0
                far = max(distance, settings.pseudocount_distance)
                used = trusted * ratio + power(far, settings.gamma, settings.scale)
            terms[e] = (used, activity[e] * used, own)
        total = sum(product for _, product, _ in terms.values())
        sums.append(total)
        for e, (used, product, own) in terms.items():
            pairs[g, e] = (used, 1.0 if own else product / total if total else 0.0, own)
    return pairs, sums, weak, missing


@pytest.fixture
def world() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """20 genes, the first two at the edges of the window, and 300 candidates on two chromosomes."""
    rng = np.random.default_rng(0)
    chroms = rng.choice(["a", "bb"], 20)
    genes = pd.DataFrame({"chrom": chroms, "tss": rng.integers(0, 3_000_000, 20), "strand": rng.choice(["+", "-"], 20)})
    start = np.concatenate([rng.integers(0, 3_000_000, 250), genes["tss"].to_numpy()[rng.integers(0, 20, 50)] - 200])
    candidates = pd.DataFrame({"chrom": rng.choice(["a", "bb"], 300), "start": start.clip(0)})
    candidates["end"] = candidates["start"] + rng.integers(1, 3_000, 300)
    activity = rng.gamma(1, 5, 300) * (rng.random(300) < 0.9)
    return genes, candidates, activity


@pytest.mark.parametrize(
    "settings",
    [
        AbcConfig(window=1_000_000),
        AbcConfig(window=1_000_000, scale_powerlaw=False, pseudocount_distance=50_000, weak_gene=0, tss_slop=100),
        AbcConfig(window=50_000, gamma=0.9, scale=3.0, reference_gamma=1.1, weak_gene=0.3),
    ],
)
@pytest.mark.parametrize("measured", [True, False])
def test_against_a_sum_over_all_candidates(
    world: tuple[pd.DataFrame, pd.DataFrame, np.ndarray],
    settings: AbcConfig,
    measured: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pairs_module, "_CHUNK_PAIRS", 37)
    monkeypatch.setattr(abc_module, "_CHUNK_PAIRS", 37)
    genes, candidates, activity = world
    expected, totals, weak, missing = slow_scores(genes, candidates, activity, settings, measured)
    source = MadeUpContacts() if measured else None
    reported: list[tuple[int, int]] = []
    with caplog.at_level(logging.INFO):
        sums = abc_sums(genes, candidates, activity, source, settings, lambda *share: reported.append(share))
    assert sums.denominators == pytest.approx(totals, rel=1e-12)
    assert set(np.flatnonzero(sums.weak)) == weak
    assert (sums.candidates, sums.missing) == (len(expected), missing)
    assert [total for _, total in reported] == [20] * len(reported)
    assert reported[-1][0] <= 20 and len(reported) > 1
    if source is not None:
        assert missing > 5 and (weak or not settings.weak_gene)
        assert f"{missing:,} of {len(expected):,} candidates of the genes have no contact in made-up.hic" in caplog.text

    made = make_pairs(genes, candidates, min_distance=None, max_distance=2_000_000, max_elements=None).table
    source = MadeUpContacts() if measured else None
    contact, score, own = abc_pairs(made, genes, candidates, activity, sums, source, settings)
    keys = list(zip(made["gene_index"].tolist(), made["element_index"].tolist(), strict=True))
    inside = np.array([key in expected for key in keys])
    assert set(expected) <= set(keys) and not inside.all()
    found = list(zip(contact[inside].tolist(), score[inside].tolist(), own[inside].tolist(), strict=True))
    for key, values in zip(np.array(keys)[inside].tolist(), found, strict=True):
        assert values == pytest.approx(expected[tuple(key)], rel=1e-12)
    assert (score[~inside] == 0).all() and own[inside].sum() == own.sum() > 5
    if source is not None:
        assert source.asked == 37


def test_the_window_is_open_and_counts_half_bases() -> None:
    genes = pd.DataFrame({"chrom": ["a"], "tss": [6_000_000], "strand": ["+"]})
    start = np.array([1_000_000, 999_999, 999_999, 1_000_000, 10_999_999, 10_999_999, 11_000_000, 10_999_998])
    end = np.array([1_000_000, 1_000_000, 1_000_001, 1_000_001, 11_000_001, 11_000_000, 11_000_001, 11_000_001])
    candidates = pd.DataFrame({"chrom": "a", "start": start, "end": end})
    # 2 x midpoint: 5 Mb away at 2,000,000 and 22,000,000, half a base nearer at 2,000,001 and 21,999,999.
    near = [False, False, False, True, False, True, False, True]
    assert [2_000_000 < a + b < 22_000_000 for a, b in zip(start, end, strict=True)] == near
    sums = abc_sums(genes, candidates, np.ones(8), None, AbcConfig())
    assert sums.candidates == 3
    assert sums.denominators == pytest.approx([3 * power(4_999_999.5)], rel=1e-12)
    pairs = pd.DataFrame({"gene_index": [0] * 8, "element_index": range(8)})
    scores = abc_pairs(pairs, genes, candidates, np.ones(8), sums, None, AbcConfig()).score
    assert scores == pytest.approx(np.where(near, 1 / 3, 0), rel=1e-12)


def test_self_promoters_overlap_the_tss_window() -> None:
    start, end = np.array([1_500, 1_499, 400, 400, 900]), np.array([1_600, 1_600, 500, 501, 1_100])
    assert self_promoters(start, end, np.full(5, 1_000), 500).tolist() == [False, True, False, True, True]


def test_inactive_candidates_score_nothing_but_for_the_own_promoter() -> None:
    genes = pd.DataFrame({"chrom": ["a", "b"], "tss": [1_000, 9], "strand": ["+", "+"]})
    candidates = pd.DataFrame({"chrom": ["a", "a"], "start": [900, 30_000], "end": [1_100, 30_500]})
    pairs = pd.DataFrame({"gene_index": [0, 0], "element_index": [0, 1]})
    sums = abc_sums(genes, candidates, np.zeros(2), None, AbcConfig())
    assert sums.denominators.tolist() == [0.0, 0.0] and sums.candidates == 2
    scores = abc_pairs(pairs, genes, candidates, np.zeros(2), sums, None, AbcConfig())
    assert scores.score.tolist() == [1.0, 0.0] and scores.self_promoter.tolist() == [True, False]


def test_no_candidate_at_all() -> None:
    genes = pd.DataFrame({"chrom": ["a"], "tss": [1_000], "strand": ["+"]})
    candidates = pd.DataFrame({"chrom": ["b"], "start": [900], "end": [1_100]})
    source = MadeUpContacts()
    sums = abc_sums(genes, candidates, np.ones(1), source, AbcConfig())
    assert (sums.denominators.tolist(), sums.candidates, sums.missing, source.asked) == ([0.0], 0, 0, 0)
    pairs = pd.DataFrame({"gene_index": [], "element_index": []}, dtype=np.int32)
    assert [len(values) for values in abc_pairs(pairs, genes, candidates, np.ones(1), sums, source, AbcConfig())] == [
        0
    ] * 3


def test_contact_by_hand() -> None:
    # 0.87: the scale is 11.63 * 0.87 - 4.80 = 5.3181.
    reference, expected = math.exp(5.3181 - 0.87 * math.log(80_001)), power(80_000)
    found = abc_contact(np.array([0.5, math.nan, 0.0]), np.array([80_000.0, 80_000.0, 0.0]), AbcConfig())
    assert found[0] == pytest.approx(0.5 * reference / expected + expected, rel=1e-12)
    assert math.isnan(found[1]) and found[2] == pytest.approx(power(5_000), rel=1e-12)
