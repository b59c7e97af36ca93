"""Windows for pretraining the encoder: around the summits of peaks, with their reads counted."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from epinformer.config import PrepareConfig
from epinformer.dataset.store import WINDOW_LENGTH
from epinformer.errors import ConfigError, InputError
from epinformer.inputs.chromosomes import reconciled
from epinformer.inputs.genome import Genome
from epinformer.inputs.peaks import read_peaks
from epinformer.inputs.regions import region_names
from epinformer.prepare.activity import activity, activity_words
from epinformer.prepare.sequence import intervals_inside, refuse_uncovered
from epinformer.prepare.signals import mean_of, measured
from epinformer.prepare.steps import Filters, Share
from epinformer.settings import EncoderWindowsConfig, accessibility

logger = logging.getLogger(__name__)

# Windows between two progress reports.
_REPORT_EVERY = 5_000


def encoder_windows(
    config: PrepareConfig, genome: Genome, chroms: Iterable[str], filters: Filters, share: Share
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Make the windows that a configuration asks for.

    Parameters
    ----------
    config
        With `encoder_windows`.
    genome
        Where the windows must lie. Those beyond a chromosome's ends are dropped; what lies outside of what the file
        has (a chromosome, a locus) is dropped if the configuration says so.
    chroms
        Chromosome names in the style of the dataset.
    filters, share
        Record of what is dropped, and progress.

    Returns
    -------
    tuple of DataFrame and dict
        chrom, start, end (0-based half-open, 256 bp), `<signal>_rpm` and activity of each window, in the order of the
        peaks; and `windows.<column>` -> how it was made.

    Raises
    ------
    ConfigError
        The configuration does not ask for windows.
    InputError
        Peaks or reads cannot be read, something lies outside the genome, or no window is left.
    """
    settings = config.encoder_windows
    if settings is None:
        raise ConfigError("encoder_windows: is missing", fix="Name peaks and reads")
    path = config.path(settings.peaks)
    peaks = read_peaks(path)
    names = reconciled(peaks["chrom"].unique(), chroms, path)
    peaks = peaks.assign(chrom=peaks["chrom"].map(names).astype("str"))
    windows = _inside_genome(config, settings, peaks, genome, filters)
    distinct = filters.keep("windows", "the same as another", ~windows.duplicated(["chrom", "start"]).to_numpy())
    windows = windows[distinct].reset_index(drop=True)
    if not len(windows):
        raise InputError(
            "none of its windows is left after the filters",
            source=path,
            fix="Check that peaks and genome are of the same assembly",
        )
    return _counted(config, settings, windows, share)


def windows_around(peaks: pd.DataFrame, windows: int, stride: int) -> pd.DataFrame:
    """Windows of 256 bp at the summits of peaks and on both sides of them.

    Parameters
    ----------
    peaks
        chrom and summit (0-based).
    windows
        How many a peak, odd.
    stride
        bp from one window's start to the next one's.

    Returns
    -------
    DataFrame
        chrom, start, end and peak (row of ``peaks``), (number of peaks x windows) rows: of each peak the leftmost
        first. The middle one is [summit - 128, summit + 128). They may lie beyond a chromosome's ends.
    """
    shifts = stride * np.arange(-(windows // 2), windows // 2 + 1)
    start = (peaks["summit"].to_numpy(np.int64)[:, None] - WINDOW_LENGTH // 2 + shifts).ravel()
    row = np.repeat(np.arange(len(peaks)), windows)
    chrom = peaks["chrom"].iloc[row].array
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + WINDOW_LENGTH, "peak": row})


def window_stream(windows: pd.DataFrame, genome: Genome, share: Share) -> Iterator[np.ndarray]:
    """Codes of each window, uint8 (256,), and the last step of the progress, which begins with the first of them."""
    share.step(1.0)
    rows = zip(windows["chrom"], windows["start"], windows["end"], strict=True)
    for done, (chrom, start, end) in enumerate(rows):
        if done % _REPORT_EVERY == 0:
            share.report(done, len(windows))
        yield genome.codes(chrom, start, end)


def _inside_genome(
    config: PrepareConfig, settings: EncoderWindowsConfig, peaks: pd.DataFrame, genome: Genome, filters: Filters
) -> pd.DataFrame:
    """The windows of which every base is there."""
    path = config.path(settings.peaks)
    drop = config.genome is not None and config.genome.outside == "drop"
    spans = {chrom: genome.span(chrom) for chrom in peaks["chrom"].unique()}
    loci = [chrom for chrom, span in spans.items() if span is not None and span.is_locus]
    in_locus = peaks["chrom"].isin(loci).to_numpy()
    # Peaks beyond a chromosome's end are of another assembly. A locus says nothing of that.
    covered = in_locus | intervals_inside(peaks, genome)
    if not drop:
        refuse_uncovered("peaks", region_names(peaks), peaks["chrom"], covered, genome, path)
    windows = windows_around(peaks, settings.windows, settings.stride)
    peak = windows.pop("peak").to_numpy()
    inside = intervals_inside(windows, genome)
    uncovered = ~covered[peak] | (in_locus[peak] & ~inside)
    if drop:
        filters.keep("windows", "outside the genome", ~uncovered)
        windows, inside = windows[~uncovered], inside[~uncovered]
    else:
        refuse_uncovered("windows", region_names(windows), windows["chrom"], ~uncovered, genome, path)
    return windows[filters.keep("windows", "beyond the chromosome's ends", inside)]


def _counted(
    config: PrepareConfig, settings: EncoderWindowsConfig, windows: pd.DataFrame, share: Share
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The windows with their signals and activity, and how these were made."""
    # The configuration has made sure that without reads of their own the signals are none of counted tables.
    experiments: Any = config.signals if settings.reads is None else settings.reads
    found = {name: mean_of(items) for name, items in measured(config, experiments, windows, share.report).items()}
    opening = accessibility(found)
    words = {f"windows.{name}_rpm": item.words for name, item in found.items()}
    words["windows.activity"] = activity_words(list(found), opening)
    rpm = {name: item.rpm for name, item in found.items()}
    windows = windows.assign(**{f"{name}_rpm": values for name, values in rpm.items()}, activity=activity(rpm, opening))
    silent = int((windows["activity"] == 0).sum())
    logger.info("%s windows, %s of them with activity 0", f"{len(windows):,}", f"{silent:,}")
    return windows, words
