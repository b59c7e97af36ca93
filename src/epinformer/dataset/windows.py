"""The windows that the encoder is pretrained on: a dataset's own, or else those of its elements."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.bases import NO_BASE
from epinformer.dataset.contract import WINDOW_LENGTH
from epinformer.dataset.store import Dataset
from epinformer.errors import ConfigError, DatasetError

logger = logging.getLogger(__name__)

_HALF = WINDOW_LENGTH // 2


class EncoderWindows(NamedTuple):
    """Sequences of `WINDOW_LENGTH` bp and their activity.

    Attributes
    ----------
    table
        ``chrom start end``, signals (``<signal>_rpm``) and ``activity`` of n windows, with a default index.
    codes
        uint8 (n, `WINDOW_LENGTH`), perhaps read-only and memory-mapped: A 0, C 1, G 2, T 3, other letters 4, no base 5.
    """

    table: pd.DataFrame
    codes: np.ndarray


def encoder_windows(dataset: Dataset, windows: int = 3, stride: int = 156) -> EncoderWindows:
    """The windows that a dataset holds, or where it holds none `element_windows`; the log says which.

    Parameters
    ----------
    dataset
        With windows, or with sequence.
    windows, stride
        As in `element_windows`; a dataset's own windows are as they were prepared.

    Raises
    ------
    DatasetError
        The dataset has neither windows nor what `element_windows` needs.
    ConfigError
        As `element_windows`.
    """
    if dataset.windows is not None and dataset.window_codes is not None:
        logger.info("%s: %s windows at peaks", dataset.path, f"{len(dataset.windows):,}")
        return EncoderWindows(dataset.windows, dataset.window_codes)
    found = element_windows(dataset, windows, stride)
    logger.info(
        "%s has no windows at peaks (`encoder_windows` of `epinformer prepare`): %s windows of its %s elements are "
        "taken, each with its element's activity",
        dataset.path,
        f"{len(found.table):,}",
        f"{dataset.n_elements:,}",
    )
    return found


def element_windows(dataset: Dataset, windows: int = 3, stride: int = 156) -> EncoderWindows:
    """Windows around the midpoints of a dataset's elements, each with the activity of its whole element.

    Parameters
    ----------
    dataset
        With sequence and the elements' ``activity``.
    windows
        The most windows of an element, odd: one around its midpoint and as many on each side. Only those that lie
        wholly in the element are taken. An element shorter than `WINDOW_LENGTH` gives one, in whose middle its bases
        are.
    stride
        bp between the starts of neighbouring windows.

    Returns
    -------
    EncoderWindows
        Ordered by element, then position. Elements without a chromosome or an activity have no windows. ``start`` and
        ``end`` are those of the window, missing where the elements have no coordinates; around a short element they
        may lie beyond the chromosome's ends.

    Raises
    ------
    DatasetError
        The dataset has no sequence or no activity, or no element has a window.
    ConfigError
        ``windows`` is not odd and positive, or ``stride`` not positive.
    """
    if windows < 1 or windows % 2 == 0:
        raise ConfigError(f"windows is {windows}: it must be odd, one at the midpoint and as many on each side")
    if stride < 1:
        raise ConfigError(f"stride is {stride}: it must be 1 or more")
    elements = dataset.elements
    if dataset.codes is None or "activity" not in elements:
        lacking = "sequence" if dataset.codes is None else "activity of its elements"
        raise DatasetError(
            f"has no windows to pretrain on, and no {lacking} to make them of",
            source=dataset.path,
            fix="Prepare it with a genome and `encoder_windows`",
        )
    lengths = elements["sequence_length"].to_numpy(np.int64)
    shifts = stride * np.arange(-(windows // 2), windows // 2 + 1)
    # From the element's first base; of those that are too short only the middle one.
    begin = lengths[:, None] // 2 - _HALF + shifts
    taken = (begin >= 0) & (begin + WINDOW_LENGTH <= lengths[:, None])
    taken[:, windows // 2] |= lengths < WINDOW_LENGTH
    taken &= (elements["activity"].notna() & elements["chrom"].notna()).to_numpy(bool)[:, None]
    rows, columns = np.nonzero(taken)
    if not len(rows):
        raise DatasetError(
            "has no element with a chromosome and an activity to pretrain on",
            source=dataset.path,
            fix="Prepare it with a genome and `encoder_windows`",
        )
    begin = begin[rows, columns]
    signals = [name for name in elements.columns if name.endswith("_rpm")]
    own = elements.iloc[rows].reset_index(drop=True)
    table = own[["chrom"]].assign(start=own["start"] + begin, end=own["start"] + begin + WINDOW_LENGTH)
    table = pd.concat([table, own[[*signals, "activity"]]], axis=1)
    offsets = dataset.sequence_offsets[dataset.n_genes :]
    return EncoderWindows(table, _codes(dataset.codes, offsets[rows], lengths[rows], begin))


def _codes(stream: np.ndarray, offsets: np.ndarray, lengths: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Codes (n, `WINDOW_LENGTH`) of windows that begin at these bases of sequences in the stream."""
    codes = np.full((len(begin), WINDOW_LENGTH), NO_BASE, dtype=np.uint8)
    whole = begin >= 0
    if whole.any():
        every = np.lib.stride_tricks.sliding_window_view(stream, WINDOW_LENGTH)
        codes[whole] = every[(offsets + begin)[whole]]
    for row in np.flatnonzero(~whole):
        codes[row, -begin[row] : lengths[row] - begin[row]] = stream[offsets[row] : offsets[row] + lengths[row]]
    return codes
