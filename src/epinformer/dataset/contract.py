"""What the tables of a dataset must hold, checked before writing and after opening."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_float_dtype, is_integer_dtype, is_numeric_dtype

from epinformer.errors import DatasetError
from epinformer.half_life import HALF_LIFE_FEATURES

SEQUENCE_LENGTH = 2000
"""The window of a promoter and the longest element, in bp."""

WINDOW_LENGTH = 256
"""The windows that the encoder is pretrained on, in bp."""

GENE_COLUMNS = ("gene_id", "gene_name", "chrom", "tss", "strand")
ELEMENT_COLUMNS = ("element_id", "chrom", "start", "end")
PAIR_COLUMNS = ("gene_index", "element_index", "distance")
WINDOW_COLUMNS = ("chrom", "start", "end", "activity")

# Names that hold a number wherever they appear.
_GENE_NUMBERS = ("promoter_", "expression_", *HALF_LIFE_FEATURES)
_ELEMENT_NUMBERS = ("activity",)
_PAIR_NUMBERS = ("contact", "powerlaw_contact", "abc_score")
# Counts, contacts and what is computed of them: these may not be negative.
_SIGNALS = ("activity", "promoter_activity", *_PAIR_NUMBERS)
_POSITIONS = ("tss", "start", "end")
_INT32 = ("gene_index", "element_index", "distance", "sequence_length")
_FIX = "Prepare the dataset again"


def normalise_tables(
    genes: pd.DataFrame, elements: pd.DataFrame, pairs: pd.DataFrame, dataset: str | Path
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Make copies with a default index and the integer widths of the format.

    Positions become int64, or nullable Int64 where some are missing; indices, distance and sequence_length int32.
    Columns that are missing or of another kind are left for `check_tables` to name.

    Raises
    ------
    DatasetError
        An integer does not fit its column.
    """
    named = (("genes", genes), ("elements", elements), ("pairs", pairs))
    genes, elements, pairs = (_normalised(table, dataset, name) for name, table in named)
    return genes, elements, pairs


def normalise_windows(windows: pd.DataFrame, dataset: str | Path) -> pd.DataFrame:
    """Make a copy of the windows as `normalise_tables` does of the other tables."""
    return _normalised(windows, dataset, "windows")


def _normalised(table: pd.DataFrame, dataset: str | Path, name: str) -> pd.DataFrame:
    limits = np.iinfo(np.int32)
    _columns(table, (), dataset, name)
    table = table.reset_index(drop=True)
    for column in table.columns.intersection([*_POSITIONS, *_INT32]):
        values = table[column]
        if not is_integer_dtype(values):
            continue
        if values.isna().any():
            table[column] = values.astype("Int64")
            continue
        wide = values.to_numpy(np.int64)
        if column in _INT32:
            _refuse((wide < limits.min) | (wide > limits.max), wide, f"{column} does not fit 32 bits", dataset, name)
            table[column] = wide.astype(np.int32)
        else:
            table[column] = wide
    return table


def check_tables(genes: pd.DataFrame, elements: pd.DataFrame, pairs: pd.DataFrame, dataset: str | Path) -> None:
    """Check the three tables, each alone and against each other.

    Raises
    ------
    DatasetError
        A column is missing or of the wrong type, an id is missing or twice there, an interval is empty or longer than
        `SEQUENCE_LENGTH`, a signal, contact or score is negative, an index points outside its table, or pairs are not
        sorted by gene_index and |distance|.
    """
    _check_genes(genes, dataset)
    _check_elements(elements, dataset)
    _check_pairs(pairs, len(genes), len(elements), dataset)


def check_windows(windows: pd.DataFrame, dataset: str | Path) -> None:
    """Check the windows that the encoder is pretrained on.

    Raises
    ------
    DatasetError
        A column is missing or of the wrong type, a window lies nowhere, is not `WINDOW_LENGTH` bp long or has no
        activity, or a signal is negative.
    """
    _columns(windows, WINDOW_COLUMNS, dataset, "windows")
    _refuse(windows["chrom"].isna().to_numpy(bool), windows["chrom"], "chrom is missing", dataset, "windows")
    start, start_known = _positions(windows, "start", dataset, "windows")
    end, end_known = _positions(windows, "end", dataset, "windows")
    _refuse(~(start_known & end_known), windows["chrom"], "start or end is missing", dataset, "windows")
    _refuse(end - start != WINDOW_LENGTH, start, f"windows are not {WINDOW_LENGTH} bp long", dataset, "windows")
    _numbers(windows, ("activity",), dataset, "windows")
    _refuse(windows["activity"].isna().to_numpy(bool), start, "activity is missing", dataset, "windows")


def _check_genes(genes: pd.DataFrame, dataset: str | Path) -> None:
    _columns(genes, GENE_COLUMNS, dataset, "genes")
    _identifiers(genes, "gene_id", dataset, "genes")
    _positions(genes, "tss", dataset, "genes")
    known = genes["strand"].isin(["+", "-", "."]) | genes["strand"].isna()
    _refuse(~known.to_numpy(bool), genes["strand"], "strand is none of + - .", dataset, "genes")
    present = [feature for feature in HALF_LIFE_FEATURES if feature in genes]
    if present and len(present) < len(HALF_LIFE_FEATURES):
        absent = [feature for feature in HALF_LIFE_FEATURES if feature not in genes]
        raise DatasetError(
            "half-life features are missing",
            source=_source(dataset, "genes"),
            count=len(absent),
            first=absent[0],
            fix="Have all eight of them or none",
        )
    _numbers(genes, _GENE_NUMBERS, dataset, "genes")


def _check_elements(elements: pd.DataFrame, dataset: str | Path) -> None:
    _columns(elements, ELEMENT_COLUMNS, dataset, "elements")
    _identifiers(elements, "element_id", dataset, "elements")
    _numbers(elements, _ELEMENT_NUMBERS, dataset, "elements")
    start, known = _positions(elements, "start", dataset, "elements")
    end, end_known = _positions(elements, "end", dataset, "elements")
    _refuse(known != end_known, elements["element_id"], "only one of start and end is known", dataset, "elements")
    length = end - start
    _refuse(known & (length <= 0), elements["element_id"], "starts are not below ends", dataset, "elements")
    _refuse(
        known & (length > SEQUENCE_LENGTH),
        elements["element_id"],
        f"intervals are longer than {SEQUENCE_LENGTH:,} bp",
        dataset,
        "elements",
        fix="Cut them with epinformer.dataset.store.element_spans",
    )
    if "sequence_length" in elements:
        bases = _int32(elements, "sequence_length", dataset, "elements")
        _refuse((bases < 1) | (bases > SEQUENCE_LENGTH), bases, "sequence_length is out of range", dataset, "elements")
        _refuse(
            known & (bases != length), elements["element_id"], "sequence_length is not end - start", dataset, "elements"
        )


def _check_pairs(pairs: pd.DataFrame, n_genes: int, n_elements: int, dataset: str | Path) -> None:
    _columns(pairs, PAIR_COLUMNS, dataset, "pairs")
    gene = _int32(pairs, "gene_index", dataset, "pairs")
    element = _int32(pairs, "element_index", dataset, "pairs")
    distance = np.abs(_int32(pairs, "distance", dataset, "pairs").astype(np.int64))
    _numbers(pairs, _PAIR_NUMBERS, dataset, "pairs")
    for name, index, number, table in (
        ("gene_index", gene, n_genes, "genes"),
        ("element_index", element, n_elements, "elements"),
    ):
        _refuse(
            (index < 0) | (index >= number), index, f"{name} points outside the {number:,} {table}", dataset, "pairs"
        )
    step = np.diff(gene)
    wrong = np.concatenate([[False], (step < 0) | ((step == 0) & (np.diff(distance) < 0))])
    _refuse(wrong, gene, "pairs are not sorted by gene_index, then |distance|", dataset, "pairs", label="gene_index ")


def _columns(table: pd.DataFrame, needed: tuple[str, ...], dataset: str | Path, name: str) -> None:
    if not table.columns.is_unique or not all(isinstance(column, str) for column in table.columns):
        raise DatasetError("column names must be distinct text", source=_source(dataset, name), fix=_FIX)
    missing = [column for column in needed if column not in table]
    if missing:
        raise DatasetError(
            "columns are missing", source=_source(dataset, name), count=len(missing), first=missing[0], fix=_FIX
        )


def _identifiers(table: pd.DataFrame, column: str, dataset: str | Path, name: str) -> None:
    values = table[column]
    _refuse(values.isna().to_numpy(bool), values, f"{column} is missing", dataset, name)
    if len(values) and not (pd.api.types.is_string_dtype(values)):
        raise DatasetError(f"{column} is not text", source=_source(dataset, name), first=values.iloc[0], fix=_FIX)
    if not values.is_unique:
        _refuse(values.duplicated().to_numpy(bool), values, f"{column} occurs more than once", dataset, name)


def _positions(table: pd.DataFrame, column: str, dataset: str | Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n,) int64, 0 where unknown, and whether each is known."""
    values = table[column]
    if len(values) and not is_integer_dtype(values):
        raise DatasetError(
            f"{column} is not of an integer type", source=_source(dataset, name), first=values.dtype, fix=_FIX
        )
    known = values.notna().to_numpy(bool)
    filled = values.fillna(0).to_numpy(np.int64) if not known.all() else values.to_numpy(np.int64)
    _refuse(filled < 0, filled, f"{column} is negative", dataset, name)
    return filled, known


def _int32(table: pd.DataFrame, column: str, dataset: str | Path, name: str) -> np.ndarray:
    values = table[column]
    if not len(values):
        return np.zeros(0, dtype=np.int32)
    if values.dtype != np.int32:
        raise DatasetError(
            f"{column} is not of type int32", source=_source(dataset, name), first=values.dtype, fix=_FIX
        )
    return values.to_numpy()


def _numbers(table: pd.DataFrame, prefixes: tuple[str, ...], dataset: str | Path, name: str) -> None:
    """Columns of these names (or ending in _rpm) are numbers; no float is infinite, no signal negative."""
    for column in table.columns:
        values = table[column]
        is_signal = column.endswith("_rpm") or column in _SIGNALS
        if (is_signal or column.startswith(prefixes)) and (not is_numeric_dtype(values) or is_bool_dtype(values)):
            raise DatasetError(
                f"{column} is not of a number type", source=_source(dataset, name), first=values.dtype, fix=_FIX
            )
        if is_signal or is_float_dtype(values):
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            _refuse(np.isinf(numbers), numbers, f"{column} is infinite", dataset, name)
            if is_signal:
                _refuse(numbers < 0, numbers, f"{column} is negative", dataset, name)


def _refuse(
    bad: np.ndarray,
    values: np.ndarray | pd.Series,
    problem: str,
    dataset: str | Path,
    name: str,
    *,
    label: str = "",
    fix: str = _FIX,
) -> None:
    """Raise if any row is bad, naming how many and the first."""
    if not bad.any():
        return
    row = int(np.argmax(bad))
    raise DatasetError(
        problem,
        source=_source(dataset, name),
        count=int(bad.sum()),
        first=f"row {row}: {label}{np.asarray(values)[row]}",
        fix=fix,
    )


def _source(dataset: str | Path, name: str) -> Path:
    return Path(dataset) / f"{name}.parquet"
