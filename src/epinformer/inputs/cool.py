"""Contact maps in cooler's files, `.cool` and `.mcool`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from epinformer.errors import InputError
from epinformer.inputs.contact_maps import NONE, Pixels, chosen_resolution, refuse_normalisation

# Pixels held at once.
_PIECE = 1 << 20
_ICE = "ICE"
_BALANCED = "weight"
# Columns that counts are divided by, as by Juicer's vectors; those of other names multiply. A column's attribute
# `divisive_weights` says it outright.
_DIVISIVE = re.compile(r"(GW_|INTER_)?(VC|VC_SQRT|KR|SCALE)")
_AGAIN = "Copy or make it again; `cooler info` tells whether it is whole"


@contextlib.contextmanager
def open_cool(path: Path, resolution: int | None, normalisation: str) -> Iterator[CoolReader]:
    """Open one resolution of a file of the cooler format: versions 2 and 3, bins of one size, upper triangle.

    Raises
    ------
    InputError
        As `inputs.contact_maps.open_contact_map`.
    """
    with contextlib.ExitStack() as stack:
        with _told(path):
            file = stack.enter_context(h5py.File(path, "r"))
            group = _of_resolution(path, file, resolution)
            reader = CoolReader(path, group, _column(path, group, normalisation))
        yield reader


class CoolReader:
    """Pixels of one resolution (`inputs.contact_maps.PixelReader`)."""

    def __init__(self, path: Path, group: Any, column: str | None) -> None:
        self.path = path
        self.resolution = int(group.attrs["bin-size"])
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in group["chroms/name"][:]]
        self.chromosomes = {name: int(length) for name, length in zip(names, group["chroms/length"][:], strict=True)}
        self._group = group
        self._column = column
        self.relative = column is not None and not bool(
            group[f"bins/{column}"].attrs.get("divisive_weights", _DIVISIVE.fullmatch(column) is not None)
        )
        offsets = group["indexes/chrom_offset"][:]
        self._bins = {name: (int(offsets[i]), int(offsets[i + 1])) for i, name in enumerate(names)}

    def norms(self, chrom: str) -> np.ndarray:
        """What counts are divided by: the column, or one over it where it multiplies."""
        first, last = self._bins[chrom]
        if self._column is None:
            return np.ones(last - first)
        with _told(self.path):
            column = np.asarray(self._group[f"bins/{self._column}"][first:last], dtype=np.float64)
        return np.divide(1.0, column, out=np.full(len(column), np.nan), where=column > 0) if self.relative else column

    def counts(self, chrom: str, first: int, last: int, farthest: int) -> Iterator[Pixels]:
        """Pixels of rows, near the diagonal."""
        start, end = self._bins[chrom]
        with _told(self.path):
            offsets = self._group["indexes/bin1_offset"][start + first : start + last + 1].astype(np.int64)
        row, rows = 0, len(offsets) - 1
        while row < rows:
            stop = max(row + 1, int(np.searchsorted(offsets, offsets[row] + _PIECE, side="right")) - 1)
            with _told(self.path):
                span = slice(int(offsets[row]), int(offsets[stop]))
                second = self._group["pixels/bin2_id"][span].astype(np.int64) - start
                values = self._group["pixels/count"][span].astype(np.float64)
            own = np.repeat(np.arange(first + row, first + stop), np.diff(offsets[row : stop + 1]))
            near = (second < end - start) & (second - own <= farthest)
            yield Pixels(own[near], second[near], values[near])
            row = stop


def _of_resolution(path: Path, file: Any, asked: int | None) -> Any:
    """The group of one resolution."""
    if "pixels" in file:
        _refuse_layout(path, file)
        chosen_resolution(path, [file.attrs["bin-size"]], asked)
        return file
    if "resolutions" not in file:
        raise InputError(
            "is HDF5 but holds no contact map", source=path, fix="Give a .cool or .mcool file of one sample, or a .hic"
        )
    groups = {int(name): group for name, group in file["resolutions"].items() if name.isdigit()}
    group = groups[chosen_resolution(path, groups, asked)]
    _refuse_layout(path, group)
    return group


def _refuse_layout(path: Path, group: Any) -> None:
    if group.attrs.get("bin-type", "fixed") != "fixed" or not isinstance(group.attrs["bin-size"], np.integer):
        raise InputError("has bins of several sizes", source=path, fix="Make it with bins of one size, 5 kb by default")
    if group.attrs.get("storage-mode", "symmetric-upper") != "symmetric-upper":
        raise InputError("holds a matrix that is not symmetric", source=path, fix="Give the map of symmetric contacts")


def _column(path: Path, group: Any, normalisation: str) -> str | None:
    """The column of bins that a normalisation is in."""
    if normalisation == NONE:
        return None
    column = _BALANCED if normalisation == _ICE else normalisation
    bins = group["bins"]
    numeric = [name for name in bins if name not in ("chrom", "start", "end") and bins[name].dtype.kind == "f"]
    if column not in numeric:
        refuse_normalisation(path, normalisation, [_ICE if name == _BALANCED else name for name in numeric])
    return column


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what h5py says of a broken file into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError) as error:
        raise InputError(f"is truncated or damaged: {_line(error)}", source=path, fix=_AGAIN) from error
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"lacks a part of the cooler format: {_line(error)}", source=path, fix=_AGAIN) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).strip("'\"").split())
