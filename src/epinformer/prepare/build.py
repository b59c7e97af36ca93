"""`prepare`: from the files that a configuration names to a dataset."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer import __version__
from epinformer.config import CountedReplicate, PrepareConfig
from epinformer.dataset.manifest import MANIFEST_NAME, read_manifest
from epinformer.dataset.store import InputFile, Manifest, write_dataset
from epinformer.errors import InputError
from epinformer.files import refuse_output, sha256
from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.inputs.chromosomes import reconciled
from epinformer.inputs.contacts import read_pair_contacts
from epinformer.inputs.genes import read_genes
from epinformer.inputs.genome import open_genome
from epinformer.inputs.regions import aligned_counts, read_counts, read_regions, refuse
from epinformer.prepare.activity import activity, activity_words, mean_rpm, promoter_counts
from epinformer.prepare.contact import abc_denominators, abc_scores, joined_contacts, powerlaw_contact
from epinformer.prepare.elements import element_table
from epinformer.prepare.encoder_windows import encoder_windows, window_stream
from epinformer.prepare.gene_table import add_expression, add_half_life, require_genes
from epinformer.prepare.pairs import FARTHEST_TSS, make_pairs, other_tss_distances
from epinformer.prepare.sequence import drop_outside, refuse_outside, sequence_stream
from epinformer.prepare.steps import Filters, Progress, Share

logger = logging.getLogger(__name__)


def prepare(
    config: PrepareConfig, output: str | Path, *, overwrite: bool = False, progress: Progress | None = None
) -> Manifest:
    """Make a dataset of counted tables, a genome if there is one, and windows around peaks if they are asked for.

    Parameters
    ----------
    config
        What to read and how (`epinformer.config.load_config`).
    output
        The dataset's directory. It is written beside and renamed when complete; a failed run leaves nothing.
    overwrite
        Whether a dataset that is there is replaced.
    progress
        Called with (done, total).

    Returns
    -------
    Manifest
        What was written: row counts, filters with rows before and after, checksums of the inputs.

    Raises
    ------
    InputError
        A file is missing, damaged, or contradicts another.
    OutputError
        The output exists, may not be replaced, holds an input, or cannot be written.
    """
    output = Path(output)
    named = [config.path(name) for name in config.files().values()]
    refuse_output(output, overwrite=overwrite, marker=MANIFEST_NAME, inputs=named)
    share = Share(progress)
    filters = Filters()
    share.step(0.1)
    inputs = _checked_inputs(config, share)
    share.step(0.3 if config.genome else 0.7)
    genes, elements, given, words = _counted(config, share)
    tss = genes[["chrom", "tss"]]
    genes, half_life_words = add_half_life(genes, config, filters)
    genes, expression_words = add_expression(genes, config, filters)
    words |= half_life_words | expression_words | {"length": "end - start of the interval as given, in bp"}

    # The ABC score's sum is over all candidates, also those that a locus of a genome leaves out.
    candidates = elements
    with contextlib.ExitStack() as stack:
        genome = None
        if config.genome is not None:
            fasta = config.path(config.genome.fasta)
            genome = stack.enter_context(open_genome(fasta, chrom=config.genome.chrom, start=config.genome.start))
            if config.genome.outside == "drop":
                genes, elements = drop_outside(genes, elements, given, genome, config.pairs.max_distance, filters)
                require_genes(genes, config)
            else:
                refuse_outside(genes, given, genome, config.path(config.genes.table), _element_path(config))
            elements = elements.assign(sequence_length=(elements["end"] - elements["start"]).astype(np.int32))
            words["sequence_length"] = "end - start, in bp"
        if not len(elements):
            raise InputError(
                "none of its elements is left after the filters",
                source=_element_path(config),
                fix="Check that the files are of the same assembly",
            )
        share.step(0.1)
        genes, elements = genes.reset_index(drop=True), elements.reset_index(drop=True)
        pairs, pair_words = _paired(config, genes, elements, candidates, tss, filters)
        words |= pair_words
        windows = window_codes = None
        if config.encoder_windows is not None and genome is not None:
            share.step(0.25)
            windows, window_words = encoder_windows(config, genome, genes["chrom"].unique(), filters, share)
            words |= window_words
            window_codes = window_stream(windows, genome, share)
        manifest = Manifest(
            assembly=config.assembly,
            cell_type=config.cell_type,
            package_version=__version__,
            config=config.recorded(),
            inputs=inputs,
            filters=filters.steps,
            transforms=words,
        )
        share.step(1.0 if windows is None else 0.15)
        stream = None if genome is None else sequence_stream(genes, elements, genome, share)
        write_dataset(
            output,
            manifest,
            _ordered(genes),
            elements,
            pairs,
            stream,
            windows=windows,
            window_codes=window_codes,
            overwrite=overwrite,
        )
    share.report(1, 1)
    return read_manifest(output)


def _checked_inputs(config: PrepareConfig, share: Share) -> dict[str, InputFile]:
    """Name, checksum and size of every input, after making sure that all are there."""
    files = config.files()
    missing = [(setting, name) for setting, name in files.items() if not config.path(name).is_file()]
    if missing:
        setting, name = missing[0]
        raise InputError(
            "input files are not there",
            source=config.root,
            count=len(missing),
            first=f"{name} ({setting})",
            fix="Check the names in the configuration, and root or --root",
        )
    hashes: dict[str, InputFile] = {}
    sizes = {name: config.path(name).stat().st_size for name in dict.fromkeys(files.values())}
    before, total = 0, sum(sizes.values())

    def report(done: int) -> None:
        share.report(min(before + done, total), total)

    for name, size in sizes.items():
        path = config.path(name)
        try:
            hashes[name] = InputFile(path=name, sha256=sha256(path, report), bytes=size)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", source=path, fix="Check its permissions") from error
        before += size
    return {setting: hashes[name] for setting, name in files.items()}


def _element_path(config: PrepareConfig) -> Path:
    """The file whose rows are the elements."""
    if config.elements is not None:
        return config.path(config.elements.table)
    return config.path(next(iter(config.signals.values()))[0].elements)


def _counted(config: PrepareConfig, share: Share) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Genes and elements with the signals' RPM and activity, the elements' intervals as given, column -> its making."""
    gene_path, element_path = config.path(config.genes.table), _element_path(config)
    genes = read_genes(gene_path, config.genes.tss)
    reconciled(genes["chrom"].unique(), genes["chrom"].unique(), gene_path)
    regions = read_regions(element_path) if config.elements is not None else read_counts(element_path)
    regions = _in_style(regions, genes, element_path)
    if genes["chrom"].isin(regions["chrom"].unique()).sum() == 0:
        raise InputError(
            f"shares no chromosome with {gene_path.name}",
            source=element_path,
            first=f"{regions['chrom'].iloc[0]} here, {genes['chrom'].iloc[0]} there",
            fix="Use one assembly and one style of chromosome names",
        )
    _warn_of_empty_chromosomes(genes, regions, element_path)
    elements = element_table(regions, element_path)
    element_rpm, promoter_rpm = {}, {}
    words = {}
    files = sum(len(replicates) for replicates in config.signals.values())
    done = 0
    for name, replicates in config.signals.items():
        element_counts, promoters = [], []
        for replicate in replicates:
            path = config.path(replicate.elements)
            counts = regions if path == element_path and "count" in regions else _counts(path, genes)
            _refuse_total(counts, path, replicate)
            element_counts.append((aligned_counts(counts, regions, path, element_path), replicate.total_reads))
            path = config.path(replicate.promoters)
            counts = _counts(path, genes)
            _refuse_total(counts, path, replicate)
            matched = promoter_counts(counts, genes, config.genes.tss, path, gene_path)
            promoters.append((matched, replicate.total_reads))
            done += 1
            share.report(done, files)
        element_rpm[name], promoter_rpm[name] = mean_rpm(element_counts), mean_rpm(promoters)
        mean = f", mean of {len(replicates)} replicates" if len(replicates) > 1 else ""
        words[f"{name}_rpm"] = words[f"promoter_{name}_rpm"] = f"reads / total_reads * 1e6{mean}"
    names = list(config.signals)
    words["activity"] = activity_words(names, config.accessibility)
    words["promoter_activity"] = activity_words(names, config.accessibility, "promoter_")
    logger.info("activity is %s", words["activity"])
    elements = elements.assign(
        **{f"{name}_rpm": values for name, values in element_rpm.items()},
        activity=activity(element_rpm, config.accessibility),
    )
    genes = genes.assign(
        **{f"promoter_{name}_rpm": values for name, values in promoter_rpm.items()},
        promoter_activity=activity(promoter_rpm, config.accessibility),
    )
    return genes, elements, regions, words


def _warn_of_empty_chromosomes(genes: pd.DataFrame, regions: pd.DataFrame, path: Path) -> None:
    """Say which genes can have no pairs because the elements leave out their chromosome."""
    alone = genes["chrom"][~genes["chrom"].isin(regions["chrom"].unique())]
    if len(alone):
        logger.warning(
            "%s has no element on %s, where %s of %s genes are",
            path.name,
            ", ".join(alone.unique()),
            f"{len(alone):,}",
            f"{len(genes):,}",
        )


def _counts(path: Path, genes: pd.DataFrame) -> pd.DataFrame:
    return _in_style(read_counts(path), genes, path)


def _refuse_total(counts: pd.DataFrame, path: Path, replicate: CountedReplicate) -> None:
    """No region can have more reads than the library."""
    refuse(
        counts,
        counts["count"] > replicate.total_reads,
        path,
        f"has more reads in one region than total_reads ({replicate.total_reads:,.10g})",
        "Give the library's total in reads, not in millions",
    )


def _in_style(table: pd.DataFrame, genes: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table with its chromosome names in the gene table's style."""
    names = reconciled(table["chrom"].unique(), genes["chrom"].unique(), path)
    if all(name == other for name, other in names.items()):
        return table
    return table.assign(chrom=table["chrom"].map(names).astype("str"))


def _paired(
    config: PrepareConfig,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    candidates: pd.DataFrame,
    tss: pd.DataFrame,
    filters: Filters,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Pairs with distance, contact and ABC score, and column -> how it was made."""
    settings = config.pairs
    made = make_pairs(
        genes,
        elements,
        min_distance=settings.min_distance,
        max_distance=settings.max_distance,
        max_elements=settings.max_elements,
    )
    pairs = made.table
    pairs["other_tss_distance"] = other_tss_distances(pairs, genes, elements, tss)
    if settings.max_elements is not None:
        filters.record("pairs", f"beyond a gene's {settings.max_elements} nearest elements", made.in_range, len(pairs))
    alone = len(genes) - pairs["gene_index"].nunique()
    logger.info(
        "%s pairs; %s of %s genes have no element in range and are kept, %s have more than are paired",
        f"{len(pairs):,}",
        f"{alone:,}",
        f"{len(genes):,}",
        f"{made.genes_capped:,}",
    )
    words = {
        "distance": "element midpoint - TSS in bp, positive downstream in the gene's direction",
        "other_tss_distance": "bp from the element's midpoint to the nearest TSS of the gene table that is not the "
        f"gene's own, at most {FARTHEST_TSS:,}",
        "powerlaw_contact": "exp(5.9594510 - 1.0242386 * ln(max(|distance|, 5000) + 1))",
        "abc_score": "activity * powerlaw_contact / sum of it over all candidate elements within 5 Mb of the TSS, "
        "promoters not treated specially",
    }
    if config.contact is not None:
        if config.contact.table is not None:
            path = config.path(config.contact.table)
            contacts = read_pair_contacts(path)
            pairs["contact"] = joined_contacts(pairs, genes, elements, contacts, config.contact.missing, path)
            filled = config.contact.missing
            words["contact"] = "column contact as given" + ("" if filled is None else f", {filled} where missing")
        else:
            pairs["contact"] = float(config.contact.constant or 0.0)
            words["contact"] = f"constant {config.contact.constant}"
    pairs["powerlaw_contact"] = powerlaw_contact(pairs["distance"].to_numpy())
    denominators = abc_denominators(genes, candidates, candidates["activity"].to_numpy())
    pairs["abc_score"] = abc_scores(pairs, elements["activity"].to_numpy(), denominators)
    return pairs, words


def _ordered(genes: pd.DataFrame) -> pd.DataFrame:
    """The columns of genes.parquet in the order of the format."""
    first = ["gene_id", "gene_name", "chrom", "tss", "strand", *HALF_LIFE_FEATURES]
    promoters = [name for name in genes.columns if name.startswith("promoter_")]
    labels = [name for name in genes.columns if name.startswith("expression_")]
    return genes[[name for name in first if name in genes] + promoters + labels]
