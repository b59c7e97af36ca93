"""The state of a training run on disk: one file, replaced whole after each epoch, from which the run can go on."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import CheckpointIO
from torch import nn
from typing_extensions import override

from epinformer.errors import TrainingError
from epinformer.files import atomic_file
from epinformer.model.hardware import Hardware

logger = logging.getLogger(__name__)

STATE_NAME = "training.ckpt"
HISTORY_NAME = "history.tsv"
HISTORY_COLUMNS = ("epoch", "train_loss", "validation_mse", "learning_rate", "seconds")


class AtomicCheckpoints(CheckpointIO):
    """Checkpoints that are there whole or not at all, and of which nothing is executed when they are read."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: object = None) -> None:
        """Write a checkpoint under a temporary name and rename it."""
        # By way of memory: torch's own file writer reports a full disk as a broken archive.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with atomic_file(Path(path)) as temporary, temporary.open("wb") as handle:
            handle.write(buffer.getbuffer())
            handle.flush()
            os.fsync(handle.fileno())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read tensors and plain values; anything else in the file is refused."""
        try:
            state: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except FileNotFoundError:
            raise
        except Exception as error:  # the reader raises many kinds for a damaged file
            raise TrainingError(
                f"is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
                source=path,
                fix="Remove it; the same command then trains this model from its start",
            ) from error
        return state

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint if it is there."""
        Path(path).unlink(missing_ok=True)


class Record(Checkpoint):
    """Keeps the weights that shall predict and a row an epoch, and writes state and history when an epoch is over.

    Lightning calls checkpoints after all other callbacks, so the state written holds theirs as it is after the epoch.

    Parameters
    ----------
    network
        Whose weights are kept.
    keep
        Which: those of the epoch with the lowest validation error, or of the last.
    folder
        Where ``training.ckpt`` and ``history.tsv`` go.
    hardware
        How many processes there should be, and which of them this one is.
    progress
        Called with (steps done, steps if training is not stopped early).
    """

    def __init__(
        self,
        network: nn.Module,
        keep: Literal["best", "last"],
        folder: Path,
        hardware: Hardware,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.network = network
        self.keep = keep
        self.folder = folder
        self.hardware = hardware
        self.progress = progress
        self.history: list[dict[str, float]] = []
        self.kept: dict[str, torch.Tensor] = {}
        self.kept_epoch = 0
        self.kept_mse = float("inf")
        self.finished = False
        self._started = 0.0

    @override
    def state_dict(self) -> dict[str, Any]:
        return {
            "history": self.history,
            "kept": self.kept,
            "kept_epoch": self.kept_epoch,
            "kept_mse": self.kept_mse,
            "finished": self.finished,
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def resume(self, path: Path) -> bool:
        """Take up the record of a state on disk and say whether the training it is of had come to its end."""
        states = AtomicCheckpoints().load_checkpoint(path)["callbacks"]
        self.load_state_dict(states[type(self).__qualname__])
        return self.finished

    def table(self) -> pd.DataFrame:
        """A row an epoch: epoch (from 1), train_loss, validation_mse, learning_rate, seconds."""
        return pd.DataFrame(self.history, columns=list(HISTORY_COLUMNS))

    @override
    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        # Another launcher than ours may see the processes otherwise; each would then train on the wrong genes.
        expected, found = self.hardware.share(), {"rank": trainer.global_rank, "world": trainer.world_size}
        if found != expected:
            raise TrainingError(
                f"process {found['rank']} of {found['world']} is at work, where process {expected['rank']} of "
                f"{expected['world']} was expected",
                fix="Start one task a device (srun --ntasks-per-node equal to --devices), or use --devices 1",
            )

    @override
    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._started = time.monotonic()

    @override
    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.progress is not None and trainer.is_global_zero:
            self.progress(trainer.global_step, int(trainer.estimated_stepping_batches))

    @override
    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        metrics = trainer.callback_metrics
        epoch, mse = trainer.current_epoch + 1, float(metrics["validation_mse"])
        if self.keep == "last" or mse < self.kept_mse:
            self.kept_epoch, self.kept_mse = epoch, mse
            weights = self.network.state_dict()
            self.kept = {name: value.detach().cpu().clone() for name, value in weights.items()}
        self.history.append(
            {
                "epoch": epoch,
                "train_loss": float(metrics["train_loss"]),
                "validation_mse": mse,
                "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
                "seconds": time.monotonic() - self._started,
            }
        )
        self.finished = trainer.should_stop or epoch == trainer.max_epochs
        trainer.save_checkpoint(self.folder / STATE_NAME)
        if trainer.is_global_zero:
            with atomic_file(self.folder / HISTORY_NAME) as temporary:
                self.table().to_csv(temporary, sep="\t", index=False, float_format="%.7g")
