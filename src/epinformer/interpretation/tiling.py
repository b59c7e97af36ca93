"""The windows that tile a sequence, and the one that is predicted to be most active."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.bases import NO_BASE, OTHER_BASE
from epinformer.dataset.contract import WINDOW_LENGTH
from epinformer.errors import InputError
from epinformer.interpretation.targets import Targets
from epinformer.scoring.variant_activity import window

logger = logging.getLogger(__name__)


class Tiles(NamedTuple):
    """Windows of 256 bp that tile targets.

    Attributes
    ----------
    table
        A row a window, ordered by target, then position: target (int64, its row in the targets); start, end (int64,
        0-based half-open: the bases of the window that exist); prediction (float64); strongest (bool, one a target).
    """

    table: pd.DataFrame


def tile(length: int, stride: int = WINDOW_LENGTH) -> np.ndarray:
    """Where windows of 256 bp begin that cover a sequence.

    Parameters
    ----------
    length
        Its bases, 1 or more.
    stride
        bp between windows, 1 to 256.

    Returns
    -------
    np.ndarray
        int64, ascending, from the sequence's first base: 0, stride, 2 x stride... as long as windows lie in the
        sequence, and one that ends at its last base. A sequence shorter than a window has one that begins before it,
        in which it is centred as the models centre it.

    Raises
    ------
    InputError
        The stride is out of range.
    """
    if not 1 <= stride <= WINDOW_LENGTH:
        raise InputError(
            f"windows every {stride:,} bp do not cover a sequence", fix=f"Give a stride of 1 to {WINDOW_LENGTH} bp"
        )
    last = length - WINDOW_LENGTH
    if last < 0:
        return np.array([length // 2 - WINDOW_LENGTH // 2])
    begins: np.ndarray = np.append(np.arange(0, last, stride), last)
    return begins


def strongest_windows(
    predict: Callable[[np.ndarray], np.ndarray], targets: Targets, rows: Sequence[int], stride: int = WINDOW_LENGTH
) -> tuple[Tiles, np.ndarray]:
    """Tile some targets, and find the window of each whose predicted activity is highest (paper, fig. 4).

    All their windows are in memory, and predicted in one call: give a large set of targets some rows at a time.

    Parameters
    ----------
    predict
        (n, 256) uint8 -> (n,) finite predictions.
    targets
        What may be tiled. Where a sequence has no base at its ends, beyond those of a chromosome, it is tiled from the
        first to the last base that exists.
    rows
        Which of them, ascending.
    stride
        As in `tile`.

    Returns
    -------
    tiles, codes
        All windows, and those m that are a target's strongest, (m, 256) uint8 in the order of the table. Of windows
        that are predicted alike the first is the strongest. Windows without any A, C, G or T are left out, and the log
        says so; a target of only such windows has none. Where fewer than 256 bases exist, they are in the middle and
        the others 5: base ``start`` is at ``(codes[i] != NO_BASE).argmax()`` (`left_aligned`).

    Raises
    ------
    InputError
        The stride is out of range.
    """
    windows = [np.zeros((0, WINDOW_LENGTH), dtype=np.uint8)]
    spans = [np.zeros((3, 0), dtype=np.int64)]
    for row in rows:
        codes = targets.read(row)
        exist = np.flatnonzero(codes != NO_BASE)
        first, last = (int(exist[0]), int(exist[-1]) + 1) if len(exist) else (0, len(codes))
        begins = tile(last - first, stride)
        ends = np.minimum(begins + WINDOW_LENGTH, last - first)
        windows.append(np.stack([window(codes[first:last], begin) for begin in begins.tolist()]))
        start = int(targets.table["start"].iloc[row]) + first
        spans.append(np.stack([np.full(len(begins), row), start + np.maximum(begins, 0), start + ends]))
    codes, places = np.concatenate(windows), np.concatenate(spans, axis=1)
    known: np.ndarray = np.any(codes < OTHER_BASE, axis=1)
    if not known.all():
        target, start, end = places[:, int((~known).argmax())].tolist()
        logger.warning(
            "%s of %s windows have no A, C, G or T and are left out (first: %s:%s-%s)",
            f"{(~known).sum():,}",
            f"{len(known):,}",
            targets.table["chrom"].iloc[target],
            start,
            end,
        )
    codes, places = codes[known], places[:, known]
    prediction = np.asarray(predict(codes), dtype=np.float64) if len(codes) else np.zeros(0)
    order = np.lexsort((np.arange(len(codes)), -prediction, places[0]))
    best = np.sort(order[np.unique(places[0][order], return_index=True)[1]])
    strongest = np.zeros(len(codes), dtype=bool)
    strongest[best] = True
    table = pd.DataFrame(
        {"target": places[0], "start": places[1], "end": places[2], "prediction": prediction, "strongest": strongest}
    )
    return Tiles(table), codes[best]


def left_aligned(codes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sequences with the bases that exist first and then no base, as files of attributions keep them.

    Parameters
    ----------
    codes
        uint8 (n, L), with no base (5) at either end only.
    scores
        (n, ..., L), moved alike.
    """
    from_first = (np.arange(codes.shape[1]) + (codes != NO_BASE).argmax(axis=1)[:, None]) % codes.shape[1]
    shape = (len(codes), *(1,) * (scores.ndim - 2), codes.shape[1])
    return np.take_along_axis(codes, from_first, 1), np.take_along_axis(scores, from_first.reshape(shape), -1)
