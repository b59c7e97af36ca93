"""`epinformer knockout`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress, result_stream
from epinformer.cli.model_options import AllowLeakage, Device, EncoderPrecision, Precision


def knockout(
    model: Annotated[
        list[Path], typer.Option("--model", help="Model directory, or a run with its models; several times for a mean.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Dataset written by `epinformer prepare`.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Table to write, .tsv, .tsv.gz or .parquet."),
    ] = None,
    gene: Annotated[
        list[str] | None, typer.Option("--gene", help="Gene id, or a name that occurs once; several times for more.")
    ] = None,
    genes: Annotated[
        str | None, typer.Option("--genes", help="Gene ids separated by commas, or a file with one a line.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All genes of the dataset.")] = False,
    element: Annotated[
        list[str] | None,
        typer.Option("--element", help="Element id; several are knocked out together. By default each element alone."),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(metavar="BED", help="Knock out what these regions cover, those of one name together."),
    ] = None,
    silence: Annotated[
        bool, typer.Option("--silence", help="Low signals and shuffled sequence in place of removal.")
    ] = False,
    quantile: Annotated[
        float, typer.Option(min=0, max=1, help="With --silence: signals fall to this quantile over all elements.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="With --silence: of the shuffled sequence.")] = 1,
    log10_sd: Annotated[
        float | None,
        typer.Option(
            "--log10-sd", metavar="SD", help="Standard deviation in log10 by which the target was divided, or 1."
        ),
    ] = None,
    device: Device = "auto",
    precision: EncoderPrecision = Precision.full,
    allow_leakage: AllowLeakage = False,
) -> None:
    """Predict expression with and without elements.

    Writes one row a gene and knock-out: the prediction before and after, the difference in the unit of the target, and
    the log2 fold change where the target is known to be a logarithm.

    \b
    Examples:
      epinformer knockout --model run --data k562.dataset --gene KLF1
      epinformer knockout --model run --data k562.dataset --gene KLF1 --element chr19:12886201-12887052
      epinformer knockout --model run --data k562.dataset --all --regions tested.bed -o knockouts.tsv.gz
      epinformer knockout --model run --data k562.dataset --genes genes.txt --silence -o silenced.tsv
    """
    from epinformer.dataset.store import open_dataset
    from epinformer.errors import InputError
    from epinformer.inputs.named_regions import read_named_regions
    from epinformer.model.checkpoint import load_model
    from epinformer.report.tables import refuse_targets, require_table_name, write_table
    from epinformer.scoring.knockout import knockout as run
    from epinformer.scoring.replacement import Silence
    from epinformer.scoring.selection import model_paths, read_gene_list

    if (gene is not None) + (genes is not None) + every != 1:
        raise InputError("it is not said once of which genes", fix="Give one of --gene, --genes and --all")
    if element and regions is not None:
        raise InputError("--element and --regions are both given", fix="Give one of them")
    result = output if output is not None else result_stream()
    paths = model_paths(model)
    files = [Path(genes)] if genes is not None and os.path.isfile(genes) else []
    if output is not None:
        require_table_name(output)
        refuse_targets([output], [data, *model, *files, *([regions] if regions is not None else [])])
    dataset = open_dataset(data)
    models = [load_model(path) for path in paths]
    with progress("sequences and knock-outs") as show:
        table = run(
            models,
            dataset,
            genes=gene if genes is None else read_gene_list(genes),
            elements=element or None,
            regions=None if regions is None else read_named_regions(regions, dataset.elements["chrom"].unique()),
            silence=Silence(quantile, seed) if silence else None,
            log10_sd=log10_sd,
            device=device,
            precision=precision.value,
            allow_leakage=allow_leakage,
            progress=show,
        )
    write_table(table, result)
