from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from epinformer.errors import InputError
from epinformer.evaluation.crossval import MODEL, evaluate_crossval
from epinformer.evaluation.expression import evaluate

SEED, BOOTSTRAPS = 5, 200


def made(genes: int = 240, chromosomes: int = 12, seed: int = 0) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Predictions of a model and two baselines that err alike, in an order without meaning."""
    rng = np.random.default_rng(seed)
    observed, shared = rng.normal(size=(2, genes))
    chrom = rng.integers(1, chromosomes + 1, genes)
    table = pd.DataFrame(
        {
            "gene_id": [f"g{i}" for i in range(genes)],
            "gene_name": [f"G{i}" for i in range(genes)],
            "chrom": [f"chr{number}" for number in chrom],
            "fold": [str(1 + number % 11) for number in chrom],
            "observed": observed,
            "predicted": observed + 0.5 * shared + rng.normal(0, 0.2, genes),
        }
    )
    baselines = {
        "one number": observed + 0.8 * shared + rng.normal(0, 0.3, genes),
        "trees": np.round(observed + 0.5 * shared + rng.normal(0, 0.3, genes), 1),
    }
    return table, baselines


def metrics(observed: np.ndarray, predicted: np.ndarray) -> list[float]:
    residual = ((observed - predicted) ** 2).sum() / ((observed - observed.mean()) ** 2).sum()
    return [
        stats.pearsonr(observed, predicted).statistic,
        stats.spearmanr(observed, predicted).statistic,
        1 - residual,
    ]


def test_pooled_numbers_are_scipys() -> None:
    table, baselines = made()
    result = evaluate_crossval(table, baselines, bootstraps=1)
    observed = table["observed"].to_numpy()
    for score, predicted in zip(
        [result.model, *result.baselines.values()], [table["predicted"].to_numpy(), *baselines.values()], strict=True
    ):
        assert score.pooled.n == 240
        np.testing.assert_allclose(score.pooled[1:], metrics(observed, predicted), rtol=1e-10)


def test_intervals_are_those_of_drawing_chromosomes_one_by_one() -> None:
    table, baselines = made()
    result = evaluate_crossval(table, baselines, bootstraps=BOOTSTRAPS, seed=SEED)
    observed = table["observed"].to_numpy()
    predictions = [table["predicted"].to_numpy(), *baselines.values()]
    names = sorted(table["chrom"].unique())
    draws = np.random.default_rng(SEED).multinomial(len(names), [1 / len(names)] * len(names), size=BOOTSTRAPS)
    values = []
    for draw in draws:
        drawn = [
            np.flatnonzero(table["chrom"] == name)
            for name, times in zip(names, draw, strict=True)
            for _ in range(times)
        ]
        rows = np.concatenate(drawn)
        values.append([metrics(observed[rows], predicted[rows]) for predicted in predictions])
    array = np.array(values)
    expected = np.quantile(array, [0.025, 0.975], axis=0)
    for place, score in enumerate([result.model, *result.baselines.values()]):
        np.testing.assert_allclose(np.transpose(list(score.intervals.values())), expected[:, place], rtol=1e-9)
    for place, difference in enumerate(result.differences.values(), start=1):
        paired = np.quantile(array[:, 0] - array[:, place], [0.025, 0.975], axis=0)
        np.testing.assert_allclose(np.transpose(list(difference.intervals.values())), paired, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(
            list(difference.values.values()),
            np.subtract(metrics(observed, predictions[0]), metrics(observed, predictions[place])),
            rtol=1e-8,
        )


def test_pairing_tells_apart_what_two_intervals_do_not() -> None:
    table, _ = made(genes=2_000, chromosomes=22)
    noise = np.random.default_rng(1).normal(0, 0.1, 2_000)
    result = evaluate_crossval(table, {"nearly it": table["predicted"].to_numpy() + noise}, bootstraps=300)
    mine, other = result.model.intervals["pearson"], result.baselines["nearly it"].intervals["pearson"]
    paired = result.differences["nearly it"].intervals["pearson"]
    assert mine is not None and other is not None and paired is not None
    assert other.high > mine.low
    assert paired.low > 0


def test_the_model_alone_is_what_evaluate_says() -> None:
    table, baselines = made()
    table.loc[::9, "observed"] = np.nan
    table.loc[::10, "fold"] = pd.NA
    result = evaluate_crossval(table, baselines, bootstraps=BOOTSTRAPS, seed=SEED)
    alone = evaluate(table, bootstraps=BOOTSTRAPS, seed=SEED)
    assert result.model.pooled == alone.pooled
    assert result.model.intervals == alone.intervals
    assert {fold: each[MODEL] for fold, each in result.per_fold.items()} == alone.per_fold
    assert (result.genes, result.without_observed, result.chromosomes) == (240, 27, alone.chromosomes)
    assert result.notes == alone.notes


def test_a_baseline_like_the_model_differs_by_nothing() -> None:
    table, _ = made()
    result = evaluate_crossval(table, {"twin": table["predicted"]}, bootstraps=50)
    assert set(result.differences["twin"].values.values()) == {0.0}
    assert set(result.differences["twin"].intervals.values()) == {(0.0, 0.0)}


def test_folds_are_in_natural_order_with_every_predictor() -> None:
    table, baselines = made()
    result = evaluate_crossval(table, baselines, bootstraps=1)
    assert list(result.per_fold) == sorted(table["fold"].unique(), key=int)
    for fold, each in result.per_fold.items():
        rows = (table["fold"] == fold).to_numpy()
        assert list(each) == [MODEL, "one number", "trees"]
        for name, predicted in {MODEL: table["predicted"].to_numpy(), **baselines}.items():
            assert each[name].n == rows.sum()
            np.testing.assert_allclose(each[name][1:], metrics(table["observed"].to_numpy()[rows], predicted[rows]))


def test_unobserved_genes_are_left_out_of_the_baselines_too() -> None:
    table, baselines = made()
    rows = np.arange(240) % 4 == 0
    whole = table.assign(observed=table["observed"].mask(rows))
    gaps = {name: np.where(rows, np.nan, values) for name, values in baselines.items()}
    result = evaluate_crossval(whole, gaps, bootstraps=20)
    kept = evaluate_crossval(table[~rows], {name: values[~rows] for name, values in baselines.items()}, bootstraps=20)
    assert result.to_dict() == {**kept.to_dict(), "genes": 240, "without_observed": 60}
    np.testing.assert_array_equal(result.predictions["trees"], gaps["trees"])


def test_one_chromosome_has_no_interval_and_few_are_noted() -> None:
    table, baselines = made(chromosomes=1)
    one = evaluate_crossval(table, baselines, bootstraps=20)
    assert one.model.intervals == one.differences["trees"].intervals == dict.fromkeys(("pearson", "spearman", "r2"))
    assert any("one chromosome" in note for note in one.notes)
    few = evaluate_crossval(*made(chromosomes=4), bootstraps=20)
    assert any("rest on only 4 chromosomes" in note for note in few.notes)
    assert few.differences["trees"].intervals["pearson"] is not None


def test_undefined_numbers_are_null_in_json() -> None:
    table, _ = made()
    result = evaluate_crossval(table, {"mean": np.full(240, table["observed"].mean())}, bootstraps=20)
    text = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert text["baselines"]["mean"]["pearson"] is None
    assert text["model_minus_baseline"]["mean"]["pearson"] is None
    assert text["model_minus_baseline"]["mean"]["interval_95"]["pearson"] is None
    assert text["model_minus_baseline"]["mean"]["r2"] == pytest.approx(result.model.pooled.r2)
    assert text["per_fold"]["1"][MODEL]["n"] == int((table["fold"] == "1").sum())
    assert any("mean predicts the same for all genes" in note for note in text["notes"])


def test_without_baselines_the_model_stands_alone() -> None:
    table, _ = made()
    result = evaluate_crossval(table, {}, bootstraps=5)
    assert result.baselines == result.differences == result.predictions == {}
    assert set(result.per_fold["1"]) == {MODEL}


def test_bad_input_is_told() -> None:
    table, baselines = made()
    trees = baselines["trees"]
    with pytest.raises(InputError, match="baseline trees: 239 predictions for 240 genes"):
        evaluate_crossval(table, {"trees": trees[1:]})
    with pytest.raises(InputError, match=r"baseline trees: not a finite number .*2 affected; first: g7"):
        evaluate_crossval(table, {"trees": np.where(np.isin(np.arange(240), (7, 9)), np.inf, trees)})
    with pytest.raises(InputError, match="no gene has an observed value"):
        evaluate_crossval(table.assign(observed=np.nan), baselines)
    with pytest.raises(InputError, match="lack the column fold"):
        evaluate_crossval(table.drop(columns="fold"), baselines)
    with pytest.raises(ValueError, match="may be called 'model'"):
        evaluate_crossval(table, {MODEL: trees})


def test_progress_reaches_the_end() -> None:
    table, baselines = made()
    seen: list[tuple[int, int]] = []
    evaluate_crossval(table, baselines, bootstraps=30, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (30, 30)
