"""The regions that become elements: of a table, those that were counted, or made around peaks."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.config import PrepareConfig
from epinformer.errors import InputError
from epinformer.inputs.chromosomes import in_style
from epinformer.inputs.peaks import read_peaks
from epinformer.inputs.reads import read_format
from epinformer.inputs.regions import read_regions, refuse
from epinformer.prepare.candidates import candidate_regions, overlapping
from epinformer.prepare.macs import call_peaks
from epinformer.prepare.signals import mean_of, measured
from epinformer.prepare.steps import Filters, Share
from epinformer.settings import CountedReplicate, ElementsConfig, ReadsReplicate

logger = logging.getLogger(__name__)

# Assemblies whose size MACS knows by a name of its own.
_MACS_SIZES = {"hg": "hs", "grch": "hs", "mm": "mm", "grcm": "mm"}
PROMOTER_FLANK = 500
"""The window of a gene's promoter signals is its TSS ± this many bp; elements that it overlaps are promoters."""

# Of the bases of a genome, so many can be mapped to; what MACS wants is that number.
_MAPPABLE = 0.9


class Regions(NamedTuple):
    """The elements' intervals.

    Attributes
    ----------
    table
        chrom, start, end (0-based half-open), in the style of the genes; also count where the intervals are of counts.
    path
        The file they are from, for messages.
    words
        How they were made.
    """

    table: pd.DataFrame
    path: Path
    words: str


def element_regions(
    config: PrepareConfig,
    genes: pd.DataFrame,
    lengths: Mapping[str, int],
    counted: Mapping[Path, pd.DataFrame],
    filters: Filters,
    share: Share,
) -> Regions:
    """Read or make the regions that the configuration asks for.

    Parameters
    ----------
    config
        Its `elements` and `signals`.
    genes
        chrom and tss of all genes; the former's style is kept.
    lengths
        Chromosome -> bp, empty if unknown.
    counted
        The signals' counted tables (`prepare.check.Check.counted`).
    filters, share
        Record of what is dropped, and progress (one step).

    Raises
    ------
    InputError
        A file cannot be read, has other chromosomes than the genes, or no program to call peaks is there.
    """
    regions = _candidates(config, genes, lengths, counted, filters, share)
    if config.elements is None or config.elements.tested is None:
        return regions
    path = config.path(config.elements.tested)
    tested = in_style(read_regions(path), genes, path).drop_duplicates(["chrom", "start", "end"])
    if config.genome is not None and config.genome.outside == "error":
        refuse(
            tested,
            (tested["end"] > tested["chrom"].map(dict(lengths)).fillna(np.inf)).to_numpy(bool),
            path,
            "has regions beyond the ends of their chromosomes",
            "Use a genome of the same assembly, or drop what lies outside with `genome: {outside: drop}`",
        )
    alone = filters.keep("tested regions", "overlapping a candidate element", ~overlapping(tested, regions.table))
    table = pd.concat([regions.table[["chrom", "start", "end"]], tested[alone]], ignore_index=True)
    words = f"{regions.words}; and the regions of {path.name} that overlap none of these"
    return Regions(table, regions.path, words)


def _candidates(
    config: PrepareConfig,
    genes: pd.DataFrame,
    lengths: Mapping[str, int],
    counted: Mapping[Path, pd.DataFrame],
    filters: Filters,
    share: Share,
) -> Regions:
    path = _table_path(config)
    if path is not None:
        table = counted[path] if config.elements is None else in_style(read_regions(path), genes, path)
        _check_chromosomes(table, genes, path, config)
        return Regions(table, path, "intervals as given")
    settings = config.elements or ElementsConfig()
    if settings.peaks is not None:
        return _around_peaks(config, settings, config.path(settings.peaks), genes, lengths, filters, share)
    with tempfile.TemporaryDirectory(prefix="epinformer-peaks-") as folder:
        reads = [
            config.path(replicate.reads)
            for replicate in config.signals[config.accessibility]
            if isinstance(replicate, ReadsReplicate)
        ]
        if not reads:
            raise InputError(
                f"peaks cannot be called: {config.accessibility} has no reads",
                source="elements",
                fix="Give elements.peaks or elements.table",
            )
        fragments = [file for file in reads if read_format(file) == "fragments"]
        if fragments:
            # MACS would take their starts for those of reads on the forward strand.
            raise InputError(
                "holds fragments, on which peaks cannot be called here",
                source=fragments[0],
                count=len(fragments),
                fix="Call peaks with a program that knows fragments, and give elements.peaks",
            )
        logger.info("calling peaks on %s", ", ".join(file.name for file in reads))
        called = call_peaks(reads, _genome_size(config, lengths), Path(folder))
        return _around_peaks(config, settings, called, genes, lengths, filters, share)


def _table_path(config: PrepareConfig) -> Path | None:
    """The file whose rows are the elements, if there is one."""
    if config.elements is not None:
        return None if config.elements.table is None else config.path(config.elements.table)
    counted = [
        replicate
        for replicates in config.signals.values()
        for replicate in replicates
        if isinstance(replicate, CountedReplicate)
    ]
    return config.path(counted[0].elements) if counted else None


def _around_peaks(
    config: PrepareConfig,
    settings: ElementsConfig,
    path: Path,
    genes: pd.DataFrame,
    lengths: Mapping[str, int],
    filters: Filters,
    share: Share,
) -> Regions:
    """Candidates around the strongest peaks."""
    peaks = in_style(read_peaks(path), genes, path)
    _check_chromosomes(peaks, genes, path, config)
    raw = [item for item in config.signals[config.accessibility] if not isinstance(item, CountedReplicate)]
    reads = mean_of(measured(config, {config.accessibility: raw}, peaks, share.report)[config.accessibility])
    added = []
    if settings.promoters:
        added.append(tss_windows(genes, settings.flank, lengths))
    for name in (settings.include, settings.blocklist):
        if name is not None:
            added.append(in_style(read_regions(config.path(name)), genes, config.path(name)))
    blocklist = added.pop() if settings.blocklist is not None else None
    table = candidate_regions(
        peaks,
        reads.rpm,
        lengths or None,
        strongest=settings.strongest,
        flank=settings.flank,
        blocklist=blocklist,
        include=pd.concat(added, ignore_index=True) if added else None,
        filters=filters,
        path=path,
    )
    promoters = f", with TSS ± {settings.flank} of all genes" if settings.promoters else ""
    included = " and the include list" if settings.include is not None else ""
    listed = ", without those that overlap the blocklist" if settings.blocklist is not None else ""
    words = (
        f"summit ± {settings.flank} bp of the {settings.strongest:,} strongest peaks by {config.accessibility} reads"
        f"{listed}{promoters}{included}, overlapping ones merged"
    )
    return Regions(table, path, words)


def tss_windows(genes: pd.DataFrame, flank: int, lengths: Mapping[str, int]) -> pd.DataFrame:
    """TSS ± flank of each gene, cut where the chromosome ends: chrom, start, end (0-based half-open), genes' order."""
    tss = genes["tss"].to_numpy(np.int64)
    ends = genes["chrom"].map(dict(lengths)).fillna(np.iinfo(np.int64).max // 2).to_numpy(np.int64)
    start, end = (tss - flank).clip(0), np.minimum(tss + flank, ends)
    return pd.DataFrame({"chrom": genes["chrom"].to_numpy(), "start": start, "end": np.maximum(end, start + 1)})


def _genome_size(config: PrepareConfig, lengths: Mapping[str, int]) -> str:
    """The mappable size as MACS takes it."""
    name = config.assembly.lower()
    known = [size for start, size in _MACS_SIZES.items() if name.startswith(start)]
    if known:
        return known[0]
    if not lengths:
        raise InputError(
            f"peaks cannot be called: the size of {config.assembly} is not known",
            source="elements",
            fix="Give chrom_sizes, or elements.peaks",
        )
    return str(round(_MAPPABLE * sum(lengths.values())))


def _check_chromosomes(regions: pd.DataFrame, genes: pd.DataFrame, path: Path, config: PrepareConfig) -> None:
    """Refuse regions that share no chromosome with the genes, and say which genes can have no pairs."""
    alone = genes["chrom"][~genes["chrom"].isin(regions["chrom"].unique())]
    if len(alone) == len(genes):
        raise InputError(
            f"shares no chromosome with {config.path(config.genes.table).name}",
            source=path,
            first=f"{regions['chrom'].iloc[0]} here, {genes['chrom'].iloc[0]} there",
            fix="Use one assembly and one style of chromosome names",
        )
    if len(alone):
        logger.warning(
            "%s has no element on %s, where %s of %s genes are",
            path.name,
            ", ".join(alone.unique()),
            f"{len(alone):,}",
            f"{len(genes):,}",
        )
