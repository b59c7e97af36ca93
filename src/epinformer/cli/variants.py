"""`epinformer variants`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress, result_stream
from epinformer.cli.model_options import AllowLeakage, Device, EncoderPrecision, Precision


class Mismatch(StrEnum):
    """What to do where the reference allele is not the reference's."""

    stop = "stop"
    skip = "skip"


def variants(
    vcf: Annotated[Path, typer.Argument(metavar="VCF", help="Variants, .vcf or .vcf.gz, in any order.")],
    model: Annotated[
        list[Path],
        typer.Option(
            "--model", help="Expression or activity model, or a run of either with its models; several times for more."
        ),
    ],
    data: Annotated[Path, typer.Option("--data", help="Dataset with sequence, written by `epinformer prepare`.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Table to write, .tsv, .tsv.gz or .parquet."),
    ] = None,
    annotated: Annotated[
        Path | None, typer.Option("--vcf", metavar="FILE", help="Also write the VCF with the effects in its INFO.")
    ] = None,
    genome: Annotated[
        Path | None,
        typer.Option(metavar="FASTA", help="Compare REF everywhere, and score deletions, into which bases come in."),
    ] = None,
    genes: Annotated[
        str | None, typer.Option(help="Gene ids separated by commas, or a file with one a line; all by default.")
    ] = None,
    mismatch: Annotated[
        Mismatch, typer.Option(help="Where REF is not the reference: stop, or skip and list.")
    ] = Mismatch.stop,
    device: Device = "auto",
    precision: EncoderPrecision = Precision.full,
    allow_leakage: AllowLeakage = False,
) -> None:
    """Predict what variants do to the activity of elements and to the expression of genes.

    Writes one row an allele, element that holds it and gene: the change of the element's log2 activity by the
    activity models, and that of the gene's expression by the expression models, each with the models that held out
    the chromosome. An allele that lies in no element or promoter has a row that says so.

    \b
    Examples:
      epinformer variants calls.vcf.gz --model run --model encoders --data k562.dataset -o effects.tsv.gz
      epinformer variants calls.vcf.gz --model run --data k562.dataset --genome hg38.fa --vcf annotated.vcf.gz
      epinformer variants calls.vcf --model encoders --data k562.dataset --mismatch skip
    """
    import contextlib

    from epinformer.dataset.store import open_dataset
    from epinformer.inputs.genome import open_genome
    from epinformer.model.checkpoint import load_model
    from epinformer.report.variants import write_variants
    from epinformer.scoring.selection import model_paths, read_gene_list
    from epinformer.scoring.variants import variant_tables

    result = output if output is not None else result_stream()
    paths = model_paths(model)
    files = [path for path in (genome, Path(genes) if genes is not None and os.path.isfile(genes) else None) if path]
    dataset = open_dataset(data)
    models = [load_model(path) for path in paths]
    with contextlib.ExitStack() as stack:
        opened = None if genome is None else stack.enter_context(open_genome(genome))
        show = stack.enter_context(progress("alleles"))
        chunks = variant_tables(
            models,
            dataset,
            vcf,
            genome=opened,
            genes=None if genes is None else read_gene_list(genes),
            mismatch=mismatch.value,
            device=device,
            precision=precision.value,
            allow_leakage=allow_leakage,
            progress=show,
        )
        write_variants(chunks, result, vcf=annotated, source=vcf, inputs=[data, *model, *files])
