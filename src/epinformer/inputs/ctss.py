"""Transcription start sites counted base by base (CTSS), as FANTOM5 publishes CAGE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.chromosomes import in_style
from epinformer.inputs.regions import check_intervals, refuse
from epinformer.inputs.tables import Column, read_bed


def ctss_sums(path: str | Path, regions: pd.DataFrame) -> np.ndarray:
    """Sum of the counts of the sites within each region, on the region's own strand.

    Parameters
    ----------
    path
        BED6, plain or gzipped: a site of one base a row, its count in column 5, its strand in column 6.
    regions
        chrom, start, end (0-based half-open), strand (+ or -); they may overlap and reach beyond chromosomes.

    Returns
    -------
    ndarray
        float64, (number of regions,); 0 where there is no site.

    Raises
    ------
    InputError
        The file cannot be read, has intervals of more than one base, negative counts, or a strand that is neither
        + nor -; or it shares no chromosome with the regions.
    """
    sites = read_bed(
        path,
        (
            Column("chrom", "text", 0),
            Column("start", "int", 1),
            Column("end", "int", 2),
            Column("count", "float", 4),
            Column("strand", "text", 5),
        ),
    )
    check_intervals(sites, path)
    refuse(
        sites,
        sites["end"] - sites["start"] != 1,
        path,
        "has sites of more than one base",
        "Give CTSS, one base a row, or a bigWig",
    )
    refuse(sites, sites["count"] < 0, path, "has negative counts", "Correct these rows")
    refuse(sites, ~sites["strand"].isin(["+", "-"]), path, "has strands that are neither + nor -", "Correct these rows")
    sites = in_style(sites, regions, path)
    shared = regions["chrom"].isin(sites["chrom"].unique())
    if not shared.any():
        raise InputError(
            "shares no chromosome with the genes",
            source=path,
            first=f"{sites['chrom'].iloc[0]} here, {regions['chrom'].iloc[0]} there",
            fix="Use files of one assembly",
        )
    result = np.zeros(len(regions))
    places = regions.reset_index(drop=True).groupby(["chrom", "strand"], sort=False).indices
    for key, own in sites.groupby(["chrom", "strand"], sort=False):
        rows = places.get(key)
        if rows is None:
            continue
        own = own.sort_values("start")
        upto = np.concatenate([[0.0], np.cumsum(own["count"].to_numpy())])
        position = own["start"].to_numpy()
        first = np.searchsorted(position, regions["start"].to_numpy()[rows])
        last = np.searchsorted(position, regions["end"].to_numpy()[rows])
        result[rows] = upto[last] - upto[first]
    return result
