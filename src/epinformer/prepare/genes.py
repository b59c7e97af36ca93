"""The genes that a configuration names: of a BED file or an annotation, with the TSS that a table may move."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from epinformer.config import PrepareConfig
from epinformer.inputs.annotation import Annotation, genes_of, is_annotation, read_annotation
from epinformer.inputs.chromosomes import in_style, reconciled
from epinformer.inputs.genes import read_genes
from epinformer.inputs.tss import read_tss, recentred


class Genes(NamedTuple):
    """The gene list.

    Attributes
    ----------
    table
        gene_id, chrom, start, end (0-based half-open), tss (0-based), strand; also gene_name where the file has names.
    path
        The file it is from.
    bodies
        Whether start and end are gene bodies; else they are a window around the TSS.
    annotation
        What the genes are from, if that is a GTF or GFF3.
    """

    table: pd.DataFrame
    path: Path
    bodies: bool
    annotation: Annotation | None


def gene_list(config: PrepareConfig) -> Genes:
    """Read the gene table.

    Raises
    ------
    InputError
        A file cannot be read, names chromosomes in two styles, or gives a TSS that cannot be the gene's.
    """
    settings = config.genes
    path = config.path(settings.table)
    annotation = None
    if is_annotation(path):
        annotation = read_annotation(path, gene_types=settings.gene_types)
        table = genes_of(annotation)
    else:
        table = read_genes(path, settings.tss)
    # Refuses a file of two styles, of which one would lose its chromosomes silently.
    reconciled(table["chrom"].unique(), table["chrom"].unique(), path)
    if settings.tss_table is not None:
        tss_path = config.path(settings.tss_table)
        table = recentred(table, in_style(read_tss(tss_path), table, tss_path), tss_path)
    return Genes(table, path, annotation is not None or settings.tss == "strand", annotation)
