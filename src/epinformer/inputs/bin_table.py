"""Tables whose rows are pairs of bins: found out, parsed quickly, checked, and sorted by chromosome."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
from pyarrow import csv

from epinformer.errors import InputError
from epinformer.inputs.contact_maps import RESOLUTION
from epinformer.inputs.regions import refuse, refuse_duplicates
from epinformer.inputs.tables import Column, read_bed
from epinformer.inputs.textfile import open_text, told, unpacked

logger = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 23
_COMMENTS = ("#", "track", "browser")
_MISSING = ["", "NA", "NaN", "nan", "."]


class Layout(NamedTuple):
    """Width of the table, lines before it, its separator, the chromosome if the rows do not say."""

    width: int
    skip: int
    separator: str
    chrom: str | None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, by position."""
        if self.width >= 7:
            return (
                *(Column("chrom", "text", 0), Column("start1", "int", 1), Column("end1", "int", 2)),
                *(Column("chrom2", "text", 3), Column("start2", "int", 4), Column("end2", "int", 5)),
                Column("contact", "float", self.width - 1, blank=True),
            )
        first = self.width - 3
        chrom = (Column("chrom", "text", 0),) if first else ()
        starts = (Column("start1", "int", first), Column("start2", "int", first + 1))
        return (*chrom, *starts, Column("contact", "float", first + 2, blank=True))


class BinTable(NamedTuple):
    """Pairs of bins of a chromosome, sorted: first <= second int32 (p,), values float64 (p,); seen bool (bins,)."""

    first: np.ndarray
    second: np.ndarray
    values: np.ndarray
    seen: np.ndarray


def layout_of(path: Path, widths: tuple[int, ...], chrom: str | None) -> Layout:
    """What the first rows tell of a file."""
    with told(path), open_text(path) as lines:
        for skip, line in enumerate(lines):
            separator = "\t" if "\t" in line else " "
            fields = line.rstrip("\r\n").split(separator)
            if line.startswith(_COMMENTS) or line.isspace() or not any(field.isdigit() for field in fields):
                continue
            if len(fields) in widths:
                return Layout(len(fields), skip, separator, chrom)
            listed = " or ".join(map(str, widths))
            raise InputError(
                f"has {len(fields)} columns and not {listed}",
                source=path,
                first=f"line {skip + 1:,}: {line.strip()}",
                fix="Give the columns that the documentation of contact.bedpe and contact.average lists",
            )
    raise InputError("holds no rows", source=path, fix="Check how the file was made")


def read_bin_tables(path: Path, layout: Layout, max_distance: int) -> tuple[int, dict[str, BinTable]]:
    """Size of the bins, and the tables of the chromosomes."""
    pieces: dict[str, list[tuple[np.ndarray, ...]]] = defaultdict(list)
    seen: dict[str, np.ndarray] = {}
    bins: _Bins | None = None
    between = 0
    for rows in _batches(path, layout):
        bins = bins or _bins(path, layout, rows)
        within = rows.code == rows.other_code
        between += int((~within).sum())
        if bins.offenders(rows.starts, rows.ends).any() or (rows.values < 0).any() or np.isinf(rows.values).any():
            _explain(path, layout, bins)
        pair = np.sort(rows.starts // bins.size, axis=0)
        near = pair[1] - pair[0] <= -(-max_distance // bins.size)
        for number, name in enumerate(rows.names):
            own = within & (rows.code == number)
            if own.any():
                seen[name] = _marked(seen.get(name), pair[:, own])
                first, second = pair[:, own & near].astype(np.int32)
                pieces[name].append((first, second, rows.values[own & near]))
    if bins is None or not pieces:
        raise InputError("holds no pairs within a chromosome", source=path, fix="Check how the file was made")
    if between:
        logger.info("%s: %s rows between chromosomes are passed over", path.name, f"{between:,}")
    tables = {}
    for name in list(pieces):
        first, second, values = (np.concatenate(columns) for columns in zip(*pieces.pop(name), strict=True))
        order = np.lexsort((second, first))
        first, second, values = first[order], second[order], values[order]
        if np.any((first[1:] == first[:-1]) & (second[1:] == second[:-1])):
            _explain(path, layout, bins)
        tables[name] = BinTable(first, second, values, seen[name])
    return bins.size, tables


class _Rows(NamedTuple):
    """Some rows: chromosomes by name and number (n,); starts, ends int64 (2, n), no ends if not given; values (n,)."""

    names: list[str]
    code: np.ndarray
    other_code: np.ndarray
    starts: np.ndarray
    ends: np.ndarray | None
    values: np.ndarray


class _Bins(NamedTuple):
    """Size of the bins, and the position of the first base: 0 or 1."""

    size: int
    base: int

    def offenders(self, starts: np.ndarray, ends: np.ndarray | None) -> np.ndarray:
        """Which intervals are not of these bins; the last one of a chromosome may be shorter."""
        bad: np.ndarray = (starts < self.base) | ((starts - self.base) % self.size != 0)
        if ends is not None:
            width = ends - starts + self.base
            bad |= (width <= 0) | (width > self.size)
        return bad


def _bins(path: Path, layout: Layout, rows: _Rows) -> _Bins:
    """What most intervals of the first rows tell, the larger of two; without intervals, ABC's 5 kb."""
    if rows.ends is None:
        return _Bins(RESOLUTION, 0)
    widths, counts = np.unique(rows.ends - rows.starts, return_counts=True)
    width = int(widths[counts == counts.max()][-1])
    if width < 1:
        _explain(path, layout, None)
    one_based = np.all(rows.starts % (width + 1) == 1)
    return _Bins(width + 1, 1) if one_based else _Bins(width, 0)


def _batches(path: Path, layout: Layout) -> Iterator[_Rows]:
    """The rows of a file, some at a time."""
    # Parsed by arrow: the real tables have 10^8 rows and more. What is wrong with one is found out by `_explain`.
    names = [f"_{number}" for number in range(layout.width)]
    kinds = {"text": pa.dictionary(pa.int32(), pa.string()), "int": pa.int64(), "float": pa.float64()}
    for column in layout.columns:
        names[column.at if isinstance(column.at, int) else 0] = column.name
    types = {column.name: kinds[column.kind] for column in layout.columns}
    with told(path), path.open("rb") as raw:
        try:
            reader = csv.open_csv(
                unpacked(path, raw),
                csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES, column_names=names, skip_rows=layout.skip),
                csv.ParseOptions(delimiter=layout.separator, quote_char=False),
                csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=_MISSING),
            )
            for batch in reader:
                if any(batch[column.name].null_count for column in layout.columns if column.kind == "int"):
                    _explain(path, layout, None)
                yield _rows(batch, layout)
        except pa.ArrowInvalid as error:
            _explain(path, layout, None, error)


def _rows(batch: Any, layout: Layout) -> _Rows:
    values = batch["contact"].to_numpy(zero_copy_only=False)
    names: list[str] = [] if layout.chrom is None else [layout.chrom]
    codes = [np.zeros(len(values), dtype=np.int64)]
    if "chrom" in batch.schema.names:
        columns = [batch[name] for name in ("chrom", "chrom2") if name in batch.schema.names]
        names = list(dict.fromkeys(name for column in columns for name in column.dictionary.to_pylist()))
        numbers = [np.array([names.index(name) for name in column.dictionary.to_pylist()]) for column in columns]
        codes = [number[column.indices.to_numpy()] for number, column in zip(numbers, columns, strict=True)]
    starts, ends = (
        [batch[f"{what}{n}"].to_numpy() for n in (1, 2) if f"{what}{n}" in batch.schema.names]
        for what in ("start", "end")
    )
    return _Rows(names, codes[0], codes[-1], np.stack(starts), np.stack(ends) if ends else None, values)


def _marked(seen: np.ndarray | None, pair: np.ndarray) -> np.ndarray:
    """The bins of a chromosome that occur so far, bool (last one + 1,)."""
    bins = int(pair[1].max()) + 1
    marked = np.zeros(bins if seen is None else max(bins, len(seen)), dtype=bool)
    if seen is not None:
        marked[: len(seen)] = seen
    marked[pair] = True
    return marked


def _explain(path: Path, layout: Layout, bins: _Bins | None, error: Exception | None = None) -> NoReturn:
    """Read a file in which something is wrong once more, slowly, and raise the error that names the first bad row."""
    table = read_bed(path, layout.columns)
    for end in ("1", "2") if layout.width >= 7 else ():
        refuse(
            table,
            table[f"start{end}"] >= table[f"end{end}"],
            path,
            "has starts that are not below ends",
            "Correct these rows",
        )
    if bins is not None:
        starts = table[["start1", "start2"]].to_numpy().T
        ends = table[["end1", "end2"]].to_numpy().T if layout.width >= 7 else None
        refuse(
            table,
            np.asarray(bins.offenders(starts, ends).any(axis=0)),
            path,
            f"has positions that are not of bins of {bins.size:,} bp",
            "Give contacts of bins of one size, which start at 0 (or all at 1)",
        )
    refuse(table, table["contact"] < 0, path, "has negative contacts", "Give contact frequencies, 0 or more")
    if "chrom" not in table:
        table["chrom"] = layout.chrom
    low, high = table[["start1", "start2"]].min(axis=1), table[["start1", "start2"]].max(axis=1)
    within = table["chrom"] == table["chrom2"] if "chrom2" in table else slice(None)
    table = table[["chrom"]].assign(bin1=low, bin2=high, contact=table["contact"])[within]
    refuse_duplicates(
        table, ["chrom", "bin1", "bin2"], path, "gives a pair of bins twice", "Keep one row a pair, in one order"
    )
    raise InputError(f"is not such a table: {error}", source=path, fix="Check how the file was made") from error
