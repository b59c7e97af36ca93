"""The surroundings of links: signals of the element and the promoter, and what else lies near and in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError
from epinformer.prepare.elements import midpoints
from epinformer.prepare.pairs import other_tss_distances, rows_by_chromosome

NEAR_ELEMENTS = 5_000
"""How far from an element's midpoint another one's counts as near, in bp."""

NEAR_GENES = 100_000
"""How far from a gene's TSS another one counts as near, in bp."""


def with_context(tables: Iterable[pd.DataFrame], dataset: Dataset) -> Iterator[pd.DataFrame]:
    """Add what surrounds each link. It depends on the dataset alone, not on which links a table has.

    Parameters
    ----------
    tables
        Tables of links of this dataset, as `epinformer.scoring.links.link_tables` gives.
    dataset
        All its genes and elements count.

    Yields
    ------
    DataFrame
        The tables with more columns, where they do not have them:

        <signal>_rpm, promoter_<signal>_rpm, promoter_activity
            Of the element and of the gene's promoter, as the dataset has them.
        tss_between
            Number of TSS between the element's midpoint and the gene's TSS, both left out.
        other_tss_distance
            As `epinformer.prepare.pairs.other_tss_distances`, in bp.
        elements_near, activity_near
            Number of other elements whose midpoints are within `NEAR_ELEMENTS` of the element's, and the sum of their
            activity and its own.
        genes_near
            Number of TSS within `NEAR_GENES` of the gene's, itself counted.

    Raises
    ------
    DatasetError
        The places of elements or genes are not known.
    """
    genes, elements = dataset.genes, dataset.elements
    if elements[["start", "end"]].isna().any(axis=None) or genes["tss"].isna().any():
        raise DatasetError(
            "does not say where its elements and genes lie, so there is no telling what is near",
            source=dataset.path,
            fix="Prepare the dataset from files with coordinates",
        )
    of_genes = {name: _floats(genes[name]) for name in genes.columns if name.startswith("promoter_")}
    of_genes["genes_near"] = _genes_near(genes)
    of_elements = {name: _floats(elements[name]) for name in elements.columns if name.endswith("_rpm")}
    of_elements |= _elements_near(elements)
    gene_ids, element_ids = pd.Index(genes["gene_id"]), pd.Index(elements["element_id"])
    for table in tables:
        gene, element = gene_ids.get_indexer(table["gene_id"]), element_ids.get_indexer(table["element_id"])
        pairs = pd.DataFrame({"gene_index": gene, "element_index": element})
        columns = {name: values[element] for name, values in of_elements.items()}
        columns |= {name: values[gene] for name, values in of_genes.items()}
        columns["tss_between"] = _tss_between(pairs, genes, elements)
        columns["other_tss_distance"] = other_tss_distances(pairs, genes, elements, genes).astype(np.float64)
        yield table.assign(**{name: values for name, values in columns.items() if name not in table})


def _floats(values: pd.Series) -> np.ndarray:
    return values.to_numpy(np.float64, na_value=np.nan)


def _genes_near(genes: pd.DataFrame) -> np.ndarray:
    """How many TSS lie around each gene's, float64 (n_genes,)."""
    found = np.zeros(len(genes))
    tss = genes["tss"].to_numpy(np.int64)
    for rows in rows_by_chromosome(genes).values():
        positions = np.sort(tss[rows])
        found[rows] = np.searchsorted(positions, tss[rows] + NEAR_GENES, side="right") - np.searchsorted(
            positions, tss[rows] - NEAR_GENES, side="left"
        )
    return found


def _elements_near(elements: pd.DataFrame) -> dict[str, np.ndarray]:
    """How many elements lie around each, and the activity of all of them, float64 (n_elements,) each."""
    count, total = np.zeros(len(elements)), np.zeros(len(elements))
    middle = midpoints(elements)
    activity = elements["activity"].to_numpy(np.float64, na_value=0.0) if "activity" in elements else None
    for rows in rows_by_chromosome(elements).values():
        order = rows[np.argsort(middle[rows], kind="stable")]
        first = np.searchsorted(middle[order], middle[rows] - NEAR_ELEMENTS, side="left")
        last = np.searchsorted(middle[order], middle[rows] + NEAR_ELEMENTS, side="right")
        count[rows] = last - first - 1
        if activity is not None:
            sums = np.append(0.0, np.cumsum(activity[order]))
            total[rows] = sums[last] - sums[first]
    return {"elements_near": count} | ({} if activity is None else {"activity_near": total})


def _tss_between(pairs: pd.DataFrame, genes: pd.DataFrame, elements: pd.DataFrame) -> np.ndarray:
    """How many TSS lie between, float64 (n,)."""
    gene = pairs["gene_index"].to_numpy()
    tss, middle = genes["tss"].to_numpy(np.int64)[gene], midpoints(elements)[pairs["element_index"].to_numpy()]
    low, high = np.minimum(tss, middle), np.maximum(tss, middle)
    found = np.zeros(len(pairs))
    of_chrom = rows_by_chromosome(genes)
    for chrom, rows in rows_by_chromosome(genes.iloc[gene]).items():
        positions = np.sort(genes["tss"].to_numpy(np.int64)[of_chrom[chrom]])
        between = np.searchsorted(positions, high[rows], side="left")
        between -= np.searchsorted(positions, low[rows], side="right")
        # Where both are one base there is no inside, and the two sides cross.
        found[rows] = np.maximum(between, 0)
    return found
