"""What is explained: the elements of the best links of a table."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.dataset.store import Dataset
from epinformer.errors import InputError
from epinformer.inputs.chromosomes import in_style
from epinformer.inputs.gene_names import bare_ids
from epinformer.inputs.links import Links
from epinformer.inputs.regions import region_names
from epinformer.interpretation.targets import Targets, of_sequences, sequence_places, with_bases
from epinformer.prepare.overlaps import Intervals

logger = logging.getLogger(__name__)


def link_targets(dataset: Dataset, links: Links, top: int, score: str, source: str | Path) -> Targets:
    """The elements of the links with the highest scores.

    Parameters
    ----------
    dataset
        With sequence; of its pairs those that the models look at (`epinformer.dataset.limits.limited`).
    links
        Of this program or another. A link's element is the dataset's of the same interval, else the one that shares
        most bases with it; its gene is that of the same id, whatever the version, or else of the same symbol.
    top
        How many links, those with the highest scores; of equal ones the first in the file. Links without the score
        do not count.
    score
        A column of which more is more of a link.
    source
        The links' file, for messages.

    Returns
    -------
    Targets
        By score, the highest first, each element and gene once; links of the ``top`` whose element the dataset lacks
        are left out, and the log says so. gene_index is -1 for a gene that the dataset lacks, and pair where element
        and gene are no pair of it.

    Raises
    ------
    InputError
        ``top`` is not positive, there is no such score or no link with it, no element of the ``top`` links is the
        dataset's, or none has a known base.
    DatasetError
        The dataset has no sequence, or does not say where it lies.
    """
    if top < 1:
        raise InputError(f"the top {top} links are none", fix="Ask for 1 or more")
    if score not in links.scores:
        raise InputError(f"has no score {score}", source=source, fix=f"It has {', '.join(links.scores) or 'none'}")
    elements = sequence_places(dataset).iloc[dataset.n_genes :]
    table = links.table[links.table[score].notna()]
    if table.empty:
        raise InputError(f"has no link with a {score}", source=source, fix="Name another score")
    table = table.sort_values(score, ascending=False, kind="stable").iloc[:top]
    table = in_style(table, elements, source)
    link, element = _elements(table, elements)
    _tell_without(table, link, dataset, source)
    table = table.iloc[link]
    gene = _genes(table, dataset)
    targets = of_sequences(dataset, gene, element, _pairs(dataset, gene, element))
    named = targets.table.assign(score=table[score].to_numpy(np.float64))
    for name in ("gene_id", "gene_name"):
        if name in table:
            named[name] = named[name].mask(gene < 0, table[name].array)
    once = np.flatnonzero(~named.duplicated(["element_index", "gene_id", "gene_name"]))
    found = Targets(named.iloc[once].reset_index(drop=True), lambda row: targets.read(int(once[row])))
    return with_bases(found, source)


def _elements(links: pd.DataFrame, elements: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The links that have an element of the dataset, ascending, and its number, int64 (n,) each."""
    link, element = Intervals(elements).overlapping(links)
    start, end = (links[name].to_numpy(np.int64)[link] for name in ("start", "end"))
    first, last = (elements[name].to_numpy(np.int64)[element] for name in ("start", "end"))
    other = (start != first) | (end != last)
    shared = np.minimum(end, last) - np.maximum(start, first)
    order = np.lexsort((element, -shared, other, link))
    found, at = np.unique(link[order], return_index=True)
    return found, element[order][at]


def _tell_without(links: pd.DataFrame, found: np.ndarray, dataset: Dataset, source: str | Path) -> None:
    """Warn of links without an element of the dataset; an error if none has one."""
    without = np.setdiff1d(np.arange(len(links)), found)
    if not len(without):
        return
    first = f"line {links.index[without[0]]:,}: {region_names(links).iloc[without[0]]}"
    if not len(found):
        raise InputError(
            f"has no link among the best whose element overlaps one of {dataset.path.name}",
            source=source,
            count=len(links),
            first=first,
            fix=f"Give links of the same assembly ({dataset.manifest.assembly}), or the dataset that they were made of",
        )
    logger.warning(
        "%s: of the best %s links %s have no element in %s and are left out (first: %s)",
        source,
        f"{len(links):,}",
        f"{len(without):,}",
        dataset.path.name,
        first,
    )


def _genes(links: pd.DataFrame, dataset: Dataset) -> np.ndarray:
    """The gene of each link by its id without version, else by its symbol; -1 where none or several are it."""
    found = np.full(len(links), -1)
    for name in ("gene_id", "gene_name"):
        if name not in links:
            continue
        known, wanted = dataset.genes[name].astype("str"), links[name].astype("str")
        if name == "gene_id":
            known, wanted = bare_ids(known), bare_ids(wanted)
        sole = known[known.notna() & (known != "") & ~known.duplicated(keep=False)]
        gene = wanted.map(pd.Series(sole.index, index=sole.to_numpy())).fillna(-1).to_numpy(np.int64)
        found = np.where(found < 0, gene, found)
    return found


def _pairs(dataset: Dataset, gene: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Rows of the dataset's pairs, -1 where gene and element (n,) are none."""
    of_gene, of_element = (dataset.pairs[name].to_numpy(np.int64) for name in ("gene_index", "element_index"))
    keys = pd.Series(np.arange(len(dataset.pairs)), index=of_gene * dataset.n_elements + of_element)
    keys = keys[~keys.index.duplicated()]
    wanted = np.where(gene >= 0, gene * dataset.n_elements + element, -1)
    return keys.reindex(wanted).fillna(-1).to_numpy(np.int64)
