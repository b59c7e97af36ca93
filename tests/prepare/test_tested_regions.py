"""CRISPR-tested regions as elements: measured like the candidates, with the contact of their midpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from epinformer.config import load_config, with_tested
from epinformer.dataset.store import Dataset, open_dataset
from epinformer.errors import ConfigError
from epinformer.evaluation.crispr import benchmark_crispr
from epinformer.prepare.build import prepare
from epinformer.scoring.links import links
from epinformer.simulation.simulate import simulate


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated cell type's files, and a BED file of the tested regions and one where no candidate is."""
    folder = tmp_path_factory.mktemp("tested") / "world"
    simulate(folder, genes=50, seed=7)
    tested = pd.read_csv(folder / "crispr.tsv", sep="\t")
    regions = tested[["chrom", "chromStart", "chromEnd"]]
    regions.to_csv(folder.parent / "regions.bed", sep="\t", index=False, header=False)
    return folder


def made(world: Path, name: str, tested: Path | None = None, **changes: Any) -> Dataset:
    settings = yaml.safe_load((world / "config_raw.yaml").read_text()) | {"encoder_windows": None} | changes
    path = world.parent / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings | {"root": str(world)}))
    config = load_config(path)
    output = world.parent / f"{name}.dataset"
    prepare(config if tested is None else with_tested(config, tested), output, overwrite=True)
    return open_dataset(output)


def test_tested_regions_join_the_candidates(world: Path) -> None:
    """Every tested pair gets a score, and the candidates stay as they are."""
    plain, more = made(world, "plain"), made(world, "more", world.parent / "regions.bed")
    pd.testing.assert_frame_equal(more.elements.iloc[: plain.n_elements], plain.elements)
    added = more.elements.iloc[plain.n_elements :]
    regions = pd.read_csv(world.parent / "regions.bed", sep="\t", names=["chrom", "start", "end"]).drop_duplicates()
    alone = [
        f"{region.chrom}:{region.start}-{region.end}"
        for region in regions.itertuples()
        if not (
            (plain.elements["chrom"] == region.chrom)
            & (plain.elements["start"] < region.end)
            & (plain.elements["end"] > region.start)
        ).any()
    ]
    assert added["element_id"].tolist() == alone and len(alone) > 0
    step = next(f for f in more.manifest.filters if f.table == "tested regions")
    assert (step.before, step.after) == (len(regions), len(alone))
    table = links([], more, window=400_000)
    table.to_parquet(world.parent / "links.parquet")
    found = benchmark_crispr(world.parent / "links.parquet", world / "crispr.tsv", bootstraps=5)
    assert (found.joined.links > 0).all() and found.strata["all"].scores["powerlaw_abc"].missing == 0


def test_they_are_measured_as_the_same_regions_of_a_table_are(world: Path) -> None:
    """As in the paper: the tested regions alone are the elements, with reads and contacts of their own."""
    regions = pd.read_csv(world.parent / "regions.bed", sep="\t", names=["chrom", "start", "end"]).drop_duplicates()
    regions.to_csv(world.parent / "unique.bed", sep="\t", index=False, header=False)
    alone = made(world, "alone", elements={"table": str(world.parent / "unique.bed")})
    assert alone.n_elements == len(regions) and alone.pairs["contact"].notna().all()
    more = made(world, "more", world.parent / "regions.bed")
    both = more.elements.merge(alone.elements, on="element_id", suffixes=("", "_alone"))
    assert len(both) > 0
    for column in ("dnase_rpm", "h3k27ac_rpm", "activity"):
        np.testing.assert_allclose(both[column], both[f"{column}_alone"])
    # The denominator is that of the candidates where these are elements, too.
    one, two = (links([], dataset) for dataset in (more, alone))
    pairs = one.merge(two, on=["gene_id", "element_id"], suffixes=("", "_alone"))
    assert len(pairs) > 0
    np.testing.assert_allclose(pairs["contact"], pairs["contact_alone"])
    assert (pairs["powerlaw_abc"] <= pairs["powerlaw_abc_alone"] + 1e-12).all()


def test_a_table_can_be_joined_too_and_no_region_need_be_new(world: Path) -> None:
    table = {"table": "dnase.elements.bedgraph", "tested": str(world.parent / "regions.bed")}
    dataset = made(world, "same", elements=table)
    given = pd.read_csv(world / "dnase.elements.bedgraph", sep="\t", header=None)
    assert dataset.n_elements == len(given)


def test_counted_signals_say_nothing_of_other_regions(world: Path) -> None:
    config = load_config(world / "config.yaml")
    with pytest.raises(ConfigError, match="elements.tested: signals.dnase.0. was not counted over them"):
        with_tested(config, world.parent / "regions.bed")
