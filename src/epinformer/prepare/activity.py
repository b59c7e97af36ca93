"""Reads to activity: RPM, the mean of replicates, and the geometric mean of accessibility and acetylation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from epinformer.inputs.regions import aligned_counts
from epinformer.settings import ACETYLATION


def rpm(counts: np.ndarray, total_reads: float) -> np.ndarray:
    """Reads per million: counts / total_reads * 1e6, float64 of the counts' shape."""
    scaled: np.ndarray = np.asarray(counts, dtype=np.float64) / total_reads * 1e6
    return scaled


def activity(signals: Mapping[str, np.ndarray], accessibility: str) -> np.ndarray:
    """Activity of elements or promoters.

    Parameters
    ----------
    signals
        Signal name -> RPM (n,), or RPM that are quantile normalised. H3K27ac is used if it is there, other marks are
        not.
    accessibility
        The signal of open chromatin: `dnase` or `atac`.

    Returns
    -------
    ndarray
        float64 (n,): sqrt(accessibility x H3K27ac), as in the activity-by-contact model (Fulco et al. 2019), or the
        accessibility alone where there is no H3K27ac.
    """
    if ACETYLATION in signals:
        combined: np.ndarray = np.sqrt(signals[accessibility] * signals[ACETYLATION])
        return combined
    return signals[accessibility].copy()


def activity_signals(names: Collection[str], accessibility: str) -> list[str]:
    """Which of the signals `activity` is made of, and therefore which are quantile normalised if any is."""
    return [accessibility, ACETYLATION] if ACETYLATION in names else [accessibility]


def activity_words(names: Collection[str], accessibility: str, prefix: str = "", suffix: str = "rpm") -> str:
    """What `activity` does, in words, for the manifest; prefix (`promoter_`) and suffix as of the columns."""
    columns = [f"{prefix}{name}_{suffix}" for name in activity_signals(names, accessibility)]
    return f"sqrt({' * '.join(columns)})" if len(columns) > 1 else columns[0]


def promoter_counts(
    counts: pd.DataFrame, genes: pd.DataFrame, tss: Literal["center", "strand"], path: str | Path, reference: str | Path
) -> np.ndarray:
    """Counts of the genes' TSS windows in the genes' order.

    Parameters
    ----------
    counts
        chrom, start, end, count (`inputs.regions.read_counts`).
    genes
        As `inputs.genes.read_genes` gives, with the same value of `tss`.
    tss
        `center`: the windows are the intervals of the gene table. `strand`: the gene table has gene bodies, and a
        window is the one centred on the gene's TSS; on the minus strand its centre may also be the body's end, one
        base beyond the TSS, which is what other tools take for the TSS there.

    Returns
    -------
    ndarray
        float64, (number of genes,).

    Raises
    ------
    InputError
        The windows are not those of the genes.
    """
    if tss == "center":
        return aligned_counts(counts, genes, path, reference)
    centre = (counts["start"] + counts["end"]) // 2
    centred = counts.assign(start=centre, end=centre + 1)
    beyond = genes["tss"] + (genes["strand"] == "-")
    known = set(zip(centred["chrom"], centred["start"], strict=True))
    # Files hold all genes' windows, so the convention that finds more of them is the file's.
    found = [
        sum(key in known for key in zip(genes["chrom"], position, strict=True)) for position in (genes["tss"], beyond)
    ]
    position = beyond if found[1] > found[0] else genes["tss"]
    return aligned_counts(centred, genes.assign(start=position, end=position + 1), path, reference)
