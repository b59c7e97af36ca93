"""`epinformer links`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from epinformer.cli.console import progress, result_stream
from epinformer.cli.model_options import AllowLeakage, Device, EncoderPrecision, Precision

if TYPE_CHECKING:
    from epinformer.scoring.link_formats import Format


class LinkFormat(StrEnum):
    """What links are written as."""

    table = "table"
    bedpe = "bedpe"
    bed12 = "bed12"
    biginteract = "biginteract"
    longrange = "longrange"


def links(
    data: Annotated[Path, typer.Option("--data", help="Dataset written by `epinformer prepare`.")],
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", help="Model directory, or a run with its models; several times for a mean."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where to: .tsv, .tsv.gz or .parquet for a table."),
    ] = None,
    genes: Annotated[
        str | None, typer.Option(help="Gene ids separated by commas, or a file with one a line; all by default.")
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(metavar="BP", help="All elements within so many bp of a TSS, up to 5,000,000."),
    ] = None,
    format_: Annotated[
        LinkFormat, typer.Option("--format", help="A table with all scores, or one score for a genome browser.")
    ] = LinkFormat.table,
    score: Annotated[
        str | None,
        typer.Option(help="Which score ranks; by default attention_abc, or else abc, or powerlaw_abc."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Leave out links whose score is lower, or that have none.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write one row a gene: its links and best elements.")
    ] = None,
    context: Annotated[
        bool, typer.Option("--context", help="Add signals and what lies near and between, to train a combiner with.")
    ] = False,
    calibrated: Annotated[
        Path | None,
        typer.Option(metavar="COMBINER", help="Add the probability that `epinformer train-combiner` has learned."),
    ] = None,
    device: Device = "auto",
    precision: EncoderPrecision = Precision.full,
    allow_leakage: AllowLeakage = False,
) -> None:
    """Score every pair of a gene and an element.

    Writes one row a pair, with each score in its own column: of the dataset activity, contact, abc, powerlaw_abc and
    neg_distance, of the models attention, attention_abc, knockout and gradient_x_input. A gene is scored by the models
    whose fold tests its chromosome. Without --model only what needs none is written. With --calibrated each link also
    has its probability by the part of the combiner that was learned without its chromosome.

    \b
    Examples:
      epinformer links --data k562.dataset --model run -o links.tsv.gz
      epinformer links --data k562.dataset --model run -o links.parquet --summary genes.tsv
      epinformer links --data k562.dataset --window 5000000 -o candidates.parquet
      epinformer links --data k562.dataset --model run --calibrated combiner -o links.parquet
      epinformer links --data k562.dataset --model run --format biginteract --threshold 0.02 -o links.interact
    """
    from epinformer.combiner.model import load_combiner, with_calibrated
    from epinformer.dataset.store import open_dataset
    from epinformer.model.checkpoint import load_model
    from epinformer.report.links import write_links
    from epinformer.scoring.context import with_context
    from epinformer.scoring.links import link_tables
    from epinformer.scoring.selection import model_paths, read_gene_list

    result = output if output is not None else result_stream()
    paths = model_paths(model or [])
    inputs = [data, *(model or []), *([Path(genes)] if genes is not None and os.path.isfile(genes) else [])]
    if calibrated is not None:
        inputs.append(calibrated)
    combiner = None if calibrated is None else load_combiner(calibrated)
    dataset = open_dataset(data)
    kind = None if format_ is LinkFormat.table else cast("Format", format_.value)
    with progress("sequences and knock-outs") as show:
        tables = link_tables(
            [load_model(path) for path in paths],
            dataset,
            genes=None if genes is None else read_gene_list(genes),
            window=window,
            device=device,
            precision=precision.value,
            allow_leakage=allow_leakage,
            progress=show,
        )
        if context or combiner is not None:
            tables = with_context(tables, dataset)
        if combiner is not None:
            tables = with_calibrated(tables, combiner)
        write_links(tables, result, kind=kind, score=score, threshold=threshold, summary=summary, inputs=inputs)
