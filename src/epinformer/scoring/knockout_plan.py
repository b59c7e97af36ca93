"""What is knocked out of which gene: each element alone, some together, or what regions cover."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, InputError
from epinformer.prepare.elements import midpoints
from epinformer.prepare.overlaps import Intervals
from epinformer.ragged import ranges
from epinformer.scoring.changes import Changes, removed_in_turn
from epinformer.scoring.replacement import Silence, cut_element, silenced_elements, with_elements
from epinformer.scoring.selection import nearest

logger = logging.getLogger(__name__)


class KnockoutPlan(NamedTuple):
    """K knock-outs.

    Attributes
    ----------
    changes
        What each of them is.
    about
        K rows: knockout, start, end, distance, elements, change, as in `epinformer.scoring.knockout.knockout`.
    """

    changes: Changes
    about: pd.DataFrame


def each_alone(dataset: Dataset, genes: np.ndarray, silence: Silence | None) -> KnockoutPlan:
    """Every element of these genes (g,) alone, a knock-out for each pair.

    Raises
    ------
    InputError
        The genes have no elements.
    """
    changes = removed_in_turn(dataset, genes)
    if not len(changes.gene):
        raise InputError(
            "the genes asked for have no elements that the models look at", source=dataset.path, fix="Name others"
        )
    element = dataset.pairs["element_index"].to_numpy()[changes.pair]
    table = dataset.elements[["element_id", "start", "end"]].iloc[element].reset_index(drop=True)
    return _planned(dataset, changes, table.set_axis(["knockout", "start", "end"], axis=1), silence)


def named_together(
    dataset: Dataset, genes: np.ndarray, elements: Sequence[str], silence: Silence | None
) -> KnockoutPlan:
    """These elements together, of each gene those that it has.

    Raises
    ------
    InputError
        The dataset lacks some of them, or no gene has any.
    """
    known = pd.Index(dataset.elements["element_id"])
    numbers = known.get_indexer(pd.Index(elements))
    if (numbers < 0).any():
        first = elements[int((numbers < 0).argmax())]
        raise InputError(
            "does not hold all elements asked for",
            source=dataset.path,
            count=int((numbers < 0).sum()),
            first=first,
            fix=f"Give ids as they stand in its elements.parquet{nearest(first, known.tolist())}",
        )
    pair = _pairs_of(dataset, genes)
    pair = pair[np.isin(dataset.pairs["element_index"].to_numpy()[pair], numbers)]
    if not len(pair):
        raise InputError(
            "none of the elements asked for is among those that the models look at for the genes asked for",
            source=dataset.path,
            count=len(elements),
            first=elements[0],
            fix="Name others, or other genes",
        )
    gene, number = np.unique(dataset.pairs["gene_index"].to_numpy(np.int64)[pair], return_inverse=True)
    table = dataset.elements[["element_id", "start", "end"]].iloc[dataset.pairs["element_index"].to_numpy()[pair]]
    hull = table.groupby(number).agg({"element_id": ";".join, "start": "min", "end": "max"})
    changes = Changes(gene, number, pair, np.full(len(pair), -1))
    return _planned(dataset, changes, hull.set_axis(["knockout", "start", "end"], axis=1), silence)


def within_regions(dataset: Dataset, genes: np.ndarray, regions: pd.DataFrame, silence: Silence | None) -> KnockoutPlan:
    """What regions of one name cover of the elements of a gene, together.

    Parameters
    ----------
    regions
        chrom, start, end (0-based half-open), name.

    Raises
    ------
    DatasetError
        Elements have no place.
    InputError
        No region overlaps an element of these genes.
    """
    if dataset.elements[["start", "end"]].isna().any(axis=None):
        raise DatasetError("does not say where its elements lie", source=dataset.path, fix="Name elements instead")
    region, element = Intervals(dataset.elements).overlapping(regions)
    pair = _pairs_of(dataset, genes)
    of_pair = dataset.pairs["element_index"].to_numpy(np.int64)[pair]
    used = np.isin(element, of_pair)
    region, element = region[used], element[used]
    if not len(region):
        raise InputError(
            "no region overlaps an element that the models look at for the genes asked for",
            source=dataset.path,
            count=len(regions),
            first=regions["name"].iloc[0],
            fix="Check the assembly of the regions, or name other genes",
        )
    hit = np.zeros(len(regions), dtype=bool)
    hit[region] = True
    if not hit.all():
        logger.warning(
            "%s of %s regions overlap no element that the models look at for the genes asked for, and have no rows "
            "(first: %s)",
            f"{(~hit).sum():,}",
            f"{len(regions):,}",
            regions["name"].iloc[int((~hit).argmax())],
        )
    # One name may be of several regions, and an element may be hit by several of them: the two are one cut.
    name = pd.factorize(regions["name"])[0].astype(np.int64)
    cuts, of_cut = np.unique(np.stack([name[region], element]), axis=1, return_inverse=True)
    order = np.argsort(of_pair, kind="stable")
    first = np.searchsorted(of_pair[order], cuts[1])
    count = np.searchsorted(of_pair[order], cuts[1], side="right") - first
    cut = np.repeat(np.arange(cuts.shape[1]), count)
    pair = pair[order[ranges(first, count)]]
    keys = cuts[0][cut] * dataset.n_genes + dataset.pairs["gene_index"].to_numpy(np.int64)[pair]
    key, number = np.unique(keys, return_inverse=True)
    sort = np.lexsort((pair, number))
    changes = Changes(key % dataset.n_genes, number[sort], pair[sort], np.full(len(pair), -1))
    hull = regions.groupby(name).agg({"name": "first", "start": "min", "end": "max"}).iloc[key // dataset.n_genes]
    about = hull.reset_index(drop=True).set_axis(["knockout", "start", "end"], axis=1)
    if silence is None:
        places = regions[["start", "end"]].to_numpy(np.int64)[region[np.argsort(of_cut, kind="stable")]]
        changes = _trimmed(dataset, changes, cut[sort], np.split(places, np.cumsum(np.bincount(of_cut))[:-1]))
    return _planned(dataset, changes, about, silence)


def _trimmed(dataset: Dataset, changes: Changes, cut: np.ndarray, cuts: list[np.ndarray]) -> Changes:
    """The changes with a replacement where something of an element is left.

    ``cut`` says for each change which of the ``cuts`` it is, and each of these is (c, 2): the intervals to cut.
    """
    element = dataset.pairs["element_index"].to_numpy()[changes.pair]
    rows: list[pd.Series] = []
    codes: list[np.ndarray | None] = []
    number = np.full(len(cuts), -1)
    for one, first in zip(*np.unique(cut, return_index=True), strict=True):
        left = cut_element(dataset, int(element[first]), cuts[one])
        if left is not None:
            number[one] = len(rows)
            rows.append(left[0])
            codes.append(left[1])
    if not rows:
        return changes
    table = pd.DataFrame(rows).astype(dataset.elements.dtypes.to_dict())
    bases = None if dataset.codes is None else [part for part in codes if part is not None]
    middle = midpoints(table)
    kept = np.flatnonzero(number[cut] >= 0)
    gene = changes.gene[changes.knockout[kept]]
    offset = middle[number[cut[kept]]] - dataset.genes["tss"].to_numpy(np.int64)[gene]
    distance = np.where(dataset.genes["strand"].to_numpy()[gene] == "-", -offset, offset)
    return _with_replacements(dataset, changes, kept, number[cut[kept]], distance, table, bases)


def _silenced(dataset: Dataset, changes: Changes, silence: Silence) -> Changes:
    element, number = np.unique(dataset.pairs["element_index"].to_numpy()[changes.pair], return_inverse=True)
    table, codes = silenced_elements(dataset, element, silence)
    every = np.arange(len(changes.pair))
    distance = dataset.pairs["distance"].to_numpy()[changes.pair]
    return _with_replacements(dataset, changes, every, number, distance, table, codes)


def _with_replacements(
    dataset: Dataset,
    changes: Changes,
    which: np.ndarray,
    element: np.ndarray,
    distance: np.ndarray,
    table: pd.DataFrame,
    codes: Sequence[np.ndarray] | None,
) -> Changes:
    """The changes, of which ``which`` are replaced by these elements of a table, at these distances."""
    pairs = dataset.pairs.iloc[changes.pair[which]].assign(
        element_index=element.astype(np.int32), distance=distance.astype(np.int32)
    )
    order = np.argsort(pairs["gene_index"].to_numpy(), kind="stable")
    replacement = np.full(len(changes.pair), -1)
    replacement[which[order]] = np.arange(len(which))
    return changes._replace(replacement=replacement, replaced=with_elements(dataset, table, pairs.iloc[order], codes))


def _planned(dataset: Dataset, changes: Changes, about: pd.DataFrame, silence: Silence | None) -> KnockoutPlan:
    """Knock-outs with what is to be said of them; silenced in place of removed if so wanted."""
    number = len(changes.gene)
    replaced = np.bincount(changes.knockout, weights=changes.replacement >= 0, minlength=number)
    count = np.bincount(changes.knockout, minlength=number)
    change = np.select([replaced == 0, replaced == count], ["removed", "trimmed"], "removed and trimmed")
    if silence is not None:
        changes = _silenced(dataset, changes, silence)
        change = np.full(number, "silenced")
    # Pairs are sorted by distance, and so are a knock-out's changes.
    first = np.searchsorted(changes.knockout, np.arange(number))
    about = about.reset_index(drop=True).assign(
        distance=dataset.pairs["distance"].to_numpy()[changes.pair[first]],
        elements=count,
        change=pd.array(change, dtype="str"),
    )
    return KnockoutPlan(changes, about)


def _pairs_of(dataset: Dataset, genes: np.ndarray) -> np.ndarray:
    """Rows of the pairs of these genes, ascending."""
    offsets = dataset.pair_offsets
    return ranges(offsets[genes], offsets[genes + 1] - offsets[genes])
