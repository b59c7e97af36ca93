"""Where known motifs occur in sequences: FIMO."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from epinformer.bases import OTHER_BASE
from epinformer.errors import InputError
from epinformer.inputs.motifs import Motif
from epinformer.interpretation.extra import needed

# Log-odds are rounded to tenths of bits, so that scores can be counted and their p values are exact.
_STEPS = 10
# memelite's, added to every frequency.
_PSEUDOCOUNT = 1e-4
# Of the background: every base is as likely.
_BACKGROUND = 0.25
# Bases looked at in one call, of which each takes some 20 bytes there.
_BASES = 1 << 20


def find_hits(
    codes: np.ndarray, motifs: Sequence[Motif], *, threshold: float = 1e-4, within: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Find where motifs occur on either strand, as FIMO does (Grant et al., Bioinformatics 2011), by memelite.

    A window scores the sum over its bases of log2((frequency + 0.0001) / 0.25), each rounded to 0.1 bits. Its p value
    is the probability that as many random bases score as much, exactly, all bases being equally likely; a motif of six
    positions or fewer therefore has no hit at 0.0001. The q value is after Benjamini and Hochberg for each motif alone,
    over all windows of the motif's width on both strands. p values above the threshold are not known and count as 1,
    so that q is never too small.

    A window with an N, or without a base, is not looked at.

    Parameters
    ----------
    codes
        uint8 (n, L): A 0, C 1, G 2, T 3, N 4, no base 5.
    motifs
        What to look for.
    threshold
        p values of hits are below it; between 0 and 1.
    within
        Intervals with row, start, end (0-based half-open, in the row). If given, only windows are looked at of which at
        least half lies in one of them; others count in no q value either.

    Returns
    -------
    DataFrame
        A row a hit, sorted by row, start, motif, strand: row, start, end (int64; 0-based half-open, along the row on
        either strand); strand (on ``-`` the row's reverse complement reads as the motif); motif (int64 index), id,
        name; score (bits), p, q (float64).

    Raises
    ------
    InputError
        There are no motifs.
    EpinformerError
        memelite is not installed.
    ValueError
        The threshold is not between 0 and 1, or an interval is of a row that is not there.
    """
    if not motifs:
        raise InputError("there are no motifs to look for", fix="Give a database with motifs")
    if not 0 < threshold < 1:
        raise ValueError(f"the threshold is a p value between 0 and 1, not {threshold}")
    if within is not None and not within["row"].between(0, len(codes) - 1).all():
        raise ValueError("an interval is of a row that is not there")
    log_odds = [_log_odds(motif.frequencies) for motif in motifs]
    found = _Found(log_odds, threshold)
    step = max(1, _BASES // max(1, codes.shape[1]))
    for first in range(0, len(codes), step):
        rows = codes[first : first + step]
        near = None
        if within is not None:
            inside = within["row"].between(first, first + len(rows) - 1)
            near = within.loc[inside, ["row", "start", "end"]].to_numpy(dtype=np.int64) - [first, 0, 0]
        found.scan(first, rows, near)
    return found.table(motifs)


class _Found:
    """Hits in the rows scanned so far, and how many windows were tested for each motif."""

    def __init__(self, log_odds: list[np.ndarray], threshold: float) -> None:
        self._log_odds = log_odds
        self._threshold = threshold
        # A hair more, as memelite compares logarithms; what is not below the threshold is dropped afterwards.
        self._asked = min(1.0, threshold * (1 + 1e-9))
        # memelite takes the logarithm of what it is given. A third of a step more keeps a score from the edge of its
        # bin, to whichever side a sum of tenths is rounded.
        self._given = {str(number): _exponential(odds) for number, odds in enumerate(log_odds)}
        self._widths = defaultdict(list)
        for number, odds in enumerate(log_odds):
            self._widths[odds.shape[1]].append(number)
        self._tests = np.zeros(len(log_odds), dtype=np.int64)
        # For each motif: rows, starts, whether on the - strand, scores in steps.
        self._hits: dict[int, list[np.ndarray]] = defaultdict(list)

    def scan(self, first: int, codes: np.ndarray, intervals: np.ndarray | None) -> None:
        """Look at some rows, of which ``first`` is the first one's number; the rows of intervals count from it."""
        fimo = needed("memelite", "finding motifs").fimo
        one_hot = (codes[:, None] == np.arange(OTHER_BASE)[:, None]).astype(np.int8)
        tables = fimo(self._given, one_hot, bin_size=1 / _STEPS, eps=0.0, threshold=self._asked)
        unknown = np.zeros((len(codes), codes.shape[1] + 1), dtype=np.int32)
        np.cumsum(codes >= OTHER_BASE, axis=1, out=unknown[:, 1:])
        for width, numbers in self._widths.items():
            tested = _tested(unknown, intervals, width)
            self._tests[numbers] += 2 * tested.sum()
            for number in numbers:
                table = tables[number]
                if not len(table):
                    continue
                rows, starts = table["sequence_name"].to_numpy(dtype=np.int64), table["start"].to_numpy(dtype=np.int64)
                steps = np.floor(table["score"].to_numpy(dtype=np.float64) * _STEPS).astype(np.int64)
                hits = np.stack([rows + first, starts, table["strand"].to_numpy() == "-", steps])
                self._hits[number].append(hits[:, tested[rows, starts]])

    def table(self, motifs: Sequence[Motif]) -> pd.DataFrame:
        """All hits with their p and q values."""
        from scipy.stats import false_discovery_control

        numbers = sorted(self._hits)
        parts, values = [np.empty((5, 0), dtype=np.int64)], [np.empty((2, 0))]
        for number in numbers:
            hits = np.concatenate(self._hits[number], axis=1)
            lowest, tail = _tail(self._log_odds[number])
            p = tail[hits[3] - lowest]
            kept = p < self._threshold
            hits, p = hits[:, kept], p[kept]
            # Benjamini and Hochberg's p x tests / rank, where only the smallest p values are known.
            q = np.minimum(1, false_discovery_control(p) * (self._tests[number] / max(1, len(p))))
            parts.append(np.concatenate([hits, np.full((1, len(p)), number)]))
            values.append(np.stack([p, q]))
        rows, starts, is_reverse, steps, motif = np.concatenate(parts, axis=1)
        p, q = np.concatenate(values, axis=1)
        order = np.lexsort([is_reverse, motif, starts, rows])
        widths = np.array([odds.shape[1] for odds in self._log_odds])
        ids, names = (np.array([getattr(known, field) for known in motifs], dtype=object) for field in ("id", "name"))
        table = pd.DataFrame(
            {
                "row": rows,
                "start": starts,
                "end": starts + widths[motif],
                "strand": pd.array(np.where(is_reverse > 0, "-", "+").astype(object), dtype="str"),
                "motif": motif,
                "id": pd.array(ids[motif], dtype="str"),
                "name": pd.array(names[motif], dtype="str"),
                "score": steps / _STEPS,
                "p": p,
                "q": q,
            }
        )
        return table.iloc[order].reset_index(drop=True)


def _log_odds(frequencies: np.ndarray) -> np.ndarray:
    """What each base at each position adds to a score, in steps, int64 (4, w)."""
    return np.rint(np.log2((frequencies + _PSEUDOCOUNT) / _BACKGROUND) * _STEPS).astype(np.int64)


def _exponential(log_odds: np.ndarray) -> np.ndarray:
    """The frequencies whose log-odds these are, those of the first position a third of a step more."""
    steps = log_odds.astype(np.float64)
    steps[:, 0] += 1 / 3
    powers: np.ndarray = _BACKGROUND * 2.0 ** (steps / _STEPS)
    return powers


def _tail(log_odds: np.ndarray) -> tuple[int, np.ndarray]:
    """The lowest score, in steps, and the probability of each score from it or a larger one, by adding up positions."""
    distribution, lowest = np.ones(1), 0
    for column in log_odds.T:
        least = int(column.min())
        longer = np.zeros(len(distribution) + int(column.max()) - least)
        for value in column - least:
            longer[value : value + len(distribution)] += _BACKGROUND * distribution
        distribution, lowest = longer, lowest + least
    # From the top, so that the smallest are exact.
    return lowest, np.cumsum(distribution[::-1])[::-1]


def _tested(unknown: np.ndarray, intervals: np.ndarray | None, width: int) -> np.ndarray:
    """Whether the window that starts at each base is looked at, (n, L - width + 1).

    Parameters
    ----------
    unknown
        How many of the bases before each one are N or none, (n, L + 1).
    intervals
        Row, start, end of each, (intervals, 3); without them all windows of known bases are looked at.
    """
    windows = max(0, unknown.shape[1] - width)
    known: np.ndarray = unknown[:, width:] == unknown[:, :windows]
    if intervals is None:
        return known
    half = (width + 1) // 2
    row, start, end = intervals[intervals[:, 2] - intervals[:, 1] >= half].T
    first = np.clip(start + half - width, 0, windows)
    last = np.clip(end - half + 1, first, windows)
    steps = np.zeros((len(unknown), windows + 1), dtype=np.int32)
    np.add.at(steps, (row, first), 1)
    np.add.at(steps, (row, last), -1)
    return known & (np.cumsum(steps, axis=1)[:, :-1] > 0)
