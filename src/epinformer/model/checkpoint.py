"""Our checkpoints: a directory with ``model.safetensors`` (the weights) and ``model.json`` (all about them)."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from epinformer import __version__
from epinformer.dataset.folds import Fold, natural_order, paper_folds
from epinformer.errors import ModelError, OutputError
from epinformer.files import atomic_directory, sha256
from epinformer.jsonfile import read_record
from epinformer.model.activity import ActivityModel
from epinformer.model.config import ModelConfig
from epinformer.model.epinformer import EPInformer
from epinformer.model.published import read_published

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
WEIGHTS_NAME = "model.safetensors"
INFO_NAME = "model.json"

_AGAIN = "Import or train the model again"
# The published models were trained on these two cell types, with hg38 sequences.
_PUBLISHED_ASSEMBLY = "hg38"


class FoldInfo(BaseModel):
    """The chromosomes a model did not train on, named without ``chr``; it trained on all others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @classmethod
    def of(cls, fold: Fold) -> FoldInfo:
        """Write a fold down, chromosomes in natural order."""
        return cls(
            name=fold.name,
            validation=tuple(natural_order(fold.validation)),
            test=tuple(natural_order(fold.test)),
        )

    def fold(self) -> Fold:
        """The fold that was written down."""
        return Fold(self.name, frozenset(self.test), frozenset(self.validation))


class SourceFile(BaseModel):
    """The file that a model was imported from.

    Attributes
    ----------
    name
        The file's name, without its folder.
    sha256
        Of the file's bytes.
    original_name
        The name its authors saved it under, if the file still carries it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    original_name: str | None = None


class ModelInfo(BaseModel):
    """Everything about a model but its weights: the content of ``model.json``.

    Attributes
    ----------
    config
        The network, its preset, its features with their transforms, and its target.
    assembly, cell_type
        What it was trained on; `None` where it is not known.
    fold
        Which chromosomes were held out; `None` where it is not known or nothing was held out.
    training_data
        `Dataset.content_hash` of the dataset it was trained on; `None` for an imported model.
    source
        The file it was imported from; `None` for a model trained here.
    training
        How the training went (epoch, validation score, seed...), as plain values.
    weights_sha256
        Of ``model.safetensors``; set by `save_model`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    config: ModelConfig
    assembly: str | None = None
    cell_type: str | None = None
    fold: FoldInfo | None = None
    training_data: str | None = None
    source: SourceFile | None = None
    training: dict[str, JsonValue] = Field(default_factory=dict)
    package_version: str = __version__
    weights_sha256: str | None = None

    @property
    def preset(self) -> str:
        """Name of the feature set and widths, e.g. ``published``."""
        return self.config.preset

    @property
    def target(self) -> str | None:
        """What the model predicts, e.g. ``expression_rna``."""
        return self.config.target


class LoadedModel(NamedTuple):
    """A model in evaluation mode, what is known about it, and where it was read from."""

    model: EPInformer | ActivityModel
    info: ModelInfo
    path: Path | None = None


def build_model(config: ModelConfig) -> EPInformer | ActivityModel:
    """Make an untrained model of the configured kind."""
    return ActivityModel(config) if config.kind == "activity" else EPInformer(config)


def fold_info(number: int) -> FoldInfo:
    """Describe one of the paper's twelve folds.

    Raises
    ------
    ModelError
        There is no such fold.
    """
    for fold in paper_folds():
        if fold.name == str(number):
            return FoldInfo.of(fold)
    raise ModelError(f"there is no fold {number}", fix="Folds are numbered 1 to 12")


def save_model(
    model: EPInformer | ActivityModel, path: str | Path, info: ModelInfo, *, overwrite: bool = False
) -> ModelInfo:
    """Write a model directory, whole or not at all.

    Parameters
    ----------
    model
        Its parameters and buffers are written as they are, from whichever device.
    path
        The directory to make.
    info
        Must have the model's own ``config``.
    overwrite
        Replace a model directory that is already there. Nothing else is ever replaced.

    Returns
    -------
    ModelInfo
        As written, with ``weights_sha256``.

    Raises
    ------
    ModelError
        ``info`` describes another model, or the weights are not finite.
    OutputError
        ``path`` exists, or cannot be written.
    """
    path = Path(path)
    if info.config != model.config:
        raise ModelError("the description has another configuration than the model", source=path)
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    _refuse_not_finite(state, path)
    with atomic_directory(path, overwrite=overwrite, marker=INFO_NAME) as folder:
        try:
            save_file(state, folder / WEIGHTS_NAME, metadata={"format": "pt"})
        except SafetensorError as error:
            raise OutputError(f"cannot be written: {error}", source=path, fix="Free some space") from error
        info = info.model_copy(update={"weights_sha256": sha256(folder / WEIGHTS_NAME)})
        text = json.dumps(info.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / INFO_NAME).write_text(text + "\n", encoding="utf-8")
    return info


def load_model(path: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Read a model directory; nothing in it is executed.

    Parameters
    ----------
    path
        The directory that `save_model` or ``epinformer import-checkpoint`` wrote.
    device
        Where the model goes.

    Returns
    -------
    LoadedModel
        The model, in evaluation mode, and its description.

    Raises
    ------
    ModelError
        The directory or one of its files is missing, damaged or of a newer format, or weights and description do not
        belong together.
    """
    path = Path(path)
    if not path.is_dir():
        problem = "is not a model directory" if path.exists() else "does not exist"
        raise ModelError(problem, source=path, fix="Import an authors' .pt file with `epinformer import-checkpoint`")
    info = _read_info(path / INFO_NAME)
    state = _read_weights(path / WEIGHTS_NAME, info.weights_sha256)
    try:
        # Without memory behind it: a damaged description may ask for a network of any size.
        with torch.device("meta"):
            expected = build_model(info.config).state_dict()
    except Exception as error:  # whatever a network refuses, the description is at fault
        raise ModelError(f"describes no possible network ({error})", source=path / INFO_NAME, fix=_AGAIN) from error
    _refuse_other_weights(state, expected, path / WEIGHTS_NAME)
    with torch.random.fork_rng(devices=[]):  # the initial weights are thrown away and shall not cost random numbers
        model = build_model(info.config)
    model.load_state_dict(state)
    return LoadedModel(model.to(device).eval(), info, path)


def import_checkpoint(
    file: str | Path,
    output: str | Path,
    *,
    fold: int | None = None,
    target: str | None = None,
    assembly: str | None = None,
    cell_type: str | None = None,
    overwrite: bool = False,
) -> ModelInfo:
    """Turn one of the authors' checkpoints into a model directory.

    What the file does not say about itself is taken from its name and from the name it was saved under (see
    `epinformer.model.published.read_published`); the arguments override it. A K562 or GM12878 model is taken to be of
    hg38, as all published ones are.

    Parameters
    ----------
    file
        The authors' ``.pt`` file.
    output
        The model directory to make.
    fold
        Number of the paper's fold, 1 to 12.
    target
        Column of a dataset's genes that the model predicts, e.g. ``expression_rna``.
    assembly, cell_type
        E.g. ``hg38``, ``K562``.
    overwrite
        Replace a model directory that is already there.

    Returns
    -------
    ModelInfo
        What was written to ``model.json``.

    Raises
    ------
    ModelError
        The file is no published checkpoint, or there is no such fold.
    OutputError
        ``output`` exists or cannot be written.
    """
    published = read_published(file)
    known = published.metadata
    config = published.config
    if target is not None:
        config = config.model_copy(update={"target": target})
    cell_type = cell_type if cell_type is not None else known.cell_type
    if assembly is None and known.cell_type is not None:
        assembly = _PUBLISHED_ASSEMBLY
    fold = fold if fold is not None else known.fold
    settings = {
        "--fold": ("which genes it has seen in training", fold),
        "--target": ("what it predicts", config.target),
        "--assembly": ("which genome it belongs to", assembly),
        "--cell-type": ("which cell type it belongs to", cell_type),
    }
    for option, (what, value) in settings.items():
        if value is None:
            logger.warning("%s does not say %s; give %s if you know", file, what, option)
    training: dict[str, JsonValue] = {}
    if known.epoch is not None:
        training["epoch"] = known.epoch
    if known.validation_score is not None:
        training["validation_r2"] = known.validation_score
    info = ModelInfo(
        config=config,
        assembly=assembly,
        cell_type=cell_type,
        fold=None if fold is None else fold_info(fold),
        source=SourceFile(name=_file_name(file), sha256=known.sha256, original_name=known.original_name),
        training=training,
    )
    model = build_model(config)
    model.load_state_dict(published.state)
    return save_model(model, output, info, overwrite=overwrite)


def _file_name(file: str | Path) -> str:
    """The name without its folder, as text that JSON can hold: other bytes than UTF-8 become U+FFFD."""
    return os.fsencode(Path(file).name).decode("utf-8", "replace")


def _read_info(path: Path) -> ModelInfo:
    try:
        return read_record(
            path, ModelInfo, newest=FORMAT_VERSION, error=ModelError, fix=_AGAIN, upgrade="Upgrade epinformer"
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError("is missing", source=path, fix=_AGAIN) from error


def _read_weights(path: Path, expected_hash: str | None) -> dict[str, Tensor]:
    try:
        # Not by its path, which the reader takes only if it is UTF-8.
        content = path.read_bytes()
        state = load(content)
    except FileNotFoundError as error:
        raise ModelError("is missing", source=path, fix=_AGAIN) from error
    except Exception as error:  # the reader raises many kinds for a damaged header
        raise ModelError(f"is damaged: {error}", source=path, fix=_AGAIN) from error
    if expected_hash is not None and hashlib.sha256(content).hexdigest() != expected_hash:
        raise ModelError("is not the file that model.json describes: its SHA-256 differs", source=path, fix=_AGAIN)
    _refuse_not_finite(state, path)
    return state


def _refuse_not_finite(state: dict[str, Tensor], source: Path) -> None:
    bad = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if bad:
        raise ModelError("holds weights that are not finite", source=source, count=len(bad), first=bad[0], fix=_AGAIN)


def _refuse_other_weights(state: dict[str, Tensor], expected: dict[str, Tensor], source: Path) -> None:
    """Refuse weights that are not exactly those of the configured network."""
    for problem, names in (
        ("lacks tensors that model.json asks for", [name for name in expected if name not in state]),
        ("holds tensors that model.json knows nothing of", [name for name in state if name not in expected]),
    ):
        if names:
            raise ModelError(problem, source=source, count=len(names), first=names[0], fix=_AGAIN)
    wrong = [
        name
        for name in expected
        if state[name].shape != expected[name].shape or state[name].dtype != expected[name].dtype
    ]
    if wrong:
        found, needed = state[wrong[0]], expected[wrong[0]]
        raise ModelError(
            "holds tensors of another shape or type than model.json describes",
            source=source,
            count=len(wrong),
            first=f"{wrong[0]} is {tuple(found.shape)} {found.dtype}, not {tuple(needed.shape)} {needed.dtype}",
            fix=_AGAIN,
        )
