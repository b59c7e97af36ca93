"""Which tested pairs are compared and on what: all of them with the floors of a comparison, or as in the paper."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.evaluation.crispr_join import ScoreRule
from epinformer.prepare.contact import powerlaw_contact

DISTANCE_FLOOR, ACTIVITY_FLOOR = "floor: distance", "floor: activity x power law"
NO_INFORMATION = "no information (1/n)"
NEAR = 100_000
"""Distance in bp up to which the published comparison goes."""
STRATA: dict[str, tuple[float, float]] = {
    "all": (-1, np.inf),
    "within 100 kb": (-1, NEAR),
    "0-10 kb": (-1, 10_000),
    "10-100 kb": (10_000, NEAR),
    "beyond 100 kb": (NEAR, np.inf),
}
"""Distances in bp of the pairs of each stratum: above the first, up to the second."""


def floor_scores(pairs: pd.DataFrame) -> pd.DataFrame:
    """What any score should beat: scores made of the CRISPR table's own columns, with the index of the pairs.

    Parameters
    ----------
    pairs
        As `inputs.crispr.read_crispr` gives them: distance, and dnase_rpm and h3k27ac_rpm if there.

    Returns
    -------
    DataFrame
        `DISTANCE_FLOOR`: minus the distance. `ACTIVITY_FLOOR`, where the signals are known: sqrt(DNase RPM x H3K27ac
        RPM) times the power law (`prepare.contact.powerlaw_contact`). Higher is likelier; NaN where unknown.
    """
    floors = pd.DataFrame({DISTANCE_FLOOR: -pairs["distance"]}, index=pairs.index)
    if {"dnase_rpm", "h3k27ac_rpm"} <= set(pairs):
        activity = np.sqrt((pairs["dnase_rpm"] * pairs["h3k27ac_rpm"]).clip(lower=0))
        floors[ACTIVITY_FLOOR] = activity * powerlaw_contact(pairs["distance"].to_numpy())
    return floors


def strata_of(distance: pd.Series) -> dict[str, NDArray[np.bool_]]:
    """Which pairs each of `STRATA` has; pairs of unknown distance are in the first only."""
    bp = distance.to_numpy(np.float64)
    inside = {name: (bp > low) & (bp <= high) for name, (low, high) in STRATA.items()}
    return inside | {"all": np.ones(len(bp), dtype=bool)}


def paper_scores(
    pairs: pd.DataFrame, regulated: NDArray[np.bool_], scores: pd.DataFrame, rules: Mapping[str, ScoreRule]
) -> tuple[NDArray[np.bool_], pd.DataFrame]:
    """The pairs and scores of the published comparison, which knows the labels twice.

    It has the pairs within 100 kb of the genes that have a regulated pair there. A score is divided by its sum over the
    gene's pairs; of a distance, 1/max(distance, 1 bp) is. Negative values count as 0, and where a gene has nothing else
    its shares are 0; the share of a pair without a score is missing. A score without positive values has no shares and
    is left out.

    Parameters
    ----------
    pairs
        gene, distance.
    regulated
        (n,).
    scores
        A row a pair, higher is likelier.
    rules
        How each score was read; `floor_scores` need none.

    Returns
    -------
    ndarray
        Which pairs, bool (n,).
    DataFrame
        Their shares, and `NO_INFORMATION`: 1 / number of the gene's pairs.
    """
    near = (pairs["distance"] <= NEAR).to_numpy()
    chosen = near & pairs["gene"].isin(pairs["gene"][near & regulated]).to_numpy()
    gene = pairs["gene"][chosen]
    shares = {}
    for name, values in scores[chosen].items():
        rule = rules.get(str(name))
        if name == DISTANCE_FLOOR or (rule is not None and rule.distance):
            values = 1 / (-values).clip(lower=1)
        values = values.clip(lower=0)
        if not (values > 0).any():
            continue
        total = values.groupby(gene).transform("sum")
        shares[str(name)] = (values / total).where((total > 0) | values.isna(), 0.0)
    shares[NO_INFORMATION] = 1 / gene.groupby(gene).transform("size")
    return chosen, pd.DataFrame(shares, index=gene.index)
