"""Seqlets: the short stretches of a sequence that a prediction rests on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.interpretation.extra import needed

THRESHOLD = 0.01
"""p value below which a stretch is a seqlet."""

# Bases of a track of rows of different lengths: enough that hardly a seqlet is cut.
_WIDTH = 20_000


class Tracks(NamedTuple):
    """The bases of rows of different lengths, end to end, cut into tracks of one length.

    Padding would count as bases without attribution, and make what is there look more unusual than it is.

    Attributes
    ----------
    values
        float64 (tracks, width). Rows without padding are the tracks themselves. Others are joined to wider ones, and
        fewer zeros than there are tracks stand at the very end.
    offsets
        int64 (n + 1,): where each row begins when the tracks are laid end to end.
    """

    values: np.ndarray
    offsets: np.ndarray

    def place(self, track: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Stretches of tracks, (s,) each, as row, start and end in that row: the row that has most of the stretch."""
        first, last = (track * self.values.shape[1] + position for position in (start, end))
        row = np.searchsorted(self.offsets, (first + last) // 2, side="right") - 1
        row = np.minimum(row, len(self.offsets) - 2)
        return row, first - self.offsets[row], last - self.offsets[row]


def end_to_end(actual: np.ndarray, lengths: np.ndarray) -> Tracks:
    """Lay rows end to end.

    Parameters
    ----------
    actual
        (n, L): attributions of the bases that are there.
    lengths
        int64 (n,): bases of each row, which are its first; not all 0.
    """
    n, length = actual.shape
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    total = int(offsets[-1])
    tracks = n if total == n * length else -(-total // max(_WIDTH, length))
    width = -(-total // tracks)
    values = np.zeros(tracks * width)
    values[:total] = actual[np.arange(length) < lengths[:, None]]
    return Tracks(values.reshape(tracks, width), offsets)


def call_seqlets(
    actual: np.ndarray, lengths: np.ndarray | None = None, *, threshold: float = THRESHOLD
) -> pd.DataFrame:
    """Find the stretches of 4 to 25 bases whose attributions are unusually high, or low, by tangermeme.

    The p value of a stretch is that of its summed attribution, if its bases were drawn at random from all the given
    ones; all stretches inside a seqlet are below the threshold as well. It ranks seqlets and is no error rate: the
    attributions of neighbours are alike, and the seqlets themselves are among what is drawn from. Negative seqlets are
    those of the negated attributions, without the ones that share a base with a positive one.

    Parameters
    ----------
    actual
        (n, L): attributions of the bases that are there.
    lengths
        int64 (n,): bases of each row, which are its first; L if not given.
    threshold
        p values of seqlets are below it.

    Returns
    -------
    DataFrame
        A row a seqlet, sorted by row and start: row, start, end (int64; 0-based half-open, in the row); sign (int64, 1
        or -1); attribution (float64, summed); p. Attributions that are all the same have no seqlets.

    Raises
    ------
    EpinformerError
        tangermeme is not installed.
    ValueError
        The threshold is not between 0 and 1, or an attribution is not finite.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"the threshold is a p value between 0 and 1, not {threshold}")
    if not np.isfinite(actual).all():
        raise ValueError("attributions are not finite")
    if lengths is None:
        lengths = np.full(len(actual), actual.shape[1], dtype=np.int64)
    if not lengths.sum():
        return _table(np.empty((4, 0), dtype=np.int64), np.empty((2, 0)))
    tracks = end_to_end(actual, lengths)
    positive, negative = (_called(tracks, lengths, sign, threshold) for sign in (1, -1))
    taken = np.zeros((len(actual), actual.shape[1] + 1), dtype=np.int32)
    np.add.at(taken, (positive["row"], positive["start"]), 1)
    np.add.at(taken, (positive["row"], positive["end"]), -1)
    # Bases of positive seqlets before each base.
    before = np.zeros((len(actual), actual.shape[1] + 1), dtype=np.int64)
    before[:, 1:] = np.cumsum(np.cumsum(taken, axis=1)[:, :-1] > 0, axis=1)
    row = negative["row"]
    alone = before[row, negative["end"]] == before[row, negative["start"]]
    both = pd.concat([positive, negative[alone]])
    return both.sort_values(["row", "start", "end"], ignore_index=True)


def _called(tracks: Tracks, lengths: np.ndarray, sign: int, threshold: float) -> pd.DataFrame:
    """The seqlets of one sign."""
    recursive_seqlets = needed("tangermeme.seqlet", "calling seqlets").recursive_seqlets
    called = recursive_seqlets(sign * tracks.values, threshold=threshold)
    track, start, end = (called[name].to_numpy(dtype=np.int64) for name in ("example_idx", "start", "end"))
    row, first, last = tracks.place(track, start, end)
    # One that runs over into a neighbour is cut at the end of the row; nothing is left of one behind the last row.
    first, last = np.maximum(first, 0), np.minimum(last, lengths[row])
    row, first, last, called = (values[first < last] for values in (row, first, last, called))
    sums = np.concatenate([[0.0], np.cumsum(tracks.values)])
    attribution = sums[tracks.offsets[row] + last] - sums[tracks.offsets[row] + first]
    p = called["p-value"].to_numpy(dtype=np.float64)
    return _table(np.stack([row, first, last, np.full(len(row), sign)]), np.stack([attribution, p]))


def _table(places: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    columns = dict(zip(("row", "start", "end", "sign"), places.astype(np.int64), strict=True))
    return pd.DataFrame({**columns, **dict(zip(("attribution", "p"), values, strict=True))})
