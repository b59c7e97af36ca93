"""The pretrained encoder that a fold starts from, and whether it has seen what the fold tests."""

from __future__ import annotations

import logging
from pathlib import Path

from epinformer.assemblies import same_assembly
from epinformer.dataset.folds import Fold, natural_order
from epinformer.dataset.store import Dataset
from epinformer.errors import LeakageError, ModelError
from epinformer.model.checkpoint import INFO_NAME, LoadedModel, load_model
from epinformer.model.encoder import SequenceEncoder
from epinformer.training.run import fold_folder

logger = logging.getLogger(__name__)

ENCODER_NAME = "encoder.model"


def encoder_path(source: str | Path, fold: Fold) -> Path:
    """The model directory of a fold's encoder: ``source`` itself, or the one that a pretraining run made for the fold.

    Raises
    ------
    ModelError
        There is neither.
    """
    source = Path(source)
    if (source / INFO_NAME).is_file():
        return source
    path = fold_folder(source, fold) / ENCODER_NAME
    if not path.is_dir():
        raise ModelError(
            f"holds neither {INFO_NAME} nor an encoder for fold {fold.name}",
            source=source,
            fix=f"Pretrain it with `epinformer pretrain --folds {fold.name} -o {source}`",
        )
    return path


def pretrained_encoder(
    source: str | Path, fold: Fold, dataset: Dataset, *, allow_leakage: bool = False
) -> tuple[LoadedModel, list[str]]:
    """Load a fold's encoder and say what of the fold's held-out chromosomes it has learned from.

    Parameters
    ----------
    source
        As in `encoder_path`.
    fold
        What it will be used for.
    dataset
        What it will be trained on further.
    allow_leakage
        Go on with an encoder that has seen held-out chromosomes.

    Returns
    -------
    model, leakage
        The model, and a sentence for each kind of leakage; none for an encoder of the same fold.

    Raises
    ------
    LeakageError
        The encoder has trained on a chromosome that the fold tests or validates on, chose its weights on one that the
        fold tests, or does not say what it was trained on, and ``allow_leakage`` is false.
    ModelError
        There is no such model, it has no encoder, or is of another assembly.
    """
    path = encoder_path(source, fold)
    loaded = load_model(path)
    if not isinstance(loaded.model.encoder, SequenceEncoder):
        raise ModelError("reads signals alone and has no encoder", source=path, fix="Give a pretrained encoder")
    assembly = loaded.info.assembly
    if assembly is not None and not same_assembly(assembly, dataset.manifest.assembly):
        raise ModelError(
            f"was trained on {assembly}, but {dataset.path} is of {dataset.manifest.assembly}",
            source=path,
            fix="Give an encoder of the same assembly",
        )
    leakage = _leakage(loaded, fold)
    if leakage and not allow_leakage:
        raise LeakageError(
            leakage[0],
            source=path,
            fix="Give the encoder of the same fold, or pass --allow-leakage, which the result will say",
        )
    for sentence in leakage:
        logger.warning("%s: %s", path, sentence)
    return loaded, [f"{path.parent.name}/{path.name}: {sentence}" for sentence in leakage]


def _leakage(loaded: LoadedModel, fold: Fold) -> list[str]:
    if loaded.info.fold is None:
        return [f"the encoder of fold {fold.name} does not say which chromosomes it was trained on"]
    other = loaded.info.fold.fold()
    trained = (fold.test | fold.validation) - (other.test | other.validation)
    found = []
    if trained:
        found.append(
            f"the encoder was trained on chromosome{'s' if len(trained) > 1 else ''} "
            f"{', '.join(natural_order(trained))}, which fold {fold.name} holds out"
        )
    chosen = (fold.test & other.validation) - trained
    if chosen:
        found.append(
            f"the encoder's weights were chosen on chromosome{'s' if len(chosen) > 1 else ''} "
            f"{', '.join(natural_order(chosen))}, which fold {fold.name} tests"
        )
    return found
