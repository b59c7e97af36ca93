"""`epinformer predict`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress, result_stream
from epinformer.cli.model_options import AllowLeakage, Device, EncoderPrecision, Precision


def predict(
    model: Annotated[
        list[Path], typer.Option("--model", help="Model directory; give it several times for a mean and a spread.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Dataset written by `epinformer prepare`.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Table to write, .tsv or .tsv.gz.")
    ] = None,
    genes: Annotated[
        str | None, typer.Option(help="Gene ids separated by commas, or a file with one a line; all by default.")
    ] = None,
    device: Device = "auto",
    precision: EncoderPrecision = Precision.full,
    attention: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the promoters' attention to each element, per layer."),
    ] = None,
    allow_leakage: AllowLeakage = False,
    observed: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Expression to compare with; by default the model's target.")
    ] = None,
) -> None:
    """Predict the expression of a dataset's genes.

    Writes one row a gene: gene_id chrom tss strand fold observed predicted gene_name elements held_out, and with
    several models predicted_sd and each model's own prediction. A gene is predicted by the models whose fold tests
    its chromosome; if no model given does, that is an error, unless --allow-leakage says to go on.

    \b
    Examples:
      epinformer predict --model rna.model --data k562.dataset -o predictions.tsv
      epinformer predict --model rna.model --data k562.dataset --genes KLF1,GATA1
      epinformer predict $(printf -- '--model %s ' run/fold_*/seed_*.model) --data k562.dataset -o all.tsv.gz
      epinformer predict --model rna.model --data k562.dataset -o p.tsv --attention attention.tsv.gz
    """
    from epinformer.dataset.store import open_dataset
    from epinformer.model.checkpoint import load_model
    from epinformer.report.tables import refuse_targets, write_table
    from epinformer.scoring.predict import predict as run
    from epinformer.scoring.selection import read_gene_list

    result = output if output is not None else result_stream()
    inputs = [data, *model, *([Path(genes)] if genes is not None and os.path.isfile(genes) else [])]
    refuse_targets([target for target in (output, attention) if target is not None], inputs)
    dataset = open_dataset(data)
    models = [load_model(path) for path in model]
    with progress("sequences encoded") as show:
        predictions = run(
            models,
            dataset,
            genes=None if genes is None else read_gene_list(genes),
            device=device,
            precision=precision.value,
            attention=attention is not None,
            observed=observed,
            allow_leakage=allow_leakage,
            progress=show,
        )
    write_table(predictions.table, result)
    if attention is not None and predictions.attention is not None:
        write_table(predictions.attention, attention)
