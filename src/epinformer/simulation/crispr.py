"""CRISPR screens of gene-element pairs: the true effect, measured with noise."""

from __future__ import annotations

import numpy as np
import pandas as pd

from epinformer.simulation.layout import World
from epinformer.simulation.model import FARTHEST

_GENES = 0.4
# Elements beyond the reach of the model, which are true negatives, in range of a tested gene.
_FAR, _FAR_RANGE = 3, 300_000
_ERROR = (0.04, 0.10)
_ALPHA = 0.05


def screen(world: World, pairs: pd.DataFrame, effects: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Measured effects of silencing elements, with the columns of the published benchmark that matter.

    40 % of the genes are tested, each with all elements but promoters at up to 100 kb and three at 100 to 300 kb. The
    effect is the change of expression in parts of one, with a normal error of 0.04 to 0.10; p-values are two-sided and
    adjusted after Benjamini and Hochberg; Significant is below 0.05, Regulated is that with lower expression.

    Parameters
    ----------
    world
        Genes and elements.
    pairs
        gene, element, acts.
    effects
        Change of log10 RPKM when the pair's element is removed (pairs,).
    rng
        Source of choices and noise.
    """
    from scipy.stats import norm

    tested = np.flatnonzero(rng.random(len(world.genes)) < _GENES)
    distal = (world.elements["kind"] != "promoter").to_numpy()
    near = (pairs["acts"] & pairs["gene"].isin(tested)).to_numpy() & distal[pairs["element"]]
    table = pairs.loc[near, ["gene", "element"]].assign(effect=10 ** effects[near] - 1)
    far = _far_pairs(world, tested, distal, rng).assign(effect=0.0)
    table = pd.concat([table, far], ignore_index=True).sort_values(["gene", "element"], ignore_index=True)
    error = rng.uniform(*_ERROR, len(table))
    measured = np.maximum(table["effect"] + error * rng.standard_normal(len(table)), -1.0)
    adjusted = _adjusted(2 * norm.sf(np.abs(measured) / error))
    significant = adjusted < _ALPHA
    genes = world.genes.iloc[table["gene"]].reset_index(drop=True)
    elements = world.elements.iloc[table["element"]].reset_index(drop=True)
    middle = (elements["start"] + elements["end"]) // 2
    flag = {True: "TRUE", False: "FALSE"}
    return pd.DataFrame(
        {
            "chrom": elements["chrom"],
            "chromStart": elements["start"],
            "chromEnd": elements["end"],
            "name": genes["gene_name"] + "|" + elements["element_id"] + ":*",
            "EffectSize": measured.round(6),
            "chrTSS": genes["chrom"],
            "startTSS": genes["tss"],
            "endTSS": genes["tss"] + 1,
            "measuredGeneSymbol": genes["gene_name"],
            "measuredGeneEnsemblId": genes["gene_id"],
            "Significant": pd.Series(significant).map(flag),
            "pValueAdjusted": [f"{value:.6g}" for value in adjusted],
            "PowerAtEffectSize25": norm.sf(norm.isf(_ALPHA / 2) - 0.25 / error).round(4),
            "ValidConnection": "TRUE",
            "CellType": "simulated",
            "Regulated": pd.Series(significant & (measured < 0)).map(flag),
            "Dataset": "simulated",
            "distanceToTSS": (middle - genes["tss"]).abs(),
        }
    )


def _far_pairs(world: World, tested: np.ndarray, distal: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    middle = ((world.elements["start"] + world.elements["end"]) // 2).to_numpy()
    by_chrom = {chrom: np.asarray(rows) for chrom, rows in world.elements.groupby("chrom", sort=False).indices.items()}
    for gene in tested:
        near = by_chrom[world.genes["chrom"].iloc[gene]]
        apart = np.abs(middle[near] - world.genes["tss"].iloc[gene])
        choice = near[distal[near] & (apart > FARTHEST) & (apart <= _FAR_RANGE)]
        picked = rng.choice(choice, min(_FAR, len(choice)), replace=False)
        rows += [(int(gene), int(element)) for element in picked]
    return pd.DataFrame(rows, columns=["gene", "element"])


def _adjusted(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values."""
    order = np.argsort(p, kind="stable")[::-1]
    rank = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.minimum.accumulate(p[order] * len(p) / rank), 1.0) if len(p) else p
    return adjusted
