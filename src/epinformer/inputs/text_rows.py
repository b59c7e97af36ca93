"""The rows of a text file of reads: what kind they are, whole lines a few MB at a time, and their columns as arrays."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from epinformer.errors import InputError
from epinformer.inputs.regions import LAST_POSITION
from epinformer.inputs.textfile import told, unpacked

_BLOCK_BYTES = 1 << 22
_LONGEST_LINE = 1 << 16
_SNIFFED_ROWS = 100
_COMMENTS = (b"#", b"track ", b"track\t", b"browser ", b"browser\t")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
STRAND = 5
_BARCODE = re.compile(rb"[ACGT]{8}")
_NUMBER = re.compile(rb"-?\d+(\.\d*)?([eE][+-]?\d+)?")
_INTEGER = re.compile(rb"[+-]?\d{1,18}")
_CORRECT = "Correct or remove these rows"


class Layout(NamedTuple):
    """Columns of a text file, and whether its rows are fragments of cells: chrom, start, end, barcode (and count)."""

    width: int
    fragments: bool


class Rows(NamedTuple):
    """Rows as columns; chromosomes, strands and barcodes are a number for each row and their names."""

    chrom: tuple[np.ndarray, list[str]]
    start: np.ndarray
    end: np.ndarray
    strand: tuple[np.ndarray, list[str]] | None
    barcode: tuple[np.ndarray, list[str]] | None


class Problems:
    """What is wrong with rows: how many have each problem, and the first of them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, str, int]] = {}

    def add(self, problem: str, first: str, fix: str, count: int = 1) -> None:
        """Note rows with a problem, of which ``first`` is the first."""
        earlier = self._found.get(problem, (first, fix, 0))
        self._found[problem] = (*earlier[:2], earlier[2] + count)

    def join(self, later: Problems) -> None:
        """Take up what is wrong with a later part of the file."""
        for problem, (first, fix, count) in later._found.items():
            self.add(problem, first, fix, count)

    def refuse(self, path: Path) -> None:
        """Raise InputError for the problem that comes first in the file, if there is any."""
        for problem, (first, fix, count) in self._found.items():
            raise InputError(problem, source=path, count=count, first=first, fix=fix)


def text_layout(path: Path) -> Layout:
    """What a text file of reads holds, by its first rows.

    Fragments have four or five columns: the fourth has in all of the first 100 rows eight bases or more in a row, as
    barcodes have and names of reads have not, and the fifth, if there is one, is a whole number. All else is tags.

    Raises
    ------
    InputError
        The file cannot be read, is empty, is not text, is a bedGraph or SAM, or has fewer than three columns.
    """
    with told(path), path.open("rb") as raw, unpacked(path, raw) as content:
        rows = list(_first_rows(path, content))
    if not rows:
        empty = path.stat().st_size == 0
        raise InputError("is empty" if empty else "holds no rows", source=path, fix="Check how the file was made")
    width = len(rows[0])
    whole = [row for row in rows if len(row) == width]
    if rows[0][0] in (b"@HD", b"@SQ"):
        raise InputError("is SAM text", source=path, fix="Convert it with `samtools view -b`")
    if width < 3:
        raise InputError(
            f"has rows of {width} columns and needs 3",
            source=path,
            first=_shown(b"\t".join(rows[0])),
            fix="Give BAM, CRAM, or text of chrom, start, end and what follows, separated by tabs",
        )
    if width == 4 and all(_NUMBER.fullmatch(row[3]) for row in whole):
        raise InputError(
            "is a bedGraph, which has a signal and no reads",
            source=path,
            first=_shown(b"\t".join(rows[0])),
            fix="Give the reads, or the signal as a bigWig among the tracks",
        )
    barcodes = width in (4, 5) and all(_BARCODE.search(row[3]) for row in whole)
    return Layout(width, barcodes and all(row[4].isdigit() for row in whole if width == 5))


class RowParser:
    """Makes arrays of the lines of one file; it may be called from several threads.

    Parameters
    ----------
    layout
        The file's columns.
    barcodes
        Whether column 4 is wanted.
    strands
        What column 6 may hold; it is read if there is one and the rows are no fragments.
    """

    def __init__(self, layout: Layout, barcodes: bool, strands: frozenset[str]) -> None:
        self._width = layout.width
        self._barcodes = barcodes
        self._stranded = not layout.fragments and layout.width > STRAND
        self._strands = strands
        text = pa.dictionary(pa.int32(), pa.string())
        types = {"0": text, "1": pa.int64(), "2": pa.int64()}
        if self._stranded:
            types[str(STRAND)] = text
        if barcodes:
            types["3"] = text
        self._parse = pa_csv.ParseOptions(delimiter="\t", quote_char=False)
        self._convert = pa_csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[])

    def rows(self, first: int, data: bytes, problems: Problems) -> Rows:
        """The rows of whole lines, of which ``first`` is the first one's number; those with problems are left out."""
        return self._quickly(data) or self._carefully(first, data, problems)

    def _quickly(self, data: bytes) -> Rows | None:
        """The rows of a part in which nothing is unusual, else None."""
        # To this parser 0x1F is a number.
        if b"0x" in data or b"0X" in data:
            return None
        read = pa_csv.ReadOptions(
            column_names=[str(number) for number in range(self._width)],
            use_threads=False,
            block_size=len(data) + 1,
        )
        try:
            table = pa_csv.read_csv(pa.py_buffer(data), read, self._parse, self._convert)
        except pa.ArrowInvalid:
            return None
        table = table.unify_dictionaries().combine_chunks()
        rows = Rows(
            _encoded(table, 0),
            table.column("1").to_numpy(),
            table.column("2").to_numpy(),
            _encoded(table, STRAND) if self._stranded else None,
            _encoded(table, 3) if self._barcodes else None,
        )
        usual = (
            not any(name.startswith("#") or not name or name != name.strip() for name in rows.chrom[1])
            and (rows.strand is None or self._strands.issuperset(rows.strand[1]))
            and bool(((rows.start >= 0) & (rows.start < rows.end) & (rows.end <= LAST_POSITION)).all())
        )
        return rows if usual else None

    def _carefully(self, first: int, data: bytes, problems: Problems) -> Rows:
        """The rows of a part one by one, with what is wrong with them."""
        fields: list[list[str]] = []
        for number, line in enumerate(data.split(b"\n"), start=first):
            if line.startswith(_COMMENTS) or not line.strip():
                continue
            row = line.rstrip(b"\r").split(b"\t")
            fault = self._fault(row)
            if fault is None:
                fields.append([cell.decode().strip() for cell in row])
            else:
                problems.add(fault[0], f"line {number:,}: {_shown(line)}", fault[1])
        columns = list(zip(*fields, strict=True)) or [()] * self._width
        return Rows(
            _numbered(columns[0]),
            np.array([int(cell) for cell in columns[1]], dtype=np.int64),
            np.array([int(cell) for cell in columns[2]], dtype=np.int64),
            _numbered(columns[STRAND]) if self._stranded else None,
            _numbered(columns[3]) if self._barcodes else None,
        )

    def _fault(self, row: list[bytes]) -> tuple[str, str] | None:
        """What is wrong with a row and what to do about it, or None."""
        if len(row) != self._width:
            return (
                f"has rows that do not have {self._width} columns like its first one",
                "Complete or remove these rows",
            )
        if not row[0].strip():
            return "has rows without a chromosome", _CORRECT
        if not all(_INTEGER.fullmatch(cell.strip()) for cell in row[1:3]):
            return "has starts or ends that are no whole numbers", _CORRECT
        start, end = int(row[1]), int(row[2])
        if start < 0:
            return "has negative starts", "Coordinates are 0-based; correct these rows"
        if start >= end:
            return "has starts that are not below ends", "Intervals are 0-based and half-open; correct these rows"
        if end > LAST_POSITION:
            return "has ends beyond any chromosome", f"Positions go up to {LAST_POSITION:,}; correct these rows"
        if self._stranded and row[STRAND].decode().strip() not in self._strands:
            if row[STRAND].strip() == b".":
                return "has rows without a strand, which a shift and cuts need", "Leave out `shift` and `unit`"
            return (
                "has something else than a strand in column 6",
                "Give BED or tagAlign; of read pairs, chrom, start and end of the fragments",
            )
        return None


def _first_rows(path: Path, content: gzip.GzipFile | BufferedReader) -> Iterator[list[bytes]]:
    """The first rows that hold data."""
    rows = 0
    line = content.readline(_LONGEST_LINE).removeprefix(_BYTE_ORDER_MARK)
    while line and rows < _SNIFFED_ROWS:
        if b"\0" in line or len(line) == _LONGEST_LINE:
            raise InputError("is neither BAM, CRAM nor text", source=path, fix="Check how the file was made")
        if not line.startswith(_COMMENTS) and line.strip():
            rows += 1
            yield line.rstrip(b"\r\n").split(b"\t")
        line = content.readline(_LONGEST_LINE)


def line_blocks(path: Path, content: gzip.GzipFile | BufferedReader) -> Iterator[tuple[int, bytes]]:
    """Whole lines, some MB at a time, and the number of the first of them."""
    number, rest, first = 1, b"", True
    while data := content.read(_BLOCK_BYTES):
        data = data.removeprefix(_BYTE_ORDER_MARK) if first else rest + data
        first = False
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        if len(rest) > _LONGEST_LINE:
            line = number + data.count(b"\n")
            raise InputError("is not text", source=path, first=f"line {line:,} does not end", fix="Give text, or BAM")
        if end:
            yield number, data[:end]
            number += data.count(b"\n", 0, end)
    if rest:
        yield number, rest


def _encoded(table: pa.Table, column: int) -> tuple[np.ndarray, list[str]]:
    """A dictionary column as a number for each row, int32, and the names."""
    chunk = table.column(str(column)).chunk(0)
    return chunk.indices.to_numpy(), chunk.dictionary.to_pylist()


def _numbered(names: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int32), list(numbers)


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace").rstrip("\r\n")
    return repr(text if len(text) <= 80 else text[:77] + "...")
