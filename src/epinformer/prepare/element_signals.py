"""Signals and activity of elements and of the genes' promoters."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from epinformer.config import PrepareConfig
from epinformer.inputs.regions import aligned_counts, refuse
from epinformer.prepare.activity import activity, activity_signals, activity_words, promoter_counts, rpm
from epinformer.prepare.candidates import element_classes
from epinformer.prepare.element_regions import PROMOTER_FLANK, Regions, tss_windows
from epinformer.prepare.elements import element_table
from epinformer.prepare.genes import Genes
from epinformer.prepare.quantiles import quantile_normalised, read_quantile_reference
from epinformer.prepare.signals import Measured, mean_of, measured
from epinformer.prepare.steps import Share
from epinformer.settings import CountedReplicate

logger = logging.getLogger(__name__)


class Signals(NamedTuple):
    """Genes and elements with signals and activity, and table.column -> how it was made."""

    genes: pd.DataFrame
    elements: pd.DataFrame
    words: dict[str, str]


def with_signals(
    config: PrepareConfig,
    gene_input: Genes,
    regions: Regions,
    lengths: Mapping[str, int],
    counted: Mapping[Path, pd.DataFrame],
    share: Share,
) -> Signals:
    """Measure every signal over the elements and over the genes' promoters.

    Parameters
    ----------
    config
        Its `signals` and `activity`.
    gene_input
        The gene list.
    regions
        The elements' intervals as given; signals and classes are of these, not of what long ones are cut to.
    lengths
        Chromosome -> bp, empty if unknown.
    counted
        The signals' counted tables (`prepare.check.Check.counted`).
    share
        Progress (one step).

    Returns
    -------
    Signals
        genes with `promoter_<signal>_rpm` and promoter_activity; elements with class, `<signal>_rpm`, where activity is
        quantile normalised `<signal>_normalized`, and activity.

    Raises
    ------
    InputError
        A file cannot be read, or was counted over other regions.
    """
    genes, bodies = gene_input.table, gene_input.bodies
    elements = element_table(regions.table, regions.path)
    windows = tss_windows(genes, PROMOTER_FLANK, lengths)
    # Windows around the TSS that are given are those that count.
    promoters = windows if bodies else genes[["chrom", "start", "end"]].reset_index(drop=True)
    element_rpm, promoter_rpm, words = _measured(config, gene_input, regions, promoters, counted, share)
    classes = element_classes(regions.table, windows, genes if bodies else genes.iloc[:0])
    words["class"] = f"promoter: overlaps TSS ± {PROMOTER_FLANK} of a gene" + (
        "; genic: overlaps a gene body; else intergenic" if bodies else "; else intergenic, gene bodies not being known"
    )
    elements = elements.assign(**{"class": classes})
    elements = elements.assign(**{f"{name}_rpm": values for name, values in element_rpm.items()})
    names = list(config.signals)
    acting, suffix = element_rpm, "rpm"
    if config.activity.quantile_reference is not None:
        acting, suffix = _normalised(config, element_rpm, classes == "promoter", words), "normalized"
        elements = elements.assign(**{f"{name}_normalized": values for name, values in acting.items()})
    words["activity"] = activity_words(list(acting), config.accessibility, suffix=suffix)
    words["promoter_activity"] = activity_words(names, config.accessibility, "promoter_")
    logger.info("activity is %s", words["activity"])
    elements = elements.assign(activity=activity(acting, config.accessibility))
    genes = genes.assign(
        **{f"promoter_{name}_rpm": values for name, values in promoter_rpm.items()},
        promoter_activity=activity(promoter_rpm, config.accessibility),
    )
    return Signals(genes, elements, words)


def _normalised(
    config: PrepareConfig, found: Mapping[str, np.ndarray], is_promoter: np.ndarray, words: dict[str, str]
) -> dict[str, np.ndarray]:
    """The signals that activity is made of, each with the distribution of the reference; says so in ``words``."""
    settings = config.activity
    path = config.path(str(settings.quantile_reference))
    names = activity_signals(found, config.accessibility)
    reference = read_quantile_reference(path, names, separate_promoters=settings.separate_promoters)
    apart = ", promoters and other elements apart" if settings.separate_promoters else ""
    classes = is_promoter if settings.separate_promoters else None
    for name in names:
        words[f"{name}_normalized"] = f"{name}_rpm with the distribution of {path.name}{apart}"
    return {name: quantile_normalised(found[name], reference, name, classes) for name in names}


def _measured(
    config: PrepareConfig,
    gene_input: Genes,
    regions: Regions,
    promoters: pd.DataFrame,
    counted: Mapping[Path, pd.DataFrame],
    share: Share,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, str]]:
    """RPM of each signal over the elements and over the promoters, and how they were made."""
    raw = {
        name: [item for item in replicates if not isinstance(item, CountedReplicate)]
        for name, replicates in config.signals.items()
    }
    # Both kinds of regions at once, so that every file is read once.
    over = pd.concat([regions.table[["chrom", "start", "end"]], promoters], ignore_index=True)
    found = measured(config, raw, over, share.report)
    element_rpm, promoter_rpm, words = {}, {}, {}
    for name, replicates in config.signals.items():
        of_elements, of_promoters = [], []
        left = iter(found[name])
        for replicate in replicates:
            if isinstance(replicate, CountedReplicate):
                counts = _counts(config, gene_input, regions, counted, replicate)
                total = f"{replicate.total_reads:,.10g} reads"
                values = [rpm(items, replicate.total_reads) for items in counts]
            else:
                both = next(left)
                values, total = [both.rpm[: len(regions.table)], both.rpm[len(regions.table) :]], both.total
            of_elements.append(Measured(values[0], total))
            of_promoters.append(Measured(values[1], total))
        element_rpm[name], words[f"{name}_rpm"] = mean_of(of_elements)
        promoter_rpm[name], words[f"promoter_{name}_rpm"] = mean_of(of_promoters)
    return element_rpm, promoter_rpm, words


def _counts(
    config: PrepareConfig,
    gene_input: Genes,
    regions: Regions,
    counted: Mapping[Path, pd.DataFrame],
    replicate: CountedReplicate,
) -> tuple[np.ndarray, np.ndarray]:
    """What an experiment's tables hold over the elements and over the promoters."""
    path, promoters = config.path(replicate.elements), config.path(replicate.promoters)
    for file in (path, promoters):
        _refuse_total(counted[file], file, replicate)
    tss: Literal["strand", "center"] = "strand" if gene_input.bodies else "center"
    return (
        aligned_counts(counted[path], regions.table, path, regions.path),
        promoter_counts(counted[promoters], gene_input.table, tss, promoters, gene_input.path),
    )


def _refuse_total(counts: pd.DataFrame, path: Path, replicate: CountedReplicate) -> None:
    """No region can have more reads than the library."""
    refuse(
        counts,
        counts["count"] > replicate.total_reads,
        path,
        f"has more reads in one region than total_reads ({replicate.total_reads:,.10g})",
        "Give the library's total in reads, not in millions",
    )
