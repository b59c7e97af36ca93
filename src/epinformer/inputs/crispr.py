"""Tables of CRISPR-tested pairs: which element was perturbed, which gene was measured, and what came of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.gene_names import bare_ids, named_genes
from epinformer.inputs.regions import check_intervals, refuse, refuse_duplicates
from epinformer.inputs.tables import Column, read_headed

logger = logging.getLogger(__name__)

_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})
# The names of the ENCODE benchmark first, then those of the table of Fulco et al. 2019.
_COLUMNS = (
    Column("chrom", "text", ("chrom", "chr")),
    Column("start", "int", ("chromStart", "start")),
    Column("end", "int", ("chromEnd", "end")),
    Column("gene_id", "text", ("measuredGeneEnsemblId", "gene_id"), optional=True),
    Column("gene_name", "text", ("measuredGeneSymbol", "gene_name", "Gene"), optional=True),
    Column("tss", "float", ("startTSS", "Gene TSS", "tss"), blank=True, optional=True),
    Column("distance", "float", ("distanceToTSS", "Distance", "distance"), blank=True, optional=True),
    Column("dnase_rpm", "float", ("DHS.RPM", "DHS (RPM)"), blank=True, optional=True),
    Column("h3k27ac_rpm", "float", ("H3K27ac.RPM.expandedRegion", "H3K27ac (RPM)"), blank=True, optional=True),
    Column("regulated", "text", ("Regulated", "significant_enhancer")),
    Column("effect_size", "float", ("EffectSize", "Fraction change in gene expr"), blank=True, optional=True),
    Column("significant", "text", ("Significant",), optional=True),
    Column("power", "float", ("PowerAtEffectSize25", "Power to detect 25% effects"), blank=True, optional=True),
    Column("valid", "text", ("ValidConnection",), optional=True),
    Column("cell_type", "text", ("CellType",), optional=True),
)
_PAIR = ("chrom", "start", "end", "gene", "gene_id", "gene_name", "tss", "distance", "dnase_rpm", "h3k27ac_rpm")


class CrisprTable(NamedTuple):
    """Tested pairs, and apart from them what the experiment found, so that nothing sees it that should not.

    Attributes
    ----------
    pairs
        A row a valid pair, indexed by line number: chrom, start, end of the tested region (0-based half-open); gene
        (its id without version, else its symbol); gene_id and gene_name as far as the file has them (missing where
        blank); tss (0-based, NaN where unknown) if the file has it; distance (bp, not negative; NaN where unknown);
        dnase_rpm and h3k27ac_rpm if the file has them.
    outcomes
        In the same order: regulated (bool), effect_size (change of expression in parts of one, NaN where unknown),
        significant (bool, as regulated where the file does not say), power (to detect an effect of 25 %; NaN where
        unknown).
    rows
        Rows of the file.
    invalid
        Rows left out because their ValidConnection is not TRUE.
    other_cell_types
        Rows left out because another cell type was asked for.
    cell_type
        The cell type of the pairs, if the file says.
    """

    pairs: pd.DataFrame
    outcomes: pd.DataFrame
    rows: int
    invalid: int
    other_cell_types: int
    cell_type: str | None


def read_crispr(path: str | Path, *, cell_type: str | None = None) -> CrisprTable:
    """Read a table of CRISPR-tested pairs (CSV or TSV, gzipped or not).

    It has the columns of the ENCODE benchmark (chrom chromStart chromEnd measuredGeneSymbol measuredGeneEnsemblId
    Regulated; of use if there: startTSS distanceToTSS ValidConnection CellType EffectSize Significant
    PowerAtEffectSize25 DHS.RPM H3K27ac.RPM.expandedRegion), or those of the table of Fulco et al. 2019 (chr start end
    Gene gene_id significant_enhancer Distance ...). A pair counts if its ValidConnection is TRUE, or the file has no
    such column. The distance is the file's own, else that of the region's middle from the TSS. A region that ends where
    it starts, as some tables have single bases, is taken as one base.

    Parameters
    ----------
    path
        The file.
    cell_type
        Whose pairs to take; needed if the file has several cell types.

    Returns
    -------
    CrisprTable

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, has labels that are neither TRUE nor FALSE, no gene in some row, a pair
        twice, or no valid pair; or several cell types and none is named, or not the one named.
    """
    path = Path(path)
    table = read_headed(path, _COLUMNS)
    rows = len(table)
    table["end"] = table["end"].mask(table["end"] == table["start"], table["start"] + 1)
    check_intervals(table, path)
    table, other_cell_types, named = _of_cell_type(table, cell_type, path)
    valid = table["valid"].str.upper() == "TRUE" if "valid" in table else pd.Series(True, index=table.index)
    if not valid.any():
        reason = table["valid"].iloc[0]
        raise InputError(
            "has no pair whose ValidConnection is TRUE", source=path, count=len(table), first=reason, fix="Check it"
        )
    table = named_genes(table[valid], path)
    # No column at all of one kind of name is not a column of blanks.
    ids = bare_ids(table["gene_id"]) if "gene_id" in table else table["gene_name"]
    table["gene"] = ids.fillna(table["gene_name"]) if "gene_name" in table else ids
    refuse_duplicates(table, ["gene", "chrom", "start", "end"], path, "tests a pair twice", "Keep one row a pair")
    table["distance"] = _distances(table)
    outcomes = _outcomes(table, path)
    invalid = int((~valid).sum())
    logger.info(
        "%s: %s of %s rows are valid pairs%s, of %s genes",
        path.name,
        f"{len(table):,}",
        f"{rows:,}",
        f" of {named}" if named else "",
        f"{table['gene'].nunique():,}",
    )
    pairs = table[[name for name in _PAIR if name in table]]
    return CrisprTable(pairs, outcomes, rows, invalid, other_cell_types, named)


def _of_cell_type(table: pd.DataFrame, wanted: str | None, path: Path) -> tuple[pd.DataFrame, int, str | None]:
    """The rows of one cell type, how many others there are, and its name."""
    present = sorted(set(table["cell_type"])) if "cell_type" in table else []
    if wanted is None:
        if len(present) > 1:
            raise InputError(
                f"has pairs of {len(present)} cell types ({', '.join(present[:8])})",
                source=path,
                fix="Name the one that the links are of with --cell-type",
            )
        return table, 0, present[0] if present else None
    if wanted not in present:
        has = f"has {', '.join(present[:8])}" if present else "does not say which cell type its pairs are of"
        raise InputError(f"has no pairs of the cell type {wanted}; it {has}", source=path, fix="Name another")
    kept = table[table["cell_type"] == wanted]
    return kept, len(table) - len(kept), wanted


def _distances(table: pd.DataFrame) -> pd.Series:
    """Distance from the TSS in bp: as given, else of the middle of the region; NaN where neither is known."""
    unknown = pd.Series(np.nan, index=table.index)
    given = table.get("distance", unknown).abs()
    middle = (table["start"] + table["end"]) // 2
    return given.fillna((middle - table.get("tss", unknown)).abs())


def _outcomes(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    unknown = pd.Series(np.nan, index=table.index)
    regulated = _flags(table, "regulated", path)
    return pd.DataFrame(
        {
            "regulated": regulated,
            "effect_size": table.get("effect_size", unknown),
            "significant": _flags(table, "significant", path) if "significant" in table else regulated,
            "power": table.get("power", unknown),
        }
    )


def _flags(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """A column of TRUE and FALSE (or 1 and 0) as bool."""
    words = table[column].str.lower()
    unclear = ~words.isin(_TRUE | _FALSE)
    shown = table[["chrom", "start", "end", "gene", column]]
    refuse(shown, unclear, path, f"says neither TRUE nor FALSE whether a pair is {column}", "Write TRUE or FALSE")
    return words.isin(_TRUE)
