"""What is explained: sequences of the genome, and of those the promoters and elements of a dataset."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from epinformer.bases import OTHER_BASE
from epinformer.dataset.store import Dataset
from epinformer.errors import InputError
from epinformer.inputs.regions import region_names
from epinformer.ragged import ranges
from epinformer.scoring.selection import gene_indices
from epinformer.scoring.variant_alleles import Places, sequence_bases

logger = logging.getLogger(__name__)

Part = Literal["all", "elements", "promoter"]
"""Which sequences of a gene: its promoter, its elements, or both."""


class Targets(NamedTuple):
    """n sequences of the genome that are to be explained.

    Attributes
    ----------
    table
        n rows with a default index: name; kind (``element``, ``promoter`` or ``region``); chrom, start, end (int64,
        0-based half-open; a promoter's may lie beyond its chromosome's ends); gene_id, gene_name (missing where there
        is no gene or symbol); score (float64, NaN where there is none); gene_index, element_index, pair (int64:
        numbers in the dataset's genes, elements and pairs, -1 where there is none).
    read
        Row -> its bases, uint8 (end - start,), perhaps read-only: A 0, C 1, G 2, T 3, other letters 4, no base 5.
    """

    table: pd.DataFrame
    read: Callable[[int], np.ndarray]


def gene_targets(dataset: Dataset, genes: Sequence[str], part: Part) -> Targets:
    """The promoter of each gene and the elements that it is paired with.

    Parameters
    ----------
    dataset
        With sequence; of its pairs those that the models look at (`epinformer.dataset.limits.limited`).
    genes
        Ids, or names that occur once.
    part
        Which of the two.

    Returns
    -------
    Targets
        Genes in the dataset's order, of each the promoter and then its elements, the nearest first. An element of
        several genes is there for each of them (`distinct`).

    Raises
    ------
    InputError
        Genes that the dataset lacks, elements are asked for and no gene has any, or nothing has a known base.
    DatasetError
        The dataset has no sequence, or does not say where it lies.
    """
    chosen = gene_indices(dataset, genes)
    offsets = dataset.pair_offsets
    counts = offsets[chosen + 1] - offsets[chosen]
    pair = ranges(offsets[chosen], counts)
    gene = np.repeat(chosen, counts)
    if part == "promoter":
        pair, gene = pair[:0], gene[:0]
    elif part == "elements" and not len(pair):
        raise InputError(
            "the genes asked for have no elements that the models look at",
            source=dataset.path,
            count=len(chosen),
            first=dataset.genes["gene_id"].iloc[chosen[0]],
            fix="Name others, or explain their promoters",
        )
    if part != "elements":
        gene, pair = np.append(chosen, gene), np.append(np.full(len(chosen), -1), pair)
    order = np.argsort(gene, kind="stable")
    return with_bases(of_pairs(dataset, gene[order], pair[order]), dataset.path)


def distinct(targets: Targets) -> Targets:
    """Each sequence once, for a model that knows of no genes: of targets in one place the first row stays."""
    return _kept(targets, ~targets.table.duplicated(["chrom", "start", "end"]).to_numpy())


def explicable(targets: Targets, source: str | Path) -> Targets:
    """The targets that a model of a gene's expression sees: promoters, and elements that their gene is paired with.

    Others are left out, and the log says so.

    Raises
    ------
    InputError
        There are none.
    """
    table = targets.table
    seen = ((table["pair"] >= 0) | ((table["kind"] == "promoter") & (table["gene_index"] >= 0))).to_numpy()
    return _refused(
        targets, seen, source, "of no pair that the models look at", "Name genes and elements of the dataset"
    )


def with_bases(targets: Targets, source: str | Path) -> Targets:
    """The targets that have an A, C, G or T; others are left out, and the log says so.

    Raises
    ------
    InputError
        There are none.
    """
    known = np.array([(targets.read(row) < OTHER_BASE).any() for row in range(len(targets.table))], dtype=bool)
    return _refused(targets, known, source, "without any A, C, G or T", "Check the genome, or choose other places")


def of_pairs(dataset: Dataset, gene: np.ndarray, pair: np.ndarray) -> Targets:
    """The promoter of each gene (n,) where pair (n,) is -1, else the element of that pair of the dataset."""
    element = np.full(len(pair), -1)
    element[pair >= 0] = dataset.pairs["element_index"].to_numpy(np.int64)[pair[pair >= 0]]
    return of_sequences(dataset, gene, element, pair)


def of_sequences(dataset: Dataset, gene: np.ndarray, element: np.ndarray, pair: np.ndarray) -> Targets:
    """Elements of a dataset, or the promoter of the gene where the element is -1.

    Parameters
    ----------
    dataset
        With sequence and places.
    gene, element, pair
        int64 (n,): numbers in the dataset, -1 where there is none.

    Raises
    ------
    DatasetError
        The dataset has no sequence, or does not say where it lies.
    """
    places = sequence_places(dataset)
    number = np.where(element >= 0, dataset.n_genes + element, gene)
    ids, symbols = dataset.genes["gene_id"].astype("str"), dataset.genes["gene_name"].astype("str")
    unclear = symbols.isna() | (symbols == "") | symbols.duplicated(keep=False)
    promoters = symbols.where(~unclear, ids) + " promoter"
    names = pd.concat([promoters, dataset.elements["element_id"].astype("str")], ignore_index=True)
    kinds = np.where(element >= 0, "element", "promoter")
    table = target_table(names.iloc[number], kinds, places.iloc[number])
    table["gene_id"], table["gene_name"] = (
        column.reindex(np.where(gene >= 0, gene, len(ids))).array for column in (ids, symbols)
    )
    table["gene_index"], table["element_index"], table["pair"] = gene, element, pair
    return Targets(table, lambda row: sequence_bases(dataset, int(number[row])))


def target_table(names: pd.Series, kind: str | np.ndarray, places: pd.DataFrame) -> pd.DataFrame:
    """The table of targets that have no genes and no score."""
    missing = pd.array([None] * len(names), dtype="str")
    return pd.DataFrame(
        {
            "name": names.array,
            "kind": pd.array(np.broadcast_to(kind, len(names)), dtype="str"),
            "chrom": places["chrom"].array,
            "start": places["start"].to_numpy(np.int64),
            "end": places["end"].to_numpy(np.int64),
            "gene_id": missing,
            "gene_name": missing,
            "score": np.nan,
            **{number: np.full(len(names), -1, dtype=np.int64) for number in ("gene_index", "element_index", "pair")},
        }
    )


def sequence_places(dataset: Dataset) -> pd.DataFrame:
    """chrom, start, end of each promoter and then each element."""
    _ = dataset.sequence_offsets  # refuses a dataset without sequence
    return Places(dataset).table


def _refused(targets: Targets, good: np.ndarray, source: str | Path, which: str, fix: str) -> Targets:
    """The good targets; an error if there are none, and a warning that counts the others."""
    if good.all():
        return targets
    names = targets.table["name"] + " (" + region_names(targets.table) + ")"
    first = names.iloc[int((~good).argmax())]
    if not good.any():
        raise InputError(
            f"leaves nothing to explain: every sequence is {which}",
            source=source,
            count=len(good),
            first=first,
            fix=fix,
        )
    logger.warning(
        "%s: %s of %s sequences are %s and are left out (first: %s)",
        source,
        f"{(~good).sum():,}",
        f"{len(good):,}",
        which,
        first,
    )
    return _kept(targets, good)


def _kept(targets: Targets, keep: np.ndarray) -> Targets:
    rows = np.flatnonzero(keep)
    return Targets(targets.table.iloc[rows].reset_index(drop=True), lambda row: targets.read(int(rows[row])))
