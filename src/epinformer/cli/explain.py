"""`epinformer explain`."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress
from epinformer.cli.model_options import AllowLeakage, Device, EncoderPrecision, Precision

_log = logging.getLogger(__name__)


class MethodName(StrEnum):
    """How predictions are attributed to bases."""

    ism = "ism"
    deeplift = "deeplift"


class PartName(StrEnum):
    """Which sequences of a gene."""

    all = "all"
    elements = "elements"
    promoter = "promoter"


def explain(
    model: Annotated[
        list[Path],
        typer.Option("--model", help="Activity or expression model, or a run with its models; several times for more."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder to make.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Dataset with sequence, written by `epinformer prepare`.")
    ] = None,
    genome: Annotated[
        Path | None, typer.Option(metavar="FASTA", help="Bases of --regions that the dataset does not hold.")
    ] = None,
    regions: Annotated[
        Path | None, typer.Option(metavar="BED", help="Explain these regions, of 256 bp or more.")
    ] = None,
    gene: Annotated[
        list[str] | None, typer.Option("--gene", help="Gene id, or a name that occurs once; several times for more.")
    ] = None,
    genes: Annotated[
        str | None, typer.Option("--genes", help="Gene ids separated by commas, or a file with one a line.")
    ] = None,
    part: Annotated[PartName, typer.Option(help="Of genes: their elements, their promoters, or all.")] = PartName.all,
    links: Annotated[Path | None, typer.Option(help="Explain the elements of the best links of this table.")] = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="With --links: how many.")] = 100,
    score: Annotated[
        str | None,
        typer.Option(help="With --links: which score ranks; by default attention_abc, or else abc, or powerlaw_abc."),
    ] = None,
    method: Annotated[
        MethodName | None,
        typer.Option(help="By default deeplift for activity models and ism, which needs no rules, for expression."),
    ] = None,
    references: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Shuffled references a sequence, for deeplift; the paper: 1,000."),
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the shuffled references.")] = 0,
    stride: Annotated[
        int, typer.Option(min=1, metavar="BP", help="Activity: bp between the 256-bp windows of an element.")
    ] = 256,
    figures: Annotated[int, typer.Option(min=0, metavar="N", help="Draw the first N sequences.")] = 10,
    device: Device = "auto",
    precision: EncoderPrecision = Precision.full,
    allow_leakage: AllowLeakage = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder that this command wrote.")] = False,
) -> None:
    """Attribute predictions to bases, to see which letters of an element a model reads.

    With activity models (of `epinformer pretrain`) the strongest 256-bp window of each element is explained; with
    expression models the prediction of a gene by the whole sequence of each of its elements and its promoter. Without
    --regions, --gene, --genes or --links, activity models explain all elements of the dataset.

    Writes attributions.h5 (for `epinformer motifs`), attributions.bw (for a genome browser), regions.tsv, tiles.tsv
    and figures. ism changes every base to every other; deeplift compares with shuffled sequences (pip install
    'epinformer[interpret]').

    \b
    Examples:
      epinformer explain --model encoders --data k562.dataset -o explained
      epinformer explain --model encoders --data k562.dataset --links links.tsv.gz --top 500 -o explained
      epinformer explain --model encoders --genome hg38.fa --regions peaks.bed --method ism -o explained
      epinformer explain --model run --data k562.dataset --gene KLF1 -o klf1
    """
    import contextlib

    from epinformer.dataset.store import open_dataset
    from epinformer.errors import InputError
    from epinformer.files import refuse_output
    from epinformer.inputs.genome import open_genome
    from epinformer.interpretation.attribution import default_method, kind_of
    from epinformer.interpretation.attribution import explain as run
    from epinformer.interpretation.choosing import Wanted
    from epinformer.interpretation.explained import Settings
    from epinformer.model.checkpoint import load_model
    from epinformer.report.attributions import MARKER, write_explained
    from epinformer.scoring.selection import model_paths, read_gene_list

    if gene and genes is not None:
        raise InputError("--gene and --genes are both given", fix="Give one of them")
    if links is not None and (regions is not None or gene or genes is not None):
        raise InputError("--links and other regions or genes are both given", fix="Give one of them")
    named = gene or (None if genes is None else read_gene_list(genes))
    wanted = Wanted(regions, named, part.value, links, top, score)
    listed = Path(genes) if genes and os.path.isfile(genes) else None
    inputs = [*model, *(path for path in (data, genome, regions, links, listed) if path is not None)]
    # Before the work, which may take hours.
    refuse_output(output, overwrite=overwrite, marker=MARKER, inputs=inputs)
    models = [load_model(path) for path in model_paths(model)]
    settings = Settings(
        method.value if method is not None else default_method(kind_of(models)),
        references,
        seed,
        device,
        precision.value,
        allow_leakage,
    )
    with contextlib.ExitStack() as stack:
        opened = None if genome is None else stack.enter_context(open_genome(genome))
        show = stack.enter_context(progress("sequences explained"))
        result = run(
            models,
            wanted,
            settings,
            dataset=None if data is None else open_dataset(data),
            genome=opened,
            stride=stride,
            progress=show,
        )
        number = write_explained(
            result.chunks,
            output,
            result.about,
            length=result.length,
            chrom_sizes=result.chrom_sizes,
            figures=figures,
            overwrite=overwrite,
            inputs=inputs,
        )
    _log.info("%s sequences explained: %s", f"{number:,}", output)
