"""Pretrain the sequence encoder: 256 bp of DNA to enhancer activity, one model a fold."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import JsonValue

from epinformer.dataset.folds import Fold, natural_order, test_fold
from epinformer.dataset.store import Dataset
from epinformer.dataset.windows import EncoderWindows, encoder_windows
from epinformer.errors import DatasetError
from epinformer.files import atomic_file, locked
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import FoldInfo, ModelInfo, load_model, save_model
from epinformer.model.config import activity_config
from epinformer.model.hardware import Hardware, arithmetic, exact_convolutions
from epinformer.training.encoder import ENCODER_NAME
from epinformer.training.examples import WindowExamples
from epinformer.training.fit import failures_told, fit
from epinformer.training.module import ActivityModule
from epinformer.training.resolve import choose_folds, resolve_folds
from epinformer.training.run import claim_run, fold_folder, fold_settings, part_of
from epinformer.training.settings import PretrainConfig
from epinformer.training.state import STATE_NAME

logger = logging.getLogger(__name__)

PREDICTIONS_NAME = "windows.tsv"
_WINDOWS_AT_A_TIME = 4096


class Pretrained(NamedTuple):
    """Encoders and what they predict for windows of chromosomes that they have not seen.

    Attributes
    ----------
    models
        Model directories, ``fold_<name>/encoder.model``.
    table
        A row a window of the tested chromosomes: gene_id (the row number among the dataset's windows, under the name
        that `epinformer.evaluation.expression.evaluate` asks for), chrom, start, end, fold, observed (log2(0.1 +
        activity)), predicted (mean over both strands).
    """

    models: list[Path]
    table: pd.DataFrame


def pretrain(
    dataset: Dataset,
    output: str | Path,
    config: PretrainConfig,
    *,
    folds: Iterable[str] | None = None,
    hardware: Hardware | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pretrained:
    """Train the 256-bp enhancer-activity model on a dataset's windows, one model a fold (paper, Methods).

    Windows come from the dataset (``encoder_windows:`` of `epinformer prepare`), or else from its elements. The target
    is log2(0.1 + activity). With ``both_strands`` every window is also learned from as its reverse complement, and
    predictions are always means over both strands.

    Parameters
    ----------
    dataset
        With sequence.
    output
        The run's directory; a run of the same data and settings goes on where it was stopped.
    config
        Settings (`epinformer.training.settings.load_run_config`).
    folds
        Names of the folds; all that have windows by default.
    hardware
        What to train on; the processor by default.
    progress
        Called with (steps done, steps in all if no training is stopped early).

    Raises
    ------
    DatasetError
        The dataset has no sequence, a fold has no windows to train, validate or test on, or all activities are the
        same.
    ConfigError
        There is no such fold.
    OutputError
        ``output`` holds another run, or cannot be written.
    TrainingError
        The loss is not finite, memory is too small, or a loading process died; what is done stays.
    """
    output = Path(output)
    hardware = hardware if hardware is not None else Hardware()
    windows = encoder_windows(dataset, windows=config.windows, stride=config.stride)
    target = np.log2(0.1 + windows.table["activity"].to_numpy(np.float64))
    if np.ptp(target) == 0:
        raise DatasetError(
            f"gives all {len(target):,} windows the same activity", source=dataset.path, fix="Check its signals"
        )
    scheme = resolve_folds(config.folds, dataset)
    names = np.asarray(test_fold(windows.table["chrom"], scheme).fillna(""))
    outside = int((names == "").sum())
    if outside:
        logger.info("%s windows on chromosomes that no fold tests are only learned from", f"{outside:,}")
    tested = [fold for fold in scheme if (names == fold.name).any()]
    chosen = choose_folds(scheme, folds if folds is not None else [fold.name for fold in tested])
    for fold in chosen:
        _uses(dataset, windows, fold)
    if hardware.leads:
        settings = {"config": config.model_dump(mode="json"), "folds": fold_settings(tuple(scheme))}
        claim_run(output, "pretrain", dataset, settings)
    models, tables = [], []
    for number, fold in enumerate(chosen):
        told = None if progress is None else part_of(progress, number, len(chosen))
        folder = fold_folder(output, fold)
        folder.mkdir(parents=True, exist_ok=True)
        alone = locked(folder / ".lock") if hardware.leads else contextlib.nullcontext()
        with alone, failures_told(config.fit, folder):
            path = _pretrain_fold(dataset, windows, target, folder, fold, config, hardware, told)
            models.append(path)
            if hardware.leads:
                tables.append(_held_out(dataset, windows, target, fold, path, hardware.accelerator))
    return Pretrained(models, pd.concat(tables, ignore_index=True) if tables else pd.DataFrame())


def _uses(dataset: Dataset, windows: EncoderWindows, fold: Fold) -> dict[str, np.ndarray]:
    """Rows of the windows by their use in a fold."""
    uses = fold.split(windows.table["chrom"])
    rows = {use: np.flatnonzero(uses == use) for use in ("train", "validation", "test")}
    for use, found in rows.items():
        if not len(found):
            held = natural_order(fold.validation if use == "validation" else fold.test)
            where = "any other chromosome" if use == "train" else f"chromosome {' or '.join(held)}"
            raise DatasetError(
                f"has no {use} windows for fold {fold.name}: none lies on {where}",
                source=dataset.path,
                fix="Leave the fold out with --folds, or give folds of your own with --set folds=FILE.yaml",
            )
    return rows


def _pretrain_fold(
    dataset: Dataset,
    windows: EncoderWindows,
    target: np.ndarray,
    folder: Path,
    fold: Fold,
    config: PretrainConfig,
    hardware: Hardware,
    progress: Callable[[int, int], None] | None,
) -> Path:
    """Train the encoder of a fold if it is not there yet."""
    path = folder / ENCODER_NAME
    if path.exists():
        return path
    rows = _uses(dataset, windows, fold)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = ActivityModel(activity_config())
    settings = config.fit
    module = ActivityModule(
        network, settings, seed=config.seed, dtype=arithmetic(settings.precision, hardware.accelerator)
    )
    training = WindowExamples(windows.codes, target, rows["train"], both_strands=config.both_strands)
    validation = WindowExamples(windows.codes, target, rows["validation"], both_strands=config.both_strands)
    working = folder / "encoder"
    fitted = fit(module, training, validation, working, settings, hardware=hardware, progress=progress)
    if not hardware.leads:
        return path
    about: dict[str, JsonValue] = {
        "seed": config.seed,
        "epoch": fitted.kept_epoch,
        "epochs": len(fitted.history),
        "validation_mse": fitted.kept_mse,
        "train_windows": len(rows["train"]),
        "validation_windows": len(rows["validation"]),
        "both_strands": config.both_strands,
    }
    info = ModelInfo(
        config=network.config,
        assembly=dataset.manifest.assembly,
        cell_type=dataset.manifest.cell_type,
        fold=FoldInfo.of(fold),
        training_data=dataset.content_hash(),
        training=about,
    )
    save_model(network, path, info, overwrite=True)
    (working / STATE_NAME).unlink(missing_ok=True)
    logger.info(
        "fold %s: %d epochs, weights of epoch %d with a validation MSE of %.4f",
        fold.name,
        len(fitted.history),
        fitted.kept_epoch,
        fitted.kept_mse,
    )
    return path


def _held_out(
    dataset: Dataset, windows: EncoderWindows, target: np.ndarray, fold: Fold, path: Path, device: str
) -> pd.DataFrame:
    """What a fold's encoder predicts for the windows that it tests: read if it is there, else made and written."""
    file = path.parent / PREDICTIONS_NAME
    if not file.exists():
        table = _test(windows, target, _uses(dataset, windows, fold)["test"], path, device).assign(fold=fold.name)
        columns = ["gene_id", "chrom", "start", "end", "fold", "observed", "predicted"]
        with atomic_file(file) as temporary:
            table[columns].to_csv(temporary, sep="\t", index=False, float_format="%.9g")
    return pd.read_csv(file, sep="\t", dtype={"gene_id": str, "chrom": str, "fold": str})


def _test(windows: EncoderWindows, target: np.ndarray, rows: np.ndarray, path: Path, device: str) -> pd.DataFrame:
    """What an encoder predicts for some of the windows."""
    network = load_model(path, device).model
    assert isinstance(network, ActivityModel)
    parts = []
    with exact_convolutions(), torch.inference_mode():
        for begin in range(0, len(rows), _WINDOWS_AT_A_TIME):
            codes = windows.codes[rows[begin : begin + _WINDOWS_AT_A_TIME]]
            parts.append(network.both_strands(torch.from_numpy(codes).to(device)).cpu().numpy())
    table = windows.table.iloc[rows][["chrom", "start", "end"]].reset_index(drop=True)
    return table.assign(gene_id=rows, observed=target[rows], predicted=np.concatenate(parts))
