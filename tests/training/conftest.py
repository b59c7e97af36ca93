"""Small datasets of all chromosomes, and quick settings."""

from __future__ import annotations

import pytest

from benchmarks.synthetic import synthetic_dataset
from epinformer.dataset.store import Dataset
from epinformer.training.settings import TrainConfig, load_run_config

CHROMS = [f"chr{name}" for name in (*range(1, 23), "X")]


@pytest.fixture(scope="session")
def signals(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Ten genes on each of 23 chromosomes, without sequence."""
    folder = tmp_path_factory.mktemp("signals") / "signals.dataset"
    return synthetic_dataset(folder, genes=230, elements=460, pairs_per_gene=4, most=8, sequence=False, chroms=CHROMS)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two genes on each of 23 chromosomes, with a little sequence."""
    folder = tmp_path_factory.mktemp("bases") / "bases.dataset"
    return synthetic_dataset(folder, genes=46, elements=92, pairs_per_gene=1, most=3, length=(200, 300), chroms=CHROMS)


@pytest.fixture
def quick() -> TrainConfig:
    """A small network of signals, two seeds, three epochs."""
    return load_run_config(TrainConfig, "published", None, QUICK)


QUICK = (
    "network.width=32",
    "network.layers=1",
    "network.feedforward=32",
    "network.hidden=32",
    "fit.max_epochs=3",
    "fit.batch=32",
    "fit.learning_rate=0.002",
    "seeds=[1, 2]",
)
