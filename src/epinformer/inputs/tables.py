"""Read BED, bedGraph, CSV and TSV, plain or gzipped, in one pass; every bad row is counted and the first is shown."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import logging
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from epinformer.errors import InputError

logger = logging.getLogger(__name__)

_CHUNK_ROWS = 65_536
_BLANK = frozenset({"", "na", "n/a", "nan", "null", "none", "."})
_GZIP_MAGIC = b"\x1f\x8b"
# bgzip ends every file with this empty block; a copy cut between two blocks is valid gzip but lacks it.
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_BED_COMMENTS = ("#", "track ", "track\t", "browser ", "browser\t")
_BED_HEADER_STARTS = frozenset({"start", "chromstart", "chrom_start", "chr_start"})


@dataclass(frozen=True)
class Column:
    """A column to read.

    Parameters
    ----------
    name
        Its name in the result.
    kind
        `text`, `int` (whole numbers) or `float`. Numbers must be finite.
    at
        Where it is: a 0-based position (negative from the end) in files without a header, or the header names to
        look for, the preferred one first.
    blank
        Whether a number may be blank, NA, NaN or "."; it is NaN then.
    optional
        Whether the file may lack the column; the result lacks it then.
    """

    name: str
    kind: Literal["text", "int", "float"]
    at: int | tuple[str, ...]
    blank: bool = False
    optional: bool = False


@dataclass
class _Offenders:
    count: int = 0
    first: str = ""

    def add(self, line: int, what: str, count: int = 1) -> None:
        if not self.count:
            self.first = f"line {line:,}: {what}"
        self.count += count


@dataclass
class _Rows:
    """The rows of a file as text fields, with line numbers and a tally of rows of another width."""

    rows: Iterator[tuple[int, list[str]]]
    width: int
    ragged: _Offenders = field(default_factory=_Offenders)

    def chunks(self) -> Iterator[tuple[np.ndarray, list[tuple[str, ...]]]]:
        """(line numbers, columns) of consecutive rows."""
        while chunk := list(islice(self.rows, _CHUNK_ROWS)):
            lines, fields = [], []
            for line, row in chunk:
                if len(row) == self.width:
                    lines.append(line)
                    fields.append(row)
                else:
                    self.ragged.add(line, f"{len(row)} fields: {_shown(row)}")
            yield np.array(lines, dtype=np.int64), list(zip(*fields, strict=True))


def read_bed(path: str | Path, columns: Sequence[Column]) -> pd.DataFrame:
    """Read columns by position from a file without a header: BED, bedGraph and their like.

    Comment (`#`), `track`, `browser` and blank lines are passed over, as is a header row that names the start
    column. Fields are separated by tabs, or by white space where the first row has no tab.

    Returns
    -------
    DataFrame
        One row a line, in the file's order, indexed by the 1-based line number (index name `line`).

    Raises
    ------
    InputError
        No such file, truncated or damaged gzip, not text, no rows, too few columns, rows of unequal width, or
        something else than a finite number in a numeric column.
    """
    path = Path(path)
    with _told(path), _text(path) as handle:
        rows = _bed_rows(handle)
        head = next(rows, None)
        if head and len(head[1]) > 1 and head[1][1].strip().lower() in _BED_HEADER_STARTS:
            logger.info("%s: line %d is taken as a header", path.name, head[0])
            head = next(rows, None)
        if head is None:
            raise _no_rows(path)
        width = len(head[1])
        present = []
        for column in columns:
            position = cast(int, column.at)
            if not -width <= position < width:
                if column.optional:
                    continue
                raise InputError(
                    f"has {width} columns and lacks column {position + 1} ({column.name})",
                    source=path,
                    first=f"line {head[0]:,}: {_shown(head[1])}",
                    fix="Separate the fields by tabs, and give " + ", ".join(c.name for c in columns),
                )
            present.append((column, position % width))
        return _frame(path, _Rows(chain([head], rows), width), present)


def read_headed(path: str | Path, columns: Sequence[Column]) -> pd.DataFrame:
    """Read columns by name from a CSV or TSV file with a header row, which may start with `#`.

    The separator is the tab where the header has one, else the comma. Fields may be quoted. Lines that start with `##`
    or `# ` before the header, and with `#` after it, are comments.

    Returns
    -------
    DataFrame
        One row a record, in the file's order, indexed by the 1-based line number (index name `line`).

    Raises
    ------
    InputError
        As `read_bed`; also a column that is missing or whose name occurs twice.
    """
    path = Path(path)
    with _told(path), _text(path) as handle:
        lines = _Numbered(handle)
        separator, names = _header(path, lines)
        present = []
        missing = []
        for column in columns:
            name = next((name for name in cast(tuple[str, ...], column.at) if name in names), None)
            if name is None:
                if not column.optional:
                    missing.append(cast(tuple[str, ...], column.at))
                continue
            if names.count(name) > 1:
                raise InputError(
                    f"has {names.count(name)} columns named {name}", source=path, fix="Rename or remove all but one"
                )
            present.append((column, names.index(name)))
        if missing:
            raise _missing_columns(path, missing, names)
        reader = csv.reader(lines, delimiter=separator)
        rows = ((lines.number, row) for row in reader)
        return _frame(path, _Rows(rows, len(names)), present)


def read_header(path: str | Path) -> list[str]:
    """The column names of a file that `read_headed` reads."""
    path = Path(path)
    with _told(path), _text(path) as handle:
        return _header(path, _Numbered(handle))[1]


def _header(path: Path, lines: _Numbered) -> tuple[str, list[str]]:
    """Separator and column names."""
    header = next(iter(lines), None)
    if header is None:
        raise _no_rows(path)
    separator = "\t" if "\t" in header else ","
    return separator, [name.strip() for name in next(csv.reader([header], delimiter=separator))]


def _frame(path: Path, rows: _Rows, columns: list[tuple[Column, int]]) -> pd.DataFrame:
    """Convert chunk by chunk, so that only the wanted columns of a large file are ever held."""
    pieces = []
    wrong = {column.name: _Offenders() for column, _ in columns}
    for lines, fields in rows.chunks():
        if not len(lines):
            continue
        data = {column.name: _converted(column, lines, fields[at], wrong[column.name]) for column, at in columns}
        pieces.append(pd.DataFrame(data, index=pd.Index(lines, name="line")))
    if rows.ragged.count:
        raise InputError(
            f"has rows that do not have {rows.width} fields like its first one",
            source=path,
            count=rows.ragged.count,
            first=rows.ragged.first,
            fix="Complete or remove these rows",
        )
    for column, _ in columns:
        if wrong[column.name].count:
            number = "whole number" if column.kind == "int" else "finite number"
            raise InputError(
                f"column {column.name} holds something else than a {number}",
                source=path,
                count=wrong[column.name].count,
                first=wrong[column.name].first,
                fix="Correct or remove these rows",
            )
    if not pieces:
        raise _no_rows(path)
    frame = pd.concat(pieces) if len(pieces) > 1 else pieces[0]
    for column, _ in columns:
        if column.kind == "int" and not column.blank:
            frame[column.name] = frame[column.name].astype(np.int64)
    return frame


def _converted(
    column: Column, lines: np.ndarray, tokens: tuple[str, ...], wrong: _Offenders
) -> np.ndarray | ExtensionArray:
    if column.kind == "text":
        return pd.array([token.strip() for token in tokens], dtype="str")
    values = _numbers(tokens)
    bad = ~np.isfinite(values)
    if column.blank and bad.any():
        blank = np.array([token.strip().lower() in _BLANK for token in tokens])
        values[blank] = np.nan
        bad &= ~blank
    if column.kind == "int":
        with np.errstate(invalid="ignore"):
            bad |= np.isfinite(values) & (values != np.rint(values))
    if bad.any():
        row = int(bad.argmax())
        wrong.add(int(lines[row]), f"{tokens[row]!r}", int(bad.sum()))
        values[bad] = 0
    return values


def _numbers(tokens: tuple[str, ...]) -> np.ndarray:
    """Tokens as float64; NaN for those that are no numbers."""
    try:
        return np.array(tokens).astype(np.float64)
    except ValueError:
        return np.array([_number(token) for token in tokens])


def _number(token: str) -> float:
    try:
        return float(token)
    except ValueError:
        return float("nan")


class _Numbered:
    """Lines of a headed table for `csv.reader`, without comments and blanks; `number` is the line last given."""

    def __init__(self, handle: Iterator[str]) -> None:
        self._handle = handle
        self._header_given = False
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._handle:
            self.number += 1
            # "#chr<tab>start" is a header, "# made on Monday" and "##format" are comments.
            if line.startswith("#") and (self._header_given or line[1:2] in ("#", " ", "", "\n")):
                continue
            if not line.isspace():
                given, self._header_given = self._header_given, True
                yield line if given else line.removeprefix("#")


def _bed_rows(handle: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of the rows that hold data."""
    separator: str | None = None
    first = True
    for number, line in enumerate(handle, start=1):
        if line.startswith(_BED_COMMENTS) or line.isspace():
            continue
        if first:
            separator = "\t" if "\t" in line else None
            first = False
        yield number, line.rstrip("\n").split(separator)


def _shown(row: Sequence[str]) -> str:
    text = "\t".join(row)
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _no_rows(path: Path) -> InputError:
    try:
        empty = path.stat().st_size == 0
    except OSError:
        empty = False
    return InputError("is empty" if empty else "holds no rows", source=path, fix="Check how the file was made")


def _missing_columns(path: Path, missing: list[tuple[str, ...]], names: list[str]) -> InputError:
    near = [match for wanted in missing for match in difflib.get_close_matches(wanted[-1], names, n=1, cutoff=0.5)]
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    hint = f"; close to it: {', '.join(dict.fromkeys(near))}" if near else ""
    return InputError(
        f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(' or '.join(wanted) for wanted in missing)}",
        source=path,
        fix=f"Add it, rename a column or name another in the configuration; the file has {shown}{hint}",
    )


@contextmanager
def _text(path: Path) -> Iterator[Iterator[str]]:
    """Open a file as lines of text, unpacking gzip by its content, not its name."""
    with path.open("rb") as raw:
        magic = raw.read(16)
        raw.seek(0)
        if magic[:2] == _GZIP_MAGIC:
            _refuse_cut_bgzip(path, raw, magic)
            binary: gzip.GzipFile | io.BufferedReader = gzip.GzipFile(fileobj=raw)
        elif path.suffix in (".gz", ".bgz") and magic:
            raise InputError("is named .gz but is not gzip", source=path, fix="Compress it or drop the .gz of its name")
        else:
            binary = raw
        with io.TextIOWrapper(binary, encoding="utf-8-sig") as text:
            yield text


def _refuse_cut_bgzip(path: Path, raw: io.BufferedReader, magic: bytes) -> None:
    if magic[3] != 4 or magic[12:14] != b"BC":
        return
    size = raw.seek(0, io.SEEK_END)
    raw.seek(max(0, size - len(_BGZIP_END)))
    complete = raw.read() == _BGZIP_END
    raw.seek(0)
    if not complete:
        raise _truncated(path)


def _truncated(path: Path) -> InputError:
    return InputError("is truncated: its compressed data end too early", source=path, fix="Copy or download it again")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what can go wrong while reading into an `InputError` that names the file."""
    try:
        yield
    except EOFError as error:
        raise _truncated(path) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"has damaged gzip data: {error}", source=path, fix="Copy or download it again") from error
    except UnicodeDecodeError as error:
        raise InputError("is not text", source=path, fix="Give a plain or gzipped text table") from error
    except csv.Error as error:
        raise InputError(f"is not a table: {error}", source=path, fix="Check quotes and separators") from error
    except FileNotFoundError as error:
        raise InputError("there is no such file", source=path, fix="Check the path and the root folder") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", source=path, fix="Check the file") from error
