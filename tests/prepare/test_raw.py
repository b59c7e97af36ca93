"""From raw files: reads, peaks and a contact map give what the counted tables of the same world give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from epinformer.config import load_config
from epinformer.dataset.store import Dataset, open_dataset
from epinformer.prepare.build import prepare
from epinformer.simulation.simulate import simulate


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated cell type's files."""
    folder = tmp_path_factory.mktemp("raw") / "world"
    simulate(folder, genes=60, seed=7)
    return folder


@pytest.fixture(scope="module")
def counted(world: Path) -> Dataset:
    return made(world, "config.yaml", "counted")


def made(world: Path, base: str, name: str, **changes: Any) -> Dataset:
    """Prepare a configuration of the world with some sections changed."""
    settings = yaml.safe_load((world / base).read_text()) | changes
    path = world.parent / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings | {"root": str(world)}))
    output = world.parent / f"{name}.dataset"
    prepare(load_config(path), output)
    return open_dataset(output)


def test_raw_files_give_the_dataset_of_the_count_tables(world: Path, counted: Dataset) -> None:
    """Over the simulator's own elements: its counts and its contacts are the truth of what its files hold."""
    raw = made(world, "config_raw.yaml", "same", elements="dnase.elements.bedgraph")
    pd.testing.assert_frame_equal(raw.genes, counted.genes)
    pd.testing.assert_frame_equal(raw.elements, counted.elements)
    # Its table of contacts has only pairs that act; the ABC score of that configuration is of the power law.
    pd.testing.assert_frame_equal(
        raw.pairs.drop(columns=["abc_contact", "abc_score"]), counted.pairs.drop(columns=["abc_contact", "abc_score"])
    )
    assert raw.windows is not None and counted.windows is not None
    pd.testing.assert_frame_equal(raw.windows, counted.windows)
    assert np.array_equal(raw.codes, counted.codes)


def test_candidates_of_the_peaks(world: Path, counted: Dataset) -> None:
    raw = made(world, "config_raw.yaml", "peaks")
    elements = raw.elements
    shorter = elements[elements["length"] < 500]
    lengths = dict(line.split()[:2] for line in (world / "genome.fa.fai").read_text().splitlines())
    at_an_end = (shorter["start"] == 0) | (shorter["end"] == shorter["chrom"].map(lengths).astype(int))
    assert at_an_end.all() and len(shorter) < 5
    for _, table in elements.groupby("chrom"):
        assert (table["start"].to_numpy()[1:] > table["end"].to_numpy()[:-1]).all(), "merged and sorted"
    genes = raw.genes
    for gene in genes.itertuples():
        own = elements[
            (elements["chrom"] == gene.chrom) & (elements["start"] <= gene.tss) & (elements["end"] > gene.tss)
        ]
        assert (own["class"] == "promoter").all() and len(own) == 1
    # The same assay over other regions: what lies in both has much the same activity.
    merged = elements.merge(counted.elements, on="chrom", suffixes=("", "_counted"))
    near = merged[(merged["start"] - merged["start_counted"]).abs() < 50]
    assert len(near) > 50
    assert np.corrcoef(np.log(near["activity"] + 0.1), np.log(near["activity_counted"] + 0.1))[0, 1] > 0.8
    assert set(raw.pairs) >= {"contact", "abc_contact", "abc_score", "self_promoter", "powerlaw_contact"}
    assert raw.pairs["contact"].notna().all()


def test_tracks_stand_in_for_reads(world: Path, counted: Dataset) -> None:
    """The simulator's bigWigs are coverage of the same reads: their share of a region is nearly that of the counts."""
    signals = {"dnase": ["dnase.bw"], "h3k27ac": ["h3k27ac.rep1.bw", {"reads": "h3k27ac.rep2.bam"}]}
    tracks = made(world, "config_raw.yaml", "tracks", elements="dnase.elements.bedgraph", signals=signals,
                  encoder_windows=None)  # fmt: skip
    for column in ("dnase_rpm", "h3k27ac_rpm", "activity"):
        ratio = tracks.elements[column].sum() / counted.elements[column].sum()
        assert 0.8 < ratio < 1.05, column
        assert np.corrcoef(tracks.elements[column], counted.elements[column])[0, 1] > 0.98, column


def test_extra_marks_are_features_and_leave_activity_alone(world: Path, counted: Dataset) -> None:
    signals = {"dnase": ["dnase.bam"], "ctcf": [{"reads": "h3k27ac.rep1.bam", "min_mapping_quality": 1}]}
    dataset = made(world, "config_raw.yaml", "marks", elements="dnase.elements.bedgraph", signals=signals,
                   encoder_windows=None)  # fmt: skip
    assert dataset.elements["activity"].equals(dataset.elements["dnase_rpm"])
    assert dataset.elements["ctcf_rpm"].sum() > 0


def test_power_law_alone_has_no_contact_column(world: Path) -> None:
    dataset = made(world, "config_raw.yaml", "powerlaw", elements="dnase.elements.bedgraph", contact=None,
                   encoder_windows=None)  # fmt: skip
    assert "contact" not in dataset.pairs
    assert np.allclose(dataset.pairs["abc_contact"], dataset.pairs["powerlaw_contact"], rtol=1e-3)
