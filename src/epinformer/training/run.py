"""The directory of a training run: whose it is, and what of it is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from epinformer import __version__
from epinformer.dataset.folds import Fold, natural_order
from epinformer.dataset.store import Dataset
from epinformer.errors import OutputError
from epinformer.files import atomic_file

RUN_NAME = "run.json"
FORMAT_VERSION = 1
_SHOWN = 8


def claim_run(folder: Path, kind: str, dataset: Dataset, settings: dict[str, Any]) -> None:
    """Make a run's directory, or make sure that the one that is there is of the same run.

    Parameters
    ----------
    folder
        The directory; its parent must exist.
    kind
        ``train`` or ``pretrain``.
    dataset
        What is trained on; another dataset is another run.
    settings
        Plain values that decide the result, nested.

    Raises
    ------
    OutputError
        The directory holds another run, whose differences are listed, or something else than a run; or it cannot be
        written.
    """
    identity = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "data": {
            "content_hash": dataset.content_hash(),
            "assembly": dataset.manifest.assembly,
            "cell_type": dataset.manifest.cell_type,
            **dataset.manifest.rows,
        },
        **json.loads(json.dumps(settings)),
    }
    path = folder / RUN_NAME
    if path.exists():
        _refuse_other(folder, _read(path), identity)
        return
    # Hidden files are our own temporaries, of a job that begins the same run or of one that was killed over it.
    strangers = [entry.name for entry in folder.iterdir() if entry.name[0] != "."] if folder.is_dir() else []
    if strangers:
        raise OutputError(
            f"holds no {RUN_NAME} but other files, so it is no training run",
            source=folder,
            first=min(strangers),
            fix="Name another output",
        )
    if not folder.parent.is_dir():
        raise OutputError("its folder does not exist", source=folder, fix=f"Create {folder.parent} first")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made a folder: {error.strerror}", source=folder, fix="Name another") from error
    about = identity | {"package_version": __version__, "data_path": str(dataset.path)}
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def claim_encoder(folder: Path, weights: str) -> None:
    """Note in a fold's folder which encoder it starts from, or make sure that it is the one it was begun with.

    Raises
    ------
    OutputError
        The fold was begun with another encoder.
    """
    path = folder / "encoder.sha256"
    if not path.exists():
        with atomic_file(path) as temporary:
            temporary.write_text(weights + "\n", encoding="utf-8")
    elif path.read_text(encoding="utf-8").strip() != weights:
        raise OutputError(
            "was begun with another encoder than there is now",
            source=folder,
            fix="Name another output, or give the encoder that it was begun with",
        )


def fold_folder(folder: Path, fold: Fold) -> Path:
    """Where a run keeps what belongs to one fold."""
    return folder / f"fold_{fold.name}"


def fold_settings(folds: tuple[Fold, ...]) -> dict[str, Any]:
    """Folds as plain values."""
    return {
        fold.name: {"test": natural_order(fold.test), "validation": natural_order(fold.validation)} for fold in folds
    }


def part_of(progress: Callable[[int, int], None], number: int, parts: int) -> Callable[[int, int], None]:
    """Progress within part ``number`` of ``parts`` that are taken to be as long as this one."""
    return lambda done, total: progress(number * total + done, parts * total)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"cannot be read: {error}", source=path, fix="Name another output") from error
    if not isinstance(content, dict):
        raise OutputError("is damaged: it holds no settings", source=path, fix="Name another output")
    return content


def _refuse_other(folder: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    """Raise if the run that is there was made with other settings or data, and show the differences."""
    ours = {name: value for name, value in there.items() if name not in ("package_version", "data_path")}
    old, new = _flat("", ours), _flat("", here)
    names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    if not names:
        return
    lines = [f"\n  - {name}: {old.get(name, 'not set')} there, {new.get(name, 'not set')} now" for name in names]
    more = f"\n  - and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise OutputError(
        f"holds a run with {len(names)} other settings:{''.join(lines[:_SHOWN])}{more}\n"
        "A run goes on only as it was begun",
        source=folder,
        fix="Name another output, or give the same settings and data",
    )


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    """``{"fit": {"batch": 64}}`` -> ``{"fit.batch": 64}``."""
    if isinstance(value, dict) and value:
        flat: dict[str, Any] = {}
        for name, item in value.items():
            flat |= _flat(f"{prefix}.{name}" if prefix else str(name), item)
        return flat
    return {prefix: value}
