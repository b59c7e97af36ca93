"""Which of a dataset's pairs a model looks at."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from epinformer.dataset.store import Dataset


class PairLimits(NamedTuple):
    """Pairs with min_distance < |distance| <= max_distance in bp, of each gene the nearest max_elements.

    None sets no limit. The published models were trained within (1,000, 100,000, 60).
    """

    min_distance: int | None = None
    max_distance: int | None = None
    max_elements: int | None = None


def limited(dataset: Dataset, limits: PairLimits) -> Dataset:
    """The dataset with only the pairs inside the limits; genes and elements keep their numbers.

    The very same dataset is returned if all its pairs are inside.
    """
    distance = np.abs(dataset.pairs["distance"].to_numpy(np.int64))
    keep = np.ones(len(distance), dtype=bool)
    if limits.min_distance is not None:
        keep &= distance > limits.min_distance
    if limits.max_distance is not None:
        keep &= distance <= limits.max_distance
    if limits.max_elements is not None:
        gene = dataset.pairs["gene_index"].to_numpy()
        # Pairs are sorted by gene and distance, so a pair's rank is the number of its gene's kept ones before it.
        kept_before = np.cumsum(keep) - keep
        first = np.searchsorted(gene, gene)
        keep &= kept_before - kept_before[first] < limits.max_elements
    if keep.all():
        return dataset
    return replace(dataset, pairs=dataset.pairs[keep].reset_index(drop=True))
