"""Options that the commands share which ask models for something."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Precision(StrEnum):
    """Arithmetic of the sequence encoder."""

    full = "32"
    bf16 = "bf16"


Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
EncoderPrecision = Annotated[
    Precision, typer.Option("--precision", help="32 is exact; bf16 is faster where the processor knows it.")
]
AllowLeakage = Annotated[
    bool, typer.Option("--allow-leakage", help="Also use chromosomes that the models have learned from.")
]
