"""The motifs behind attributions: patterns that recur, the known motifs they resemble, and where these occur."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from epinformer.errors import ConfigError, InputError
from epinformer.inputs.motifs import Motif
from epinformer.interpretation.attribution_file import Attributions, bases_of
from epinformer.interpretation.discovery import MAX_SEQLETS, MIN_SEQLETS, Pattern, discover
from epinformer.interpretation.enrichment import enrichment
from epinformer.interpretation.hits import find_hits
from epinformer.interpretation.matching import match
from epinformer.interpretation.seqlets import THRESHOLD, call_seqlets

BEST = 3
"""Matches of a pattern that have columns of their own in the table of motifs."""


class MotifResult(NamedTuple):
    """What `find_motifs` found.

    Attributes
    ----------
    patterns
        What recurs; may be empty.
    matches
        A row a pattern and known motif (`epinformer.interpretation.matching.match`).
    seqlets
        What the predictions rest on (`epinformer.interpretation.seqlets.call_seqlets`).
    hits
        Known motifs in the seqlets (`epinformer.interpretation.hits.find_hits`).
    enrichment
        Of hits in these sequences against others (`epinformer.interpretation.enrichment.enrichment`); None without
        others.
    motifs
        The known motifs.
    table
        A row a pattern: pattern, sign, seqlets (int64, how many), consensus; match_1, id_1, family_1, q_1 and so on to
        3, missing where q is not below the limit; matches (the names of all below it, the best first, separated by
        ";"; "" if there are none).
    about
        Settings and counts: q, threshold, min_seqlets, max_seqlets, sequences; and if others were given
        against_sequences.
    """

    patterns: tuple[Pattern, ...]
    matches: pd.DataFrame
    seqlets: pd.DataFrame
    hits: pd.DataFrame
    enrichment: pd.DataFrame | None
    motifs: tuple[Motif, ...]
    table: pd.DataFrame
    about: dict[str, Any]


def find_motifs(
    attributions: Attributions,
    database: Sequence[Motif],
    *,
    q: float = 0.02,
    against: Attributions | None = None,
    min_seqlets: int = MIN_SEQLETS,
    max_seqlets: int = MAX_SEQLETS,
    progress: Callable[[int, int], None] | None = None,
) -> MotifResult:
    """Find what recurs in attributions, name it, and find known motifs in what the predictions rest on.

    Parameters
    ----------
    attributions
        Of some sequences.
    database
        Known motifs.
    q
        A pattern resembles the known motifs with a q value below this. The paper uses 0.02.
    against
        Attributions of other sequences, by the same kind of model: in which of both do more sequences have a known
        motif in a seqlet? Patterns are those of the first alone.
    min_seqlets, max_seqlets
        As for `epinformer.interpretation.discovery.discover`.
    progress
        Called with the steps done and all.

    Returns
    -------
    MotifResult
        Without patterns if nothing recurs, which is what a model that has learned nothing should give.

    Raises
    ------
    ConfigError
        A setting is out of range.
    InputError
        There are no known motifs, or too few seqlets to look for patterns.
    EpinformerError
        A package that is needed is not installed.
    """
    if not 0 < q <= 1:
        raise ConfigError(f"q is {q:g}", fix="Give a number above 0, up to 1")
    if not 1 <= min_seqlets <= max_seqlets:
        raise ConfigError(
            f"at least {min_seqlets:,} and at most {max_seqlets:,} seqlets are asked for",
            fix="Give 1 or more, and no smaller number as the most",
        )
    if not database:
        raise InputError("there are no known motifs", fix="Give a database with motifs")
    total = 3 if against is None else 4
    steps = iter(range(1, total + 1))

    def done() -> None:
        if progress is not None:
            progress(next(steps), total)

    seqlets = _seqlets(attributions)
    patterns = discover(
        attributions.codes, attributions.hypothetical, seqlets, min_seqlets=min_seqlets, max_seqlets=max_seqlets
    )
    done()
    matches = match([pattern.trimmed for pattern in patterns], database)
    done()
    hits = find_hits(attributions.codes, database, within=seqlets)
    done()
    about = {
        "q": q,
        "threshold": THRESHOLD,
        "min_seqlets": min_seqlets,
        "max_seqlets": max_seqlets,
        "sequences": len(attributions.codes),
    }
    enriched = None
    if against is not None:
        others = find_hits(against.codes, database, within=_seqlets(against))
        enriched = enrichment(hits, len(attributions.codes), others, len(against.codes))
        about["against_sequences"] = len(against.codes)
        done()
    table = _table(patterns, matches[matches["q"] < q])
    return MotifResult(patterns, matches, seqlets, hits, enriched, tuple(database), table, about)


def _seqlets(attributions: Attributions) -> pd.DataFrame:
    return call_seqlets(attributions.actual, bases_of(attributions.codes))


def _table(patterns: Sequence[Pattern], significant: pd.DataFrame) -> pd.DataFrame:
    """A row a pattern, with its significant matches."""
    columns: dict[str, Any] = {
        "pattern": pd.array([pattern.name for pattern in patterns], dtype="str"),
        "sign": np.array([pattern.sign for pattern in patterns], dtype=np.int64),
        "seqlets": np.array([len(pattern.seqlets) for pattern in patterns], dtype=np.int64),
        "consensus": pd.array([pattern.consensus for pattern in patterns], dtype="str"),
    }
    own = [significant[significant["pattern"] == number] for number in range(len(patterns))]
    for place in range(BEST):
        for column, values in (("match", "name"), ("id", "id"), ("family", "family"), ("q", "q")):
            best = [found[values].iloc[place] if place < len(found) else None for found in own]
            columns[f"{column}_{place + 1}"] = pd.array(best, dtype="float64" if values == "q" else "str")
    columns["matches"] = pd.array([";".join(found["name"].drop_duplicates()) for found in own], dtype="str")
    return pd.DataFrame(columns)
