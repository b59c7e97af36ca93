"""`epinformer simulate`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress

_log = logging.getLogger(__name__)


def simulate(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder for the data, made here.")],
    genes: Annotated[int, typer.Option(help="Number of genes, 48 to 100,000.")] = 300,
    seed: Annotated[int, typer.Option(help="Another seed is another world.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a simulation that is there.")] = False,
) -> None:
    """Make data of a simulated cell type, with the truth behind it.

    Writes what a laboratory would have (genome, genes, expression, DNase and H3K27ac reads, peaks and tracks, a contact
    map, variants, a CRISPR screen); for `epinformer prepare` config_raw.yaml, which reads these, and config.yaml, which
    reads tables counted already; and in truth/ the enhancers, motifs and effects that the data were made with. Nothing
    is left behind if it fails.

    \b
    Examples:
      epinformer simulate -o simulated
      epinformer simulate -o simulated --genes 3000 --seed 7
      epinformer prepare simulated/config_raw.yaml -o simulated.dataset
    """
    from epinformer.simulation.simulate import simulate as make

    with progress("simulating") as report:
        made = make(output, genes=genes, seed=seed, overwrite=overwrite, progress=report)
    _log.info(
        "wrote %s: %s genes, %s elements, %s pairs, %s bases, %s reads, %s variants",
        output,
        f"{made.genes:,}",
        f"{made.elements:,}",
        f"{made.pairs:,}",
        f"{made.bases:,}",
        f"{sum(made.reads.values()):,}",
        f"{made.variants:,}",
    )
