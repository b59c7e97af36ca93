"""Which of many intervals some regions overlap."""

from __future__ import annotations

import numpy as np
import pandas as pd

from epinformer.prepare.pairs import rows_by_chromosome
from epinformer.ragged import ranges


class Intervals:
    """Intervals that are looked up many times.

    Parameters
    ----------
    table
        chrom, start, end (0-based half-open, none missing).
    """

    def __init__(self, table: pd.DataFrame) -> None:
        starts, ends = table["start"].to_numpy(np.int64), table["end"].to_numpy(np.int64)
        self._longest = int((ends - starts).max(initial=0))
        self._of_chrom = {}
        for chrom, rows in rows_by_chromosome(table).items():
            rows = rows[np.argsort(starts[rows], kind="stable")]
            self._of_chrom[chrom] = rows, starts[rows], ends[rows]

    def overlapping(self, regions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the regions (chrom, start, end) and of the intervals that share a base, each (n,) int64."""
        found = [np.zeros((2, 0), dtype=np.int64)]
        begin, end = regions["start"].to_numpy(np.int64), regions["end"].to_numpy(np.int64)
        for chrom, rows in rows_by_chromosome(regions).items():
            if chrom not in self._of_chrom:
                continue
            intervals, starts, ends = self._of_chrom[chrom]
            low = np.searchsorted(starts, begin[rows] - self._longest, side="right")
            count = np.maximum(np.searchsorted(starts, end[rows], side="left") - low, 0)
            region = np.repeat(rows, count)
            at = ranges(low, count)
            shares = ends[at] > begin[region]
            found.append(np.stack([region[shares], intervals[at[shares]]]))
        region, interval = np.concatenate(found, axis=1)
        return region, interval
