"""Which known motifs a pattern resembles: Tomtom."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.motifs import Motif
from epinformer.interpretation.extra import needed

logger = logging.getLogger(__name__)

# With fewer motifs to compare with, p values say little.
_FEW_MOTIFS = 50


def match(patterns: Sequence[np.ndarray], motifs: Sequence[Motif]) -> pd.DataFrame:
    """Compare patterns with known motifs, as Tomtom does (Gupta et al., Genome Biology 2007), by memelite.

    The p value of a pair is the probability that a random motif of the same width fits the pattern as well at its best
    offset and strand. Random motifs are drawn from the columns of all the given motifs, so the p values depend on
    them: give a whole database.

    Parameters
    ----------
    patterns
        float (4, w) each: frequencies of A, C, G, T.
    motifs
        The known ones.

    Returns
    -------
    DataFrame
        A row a pattern and motif, sorted by pattern, q, p (then the motifs' order): pattern, motif (int64 indices); id,
        name, family of the motif; p; q (Benjamini and Hochberg over all motifs, for each pattern alone); score
        (Tomtom's: sum over columns, comparable within one pattern); offset, overlap (int64); strand.

        ``strand`` is ``-`` where the reverse complement of the motif fits better. The pattern's first column lies over
        column ``offset`` of the motif, or of its reverse complement if strand is ``-``; it is negative where the
        pattern begins before it. ``overlap`` counts the columns that lie over each other.

    Raises
    ------
    InputError
        There are no motifs to compare with.
    EpinformerError
        memelite is not installed.
    ValueError
        A pattern is not (4, w) of finite numbers from 0, or holds zeros only.
    """
    from scipy.stats import false_discovery_control

    for number, pattern in enumerate(patterns):
        if pattern.ndim != 2 or pattern.shape[0] != 4 or not (np.isfinite(pattern) & (pattern >= 0)).all():
            raise ValueError(f"pattern {number} is not (4, w) frequencies")
        if not pattern.any():
            raise ValueError(f"pattern {number} holds zeros only")
    if not motifs:
        raise InputError("there are no motifs to compare with", fix="Give a database with motifs")
    n, m = len(patterns), len(motifs)
    p, score, offset, overlap, strand = _best(patterns, motifs) if n else np.empty((5, 0, m))
    q = false_discovery_control(p, axis=1)
    motif_number = np.tile(np.arange(m), n)
    table = pd.DataFrame({"pattern": np.repeat(np.arange(n), m), "motif": motif_number})
    for field in ("id", "name", "family"):
        values = np.array([getattr(motif, field) for motif in motifs], dtype=object)
        table[field] = pd.array(values[motif_number], dtype="str")
    table = table.assign(p=p.ravel(), q=q.ravel(), score=score.ravel())
    table = table.assign(offset=offset.ravel().astype(np.int64), overlap=overlap.ravel().astype(np.int64))
    table["strand"] = pd.array(np.where(strand.ravel() > 0, "-", "+").astype(object), dtype="str")
    return table.sort_values(["pattern", "q", "p", "motif"], ignore_index=True)


def _best(patterns: Sequence[np.ndarray], motifs: Sequence[Motif]) -> np.ndarray:
    """Of the best fit: p value, score, offset, overlap and whether the strand is -, (5, patterns, motifs)."""
    tomtom = needed("memelite", "comparing motifs").tomtom
    if len(motifs) < _FEW_MOTIFS:
        logger.warning(
            "p values of matches come from all motifs compared with, and these are only %d; a whole database is better",
            len(motifs),
        )
    queries = [np.asarray(pattern, dtype=np.float64) for pattern in patterns]
    targets = [motif.frequencies for motif in motifs]
    # memelite can join the strands itself, but then says that a palindrome, which fits alike on both, fits on -.
    targets += [frequencies[::-1, ::-1] for frequencies in targets]
    with warnings.catch_warnings():
        # It warns of few motifs, as we have.
        warnings.simplefilter("ignore", UserWarning)
        both = tomtom(queries, targets, reverse_complement=False)
    forward, reverse = both[:, :, : len(motifs)], both[:, :, len(motifs) :]
    is_reverse = reverse[1] > forward[1]
    best: np.ndarray = np.where(is_reverse, reverse, forward)
    # The smaller of two p values is as small as p with probability 1 - (1 - p)^2.
    p = np.minimum(forward[0], reverse[0])
    best[0] = np.clip(p * (2 - p), 0, 1)
    best[4] = is_reverse
    return best
