"""A few explained sequences, and motifs that were found in them, made by hand for tests of what is written of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from epinformer.inputs.motifs import Motif
from epinformer.interpretation.attribution_file import About, Attributions
from epinformer.interpretation.discovery import Pattern
from epinformer.interpretation.motifs import MotifResult

ODD = '<b>odd</b>\t"name"\nof & $x$'
"""A name that breaks what does not look after it."""
LENGTH = 40


def motif(consensus: str, id_: str, name: str, family: str = "") -> Motif:
    frequencies = np.full((4, len(consensus)), 0.05)
    frequencies[["ACGT".index(letter) for letter in consensus], range(len(consensus))] = 0.85
    return Motif(id_, name, frequencies, family)


MOTIFS = (
    motif("AGATAAC", "MA1", "GATA1", "C4-GATA"),
    motif("TTATCT", "MA2", ODD, ODD),
    motif("CCACGTG", "MA3", "MAX", "bHLH"),
)


def attributions() -> Attributions:
    """Four sequences: two that overlap, a short one on another chromosome, and the first once more for another gene."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "name": ["chr2_first", ODD, "short", "chr2_first"],
            "kind": "element",
            "chrom": ["chr2", "chr2", "chr10", "chr2"],
            "start": [1000, 1020, 50, 1000],
            "end": [1040, 1060, 80, 1040],
            "target_start": [980, 1020, 50, 980],
            "target_end": [1060, 1060, 80, 1060],
            "gene_id": ["G1", None, None, "G2"],
            "gene_name": ["A", None, None, "B"],
            "score": np.nan,
            "prediction": [2.0, 1.0, -1.0, 2.0],
            "reference": np.nan,
            "delta": np.nan,
            "models": 1,
            "held_out": True,
        }
    )
    codes = rng.integers(0, 4, (4, LENGTH)).astype(np.uint8)
    codes[1, :20], codes[3] = codes[0, 20:], codes[0]
    codes[2, 30:] = 5
    hypothetical = rng.normal(0, 0.01, (4, 4, LENGTH)).astype(np.float32)
    hypothetical[:, :, 22:29] += 0.1
    tiles = pd.DataFrame(
        {
            "name": "chr2_first",
            "chrom": "chr2",
            "start": [980, 1000, 1020],
            "end": [1020, 1040, 1060],
            "prediction": [1.0, 2.0, 0.0],
            "strongest": [False, True, False],
        }
    )
    about = About("ism", "activity", "log2(0.1 + activity)", "hg38", ("model",), 0, 0)
    return Attributions(about, table, codes, hypothetical, tiles)


def _pattern(name: str, sign: int, known: Motif, seqlets: list[tuple[int, int, int, str]]) -> Pattern:
    """A pattern like a motif, with three positions of nothing on both sides."""
    frequencies = np.pad(known.frequencies, ((0, 0), (3, 3)), constant_values=0.25)
    contributions = sign * np.pad(known.frequencies, ((0, 0), (3, 3)))
    table = pd.DataFrame(seqlets, columns=["row", "start", "end", "strand"])
    return Pattern(name, sign, frequencies, contributions, contributions, table)


def found(**changed: Any) -> MotifResult:
    """What might be found there: two patterns like known motifs, one like none, and hits of which some are the same."""
    patterns = (
        _pattern("pos_0", 1, MOTIFS[0], [(0, 20, 33, "+"), (1, 0, 13, "+"), (2, 5, 18, "-")]),
        _pattern("pos_1", 1, MOTIFS[2], [(2, 15, 28, "+"), (3, 0, 13, "+")]),
        _pattern("neg_0", -1, MOTIFS[1], [(1, 25, 37, "+")]),
    )
    rows = [
        (0, 0, 1e-9, 1e-8, -1, 7, "+"),
        (0, 1, 1e-5, 1e-3, 1, 5, "-"),
        (0, 2, 0.5, 0.9, 0, 7, "+"),
        (1, 2, 0.05, 0.02, 0, 7, "+"),
        (1, 1, 0.5, 0.9, 0, 6, "+"),
        (1, 0, 0.6, 0.9, 0, 7, "+"),
        (2, 1, 1e-7, 1e-6, -3, 5, "-"),
        (2, 0, 0.01, 0.5, 0, 6, "-"),
        (2, 2, 0.9, 0.9, 0, 6, "-"),
    ]
    matches = pd.DataFrame(rows, columns=["pattern", "motif", "p", "q", "offset", "overlap", "strand"])
    matches = matches.assign(score=100.0, **_known(matches["motif"]))
    seqlets = pd.DataFrame(
        [
            (0, 22, 29, 1, 0.7, 1e-6),
            (1, 2, 9, 1, 0.9, 1e-7),
            (1, 28, 36, -1, -0.4, 1e-3),
            (2, 1, 4, 1, 0.2, 0.01),
            (3, 22, 29, 1, 0.7, 1e-6),
        ],
        columns=["row", "start", "end", "sign", "attribution", "p"],
    )
    rows = [
        # The same site in three sequences; in the first a weaker motif lies there, too.
        (0, 21, 28, "+", 0, 12.0, 1e-6, 1e-4),
        (0, 23, 29, "-", 1, 11.0, 1e-5, 1e-3),
        (1, 1, 8, "+", 0, 12.0, 1e-6, 1e-4),
        (3, 21, 28, "+", 0, 12.0, 1e-6, 1e-4),
        # Half of it in the seqlet, and less than half.
        (1, 33, 39, "-", 1, 11.0, 9e-5, 0.5),
        (2, 2, 9, "+", 2, 20.0, 0.0, 0.0),
    ]
    hits = pd.DataFrame(rows, columns=["row", "start", "end", "strand", "motif", "score", "p", "q"])
    hits = hits.assign(**_known(hits["motif"]))
    best = ["GATA1", None, ODD]
    table = pd.DataFrame(
        {
            "pattern": [pattern.name for pattern in patterns],
            "sign": [pattern.sign for pattern in patterns],
            "seqlets": [len(pattern.seqlets) for pattern in patterns],
            "consensus": [pattern.consensus for pattern in patterns],
            "match_1": best,
            "q_1": [1e-8, np.nan, 1e-6],
        }
    )
    result = MotifResult(patterns, matches, seqlets, hits, None, MOTIFS, table, {"q": 0.02, "database": ODD})
    return result._replace(**changed)


def nothing() -> MotifResult:
    """No pattern, seqlet, match or hit."""
    full = found()
    tables = {name: getattr(full, name).iloc[:0] for name in ("matches", "seqlets", "hits", "table")}
    return full._replace(patterns=(), **tables)


def enriched(rows: int = 2) -> pd.DataFrame:
    """Enrichment of the first two motifs, or of fewer."""
    table = pd.DataFrame(
        {
            "id": ["MA1", "MA2"],
            "name": ["GATA1", ODD],
            "first": [3, 1],
            "second": [0, 4],
            "odds_ratio": [np.inf, 0.2],
            "log2_odds_ratio": [3.5, -1.5],
            "p": [0.001, 0.4],
            "q": [0.002, 0.4],
        }
    )
    return table.iloc[:rows]


def _known(numbers: pd.Series) -> dict[str, list[str]]:
    return {field: [getattr(MOTIFS[number], field) for number in numbers] for field in ("id", "name", "family")}
