"""What is in a dataset, in numbers a person or a program can read."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from epinformer.dataset.store import SEQUENCE_LENGTH, Dataset

_BASICS = {"tss", "start", "end", "gene_index", "element_index", "distance", "sequence_length"}


def summarise(dataset: Dataset) -> dict[str, Any]:
    """Summarise a dataset; reads its tables, not its sequence.

    Returns
    -------
    dict
        Plain JSON data, None for a number that does not exist (the mean of nothing). Keys: ``path``,
        ``format_version``, ``assembly``, ``cell_type``, ``package_version``, ``content_hash``, ``rows``, ``filters``,
        ``inputs``, ``elements_per_gene`` (mean, median, max, genes_without, elements_unused), ``distance`` (of pairs,
        bp: min, median and max of |distance|, downstream: share of positive ones), ``signals`` (table -> column ->
        min, median, mean, max, zeros), ``columns`` (table -> list of name, type, missing, transform), ``chromosomes``
        (chrom -> genes, elements, and windows if there are any), ``sequence`` (None, or bases, bytes, promoter_length,
        element_length_median). ``rows``, ``signals`` and ``columns`` have ``windows`` if there are any.
    """
    manifest = dataset.manifest
    tables = {"genes": dataset.genes, "elements": dataset.elements, "pairs": dataset.pairs}
    if dataset.windows is not None:
        tables["windows"] = dataset.windows
    return {
        "path": str(dataset.path),
        "format_version": manifest.format_version,
        "assembly": manifest.assembly,
        "cell_type": manifest.cell_type,
        "package_version": manifest.package_version,
        "content_hash": dataset.content_hash(),
        "rows": dict(manifest.rows),
        "filters": [step.model_dump() for step in manifest.filters],
        "inputs": {name: file.model_dump() for name, file in manifest.inputs.items()},
        "elements_per_gene": _elements_per_gene(dataset),
        "distance": _distance(dataset.pairs["distance"].to_numpy(np.int64)),
        "signals": {name: _signals(table) for name, table in tables.items()},
        "columns": {name: _columns(name, table, manifest.transforms) for name, table in tables.items()},
        "chromosomes": _chromosomes(dataset),
        "sequence": _sequence(dataset),
    }


def _elements_per_gene(dataset: Dataset) -> dict[str, float | int | None]:
    counts = np.diff(dataset.pair_offsets)
    used = int(dataset.pairs["element_index"].nunique())
    return {
        "mean": _number(counts.mean()) if len(counts) else None,
        "median": _number(np.median(counts)) if len(counts) else None,
        "max": int(counts.max(initial=0)),
        "genes_without": int((counts == 0).sum()),
        "elements_unused": dataset.n_elements - used,
    }


def _distance(distance: np.ndarray) -> dict[str, float | int | None]:
    if not len(distance):
        return {"min": None, "median": None, "max": None, "downstream": None}
    size = np.abs(distance)
    return {
        "min": int(size.min()),
        "median": _number(np.median(size)),
        "max": int(size.max()),
        "downstream": _number((distance > 0).mean()),
    }


def _signals(table: pd.DataFrame) -> dict[str, dict[str, float | int | None]]:
    """Numeric columns other than indices and positions."""
    signals = {}
    for column in table.columns:
        values = table[column]
        if column in _BASICS or not is_numeric_dtype(values) or is_bool_dtype(values):
            continue
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        numbers = numbers[~np.isnan(numbers)]
        some = len(numbers) > 0
        signals[column] = {
            "min": _number(numbers.min()) if some else None,
            "median": _number(np.median(numbers)) if some else None,
            "mean": _number(numbers.mean()) if some else None,
            "max": _number(numbers.max()) if some else None,
            "zeros": int((numbers == 0).sum()),
        }
    return signals


def _columns(name: str, table: pd.DataFrame, transforms: dict[str, str]) -> list[dict[str, Any]]:
    # The windows' signals have the names of the elements'.
    prefix = "windows." if name == "windows" else ""
    return [
        {
            "name": column,
            "type": str(table[column].dtype),
            "missing": int(table[column].isna().sum()),
            "transform": transforms.get(prefix + column),
        }
        for column in table.columns
    ]


def _chromosomes(dataset: Dataset) -> dict[str, dict[str, int]]:
    tables = {"genes": dataset.genes, "elements": dataset.elements}
    if dataset.windows is not None:
        tables["windows"] = dataset.windows
    counts = {name: table["chrom"].value_counts() for name, table in tables.items()}
    names = sorted({str(chrom) for own in counts.values() for chrom in own.index}, key=_natural)
    return {chrom: {name: int(own.get(chrom, 0)) for name, own in counts.items()} for chrom in names}


def _sequence(dataset: Dataset) -> dict[str, float | int | None] | None:
    if dataset.codes is None:
        return None
    lengths = dataset.elements["sequence_length"].to_numpy()
    return {
        "bases": int(dataset.sequence_offsets[-1]),
        "bytes": int(dataset.codes.nbytes),
        "promoter_length": SEQUENCE_LENGTH,
        "element_length_median": _number(np.median(lengths)) if len(lengths) else None,
    }


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts chr2 before chr10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _number(value: float | np.floating) -> float:
    """Keep six significant digits, which is more than any summary needs."""
    return float(f"{float(value):.6g}")
