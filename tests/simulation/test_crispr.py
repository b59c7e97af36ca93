from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from epinformer.inputs.crispr import read_crispr
from epinformer.simulation.crispr import _adjusted


@pytest.fixture(scope="module")
def screen(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "crispr.tsv", sep="\t")


def test_measured_effects_are_the_true_ones_with_noise(folder: Path, screen: pd.DataFrame) -> None:
    links = pd.read_csv(folder / "truth" / "links.tsv", sep="\t").set_index(["gene_id", "element_id"])["effect_size"]
    element = screen["chrom"] + ":" + screen["chromStart"].astype(str) + "-" + screen["chromEnd"].astype(str)
    keys = pd.MultiIndex.from_arrays([screen["measuredGeneEnsemblId"], element])
    assert keys.is_unique
    true = links.reindex(keys).to_numpy()
    far = (screen["distanceToTSS"] > 100_000).to_numpy()
    assert np.array_equal(np.isnan(true), far) and far.any() and not far.all()
    error = screen["EffectSize"].to_numpy() - np.nan_to_num(true)
    assert 0.04 < error.std() < 0.1 and abs(error.mean()) < 0.02
    assert screen["EffectSize"].min() >= -1
    strong = true < -0.4
    assert screen["Regulated"][strong].mean() > 0.9 and screen["Regulated"][far].mean() < 0.05


def test_calls_and_distances_are_consistent(folder: Path, screen: pd.DataFrame) -> None:
    regulated = (screen["pValueAdjusted"] < 0.05) & (screen["EffectSize"] < 0)
    assert screen["Significant"].equals(screen["pValueAdjusted"] < 0.05)
    assert screen["Regulated"].equals(regulated) and regulated.any() and not regulated.all()
    middle = (screen["chromStart"] + screen["chromEnd"]) // 2
    assert (screen["distanceToTSS"] == (middle - screen["startTSS"]).abs()).all()
    assert (screen["endTSS"] - screen["startTSS"] == 1).all() and (screen["chrom"] == screen["chrTSS"]).all()
    elements = pd.read_csv(folder / "truth" / "elements.tsv", sep="\t").set_index("element_id")["kind"]
    names = screen["chrom"] + ":" + screen["chromStart"].astype(str) + "-" + screen["chromEnd"].astype(str)
    assert set(elements.reindex(names)) == {"enhancer", "weak", "insulator"}


@pytest.mark.real_data
def test_the_columns_are_those_of_the_benchmark(shared_data: Path, screen: pd.DataFrame) -> None:
    path = shared_data / "crispr" / "EPCrisprBenchmark_combined_data.training_K562.GRCh38.tsv.gz"
    real = pd.read_csv(path, sep="\t", nrows=20)
    assert set(screen) <= set(real)
    assert all(
        screen[name].dtype == real[name].dtype for name in ("Significant", "Regulated", "chromStart", "startTSS")
    )


def test_adjusted_p_values_are_those_of_scipy() -> None:
    p = np.random.default_rng(0).uniform(0, 1, 200) ** 3
    assert _adjusted(p) == pytest.approx(false_discovery_control(p))
    assert len(_adjusted(np.zeros(0))) == 0


def test_the_benchmark_reads_it(folder: Path, screen: pd.DataFrame) -> None:
    tested = read_crispr(folder / "crispr.tsv")
    assert (len(tested.pairs), tested.cell_type) == (len(screen), "simulated")
    assert tested.outcomes["regulated"].tolist() == screen["Regulated"].tolist()
    assert tested.pairs["gene"].tolist() == screen["measuredGeneEnsemblId"].tolist()
