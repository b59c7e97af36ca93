"""The gene table and the genes' mRNA half-life features."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.inputs.regions import check_intervals, refuse, refuse_duplicates
from epinformer.inputs.tables import Column, read_bed, read_headed, read_header

logger = logging.getLogger(__name__)

# The published features are z-scores of log10 lengths; the authors' table says so in the column names.
_SUFFIX = "_log10zscore"
_LENGTHS = ("UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN")
# A z-score far beyond this is a length in bases.
_LARGEST_Z = 50.0
# Windows around a TSS are of one length, and short: what is longer is a gene body.
_LONGEST_WINDOW = 5_000


def read_genes(path: str | Path, tss: Literal["center", "strand"] = "center") -> pd.DataFrame:
    """Read a gene list: BED6 whose name is the gene id.

    Parameters
    ----------
    path
        The BED file; further columns are passed over.
    tss
        Where the transcription start site is: `center`, the middle (start + end) // 2 of an interval around it, or
        `strand`, the first base of a gene body: start on +, end - 1 on -.

    Returns
    -------
    DataFrame
        gene_id, chrom, start, end (the interval, 0-based half-open), tss (0-based), strand, in the file's order,
        indexed by line number.

    Raises
    ------
    InputError
        The file cannot be read, an interval is not one, a strand is neither + nor -, or a gene id is blank or
        occurs twice; with `center`, an interval is longer than 5 kb and so no window around a TSS.
    """
    genes = read_bed(
        path,
        (
            Column("chrom", "text", 0),
            Column("start", "int", 1),
            Column("end", "int", 2),
            Column("gene_id", "text", 3),
            Column("strand", "text", 5),
        ),
    )
    check_intervals(genes, path)
    refuse(
        genes,
        ~genes["strand"].isin(["+", "-"]),
        path,
        "has strands that are neither + nor -",
        "Give chrom, start, end, gene id, score, strand",
    )
    refuse(genes, genes["gene_id"] == "", path, "has genes without an id", "Put the gene id in the fourth column")
    refuse_duplicates(genes, ["gene_id"], path, "names a gene twice", "Keep one row, and so one TSS, a gene")
    if tss == "center":
        _check_windows(genes, path)
        position = (genes["start"] + genes["end"]) // 2
    else:
        position = genes["start"].where(genes["strand"] == "+", genes["end"] - 1)
    return genes.assign(tss=position)[["gene_id", "chrom", "start", "end", "tss", "strand"]]


def _check_windows(genes: pd.DataFrame, path: str | Path) -> None:
    """Refuse gene bodies, whose middle is no TSS; warn of what may be gene bodies."""
    length = genes["end"] - genes["start"]
    refuse(
        genes,
        length > _LONGEST_WINDOW,
        path,
        f"has intervals longer than {_LONGEST_WINDOW:,} bp, and the middle of a gene body is no TSS",
        "Set `genes: {tss: strand}` for gene bodies, or give windows centred on the TSS",
    )
    usual = int(length.mode().iloc[0])
    other = (length != usual).to_numpy()
    if other.any():
        row = int(other.argmax())
        logger.warning(
            "%s: %s of %s intervals are not of %s bp (first: %s); if they are gene bodies, set `genes: {tss: strand}`, "
            "since the middle is taken for the TSS",
            Path(path).name,
            f"{other.sum():,}",
            f"{len(genes):,}",
            f"{usual:,}",
            genes["gene_id"].iloc[row],
        )


def read_half_life(
    path: str | Path, *, id_column: str = "gene_id", name_column: str = "Gene name"
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read the eight mRNA half-life features of genes.

    Parameters
    ----------
    path
        CSV or TSV. Each feature's column is named as in `half_life.HALF_LIFE_FEATURES`, or so with
        `_log10zscore` at its end, which is preferred where there are both.
    id_column
        The column of gene ids.
    name_column
        The column of gene names; the file may lack it.

    Returns
    -------
    table : DataFrame
        Indexed by gene id: gene_name where there is one, and the eight features (float64, NaN where blank), as in the
        file.
    columns : dict
        Feature -> the file's column it was read from.

    Raises
    ------
    InputError
        The file cannot be read, lacks a feature, or gives a gene twice.
    """
    names = {feature: (feature + _SUFFIX, feature) for feature in HALF_LIFE_FEATURES}
    table = read_headed(
        path,
        (
            Column("gene_id", "text", (id_column,)),
            Column("gene_name", "text", (name_column,), optional=True),
            *(Column(feature, "float", names[feature], blank=True) for feature in HALF_LIFE_FEATURES),
        ),
    )
    refuse_duplicates(table, ["gene_id"], path, "gives the features of a gene twice", "Keep one row a gene")
    largest = table[list(_LENGTHS)].abs().max()
    raw = [name for name in _LENGTHS if largest[name] > _LARGEST_Z]
    if raw:
        logger.warning(
            "%s: %s reach %s, which is no z-score; the published models want z-scores of log10 lengths",
            Path(path).name,
            ", ".join(raw),
            f"{largest[raw[0]]:,.0f}",
        )
    header = read_header(path)
    columns = {name: next(column for column in choices if column in header) for name, choices in names.items()}
    return table.set_index("gene_id"), columns


def lacking(features: pd.DataFrame) -> np.ndarray:
    """Whether any feature is NaN, bool (number of rows,)."""
    mask: np.ndarray = features.isna().any(axis=1).to_numpy()
    return mask
