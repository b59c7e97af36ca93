"""`epinformer prepare`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress

_log = logging.getLogger(__name__)


def prepare(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="What to read and how; see examples/.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DATASET", help="The dataset's folder, made here.")],
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder that the configured paths are relative to, instead of its `root`."),
    ] = None,
    elements: Annotated[
        Path | None,
        typer.Option(
            metavar="REGIONS.bed",
            help="Regions that become elements, too, where they overlap none: CRISPR-tested ones.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a dataset that is there.")] = False,
) -> None:
    """Make a dataset of your assays and genome.

    Reads what CONFIG.yaml names: reads (BAM, CRAM, tagAlign, fragments), tracks or counted tables, peaks, genes,
    half-life features, expression, contacts and a FASTA file; makes candidate elements, and computes RPM, activity,
    pairs, distances and ABC scores. All inputs are checked against each other first, as `epinformer check` does. Says
    on stderr what each filter keeps. Nothing is left behind if it fails.

    \b
    Examples:
      epinformer prepare examples/k562_chr22/config.yaml -o k562_chr22.dataset
      epinformer prepare config.yaml -o k562.dataset --root /data/k562 --overwrite
      epinformer prepare config.yaml -o tested.dataset --elements crispr_regions.bed
    """
    from epinformer.config import load_config, with_tested
    from epinformer.prepare.build import prepare as build

    settings = load_config(config, root)
    if elements is not None:
        settings = with_tested(settings, elements)
    with progress("preparing") as report:
        manifest = build(settings, output, overwrite=overwrite, progress=report)
    rows = manifest.rows
    bases = f"{rows['sequence_bases']:,} bases" if rows["sequence_bases"] else "no sequence"
    counts = ", ".join(f"{rows[name]:,} {name}" for name in ("genes", "elements", "pairs"))
    _log.info("wrote %s: %s, %s", output, counts, bases)
