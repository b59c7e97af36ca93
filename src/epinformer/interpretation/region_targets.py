"""What is explained: regions of a BED file, or the elements that they overlap."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.dataset.contract import WINDOW_LENGTH
from epinformer.dataset.store import Dataset
from epinformer.errors import InputError
from epinformer.inputs.chromosomes import in_style
from epinformer.inputs.genome import Genome
from epinformer.inputs.regions import refuse, region_names
from epinformer.interpretation.targets import Targets, of_pairs, sequence_places, target_table, with_bases
from epinformer.prepare.overlaps import Intervals
from epinformer.prepare.sequence import intervals_inside, refuse_uncovered
from epinformer.ragged import ranges
from epinformer.scoring.selection import gene_indices
from epinformer.scoring.variant_alleles import sequence_bases

logger = logging.getLogger(__name__)


def region_targets(
    regions: pd.DataFrame, genome: Genome | None, dataset: Dataset | None, source: str | Path
) -> Targets:
    """Regions as they are.

    Parameters
    ----------
    regions
        chrom, start, end (0-based half-open), name, indexed by line number, as
        `epinformer.inputs.named_regions.read_named_regions` gives.
    genome
        Where the bases are from.
    dataset
        Where they are from if there is no genome: each region must lie in one promoter or element, which hold bases.
        Chromosomes are named as it names them, without it as the genome does.
    source
        The regions' file, for messages.

    Returns
    -------
    Targets
        One a region, in the file's order, without genes; those without any A, C, G or T are left out, and the log says
        so.

    Raises
    ------
    InputError
        There is neither genome nor dataset; regions are shorter than the model's window, lie outside the genome or the
        dataset's sequences, or none has a known base.
    DatasetError
        The dataset is needed and has no sequence, or does not say where it lies.
    """
    refuse(
        regions,
        (regions["end"] - regions["start"]).to_numpy() < WINDOW_LENGTH,
        source,
        f"has regions shorter than the {WINDOW_LENGTH} bp that the model reads",
        f"Widen them to {WINDOW_LENGTH} bp or more",
    )
    if dataset is not None:
        regions = in_style(regions, pd.concat([dataset.genes[["chrom"]], dataset.elements[["chrom"]]]).dropna(), source)
    elif genome is not None:
        regions = in_style(regions, pd.DataFrame({"chrom": list(genome.spans)}), source)
    if genome is not None:
        read = _bases_of_genome(regions, genome, source)
    elif dataset is not None:
        read = _bases_of_dataset(regions, dataset, source)
    else:
        raise InputError("has regions, but nothing gives their bases", source=source, fix="Give a genome or a dataset")
    table = target_table(regions["name"], "region", regions[["chrom", "start", "end"]])
    return with_bases(Targets(table, read), source)


def overlapping_targets(dataset: Dataset, regions: pd.DataFrame, genes: Sequence[str] | None) -> Targets:
    """The pairs of genes and elements whose element shares a base with a region.

    Parameters
    ----------
    dataset
        As in `gene_targets`.
    regions
        chrom (named as in the dataset), start, end (0-based half-open), name.
    genes
        Ids, or names that occur once; None for all.

    Returns
    -------
    Targets
        In the order of the regions, of each the pairs in the dataset's order, each pair once. A target has the name of
        its region; of several, all of them, joined by ``;``.

    Raises
    ------
    InputError
        Genes that the dataset lacks, no region overlaps an element of these genes, or nothing has a known base.
    DatasetError
        The dataset has no sequence, or does not say where it lies.
    """
    places = sequence_places(dataset)
    chosen = gene_indices(dataset, genes)
    offsets = dataset.pair_offsets
    pair = ranges(offsets[chosen], offsets[chosen + 1] - offsets[chosen])
    elements = places.iloc[dataset.n_genes + dataset.pairs["element_index"].to_numpy(np.int64)[pair]]
    region, hit = Intervals(elements).overlapping(regions)
    if not len(region):
        raise InputError(
            "no region overlaps an element that the models look at for the genes asked for",
            source=dataset.path,
            count=len(regions),
            first=regions["name"].iloc[0],
            fix="Check the assembly of the regions, name other genes, or explain the promoters of genes by name",
        )
    lonely = np.setdiff1d(np.arange(len(regions)), region)
    if len(lonely):
        logger.warning(
            "%s of %s regions overlap no element that the models look at for the genes asked for, and are left out "
            "(first: %s)",
            f"{len(lonely):,}",
            f"{len(regions):,}",
            regions["name"].iloc[lonely[0]],
        )
    hits = pd.DataFrame({"region": region, "pair": pair[hit]}).sort_values(["region", "pair"])
    hits["name"] = regions["name"].to_numpy()[hits["region"]]
    names = hits.groupby("pair", sort=False)["name"].agg(lambda names: ";".join(dict.fromkeys(names)))
    found = names.index.to_numpy(np.int64)
    targets = of_pairs(dataset, dataset.pairs["gene_index"].to_numpy(np.int64)[found], found)
    return with_bases(targets._replace(table=targets.table.assign(name=names.array)), dataset.path)


def _bases_of_genome(regions: pd.DataFrame, genome: Genome, source: str | Path) -> Callable[[int], np.ndarray]:
    named = "line " + regions.index.astype("str") + ": " + region_names(regions)
    refuse_uncovered(
        "regions",
        named,
        regions["chrom"],
        intervals_inside(regions, genome),
        genome,
        Path(source),
        fix="Give a genome of the same assembly, or drop these rows",
    )
    chrom, start, end = (regions[name].tolist() for name in ("chrom", "start", "end"))
    return lambda row: genome.codes(chrom[row], start[row], end[row])


def _bases_of_dataset(regions: pd.DataFrame, dataset: Dataset, source: str | Path) -> Callable[[int], np.ndarray]:
    places = sequence_places(dataset)
    region, sequence = Intervals(places).overlapping(regions)
    first, last = regions["start"].to_numpy(np.int64), regions["end"].to_numpy(np.int64)
    offset = first[region] - places["start"].to_numpy(np.int64)[sequence]
    whole = (offset >= 0) & (last[region] <= places["end"].to_numpy(np.int64)[sequence])
    held, at = np.unique(region[whole], return_index=True)
    refuse(
        regions,
        ~np.isin(np.arange(len(regions)), held),
        source,
        f"has regions that lie in no element or promoter of {dataset.path.name}, which alone hold bases",
        "Give the genome's FASTA file too, or regions inside the elements",
    )
    sequence, offset = sequence[whole][at], offset[whole][at]
    length = last - first
    return lambda row: sequence_bases(dataset, int(sequence[row]))[offset[row] : offset[row] + length[row]]
