"""Train expression models: fold by fold and seed by seed, going on wherever it was stopped."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import JsonValue

from epinformer.dataset.folds import Fold
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError
from epinformer.files import locked
from epinformer.model.checkpoint import FoldInfo, LoadedModel, ModelInfo, save_model
from epinformer.model.config import ModelConfig
from epinformer.model.encoder import SequenceEncoder
from epinformer.model.epinformer import EPInformer
from epinformer.model.hardware import Hardware, arithmetic
from epinformer.training.encoder import pretrained_encoder
from epinformer.training.examples import GeneExamples
from epinformer.training.fit import failures_told, fit
from epinformer.training.module import ExpressionModule
from epinformer.training.resolve import choose_folds, genes_to_use, resolve_folds, resolve_network, resolve_target
from epinformer.training.run import claim_encoder, claim_run, fold_folder, fold_settings, part_of
from epinformer.training.settings import TrainConfig
from epinformer.training.state import STATE_NAME
from epinformer.training.towers import TowerCache

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


class Run(NamedTuple):
    """A claimed run directory and everything that is settled before its first epoch."""

    folder: Path
    dataset: Dataset
    config: TrainConfig
    network: ModelConfig
    target: str
    folds: list[Fold]
    genes: np.ndarray
    encoders: dict[str, LoadedModel]
    leakage: dict[str, list[str]]
    hardware: Hardware
    dtype: torch.dtype


class Parts(NamedTuple):
    """Numbers of the genes that a fold trains on, validates on and tests."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def train(
    dataset: Dataset,
    output: str | Path,
    config: TrainConfig,
    *,
    folds: Iterable[str] | None = None,
    hardware: Hardware | None = None,
    allow_leakage: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Train the models of some folds.

    Parameters
    ----------
    dataset
        With the expression and the features that the configuration names.
    output
        The run's directory. If it is there it must be of the same data and settings, and what is done is not done
        again; a training that was killed goes on after its last whole epoch.
    config
        Settings (`epinformer.training.settings.load_run_config`).
    folds
        Names of the folds to train; all by default.
    hardware
        What to train on; the processor by default.
    allow_leakage
        Go on with an encoder that has seen chromosomes that its fold holds out. Models and results then say so.
    progress
        Called with (steps done, steps in all if no training is stopped early).

    Returns
    -------
    list of Path
        The model directories, ``fold_<name>/seed_<seed>.model``.

    Raises
    ------
    DatasetError
        The dataset lacks a feature, expression or sequence; a fold has no genes to train, validate or test on; genes
        lie on chromosomes that no fold tests; or expression is constant.
    ConfigError
        There is no such fold.
    LeakageError, ModelError
        The encoder has seen what is held out, or does not fit.
    OutputError
        ``output`` holds another run, or cannot be written.
    TrainingError
        The loss is not finite, memory is too small, or a loading process died; what is done stays.
    """
    run = begin(dataset, Path(output), config, folds, hardware, allow_leakage)
    return [path for fold, told in shares(run, progress) for path in train_fold(run, fold, told)]


def begin(
    dataset: Dataset,
    output: Path,
    config: TrainConfig,
    folds: Iterable[str] | None,
    hardware: Hardware | None,
    allow_leakage: bool,
) -> Run:
    """Settle and check everything that can be known before the work, and claim the directory."""
    target = resolve_target(dataset, config.target)
    scheme = resolve_folds(config.folds, dataset)
    network = resolve_network(config.network, dataset, preset=config.preset, target=target)
    genes = genes_to_use(dataset, scheme, target, in_no_fold=config.genes_in_no_fold)
    tested = [fold for fold in scheme if not fold.seen(dataset.genes["chrom"].iloc[genes]).all()]
    chosen = choose_folds(scheme, folds if folds is not None else [fold.name for fold in tested])
    if config.encoder is not None and network.sequence == "none":
        raise DatasetError(
            "has no sequence, which an encoder reads" if not dataset.has_sequence else "is trained on without sequence",
            source=dataset.path,
            fix="Leave the encoder out, or train on a dataset with sequence",
        )
    encoders, leakage = {}, {}
    for fold in chosen:
        fold_genes(dataset, genes, fold)
        if config.encoder is not None:
            encoders[fold.name], leakage[fold.name] = pretrained_encoder(
                config.encoder.source, fold, dataset, allow_leakage=allow_leakage
            )
    # Here is where a missing value shows.
    GeneExamples(dataset, network, genes)
    settings = {
        # Which encoder a fold starts from is known by its weights, wherever it lies (`claim_encoder`).
        "config": config.model_dump(mode="json", exclude={"encoder": {"source"}}),
        "target": target,
        "network": network.model_dump(mode="json"),
        "folds": fold_settings(tuple(scheme)),
    }
    hardware = hardware if hardware is not None else Hardware()
    if hardware.leads:
        claim_run(output, "train", dataset, settings)
    dtype = arithmetic(config.fit.precision, hardware.accelerator)
    return Run(output, dataset, config, network, target, chosen, genes, encoders, leakage, hardware, dtype)


def fold_genes(dataset: Dataset, genes: np.ndarray, fold: Fold) -> Parts:
    """The fold's genes by their use.

    Raises
    ------
    DatasetError
        There are none for one of the uses.
    """
    uses = fold.split(dataset.genes["chrom"].iloc[genes])
    parts = Parts(*(genes[uses == use] for use in ("train", "validation", "test")))
    for use, part, chroms in zip(parts._fields, parts, (None, fold.validation, fold.test), strict=True):
        if not len(part):
            where = "any other chromosome" if chroms is None else f"chromosome {' or '.join(sorted(chroms))}"
            raise DatasetError(
                f"has no {use} genes for fold {fold.name}: none lies on {where}",
                source=dataset.path,
                fix="Leave the fold out with --folds, or give folds of your own with --set folds=FILE.yaml",
            )
    return parts


def train_fold(run: Run, fold: Fold, progress: Progress | None) -> list[Path]:
    """Train the models of a fold that are not there yet."""
    folder = fold_folder(run.folder, fold)
    seeds = run.config.seeds
    paths = [folder / f"seed_{seed}.model" for seed in seeds]
    folder.mkdir(parents=True, exist_ok=True)
    alone = locked(folder / ".lock") if run.hardware.leads else contextlib.nullcontext()
    with alone, failures_told(run.config.fit, folder):
        encoder = run.encoders.get(fold.name)
        if run.hardware.leads:
            claim_encoder(folder, "none" if encoder is None else str(encoder.info.weights_sha256))
        missing = [(number, seed) for number, seed in enumerate(seeds) if not paths[number].exists()]
        if missing:
            parts = fold_genes(run.dataset, run.genes, fold)
            training = GeneExamples(run.dataset, run.network, parts.train)
            validation = GeneExamples(run.dataset, run.network, parts.validation)
            training.towers = validation.towers = _towers(run, fold, folder, [training, validation])
            for number, seed in missing:
                told = None if progress is None else part_of(progress, number, len(seeds))
                _train_one(run, fold, seed, paths[number], training, validation, told)
        if run.hardware.leads:
            shutil.rmtree(folder / "towers", ignore_errors=True)
            for path in paths:
                (path.with_suffix("") / STATE_NAME).unlink(missing_ok=True)
    return paths


def _train_one(
    run: Run,
    fold: Fold,
    seed: int,
    path: Path,
    training: GeneExamples,
    validation: GeneExamples,
    progress: Progress | None,
) -> None:
    settings = run.config.fit
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EPInformer(run.network)
    if network.pair_standardiser is not None and network.gene_standardiser is not None:
        batch = training.batch
        network.pair_standardiser.fit(batch.pair_features[batch.row_slot > 0])
        network.gene_standardiser.fit(batch.gene_features)
    frozen = run.config.encoder is not None and run.config.encoder.freeze
    encoder = run.encoders.get(fold.name)
    if encoder is not None and network.encoder is not None:
        network.encoder.load_state_dict(_encoder(encoder).state_dict())
    module = ExpressionModule(
        network,
        settings,
        seed=seed,
        dtype=run.dtype,
        frozen=frozen and encoder is not None,
    )
    folder = path.with_suffix("")
    fitted = fit(module, training, validation, folder, settings, hardware=run.hardware, progress=progress)
    if not run.hardware.leads:
        return
    about: dict[str, JsonValue] = {
        "seed": seed,
        "epoch": fitted.kept_epoch,
        "epochs": len(fitted.history),
        "validation_mse": fitted.kept_mse,
        "train_genes": len(training),
        "validation_genes": len(validation),
        "encoder": None if encoder is None else str(encoder.info.weights_sha256),
        "encoder_frozen": frozen and encoder is not None,
        "leakage": list(run.leakage.get(fold.name, [])),
    }
    info = ModelInfo(
        config=run.network,
        assembly=run.dataset.manifest.assembly,
        cell_type=run.dataset.manifest.cell_type,
        fold=FoldInfo.of(fold),
        training_data=run.dataset.content_hash(),
        training=about,
    )
    save_model(network, path, info, overwrite=True)
    logger.info(
        "fold %s, seed %d: %d epochs, weights of epoch %d with a validation MSE of %.4f",
        fold.name,
        seed,
        len(fitted.history),
        fitted.kept_epoch,
        fitted.kept_mse,
    )


def _encoder(loaded: LoadedModel) -> SequenceEncoder:
    encoder = loaded.model.encoder
    assert isinstance(encoder, SequenceEncoder)
    return encoder


def _towers(run: Run, fold: Fold, folder: Path, examples: Sequence[GeneExamples]) -> TowerCache | None:
    """The output of a frozen encoder for all sequences of the examples, computed once."""
    encoder = run.encoders.get(fold.name)
    if encoder is None or run.config.encoder is None or not run.config.encoder.freeze:
        return None
    # The window is longer than the one that the encoder was pretrained on; its weights are the same.
    whole = SequenceEncoder(run.network)
    whole.load_state_dict(_encoder(encoder).state_dict())
    return TowerCache.build_or_open(
        folder / "towers",
        whole.eval(),
        run.dataset,
        device=run.hardware.accelerator,
        dtype=run.dtype,
        sequences=np.unique(np.concatenate([of.batch.row_sequence.numpy() for of in examples])),
    )


def shares(run: Run, progress: Progress | None) -> Iterable[tuple[Fold, Progress | None]]:
    """Each fold with its share of the progress."""
    for number, fold in enumerate(run.folds):
        yield fold, None if progress is None else part_of(progress, number, len(run.folds))
