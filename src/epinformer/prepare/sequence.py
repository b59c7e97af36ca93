"""Genes and elements against the genome: what lies outside it, and the stream of their bases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.dataset.store import SEQUENCE_LENGTH
from epinformer.errors import InputError
from epinformer.inputs.genome import Genome
from epinformer.inputs.regions import region_names
from epinformer.prepare.pairs import rows_by_chromosome
from epinformer.prepare.steps import Filters, Share

_PROMOTER_FLANK = SEQUENCE_LENGTH // 2
# Sequences between two progress reports.
_REPORT_EVERY = 500


def genes_with_surroundings(genes: pd.DataFrame, genome: Genome, max_distance: int) -> np.ndarray:
    """Which genes the genome covers with all that they may be paired with, bool (number of genes,).

    In a locus, TSS ± (max_distance + 1,000) must lie inside, so that no gene loses elements at the locus's edge. Of a
    whole chromosome, the TSS must lie on it.
    """
    tss = genes["tss"].to_numpy(np.int64)
    reach = max_distance + _PROMOTER_FLANK
    covered = np.zeros(len(genes), dtype=bool)
    for chrom, rows in rows_by_chromosome(genes).items():
        span = genome.span(chrom)
        if span is None:
            continue
        if span.is_locus:
            covered[rows] = genome.contains(chrom, tss[rows] - reach, tss[rows] + reach)
        else:
            covered[rows] = tss[rows] < span.end
    return covered


def genes_with_promoter(genes: pd.DataFrame, genome: Genome) -> np.ndarray:
    """Which genes have a TSS on the genome and TSS ± 1,000 inside it or beyond a chromosome's end, bool (genes,)."""
    tss = genes["tss"].to_numpy(np.int64)
    chrom = genes["chrom"].to_numpy(dtype=object)
    inside: np.ndarray = genome.contains(chrom, tss, tss + 1)
    window: np.ndarray = genome.available(chrom, tss - _PROMOTER_FLANK, tss + _PROMOTER_FLANK)
    return inside & window


def intervals_inside(intervals: pd.DataFrame, genome: Genome) -> np.ndarray:
    """Which intervals (chrom, start, end) lie wholly in the genome, bool (number of intervals,)."""
    inside: np.ndarray = genome.contains(
        intervals["chrom"].to_numpy(dtype=object), intervals["start"].to_numpy(), intervals["end"].to_numpy()
    )
    return inside


def drop_outside(
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    given: pd.DataFrame,
    genome: Genome,
    max_distance: int,
    filters: Filters,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep only the genes and elements that the genome covers.

    `given` has the elements' intervals before long ones were cut. These must lie on a whole chromosome; of a locus,
    which says nothing of the chromosome's end, what is left after cutting must lie in it.
    """
    kept = filters.keep("genes", "outside the genome", genes_with_surroundings(genes, genome, max_distance))
    spans = {chrom: genome.span(chrom) for chrom in elements["chrom"].unique()}
    loci = [chrom for chrom, span in spans.items() if span is not None and span.is_locus]
    inside = intervals_inside(elements, genome)
    inside &= intervals_inside(given, genome) | elements["chrom"].isin(loci).to_numpy()
    inside = filters.keep("elements", "outside the genome", inside)
    return genes[kept], elements[inside]


def refuse_outside(
    genes: pd.DataFrame, given: pd.DataFrame, genome: Genome, gene_path: Path, element_path: Path
) -> None:
    """Raise InputError if a promoter or an element, as it is given and not as it is cut, lies outside the genome."""
    named = genes["gene_id"] + " with its TSS at " + genes["chrom"] + ":" + genes["tss"].astype("str")
    refuse_uncovered("genes", named, genes["chrom"], genes_with_promoter(genes, genome), genome, gene_path)
    inside = intervals_inside(given, genome)
    refuse_uncovered("elements", region_names(given), given["chrom"], inside, genome, element_path)


def refuse_uncovered(
    what: str,
    names: pd.Series,
    chroms: pd.Series,
    inside: np.ndarray,
    genome: Genome,
    path: Path,
    *,
    fix: str = "Use a genome of the same assembly, or drop what lies outside with `genome: {outside: drop}`",
) -> None:
    """Raise InputError unless all are inside the genome, naming the first that is not and what the genome has there."""
    if inside.all():
        return
    row = int((~inside).argmax())
    chrom = str(chroms.iloc[row])
    span = genome.span(chrom)
    if span is None:
        reason = f"{genome.path.name} has no {chrom}"
    elif span.is_locus:
        reason = f"{genome.path.name} holds {chrom}:{span.start}-{span.end}"
    else:
        reason = f"{chrom} of {genome.path.name} ends at {span.end:,}"
    raise InputError(
        f"has {what} outside the genome",
        source=path,
        count=int((~inside).sum()),
        first=f"{names.iloc[row]}, but {reason}",
        fix=fix,
    )


def sequence_stream(genes: pd.DataFrame, elements: pd.DataFrame, genome: Genome, share: Share) -> Iterator[np.ndarray]:
    """Codes of all promoters (TSS - 1,000 to TSS + 1,000, forward strand), then of all elements, one array each.

    Yields
    ------
    ndarray
        uint8 (2000,) for a promoter, (end - start,) for an element.
    """
    chroms = [*genes["chrom"], *elements["chrom"]]
    starts = [*(genes["tss"] - _PROMOTER_FLANK), *elements["start"]]
    ends = [*(genes["tss"] + _PROMOTER_FLANK), *elements["end"]]
    for done, (chrom, start, end) in enumerate(zip(chroms, starts, ends, strict=True)):
        if done % _REPORT_EVERY == 0:
            share.report(done, len(chroms))
        yield genome.codes(chrom, int(start), int(end))
