"""The activity-by-contact score of pairs: activity x contact over the sum of it over all candidates of the gene."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.prepare.contact import ContactSource, powerlaw_contact
from epinformer.prepare.pairs import neighbours, rows_by_chromosome
from epinformer.prepare.steps import Progress
from epinformer.settings import AbcConfig

logger = logging.getLogger(__name__)

# The power law's scale against its gamma, fitted over Hi-C maps of many kinds of cells by the authors of the ABC model.
_SCALE_AT_ZERO = -4.80
_SCALE_PER_GAMMA = 11.63

# Pairs whose contact is asked for at once: bounds the memory, whatever their number.
_CHUNK_PAIRS = 1_000_000


class AbcSums(NamedTuple):
    """What the score of a gene's pairs is relative to.

    Attributes
    ----------
    denominators
        float64 (number of genes,): sum of activity x contact over all candidates within the window, 0 for a gene
        without any.
    weak
        bool (number of genes,): genes whose contact with their own promoter is too low to be true, so that all their
        pairs take the power law. None of them where contact is the power law anyhow.
    candidates
        Number of pairs within the window.
    missing
        How many of these the contacts had nothing for, and took the power law.
    """

    denominators: np.ndarray
    weak: np.ndarray
    candidates: int
    missing: int


class AbcPairs(NamedTuple):
    """Scores of pairs.

    Attributes
    ----------
    contact
        float64 (number of pairs,): the contact that the score is made of.
    score
        float64 (number of pairs,), in 0..1.
    self_promoter
        bool (number of pairs,): whether the element is the gene's own promoter.
    """

    contact: np.ndarray
    score: np.ndarray
    self_promoter: np.ndarray


def abc_contact(contact: np.ndarray, distance: np.ndarray, settings: AbcConfig) -> np.ndarray:
    """Contact as the activity-by-contact score takes it (Fulco et al., Nature Genetics 2019, and its release 1).

    contact * reference(d) / expected(d) + expected(max(d, pseudocount_distance)), where expected is the map's own power
    law, and reference the one of ``reference_gamma`` with the scale 11.63 * reference_gamma - 4.80. Without
    ``scale_powerlaw`` the quotient is left out.

    Parameters
    ----------
    contact
        Measured, (n,); NaN stays NaN.
    distance
        |element midpoint - TSS| in bp, (n,), half a base of it counting.

    Returns
    -------
    ndarray
        float64 (n,), without unit.
    """
    scaled = np.asarray(contact, dtype=np.float64)
    if settings.scale_powerlaw:
        scale = _SCALE_AT_ZERO + _SCALE_PER_GAMMA * settings.reference_gamma
        reference = powerlaw_contact(distance, gamma=settings.reference_gamma, scale=scale)
        scaled = scaled * reference / _expected(distance, settings)
    adjusted: np.ndarray = scaled + _expected(np.maximum(distance, settings.pseudocount_distance), settings)
    return adjusted


def self_promoters(start: np.ndarray, end: np.ndarray, tss: np.ndarray, slop: int) -> np.ndarray:
    """Whether elements are the gene's own promoter: they come within ``slop`` bp of its TSS.

    start - slop < TSS < end + slop, which is to overlap TSS ± slop by a base. The ABC model also asks for the class
    promoter, which every such element has, as the class is that of TSS ± 500 of all genes.

    Parameters
    ----------
    start, end
        The elements' intervals as given, before long ones are cut, int64 (n,).
    tss
        0-based, int64 (n,).

    Returns
    -------
    ndarray
        bool (n,).
    """
    own: np.ndarray = (start - slop < tss) & (tss < end + slop)
    return own


def abc_sums(
    genes: pd.DataFrame,
    candidates: pd.DataFrame,
    activity: np.ndarray,
    source: ContactSource | None,
    settings: AbcConfig,
    progress: Progress | None = None,
) -> AbcSums:
    """Sum activity x contact over the candidates of each gene: those less than ``window`` bp from its TSS.

    Parameters
    ----------
    genes
        chrom, tss (0-based).
    candidates
        chrom, start, end (0-based half-open) of all candidate elements, those at the TSS included; the intervals as
        given, before long ones are cut.
    activity
        (number of candidates,), 0 or more.
    source
        Contact of any two positions. None: contact is the power law of distance, neither scaled nor with a
        pseudocount.
    settings
        `window`, the power law and what is done to contact.
    progress
        Called with (genes done, all genes).

    Returns
    -------
    AbcSums
        Taken over all genes at once, a part of the pairs at a time.
    """
    denominators, weak = np.zeros(len(genes)), np.zeros(len(genes), dtype=bool)
    pairs = missing = done = 0
    start, end = (candidates[name].to_numpy(np.int64) for name in ("start", "end"))
    tss, chroms = genes["tss"].to_numpy(np.int64), genes["chrom"].to_numpy(dtype=object)
    for gene, element, offset in neighbours(genes, candidates, settings.window):
        distance = _distance(start[element], end[element], tss[gene])
        near = distance < settings.window
        gene, element, distance, position = gene[near], element[near], distance[near], (tss[gene] + offset)[near]
        if not len(gene):
            continue
        if source is None:
            contact = _expected(distance, settings)
        else:
            measured = source.contact(str(chroms[gene[0]]), tss[gene], position)
            missing += int(np.isnan(measured).sum())
            own = self_promoters(start[element], end[element], tss[gene], settings.tss_slop)
            weak |= _weak_genes(gene[own], measured[own], len(genes), settings)
            contact = _used_contact(measured, distance, weak[gene], settings)
        denominators += np.bincount(gene, weights=activity[element] * contact, minlength=len(genes))
        pairs += len(gene)
        done += len(np.unique(gene))
        if progress is not None:
            progress(done, len(genes))
    if source is not None:
        logger.info(
            "%s of %s candidates of the genes have no contact in %s and take the power law, and so do all of %s genes "
            "whose contact with their own promoter is below %s",
            f"{missing:,}",
            f"{pairs:,}",
            source.words,
            f"{weak.sum():,}",
            settings.weak_gene,
        )
    return AbcSums(denominators, weak, pairs, missing)


def abc_pairs(
    pairs: pd.DataFrame,
    genes: pd.DataFrame,
    candidates: pd.DataFrame,
    activity: np.ndarray,
    sums: AbcSums,
    source: ContactSource | None,
    settings: AbcConfig,
) -> AbcPairs:
    """Score pairs as the activity-by-contact pipeline does (its release 1).

    Parameters
    ----------
    pairs
        gene_index, element_index: rows of ``genes`` and of ``candidates``. They need not be all pairs.
    genes, candidates, activity, source, settings
        As `abc_sums` got them; of the candidates those that the pairs point into will do, with their activity.
    sums
        What `abc_sums` gave for these genes.

    Returns
    -------
    AbcPairs
        The score is activity x contact over the gene's sum: 0 where all candidates of the gene are inactive, and for
        pairs as far apart as the window or farther. A gene's own promoter has the score 1, whatever its share is, and
        its share counts in the sum like any other.
    """
    gene, element = pairs["gene_index"].to_numpy(np.int64), pairs["element_index"].to_numpy(np.int64)
    start, end = (candidates[name].to_numpy(np.int64)[element] for name in ("start", "end"))
    tss = genes["tss"].to_numpy(np.int64)[gene]
    distance = _distance(start, end, tss)
    if source is None:
        contact = _expected(distance, settings)
    else:
        contact = np.empty(len(pairs))
        for chrom, rows in rows_by_chromosome(genes.iloc[gene]).items():
            for first in range(0, len(rows), _CHUNK_PAIRS):
                part = rows[first : first + _CHUNK_PAIRS]
                measured = source.contact(chrom, tss[part], (start[part] + end[part]) // 2)
                contact[part] = _used_contact(measured, distance[part], sums.weak[gene[part]], settings)
    total = sums.denominators[gene]
    near = (distance < settings.window) & (total > 0)
    score = np.divide(activity[element] * contact, total, out=np.zeros(len(pairs)), where=near)
    own = self_promoters(start, end, tss, settings.tss_slop)
    score[own] = 1.0
    return AbcPairs(contact, score, own)


def _distance(start: np.ndarray, end: np.ndarray, tss: np.ndarray) -> np.ndarray:
    """|midpoint - TSS| in bp, float64, to half a base."""
    distance: np.ndarray = np.abs((start + end) / 2 - tss)
    return distance


def _expected(distance: np.ndarray, settings: AbcConfig) -> np.ndarray:
    return powerlaw_contact(distance, gamma=settings.gamma, scale=settings.scale)


def _used_contact(measured: np.ndarray, distance: np.ndarray, weak: np.ndarray, settings: AbcConfig) -> np.ndarray:
    """Contact for the score, of the power law where none is measured or the gene's is not trusted."""
    trusted = np.where(weak | np.isnan(measured), _expected(distance, settings), measured)
    return abc_contact(trusted, distance, settings)


def _weak_genes(gene: np.ndarray, contact: np.ndarray, n_genes: int, settings: AbcConfig) -> np.ndarray:
    """Genes whose contacts with their own promoter's elements add up to too little, missing ones to nothing."""
    sums = np.bincount(gene, weights=np.nan_to_num(contact, nan=0.0), minlength=n_genes)
    weak: np.ndarray = (np.bincount(gene, minlength=n_genes) > 0) & (sums < settings.weak_gene)
    return weak
