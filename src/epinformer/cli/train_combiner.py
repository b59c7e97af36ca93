"""`epinformer train-combiner`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress

_log = logging.getLogger(__name__)


def train_combiner(
    links: Annotated[
        Path, typer.Argument(metavar="LINKS", help="Links of `epinformer links --context`: .tsv(.gz) or .parquet.")
    ],
    crispr: Annotated[
        Path,
        typer.Option("--crispr", metavar="TABLE", help="CRISPR-tested pairs with the columns of the ENCODE benchmark."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="COMBINER", help="The combiner's folder.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="YAML", help="Features and penalty instead of the default ones.")
    ] = None,
    cell_type: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose pairs count, if TABLE has several cell types.")
    ] = None,
    bootstraps: Annotated[int, typer.Option(min=1, max=1_000_000, help="Resamples of genes for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a combiner that is there.")] = False,
) -> None:
    """Learn from CRISPR-tested pairs how likely a link is, from all its scores.

    Fits a logistic regression on the columns of LINKS, once with all tested pairs and once without each chromosome.
    `epinformer links --calibrated COMBINER` gives every link the probability of the one that was learned without the
    link's chromosome. Writes COMBINER/combiner.json, plain numbers, and COMBINER/held_out.tsv, the probabilities of the
    tested pairs by the one that has not seen them; how good these are goes to stderr.

    \b
    Examples:
      epinformer links --data k562.dataset --model run --window 2600000 --context -o links.parquet
      epinformer train-combiner links.parquet --crispr EPCrisprBenchmark.tsv.gz -o combiner
      epinformer links --data k562.dataset --model run --window 2600000 --calibrated combiner -o calibrated.parquet
    """
    from epinformer.combiner.fit import train_combiner as fit
    from epinformer.combiner.model import COMBINER_NAME, save_combiner
    from epinformer.combiner.settings import load_combiner_config
    from epinformer.files import refuse_output
    from epinformer.report.combiner import summary

    settings = load_combiner_config(config)
    inputs = [links, crispr, *([config] if config is not None else [])]
    refuse_output(output, overwrite=overwrite, marker=COMBINER_NAME, inputs=inputs)
    with progress("bootstrap") as show:
        trained = fit(links, crispr, settings, cell_type=cell_type, bootstraps=bootstraps, seed=seed, progress=show)
    save_combiner(output, trained.combiner, trained.held_out, overwrite=overwrite)
    _log.info("%s", summary(trained))
    _log.info("wrote %s", output)
