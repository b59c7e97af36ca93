"""Whether probabilities are what they say: their mean against the share of what came true."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Limits of the bins of probabilities: from one up to the next, the last one included."""


class Calibration(NamedTuple):
    """Probabilities against outcomes.

    Attributes
    ----------
    table
        A row a bin of `EDGES` that has rows: low, high, rows, probability (their mean), share (of them that is true).
    brier
        Mean squared difference between probability and outcome; NaN without rows.
    brier_of_share
        That of the one probability that knows no more than the overall share.
    """

    table: pd.DataFrame
    brier: float
    brier_of_share: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "brier": self.brier,
            "brier_of_share": self.brier_of_share,
            "reliability": self.table.to_dict(orient="records"),
        }


def calibration(labels: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> Calibration:
    """Compare probabilities (n,) with outcomes (n,); at least one of each."""
    y = labels.astype(np.float64)
    group = np.searchsorted(EDGES, probabilities, side="right").clip(1, len(EDGES) - 1) - 1
    rows = []
    for number in np.unique(group):
        inside = group == number
        rows.append(
            (
                EDGES[number],
                EDGES[number + 1],
                int(inside.sum()),
                float(probabilities[inside].mean()),
                float(y[inside].mean()),
            )
        )
    table = pd.DataFrame(rows, columns=["low", "high", "rows", "probability", "share"])
    return Calibration(table, float(np.mean((probabilities - y) ** 2)), float(np.mean((y.mean() - y) ** 2)))
