"""How attributions lie in an HDF5 file.

Of N sequences of at most L bases the file has the datasets ``codes`` (N, L) uint8: A 0, C 1, G 2, T 3, N 4, and 5 for
no base, at the right of shorter sequences; ``hypothetical`` (N, 4, L) float32: the attribution that each base would
have; ``actual`` (N, L) float32: that of the base that is there, 0 for N and no base. The groups ``table`` (N rows) and
``tiles`` hold tables, a dataset a column (`TABLE`, `TILES`): text as UTF-8, of which 256 bytes are kept, and flags as
int8 (1 yes, 0 no, -1 unknown). All is on the forward strand: base i of a row is at ``table/start`` + i (0-based). The
root's attributes say how the attributions were made (`interpretation.attribution_file.About`), ``format`` and
``format_version``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from epinformer.errors import InputError

FORMAT, FORMAT_VERSION = "epinformer attributions", 1

TABLE: Mapping[str, str] = {
    **dict.fromkeys(("name", "kind", "chrom"), "text"),
    **dict.fromkeys(("start", "end", "target_start", "target_end"), "int64"),
    **dict.fromkeys(("gene_id", "gene_name"), "text"),
    **dict.fromkeys(("score", "prediction", "reference", "delta"), "float64"),
    "models": "int64",
    "held_out": "flag",
}
"""Columns of the table of sequences, and what each holds."""

TILES: Mapping[str, str] = {
    **dict.fromkeys(("name", "chrom"), "text"),
    **dict.fromkeys(("start", "end"), "int64"),
    "prediction": "float64",
    "strongest": "flag",
}
"""Columns of the table of the windows that elements were tiled with."""

TEXT_BYTES = 256
"""Of a text so many are kept. Texts of any length would lie in a part of the file that nothing checks for damage."""

TYPES = {"text": h5py.string_dtype(length=TEXT_BYTES), "int64": np.int64, "float64": np.float64, "flag": np.int8}
"""How each kind of column is stored."""

_KINDS = {"text": "S", "int64": "iu", "float64": "f", "flag": "i"}
AGAIN = "Copy it again, or run `epinformer explain` again"
"""What to do about a damaged file."""


def check_format(file: h5py.File, path: Path) -> None:
    """Refuse a file of another kind, or of a newer version."""
    if decoded(file.attrs.get("format")) != FORMAT:
        raise InputError("holds no attributions of epinformer", source=path, fix="Name what `epinformer explain` wrote")
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise InputError(
            f"has format version {version}, this version of epinformer reads up to {FORMAT_VERSION}",
            source=path,
            fix="Update epinformer",
        )


def check_layout(file: h5py.File, n: int, length: int) -> None:
    """Refuse missing datasets, and those of another shape or type."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "codes": ((n, length), "u"),
        "hypothetical": ((n, 4, length), "f"),
        "actual": ((n, length), "f"),
    }
    windows = file["tiles/start"].shape
    shapes |= {f"table/{name}": ((n,), _KINDS[kind]) for name, kind in TABLE.items()}
    shapes |= {f"tiles/{name}": (windows, _KINDS[kind]) for name, kind in TILES.items()}
    for name, (shape, kinds) in shapes.items():
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset) or dataset.shape != shape or not shape or 0 in shape[1:]:
            raise ValueError(f"{name} is no dataset of the shape {shape}")
        if dataset.dtype.kind not in kinds or (kinds == "S" and h5py.check_string_dtype(dataset.dtype) is None):
            raise ValueError(f"{name} is of the type {dataset.dtype}")


def decoded(value: object) -> str:
    """Text of an attribute."""
    return value.decode() if isinstance(value, bytes) else str(value)


def restored(dataset: h5py.Dataset, rows: slice, column: str) -> Any:
    """Some rows of a column, of the kind that `TABLE` or `TILES` says."""
    if column == "text":
        text = dataset.asstr()[rows]
        return pd.array([word or None for word in text.tolist()], dtype="str")
    values = dataset[rows]
    if column == "flag":
        return pd.arrays.BooleanArray(values > 0, values < 0)
    return values.astype(TYPES[column])


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what h5py says of a broken file into an `InputError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("there is no such file", source=path, fix="Check its path") from error
    except (OSError, RuntimeError) as error:
        if "signature not found" in str(error):
            raise InputError("is no HDF5 file", source=path, fix="Name what `epinformer explain` wrote") from error
        raise InputError(f"is truncated or damaged: {_line(error)}", source=path, fix=AGAIN) from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"is damaged or lacks a part of the format: {_line(error)}", source=path, fix=AGAIN) from error


def _line(error: Exception) -> str:
    # A missing key alone is told in quotes.
    return " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
