from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from epinformer.evaluation.crispr_measure import measure_scores


def scored(seed: int = 0, genes: int = 40) -> tuple[pd.DataFrame, np.ndarray, pd.Series]:
    generator = np.random.default_rng(seed)
    gene = pd.Series(generator.choice([f"g{i}" for i in range(genes)], 600))
    regulated = generator.random(600) < 0.2
    good = regulated + generator.normal(size=600)
    scores = pd.DataFrame({"good": good, "near": good + 0.1 * generator.normal(size=600), "bad": 1.0})
    scores.loc[::7, "good"] = np.nan
    return scores, regulated, gene


def test_numbers_and_values() -> None:
    scores, regulated, gene = scored()
    stratum = measure_scores(scores, regulated, gene, bootstraps=20)
    assert (stratum.pairs, stratum.regulated, stratum.genes) == (600, regulated.sum(), 40)
    assert stratum.genes_regulated == gene[regulated].nunique()
    for name, column in scores.items():
        measured = stratum.scores[str(name)]
        assert measured.missing == column.isna().sum()
        expected = average_precision_score(regulated, column.fillna(-1e9))
        assert measured.values["average_precision"] == pytest.approx(expected)
    assert stratum.scores["bad"].values["average_precision"] == pytest.approx(regulated.mean())
    assert list(stratum.differences) == [("good", "near"), ("good", "bad"), ("near", "bad")]


def test_intervals_are_those_of_drawing_genes_one_by_one() -> None:
    scores, regulated, gene = scored()
    stratum = measure_scores(scores, regulated, gene, bootstraps=1500)
    groups = list(pd.Series(range(600)).groupby(gene).indices.values())
    generator = np.random.default_rng(9)
    good, near = scores["good"].fillna(-1e9).to_numpy(), scores["near"].to_numpy()
    values = []
    for _ in range(600):
        rows = np.concatenate([groups[i] for i in generator.integers(0, len(groups), len(groups))])
        values.append([average_precision_score(regulated[rows], column[rows]) for column in (good, near)])
    drawn = np.array(values)
    interval = stratum.scores["good"].intervals["average_precision"]
    assert interval == pytest.approx(np.quantile(drawn[:, 0], [0.025, 0.975]), abs=0.015)
    paired = stratum.differences["good", "near"].intervals["average_precision"]
    assert paired == pytest.approx(np.quantile(drawn[:, 0] - drawn[:, 1], [0.025, 0.975]), abs=0.01)
    # The two move together, so their difference is known far better than either.
    assert interval is not None and paired is not None
    assert paired.high - paired.low < 0.7 * (interval.high - interval.low)


def test_what_cannot_be_measured_is_none() -> None:
    scores, _, gene = scored()
    nothing = measure_scores(scores, np.zeros(600, dtype=bool), gene, bootstraps=10)
    assert set(nothing.scores["good"].values.values()) == {None}
    assert set(nothing.differences["good", "bad"].values.values()) == {None}
    alone = measure_scores(scores, np.arange(600) < 9, gene.where(gene == "", "g"), bootstraps=10)
    assert set(alone.scores["good"].intervals.values()) == {None}
    assert alone.scores["good"].values["average_precision"] is not None
    empty = measure_scores(scores.head(0), np.zeros(0, dtype=bool), gene.head(0), bootstraps=10)
    assert (empty.pairs, empty.scores["good"].values["average_precision"]) == (0, None)
    # Three genes, one with all that is regulated: it is missing from too many draws.
    rare = measure_scores(scores, (gene == "g1").to_numpy(), gene.where(gene.isin(["g1", "g2"]), "g3"), bootstraps=99)
    assert rare.scores["good"].intervals["average_precision"] is None


def test_the_seed_decides() -> None:
    first, second, third = (measure_scores(*scored(), bootstraps=30, seed=seed) for seed in (1, 1, 2))
    assert first == second != third
