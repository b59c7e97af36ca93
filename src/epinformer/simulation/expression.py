"""Gene expression from promoters, elements and half-life, and what removing an element does to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.simulation.layout import World
from epinformer.simulation.model import FARTHEST, NEAREST, Model

# Effects on log expression, in the order of the terms, of features that have been z-scored.
HALF_LIFE_EFFECTS = {"UTR3LEN": -0.6, "ORFEXONDENSITY": 0.6, "UTR5GC": -0.4, "CDSGC": 0.3}

_GC = {"UTR5GC": (0.60, 0.13), "CDSGC": (0.53, 0.07), "UTR3GC": (0.43, 0.09)}
# CAGE reads of a gene of 1 RPKM, and the standard deviation of log10 reads that RNA does not share.
_CAGE_READS, _CAGE_SD = 20.0, 0.15


class Terms(NamedTuple):
    """The parts of log10 RPKM, float64 (genes,) each; their sum is `log10_rpkm`.

    Attributes
    ----------
    promoter, elements, half_life, noise
        Each has mean 0 and the standard deviation that its share of the variance gives.
    log10_rpkm
        With noise, and the mean of all genes.
    noiseless
        `log10_rpkm` without noise.
    activity_sum
        Sum of activity x contact over the elements that act on the gene.
    promoter_slope
        log10 RPKM per log2 activity of the promoter.
    slope
        log10 RPKM per log2(1 + activity_sum / half_contact).
    """

    promoter: np.ndarray
    elements: np.ndarray
    half_life: np.ndarray
    noise: np.ndarray
    log10_rpkm: np.ndarray
    noiseless: np.ndarray
    activity_sum: np.ndarray
    promoter_slope: float
    slope: float


def acting_pairs(world: World) -> pd.DataFrame:
    """All pairs with |element midpoint - TSS| up to 100 kb.

    Returns
    -------
    DataFrame
        gene, element (rows of the world's tables), offset (midpoint - TSS along the chromosome, bp), acts (whether the
        offset is above 1 kb, as the model demands), sorted by gene and element.
    """
    genes, elements = world.genes, world.elements
    middle = (elements["start"].to_numpy() + elements["end"].to_numpy()) // 2
    # One axis for all chromosomes, with room between them.
    step = max(world.lengths.values()) + 2 * FARTHEST
    start = {chrom: number * step for number, chrom in enumerate(world.lengths)}
    places = middle + elements["chrom"].map(start).to_numpy(np.int64)
    tss = genes["tss"].to_numpy() + genes["chrom"].map(start).to_numpy(np.int64)
    order = np.argsort(places, kind="stable")
    low = np.searchsorted(places[order], tss - FARTHEST, side="left")
    count = np.searchsorted(places[order], tss + FARTHEST, side="right") - low
    gene = np.repeat(np.arange(len(genes)), count)
    within = np.arange(len(gene)) - np.repeat(np.cumsum(count) - count, count)
    element = order[np.repeat(low, count) + within]
    table = pd.DataFrame({"gene": gene, "element": element, "offset": places[element] - tss[gene]})
    table["acts"] = table["offset"].abs() > NEAREST
    return table.sort_values(["gene", "element"], ignore_index=True)


def half_life_table(genes: int, rng: np.random.Generator) -> pd.DataFrame:
    """The eight features of each gene, distributed about as human ones: z-scored log10 lengths, GC, exon density."""
    table = pd.DataFrame(index=range(genes))
    common = rng.standard_normal(genes)
    for name in HALF_LIFE_FEATURES[:4]:
        values = 0.4 * common + 0.9 * rng.standard_normal(genes)
        table[name] = (values - values.mean()) / values.std()
    for name, (mean, sd) in _GC.items():
        table[name] = rng.normal(mean, sd, genes).clip(0.1, 0.95).round(3)
    table["ORFEXONDENSITY"] = rng.gamma(3.2, 1.96, genes).round(2)
    return table[list(HALF_LIFE_FEATURES)]


def expression_terms(
    activity: np.ndarray,
    promoter: np.ndarray,
    pairs: pd.DataFrame,
    half_life: pd.DataFrame,
    model: Model,
    rng: np.random.Generator,
) -> Terms:
    """log10 RPKM of each gene.

    mean + a promoter + b log2(1 + sum of activity x contact / half_contact) + c half-life + noise, where a, b and c
    make the shares of the variance those of the model.

    Parameters
    ----------
    activity
        True log2 activity (elements,).
    promoter
        Row of each gene's own promoter element (genes,).
    pairs
        gene, element, acts, and true contact.
    half_life
        The eight features (genes,).
    model
        Its shares, half_contact, expression_mean and expression_sd.
    rng
        Source of the noise.
    """
    acting = pairs[pairs["acts"]]
    added = 2.0 ** activity[acting["element"]] * acting["contact"].to_numpy(np.float64)
    sums = np.bincount(acting["gene"], added, minlength=len(promoter))
    features = (half_life - half_life.mean()) / half_life.std(ddof=0)
    stable = sum(
        (effect * features[name] for name, effect in HALF_LIFE_EFFECTS.items()), start=pd.Series(0.0, features.index)
    )
    raw = (
        activity[promoter],
        np.log2(1 + sums / model.half_contact),
        stable.to_numpy(),
        rng.standard_normal(len(promoter)),
    )
    terms, slopes = [], []
    for values, share in zip(raw, model.shares, strict=True):
        slope = model.expression_sd * share**0.5 / values.std()
        slopes.append(slope)
        terms.append(slope * (values - values.mean()))
    noiseless = model.expression_mean + terms[0] + terms[1] + terms[2]
    return Terms(
        promoter=terms[0],
        elements=terms[1],
        half_life=terms[2],
        noise=terms[3],
        log10_rpkm=noiseless + terms[3],
        noiseless=noiseless,
        activity_sum=sums,
        promoter_slope=float(slopes[0]),
        slope=float(slopes[1]),
    )


def element_effects(pairs: pd.DataFrame, activity: np.ndarray, terms: Terms, model: Model) -> np.ndarray:
    """Change of log10 RPKM when the element of a pair is removed, float64 (pairs,); 0 for pairs that do not act."""
    return changed_activity(pairs, activity, np.full(len(pairs), -np.inf), terms, model)


def changed_activity(
    pairs: pd.DataFrame, activity: np.ndarray, changed: np.ndarray, terms: Terms, model: Model
) -> np.ndarray:
    """Change of log10 RPKM when an element's log2 activity becomes another, through its contact alone.

    Parameters
    ----------
    pairs
        gene, element, acts, contact.
    activity
        True log2 activity of all elements.
    changed
        log2 activity of the pair's element after the change (pairs,); -inf for none at all.
    terms, model
        Of the expression.
    """
    contact = pairs["contact"].to_numpy(np.float64) * pairs["acts"].to_numpy()
    before = terms.activity_sum[pairs["gene"]]
    after = before + contact * (2.0**changed - 2.0 ** activity[pairs["element"]])
    ratio = (1 + np.maximum(after, 0.0) / model.half_contact) / (1 + before / model.half_contact)
    effects: np.ndarray = terms.slope * np.log2(ratio)
    return effects


def label(log10_rpkm: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of log10(RPKM + 0.1), by which the RNA label is z-scored."""
    values = np.log10(10**log10_rpkm + 0.1)
    return float(values.mean()), float(values.std())


def z_scored(log10_rpkm: np.ndarray, mean: float, sd: float) -> np.ndarray:
    """The RNA label: z-scored log10(RPKM + 0.1)."""
    values: np.ndarray = (np.log10(10**log10_rpkm + 0.1) - mean) / sd
    return values


def cage_label(log10_rpkm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The CAGE label: log10(1 + reads), of Poisson reads that follow RNA with noise of their own."""
    expected = _CAGE_READS * 10 ** (log10_rpkm + _CAGE_SD * rng.standard_normal(len(log10_rpkm)))
    values: np.ndarray = np.log10(1.0 + rng.poisson(expected))
    return values
