"""`epinformer benchmark-crispr`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress, result_stream

_log = logging.getLogger(__name__)


def benchmark_crispr(
    links: Annotated[Path, typer.Argument(metavar="LINKS", help="Scored links: .tsv, .tsv.gz or .parquet.")],
    crispr: Annotated[
        Path,
        typer.Option("--crispr", metavar="TABLE", help="CRISPR-tested pairs with the columns of the ENCODE benchmark."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="Write metrics.json, pairs.tsv, figures and report.html there; replaces earlier ones.",
        ),
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="A column of LINKS to judge; may be repeated. All columns of numbers by default."
        ),
    ] = None,
    aggregate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=HOW",
            help="How several overlapping links count: max, min, sum or mean. Default: max; distances: min.",
        ),
    ] = None,
    lower: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="A score of which lower is likelier; distances always are."),
    ] = None,
    cell_type: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose pairs count, if TABLE has several cell types.")
    ] = None,
    gene: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GENE",
            help="A gene whose locus to draw; may be repeated. Default: three with most regulated pairs.",
        ),
    ] = None,
    bootstraps: Annotated[int, typer.Option(min=1, max=1_000_000, help="Resamples of genes for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
) -> None:
    """Judge scored enhancer-gene links by CRISPR-tested pairs.

    A tested pair gets the scores of the links of its gene whose elements overlap the tested region; pairs without one
    stay, at the bottom. Gives average precision and precision at 70 % recall with 95 % gene-bootstrap intervals: on all
    valid pairs, beside floors that no model is needed for, by distance, and as in the paper. LINKS has chrom start end,
    gene_id or gene_name, and scores; the tables of the ABC model and of ENCODE do, too. A summary goes to stderr; the
    full result is JSON, on stdout or in FOLDER.

    \b
    Examples:
      epinformer benchmark-crispr links.tsv.gz --crispr EPCrisprBenchmark.tsv.gz -o benchmark
      epinformer benchmark-crispr links.parquet --crispr crispr.tsv --score attention --score abc --gene KLF1 -o b
      epinformer benchmark-crispr abc.tsv.gz --crispr crispr.tsv --score ABC.Score --aggregate ABC.Score=sum | jq .notes
    """
    from epinformer.errors import ConfigError, OutputError
    from epinformer.evaluation import crispr as evaluation
    from epinformer.report.crispr import summary, to_json, write_crispr
    from epinformer.report.tables import refuse_targets

    if output is None:
        result_stream()
    elif output.is_dir():
        # Those of an earlier benchmark are replaced, but not while they are read.
        refuse_targets([output / name for name in ("metrics.json", "pairs.tsv")], [links, crispr])
    elif output.exists():
        raise OutputError("is not a folder", source=output, fix="Name a folder for the results")
    ways = {}
    for given in aggregate or ():
        name, found, how = given.rpartition("=")
        if not found:
            raise ConfigError(f"--aggregate {given} does not say how", fix="Write --aggregate COLUMN=max")
        ways[name] = how
    with progress("bootstrap") as show:
        benchmark = evaluation.benchmark_crispr(
            links,
            crispr,
            scores=score or None,
            aggregate=ways,
            lower=lower or (),
            cell_type=cell_type,
            bootstraps=bootstraps,
            seed=seed,
            progress=show,
        )
    if output is None:
        typer.echo(to_json(benchmark), nl=False)
        return
    write_crispr(output, benchmark, genes=gene or None)
    _log.info("%s", summary(benchmark))
    _log.info("wrote %s", output / "report.html")
