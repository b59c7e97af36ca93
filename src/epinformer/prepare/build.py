"""`prepare`: from the files that a configuration names to a dataset."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer import __version__
from epinformer.config import PrepareConfig
from epinformer.dataset.manifest import MANIFEST_NAME, read_manifest
from epinformer.dataset.store import Manifest, write_dataset
from epinformer.errors import InputError
from epinformer.files import refuse_output
from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.inputs.genome import Genome, open_genome
from epinformer.prepare.check import check, require_sound
from epinformer.prepare.element_regions import Regions, element_regions
from epinformer.prepare.element_signals import with_signals
from epinformer.prepare.encoder_windows import encoder_windows, window_stream
from epinformer.prepare.gene_table import add_expression, add_half_life, require_genes
from epinformer.prepare.genes import Genes, gene_list
from epinformer.prepare.lengths import known_lengths
from epinformer.prepare.pair_table import paired
from epinformer.prepare.provenance import input_files, require_files
from epinformer.prepare.sequence import drop_outside, refuse_outside, sequence_stream
from epinformer.prepare.steps import Filters, Progress, Share

logger = logging.getLogger(__name__)


def prepare(
    config: PrepareConfig, output: str | Path, *, overwrite: bool = False, progress: Progress | None = None
) -> Manifest:
    """Make a dataset of a cell type's assays, a genome if there is one, and windows around peaks if asked for.

    All inputs are checked against each other first (`prepare.check.check`).

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
    require_files(config)
    share = Share(progress)
    filters = Filters()
    share.step(0.05)
    gene_input = gene_list(config)
    checked = check(config, gene_input, read_again=True)
    require_sound(checked)
    counted = checked.counted()
    share.step(0.1)
    inputs = input_files(config, share)
    with contextlib.ExitStack() as stack:
        genome = _opened(config, stack)
        lengths = known_lengths(config, genome, gene_input.table["chrom"].unique())
        share.step(0.1)
        regions = element_regions(config, gene_input.table, lengths, counted, filters, share)
        share.step(0.25 if config.genome else 0.6)
        genes, elements, words = with_signals(config, gene_input, regions, lengths, counted, share)
        tss = genes[["chrom", "tss"]]
        genes, more = add_half_life(genes, config, gene_input.annotation, genome, filters)
        words |= more
        genes, more, log10_per_unit = add_expression(genes, config, filters)
        words |= more | {
            "element_id": f"chrom:start-end; {regions.words}",
            "length": "end - start of the interval of element_id, in bp",
        }

        # The ABC score's sum is over all candidates, also those that a locus of a genome leaves out.
        candidates = elements.assign(start=regions.table["start"].to_numpy(), end=regions.table["end"].to_numpy())
        genes, elements = _inside(config, genes, elements, gene_input, regions, genome, filters)
        if genome is not None:
            words["sequence_length"] = "end - start, in bp"
        share.step(0.1)
        rows = elements.index.to_numpy()
        genes, elements = genes.reset_index(drop=True), elements.reset_index(drop=True)
        pairs, more = paired(config, genes, elements, candidates, rows, tss, filters)
        words |= more
        windows = window_codes = None
        if config.encoder_windows is not None and genome is not None:
            share.step(0.2)
            windows, more = encoder_windows(config, genome, genes["chrom"].unique(), filters, share)
            words |= more
            window_codes = window_stream(windows, genome, share)
        manifest = Manifest(
            assembly=config.assembly,
            cell_type=config.cell_type,
            package_version=__version__,
            config=config.recorded(),
            inputs=inputs,
            filters=filters.steps,
            transforms=words,
            log10_per_unit=log10_per_unit,
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


def _opened(config: PrepareConfig, stack: contextlib.ExitStack) -> Genome | None:
    """The genome, which is closed with the stack."""
    if config.genome is None:
        return None
    fasta = config.path(config.genome.fasta)
    return stack.enter_context(open_genome(fasta, chrom=config.genome.chrom, start=config.genome.start))


def _inside(
    config: PrepareConfig,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    gene_input: Genes,
    regions: Regions,
    genome: Genome | None,
    filters: Filters,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The genes and elements whose bases are there, elements with sequence_length; all of them without a genome."""
    if genome is not None and config.genome is not None:
        if config.genome.outside == "drop":
            genes, elements = drop_outside(genes, elements, regions.table, genome, config.pairs.max_distance, filters)
            require_genes(genes, config)
        else:
            refuse_outside(genes, regions.table, genome, gene_input.path, regions.path)
        elements = elements.assign(sequence_length=(elements["end"] - elements["start"]).astype(np.int32))
    if not len(elements):
        raise InputError(
            "none of its elements is left after the filters",
            source=regions.path,
            fix="Check that the files are of the same assembly",
        )
    return genes, elements


def _ordered(genes: pd.DataFrame) -> pd.DataFrame:
    """The columns of genes.parquet in the order of the format."""
    first = ["gene_id", "gene_name", "chrom", "tss", "strand", *HALF_LIFE_FEATURES]
    promoters = [name for name in genes.columns if name.startswith("promoter_")]
    labels = [name for name in genes.columns if name.startswith("expression_")]
    return genes[[name for name in first if name in genes] + promoters + labels]
