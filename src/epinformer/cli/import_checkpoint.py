"""`epinformer import-checkpoint`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

_log = logging.getLogger(__name__)


def import_checkpoint(
    file: Annotated[Path, typer.Argument(metavar="FILE.pt", help="One of the authors' checkpoints.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL", help="The model's folder, made here.")],
    fold: Annotated[
        int | None, typer.Option(min=1, max=12, help="The paper's fold, where the file's name does not say it.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="What it predicts: expression_rna, expression_cage..."),
    ] = None,
    assembly: Annotated[str | None, typer.Option(help="Genome; hg38 for the published K562 and GM12878.")] = None,
    cell_type: Annotated[str | None, typer.Option(help="E.g. K562.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
) -> None:
    """Turn one of the authors' checkpoints into a model.

    Takes the published EPInformer weights (promoter, PE, PE-Activity, PE-Activity-HiC) and the 256-bp
    enhancer-activity encoders. The file is read without running anything that is in it. Which variant it is follows
    from its tensors; fold, target and cell type from its name and the name it was saved under, or from the options.

    \b
    Examples:
      epinformer import-checkpoint fold_11_EPInformer_PE_Activity_HiC_RNA_K562_checkpoint.pt -o rna.model
      epinformer import-checkpoint weights.pt -o my.model --fold 3 --target expression_cage --cell-type K562
    """
    from epinformer.model.checkpoint import import_checkpoint as convert

    info = convert(file, output, fold=fold, target=target, assembly=assembly, cell_type=cell_type, overwrite=overwrite)
    name = info.config.variant or "enhancer activity"
    known = [info.cell_type, info.assembly, info.target, None if info.fold is None else f"fold {info.fold.name}"]
    _log.info("wrote %s: %s", output, ", ".join([name, *(text for text in known if text)]))
