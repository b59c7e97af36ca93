"""Patterns that recur among what a model read: TF-MoDISco, by modisco-lite."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd

from epinformer.bases import OTHER_BASE
from epinformer.errors import InputError
from epinformer.files import atomic_file
from epinformer.interpretation.extra import needed

logger = logging.getLogger(__name__)

MIN_SEQLETS = 100
"""Fewer seqlets of a sign are not grouped."""
MAX_SEQLETS = 20_000
"""More seqlets of a sign are left out, the weakest."""

WIDTH = 31
"""bp of what is grouped: a seqlet in the middle, and what is around it."""
# Seqlets whose middles are nearer than this are one.
_APART = 15
# A position belongs to a pattern's core if its strength is at least this share of the largest; one more on either side
# is kept, by which Tomtom tells short motifs apart. Much more, and long motifs of little information match.
_CORE, _FLANK = 0.3, 1
# Least bits in the best six positions. modisco-lite asks for 0.6, which noise passes: a model of shuffled labels has
# patterns of up to 5.3, and they match long motifs of little information. Those of known factors have 8 and more.
_BITS = 6.0
# modisco-lite's command asks for as many. 50 take much longer and give the same patterns.
_LEIDEN_RUNS = 2
_LETTERS = {
    **{"A": "A", "C": "C", "G": "G", "T": "T"},
    **{"AC": "M", "AG": "R", "AT": "W", "CG": "S", "CT": "Y", "GT": "K"},
}


class Pattern(NamedTuple):
    """A pattern of bases that recurs, and what it contributes.

    Attributes
    ----------
    name
        ``pos_0`` is the largest that raises the prediction, ``neg_0`` the largest that lowers it.
    sign
        1 or -1.
    frequencies
        float64 (4, w): of A, C, G, T (rows) at each position.
    contributions
        float64 (4, w): mean attribution of the bases that are there, 0 for those that are not.
    hypothetical
        float64 (4, w): mean hypothetical attribution of each base.
    seqlets
        Where it occurs, a row each: row, start, end (int64; 0-based half-open, in the row), strand (on ``-`` the row's
        reverse complement is like the pattern). All are w bases wide.
    """

    name: str
    sign: int
    frequencies: np.ndarray
    contributions: np.ndarray
    hypothetical: np.ndarray
    seqlets: pd.DataFrame

    @property
    def core(self) -> slice:
        """The positions from the first to the last that is at least 30 % as strong as the strongest.

        The strength is the contribution times the information in bits. modisco-lite takes the contribution alone, but
        where a model reads the composition around a motif as well, many positions contribute that hold any base.
        """
        strength = np.abs(self.contributions).sum(axis=0) * _information(self.frequencies)
        strong = np.flatnonzero(strength >= _CORE * strength.max())
        return slice(int(strong[0]), int(strong[-1]) + 1)

    @property
    def kept(self) -> slice:
        """The core with one more position on either side: what is compared with known motifs and drawn."""
        return slice(max(0, self.core.start - _FLANK), self.core.stop + _FLANK)

    @property
    def trimmed(self) -> np.ndarray:
        """The frequencies of the positions that are kept, (4, k)."""
        return self.frequencies[:, self.kept]

    @property
    def consensus(self) -> str:
        """The core as IUPAC letters.

        A letter alone has more than half and twice as much as the next; two have more than 3/4 together; else N
        (Cavener, Nucleic Acids Research 1987).
        """
        letters = []
        for column in self.frequencies[:, self.core].T:
            first, second = np.argsort(-column, kind="stable")[:2]
            if column[first] > 0.5 and column[first] > 2 * column[second]:
                letters.append("ACGT"[first])
            elif column[first] + column[second] > 0.75:
                letters.append(_LETTERS["".join("ACGT"[base] for base in sorted((first, second)))])
            else:
                letters.append("N")
        return "".join(letters)


def _information(frequencies: np.ndarray) -> np.ndarray:
    """Bits of each position, (w,), against bases that are all as likely."""
    logarithm = np.log2(frequencies, where=frequencies > 0, out=np.zeros_like(frequencies))
    bits: np.ndarray = 2 + (frequencies * logarithm).sum(axis=0)
    return bits.clip(min=0)


def discover(
    codes: np.ndarray,
    hypothetical: np.ndarray,
    seqlets: pd.DataFrame,
    *,
    min_seqlets: int = MIN_SEQLETS,
    max_seqlets: int = MAX_SEQLETS,
) -> tuple[Pattern, ...]:
    """Group seqlets into patterns, as TF-MoDISco does (Shrikumar et al., arXiv:1811.00416), by modisco-lite.

    Positive and negative seqlets are grouped apart. Each is taken with the bases around it, 31 bp; of seqlets whose
    middles are nearer than 15 bp the strongest is taken. modisco-lite would choose its own: the windows whose summed
    attributions stand out from a fitted background, which for attributions as dense as these is always the 3 % of
    windows with the largest, hardly ever a negative one. How they are grouped is modisco-lite's default, except that a
    pattern needs 6 bits of information in its best six positions. Patterns are about 30 bp wide, so that a seqlet
    near the end of its sequence may be in none.

    The same input gives the same patterns. No process is started: numba runs on one thread meanwhile.

    Parameters
    ----------
    codes
        uint8 (n, L): A 0, C 1, G 2, T 3, N 4, no base 5.
    hypothetical
        float32 (n, 4, L): attribution that each base has or would have; 0 at N and no base.
    seqlets
        What `epinformer.interpretation.seqlets.call_seqlets` gives.
    min_seqlets
        Fewer seqlets of a sign are not grouped.
    max_seqlets
        Of more, the strongest are grouped. Memory and time grow with their number.

    Returns
    -------
    tuple of Pattern
        Positive ones, then negative ones, each the largest first. Empty if nothing recurs.

    Raises
    ------
    InputError
        There are too few seqlets of either sign.
    EpinformerError
        modisco-lite is not installed.
    """
    chosen = {sign: _chosen(seqlets[seqlets["sign"] == sign], codes, max_seqlets) for sign in (1, -1)}
    counts = {sign: len(places) for sign, places in chosen.items()}
    if max(counts.values()) < max(1, min_seqlets):
        raise InputError(
            f"finding patterns needs {max(1, min_seqlets):,} seqlets that raise the prediction or as many that lower "
            f"it, and there are {counts[1]:,} and {counts[-1]:,}",
            fix="Explain more sequences, or ask for fewer seqlets",
        )
    modisco, core = needed("modiscolite.tfmodisco", "finding patterns"), needed("modiscolite.core", "finding patterns")
    one_hot = (codes[..., None] == np.arange(OTHER_BASE)).astype(np.float32)
    scores = np.ascontiguousarray(hypothetical.transpose(0, 2, 1), dtype=np.float32)
    tracks = core.TrackSet(one_hot=one_hot, contrib_scores=one_hot * scores, hypothetical_contribs=scores)
    patterns: list[Pattern] = []
    for sign, places in chosen.items():
        name = "pos" if sign > 0 else "neg"
        if counts[sign] < min_seqlets:
            logger.info("%s: only %s seqlets, which are not grouped", name, f"{counts[sign]:,}")
            continue
        own = tracks.create_seqlets([core.Seqlet(row, start, start + WIDTH, False) for row, start in places])
        with _alone():
            found = _patterns(modisco, own, tracks, sign)
        logger.info("%s: %s patterns in %s seqlets", name, f"{len(found):,}", f"{counts[sign]:,}")
        patterns += [_pattern(f"{name}_{number}", sign, made) for number, made in enumerate(found)]
    return tuple(patterns)


def save_modisco(patterns: Sequence[Pattern], path: str | Path) -> None:
    """Write patterns as modisco-lite does (HDF5), so that its tools and those made for it read them.

    The bases and attributions of the seqlets are not in it, nor subpatterns; where each seqlet lies is.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with atomic_file(path) as temporary, h5py.File(temporary, "w") as file:
        for sign, group in ((1, "pos_patterns"), (-1, "neg_patterns")):
            own = [pattern for pattern in patterns if pattern.sign == sign]
            for number, pattern in enumerate(own):
                target = file.create_group(f"{group}/pattern_{number}")
                target["sequence"] = pattern.frequencies.T
                target["contrib_scores"] = pattern.contributions.T
                target["hypothetical_contribs"] = pattern.hypothetical.T
                places = target.create_group("seqlets")
                places["n_seqlets"] = np.array([len(pattern.seqlets)])
                for column, name in (("row", "example_idx"), ("start", "start"), ("end", "end")):
                    places[name] = pattern.seqlets[column].to_numpy(dtype=np.int64)
                places["is_revcomp"] = (pattern.seqlets["strand"] == "-").to_numpy(dtype=bool)


def _chosen(seqlets: pd.DataFrame, codes: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Row and start of each stretch to be grouped, ordered by both."""
    unknown = np.zeros((len(codes), codes.shape[1] + 1), dtype=np.int32)
    np.cumsum(codes >= OTHER_BASE, axis=1, out=unknown[:, 1:])
    order = np.argsort(-seqlets["attribution"].abs().to_numpy(), kind="stable")
    row, start, end = (seqlets[name].to_numpy(dtype=np.int64)[order] for name in ("row", "start", "end"))
    # A stretch that would go over the end of its row is moved inwards.
    bases = (codes <= OTHER_BASE).sum(axis=1)[row]
    first = np.minimum((start + end) // 2 - WIDTH // 2, bases - WIDTH).clip(min=0)
    last = np.minimum(first + WIDTH, codes.shape[1])
    whole = (bases >= WIDTH) & (unknown[row, last] == unknown[row, first])
    taken: dict[int, list[int]] = {}
    chosen: list[tuple[int, int]] = []
    for own, place in zip(row[whole].tolist(), first[whole].tolist(), strict=True):
        others = taken.setdefault(own, [])
        if all(abs(place - other) >= _APART for other in others):
            others.append(place)
            chosen.append((own, place))
    return sorted(chosen[:most])


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let numba use one thread, and nothing be said.

    modisco-lite forks this process for every further thread of numba's, and a fork of a process in which torch or
    another library runs threads may never end.
    """
    numba = needed("numba", "finding patterns")
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        numba.set_num_threads(threads)


def _patterns(modisco: Any, seqlets: list[Any], tracks: Any, sign: int) -> list[Any]:
    """modisco-lite's patterns of one sign."""
    try:
        found = modisco.seqlets_to_patterns(
            seqlets=seqlets,
            track_set=tracks,
            track_signs=sign,
            n_leiden_runs=_LEIDEN_RUNS,
            min_ic_in_window=_BITS,
        )
    except ValueError as error:
        # The first step has left no seqlet, as none is like others.
        if not str(error).startswith("max()"):
            raise
        return []
    return list(found or [])


def _pattern(name: str, sign: int, made: Any) -> Pattern:
    """One of modisco-lite's patterns as ours."""
    places = [(int(one.example_idx), int(one.start), int(one.end), "+-"[bool(one.is_revcomp)]) for one in made.seqlets]
    seqlets = pd.DataFrame(places, columns=["row", "start", "end", "strand"])
    frequencies = np.array(made.sequence, dtype=np.float64).T
    # Where seqlets reach over N or the end of their row they have no base.
    total = frequencies.sum(axis=0)
    frequencies = np.where(total > 0, frequencies / np.maximum(total, 1e-9), 0.25)
    contributions, hypothetical = (
        np.array(scores, dtype=np.float64).T for scores in (made.contrib_scores, made.hypothetical_contribs)
    )
    return Pattern(name, sign, frequencies, contributions, hypothetical, seqlets)
