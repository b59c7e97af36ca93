"""Signals over regions: reads per million, of aligned reads and of tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.config import PrepareConfig
from epinformer.errors import InputError
from epinformer.inputs.reads import ReadFilter, count_reads, read_barcodes
from epinformer.inputs.tracks import track_sums
from epinformer.prepare.activity import rpm
from epinformer.prepare.steps import Progress
from epinformer.settings import ReadsReplicate, TrackReplicate


class Measured(NamedTuple):
    """An experiment's RPM over regions, float64 (number of regions,), and in words the total that it is relative to."""

    rpm: np.ndarray
    total: str


class Signal(NamedTuple):
    """A signal's RPM over regions, float64 (number of regions,), and how it was made."""

    rpm: np.ndarray
    words: str


def measured(
    config: PrepareConfig,
    signals: Mapping[str, Sequence[ReadsReplicate | TrackReplicate]],
    regions: pd.DataFrame,
    progress: Progress,
) -> dict[str, list[Measured]]:
    """RPM of each signal's experiments over regions; every file is read once.

    Parameters
    ----------
    config
        Where files lie.
    signals
        Signal -> its experiments.
    regions
        chrom, start, end (0-based half-open), which may overlap and repeat.
    progress
        Called with (done, total).

    Returns
    -------
    dict
        Signal -> RPM of each experiment: reads over the region / all reads of the file * 1e6, and for a track the same
        of its sums, which is equal for a track of read coverage.

    Raises
    ------
    InputError
        A file cannot be read, has no reads or no signal, or lacks a chromosome.
    """
    files = sum(len(replicates) for replicates in signals.values())
    before = 0

    def report(done: int, total: int) -> None:
        progress(before * total + done, files * total)

    result: dict[str, list[Measured]] = {}
    for name, replicates in signals.items():
        result[name] = []
        for replicate in replicates:
            counts, total, words = _counted(config, replicate, regions, report)
            result[name].append(Measured(rpm(counts, total), words))
            before += 1
            report(0, 1)
    return result


def mean_of(replicates: Sequence[Measured]) -> Signal:
    """Mean RPM of experiments, each of the same weight, and in words how it was made."""
    mean: np.ndarray = np.mean([replicate.rpm for replicate in replicates], axis=0)
    more = f", mean of {len(replicates)} replicates" if len(replicates) > 1 else ""
    totals = " and ".join(replicate.total for replicate in replicates)
    return Signal(mean, f"signal over the region / all of it ({totals}) * 1e6{more}")


def _counted(
    config: PrepareConfig, replicate: ReadsReplicate | TrackReplicate, regions: pd.DataFrame, progress: Progress
) -> tuple[np.ndarray, float, str]:
    """What a file holds over regions and in all, and the latter in words."""
    if isinstance(replicate, TrackReplicate):
        path = config.path(replicate.track)
        sums = track_sums(path, regions, progress=progress)
        if sums.total <= 0:
            raise InputError("has no signal: its values add up to 0", source=path, fix="Check how the file was made")
        return sums.sums, sums.total, f"a sum of {sums.total:,.10g} in {path.name}"
    path = config.path(replicate.reads)
    keep = read_filter(config, replicate)
    counted = count_reads(path, regions, keep=keep, progress=progress)
    what = "reads" if keep == ReadFilter() else keep.words()
    return counted.counts, counted.total, f"{counted.total:,} {what} in {path.name}"


def read_filter(config: PrepareConfig, replicate: ReadsReplicate) -> ReadFilter:
    """What the settings of an experiment say of the reads that count."""
    return ReadFilter(
        min_mapping_quality=replicate.min_mapping_quality,
        duplicates=replicate.duplicates == "keep",
        require_flags=replicate.require_flags,
        exclude_flags=replicate.exclude_flags,
        shift=replicate.shift,
        unit=replicate.unit,
        barcodes=None if replicate.barcodes is None else read_barcodes(config.path(replicate.barcodes)),
    )
