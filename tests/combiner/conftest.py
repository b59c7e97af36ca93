"""A screen whose regulated pairs follow from two scores, on four chromosomes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from epinformer.combiner.settings import CombinerConfig

CHROMS = ("chr1", "chr2", "chr10", "chrX")


class Screen(NamedTuple):
    """Tested pairs and links, and where both are written."""

    tested: pd.DataFrame
    links: pd.DataFrame
    folder: Path

    def write(self) -> tuple[Path, Path]:
        """The files of links and of tested pairs."""
        self.links.to_csv(self.folder / "links.tsv", sep="\t", index=False)
        self.tested.to_csv(self.folder / "crispr.tsv", sep="\t", index=False)
        return self.folder / "links.tsv", self.folder / "crispr.tsv"


@pytest.fixture
def config() -> CombinerConfig:
    return CombinerConfig.model_validate(
        {"features": [{"column": "neg_distance", "log": 100}, "activity", {"column": "attention", "optional": True}]}
    )


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    generator = np.random.default_rng(5)
    rows = []
    for number in range(48):
        chrom, tss = CHROMS[number % 4], 2_000_000 * (number + 1)
        for distance in generator.choice(np.arange(2_000, 300_000, 1_000), 6, replace=False):
            rows.append((chrom, tss + int(distance), tss + int(distance) + 500, f"G{number}", f"ENSG{number:03}", tss))
    columns = ["chrom", "chromStart", "chromEnd", "measuredGeneSymbol", "measuredGeneEnsemblId", "startTSS"]
    tested = pd.DataFrame(rows, columns=columns)
    distance = tested["chromStart"] + 250 - tested["startTSS"]
    activity = generator.normal(size=len(tested))
    odds = 2.0 * activity - 2.5 * np.log10(distance / 20_000) - 1.5
    regulated = generator.random(len(tested)) < 1 / (1 + np.exp(-odds))
    tested["Regulated"] = np.where(regulated, "TRUE", "FALSE")
    links = pd.DataFrame(
        {
            "gene_id": tested["measuredGeneEnsemblId"],
            "chrom": tested["chrom"],
            "start": tested["chromStart"] + 50,
            "end": tested["chromEnd"] + 50,
            "tss": tested["startTSS"],
            "neg_distance": -distance,
            "activity": activity,
            "attention": np.where(np.arange(len(tested)) % 3, generator.random(len(tested)), np.nan),
        }
    )
    return Screen(tested, links, tmp_path)
