"""Attributions written to one HDF5 file as they come (`interpretation.attribution_layout` says what is in it)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.bases import NO_BASE
from epinformer.errors import ModelError
from epinformer.interpretation.attribution_file import About, Explained, actual_scores, bases_of
from epinformer.interpretation.attribution_layout import FORMAT, FORMAT_VERSION, TABLE, TEXT_BYTES, TILES, TYPES

_CHUNK_BYTES, _CHUNK_ROWS = 1 << 18, 1 << 10


class AttributionWriter:
    """Writes a file of attributions as they come; nothing of what was appended is kept in memory.

    Use it in a ``with`` statement, within one of `files.atomic_directory` or `files.atomic_file`: a file that could
    not be finished is left as it is.

    Parameters
    ----------
    path
        The file.
    about
        How the attributions are made.
    length
        L: bases of the longest sequence.

    Raises
    ------
    OSError
        The file cannot be written (also while appending and at the end).
    """

    def __init__(self, path: str | Path, about: About, length: int) -> None:
        self._path, self._about, self._length = Path(path), about, length
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> AttributionWriter:
        with contextlib.ExitStack() as stack:
            self._handle = stack.enter_context(_Unfailing(self._path))
            # From this version on the format has checksums of all but the data, which have them by their compression.
            self._file = stack.enter_context(h5py.File(self._handle, "w", libver=("v110", "v110")))
            record = {"format": FORMAT, "format_version": FORMAT_VERSION, **self._about._asdict()}
            for name, value in record.items():
                if isinstance(value, str):
                    self._file.attrs.create(name, _encoded([value])[0], dtype=TYPES["text"])
                elif isinstance(value, tuple):
                    self._file.attrs.create(name, _encoded(value), dtype=TYPES["text"])
                elif value is not None:
                    self._file.attrs[name] = value
            rows = min(_CHUNK_ROWS, max(1, _CHUNK_BYTES // (16 * self._length)))
            for name, shape, kind in (
                ("codes", (self._length,), np.uint8),
                ("hypothetical", (4, self._length), np.float32),
                ("actual", (self._length,), np.float32),
            ):
                self._create(name, shape, kind, rows)
            for group, columns in (("table", TABLE), ("tiles", TILES)):
                for name, column in columns.items():
                    self._create(f"{group}/{name}", (), TYPES[column], _CHUNK_ROWS)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._stack.__exit__(*raised)

    def append(self, explained: Explained) -> None:
        """Write some more rows.

        Raises
        ------
        ModelError
            An attribution or a prediction is no finite number.
        ValueError
            The parts do not fit each other.
        """
        table, codes, hypothetical, tiles = explained
        length = codes.shape[1]
        if not (
            codes.shape[0] == len(table) and hypothetical.shape == (len(table), 4, length) and length <= self._length
        ):
            raise ValueError(f"{len(table)} rows, codes {codes.shape}, hypothetical {hypothetical.shape}")
        if not (bases_of(codes) == (table["end"] - table["start"]).to_numpy()).all():
            raise ValueError("the bases of a sequence are not those of its interval, in one piece")
        wrong = ~(np.isfinite(hypothetical).all(axis=(1, 2)) & np.isfinite(table["prediction"].to_numpy(np.float64)))
        if wrong.any():
            raise ModelError(
                "predictions or attributions are no finite numbers",
                count=int(wrong.sum()),
                first=table["name"].iloc[int(wrong.argmax())],
                fix="The model may be damaged; check it with `epinformer predict`",
            )
        wide = [(0, 0), (0, self._length - length)]
        self._add("codes", np.pad(codes, wide, constant_values=NO_BASE))
        self._add("hypothetical", np.pad(hypothetical, [(0, 0), *wide]))
        self._add("actual", np.pad(actual_scores(codes, hypothetical), wide))
        for group, rows, columns in (("table", table, TABLE), ("tiles", tiles, TILES)):
            for name, column in columns.items():
                self._add(f"{group}/{name}", _stored(rows[name], column))
        self._handle.check()

    def _create(self, name: str, shape: tuple[int, ...], kind: Any, rows: int) -> None:
        self._file.create_dataset(
            name, (0, *shape), kind, maxshape=(None, *shape), chunks=(rows, *shape), compression="gzip", shuffle=True
        )

    def _add(self, name: str, values: NDArray[Any]) -> None:
        dataset = self._file[name]
        first = dataset.shape[0]
        dataset.resize(first + len(values), axis=0)
        dataset[first:] = values


def _stored(values: pd.Series, column: str) -> NDArray[Any]:
    """A column as it is stored: missing text is "", a missing flag -1."""
    if column == "text":
        return _encoded(values.astype(object).where(values.notna(), ""))
    if column == "flag":
        return values.astype("boolean").astype("Int8").fillna(-1).to_numpy(np.int8)
    return values.to_numpy(TYPES[column])


def _encoded(words: Iterable[object]) -> NDArray[np.bytes_]:
    """Words as UTF-8, cut before the letter that has no room. HDF5 ends a text at its first zero byte."""
    texts = (str(word).replace("\0", "\ufffd").encode() for word in words)
    whole = [text[:TEXT_BYTES].decode(errors="ignore").encode() for text in texts]
    return np.array(whole, dtype=TYPES["text"])


class _Unfailing:
    """A file for HDF5 to write to, which never tells it of a failure: after one, HDF5 crashes while it ends.

    The first failure is kept, and raised by `check` and at the end; all later writes are dropped.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raise what went wrong, if something did."""
        if self._failure is not None:
            raise self._failure

    def write(self, data: Any) -> int:
        """Write all of some bytes."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while self._failure is None and len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._failure = error
        return size

    def truncate(self, size: int) -> int:
        """Make the file so long."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._failure = self._failure or error
            return size

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """What h5py knows a file by."""
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; what was dropped is zero."""
        view = memoryview(buffer).cast("B")
        read = self._file.readinto(view)
        view[read:] = bytes(len(view) - read)
        return len(view)

    def flush(self) -> None:
        """Nothing is waiting."""

    def __enter__(self) -> _Unfailing:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None:
            self.check()
