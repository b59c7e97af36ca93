"""Attributions in one file (`interpretation.attribution_layout`), read whole or some at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.bases import NO_BASE, OTHER_BASE
from epinformer.errors import InputError
from epinformer.interpretation.attribution_layout import (
    AGAIN,
    TABLE,
    TILES,
    check_format,
    check_layout,
    decoded,
    restored,
    told,
)

FILE_NAME = "attributions.h5"
"""What the file is called in a folder of results."""

METHODS, PREDICTED = ("ism", "deeplift"), ("activity", "expression")
"""What `About` may say."""

_PART_BYTES = 1 << 24
# Rows whose text is read at a time, as wide as it is stored.
_PLACES = 1 << 13
_NO_FIT = "has intervals that do not fit their bases"


class Explained(NamedTuple):
    """Some explained sequences.

    Attributes
    ----------
    table
        The columns of `interpretation.attribution_layout.TABLE`, n rows: the target's name and kind, the interval that
        was explained and that of the target (0-based half-open), the gene and the link's score if there is one (else
        missing), the prediction, the mean prediction of the references and the largest \\|convergence delta\\| (NaN
        for mutagenesis), over how many models these are means, and whether the models were trained without this
        sequence (may be missing).
    codes
        (n, L) uint8, the bases of the interval, base i at ``start`` + i, and `NO_BASE` behind them where it is shorter.
    hypothetical
        (n, 4, L) float32.
    tiles
        The columns of `interpretation.attribution_layout.TILES`; may be empty.
    """

    table: pd.DataFrame
    codes: NDArray[np.uint8]
    hypothetical: NDArray[np.float32]
    tiles: pd.DataFrame


class About(NamedTuple):
    """How attributions were made.

    Attributes
    ----------
    method
        "ism" or "deeplift".
    what
        "activity" or "expression": what was predicted.
    target
        The models' target, e.g. ``log2(0.1 + activity)``; None if they do not say.
    assembly
        The genome; None if not known.
    models
        Their names.
    references, seed
        Number of shuffled references of a sequence, and the seed of the shuffles.
    strand_difference
        How far scores differ between the strands, as a part of the largest; None where strands are not averaged, or
        no sequence is long enough to compare them.
    """

    method: str
    what: str
    target: str | None
    assembly: str | None
    models: tuple[str, ...]
    references: int
    seed: int
    strand_difference: float | None = None


class Attributions(NamedTuple):
    """What a file holds, or some rows of it: as `Explained`, and how it was made.

    ``tiles`` are those of the whole file, and None where only some rows were read.
    """

    about: About
    table: pd.DataFrame
    codes: NDArray[np.uint8]
    hypothetical: NDArray[np.float32]
    tiles: pd.DataFrame | None = None

    @property
    def actual(self) -> NDArray[np.float32]:
        """(N, L) float32: the attribution of the base that is there; 0 for N and no base."""
        return actual_scores(self.codes, self.hypothetical)


def actual_scores(codes: NDArray[np.uint8], hypothetical: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., L) float32 of (..., L) codes and (..., 4, L) hypothetical attributions: that of the base that is there."""
    own = np.minimum(codes, 3)[..., None, :].astype(np.intp)
    found = np.take_along_axis(hypothetical, own, axis=-2)[..., 0, :]
    return np.where(codes < OTHER_BASE, found, np.float32(0)).astype(np.float32)


@contextlib.contextmanager
def open_attributions(path: str | Path) -> Iterator[AttributionReader]:
    """Open a file of attributions, or that of a folder which `epinformer explain` wrote.

    Raises
    ------
    InputError
        There is no such file, it is something else, truncated, of a newer format, or lacks a part.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
        if not path.is_file():
            raise InputError(
                f"has no {FILE_NAME}", source=path.parent, fix="Name a folder that `epinformer explain` wrote"
            )
    with contextlib.ExitStack() as stack:
        with told(path):
            # HDF5 would say that a folder or nothing is a damaged file.
            path.open("rb").close()
            reader = AttributionReader(path, stack.enter_context(h5py.File(path, "r")))
        yield reader


class AttributionReader:
    """An open file of attributions.

    Attributes
    ----------
    path
        The file.
    about
        How the attributions were made.
    rows, length
        N sequences of at most L bases.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file
        check_format(file, path)
        self.about = self._read_about()
        self.rows, self.length = (int(size) for size in (*file["codes"].shape, 0, 0)[:2])
        check_layout(file, self.rows, self.length)
        if not self.rows:
            raise InputError("holds no sequences", source=path, fix=AGAIN)

    def part(self, first: int, last: int) -> Attributions:
        """Rows ``first`` to ``last`` (excluded).

        Raises
        ------
        InputError
            They are damaged: see `read_attributions`.
        """
        with told(self.path):
            table = self._table("table", TABLE, slice(first, last))
            codes, hypothetical = (self._file[name][first:last] for name in ("codes", "hypothetical"))
        start, end = table["start"].to_numpy(), table["end"].to_numpy()
        for wrong, problem in (
            ((codes > NO_BASE).any(axis=1), "has codes that are no bases"),
            ((start < 0) | (end <= start) | (bases_of(codes) != end - start), _NO_FIT),
            (~np.isfinite(hypothetical).all(axis=(1, 2)), "has attributions that are no finite numbers"),
            (~np.isfinite(table["prediction"].to_numpy()), "has predictions that are no finite numbers"),
        ):
            self._refuse(wrong, problem, table["name"], first)
        return Attributions(self.about, table, codes, hypothetical)

    def parts(self) -> Iterator[Attributions]:
        """All rows, some at a time."""
        rows = max(1, _PART_BYTES // (16 * self.length))
        for first in range(0, self.rows, rows):
            yield self.part(first, min(first + rows, self.rows))

    def places(self) -> pd.DataFrame:
        """chrom, start and end of all sequences."""
        columns = {name: TABLE[name] for name in ("chrom", "start", "end")}
        parts = []
        for first in range(0, self.rows, _PLACES):
            with told(self.path):
                table = self._table("table", columns, slice(first, min(first + _PLACES, self.rows)))
            start, length = table["start"].to_numpy(), (table["end"] - table["start"]).to_numpy()
            self._refuse((start < 0) | (length < 1) | (length > self.length), _NO_FIT, table["chrom"], first)
            parts.append(table)
        return pd.concat(parts, ignore_index=True)

    def actual(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(len(rows), L): the attributions of the bases that are there, of any rows in any order."""
        found = np.empty((len(rows), self.length), dtype=np.float32)
        order = np.argsort(rows)
        ordered = rows[order]
        # Neighbours in the file are read together.
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(ordered) != 1) + 1):
            with told(self.path):
                found[order[run]] = self._file["actual"][ordered[run[0]] : ordered[run[-1]] + 1]
        if not np.isfinite(found).all():
            raise InputError("has attributions that are no finite numbers", source=self.path, fix=AGAIN)
        return found

    def tiles(self) -> pd.DataFrame:
        """The windows of all sequences."""
        with told(self.path):
            return self._table("tiles", TILES, slice(None))

    def _refuse(self, wrong: NDArray[np.bool_], problem: str, names: pd.Series, first: int = 0) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            offender = f"row {first + row:,}: {names.iloc[row]}"
            raise InputError(problem, source=self.path, count=int(wrong.sum()), first=offender, fix=AGAIN)

    def _table(self, group: str, columns: Mapping[str, str], rows: slice) -> pd.DataFrame:
        read = {name: restored(self._file[f"{group}/{name}"], rows, kind) for name, kind in columns.items()}
        return pd.DataFrame(read)

    def _read_about(self) -> About:
        found = dict(self._file.attrs)
        about = About(
            method=decoded(found["method"]),
            what=decoded(found["what"]),
            target=decoded(found["target"]) if "target" in found else None,
            assembly=decoded(found["assembly"]) if "assembly" in found else None,
            models=tuple(decoded(name) for name in found["models"]),
            references=int(found["references"]),
            seed=int(found["seed"]),
            strand_difference=float(found["strand_difference"]) if "strand_difference" in found else None,
        )
        if about.method not in METHODS or about.what not in PREDICTED:
            raise ValueError(f"unknown kind of attributions: {about.method} of {about.what}")
        return about


def read_attributions(path: str | Path) -> Attributions:
    """Read all of a file of attributions, or of a folder that `epinformer explain` wrote.

    Raises
    ------
    InputError
        The file is missing, truncated, damaged, of a newer format or something else; a dataset is missing or does not
        fit the others; an interval does not fit its bases; or an attribution or prediction is no finite number.
    """
    with open_attributions(path) as reader:
        return reader.part(0, reader.rows)._replace(tiles=reader.tiles())


def attribution_rows(path: str | Path) -> Iterator[Attributions]:
    """Read a file as `read_attributions` does, some rows at a time, without the tiles."""
    with open_attributions(path) as reader:
        yield from reader.parts()


def bases_of(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n,) bases of each row, or -1 where one stands behind no base."""
    there = codes != NO_BASE
    count = there.sum(axis=1)
    inside = np.arange(codes.shape[1]) < count[:, None]
    return np.where((there == inside).all(axis=1), count, -1)
