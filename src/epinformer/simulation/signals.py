"""Reads of each experiment: how many an element gives, where they lie, and how many overlap a region."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.simulation.layout import World
from epinformer.simulation.model import EXPERIMENTS, READ_LENGTH, Experiment, Model, stream
from epinformer.simulation.motifs import MOTIFS, NAMES

# bp: spread of DNase reads around a motif site, and of H3K27ac reads around a nucleosome on either side of it.
_DNASE_SPREAD = 60.0
_NUCLEOSOME, _NUCLEOSOME_SPREAD = 90.0, 60.0
# What draws reads to an element's centre, in log2 units as a motif's weight.
_CENTER_WEIGHT = 0.5


class Reads(NamedTuple):
    """How many reads an experiment has.

    Attributes
    ----------
    experiment
        Which.
    elements
        Drawn around each element's centre, int64 (elements,).
    background
        Drawn anywhere on each chromosome, chromosome -> number.
    total
        All of them.
    """

    experiment: Experiment
    elements: np.ndarray
    background: dict[str, int]
    total: int


def draw_reads(world: World, activity: np.ndarray, opening: np.ndarray, model: Model, seed: int) -> list[Reads]:
    """How many reads each experiment has at each element and as background.

    Parameters
    ----------
    world
        Its lengths.
    activity, opening
        True log2 activity, and log2 units of DNase that CTCF adds (elements,).
    model
        Slopes, noise and depths.
    seed
        Of the random streams.
    """
    rng = stream(seed, "signals")
    log2 = {
        "dnase": np.log2(model.dnase_reads) + model.dnase_slope * activity + opening,
        "h3k27ac": np.log2(model.h3k27ac_reads) + model.h3k27ac_slope * activity,
    }
    log2 = {name: values + model.signal_sd * rng.standard_normal(len(values)) for name, values in log2.items()}
    drawn = []
    for experiment in EXPERIMENTS:
        noise = model.replicate_sd * rng.standard_normal(len(activity))
        elements = rng.poisson(experiment.depth * 2 ** (log2[experiment.signal] + noise))
        rate = experiment.depth * model.background
        background = {chrom: int(rng.poisson(rate * length)) for chrom, length in world.lengths.items()}
        drawn.append(Reads(experiment, elements, background, int(elements.sum()) + sum(background.values())))
    return drawn


def read_anchors(world: World, sites: pd.DataFrame, model: Model) -> pd.DataFrame:
    """The places in elements around which reads lie: motif sites that add to the signal, and the centre.

    Parameters
    ----------
    world
        Its elements.
    sites
        element, motif (number), start, end, strength.
    model
        Its slopes and opening.

    Returns
    -------
    DataFrame
        element, place (bp), dnase and h3k27ac (the share of the element's reads), sorted by element and place.
    """
    added = np.array([max(motif.weight, 0.0) for motif in MOTIFS])[sites["motif"]] * sites["strength"].to_numpy()
    opened = model.opening * (sites["motif"] == NAMES.index("CTCF")) * sites["strength"]
    of_sites = pd.DataFrame(
        {
            "element": sites["element"],
            "place": (sites["start"] + sites["end"]) // 2,
            "dnase": model.dnase_slope * added + opened,
            "h3k27ac": model.h3k27ac_slope * added,
        }
    )
    centers = world.elements["center"]
    of_centers = pd.DataFrame(
        {"element": centers.index, "place": centers, "dnase": _CENTER_WEIGHT, "h3k27ac": _CENTER_WEIGHT}
    )
    table = pd.concat([of_sites, of_centers]).sort_values(["element", "place"], kind="stable", ignore_index=True)
    sums = table.groupby("element")[["dnase", "h3k27ac"]].transform("sum")
    return table.assign(dnase=table["dnase"] / sums["dnase"], h3k27ac=table["h3k27ac"] / sums["h3k27ac"])


class Placed(NamedTuple):
    """An experiment's reads on one chromosome.

    Attributes
    ----------
    chrom
        Its name.
    starts
        0-based first base on the forward strand, sorted, int64 (reads,). Every read has 36 bp.
    minus
        Whether the read is of the reverse strand, bool (reads,).
    """

    chrom: str
    starts: np.ndarray
    minus: np.ndarray


def place_reads(world: World, anchors: pd.DataFrame, reads: Reads, seed: int) -> Iterator[Placed]:
    """Give each chromosome's reads in turn, so that no more than one is in memory.

    Parameters
    ----------
    world
        Its elements and lengths.
    anchors
        From `read_anchors`: DNase reads lie 60 bp (standard deviation) around them, H3K27ac reads as much around 90 bp
        to either side.
    reads
        How many.
    seed
        Of the random streams.
    """
    rows = world.elements.groupby("chrom", sort=False).indices
    # The anchors of element i divide the stretch from i to i + 1 by their shares.
    divided = anchors["element"] + anchors.groupby("element")[reads.experiment.signal].cumsum()
    places = anchors["place"].to_numpy()
    for number, (chrom, length) in enumerate(world.lengths.items()):
        rng = stream(seed, f"reads {reads.experiment.name}", number)
        near = np.asarray(rows.get(chrom, np.zeros(0, dtype=np.int64)))
        element = np.repeat(near, reads.elements[near])
        drawn = element + rng.random(len(element))
        # The last anchor of an element takes what rounding leaves over.
        found = np.searchsorted(divided.to_numpy(), drawn, side="left")
        center = places[np.minimum(found, np.searchsorted(anchors["element"].to_numpy(), element, side="right") - 1)]
        if reads.experiment.signal == "dnase":
            offset = _DNASE_SPREAD * rng.standard_normal(len(center))
        else:
            side = rng.choice([-_NUCLEOSOME, _NUCLEOSOME], len(center))
            offset = side + _NUCLEOSOME_SPREAD * rng.standard_normal(len(center))
        last = length - READ_LENGTH
        starts = np.concatenate(
            [(center + offset).astype(np.int64) - READ_LENGTH // 2, rng.integers(0, last + 1, reads.background[chrom])]
        )
        # Reads that would lie beyond an end are turned back from it.
        starts = np.sort(last - np.abs(last - np.abs(starts)))
        yield Placed(chrom, starts, rng.random(len(starts)) < 0.5)


def count_overlapping(starts: np.ndarray, regions: pd.DataFrame) -> np.ndarray:
    """Reads that share at least one base with each region, whatever their strand, int64 (regions,).

    Parameters
    ----------
    starts
        Sorted first bases of the reads of one chromosome.
    regions
        start, end on that chromosome.
    """
    first = np.searchsorted(starts, regions["start"].to_numpy() - READ_LENGTH, side="right")
    last = np.searchsorted(starts, regions["end"].to_numpy(), side="left")
    counts: np.ndarray = last - first
    return counts
