from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from epinformer.baselines.tabular import BASELINES, features, fit_predict, promoter_activity
from epinformer.dataset.manifest import Manifest
from epinformer.dataset.store import Dataset, open_dataset, write_dataset
from epinformer.half_life import HALF_LIFE_FEATURES

TARGET = "expression_rna"


def made(
    path: Path, genes: int = 400, *, elements: int = 3, seed: int = 0, marks: tuple[str, ...] = ("dnase_rpm",)
) -> Dataset:
    """Genes whose expression is known to come from their promoter's activity and their elements' summed activity."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 2 * elements + 1, genes)
    gene_index = np.repeat(np.arange(genes), counts)
    signals = {name: rng.gamma(1.0, 2.0, len(gene_index)) for name in (*marks, "activity")}
    promoter = {f"promoter_{name}": rng.gamma(1.0, 2.0, genes) for name in (*marks, "activity")}
    reach = np.bincount(gene_index, weights=signals["activity"], minlength=genes)
    expression = np.log1p(promoter["promoter_activity"]) + 0.15 * reach + rng.normal(0, 0.1, genes)
    gene_table = pd.DataFrame(
        {
            "gene_id": [f"g{i}" for i in range(genes)],
            "gene_name": [f"G{i}" for i in range(genes)],
            "chrom": "chr1",
            "tss": 1_000_000 * np.arange(1, genes + 1),
            "strand": "+",
            **promoter,
            TARGET: expression,
        }
    )
    element_table = pd.DataFrame(
        {
            "element_id": [f"e{i}" for i in range(len(gene_index))],
            "chrom": "chr1",
            "start": 500 * np.arange(len(gene_index)),
            "end": 500 * np.arange(len(gene_index)) + 300,
            **signals,
        }
    )
    rank = np.arange(len(gene_index)) - np.repeat(np.cumsum(counts) - counts, counts)
    pairs = pd.DataFrame(
        {
            "gene_index": gene_index,
            "element_index": np.arange(len(gene_index)),
            "distance": (500 + 9_000 * rank) * np.where(rank % 2, -1, 1),
            "powerlaw_contact": 1 / (1.0 + rank),
        }
    )
    write_dataset(path, Manifest(assembly="hg38", package_version="0"), gene_table, element_table, pairs, None)
    return open_dataset(path)


def parts(genes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.random.default_rng(1).permutation(genes)
    return order[: genes // 2], order[genes // 2 : genes * 3 // 4], order[genes * 3 // 4 :]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return made(tmp_path_factory.mktemp("baselines") / "a.dataset")


def error(dataset: Dataset, predicted: np.ndarray, test: np.ndarray) -> float:
    return float(np.mean((dataset.genes[TARGET].to_numpy()[test] - predicted) ** 2))


def test_each_baseline_beats_the_one_that_knows_less(dataset: Dataset) -> None:
    train, validation, test = parts(dataset.n_genes)
    y = dataset.genes[TARGET].to_numpy()
    errors = [error(dataset, np.full(len(test), y[train].mean()), test)]
    errors += [error(dataset, fit_predict(name, dataset, TARGET, train, validation, test), test) for name in BASELINES]
    # What a promoter cannot know is the variance of the elements' part, which the trees must find half of at least.
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < 0.5 * errors[1]


@pytest.mark.parametrize("name", BASELINES)
def test_labels_of_the_test_genes_are_not_read(dataset: Dataset, name: str) -> None:
    train, validation, test = parts(dataset.n_genes)
    usual = fit_predict(name, dataset, TARGET, train, validation, test)
    for labels in (np.nan, np.random.default_rng(2).permutation(dataset.genes[TARGET].to_numpy()[test])):
        genes = dataset.genes.copy()
        genes.loc[test, TARGET] = labels
        other = Dataset(dataset.path, dataset.manifest, genes, dataset.elements, dataset.pairs, None)
        np.testing.assert_array_equal(fit_predict(name, other, TARGET, train, validation, test), usual)


def test_labels_of_the_training_genes_are_read(dataset: Dataset) -> None:
    train, validation, test = parts(dataset.n_genes)
    genes = dataset.genes.copy()
    genes.loc[train, TARGET] *= -1
    other = Dataset(dataset.path, dataset.manifest, genes, dataset.elements, dataset.pairs, None)
    usual, flipped = (fit_predict(BASELINES[1], which, TARGET, train, validation, test) for which in (dataset, other))
    assert np.corrcoef(usual, flipped)[0, 1] < 0.5


@pytest.mark.parametrize("name", BASELINES)
def test_the_same_numbers_for_a_seed_with_any_number_of_threads(dataset: Dataset, name: str) -> None:
    train, validation, test = parts(dataset.n_genes)
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            results.append(fit_predict(name, dataset, TARGET, train, validation, test, seed=3))
    np.testing.assert_array_equal(results[0], results[1])


def test_another_seed_is_another_forest(dataset: Dataset) -> None:
    train, validation, test = parts(dataset.n_genes)
    results = [fit_predict(BASELINES[1], dataset, TARGET, train, validation, test, seed=seed) for seed in (0, 5)]
    assert (results[0] != results[1]).any()


def test_predictions_are_in_the_order_of_the_test_genes(dataset: Dataset) -> None:
    train, validation, test = parts(dataset.n_genes)
    usual = fit_predict(BASELINES[1], dataset, TARGET, train, validation, test)
    turned = fit_predict(BASELINES[1], dataset, TARGET, train, validation, test[::-1])
    np.testing.assert_array_equal(turned[::-1], usual)
    assert fit_predict(BASELINES[0], dataset, TARGET, train, validation, test[:0]).shape == (0,)


def test_features_are_what_a_loop_over_genes_finds(dataset: Dataset) -> None:
    table = features(dataset)
    joined = dataset.pairs.join(dataset.elements, on="element_index")
    for gene in range(40):
        row, mine = table.iloc[gene], joined[joined["gene_index"] == gene]
        far = mine[mine["distance"].abs() > 1_000]
        product = mine["activity"] * mine["powerlaw_contact"]
        expected = {
            "promoter_activity": dataset.genes["promoter_activity"].iloc[gene],
            "elements within 1000 bp": (mine["distance"].abs() <= 1_000).sum(),
            "elements within 25000 bp": (mine["distance"].abs() <= 25_000).sum(),
            "sum of dnase_rpm": mine["dnase_rpm"].sum(),
            "sum of activity x powerlaw_contact": product.sum(),
            "largest activity x powerlaw_contact": product.max(),
            "sum of activity x powerlaw_contact beyond the promoter": (far["activity"] * far["powerlaw_contact"]).sum(),
            "distance of nearest element 1": mine["distance"].iloc[0] if len(mine) else np.nan,
            "activity of nearest element 3": mine["activity"].iloc[2] if len(mine) > 2 else np.nan,
        }
        for name, value in expected.items():
            np.testing.assert_allclose(row[name], value, err_msg=f"{gene} {name}")


def test_features_follow_what_the_dataset_has(tmp_path: Path, synthetic: Dataset) -> None:
    atac = features(made(tmp_path / "atac.dataset", 30, marks=("atac_rpm",)))
    marks = features(made(tmp_path / "marks.dataset", 30, marks=("dnase_rpm", "ctcf_rpm")))
    assert "promoter_atac_rpm" in atac and "sum of atac_rpm x powerlaw_contact" in atac
    assert not any("dnase" in name or name in HALF_LIFE_FEATURES for name in atac)
    assert set(marks) - set(atac) >= {"promoter_ctcf_rpm", "sum of ctcf_rpm", "largest ctcf_rpm x powerlaw_contact"}
    # This one has contact, half-life features and no promoter signal but activity.
    assert {*HALF_LIFE_FEATURES, "sum of activity x contact", "promoter_activity"} <= set(features(synthetic))
    assert not any("powerlaw" in name or name.startswith("promoter_dnase") for name in features(synthetic))


def without(dataset: Dataset, *, pairs: bool, promoters: bool) -> Dataset:
    genes = dataset.genes
    if promoters:
        genes = genes.drop(columns=[name for name in genes if name.startswith("promoter_")])
    return Dataset(
        dataset.path, dataset.manifest, genes, dataset.elements, dataset.pairs[:0] if pairs else dataset.pairs, None
    )


@pytest.mark.parametrize("name", BASELINES)
def test_missing_values_and_missing_tables_are_no_obstacle(dataset: Dataset, name: str) -> None:
    train, validation, test = parts(dataset.n_genes)
    genes, elements = dataset.genes.copy(), dataset.elements.copy()
    genes.loc[::7, "promoter_activity"] = np.nan
    elements.loc[::5, "activity"] = np.nan
    gaps = Dataset(dataset.path, dataset.manifest, genes, elements, dataset.pairs, None)
    for other in (gaps, without(dataset, pairs=True, promoters=False), without(dataset, pairs=False, promoters=True)):
        assert np.isfinite(fit_predict(name, other, TARGET, train, validation, test)).all()


def test_without_any_promoter_signal_one_number_is_the_mean(dataset: Dataset) -> None:
    train, validation, test = parts(dataset.n_genes)
    bare = without(dataset, pairs=False, promoters=True)
    assert not promoter_activity(bare).to_numpy().any()
    predicted = fit_predict("promoter activity", bare, TARGET, train, validation, test)
    y = dataset.genes[TARGET].to_numpy()
    np.testing.assert_allclose(predicted, y[np.r_[train, validation]].mean())


def test_a_handful_of_genes_is_enough(tmp_path: Path) -> None:
    few = made(tmp_path / "few.dataset", 5)
    for name in BASELINES:
        predicted = fit_predict(name, few, TARGET, np.array([0, 1, 2]), np.array([3]), np.array([4]))
        assert np.isfinite(predicted).all()


def test_a_wrong_call_is_told(dataset: Dataset) -> None:
    some, none = np.arange(10), np.arange(0)
    with pytest.raises(ValueError, match="'xpresso' is none of promoter activity, gradient boosting"):
        fit_predict("xpresso", dataset, TARGET, some, some, some)
    for train, validation in ((some, none), (none, some)):
        with pytest.raises(ValueError, match="needs genes to train and to validate on"):
            fit_predict(BASELINES[0], dataset, TARGET, train, validation, some)
