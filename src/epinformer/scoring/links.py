"""Links: every pair of a gene and an element with what signals, distance and models say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, InputError
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.hardware import Precision
from epinformer.prepare.contact import powerlaw_contact
from epinformer.prepare.pairs import neighbours
from epinformer.ragged import ranges
from epinformer.scoring.assignment import assigned
from epinformer.scoring.checks import require_elements
from epinformer.scoring.pair_scores import MeanScores, mean_scores
from epinformer.scoring.selection import gene_indices

FARTHEST = 5_000_000
"""The widest window, and that of the candidates over which power-law ABC is a share, in bp."""

SCORES = (
    *("calibrated", "attention", "attention_raw", "attention_abc", "knockout", "gradient_x_input"),
    *("abc", "powerlaw_abc", "contact", "activity", "neg_distance"),
)
"""The columns of a table of links by which links can be ranked: more is always more of a link."""

# Pairs of a table at a time, where all of them come from the dataset.
_CHUNK_PAIRS = 200_000
_FROM_PAIRS = {"contact": "contact", "abc_score": "abc", "abc_contact": "abc_contact", "self_promoter": "self_promoter"}


class _Pairs(NamedTuple):
    """Some pairs: gene, element (numbers in the dataset), distance (bp), and row of the dataset's pairs or -1."""

    gene: np.ndarray
    element: np.ndarray
    distance: np.ndarray
    row: np.ndarray


def links(
    models: Sequence[LoadedModel],
    dataset: Dataset,
    *,
    genes: Sequence[str] | None = None,
    window: int | None = None,
    device: str = "auto",
    precision: Precision = "32",
    allow_leakage: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Score every pair of a dataset, as one table; parameters and errors are those of `link_tables`."""
    tables = link_tables(
        models,
        dataset,
        genes=genes,
        window=window,
        device=device,
        precision=precision,
        allow_leakage=allow_leakage,
        progress=progress,
    )
    return pd.concat(tables, ignore_index=True)


def link_tables(
    models: Sequence[LoadedModel],
    dataset: Dataset,
    *,
    genes: Sequence[str] | None = None,
    window: int | None = None,
    device: str = "auto",
    precision: Precision = "32",
    allow_leakage: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[pd.DataFrame]:
    """Score every pair of a dataset, some genes at a time: memory does not grow with the window.

    Parameters
    ----------
    models
        Expression models with the same target and limits, which score each gene of a chromosome that they held out; or
        none, for the scores that need no model.
    dataset
        The pairs' scores are of its columns, and what it lacks is not in the table.
    genes
        Ids (or unambiguous names) of the genes; all by default.
    window
        All elements of the dataset within so many bp of a TSS, at most `FARTHEST`, in place of the dataset's own pairs.
        Scores that only the dataset's pairs have, or only those within the models' limits, are missing for others.
    device, precision, allow_leakage
        As in `epinformer.scoring.predict.predict`.
    progress
        Called with (done, total), in sequences and knock-outs over all models.

    Yields
    ------
    DataFrame
        At least one, all with the same columns, each with whole genes; a row a pair, a gene's nearest first. gene_id,
        gene_name, chrom, tss, strand; element_id, start, end, class where the dataset has it; distance (bp, positive
        downstream in the gene's direction). Then, float64 and missing where there is none:

        activity, contact, abc, abc_contact, self_promoter
            The dataset's.
        powerlaw_contact
            `epinformer.prepare.contact.powerlaw_contact` of the distance.
        powerlaw_abc
            activity x powerlaw_contact, over its sum for all elements of the dataset within `FARTHEST` of the TSS; for
            elements whose place is not known, over the gene's pairs.
        neg_distance
            -|distance|.
        attention_raw
            The promoter's attention to the element, mean over heads, layers and models.
        attention
            attention_raw over its sum for the gene's elements.
        attention_abc
            attention x abc.
        knockout, gradient_x_input
            As in `epinformer.scoring.pair_scores.PairScores`, mean over models.

        and with models fold (that which tests the gene), models (how many score it) and held_out (whether these had
        held out its chromosome; missing where they do not say).

    Raises
    ------
    LeakageError
        No model held out the chromosomes of some of these genes, and ``allow_leakage`` is false.
    ModelError
        Models without elements, with different targets or limits, or with a prediction that is not finite.
    DatasetError
        Another assembly than the model's, a feature that is missing, or a window where places are not known.
    InputError
        Genes that the dataset lacks, or an impossible window.
    """
    if window is not None and not 0 < window <= FARTHEST:
        raise InputError(f"a window of {window:,} bp is not possible", fix=f"Give one of 1 to {FARTHEST:,} bp")
    known = not dataset.elements[["start", "end"]].isna().any(axis=None) and not dataset.genes["tss"].isna().any()
    if window is not None and not known:
        raise DatasetError(
            "does not say where its elements lie, so no window can be drawn",
            source=dataset.path,
            fix="Leave --window out, or prepare the dataset from files with coordinates",
        )
    indices = gene_indices(dataset, genes)
    scored = None
    if models:
        require_elements(models, "has no elements to link", "Use a model of another variant")
        # The models' limits may leave pairs out, so each remembers which it was.
        numbered = replace(dataset, pairs=dataset.pairs.assign(pair_row=np.arange(len(dataset.pairs))))
        plan = assigned(models, numbered, genes, device=device, precision=precision, allow_leakage=allow_leakage)
        scored = mean_scores(plan, progress)
        of_pairs = scored.of_pairs.set_axis(plan.dataset.pairs["pair_row"]).reindex(np.arange(len(dataset.pairs)))
        scored = scored._replace(of_pairs=of_pairs)
    shares = _Shares(dataset, indices, known)
    for pairs in _dataset_pairs(dataset, indices) if window is None else _window_pairs(dataset, indices, window):
        yield _table(dataset, pairs, shares, scored)


def _dataset_pairs(dataset: Dataset, genes: np.ndarray) -> Iterator[_Pairs]:
    """The pairs of these genes, some whole genes at a time."""
    offsets = dataset.pair_offsets
    gene, element, distance = (
        dataset.pairs[name].to_numpy(np.int64) for name in ("gene_index", "element_index", "distance")
    )
    counts = offsets[genes + 1] - offsets[genes]
    part = np.cumsum(counts) // _CHUNK_PAIRS
    for some in np.split(np.arange(len(genes)), np.flatnonzero(np.diff(part)) + 1):
        rows = ranges(offsets[genes[some]], counts[some])
        yield _Pairs(gene[rows], element[rows], distance[rows], rows)


def _window_pairs(dataset: Dataset, genes: np.ndarray, window: int) -> Iterator[_Pairs]:
    """All elements within the window of these genes, some whole genes at a time."""
    table = dataset.genes.iloc[genes]
    minus = (table["strand"] == "-").to_numpy()
    keys = dataset.pairs["gene_index"].to_numpy(np.int64) * dataset.n_elements
    keys += dataset.pairs["element_index"].to_numpy(np.int64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    none = True
    for gene, element, offset in neighbours(table, dataset.elements, window):
        none = False
        nearest = np.lexsort((element, np.abs(offset), gene))
        gene, element, offset = gene[nearest], element[nearest], offset[nearest]
        wanted = genes[gene] * dataset.n_elements + element
        at = np.searchsorted(keys, wanted)
        found = at < len(keys)
        found[found] = keys[at[found]] == wanted[found]
        row = np.full(len(wanted), -1)
        row[found] = order[at[found]]
        yield _Pairs(genes[gene], element, np.where(minus[gene], -offset, offset), row)
    if none:
        yield _Pairs(*np.zeros((4, 0), dtype=np.int64))


class _Shares:
    """What power-law ABC is a share of: the sum over each gene's candidates, for the genes asked for."""

    def __init__(self, dataset: Dataset, genes: np.ndarray, known: bool) -> None:
        self.activity: np.ndarray | None = None
        self.total = np.zeros(dataset.n_genes)
        if "activity" not in dataset.elements:
            return
        self.activity = dataset.elements["activity"].to_numpy(np.float64, na_value=np.nan)
        if known:
            near = neighbours(dataset.genes.iloc[genes], dataset.elements, FARTHEST)
            parts = ((genes[gene], element, distance) for gene, element, distance in near)
        else:
            parts = ((pairs.gene, pairs.element, pairs.distance) for pairs in _dataset_pairs(dataset, genes))
        for gene, element, distance in parts:
            weights = np.nan_to_num(self.activity[element]) * powerlaw_contact(distance)
            self.total += np.bincount(gene, weights=weights, minlength=dataset.n_genes)

    def of(self, pairs: _Pairs) -> np.ndarray:
        """Power-law ABC of the pairs; 0 where all candidates of a gene are inactive."""
        assert self.activity is not None
        product = self.activity[pairs.element] * powerlaw_contact(pairs.distance)
        total = self.total[pairs.gene]
        share: np.ndarray = np.divide(product, total, out=np.zeros_like(product), where=total > 0)
        return share


def _table(dataset: Dataset, pairs: _Pairs, shares: _Shares, scored: MeanScores | None) -> pd.DataFrame:
    genes, elements = dataset.genes, dataset.elements
    columns = {name: genes[name].array.take(pairs.gene) for name in ("gene_id", "gene_name", "chrom", "tss", "strand")}
    names = ("element_id", "start", "end", *(["class"] if "class" in elements else []))
    columns |= {name: elements[name].array.take(pairs.element) for name in names}
    columns["distance"] = pairs.distance
    if shares.activity is not None:
        columns["activity"] = shares.activity[pairs.element]
    given = {new: old for old, new in _FROM_PAIRS.items() if old in dataset.pairs}
    columns |= {new: _taken(dataset.pairs[old], pairs.row) for new, old in given.items()}
    columns["powerlaw_contact"] = powerlaw_contact(pairs.distance)
    if shares.activity is not None:
        columns["powerlaw_abc"] = shares.of(pairs)
    columns["neg_distance"] = -np.abs(pairs.distance).astype(np.float64)
    if scored is not None:
        of_pairs = {name: _taken(scored.of_pairs[name], pairs.row) for name in scored.of_pairs}
        columns |= {name: of_pairs[name] for name in ("attention_raw", "attention")}
        if "abc" in columns:
            columns["attention_abc"] = of_pairs["attention"] * columns["abc"]
        columns |= {name: of_pairs[name] for name in ("knockout", "gradient_x_input")}
        columns |= {name: scored.of_genes[name].array.take(pairs.gene) for name in ("fold", "models", "held_out")}
    return pd.DataFrame(columns)


def _taken(values: pd.Series, row: np.ndarray) -> np.ndarray:
    """Values of these rows, float64, NaN for row -1."""
    taken = np.full(len(row), np.nan)
    taken[row >= 0] = values.to_numpy(np.float64, na_value=np.nan)[row[row >= 0]]
    return taken
