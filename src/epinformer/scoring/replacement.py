"""Elements that take the place of others in knock-outs: silenced ones, and ones of which a part is cut away.

They are kept as a dataset of the same genes, so that models read them as they read all elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.bases import NO_BASE
from epinformer.dataset.store import SEQUENCE_LENGTH, Dataset
from epinformer.errors import InputError


class Silence(NamedTuple):
    """How an element is silenced.

    Attributes
    ----------
    quantile
        Each signal is lowered to this quantile of it over the dataset's elements, if it is above.
    seed
        Of the shuffled sequence; an element's is the same whatever else is silenced.
    """

    quantile: float = 0.05
    seed: int = 1


def signal_columns(elements: pd.DataFrame) -> list[str]:
    """Columns of the elements that tell how active they are."""
    return [name for name in map(str, elements) if name == "activity" or name.endswith("_rpm")]


def silenced_elements(
    dataset: Dataset, elements: np.ndarray, silence: Silence
) -> tuple[pd.DataFrame, list[np.ndarray] | None]:
    """Elements (e,) by number with low signals and a shuffled sequence, and their codes where there is sequence.

    Raises
    ------
    InputError
        The quantile is not in 0..1.
    """
    if not 0 <= silence.quantile <= 1:
        raise InputError(f"{silence.quantile} is no quantile", fix="Give a number from 0 to 1")
    table = dataset.elements.iloc[elements].copy()
    for name in signal_columns(dataset.elements):
        table[name] = table[name].clip(upper=float(dataset.elements[name].quantile(silence.quantile)))
    if dataset.codes is None:
        return table, None
    return table, [
        shuffled(element_codes(dataset, element), np.random.default_rng([silence.seed, element]))
        for element in elements.tolist()
    ]


def cut_element(dataset: Dataset, element: int, cuts: np.ndarray) -> tuple[pd.Series, np.ndarray | None] | None:
    """An element of which intervals are cut away.

    What is left is joined and lies where its first and last base were. Signals and the column ``length`` shrink by
    the share of bases that is gone.

    Parameters
    ----------
    element
        Its number in the dataset.
    cuts
        (c, 2) int64: starts and ends along the chromosome, 0-based half-open; they may overlap and reach beyond the
        element.

    Returns
    -------
    (row, codes) or None
        The element's row of the table and its bases, where the dataset has any; None if nothing is left.
    """
    row = dataset.elements.iloc[element].copy()
    start, end = int(row["start"]), int(row["end"])
    keep = np.ones(end - start, dtype=bool)
    for first, last in np.clip(cuts - start, 0, end - start).tolist():
        keep[first:last] = False
    left = np.flatnonzero(keep)
    if not len(left):
        return None
    share = len(left) / len(keep)
    row["start"], row["end"] = start + int(left[0]), start + int(left[-1]) + 1
    for name in signal_columns(dataset.elements):
        row[name] *= share
    if "length" in row:
        row["length"] -= len(keep) - len(left)
    return row, None if dataset.codes is None else element_codes(dataset, element)[keep]


def with_elements(
    dataset: Dataset, elements: pd.DataFrame, pairs: pd.DataFrame, codes: Sequence[np.ndarray] | None
) -> Dataset:
    """The dataset's genes, without their promoters' bases, with other elements and pairs (sorted by gene_index)."""
    elements = elements.reset_index(drop=True)
    stream = None
    if codes is not None:
        elements["sequence_length"] = np.array([len(bases) for bases in codes], dtype=np.int32)
        promoters = np.full(dataset.n_genes * SEQUENCE_LENGTH, NO_BASE, dtype=np.uint8)
        stream = np.concatenate([promoters, *codes])
    return replace(dataset, elements=elements, pairs=pairs.reset_index(drop=True), codes=stream)


def element_codes(dataset: Dataset, element: int) -> np.ndarray:
    """The bases of an element by number, uint8 (bases,)."""
    assert dataset.codes is not None
    begin, end = dataset.sequence_offsets[dataset.n_genes + element : dataset.n_genes + element + 2]
    return dataset.codes[begin:end]


def shuffled(codes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Another order of the bases with the same first and last one and the same number of each pair of neighbours.

    A random Eulerian path: each base's last successor is drawn until these lead to the last base, the others come in
    any order (Altschul and Erickson, Molecular Biology and Evolution 1985).

    Parameters
    ----------
    codes
        uint8 (bases,).
    random
        Where the order comes from.
    """
    if len(codes) < 3:
        return codes.copy()
    last = int(codes[-1])
    successors = {base: codes[1:][codes[:-1] == base] for base in np.unique(codes[:-1]).tolist()}
    orders = {base: random.permutation(following) for base, following in successors.items()}
    while not all(_leads(base, last, orders) for base in orders if base != last):
        orders = {base: random.permutation(following) for base, following in successors.items()}
    stacks = {base: order[::-1].tolist() for base, order in orders.items()}
    path = [int(codes[0])]
    while stacks.get(path[-1]):
        path.append(stacks[path[-1]].pop())
    return np.array(path, dtype=np.uint8)


def _leads(base: int, last: int, orders: dict[int, np.ndarray]) -> bool:
    """Whether going from each base to its last successor ends at the last base."""
    for _ in orders:
        if base == last:
            return True
        base = int(orders[base][-1])
    return base == last
