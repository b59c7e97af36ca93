"""Sequences with planted motifs and attributions as a model gives that reads these, and all the rest hardly."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.bases import COMPLEMENT
from epinformer.interpretation.attribution_file import About, Attributions

PLANTED = (("TGATAAGC", 1, 0, 120), ("CCACACCTT", 1, 120, 240), ("GTCACGGTT", -1, 60, 180), ("AAATGGCC", -1, 180, 300))
"""Motifs, whether they raise or lower, and the rows that have them, from the first to before the last."""
ROWS, LENGTH = 300, 100


class World(NamedTuple):
    """Attributions, and where motifs were planted: row, start, end, strand, sign, motif, a row each."""

    attributions: Attributions
    sites: pd.DataFrame


@cache
def world(seed: int = 0) -> World:
    """300 sequences of 80 to 100 bp, most with a motif that raises in one half and one that lowers in the other.

    They are there in different strengths, 18 bp and more from the ends, as patterns are 30 bp wide. Other bases have
    some attribution as well.
    """
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (ROWS, LENGTH)).astype(np.uint8)
    hypothetical = rng.normal(0, 0.1, (ROWS, 4, LENGTH)).astype(np.float32)
    lengths = np.where(rng.random(ROWS) < 0.3, rng.integers(80, LENGTH, ROWS), LENGTH)
    sites = []
    for motif, sign, first, last in PLANTED:
        bases = np.array(["ACGT".index(letter) for letter in motif], dtype=np.uint8)
        for row in range(first, last):
            low, high = (18, lengths[row] // 2) if sign > 0 else (lengths[row] // 2, lengths[row] - 18)
            start = int(rng.integers(low, high - len(bases) + 1))
            strand = "+-"[int(rng.integers(2))]
            own = bases if strand == "+" else COMPLEMENT[bases[::-1]]
            place = np.arange(start, start + len(own))
            codes[row, place] = own
            strength = np.float32(sign * rng.uniform(0.5, 1.5))
            hypothetical[row][:, place] -= strength / 3
            hypothetical[row][own, place] += strength * 4 / 3
            sites.append((row, start, start + len(own), strand, sign, motif))
    beyond = np.arange(LENGTH) >= lengths[:, None]
    codes[beyond] = 5
    hypothetical.transpose(0, 2, 1)[beyond] = 0
    columns = ["row", "start", "end", "strand", "sign", "motif"]
    return World(_attributions(codes, hypothetical), pd.DataFrame(sites, columns=columns))


def noise(rows: int = 300, seed: int = 1) -> Attributions:
    """Attributions in which nothing recurs."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (rows, LENGTH)).astype(np.uint8)
    return _attributions(codes, rng.normal(0, 1, (rows, 4, LENGTH)).astype(np.float32))


def _attributions(codes: np.ndarray, hypothetical: np.ndarray) -> Attributions:
    about = About("ism", "activity", None, None, ("model",), 0, 0)
    table = pd.DataFrame({"name": [f"row_{row}" for row in range(len(codes))]})
    return Attributions(about, table, codes, hypothetical)
