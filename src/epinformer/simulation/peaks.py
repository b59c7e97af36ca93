"""Peaks, as a peak caller would give them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from epinformer.simulation.layout import World
from epinformer.simulation.model import READ_LENGTH

_HIGHEST_P = 1e-3
_EDGE_SD, _SUMMIT_SD = 15.0, 10.0
# Beyond this a p-value is no number any more.
_LARGEST_LOG = 999.0


def call_peaks(
    world: World, counts: np.ndarray, background: float, name: str, rng: np.random.Generator
) -> pd.DataFrame:
    """Elements with more reads than the background explains, in the ten columns of narrowPeak.

    Parameters
    ----------
    world
        Its elements and chromosome lengths.
    counts
        Reads over each element (elements,), of all replicates together.
    background
        Reads per bp that are expected anywhere.
    name
        Prefix of the peaks' names.
    rng
        Source of the jitter of edges (15 bp) and of summits around the regulatory centre (10 bp).

    Returns
    -------
    DataFrame
        chrom, start, end, name, score, strand, signal (fold over background), p, q (-log10 each), peak (summit -
        start), for those with p < 0.001.
    """
    from scipy.stats import poisson

    elements = world.elements
    width = (elements["end"] - elements["start"]).to_numpy()
    expected = background * (width + READ_LENGTH - 1)
    with np.errstate(divide="ignore"):
        p = np.minimum(-poisson.logsf(counts - 1, expected) / np.log(10), _LARGEST_LOG)
    called = p > -np.log10(_HIGHEST_P)
    jitter = (_EDGE_SD * rng.standard_normal((2, len(elements)))).astype(np.int64)
    summit = elements["center"].to_numpy() + (_SUMMIT_SD * rng.standard_normal(len(elements))).round().astype(np.int64)
    length = elements["chrom"].map(world.lengths).to_numpy(np.int64)
    start = np.clip(elements["start"].to_numpy() + jitter[0], 0, summit)
    end = np.clip(elements["end"].to_numpy() + jitter[1], summit + 1, length)
    table = pd.DataFrame({"chrom": elements["chrom"], "start": start, "end": end})[called].reset_index(drop=True)
    q = _log_q(p[called], len(elements))
    return table.assign(
        name=[f"{name}_peak_{row}" for row in range(1, len(table) + 1)],
        score=np.minimum(10 * q, 1000).astype(int),
        strand=".",
        signal=(counts / expected)[called].round(4),
        p=p[called].round(4),
        q=q.round(4),
        peak=summit[called] - table["start"].to_numpy(),
    )


def _log_q(p: np.ndarray, tests: int) -> np.ndarray:
    """Benjamini-Hochberg q-values of the smallest of so many p-values, -log10 of both."""
    order = np.argsort(-p, kind="stable")
    raw = p[order] - np.log10(tests / np.arange(1, len(p) + 1))
    q = np.empty(len(p))
    q[order] = np.maximum(np.minimum.accumulate(raw), 0.0) if len(p) else p
    return q
