"""The stated model: every constant that the simulated world is made with, and its random streams."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

CHROMOSOMES = (*(f"chr{number}" for number in range(1, 23)), "chrX", "chrY")
"""Named as the human ones, so that the twelve folds apply."""

CORE = 256
"""bp around a regulatory centre whose motif sites count."""

READ_LENGTH = 36
"""bp of every read."""

BIN = 5_000
"""bp of a bin of the contact map."""

NEAREST, FARTHEST = 1_000, 100_000
"""An element acts on a gene if NEAREST < |element midpoint - TSS| <= FARTHEST, in bp."""


class Model(NamedTuple):
    """Constants of the model; `docs/simulation.md` has the formulas.

    Attributes
    ----------
    saturation
        log2 units that motif sites can add to the activity, however many there are.
    synergy
        log2 units that GATA1 and KLF1 add when an element has both.
    hidden_sd
        Part of the log2 activity that the sequence does not tell.
    opening
        log2 units of DNase of one CTCF site, which acetylation does not see.
    dnase_slope, h3k27ac_slope
        log2 signal per log2 activity.
    signal_sd, replicate_sd
        Noise of an element's log2 signal, and of each experiment.
    dnase_reads, h3k27ac_reads
        Reads that are expected at an element of log2 activity 0, in an experiment of depth 1.
    background
        Reads per bp everywhere, in an experiment of depth 1.
    half_contact
        The sum of activity x contact that doubles the argument of the logarithm.
    shares
        Parts of the variance of log expression: promoter, elements, half-life, noise.
    expression_mean, expression_sd
        Of log10 RPKM.
    contact_depth
        Reads of a pixel of contact 1.
    contact_decay
        Exponent with which contact falls with distance.
    contact_sd
        Of the natural logarithm of the factor of each pixel.
    looped
        Part of the elements at more than 15 kb from their gene that a loop brings to it.
    """

    saturation: float = 6.0
    synergy: float = 0.8
    hidden_sd: float = 0.6
    opening: float = 1.8
    dnase_slope: float = 0.7
    h3k27ac_slope: float = 1.0
    signal_sd: float = 0.3
    replicate_sd: float = 0.1
    dnase_reads: float = 25.0
    h3k27ac_reads: float = 12.0
    background: float = 0.012
    half_contact: float = 4.0
    shares: tuple[float, float, float, float] = (0.22, 0.56, 0.10, 0.12)
    expression_mean: float = 0.8
    expression_sd: float = 0.6
    contact_depth: float = 300.0
    contact_decay: float = 1.02
    contact_sd: float = 0.25
    looped: float = 0.25


class Experiment(NamedTuple):
    """A sequencing experiment: its name in file names, the signal it measures, and its depth."""

    name: str
    signal: str
    depth: float


EXPERIMENTS = (
    Experiment("dnase", "dnase", 1.0),
    Experiment("h3k27ac.rep1", "h3k27ac", 1.0),
    Experiment("h3k27ac.rep2", "h3k27ac", 0.5),
)


def stream(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """A random stream for each purpose and chromosome, so that drawing more for one leaves the others as they are."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), number])
