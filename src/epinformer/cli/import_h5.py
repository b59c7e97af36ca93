"""`epinformer import-h5`."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress

_log = logging.getLogger(__name__)


class _Unit(StrEnum):
    bp = "bp"
    kb = "kb"


class _Without(StrEnum):
    drop = "drop"
    keep = "keep"


def import_h5(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.h5", help="HDF5 files in the authors' layout.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DATASET", help="The dataset's folder, made here.")],
    genes: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="gene_id, chrom, TSS and the eight half-life features, CSV or TSV."),
    ] = None,
    promoters: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Promoter activity, or the authors' GeneList.txt to compute it from."),
    ] = None,
    expression: Annotated[Path | None, typer.Option(metavar="TABLE", help="Labels, CSV or TSV.")] = None,
    expression_id: Annotated[str, typer.Option(metavar="COLUMN", help="Its column of gene ids.")] = "ENSID",
    expression_value: Annotated[str, typer.Option(metavar="COLUMN", help="Its column of labels.")] = "actual",
    assay: Annotated[str, typer.Option(help="Its assay; the labels become expression_<assay>.")] = "rna",
    assembly: Annotated[str, typer.Option(help="Genome of the sequences.")] = "hg38",
    cell_type: Annotated[str | None, typer.Option(help="E.g. K562.")] = None,
    without_half_life: Annotated[
        _Without, typer.Option(help="What to do with genes that --genes lacks.")
    ] = _Without.drop,
    distance_unit: Annotated[_Unit, typer.Option(help="Unit of the files' distances.")] = _Unit.bp,
    max_distance: Annotated[
        int | None, typer.Option(min=1, metavar="BP", help="Leave out farther pairs; the paper's limit is 100000.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a dataset that is there.")] = False,
) -> None:
    """Turn the authors' HDF5 files into a dataset.

    The layout is ensid, pe_code (N, 61, 2000, 4), distance, activity and hic. The files are streamed and each
    distinct element is stored once, so that neither their size nor their padding matters. Promoter activity,
    half-life features and labels are not in them and come from tables.

    \b
    Examples:
      epinformer import-h5 K562_enhancer_promoter_encoding.h5 -o k562.dataset --genes mRNA_halflife_features.csv
      epinformer import-h5 part1.h5 part2.h5 -o k562.dataset --genes mRNA_halflife_features.csv \\
          --promoters GeneList.txt --expression predictions.csv --cell-type K562 --max-distance 100000
    """
    from epinformer.prepare.import_h5 import ExpressionTable
    from epinformer.prepare.import_h5 import import_h5 as convert

    labels = {} if expression is None else {assay: ExpressionTable(expression, expression_id, expression_value)}
    with progress("importing genes") as report:
        manifest = convert(
            files,
            output,
            assembly=assembly,
            cell_type=cell_type,
            genes=genes,
            promoters=promoters,
            expression=labels,
            without_half_life=without_half_life.value,
            distance_unit=distance_unit.value,
            max_distance=max_distance,
            overwrite=overwrite,
            progress=report,
        )
    rows = manifest.rows
    counts = ", ".join(f"{rows[name]:,} {name}" for name in ("genes", "elements", "pairs"))
    _log.info("wrote %s: %s, %s bases", output, counts, f"{rows['sequence_bases']:,}")
