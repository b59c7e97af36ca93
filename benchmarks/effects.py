"""Scores of links against the truth of a simulation: the effect that each element really has on each gene.

    python -m benchmarks.ladder --output FOLDER
    python -m benchmarks.effects --ladder FOLDER

Each gene is scored by the models of the fold that tests its chromosome. The true effect is the change of log10
expression that the element brings; pairs of which the truth says nothing do not act, and have 0. Intervals are of 1,000
draws of chromosomes, differences of the same draws.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.measure import parser
from epinformer.dataset.store import open_dataset
from epinformer.model.checkpoint import load_model
from epinformer.scoring.links import links
from epinformer.scoring.selection import model_paths

SCORES = (
    "knockout",
    "attention_raw",
    "attention",
    "gradient_x_input",
    "attention_abc",
    "abc",
    "activity",
    "neg_distance",
)
DRAWS = 1000


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--ladder", type=Path, required=True, help="what benchmarks.ladder left with --output")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    truth = pd.read_csv(given.ladder / "simulated" / "truth" / "links.tsv", sep="\t")
    truth = truth.assign(brings=-truth["effect"])[["gene_id", "element_id", "brings"]]
    dataset = open_dataset(given.ladder / "simulated.dataset")
    for rung in ("PE", "PE-Activity"):
        models = [load_model(path) for path in model_paths([given.ladder / f"run_{rung}"])]
        table = links(models, dataset).merge(truth, on=["gene_id", "element_id"], how="left")
        acting = int(table["brings"].notna().sum())
        table["brings"] = table["brings"].fillna(0.0)
        print(f"{rung}, {len(models)} models: {len(table):,} pairs, {acting:,} of which act")
        report(table)


def report(table: pd.DataFrame) -> None:
    """Print each score's Pearson with the true effect, and how much attention is above what knows less."""
    moments = {score: by_chromosome(table, score) for score in SCORES if score in table}
    n = len(next(iter(moments.values())))
    draws = np.random.default_rng(0).integers(0, n, (DRAWS, n))
    drawn = {score: pearson(of[draws].sum(1)) for score, of in moments.items()}
    for score, of in moments.items():
        print(f"  {score:<16} {pearson(of.sum(0)):.3f} {interval(drawn[score])}")
    for one in ("attention_raw", "attention"):
        for other in ("activity", "neg_distance"):
            if one in moments and other in moments:
                difference = pearson(moments[one].sum(0)) - pearson(moments[other].sum(0))
                print(f"  {one} - {other}: {difference:+.3f} {interval(drawn[one] - drawn[other])}")


def by_chromosome(table: pd.DataFrame, score: str) -> NDArray[np.float64]:
    """(chromosomes, 6): n and sums of x, y, x², y², xy, of which any draw's Pearson follows."""
    known = table[table[score].notna()]
    x, y = known[score].to_numpy(np.float64), known["brings"].to_numpy(np.float64)
    parts = pd.DataFrame({"n": 1.0, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y})
    summed: NDArray[np.float64] = parts.groupby(known["chrom"].to_numpy()).sum().to_numpy()
    return summed


def pearson(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson of sums (..., 6)."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    result: NDArray[np.float64] = (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
    return result


def interval(values: NDArray[np.float64]) -> str:
    """The middle 95 %."""
    low, high = np.quantile(values, [0.025, 0.975])
    return f"[{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
