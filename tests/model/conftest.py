"""Checkpoints in the authors' layout, with random weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from epinformer.model.config import ModelConfig, activity_config, published_config
from epinformer.model.published_tensors import published_slots

StateMaker = Callable[[str], "OrderedDict[str, Tensor]"]


def _config(kind: str) -> ModelConfig:
    return activity_config() if kind == "activity" else published_config(kind)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def authors_state() -> StateMaker:
    """Make state dicts under the authors' names: for ``activity`` or one of the published variants."""

    def make(kind: str) -> OrderedDict[str, Tensor]:
        generator = torch.Generator().manual_seed(7)
        state: OrderedDict[str, Tensor] = OrderedDict()
        for slot in published_slots(_config(kind)):
            if slot.theirs.endswith("num_batches_tracked"):
                state[slot.theirs] = torch.tensor(12)
            else:
                state[slot.theirs] = torch.rand(slot.stored[0], generator=generator) * 0.1
        return state

    return make


@pytest.fixture
def authors_file(tmp_path: Path, authors_state: StateMaker) -> Callable[..., Path]:
    """Write checkpoints as the authors' training writes them."""

    def write(
        kind: str = "PE-Activity",
        name: str = "fold_11_EPInformer_PE_Activity_RNA_K562_checkpoint.pt",
        saved_as: str | None = None,
        legacy: bool = False,
        **changes: object,
    ) -> Path:
        content = {"epoch": 3, "model_state_dict": authors_state(kind), "loss": np.float64(-0.5)} | changes
        path = tmp_path / (name if saved_as is None else f"{saved_as}.pt")
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        return path.rename(tmp_path / name)

    return write
