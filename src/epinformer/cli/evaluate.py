"""`epinformer evaluate`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress, result_stream

_log = logging.getLogger(__name__)


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS.tsv", help="Table written by `epinformer predict`; may be gzipped.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help="Write metrics.json and scatter.png there; replaces earlier ones."
        ),
    ] = None,
    bootstraps: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Resamples of chromosomes for the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
) -> None:
    """Compare predicted with observed expression.

    Gives Pearson, Spearman and R² with the number of genes: pooled with 95 % chromosome-bootstrap intervals, by fold
    and by chromosome. Genes without an observed value are counted and left out. A summary goes to stderr; the full
    result is JSON, on stdout or in FOLDER.

    \b
    Examples:
      epinformer evaluate predictions.tsv -o evaluation
      epinformer evaluate predictions.tsv | jq .pooled
    """
    from epinformer.evaluation import expression
    from epinformer.report.evaluation import summary, to_json, write_evaluation

    if output is None:
        result_stream()
    with progress("bootstrap") as show:
        evaluation = expression.evaluate(predictions, bootstraps=bootstraps, seed=seed, progress=show)
    if output is None:
        typer.echo(to_json(evaluation), nl=False)
        return
    write_evaluation(evaluation, output)
    _log.info("%s", summary(evaluation))
