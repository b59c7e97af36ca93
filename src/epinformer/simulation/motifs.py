"""Motifs as published consensus strings, where they occur in a sequence, and the activity that they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from epinformer.simulation.model import Model

# A letter is nearly always itself; where a consensus allows two bases, either.
_LETTERS = {
    **{"A": "A", "C": "C", "G": "G", "T": "T", "N": "ACGT"},
    **{"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
}
_RARE = 0.02
# The part of the highest log-odds that makes a site; it grows from no strength there to full strength at the highest.
_THRESHOLD = 0.75
_CHUNK = 2_000


class Motif(NamedTuple):
    """A transcription factor's motif.

    Attributes
    ----------
    name
        Of the factor.
    consensus
        IUPAC letters, 5' to 3'.
    weight
        log2 activity that a site of full strength adds.
    role
        `activator`, `repressor`, `promoter` (an activator found at promoters) or `insulator`.
    """

    name: str
    consensus: str
    weight: float
    role: str


MOTIFS = (
    Motif("GATA1", "AGATAAG", 1.3, "activator"),
    Motif("TAL1_GATA1", "CTGNNNNNNNNAGATAA", 1.8, "activator"),
    Motif("SPI1", "GAGGAAGT", 1.5, "activator"),
    Motif("JUN_FOS", "TGASTCA", 1.6, "activator"),
    Motif("KLF1", "CCACACCCN", 1.1, "activator"),
    Motif("GFI1B", "AAATCACWGC", -1.5, "repressor"),
    Motif("CTCF", "CCACNAGRKGGCRS", 0.0, "insulator"),
    Motif("SP1", "GGGGCGGGG", 0.9, "promoter"),
    Motif("NFY", "CCAATSRG", 1.2, "promoter"),
    Motif("ETS", "ACCGGAAGT", 1.5, "promoter"),
    Motif("NRF1", "GCGCATGCGC", 1.7, "promoter"),
)
"""Consensus sequences as the literature gives them; the weights are this model's."""

NAMES = tuple(motif.name for motif in MOTIFS)


class Hits(NamedTuple):
    """Motif sites in windows, sorted by window, motif and position.

    Attributes
    ----------
    window, motif, position
        Row of the window, number in `MOTIFS`, first base within the window, int64 (number of sites,).
    minus
        Whether the motif reads along the reverse strand, bool.
    strength
        0 to 1, float64.
    """

    window: np.ndarray
    motif: np.ndarray
    position: np.ndarray
    minus: np.ndarray
    strength: np.ndarray

    def total(self, windows: int) -> np.ndarray:
        """Summed strength of each motif in each window, float64 (windows, motifs)."""
        return summed_strength(self.window, self.motif, self.strength, windows)


def summed_strength(window: np.ndarray, motif: np.ndarray, strength: np.ndarray, windows: int) -> np.ndarray:
    """Summed strength of each motif in each window, float64 (windows, motifs), of sites given one by one."""
    flat = np.bincount(window * len(MOTIFS) + motif, strength, minlength=windows * len(MOTIFS))
    return flat.reshape(windows, len(MOTIFS))


def frequencies(motif: Motif) -> np.ndarray:
    """Base frequencies of a motif, float64 (length, 4), bases in the order A, C, G, T."""
    rows = []
    for letter in motif.consensus:
        bases = _LETTERS[letter]
        rows.append([(1 - _RARE * (4 - len(bases))) / len(bases) if base in bases else _RARE for base in "ACGT"])
    return np.array(rows)


def _scores(motif: Motif) -> np.ndarray:
    """log2 odds against equal bases, float32 (length, 6); N and no base count as a mismatch."""
    odds = np.log2(frequencies(motif) / 0.25)
    worst = odds.min(axis=1, keepdims=True)
    scores: np.ndarray = np.concatenate([odds, worst, worst], axis=1).astype(np.float32)
    return scores


def find_sites(codes: np.ndarray) -> Hits:
    """All motif sites in windows of one length.

    Parameters
    ----------
    codes
        uint8 (windows, length): A 0, C 1, G 2, T 3, other 4, no base 5.

    Returns
    -------
    Hits
        A site that matches on both strands is listed once, with the better of them.
    """
    parts = [_find(codes[first : first + _CHUNK], first) for first in range(0, len(codes), _CHUNK)]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0, np.int64)] * 5
    order = np.lexsort((columns[2], columns[1], columns[0]))
    return Hits(*(column[order] for column in columns))


def _find(codes: np.ndarray, first: int) -> Hits:
    found = []
    transposed = np.ascontiguousarray(codes.T)
    for number, motif in enumerate(MOTIFS):
        scores = _scores(motif)
        length = len(scores)
        places = codes.shape[1] - length + 1
        # The reverse complement of the motif: positions backwards, and A for T, C for G.
        reverse = scores[::-1][:, [3, 2, 1, 0, 4, 5]]
        total = np.zeros((2, max(places, 0), len(codes)), dtype=np.float32)
        for i in range(length if places > 0 else 0):
            bases = transposed[i : i + places]
            total[0] += scores[i][bases]
            total[1] += reverse[i][bases]
        highest = float(scores.max(axis=1).sum())
        lowest = _THRESHOLD * highest
        better = total.max(axis=0)
        position, window = np.nonzero(better > lowest)
        # Rounded, since the order in which a strand's scores are added up shows in the last digits.
        strength = ((better[position, window].astype(np.float64) - lowest) / (highest - lowest)).round(4)
        minus = total[1][position, window] > total[0][position, window]
        found.append((window + first, np.full(len(window), number), position, minus, strength))
    return Hits(*(np.concatenate(column) for column in zip(*found, strict=True)))


def sequence_activity(total: np.ndarray, model: Model) -> np.ndarray:
    """log2 activity that motif sites give.

    x = sum of weight x strength, and `synergy` if GATA1 and KLF1 are both there; the activity is
    saturation x (1 - exp(-x / saturation)) for x > 0, else x.

    Parameters
    ----------
    total
        Summed strengths (windows, motifs), from `Hits.total`.
    model
        Its saturation and synergy.

    Returns
    -------
    ndarray
        float64 (windows,).
    """
    added = total @ np.array([motif.weight for motif in MOTIFS])
    both = np.minimum(total[:, [NAMES.index("GATA1"), NAMES.index("KLF1")]].min(axis=1), 1.0)
    added = added + model.synergy * both
    activity: np.ndarray = np.where(
        added > 0, model.saturation * (1 - np.exp(-np.maximum(added, 0) / model.saturation)), added
    )
    return activity


def sequence_opening(total: np.ndarray, model: Model) -> np.ndarray:
    """log2 units of DNase that CTCF sites add, at most one site's, float64 (windows,)."""
    opening: np.ndarray = model.opening * np.minimum(total[:, NAMES.index("CTCF")], 1.0)
    return opening


def draw_site(motif: Motif, rng: np.random.Generator) -> np.ndarray:
    """A site of a motif as it reads along a random strand, uint8 (length,): each base one that the consensus allows."""
    codes = np.array([rng.choice(["ACGT".index(base) for base in _LETTERS[letter]]) for letter in motif.consensus])
    if rng.random() < 0.5:
        codes = 3 - codes[::-1]
    return codes.astype(np.uint8)


def meme_text(motifs: Sequence[Motif] = MOTIFS) -> str:
    """Motifs in MEME's minimal format, version 4."""
    lines = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", ""]
    lines += ["Background letter frequencies", "A 0.25 C 0.25 G 0.25 T 0.25", ""]
    for motif in motifs:
        lines.append(f"MOTIF {motif.name} {motif.consensus}")
        lines.append(f"letter-probability matrix: alength= 4 w= {len(motif.consensus)} nsites= 100 E= 0")
        lines += [" ".join(f"{value:.6f}" for value in row) for row in frequencies(motif)]
        lines.append("")
    return "\n".join(lines)
