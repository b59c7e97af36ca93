"""Transcription start sites measured elsewhere, as by CAGE, and genes moved to them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.chromosomes import in_style
from epinformer.inputs.gene_ids import match_genes
from epinformer.inputs.regions import LAST_POSITION, check_intervals, refuse, refuse_duplicates
from epinformer.inputs.tables import Column, read_bed, read_headed, read_header

logger = logging.getLogger(__name__)

FARTHEST_FROM_GENE = 1_000_000
"""How far from its gene a TSS may be, bp; farther ones are of another gene, or of another assembly."""


def read_tss(path: str | Path) -> pd.DataFrame:
    """Read one TSS a gene.

    Parameters
    ----------
    path
        A CSV or TSV with the columns gene_id, chrom, tss (0-based) and strand, or BED6 or more of peaks whose names
        are gene ids. A peak's TSS is its thick part (columns 7 and 8) where that is a single base inside the peak in
        every row, as in the peaks of FANTOM5, else its middle (start + end) // 2.

    Returns
    -------
    DataFrame
        gene_id, chrom, tss (0-based), strand, in the file's order, indexed by line number.

    Raises
    ------
    InputError
        The file cannot be read, a position is none of a chromosome or an interval not one, a strand is neither + nor
        -, or a gene id is blank or occurs twice.
    """
    path = Path(path)
    if "gene_id" in read_header(path):
        table = read_headed(
            path,
            (
                Column("gene_id", "text", ("gene_id",)),
                Column("chrom", "text", ("chrom",)),
                Column("tss", "int", ("tss",)),
                Column("strand", "text", ("strand",)),
            ),
        )
    else:
        table = _read_peaks(path)
    refuse(
        table,
        (table["tss"] < 0) | (table["tss"] >= LAST_POSITION),
        path,
        "has TSSs that are on no chromosome",
        "Positions are 0-based; correct these rows",
    )
    refuse(
        table,
        ~table["strand"].isin(["+", "-"]),
        path,
        "has strands that are neither + nor -",
        "Give the strand of each TSS",
    )
    refuse(table, table["gene_id"] == "", path, "has TSSs without a gene id", "Name the gene of each TSS")
    refuse_duplicates(table, ["gene_id"], path, "names a gene twice", "Keep one TSS a gene, the strongest peak say")
    return table[["gene_id", "chrom", "tss", "strand"]]


def recentred(genes: pd.DataFrame, table: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """Genes with the TSSs of a table; those that it lacks keep theirs. How many is said in the log.

    Parameters
    ----------
    genes
        gene_id, chrom, start, end, tss, strand, and gene_name where there is one.
    table
        As `read_tss` gives, of the file `path`. Genes are found by id, without version, or by symbol
        (`inputs.gene_ids.match_genes`), and chromosomes in either style.

    Returns
    -------
    DataFrame
        A copy of the genes with another tss; start and end stay, and need no longer hold the TSS.

    Raises
    ------
    InputError
        The table has none of the genes, or a TSS on another chromosome or strand than its gene or more than
        `FARTHEST_FROM_GENE` from it.
    """
    table = in_style(table, genes, path)
    rows = match_genes(table.assign(line=table.index).set_index("gene_id"), genes, path).rows
    found = rows["tss"].notna().to_numpy()
    new = rows[found]
    old = genes[found]
    tss = new["tss"].to_numpy(np.int64)
    away = np.maximum(old["start"].to_numpy() - tss, tss - (old["end"].to_numpy() - 1))
    for bad, problem, fix in (
        (new["chrom"].to_numpy() != old["chrom"].to_numpy(), "has TSSs on another chromosome than their gene", ""),
        (new["strand"].to_numpy() != old["strand"].to_numpy(), "has TSSs on another strand than their gene", ""),
        (
            away > FARTHEST_FROM_GENE,
            f"has TSSs more than {FARTHEST_FROM_GENE:,} bp from their gene",
            "; it may be of another assembly",
        ),
    ):
        if bad.any():
            row = int(bad.argmax())
            was, now = old.iloc[row], new.iloc[row]
            raise InputError(
                problem,
                source=path,
                count=int(bad.sum()),
                first=f"line {int(now['line']):,}: {was['gene_id']} at {now['chrom']}:{tss[row]} {now['strand']}, "
                f"and the gene at {was['chrom']}:{was['start']}-{was['end']} {was['strand']}",
                fix=f"Remove or correct these rows{fix}",
            )
    moved = genes["tss"].to_numpy(np.int64, copy=True)
    moved[found] = tss
    logger.info(
        "%s: %s of %s genes have their TSS from it, by %s bp in the median; %s keep theirs",
        Path(path).name,
        f"{found.sum():,}",
        f"{len(genes):,}",
        f"{np.median(np.abs(tss - old['tss'].to_numpy())):,.0f}",
        f"{(~found).sum():,}",
    )
    return genes.assign(tss=moved)


def _read_peaks(path: Path) -> pd.DataFrame:
    """gene_id, chrom, tss, strand of a BED file of peaks."""
    peaks = read_bed(
        path,
        (
            Column("chrom", "text", 0),
            Column("start", "int", 1),
            Column("end", "int", 2),
            Column("gene_id", "text", 3),
            Column("strand", "text", 5),
            Column("thick_start", "text", 6, optional=True),
            Column("thick_end", "text", 7, optional=True),
        ),
    )
    check_intervals(peaks, path)
    middle = (peaks["start"] + peaks["end"]) // 2
    if "thick_end" in peaks:
        first, last = (pd.to_numeric(peaks[name], errors="coerce") for name in ("thick_start", "thick_end"))
        if ((last - first == 1) & (first >= peaks["start"]) & (last <= peaks["end"])).all():
            logger.info("%s: the thick part of each peak is its TSS", path.name)
            return peaks.assign(tss=first.astype(np.int64))
    logger.info("%s: the middle of each peak is its TSS", path.name)
    return peaks.assign(tss=middle)
