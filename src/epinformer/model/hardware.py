"""Where to compute: processor or GPU, how many, and with which arithmetic."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch

from epinformer.errors import EpinformerError

logger = logging.getLogger(__name__)

Precision = Literal["32", "bf16"]


class Hardware(NamedTuple):
    """What a training runs on: processes on ``devices`` processors or GPUs of each of ``nodes`` machines."""

    accelerator: str = "cpu"
    devices: int = 1
    nodes: int = 1

    @property
    def processes(self) -> int:
        """Number of processes that train together."""
        return self.devices * self.nodes

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes results."""
        return self.share()["rank"] == 0

    def share(self) -> dict[str, int]:
        """``rank`` of this process and ``world``, the number of processes, as their launcher tells them."""
        if self.processes == 1:
            return {"rank": 0, "world": 1}
        told = os.environ.get
        if "RANK" in os.environ:  # torchrun
            rank = int(told("RANK", 0))
        elif "SLURM_NTASKS" in os.environ and told("SLURM_JOB_NAME") not in ("bash", "interactive"):  # srun
            rank = int(told("SLURM_PROCID", 0))
        else:  # Lightning starts the others itself
            rank = int(told("NODE_RANK", 0)) * self.devices + int(told("LOCAL_RANK", 0))
        return {"rank": rank, "world": self.processes}


def training_hardware(device: str = "auto", devices: int = 1, nodes: int = 1) -> Hardware:
    """Check what was asked for.

    Raises
    ------
    EpinformerError
        There is no such device, or fewer of them.
    """
    place = named_device(device)
    if place.index is not None:
        raise EpinformerError(
            f"trains on the first GPUs it sees, not on '{device}'",
            fix=f"Use --device cuda, and CUDA_VISIBLE_DEVICES={place.index} before the command",
        )
    available = torch.cuda.device_count() if place.type == "cuda" else devices
    if devices > available:
        raise EpinformerError(f"there are {available} CUDA devices, not {devices}", fix="Lower --devices")
    return Hardware("cuda" if place.type == "cuda" else "cpu", devices, nodes)


def named_device(device: str) -> torch.device:
    """The device of a name: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:<n>``.

    Raises
    ------
    EpinformerError
        There is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if re.fullmatch(r"cpu|cuda(:\d+)?", device) is None:
        raise EpinformerError(f"there is no device '{device}'", fix="Use auto, cpu, cuda or cuda:<number>")
    place = torch.device(device)
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise EpinformerError(
            f"device '{device}' is not there: {torch.cuda.device_count()} CUDA devices are available",
            fix="Use --device cpu or auto",
        )
    return place


@contextlib.contextmanager
def exact_convolutions(exact: bool = True) -> Iterator[None]:
    """Let no CUDA convolution round the inputs of 32-bit arithmetic to ten bits (TF32), and leave all as it was."""
    rounding = torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = rounding and not exact
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = rounding


def arithmetic(precision: Precision, device: torch.device | str) -> torch.dtype:
    """Type of the encoder's arithmetic; bfloat16 only where the processor has instructions for it."""
    if precision == "32":
        return torch.float32
    if torch.device(device).type == "cpu" and not (
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    ):
        logger.warning("this processor has no bfloat16 instructions and would be slower with it: computing in 32 bits")
        return torch.float32
    return torch.bfloat16
