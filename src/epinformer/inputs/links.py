"""Tables of scored enhancer-gene links, of this program or another."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.gene_names import named_genes
from epinformer.inputs.regions import check_intervals, refuse, refuse_duplicates
from epinformer.inputs.tables import Column, numeric_columns, read_headed
from epinformer.inputs.textfile import told

logger = logging.getLogger(__name__)

CALIBRATED, WITHOUT = "calibrated", "calibrated_without"
"""The columns that a combiner adds: the probability, and the chromosome whose tested pairs it was learned without."""

# The names of our own tables first, then those of the activity-by-contact model and of ENCODE.
_COLUMNS = (
    Column("chrom", "text", ("chrom", "chr")),
    Column("start", "int", ("start",)),
    Column("end", "int", ("end",)),
    Column("gene_id", "text", ("gene_id", "TargetGeneEnsembl_ID", "TargetGeneEnsemblID"), optional=True),
    Column("gene_name", "text", ("gene_name", "TargetGene"), optional=True),
    Column("tss", "float", ("tss", "TargetGeneTSS"), blank=True, optional=True),
    Column("strand", "text", ("strand",), optional=True),
    Column("held_out", "text", ("held_out",), optional=True),
    Column(WITHOUT, "text", (WITHOUT,), optional=True),
)
_NOT_SCORES = frozenset(
    {
        *(name for column in _COLUMNS for name in cast(tuple[str, ...], column.at)),
        *("element_id", "gene_index", "element_index", "fold", "folds", "models"),
        *("self_promoter", "isSelfPromoter"),
        # Row numbers that pandas wrote.
        *("", "Unnamed: 0", "__index_level_0__"),
    }
)
# What surrounds a link (`scoring.context`): a score only for who names it.
_CONTEXT = frozenset({"tss_between", "other_tss_distance", "elements_near", "activity_near", "genes_near"})


class Links(NamedTuple):
    """Scored links.

    Attributes
    ----------
    table
        A row a link, indexed by line number: chrom, start, end of the element (0-based half-open); gene_id and
        gene_name, at least one of them, missing where blank; tss (0-based), strand, held_out (text) and
        calibrated_without if the file has them; the scores (float64, NaN where a link has none).
    scores
        Names of the score columns, in the file's order.
    """

    table: pd.DataFrame
    scores: tuple[str, ...]


def read_links(path: str | Path, *, scores: Sequence[str] | None = None) -> Links:
    """Read links from a TSV or CSV file, gzipped or not, or a Parquet file, which is known by its content.

    The file has chrom (or chr), start, end, and gene_id or gene_name (or TargetGeneEnsembl_ID, TargetGene).

    Parameters
    ----------
    path
        The file.
    scores
        Columns to take as scores; by default all that hold numbers and are no coordinates, indices or folds, and do not
        only tell of the surroundings (``*_rpm``, ``promoter_*``, ``tss_between``...).

    Returns
    -------
    Links

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, has no scores, a score that is infinite or no number, a link twice, or
        a row without a gene.
    """
    path = Path(path)
    parquet = _is_parquet(path)
    numeric = _parquet_columns(path) if parquet else numeric_columns(path)
    chosen = _chosen(scores, numeric, path)
    wanted = (*_COLUMNS, *(Column(name, "float", (name,), blank=True) for name in chosen))
    table = named_genes(_read_parquet(path, wanted, chosen) if parquet else read_headed(path, wanted), path)
    check_intervals(table, path)
    key = [name for name in ("gene_id", "gene_name") if name in table]
    refuse_duplicates(table, [*key, "chrom", "start", "end"], path, "gives a link twice", "Keep one row a link")
    empty = [name for name in chosen if table[name].isna().all()]
    if len(empty) == len(chosen) or (scores is not None and empty):
        raise InputError("has a score without any value", source=path, count=len(empty), first=empty[0], fix="Drop it")
    kept = tuple(name for name in chosen if name not in empty)
    logger.info("%s: %s links, scored by %s", path.name, f"{len(table):,}", ", ".join(kept))
    return Links(table.drop(columns=empty), kept)


def number_columns(path: str | Path) -> list[str]:
    """The columns of a table of links that `read_links` can take as scores.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    path = Path(path)
    numeric = _parquet_columns(path) if _is_parquet(path) else numeric_columns(path)
    return _candidates(numeric)


def _candidates(numeric: dict[str, bool]) -> list[str]:
    return [name for name, is_number in numeric.items() if is_number and name not in _NOT_SCORES]


def _chosen(scores: Sequence[str] | None, numeric: dict[str, bool], path: Path) -> list[str]:
    """Names of the score columns."""
    candidates = _candidates(numeric)
    if scores is not None:
        unfit = [name for name in scores if name not in candidates]
        if unfit:
            raise InputError(
                "has no such score", source=path, count=len(unfit), first=unfit[0], fix=f"It has {_listed(candidates)}"
            )
        return list(dict.fromkeys(scores))
    candidates = [
        name
        for name in candidates
        if name not in _CONTEXT and not name.endswith("_rpm") and not name.startswith("promoter_")
    ]
    if "neg_distance" in candidates:
        # Our tables have it beside the signed distance; once is enough.
        candidates = [name for name in candidates if name != "distance"]
    if not candidates:
        raise InputError(
            "has no column of scores",
            source=path,
            fix=f"Add at least one column of numbers; the file has {_listed(list(numeric))}",
        )
    return candidates


def _listed(names: Sequence[str]) -> str:
    return (", ".join(names[:12]) + (", ..." if len(names) > 12 else "")) or "none"


def _is_parquet(path: Path) -> bool:
    with told(path), path.open("rb") as handle:
        return handle.read(4) == b"PAR1"


def _parquet_columns(path: Path) -> dict[str, bool]:
    """Whether each column holds numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError("is a damaged Parquet file", source=path, fix="Copy or make it again") from error
    return {
        field.name: pa.types.is_floating(field.type) or pa.types.is_integer(field.type) or pa.types.is_null(field.type)
        for field in schema
    }


def _read_parquet(path: Path, columns: Sequence[Column], scores: Sequence[str]) -> pd.DataFrame:
    """The columns under their own names and types, indexed by 1-based row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    present = set(_parquet_columns(path))
    found = {
        column: next((name for name in cast(tuple[str, ...], column.at) if name in present), None) for column in columns
    }
    missing = [column.name for column, name in found.items() if name is None and not column.optional]
    if missing:
        raise InputError(
            f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            source=path,
            fix=f"Add it or rename a column; the file has {_listed(sorted(present))}",
        )
    try:
        whole = pq.read_table(path, columns=[name for name in found.values() if name is not None]).to_pandas(
            ignore_metadata=True
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError("is a damaged Parquet file", source=path, fix="Copy or make it again") from error
    if whole.empty:
        raise InputError("holds no rows", source=path, fix="Check how the file was made")
    table = pd.DataFrame(index=pd.RangeIndex(1, len(whole) + 1, name="line"))
    for column, name in found.items():
        if name is not None:
            table[column.name] = whole[name].to_numpy() if column.kind != "text" else whole[name].astype("str").array
    for name in ("start", "end"):
        refuse(table, table[name].isna(), path, f"lacks the {name} of some links", "Complete or remove these rows")
        table[name] = table[name].astype(np.int64)
    for score in scores:
        table[score] = table[score].astype(np.float64)
        refuse(table, np.isinf(table[score]), path, f"has infinite values of {score}", "Give finite numbers")
    return table
