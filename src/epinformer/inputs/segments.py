"""Exons and coding segments as arrays: int64 (m, 3), number of the transcript, start and end, 0-based half-open."""

from __future__ import annotations

import numpy as np

EXON, CODING, STOP = 0, 1, 2
"""What a segment of a file is: an exon, a part of the coding sequence, or (a part of) its stop codon."""

_STOP_LENGTH = 3
# Transcript and position in one number, for searching.
_APART = 2**32


def ordered(pieces: np.ndarray) -> np.ndarray:
    """Pieces by transcript and position."""
    result: np.ndarray = pieces[np.lexsort((pieces[:, 2], pieces[:, 1], pieces[:, 0]))]
    return result


def distinct(segments: np.ndarray) -> np.ndarray:
    """Segments (m, 4), the last column their kind, by transcript, kind and position, without repeats."""
    segments = segments[np.lexsort((segments[:, 2], segments[:, 1], segments[:, 3], segments[:, 0]))]
    kept = np.ones(len(segments), dtype=bool)
    kept[1:] = (segments[1:] != segments[:-1]).any(axis=1)
    return segments[kept]


def summed_lengths(pieces: np.ndarray, transcripts: int) -> np.ndarray:
    """Summed length of each transcript's pieces, int64 (transcripts,), bp."""
    lengths = pieces[:, 2] - pieces[:, 1]
    return np.bincount(pieces[:, 0], weights=lengths, minlength=transcripts).astype(np.int64)


def coding_with_stop(segments: np.ndarray, ends_in_stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coding sequences that include their stop codons.

    Parameters
    ----------
    segments
        int64 (m, 4), of all kinds.
    ends_in_stop
        bool (transcripts,): where no segment is a stop codon, whether a coding sequence is taken to end in one.

    Returns
    -------
    cds, stop
        int64 (k, 3), in order, and int64 (transcripts,): how many of the last bases are the stop codon.
    """
    pieces = segments[segments[:, 3] != EXON]
    is_stop = pieces[:, 3] == STOP
    if not is_stop.any():
        coding = summed_lengths(pieces, len(ends_in_stop))
        return ordered(pieces[:, :3]), np.where(ends_in_stop, np.minimum(coding, _STOP_LENGTH), 0)
    stop = summed_lengths(pieces[is_stop], len(ends_in_stop))
    order = np.lexsort((pieces[:, 2], pieces[:, 1], pieces[:, 0]))
    pieces, is_stop = pieces[order], is_stop[order]
    # A stop codon is joined to the coding segment that it touches or lies in; a part of it may stand alone.
    touches = (pieces[1:, 0] == pieces[:-1, 0]) & (pieces[1:, 1] <= pieces[:-1, 2])
    joined = touches & (is_stop[1:] | is_stop[:-1])
    first = np.flatnonzero(np.concatenate([[True], ~joined]))
    starts, ends = np.minimum.reduceat(pieces[:, 1], first), np.maximum.reduceat(pieces[:, 2], first)
    return np.column_stack([pieces[first, 0], starts, ends]), stop


def outside(pieces: np.ndarray, exons: np.ndarray) -> np.ndarray:
    """Which pieces do not lie inside an exon of their transcript, bool (m,); the exons are in order."""
    at = np.searchsorted(exons[:, 0] * _APART + exons[:, 1], pieces[:, 0] * _APART + pieces[:, 1], side="right") - 1
    reach = np.maximum.accumulate(exons[:, 0] * _APART + exons[:, 2])
    result: np.ndarray = (at < 0) | (reach[at] < pieces[:, 0] * _APART + pieces[:, 2])
    return result
