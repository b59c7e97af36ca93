from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from epinformer.evaluation.crispr_join import ScoreRule
from epinformer.evaluation.crispr_protocols import (
    ACTIVITY_FLOOR,
    DISTANCE_FLOOR,
    NO_INFORMATION,
    STRATA,
    floor_scores,
    paper_scores,
    strata_of,
)

PAIRS = pd.DataFrame(
    {
        "gene": ["A", "A", "A", "A", "B", "B", "C"],
        "distance": [2_000.0, 10_000, 100_000, 100_001, 50_000, 60_000, np.nan],
        "dnase_rpm": [4.0, 1, 1, 1, 1, 1, 1],
        "h3k27ac_rpm": [9.0, 1, 1, 1, 1, 0, np.nan],
    },
    index=range(2, 9),
)


def test_floors_are_distance_and_activity_times_the_power_law() -> None:
    floors = floor_scores(PAIRS)
    assert floors[DISTANCE_FLOOR].tolist()[:6] == [-2_000, -10_000, -100_000, -100_001, -50_000, -60_000]
    # The formula of the benchmark's reference value, distances below 5 kb counting as 5 kb.
    assert floors[ACTIVITY_FLOOR].iloc[0] == pytest.approx(6 * np.exp(5.959451 - 1.0242386 * np.log(5_001)), rel=1e-5)
    assert floors[ACTIVITY_FLOOR].iloc[1] == pytest.approx(np.exp(5.959451 - 1.0242386 * np.log(10_001)), rel=1e-5)
    assert floors[ACTIVITY_FLOOR].iloc[5] == 0 and floors.iloc[6].isna().all()
    assert list(floor_scores(PAIRS.drop(columns="dnase_rpm"))) == [DISTANCE_FLOOR]


def test_strata_part_the_pairs_of_known_distance() -> None:
    inside = strata_of(PAIRS["distance"])
    assert list(inside) == list(STRATA) and inside["all"].all()
    assert inside["within 100 kb"].tolist() == [True, True, True, False, True, True, False]
    assert inside["0-10 kb"].tolist() == [True, True, False, False, False, False, False]
    bins = sum(inside[name].astype(int) for name in ("0-10 kb", "10-100 kb", "beyond 100 kb"))
    assert bins.tolist() == [1, 1, 1, 1, 1, 1, 0]  # type: ignore[union-attr]


def test_the_paper_keeps_genes_with_a_regulated_pair_and_divides_by_their_sum() -> None:
    regulated = np.array([True, False, False, False, False, False, False])
    scores = pd.DataFrame(
        {
            "abc": [3.0, 1, np.nan, 7, 1, 1, 1],
            "zero": 0.0,
            "distance": [-2_000.0, -8_000, np.nan, -1, -1, -1, -1],
            "effect": [-1.0, 2, 6, 4, 5, 6, 7],
            "p": -0.5,
        },
        index=PAIRS.index,
    ).assign(**{DISTANCE_FLOOR: -PAIRS["distance"]})
    rules = {name: ScoreRule("max") for name in scores} | {
        "distance": ScoreRule("min", lower=True, distance=True),
        "p": ScoreRule("min", lower=True),
    }
    chosen, shares = paper_scores(PAIRS, regulated, scores, rules)
    assert chosen.tolist() == [True, True, True, False, False, False, False]
    assert list(shares) == ["abc", "distance", "effect", DISTANCE_FLOOR, NO_INFORMATION]
    np.testing.assert_allclose(shares["abc"], [0.75, 0.25, np.nan])
    np.testing.assert_allclose(shares["effect"], [0, 0.25, 0.75])
    np.testing.assert_allclose(shares["distance"], [0.8, 0.2, np.nan])
    inverse = 1 / np.array([2_000, 10_000, 100_000])
    np.testing.assert_allclose(shares[DISTANCE_FLOOR], inverse / inverse.sum())
    np.testing.assert_allclose(shares[NO_INFORMATION], 1 / 3)
    assert shares.index.tolist() == [2, 3, 4]


def test_a_gene_regulated_from_afar_only_is_left_out_of_the_paper() -> None:
    regulated = np.array([False, False, False, True, False, False, True])
    chosen, shares = paper_scores(PAIRS, regulated, floor_scores(PAIRS), {})
    assert not chosen.any() and shares.empty


def test_a_gene_with_nothing_positive_has_shares_of_nothing() -> None:
    regulated = np.array([True, False, False, False, True, False, False])
    scores = pd.DataFrame({"abc": [0.0, -1, np.nan, 1, 3, 1, 1]}, index=PAIRS.index)
    _, shares = paper_scores(PAIRS, regulated, scores, {"abc": ScoreRule("max")})
    np.testing.assert_allclose(shares["abc"], [0, 0, np.nan, 0.75, 0.25])
