"""Train one network: resumable after any kill, the same result from the same seed."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from epinformer.errors import OutputError, TrainingError
from epinformer.files import locked
from epinformer.model.hardware import Hardware
from epinformer.training.examples import EpochOrder, GeneExamples, WindowExamples, whole
from epinformer.training.module import FitModule
from epinformer.training.settings import FitConfig
from epinformer.training.state import STATE_NAME, AtomicCheckpoints, Record

logger = logging.getLogger(__name__)

Examples = GeneExamples | WindowExamples


class Fitted(NamedTuple):
    """How a training went; the network then holds the weights of the epoch that was kept.

    Attributes
    ----------
    history
        A row an epoch: epoch (from 1), train_loss, validation_mse, learning_rate, seconds.
    kept_epoch, kept_mse
        The epoch whose weights are kept, and its mean squared error on the validation examples.
    """

    history: pd.DataFrame
    kept_epoch: int
    kept_mse: float


def fit(
    module: FitModule,
    training: Examples,
    validation: Examples,
    folder: Path,
    settings: FitConfig,
    *,
    hardware: Hardware,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train a network, or go on where an earlier call with the same arguments was killed.

    After each epoch ``folder`` holds ``training.ckpt``, the whole state of the training, ``history.tsv`` and events for
    TensorBoard. The random numbers of an epoch depend on seed and epoch alone, so a resumed training ends with the
    weights of an uninterrupted one.

    Parameters
    ----------
    module
        The network with its loss; on return it holds the weights of the epoch that ``settings.keep`` asks for.
    training, validation
        Not empty.
    folder
        Made if it is not there; one process at a time may train in it.
    settings
        Batches, epochs, patience.
    hardware
        What to train on.
    progress
        Called with (steps done, steps if training is not stopped early).

    Raises
    ------
    TrainingError
        The loss is not finite, memory is too small, a loading process died, or the state is damaged. The state of the
        last whole epoch stays.
    OutputError
        The disk is full, or another process trains in this folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = Record(module.network, settings.keep, folder, progress)
    state = folder / STATE_NAME
    with (
        locked(folder / ".lock") if hardware.share()["rank"] == 0 else contextlib.nullcontext(),
        _quiet(),
        _told(settings, folder),
        torch.random.fork_rng(devices=[]),
    ):
        resumed = state.exists()
        if resumed:
            logger.info("going on from %s", state)
            if record.resume(state):
                return _with_kept_weights(module, record)
        batches = _loader(training, settings, EpochOrder(len(training), module.seed, **hardware.share()))
        stopping = []
        if settings.patience is not None:
            stopping = [EarlyStopping("validation_mse", patience=settings.patience, check_on_train_epoch_end=True)]
        trainer = lightning.Trainer(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy="ddp" if hardware.processes > 1 else "auto",
            precision="32-true",
            deterministic="warn" if hardware.accelerator == "cuda" else None,
            max_epochs=max(settings.max_epochs, -(-settings.min_steps // len(batches))),
            gradient_clip_val=settings.gradient_clip,
            callbacks=[*stopping, record],
            plugins=[AtomicCheckpoints()],
            logger=TensorBoardLogger(folder, name="", version=""),
            log_every_n_steps=1_000_000,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(
            module,
            batches,
            _loader(validation, settings, None),
            ckpt_path=state if resumed else None,
            weights_only=True,
        )
    return _with_kept_weights(module, record)


def _with_kept_weights(module: FitModule, record: Record) -> Fitted:
    """Give the network the weights that were kept."""
    module.network.load_state_dict(record.kept)
    module.network.eval()
    return Fitted(record.table(), record.kept_epoch, record.kept_mse)


def _loader(examples: Examples, settings: FitConfig, order: EpochOrder | None) -> DataLoader:
    count = len(examples) if order is None else len(order)
    return DataLoader(
        examples,
        batch_size=settings.batch,
        sampler=order,
        # Batch normalisation learns nothing from a single example.
        drop_last=order is not None and count > settings.batch and count % settings.batch == 1,
        collate_fn=whole,
        num_workers=settings.workers if order is not None else 0,
        persistent_workers=order is not None and settings.workers > 0,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's remarks about hardware that is not used and workers that are not there."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    loggers = [logging.getLogger(name) for name in names]
    levels = [log.level for log in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
        try:
            for log in loggers:
                log.setLevel(logging.WARNING)
            yield
        finally:
            for log, level in zip(loggers, levels, strict=True):
                log.setLevel(level)


@contextlib.contextmanager
def _told(settings: FitConfig, folder: Path) -> Iterator[None]:
    """Failures that a user can mend, in words."""
    try:
        yield
    except OSError as error:
        # TensorBoard's writer, for one, says neither which file nor what to do.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OutputError(
            f"cannot be written to: {error.strerror}",
            source=folder,
            fix="Free some space; the same command goes on after the last whole epoch",
        ) from error
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        if re.search(r"DataLoader worker .*(killed|exited|died)", text):
            raise TrainingError(
                f"a process that loads data died ({text.splitlines()[0]})",
                source=folder,
                fix="Lower fit.workers or fit.batch if memory was short; the same command goes on after the last whole "
                "epoch",
            ) from error
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
            raise TrainingError(
                f"memory is too small for batches of {settings.batch:,}",
                source=folder,
                fix="Lower fit.batch in a new run, or set fit.precision=bf16",
            ) from error
        raise
