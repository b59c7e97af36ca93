"""Read BED, bedGraph, CSV and TSV, plain or gzipped, in one pass; every bad row is counted and the first is shown."""

from __future__ import annotations

import csv
import difflib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from epinformer.errors import InputError
from epinformer.inputs.textfile import open_text, told

logger = logging.getLogger(__name__)

_CHUNK_ROWS = 65_536
_BLANK = frozenset({"", "na", "n/a", "nan", "null", "none", "."})
_BED_COMMENTS = ("#", "track ", "track\t", "browser ", "browser\t")
_BED_HEADER_STARTS = frozenset({"start", "chromstart", "chrom_start", "chr_start"})
_ROUNDED = "A spreadsheet writes and rounds large numbers so; take the table as it was before, with all digits"
# 7.0 is a whole number, as some programs write them; 3.7E+07 need not be the one that was meant.
_INTEGER = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)
_SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", re.ASCII)


@dataclass(frozen=True)
class Column:
    """A column to read.

    Parameters
    ----------
    name
        Its name in the result.
    kind
        `text`, `int` (whole numbers of 64 bits with all their digits: 37205000, not 3.7205E+07) or `float`. Numbers
        must be finite.
    at
        Where it is: a 0-based position (negative from the end) in files without a header, or the header names to
        look for, the preferred one first.
    blank
        Whether a float may be blank, NA, NaN or "."; it is NaN then.
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
    scientific: bool = False

    def add(self, line: int, what: str, count: int = 1, *, scientific: bool = False) -> None:
        if not self.count:
            self.first = f"line {line:,}: {what}"
            self.scientific = scientific
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


def read_bed(path: str | Path, columns: Sequence[Column], min_width: int = 1) -> pd.DataFrame:
    """Read columns by position from a file without a header: BED, bedGraph and their like.

    Comment (`#`), `track`, `browser` and blank lines are passed over, as is a header row that names the start
    column. Fields are separated by tabs, or by white space where the first row has no tab. The file must have
    ``min_width`` columns, and those that are named by their position from the start.

    Returns
    -------
    DataFrame
        One row a line, in the file's order, indexed by the 1-based line number (index name `line`).

    Raises
    ------
    InputError
        No such file, truncated, damaged or repeated gzip, not text, no rows, too few columns, rows of unequal width,
        or something else than a finite number in a numeric column.
    """
    path = Path(path)
    with told(path), open_text(path) as handle:
        rows = _bed_rows(handle)
        head = next(rows, None)
        if head and len(head[1]) > 1 and head[1][1].strip().lower() in _BED_HEADER_STARTS:
            logger.info("%s: line %d is taken as a header", path.name, head[0])
            head = next(rows, None)
        if head is None:
            raise _no_rows(path)
        width = len(head[1])
        positions = {column: cast(int, column.at) for column in columns}
        needed = max([min_width, *(at + 1 for column, at in positions.items() if not column.optional)])
        if width < needed:
            listed = [f"{column.name} ({'last' if at < 0 else at + 1})" for column, at in positions.items()]
            raise InputError(
                f"has rows of {width} columns and needs {needed}",
                source=path,
                count=1 + sum(len(row) < needed for _, row in rows),
                first=f"line {head[0]:,}: {_shown(head[1])}",
                fix=f"Separate the fields by tabs, and give {', '.join(listed)}",
            )
        present = [(column, at % width) for column, at in positions.items() if -width <= at < width]
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
    with told(path), open_text(path) as handle:
        lines = _Numbered(handle)
        separator, names = _header(path, lines)
        present = _present(path, columns, names)
        reader = csv.reader(lines, delimiter=separator)
        rows = ((lines.number, row) for row in reader)
        return _frame(path, _Rows(rows, len(names)), present)


def read_header(path: str | Path, columns: Sequence[Column] = ()) -> list[str]:
    """The column names of a file that `read_headed` reads, with its errors about the columns that are wanted."""
    path = Path(path)
    with told(path), open_text(path) as handle:
        names = _header(path, _Numbered(handle))[1]
    _present(path, columns, names)
    return names


def _present(path: Path, columns: Sequence[Column], names: list[str]) -> list[tuple[Column, int]]:
    """The columns that are there, each with its place."""
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
    return present


def numeric_columns(path: str | Path, *, rows: int = 1_000) -> dict[str, bool]:
    """Whether each column of a file that `read_headed` reads has numbers, or blanks, in all of its first rows.

    Raises
    ------
    InputError
        The file cannot be read, or has no rows.
    """
    path = Path(path)
    with told(path), open_text(path) as handle:
        lines = _Numbered(handle)
        separator, names = _header(path, lines)
        first = [row for row in islice(csv.reader(lines, delimiter=separator), rows) if len(row) == len(names)]
    if not first:
        raise _no_rows(path)
    return {
        name: all(token.strip().lower() in _BLANK or not np.isnan(_float(token)) for token in tokens)
        for name, tokens in zip(names, zip(*first, strict=True), strict=True)
    }


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
                fix=_ROUNDED if wrong[column.name].scientific else "Correct or remove these rows",
            )
    if not pieces:
        raise _no_rows(path)
    return pd.concat(pieces) if len(pieces) > 1 else pieces[0]


def _converted(
    column: Column, lines: np.ndarray, tokens: tuple[str, ...], wrong: _Offenders
) -> np.ndarray | ExtensionArray:
    if column.kind == "text":
        return pd.array([token.strip() for token in tokens], dtype="str")
    if column.kind == "int":
        values, bad = _integers(tokens)
    else:
        values = _floats(tokens)
        bad = ~np.isfinite(values)
        if column.blank and bad.any():
            blank = np.array([token.strip().lower() in _BLANK for token in tokens])
            values[blank] = np.nan
            bad &= ~blank
    if bad.any():
        row = int(bad.argmax())
        scientific = column.kind == "int" and _SCIENTIFIC.fullmatch(tokens[row].strip()) is not None
        wrong.add(int(lines[row]), f"{tokens[row]!r}", int(bad.sum()), scientific=scientific)
        values[bad] = 0
    return values


def _integers(tokens: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens as int64, and which of them are no whole numbers of 64 bits."""
    text = "".join(tokens)
    if text.isascii() and text.isdigit():
        # Nearly always, and an order of magnitude quicker.
        try:
            return np.array(tokens).astype(np.int64), np.zeros(len(tokens), dtype=bool)
        except (ValueError, OverflowError):
            pass
    numbers = [_integer(token) for token in tokens]
    bad = np.array([number is None for number in numbers])
    return np.array([number or 0 for number in numbers], dtype=np.int64), bad


def _integer(token: str) -> int | None:
    token = token.strip()
    if not _INTEGER.fullmatch(token):
        return None
    whole = token.partition(".")[0]
    limits = np.iinfo(np.int64)
    # Python refuses to read thousands of digits.
    number = int(whole) if len(whole) < 100 else limits.max + 1
    return number if limits.min <= number <= limits.max else None


def _floats(tokens: tuple[str, ...]) -> np.ndarray:
    """Tokens as float64; NaN for those that are no numbers."""
    # To Python, 1_000 is a number.
    if "_" not in "".join(tokens):
        try:
            return np.array(tokens).astype(np.float64)
        except ValueError:
            pass
    return np.array([_float(token) for token in tokens])


def _float(token: str) -> float:
    try:
        return float("nan" if "_" in token else token)
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
        fix=f"Add it, rename a column, or choose another where there is a choice; the file has {shown}{hint}",
    )
