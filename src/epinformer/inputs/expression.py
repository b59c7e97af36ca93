"""Expression labels: of a table, or of tracks of transcripts around each TSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.ctss import ctss_sums
from epinformer.inputs.regions import refuse_duplicates
from epinformer.inputs.tables import Column, read_headed
from epinformer.inputs.tracks import track_sums

Transform = Literal["none", "log10_0.1", "log10_1"]

PSEUDOCOUNTS: dict[Transform, float] = {"log10_0.1": 0.1, "log10_1": 1.0}
"""What each logarithm adds to a value first."""


def read_expression(path: str | Path, *, id_column: str, value_column: str) -> pd.Series:
    """Read one assay's label of each gene from a CSV or TSV file; the values are taken as they are.

    Returns
    -------
    Series
        float64 indexed by gene id; NaN where the file leaves the value blank.

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, has a value that is not a number, or gives a gene twice.
    """
    table = read_headed(
        path, (Column("gene_id", "text", (id_column,)), Column("value", "float", (value_column,), blank=True))
    )
    refuse_duplicates(table, ["gene_id"], path, "gives the expression of a gene twice", "Keep one row a gene")
    return table.set_index("gene_id")["value"]


def read_symbols(path: str | Path, *, id_column: str, name_column: str) -> pd.Series:
    """Read the symbol of each row of a file that `read_expression` reads: text indexed by gene id, in the same order.

    Raises
    ------
    InputError
        The file cannot be read or lacks a column.
    """
    table = read_headed(path, (Column("gene_id", "text", (id_column,)), Column("name", "text", (name_column,))))
    return table.set_index("gene_id")["name"]


def transformed(
    values: np.ndarray, transform: Transform, z_score: bool, *, source: str | Path | None = None
) -> np.ndarray:
    """Expression on the scale of a label.

    Parameters
    ----------
    values
        (number of genes,) RPKM, TPM, counts or sums of a track; NaN where a gene has none, and there in the result.
    transform
        `none`; `log10_0.1`, log10(x + 0.1), as the published RNA-seq label; `log10_1`, log10(x + 1), as its CAGE label.
    z_score
        Whether the mean over the genes that have a value is then taken off, and divided by their standard deviation.
        That is the one of a whole population (ddof 0): the published label has 1.0000000 by it over its 18,377 genes,
        and 1.00003 by that of a sample.
    source
        The file that values are from, for messages.

    Returns
    -------
    ndarray
        float64, (number of genes,).

    Raises
    ------
    InputError
        A value is negative and so has no logarithm, or all are equal and so have no z-score.
    """
    values = np.asarray(values, dtype=np.float64)
    if transform != "none":
        negative = values < 0
        if negative.any():
            raise InputError(
                "has negative expression, of which no logarithm is taken",
                source=source,
                count=int(negative.sum()),
                first=f"{values[negative][0]:g}",
                fix="Set `transform: none` if it is on a logarithmic scale already",
            )
        values = np.log10(values + PSEUDOCOUNTS[transform])
    if z_score:
        deviation = np.nanstd(values) if not np.isnan(values).all() else 0.0
        # The deviation of equal numbers is not exactly 0.
        if not deviation > 1e-9 * np.nanmax(np.abs(values), initial=0):
            raise InputError(
                "has the same expression for all genes, so there are no z-scores",
                source=source,
                count=int((~np.isnan(values)).sum()),
                fix="Check the column, or set `z_score: false`",
            )
        values = (values - np.nanmean(values)) / deviation
    return values


def expression_from_tracks(
    tracks: Mapping[str, Sequence[str | Path]], genes: pd.DataFrame, width: int = 384
) -> np.ndarray:
    """Sum of tracks (CAGE, RNA-seq) over the bases around each TSS, on the gene's own strand.

    Parameters
    ----------
    tracks
        `plus` and `minus`: bigWig files of the two strands; or `both`: files of both together; or `ctss`: BED files of
        sites with their strand (`inputs.ctss.ctss_sums`). Several files of one are replicates, of which the mean is
        taken. Those of `minus` may hold negative values throughout, as some write that strand; the sums are taken
        without the sign.
    genes
        chrom, tss (0-based), strand (+ or -).
    width
        Bases to sum over: [tss - width // 2, tss + width - width // 2), so 192 on each side of the TSS's left edge for
        384, on either strand. What lies beyond the chromosome is 0.

    Returns
    -------
    ndarray
        float64, (number of genes,); 0 where a track has no data.

    Raises
    ------
    InputError
        As `inputs.tracks.track_sums`; also a track of `plus` or `both` with negative values, and one of `minus` with
        sums of either sign.
    """
    start = genes["tss"].to_numpy(np.int64) - width // 2
    regions = pd.DataFrame({"chrom": genes["chrom"].to_numpy(), "start": start, "end": start + width})
    if tracks.get("ctss"):
        stranded = regions.assign(strand=genes["strand"].to_numpy())
        return np.asarray(np.mean([ctss_sums(path, stranded) for path in tracks["ctss"]], axis=0))
    if tracks.get("both"):
        return _mean_sums(tracks["both"], regions, signed=False)
    result = np.zeros(len(genes))
    for name, strand in (("plus", "+"), ("minus", "-")):
        own = (genes["strand"] == strand).to_numpy()
        if own.any():
            result[own] = _mean_sums(tracks[name], regions[own], signed=name == "minus")
    return result


def _mean_sums(paths: Sequence[str | Path], regions: pd.DataFrame, *, signed: bool) -> np.ndarray:
    """Mean over replicates of their sums over regions, without the sign."""
    total = np.zeros(len(regions))
    for path in paths:
        sums = track_sums(path, regions, signed=signed, total=False).sums
        if (sums > 0).any() and (sums < 0).any():
            raise InputError(
                "holds values of both signs, so it is not of one strand",
                source=path,
                count=int((sums < 0).sum()),
                fix="Give one track a strand",
            )
        total += np.abs(sums)
    return total / len(paths)
