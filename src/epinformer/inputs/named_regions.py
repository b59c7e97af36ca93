"""Regions with names: BED of three columns, or four and more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.inputs.chromosomes import reconciled
from epinformer.inputs.regions import check_intervals, region_names
from epinformer.inputs.tables import Column, read_bed

_COLUMNS = (
    Column("chrom", "text", 0),
    Column("start", "int", 1),
    Column("end", "int", 2),
    Column("name", "text", 3, optional=True),
)


def read_named_regions(path: str | Path, chroms: Iterable[str]) -> pd.DataFrame:
    """Read the intervals of a BED file and what they are called.

    Parameters
    ----------
    path
        The file. Its fourth column is the name; a region without one, or called ``.``, is named after its place.
    chroms
        Chromosome names whose style the result has.

    Returns
    -------
    DataFrame
        chrom, start, end (0-based half-open), name, in the file's order, indexed by line number.

    Raises
    ------
    InputError
        The file cannot be read (`inputs.tables.read_bed`), starts are negative or not below ends, or chromosomes are
        named in two styles.
    """
    regions = read_bed(path, _COLUMNS)
    check_intervals(regions, path)
    styles = reconciled(regions["chrom"].unique(), chroms, path)
    places = region_names(regions).to_numpy(dtype=object)
    if "name" in regions:
        given = regions["name"].to_numpy(dtype=object)
        places = np.where(np.isin(given, ["", "."]), places, given)
    return regions.assign(chrom=regions["chrom"].map(styles).astype("str"), name=pd.array(places, dtype="str"))
