"""Datasets with a part missing, and a comparison of targets with the genome that they were cut out of."""

from __future__ import annotations

import dataclasses

import numpy as np

from epinformer.bases import NO_BASE, OTHER_BASE
from epinformer.dataset.store import Dataset
from epinformer.interpretation.targets import Targets
from tests.variant_world import World


def without_sequence(dataset: Dataset) -> Dataset:
    """The dataset without its bases."""
    return dataclasses.replace(dataset, codes=None, elements=dataset.elements.drop(columns="sequence_length"))


def with_unknown(dataset: Dataset, *sequences: int) -> Dataset:
    """The dataset in which these promoters or elements (``n_genes +``) are N throughout."""
    assert dataset.codes is not None
    codes = dataset.codes.copy()
    for number in sequences:
        codes[dataset.sequence_offsets[number] : dataset.sequence_offsets[number + 1]] = OTHER_BASE
    return dataclasses.replace(dataset, codes=codes)


def check_bases(targets: Targets, world: World) -> None:
    """Every sequence is the genome's, with no base beyond the chromosome's ends."""
    for row, target in enumerate(targets.table.itertuples()):
        padded = np.pad(world.genome[str(target.chrom)], 2_000, constant_values=NO_BASE)
        expected = padded[int(target.start) + 2_000 : int(target.end) + 2_000]
        np.testing.assert_array_equal(targets.read(row), expected)
        assert targets.read(row).dtype == np.uint8
