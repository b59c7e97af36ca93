"""The table of candidate elements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.dataset.store import element_spans
from epinformer.inputs.regions import refuse_duplicates, region_names


def element_table(regions: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """Make elements of regions, in their order.

    Parameters
    ----------
    regions
        chrom, start, end (0-based half-open), indexed by line number.
    path
        The file they are from, for messages.

    Returns
    -------
    DataFrame
        element_id (`chrom:start-end` as given), chrom, start, end, length (bp, as given); those longer than 2 kb are
        cut to their midpoint ± 1,000 bp, which leaves the midpoint where it was.

    Raises
    ------
    InputError
        A region occurs twice.
    """
    refuse_duplicates(regions, ["chrom", "start", "end"], path, "gives an element twice", "Keep one row an element")
    start, end = element_spans(regions["start"].to_numpy(), regions["end"].to_numpy())
    return pd.DataFrame(
        {
            "element_id": region_names(regions).to_numpy(),
            "chrom": regions["chrom"].to_numpy(),
            "start": start,
            "end": end,
            "length": (regions["end"] - regions["start"]).to_numpy(np.int32),
        }
    )


def midpoints(elements: pd.DataFrame) -> np.ndarray:
    """Midpoints (start + end) // 2 of elements, 0-based, int64 (n,)."""
    middle: np.ndarray = (elements["start"].to_numpy(np.int64) + elements["end"].to_numpy(np.int64)) // 2
    return middle
