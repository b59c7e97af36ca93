"""`epinformer demo`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress

_log = logging.getLogger(__name__)


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder for everything.")],
    genes: Annotated[int, typer.Option(help="Number of simulated genes.")] = 300,
) -> None:
    """Show the whole way on simulated data.

    Simulates a small cell type, prepares a dataset of its reads, peaks and contact map, pretrains encoders,
    cross-validates a model on two folds, predicts, evaluates and scores enhancer-gene links; each step is shown as the
    command that does it. Takes a few minutes on two cores; the same command goes on where it was stopped.

    \b
    Examples:
      epinformer demo -o demo
      epinformer demo -o larger --genes 600
    """
    from epinformer.demo import demo as run

    made = run(output, genes=genes, meter=progress)
    _log.info("\nOpen %s", made.report)
