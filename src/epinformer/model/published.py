"""Read the authors' checkpoints (``.pt``) without running anything that the file asks for."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from epinformer.errors import ModelError
from epinformer.files import sha256
from epinformer.model.config import ModelConfig, Variant, activity_config, published_config
from epinformer.model.published_tensors import renamed

logger = logging.getLogger(__name__)

_VARIANTS: tuple[Variant, ...] = ("promoter", "PE", "PE-Activity", "PE-Activity-HiC")
_ACTIVITY_TARGETS = {"log2": "log2(0.1 + activity)", "log10": "log10(0.1 + activity)"}
# A published file holds 3.3 MB of weights at most. The limit keeps a compressed archive from filling the memory.
_LARGEST = 512 * 2**20
_HEAD = 4096
_GET_THE_FILE = "Download the checkpoint again"


class PublishedMetadata(NamedTuple):
    """What a checkpoint and its names say about its training; `None` where they say nothing, or contradict.

    Attributes
    ----------
    epoch
        Zero-based epoch of the best validation score.
    validation_score
        Squared Pearson correlation on the validation chromosomes (the file keeps its negative as ``loss``).
    fold
        Number of the leave-chromosomes-out fold, 1 to 12.
    cell_type
        ``K562`` or ``GM12878``.
    original_name
        The name under which the authors saved the file; torch keeps it as the archive's folder.
    sha256
        Of the file's bytes.
    """

    epoch: int | None
    validation_score: float | None
    fold: int | None
    cell_type: str | None
    original_name: str | None
    sha256: str


class Published(NamedTuple):
    """An authors' checkpoint: the model's configuration, its weights under our names, and its metadata."""

    config: ModelConfig
    state: dict[str, Tensor]
    metadata: PublishedMetadata


def read_published(path: str | Path) -> Published:
    """Read one of the authors' checkpoints.

    Accepts what their training writes, ``dict(epoch, model_state_dict, loss)``, and a bare state dict; zip and legacy
    torch files; names with the ``module.`` of ``DataParallel``; the encoder's kernels in two dimensions, (out, in, 1,
    k), or in one. The variant follows from the tensors alone, and all of them are checked for name, shape and finite
    values. Fold, cell type and target are read off the file's name and the archive's folder, which still carries the
    name the authors saved it under; where the two contradict each other the value is left `None` and a warning says so.

    Parameters
    ----------
    path
        The ``.pt`` file.

    Returns
    -------
    Published
        ``state`` holds float32 tensors on the CPU (and the int64 batch counters of BatchNorm) under our names.

    Raises
    ------
    ModelError
        The file is missing, empty, truncated, not a checkpoint, asks for code to be run, or does not hold exactly the
        tensors of a published model.
    """
    path = Path(path)
    _refuse_other_files(path)
    content = _load(path)
    raw, epoch, score = _state_dict(content, path)
    names = [path.name]
    original = _archive_folder(path)
    if original is not None:
        names.append(original)
    config = _configuration(raw, names, path)
    state = renamed(raw, config, path)
    fold = _agreed("fold", [_fold(name) for name in names], path)
    cell_type = _agreed("cell type", [_cell_type(name) for name in names], path)
    metadata = PublishedMetadata(
        epoch=epoch,
        validation_score=score,
        fold=None if fold is None else int(fold),
        cell_type=cell_type,
        original_name=original,
        sha256=sha256(path),
    )
    return Published(config, state, metadata)


def _refuse_other_files(path: Path) -> None:
    """Tell apart, by the first bytes, what is often found under the name of a checkpoint."""
    if not path.exists():
        raise ModelError("no such file", source=path)
    if not path.is_file():
        raise ModelError(
            "is not a file", source=path, fix="Name an authors' .pt file; a model directory of ours needs no import"
        )
    try:
        with path.open("rb") as handle:
            head = handle.read(_HEAD)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", source=path) from error
    if not head:
        raise ModelError("is empty", source=path, fix=_GET_THE_FILE)
    if head.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
                # torch reads past a wrong checksum and gives other weights.
                damaged = size <= _LARGEST and archive.testzip() is not None
        except Exception as error:  # each way of packing has its own for damage
            raise ModelError("is a truncated or damaged torch file", source=path, fix=_GET_THE_FILE) from error
        if size > _LARGEST:
            raise ModelError(f"unpacks to {size:,} bytes, far more than any published checkpoint", source=path)
        if damaged:
            raise ModelError("is a truncated or damaged torch file", source=path, fix=_GET_THE_FILE)
        return
    if head.startswith(b"\x89HDF\r\n"):
        raise ModelError("is an HDF5 file, not a checkpoint", source=path, fix="Use epinformer import-h5")
    if head.startswith(b"\x1f\x8b"):
        raise ModelError("is gzip-compressed", source=path, fix="Decompress it with gunzip")
    text = _as_text(head)
    if text is not None:
        raise ModelError(*_describe_text(text), source=path, fix=_GET_THE_FILE)


def _as_text(head: bytes) -> str | None:
    """Decode the first bytes of a file; `None` where they are binary."""
    try:
        # The limit may cut a character of several bytes in two.
        text = head.decode("utf-8", errors="strict" if len(head) < _HEAD else "ignore")
    except UnicodeDecodeError:
        return None
    return text if all(character.isprintable() or character in "\t\r\n\ufeff" for character in text) else None


def _describe_text(text: str) -> tuple[str]:
    """Say what a text file under the name of a checkpoint is."""
    lines = text.lstrip("\ufeff").splitlines()
    first = lines[0].strip() if lines else ""
    if first.lower().startswith(("<!doctype", "<html", "<?xml", "<head")):
        return ("is a web page, not a checkpoint: the download failed",)
    if first.startswith("version https://git-lfs"):
        return ("is a Git LFS pointer, not the checkpoint it stands for",)
    for separator, name in ((",", "CSV"), ("\t", "tab-separated")):
        counts = [line.count(separator) for line in lines[: max(len(lines) - 1, 1)]]
        if counts[0] > 0 and len(set(counts)) == 1:
            return (
                f"is a {name} table named .pt, not a checkpoint; of the published files twelve are "
                "such tables, and their weights were never published",
            )
    return ("is a text file, not a checkpoint",)


class _Dtype:
    """Stands in for ``numpy.dtype`` while a checkpoint is unpickled: keeps the type code and nothing else."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or re.fullmatch(r"[fiu][1248]", code) is None:
            raise ValueError(f"scalar of type {code!r}")
        self.code = code
        self.order = "<"

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.order = ">" if len(state) > 1 and state[1] == ">" else "<"


def _scalar(dtype: _Dtype, content: bytes) -> float:
    """Stands in for ``numpy.core.multiarray.scalar``: a plain float from the bytes of a number."""
    values = np.frombuffer(content, dtype=dtype.order + dtype.code)
    if values.shape != (1,):
        raise ValueError("a scalar of several values")
    return float(values[0])


def _encode(text: str, encoding: str) -> bytes:
    """Stands in for ``_codecs.encode``, by which protocol 2 spells bytes, where torch does not allow it anyway."""
    if encoding != "latin1":
        raise ValueError(f"encoding {encoding!r}")
    return text.encode("latin1")


@contextlib.contextmanager
def _allowed() -> Iterator[None]:
    """Let the unpickler meet a numpy scalar (the published ``loss``), through stand-ins that can only make a float."""
    stand_ins: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        (_scalar, "numpy.core.multiarray.scalar"),
        (_scalar, "numpy._core.multiarray.scalar"),
        (_Dtype, "numpy.dtype"),
        (_encode, "_codecs.encode"),
    ]
    with torch.serialization.safe_globals(stand_ins):
        yield


def _load(path: Path) -> object:
    """Unpickle with torch's restricted reader, on the CPU."""
    try:
        with _allowed(), warnings.catch_warnings():
            # Advice to report an unusual pickle to torch; what the file is, is ours to say.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file provokes, the answer is the same
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is not None:
            raise ModelError(
                f"asks for {asked.group(1)}, which no checkpoint needs; nothing was run",
                source=path,
                fix="Do not open this file with other programs unless you trust where it comes from",
            ) from error
        raise ModelError("is not a readable torch checkpoint", source=path, fix=_GET_THE_FILE) from error


def _state_dict(content: object, path: Path) -> tuple[dict[str, Tensor], int | None, float | None]:
    """Find the tensors by the authors' names, the epoch and the validation score."""
    epoch: int | None = None
    score: float | None = None
    weights = content
    if isinstance(content, dict) and "model_state_dict" in content:
        weights = content["model_state_dict"]
        found = content.get("epoch")
        epoch = found if isinstance(found, int) and not isinstance(found, bool) else None
        loss = content.get("loss")
        if isinstance(loss, Tensor) and loss.numel() == 1:
            loss = float(loss)
        if isinstance(loss, int | float) and np.isfinite(loss):
            score = -float(loss)
    if not isinstance(weights, dict) or not weights:
        raise ModelError("holds no state dict", source=path, fix="Name a checkpoint of the published EPInformer")
    odd = [name for name, value in weights.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if odd:
        raise ModelError("holds entries that are not tensors", source=path, count=len(odd), first=odd[0])
    if all(name.startswith("module.") for name in weights):
        weights = {name.removeprefix("module."): value for name, value in weights.items()}
    return dict(weights), epoch, score


def _configuration(raw: dict[str, Tensor], names: list[str], path: Path) -> ModelConfig:
    """Tell from the tensors which published model this is, and from the names what it predicts."""
    if any(name.startswith("embedToAct.") for name in raw):
        scale = _agreed("target", [_activity_scale(name) for name in names], path)
        return activity_config(None if scale is None else _ACTIVITY_TARGETS[scale])
    fusion = raw.get("add_pos_conv.0.weight")
    if fusion is None or not any(name.startswith("seq_encoder.") for name in raw):
        raise ModelError(
            "does not hold the tensors of a published model",
            source=path,
            first=next(iter(raw)),
            fix="Published are EPInformer_v2 (seq_encoder.*) and enhancer_predictor_256bp (embedToAct.*)",
        )
    width = published_config("promoter").width
    n_features = (fusion.shape[1] if fusion.ndim > 1 else 0) - width
    if not 0 <= n_features < len(_VARIANTS):
        raise ModelError(
            f"takes {n_features} features of a pair; the published models take 0 to {len(_VARIANTS) - 1}", source=path
        )
    for name in names:
        # The authors' names end in ...len2k.<first feature>.<assay>; with contact first the columns mean other things.
        order = re.search(r"\.len\d+k\.(\w+)\.(?:RNA|CAGE)", name)
        if order is not None and order.group(1) != "distance":
            raise ModelError(
                f"was trained with {order.group(1)!r} as its first feature, not the distance of the published models",
                source=path,
            )
    target = _agreed("target", [_assay(name) for name in names], path)
    return published_config(_VARIANTS[n_features], None if target is None else f"expression_{target.lower()}")


def _archive_folder(path: Path) -> str | None:
    """Find the folder inside a torch archive: the name, without ``.pt``, under which the file was saved."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        entries = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    folder = entries[0].partition("/")[0] if entries else ""
    # torch writes "archive" where it was given an open file rather than a path.
    return folder if folder not in ("", "archive") else None


def _agreed(what: str, found: list[str | None], path: Path) -> str | None:
    """Give the one value that the names agree on; `None`, with a warning, if they contradict each other."""
    values = sorted({value for value in found if value is not None})
    if len(values) > 1:
        logger.warning(
            "%s: the file's name and the name it was saved under disagree on the %s (%s); left unset",
            path,
            what,
            " and ".join(values),
        )
        return None
    return values[0] if values else None


def _fold(name: str) -> str | None:
    match = re.match(r"fold_(\d{1,2})_", name)
    return None if match is None or not 1 <= int(match.group(1)) <= 12 else str(int(match.group(1)))


def _cell_type(name: str) -> str | None:
    cells = set(re.findall(r"(?<![A-Za-z0-9])(K562|GM12878)(?![A-Za-z0-9])", name))
    return cells.pop() if len(cells) == 1 else None


def _assay(name: str) -> str | None:
    assays = set(re.findall(r"(?<![A-Za-z0-9])(RNA|CAGE)(?![A-Za-z0-9])", name))
    return assays.pop() if len(assays) == 1 else None


def _activity_scale(name: str) -> str | None:
    """Tell the scale of an encoder's target; plain ``seq2activity`` is log10 (its labels are 0.301 x the log2 ones)."""
    match = re.search(r"seq2activity(Log2|Log10)?", name)
    if match is None:
        return None
    return "log2" if match.group(1) == "Log2" else "log10"
