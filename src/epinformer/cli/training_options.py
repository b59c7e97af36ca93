"""Options that the training commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Option("--data", metavar="DATASET", help="Dataset written by `epinformer prepare`.")]
Output = Annotated[
    Path,
    typer.Option("-o", "--output", metavar="RUN", help="The run's folder; one that was stopped goes on."),
]
Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="default or published; by default what --config names.")
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE.yaml", help="Settings that differ from the preset's.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting, as in fit.max_epochs=5; may be repeated."),
]
Folds = Annotated[
    str | None, typer.Option("--folds", metavar="NAMES", help="Folds separated by commas; all by default.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Devices = Annotated[int, typer.Option("--devices", min=1, help="GPUs (or processes) that train together.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Machines that train together.")]
AllowLeakage = Annotated[
    bool,
    typer.Option(
        "--allow-leakage", help="Use an encoder that has seen chromosomes its fold holds out; the result says so."
    ),
]


def names(text: str | None) -> list[str] | None:
    """``"1,2, 5"`` -> the names; None stays."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
