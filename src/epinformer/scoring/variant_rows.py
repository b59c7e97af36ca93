"""The table of variants: a row an allele, an element that holds it and a gene."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from epinformer.dataset.store import Dataset
from epinformer.ragged import ranges
from epinformer.scoring.variant_activity import Activities
from epinformer.scoring.variant_alleles import NO_ELEMENT, NO_GENE, NOT_HELD_OUT, SCORED, Located
from epinformer.scoring.variant_expression import Expressions, Items


class Hits(NamedTuple):
    """Alleles in sequences.

    Attributes
    ----------
    allele, sequence
        (h,) int64: the allele, and the number of a sequence that holds it, ordered by both.
    status
        (h,) object: `SCORED` if the allele could be put into the sequence, or why not.
    codes
        (h,) int64: number of the changed sequence, for those that have one.
    activities
        Of each; missing without one.
    factor
        (h,) float64: what the signals of the sequence are multiplied with.
    """

    allele: np.ndarray
    sequence: np.ndarray
    status: np.ndarray
    codes: np.ndarray
    activities: Activities
    factor: np.ndarray

    def gene(self, n_genes: int) -> np.ndarray:
        """(h,) int64: the gene whose promoter the sequence is, or -1."""
        return np.where(self.sequence < n_genes, self.sequence, -1)


class Rows(NamedTuple):
    """Rows of the table, int64 (r,) each: allele, hit, row of the dataset's pairs, and gene; -1 where there is none."""

    allele: np.ndarray
    hit: np.ndarray
    pair: np.ndarray
    gene: np.ndarray

    def key(self, n_genes: int) -> np.ndarray:
        """(r,) int64: a number for each allele and gene; -1 without a gene."""
        return np.where(self.gene >= 0, self.allele * n_genes + self.gene, -1)


class Predicted(NamedTuple):
    """What has been predicted of genes with alleles.

    Attributes
    ----------
    key
        (K,) int64, ascending: which (`Rows.key`).
    effects
        Of each of them.
    unusable
        Key -> why a gene's sequences cannot all be changed.
    """

    key: np.ndarray
    effects: Expressions
    unusable: dict[int, str]


class PairsOfElements:
    """The pairs of each element of a dataset, of genes that are wanted, bool (n_genes,)."""

    def __init__(self, dataset: Dataset, wanted: np.ndarray) -> None:
        kept = np.flatnonzero(wanted[dataset.pairs["gene_index"].to_numpy()])
        element = dataset.pairs["element_index"].to_numpy(np.int64)[kept]
        order = np.argsort(element, kind="stable")
        self._pairs = kept[order]
        self._first = np.searchsorted(element[order], np.arange(dataset.n_elements + 1))

    def of(self, elements: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of these elements (e,), one element's after the other's, and how many each has (e,)."""
        count = np.diff(self._first)[elements]
        return self._pairs[ranges(self._first[elements], count)], count


def rows_of(hits: Hits, dataset: Dataset, pairs: PairsOfElements, alleles: int) -> Rows:
    """Of each allele first its elements in the dataset's order, each with its genes, then promoters that alone hold it.

    An element without genes, and an allele that nothing holds, have a row of their own.
    """
    n_genes = dataset.n_genes
    of_promoter = hits.gene(n_genes)
    elements = np.flatnonzero(of_promoter < 0)
    pair, count = pairs.of(hits.sequence[elements] - n_genes)
    linked = np.repeat(elements, count)
    gene = dataset.pairs["gene_index"].to_numpy(np.int64)[pair]
    lonely = elements[count == 0]
    promoters = np.flatnonzero(of_promoter >= 0)
    keys = hits.allele * n_genes + of_promoter
    promoters = promoters[~np.isin(keys[promoters], hits.allele[linked] * n_genes + gene)]
    nowhere = np.setdiff1d(np.arange(alleles), hits.allele)
    hit = np.concatenate([linked, lonely, promoters, np.full(len(nowhere), -1)])
    rows = Rows(
        np.concatenate([hits.allele[linked], hits.allele[lonely], hits.allele[promoters], nowhere]),
        hit,
        np.concatenate([pair, np.full(len(hit) - len(pair), -1)]),
        np.concatenate([gene, np.full(len(lonely), -1), of_promoter[promoters], np.full(len(nowhere), -1)]),
    )
    of_gene = np.zeros(len(hit), dtype=bool)
    of_gene[len(linked) + len(lonely) :] = True
    order = np.lexsort((rows.gene, rows.hit, of_gene, rows.allele))
    return Rows(*(values[order] for values in rows))


def items_of(hits: Hits, rows: Rows, dataset: Dataset, scored: np.ndarray) -> tuple[np.ndarray, Items, dict[int, str]]:
    """What is to be predicted: keys (K,) ascending and their items; and keys that cannot be, each with the reason.

    ``scored`` (g,) are the genes that some model scores.
    """
    n_genes = dataset.n_genes
    linked, of_promoter = np.flatnonzero(rows.pair >= 0), hits.gene(n_genes)
    promoters = np.flatnonzero(of_promoter >= 0)
    hit = np.concatenate([rows.hit[linked], promoters])
    pair = np.concatenate([rows.pair[linked], np.full(len(promoters), -1)])
    gene = np.concatenate([rows.gene[linked], of_promoter[promoters]])
    key = hits.allele[hit] * n_genes + gene
    wrong = hits.status[hit] != SCORED
    unusable = dict(zip(key[wrong].tolist(), hits.status[hit[wrong]].tolist(), strict=True))
    kept = np.flatnonzero(np.isin(gene, scored) & ~np.isin(key, key[wrong]))
    keys, item = np.unique(key[kept], return_inverse=True)
    order = np.lexsort((pair[kept], item))
    hit, pair = hit[kept][order], pair[kept][order]
    return keys, Items(keys % n_genes, item[order], pair, hits.codes[hit], hits.factor[hit]), unusable


def table_of(
    alleles: pd.DataFrame,
    located: Located,
    hits: Hits,
    rows: Rows,
    dataset: Dataset,
    predicted: Predicted | None,
    provenance: pd.DataFrame,
) -> pd.DataFrame:
    """The table, as `epinformer.scoring.variants.variant_tables` describes it.

    Parameters
    ----------
    alleles
        Of the chunk.
    located, hits, rows
        Which of them are where, and what each row is about.
    dataset
        With the pairs that rows name.
    predicted
        Of expression; None without expression models.
    provenance
        fold, models and held_out by number of the gene, for those that are scored.
    """
    n_genes = dataset.n_genes
    key, held = rows.key(n_genes), rows.hit >= 0
    of_promoter = hits.gene(n_genes)
    # One more for row -1: what nothing holds has none of it.
    sequence = np.append(hits.sequence, 0)[rows.hit]
    element = np.where(held & (sequence >= n_genes), sequence - n_genes, -1)
    before, after, of_activity = (
        _taken(values, rows.hit) for values in (hits.activities.before, hits.activities.after, hits.activities.models)
    )
    activity_models = np.nan_to_num(of_activity).astype(np.int64)
    effects = np.full((3, len(key)), np.nan)
    done = activity_models > 0
    if predicted is not None:
        found = np.isin(key, predicted.key)
        effects[:, found] = np.stack(predicted.effects)[:, np.searchsorted(predicted.key, key[found])]
        done = np.where(rows.gene >= 0, found, done)
    about = provenance.reindex(np.where(np.isfinite(effects[0]), rows.gene, -1)).reset_index(drop=True)
    start = np.where(rows.gene >= 0, alleles["start"].to_numpy(np.int64)[rows.allele], 0)
    offset = start - dataset.genes["tss"].to_numpy(np.int64)[rows.gene]
    offset = np.where(dataset.genes["strand"].to_numpy()[rows.gene] == "-", -offset, offset)
    paired = np.append(dataset.pairs["distance"].to_numpy(np.int64), 0)[rows.pair]
    distance = pd.arrays.IntegerArray(np.where(rows.pair >= 0, paired, offset), rows.gene < 0)
    models = about["models"].fillna(0).to_numpy(np.int64)
    columns = {name: alleles[name].array.take(rows.allele) for name in ("chrom", "pos", "id", "ref", "alt")}
    columns["status"] = pd.array(_words(located, hits, rows, key, done, predicted), dtype="str")
    columns["element_id"] = dataset.elements["element_id"].array.take(element, allow_fill=True)
    columns |= {name: dataset.genes[name].array.take(rows.gene, allow_fill=True) for name in ("gene_id", "gene_name")}
    columns["distance"] = distance
    columns["promoter"] = np.isin(key, (hits.allele * n_genes + of_promoter)[of_promoter >= 0])
    columns |= {"activity_ref": before, "activity_alt": after, "activity_change": after - before}
    columns["expression_ref"] = effects[0]
    columns |= {"effect_sequence": effects[1] - effects[0], "effect": effects[2] - effects[0]}
    columns |= {"fold": about["fold"].array, "models": models, "activity_models": activity_models}
    columns["held_out"] = _all_held_out(about["held_out"], models, hits, rows, activity_models)
    return pd.DataFrame(columns)


def _taken(values: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Values of these hits, float64; NaN for hit -1."""
    found: np.ndarray = np.append(np.asarray(values, dtype=np.float64), np.nan)[hit]
    return found


def _words(
    located: Located, hits: Hits, rows: Rows, key: np.ndarray, done: np.ndarray, predicted: Predicted | None
) -> np.ndarray:
    """The status of each row."""
    words = np.where(done, SCORED, NOT_HELD_OUT).astype(object)
    if not hits.activities.any_model:
        words[rows.gene < 0] = NO_GENE
    nowhere = rows.hit < 0
    why = np.where(located.status == "", NO_ELEMENT, located.status)
    words[nowhere] = why[rows.allele[nowhere]]
    own = np.append(hits.status, SCORED)[rows.hit]
    words[own != SCORED] = own[own != SCORED]
    if predicted is not None and predicted.unusable:
        for row in np.flatnonzero(np.isin(key, list(predicted.unusable)) & (own == SCORED)).tolist():
            words[row] = predicted.unusable[int(key[row])]
    return words


def _all_held_out(about: pd.Series, models: np.ndarray, hits: Hits, rows: Rows, activity_models: np.ndarray) -> Any:
    """Whether all models of a row had held out its chromosome; missing where one does not say, or there is none."""
    of_gene, of_activity = models > 0, activity_models > 0
    of_hit = pd.Series(pd.array(hits.activities.held_out, dtype="boolean").take(rows.hit, allow_fill=True))
    both = about.astype("boolean").mask(~of_gene, True) & of_hit.mask(~of_activity, True)
    return both.mask(~of_gene & ~of_activity, pd.NA).array
