from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, poisson

from epinformer.simulation.layout import lay_out
from epinformer.simulation.peaks import call_peaks

COLUMNS = ["chrom", "start", "end", "name", "score", "strand", "signal", "p", "q", "peak"]


def test_peaks_are_the_elements_above_background() -> None:
    world = lay_out(48, 0)
    rng = np.random.default_rng(0)
    width = (world.elements["end"] - world.elements["start"]).to_numpy()
    counts = rng.poisson(0.02 * (width + 35) * rng.choice([1, 1, 2, 5], len(width)))
    peaks = call_peaks(world, counts, 0.02, "x", np.random.default_rng(1))
    p = np.array([1 - poisson.cdf(count - 1, 0.02 * (size + 35)) for count, size in zip(counts, width, strict=True)])
    called = p < 1e-3
    assert len(peaks) == called.sum() and 0 < called.mean() < 1
    assert list(peaks) == COLUMNS
    some = p[called] > 1e-12
    assert peaks["p"][some].to_numpy() == pytest.approx(-np.log10(p[called][some]), abs=1e-3)
    q = false_discovery_control(np.maximum(p, 1e-300))[called]
    assert peaks["q"][some].to_numpy() == pytest.approx(-np.log10(q[some]), abs=1e-3)
    offset = (peaks["start"] + peaks["peak"]).to_numpy() - world.elements["center"].to_numpy()[called]
    assert 5 < offset.std() < 15 and abs(offset.mean()) < 5


@pytest.mark.parametrize("signal", ["dnase", "h3k27ac"])
def test_the_files_have_ten_columns_and_summits_inside(
    folder: Path, genome: dict[str, np.ndarray], signal: str
) -> None:
    peaks = pd.read_csv(folder / f"{signal}.narrowPeak", sep="\t", names=COLUMNS)
    assert len(peaks) > 100 and peaks["name"].is_unique
    assert ((peaks["peak"] >= 0) & (peaks["peak"] < peaks["end"] - peaks["start"])).all()
    assert (peaks["start"] >= 0).all()
    assert (peaks["end"] <= peaks["chrom"].map({name: len(codes) for name, codes in genome.items()})).all()
    assert peaks["score"].between(0, 1000).all()


def test_insulators_are_open_but_have_fewer_acetylation_peaks(folder: Path) -> None:
    elements = pd.read_csv(folder / "truth" / "elements.tsv", sep="\t")
    share = {}
    for signal in ("dnase", "h3k27ac"):
        peaks = pd.read_csv(folder / f"{signal}.narrowPeak", sep="\t", names=COLUMNS)
        summits = peaks.assign(at=peaks["start"] + peaks["peak"])
        hit = [
            bool(((summits["chrom"] == chrom) & (summits["at"] - center).abs().lt(60)).any())
            for chrom, center in zip(elements["chrom"], elements["center"], strict=True)
        ]
        share[signal] = pd.Series(hit).groupby(elements["kind"]).mean()
    assert share["dnase"]["insulator"] > 0.95 and share["h3k27ac"]["enhancer"] > 0.95
    assert share["h3k27ac"]["insulator"] < share["dnase"]["insulator"]
