"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from epinformer.dataset.store import Dataset

PROJECT = Path(__file__).resolve().parents[1]

# The same examples in every run, and no clock: a busy machine must not fail a test.
settings.register_profile(
    "epinformer", deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("epinformer")
os.environ["MPLBACKEND"] = "Agg"
# Colours that somebody asks for would stand between the words that tests look for.
for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    named = os.environ.get("EPINFORMER_SHARED_DATA")
    folder = Path(named) if named else PROJECT.parent / "shared" / "data"
    if not (folder / "k562").is_dir():
        pytest.skip(f"no real data: {folder / 'k562'} is missing (EPINFORMER_SHARED_DATA names another folder)")
    return folder


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A small dataset with sequence: 12 genes, the first without elements, the second with 20."""
    from benchmarks.synthetic import synthetic_dataset

    folder = tmp_path_factory.mktemp("synthetic") / "small.dataset"
    return synthetic_dataset(folder, genes=12, elements=40, pairs_per_gene=5, most=20, length=(1, 900), unknown=0.01)
