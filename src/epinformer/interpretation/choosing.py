"""Which sequences are asked for: of a BED file, of genes, of the best links, or all elements of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.assemblies import assembly_lengths
from epinformer.dataset.store import SEQUENCE_LENGTH, Dataset
from epinformer.errors import InputError
from epinformer.inputs.chromosomes import other_style
from epinformer.inputs.genome import Genome
from epinformer.inputs.links import read_links
from epinformer.inputs.named_regions import read_named_regions
from epinformer.interpretation.link_targets import link_targets
from epinformer.interpretation.region_targets import overlapping_targets, region_targets
from epinformer.interpretation.targets import (
    Part,
    Targets,
    distinct,
    explicable,
    gene_targets,
    of_sequences,
    with_bases,
)
from epinformer.scoring.link_formats import RANKING

_FLANK = SEQUENCE_LENGTH // 2


class Wanted(NamedTuple):
    """What a user asks for; one of regions, genes and links, or nothing of these for all elements.

    Attributes
    ----------
    regions
        A BED file. With genes and expression models, of the elements that they overlap those of these genes.
    genes
        Ids, or names that occur once.
    part
        Of genes: elements, promoter or all.
    links
        A table of links.
    top
        How many of the best links.
    score
        The column that ranks links; by default the first of attention_abc, abc and powerlaw_abc that there is.
    """

    regions: Path | None = None
    genes: Sequence[str] | None = None
    part: Part = "all"
    links: Path | None = None
    top: int = 100
    score: str | None = None


def activity_targets(wanted: Wanted, dataset: Dataset | None, genome: Genome | None) -> Targets:
    """What activity models explain: each sequence once.

    Parameters
    ----------
    wanted
        What is asked for.
    dataset
        With sequence; may be missing for regions, whose bases the genome has.
    genome
        For regions that are no part of the dataset's elements and promoters.

    Raises
    ------
    InputError
        There is nothing to explain, a file is at fault (as its reader says), there are both regions and genes, or
        neither dataset nor genome.
    """
    if wanted.regions is not None:
        if wanted.genes is not None:
            raise InputError(
                "activity models know of no genes whose elements the regions could choose",
                source=wanted.regions,
                fix="Give either regions or genes",
            )
        if genome is not None:
            chroms: Sequence[str] = list(genome.spans)
        elif dataset is not None:
            chroms = dataset.chroms
        else:
            raise InputError("there is nothing to read bases from", fix="Give --genome or --data")
        regions = read_named_regions(wanted.regions, chroms)
        return distinct(region_targets(regions, genome, dataset, wanted.regions))
    if dataset is None:
        raise InputError("there is no dataset to choose elements from", fix="Give --data, or --regions and --genome")
    return distinct(_of_dataset(wanted, dataset))


def expression_targets(wanted: Wanted, dataset: Dataset) -> Targets:
    """What expression models explain: promoters, and elements of a gene.

    Parameters
    ----------
    wanted
        What is asked for.
    dataset
        With the pairs that the models look at (`epinformer.interpretation.expression.expression_dataset`).

    Raises
    ------
    InputError
        There is nothing to explain, or a file is at fault (as its reader says).
    """
    if wanted.regions is not None:
        regions = read_named_regions(wanted.regions, dataset.chroms)
        return overlapping_targets(dataset, regions, wanted.genes)
    if wanted.genes is None and wanted.links is None:
        raise InputError(
            "expression models explain elements of genes, and it is not said of which",
            fix="Give --gene, --genes, --links or --regions",
        )
    found = _of_dataset(wanted, dataset)
    return found if wanted.links is None else explicable(found, wanted.links)


def _of_dataset(wanted: Wanted, dataset: Dataset) -> Targets:
    if wanted.genes is not None:
        return gene_targets(dataset, wanted.genes, wanted.part)
    if wanted.links is None:
        nothing = np.full(dataset.n_elements, -1)
        return with_bases(of_sequences(dataset, nothing, np.arange(dataset.n_elements), nothing), dataset.path)
    links = read_links(wanted.links)
    score = wanted.score or next((name for name in RANKING if name in links.scores), None)
    if score is None:
        raise InputError(
            f"has none of {', '.join(RANKING)}, by which links are ranked",
            source=wanted.links,
            fix=f"Name one of its scores with --score: {', '.join(links.scores) or 'it has none'}",
        )
    return link_targets(dataset, links, wanted.top, score, wanted.links)


def chromosome_lengths(
    targets: Targets, assembly: str | None, genome: Genome | None, dataset: Dataset | None
) -> dict[str, int]:
    """Length in bp of each chromosome with a target, named as there.

    It is the assembly's where that is known, else the end of what the genome or the dataset has of the chromosome.
    """
    known = (assembly_lengths(assembly) if assembly is not None else None) or {}
    ends = targets.table.groupby("chrom", observed=True)["end"].max()
    found = {}
    for chrom, end in ends.items():
        name = str(chrom)
        length = known.get(name) or known.get(other_style(name) or "")
        if length is None:
            span = None if genome is None else genome.span(name)
            length = max(int(end), 0 if span is None else span.end)
            if dataset is not None and span is None:
                length = max(length, _end(dataset.elements, "end", name), _end(dataset.genes, "tss", name) + _FLANK)
        found[name] = length
    return found


def _end(table: pd.DataFrame, column: str, chrom: str) -> int:
    return int(table[column].to_numpy(np.int64)[(table["chrom"] == chrom).to_numpy()].max(initial=0))
