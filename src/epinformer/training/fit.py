"""Train one network: resumable after any kill, the same result from the same seed."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from torch.utils.data import DataLoader

from epinformer.errors import OutputError, TrainingError
from epinformer.model.hardware import Hardware, exact_convolutions
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
    TensorBoard. The random numbers of a step depend on seed, epoch and step alone, so a resumed training ends with the
    weights of an uninterrupted one.

    Parameters
    ----------
    module
        The network with its loss; on return it holds the weights of the epoch that ``settings.keep`` asks for.
    training, validation
        Not empty.
    folder
        Made if it is not there. The caller sees to it that nobody else trains in it.
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
        The disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = Record(module.network, settings.keep, folder, hardware, progress)
    state = folder / STATE_NAME
    with (
        _quiet(),
        failures_told(settings, folder),
        _interrupts(),
        _determinism(),
        exact_convolutions(settings.precision == "32"),
        torch.random.fork_rng(devices=[]),
    ):
        resumed = state.exists()
        if resumed:
            logger.info("going on from %s", state)
            if record.resume(state):
                return _with_kept_weights(module, record)
        order = EpochOrder(len(training), module.seed, **hardware.share())
        if not len(order):
            raise TrainingError(
                f"{len(training)} examples are too few for {hardware.processes} processes", fix="Lower --devices"
            )
        batches = _loader(training, settings, order)
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
            plugins=[AtomicCheckpoints(), *_environment()],
            default_root_dir=folder,
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


def _environment() -> list[SLURMEnvironment]:
    """Under Slurm: without Lightning's own requeueing, whose checkpoint the next fold would take for its own."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


@contextlib.contextmanager
def _determinism() -> Iterator[None]:
    """Leave torch's choice of algorithms as it was; Lightning sets it for good."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(enabled, warn_only=warned)


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Let Ctrl-C be an interrupt again, of which Lightning makes an ordinary exit and after which it ignores others."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def failures_told(settings: FitConfig, folder: Path) -> Iterator[None]:
    """Failures that a user can mend, in words: a full disk, too little memory, a dead process; where, if not said."""
    try:
        yield
    except TrainingError as error:
        if error.source is not None:
            raise
        raise TrainingError(error.problem, source=folder, fix=error.fix) from error
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
