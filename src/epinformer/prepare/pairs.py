"""Pairs of genes and the elements around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.prepare.elements import midpoints
from epinformer.ragged import ranges

FARTHEST_TSS = 1_000_000
"""The farthest that `other_tss_distances` tells, in bp."""

# Candidates held at once: bounds the memory, whatever the number of genes and elements.
_CHUNK_PAIRS = 1_000_000


class Pairs(NamedTuple):
    """The pairs made, and how many there were before the cap of elements a gene.

    Attributes
    ----------
    table
        gene_index, element_index, distance (int32), sorted by gene_index, |distance|, element_index.
    in_range
        Number of pairs in the distance range before the cap.
    genes_capped
        Number of genes that had more elements than the cap.
    """

    table: pd.DataFrame
    in_range: int
    genes_capped: int


def make_pairs(
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    *,
    min_distance: int | None = 1000,
    max_distance: int = 100_000,
    max_elements: int | None = 60,
) -> Pairs:
    """Pair each gene with the nearest elements around its TSS.

    Parameters
    ----------
    genes
        chrom, tss (0-based), strand.
    elements
        chrom, start, end (0-based half-open).
    min_distance, max_distance
        A pair has min_distance < |element midpoint - TSS| <= max_distance, in bp. None: no lower limit, so elements
        at the TSS are paired too.
    max_elements
        The nearest so many elements of a gene; of equally distant ones those that come first in the element table.
        None: all.

    Returns
    -------
    Pairs
        `distance` is element midpoint - TSS in bp, positive downstream in the gene's own direction. A gene without
        elements in range has no rows.
    """
    tables = []
    in_range = genes_capped = 0
    minus = (genes["strand"] == "-").to_numpy()
    for gene, element, offset in neighbours(genes, elements, max_distance):
        absolute = np.abs(offset)
        if min_distance is not None:
            kept = absolute > min_distance
            gene, element, offset, absolute = gene[kept], element[kept], offset[kept], absolute[kept]
        in_range += len(gene)
        order = np.lexsort((element, absolute, gene))
        gene, element, offset = gene[order], element[order], offset[order]
        if max_elements is not None:
            rank = np.arange(len(gene)) - np.searchsorted(gene, gene)
            genes_capped += int((rank == max_elements).sum())
            kept = rank < max_elements
            gene, element, offset = gene[kept], element[kept], offset[kept]
        distance = np.where(minus[gene], -offset, offset)
        columns = {"gene_index": gene, "element_index": element, "distance": distance}
        tables.append(pd.DataFrame({name: values.astype(np.int32) for name, values in columns.items()}))
    if not tables:
        empty = np.zeros(0, dtype=np.int32)
        tables.append(pd.DataFrame({"gene_index": empty, "element_index": empty, "distance": empty}))
    table = pd.concat(tables).sort_values("gene_index", kind="stable", ignore_index=True)
    return Pairs(table, in_range, genes_capped)


def other_tss_distances(
    pairs: pd.DataFrame, genes: pd.DataFrame, elements: pd.DataFrame, tss: pd.DataFrame
) -> np.ndarray:
    """How far each pair's element is from the nearest TSS that is not the gene's own.

    Parameters
    ----------
    pairs
        gene_index, element_index.
    genes, elements
        The tables that these point into: chrom and tss; chrom, start, end.
    tss
        chrom and tss of all genes known, perhaps more than ``genes``.

    Returns
    -------
    ndarray
        int32 (pairs,): bp from the element's midpoint, at most `FARTHEST_TSS`, which also stands for none.
    """
    gene, element = pairs["gene_index"].to_numpy(), pairs["element_index"].to_numpy()
    own = genes["tss"].to_numpy(np.int64)[gene]
    middle = midpoints(elements)[element]
    found = np.full(len(pairs), FARTHEST_TSS, dtype=np.int64)
    rows_of_tss = rows_by_chromosome(tss)
    for chrom, rows in rows_by_chromosome(genes.iloc[gene]).items():
        positions = np.unique(tss["tss"].to_numpy(np.int64)[rows_of_tss[chrom]]) if chrom in rows_of_tss else own[:0]
        right = np.searchsorted(positions, middle[rows])
        # The gene's own may be the nearest on either side, so the next one beyond counts too.
        for step in (-2, -1, 0, 1):
            at = right + step
            inside = (at >= 0) & (at < len(positions))
            near = positions[at.clip(0, max(len(positions) - 1, 0))] if len(positions) else middle[rows]
            distance = np.where(inside & (near != own[rows]), np.abs(near - middle[rows]), FARTHEST_TSS)
            found[rows] = np.minimum(found[rows], distance)
    return found.astype(np.int32)


def neighbours(
    genes: pd.DataFrame, elements: pd.DataFrame, max_distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All elements within a distance of the genes' TSS, in chunks of bounded size; one gene is never split.

    Yields
    ------
    gene, element, offset
        Row of the gene, row of the element, and element midpoint - TSS in bp along the chromosome, int64 (chunk,) each.
    """
    tss = genes["tss"].to_numpy(np.int64)
    middle = midpoints(elements)
    element_rows = rows_by_chromosome(elements)
    for chrom, rows in rows_by_chromosome(genes).items():
        if chrom not in element_rows:
            continue
        near = element_rows[chrom]
        near = near[np.argsort(middle[near], kind="stable")]
        positions = middle[near]
        low = np.searchsorted(positions, tss[rows] - max_distance, side="left")
        counts = np.searchsorted(positions, tss[rows] + max_distance, side="right") - low
        for first, last in _chunks(counts):
            count = counts[first:last]
            gene = np.repeat(rows[first:last], count)
            element = near[ranges(low[first:last], count)]
            yield gene, element, middle[element] - tss[gene]


def rows_by_chromosome(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Chromosome -> its rows of the table, int64, ascending; chromosomes as they first occur."""
    groups = table.reset_index(drop=True).groupby("chrom", sort=False).indices
    return {str(chrom): np.asarray(rows, dtype=np.int64) for chrom, rows in groups.items()}


def _chunks(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Consecutive ranges whose counts add up to at most `_CHUNK_PAIRS` (or hold one gene)."""
    ends = np.cumsum(np.asarray(counts))
    first = 0
    while first < len(counts):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _CHUNK_PAIRS, side="right")))
        yield first, last
        first = last
