"""A small simulated world, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest

from epinformer.bases import encode
from epinformer.simulation.simulate import Simulation, simulate


@pytest.fixture(scope="session")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return simulate(tmp_path_factory.mktemp("simulation") / "world", genes=60, seed=3)


@pytest.fixture(scope="session")
def folder(simulation: Simulation) -> Path:
    return simulation.folder


@pytest.fixture(scope="session")
def genome(folder: Path) -> dict[str, np.ndarray]:
    """Chromosome -> codes, as pysam reads the FASTA through its index."""
    with pysam.FastaFile(str(folder / "genome.fa")) as fasta:
        return {name: encode(fasta.fetch(name).encode()) for name in fasta.references}
