"""Motifs as tables that the next tool reads: BED of hits and seqlets, tab-separated text of the rest."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from epinformer.interpretation.discovery import Pattern
    from epinformer.interpretation.motifs import MotifResult

HITS = ("#chrom", "start", "end", "name", "score", "strand", "p", "q", "motif", "region")
"""Columns of ``hits.bed``: BED6, and the motif's id and the name of the explained region behind it."""
SEQLETS = ("#chrom", "start", "end", "name", "score", "strand", "attribution", "p", "pattern", "motif", "region")
"""Columns of ``seqlets.bed``: BED6 with the name and strand of the best hit, and more behind it."""
# What ends a field or a line for some reader, or starts a quotation.
_CONTROL = r"[\x00-\x1f\x7f\x85\u2028\u2029]+"
_LARGEST_SCORE = 1000


def hits_bed(result: MotifResult, regions: pd.DataFrame) -> pd.DataFrame:
    """The hits on the genome's plus strand.

    Parameters
    ----------
    result
        What was found.
    regions
        The table of the attributions (chrom, start, name), a row a sequence.

    Returns
    -------
    DataFrame
        `HITS`, sorted by place; 0-based half-open. A site that several explained sequences hold is there once. The
        score is −100 log10(p), at most 1000, as a BED has whole numbers up to that.
    """
    placed = _placed(result.hits, regions)
    bed = pd.DataFrame(
        {
            "#chrom": placed["chrom"],
            "start": placed["start"],
            "end": placed["end"],
            "name": _word(placed["name"], placed["id"]),
            "score": _score(placed["p"]),
            "strand": placed["strand"],
            "p": placed["p"],
            "q": placed["q"],
            "motif": _word(placed["id"]),
            "region": _word(placed["region"]),
        }
    )
    bed = bed.sort_values(["#chrom", "start", "end", "motif", "strand", "p"], kind="stable")
    return bed.drop_duplicates(["#chrom", "start", "end", "motif", "strand"]).reset_index(drop=True)


def seqlets_bed(seqlets: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """The called seqlets on the genome.

    Parameters
    ----------
    seqlets
        As `named_seqlets` gives.
    regions
        The table of the attributions (chrom, start, name), a row a sequence.

    Returns
    -------
    DataFrame
        `SEQLETS`, sorted by place, with "." where there is no hit or pattern. The same interval in several explained
        sequences is there once, with the strongest attribution.
    """
    placed = _placed(seqlets, regions)
    bed = pd.DataFrame(
        {
            "#chrom": placed["chrom"],
            "start": placed["start"],
            "end": placed["end"],
            "name": _word(placed["name"], placed["motif"]),
            "score": _score(placed["p"]),
            "strand": placed["strand"],
            "attribution": placed["attribution"],
            "p": placed["p"],
            "pattern": _word(placed["pattern"]),
            "motif": _word(placed["motif"]),
            "region": _word(placed["region"]),
            "strength": -placed["attribution"].abs(),
        }
    )
    bed = bed.sort_values(["#chrom", "start", "end", "strength"], kind="stable")
    return bed.drop_duplicates(["#chrom", "start", "end"]).loc[:, list(SEQLETS)].reset_index(drop=True)


def named_seqlets(result: MotifResult) -> pd.DataFrame:
    """The called seqlets with what is known of each.

    Returns
    -------
    DataFrame
        ``result.seqlets`` in its order, with the name, id (motif) and strand of the most significant hit that lies at
        least half inside, and the pattern that has most of it in the part of an instance that is kept, at least half
        of the shorter of the two; "", and strand ".", where there is none.
    """
    seqlets = result.seqlets.reset_index(drop=True)
    own = seqlets[["row", "start", "end"]].assign(seqlet=np.arange(len(seqlets)))
    # The order of the hits breaks ties, so that the same hits give the same names.
    hits = result.hits.assign(order=np.arange(len(result.hits)))
    pairs = _overlapping(own, hits)
    pairs = pairs[2 * pairs["shared"] >= pairs["end_other"] - pairs["start_other"]]
    hit = pairs.sort_values(["seqlet", "p", "order"]).drop_duplicates("seqlet").set_index("seqlet")
    patterns = pd.Series(dtype=object)
    if result.patterns:
        pairs = _overlapping(own, pd.concat([_instances(pattern) for pattern in result.patterns], ignore_index=True))
        shorter = np.minimum(pairs["end"] - pairs["start"], pairs["end_other"] - pairs["start_other"])
        pairs = pairs[2 * pairs["shared"] >= shorter]
        pairs = pairs.sort_values(["seqlet", "shared"], ascending=[True, False], kind="stable")
        patterns = pairs.drop_duplicates("seqlet").set_index("seqlet")["pattern"]
    every = seqlets.index
    return seqlets.assign(
        name=hit["name"].reindex(every).fillna("").astype(object),
        motif=hit["id"].reindex(every).fillna("").astype(object),
        strand=hit["strand"].reindex(every).fillna(".").astype(object),
        pattern=patterns.reindex(every).fillna("").astype(object),
    )


def significant_matches(result: MotifResult, number: int) -> pd.DataFrame:
    """The rows of ``result.matches`` of a pattern that have a q below ``result.about["q"]``, the best first."""
    matches = result.matches
    return matches[(matches["pattern"] == number) & (matches["q"] < result.about["q"])]


def best_matches(result: MotifResult) -> dict[int, dict[str, Any]]:
    """The best known motif of each pattern that resembles one significantly.

    Returns
    -------
    dict
        Number of the pattern to the columns of ``result.matches``, and ``said``: the motif's family, or where another
        family has more of the motifs that fit, that one in words, as the best motif alone may mislead.
    """
    best = {}
    for number in range(len(result.patterns)):
        fitting = significant_matches(result, number)
        if len(fitting):
            match = {str(column): value for column, value in fitting.iloc[0].items()}
            families = families_of(fitting)
            said = str(match["family"])
            if families and families[0][0] not in said.split("::"):
                family, count = families[0]
                said = f"{count:,} of {len(fitting):,} that fit are {family}"
            best[number] = {**match, "said": said}
    return best


def families_of(matches: pd.DataFrame) -> list[tuple[str, int]]:
    """Families and how many motifs each has among some, the one with most first; a pair of factors counts for both."""
    each = matches["family"].map(lambda family: sorted({part for part in str(family).split("::") if part}))
    return Counter(family for families in each for family in families).most_common()


def seqlets_per_motif(result: MotifResult) -> pd.DataFrame:
    """How many seqlets the patterns have that resemble the same known motif best.

    Returns
    -------
    DataFrame
        id, name, family (as `best_matches` says it), sign, seqlets, patterns (their names, separated by
        commas), a row a motif and sign, the one with most seqlets first; without patterns that resemble none.
    """
    best = best_matches(result)
    rows = [
        {
            **{key: str(best[number][key]) for key in ("id", "name")},
            "family": best[number]["said"],
            "sign": pattern.sign,
            "seqlets": len(pattern.seqlets),
            "patterns": pattern.name,
        }
        for number, pattern in enumerate(result.patterns)
        if number in best
    ]
    table = pd.DataFrame(rows, columns=["id", "name", "family", "sign", "seqlets", "patterns"])
    grouped = table.groupby(["id", "name", "sign"], sort=False, as_index=False)
    counts = grouped.agg({"family": "first", "seqlets": "sum", "patterns": ", ".join}) if len(table) else table
    order = counts.sort_values(["seqlets", "name", "id", "sign"], ascending=[False, True, True, False])
    return order.reset_index(drop=True)


def text_table(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, with text that cannot break a line or a field of tab-separated text."""
    clean = {
        str(name): table[name].map(one_line, na_action="ignore")
        for name in table.columns
        if not pd.api.types.is_numeric_dtype(table[name]) and not pd.api.types.is_bool_dtype(table[name])
    }
    return table.assign(**clean)


def named_matches(result: MotifResult) -> pd.DataFrame:
    """The matches with the names of their patterns in place of their numbers."""
    names = np.array([pattern.name for pattern in result.patterns], dtype=object)
    table = result.matches.drop(columns="motif", errors="ignore").reset_index(drop=True)
    return table.assign(pattern=names[table["pattern"].to_numpy(dtype=np.int64)])


def enrichment_table(result: MotifResult) -> pd.DataFrame | None:
    """The enrichment with family, share_first and share_second (of the sequences of each set), or None."""
    table = result.enrichment
    if table is None:
        return None
    families = {motif.id: motif.family for motif in result.motifs}
    table = table.assign(
        share_first=table["first"] / result.about["sequences"],
        share_second=table["second"] / result.about["against_sequences"],
    )
    table.insert(2, "family", [families.get(motif, "") for motif in table["id"]])
    return table


def _placed(found: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Places in rows of the attributions as places on the genome, with the name of the region."""
    row = found["row"].to_numpy(dtype=np.int64)
    first = regions["start"].to_numpy(dtype=np.int64)[row]
    return found.reset_index(drop=True).assign(
        chrom=regions["chrom"].to_numpy(dtype=object)[row],
        start=first + found["start"].to_numpy(dtype=np.int64),
        end=first + found["end"].to_numpy(dtype=np.int64),
        region=regions["name"].to_numpy(dtype=object)[row],
    )


def _instances(pattern: Pattern) -> pd.DataFrame:
    """Where the part of a pattern that is kept lies in the rows."""
    seqlets, kept = pattern.seqlets, pattern.kept
    width = pattern.frequencies.shape[1]
    last = min(kept.stop, width)
    reverse = seqlets["strand"] == "-"
    first = seqlets["start"] + np.where(reverse, width - last, kept.start)
    return pd.DataFrame(
        {"row": seqlets["row"], "start": first, "end": first + last - kept.start, "pattern": pattern.name}
    )


def _overlapping(seqlets: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Every seqlet with all that overlaps it, and the number of bases they share."""
    pairs = seqlets.merge(others, on="row", suffixes=("", "_other"))
    shared = np.minimum(pairs["end"], pairs["end_other"]) - np.maximum(pairs["start"], pairs["start_other"])
    return pairs.assign(shared=shared)[shared > 0]


def _score(p: pd.Series) -> pd.Series:
    with np.errstate(divide="ignore"):
        score = -100 * np.log10(p.to_numpy(dtype=float))
    return pd.Series(np.nan_to_num(score, nan=0.0, posinf=_LARGEST_SCORE).clip(0, _LARGEST_SCORE).round().astype(int))


def one_line(value: object) -> str:
    """A value as text without line ends, tabs and quotation marks."""
    return re.sub(_CONTROL, " ", str(value)).replace('"', "'").strip()


def _word(names: pd.Series, otherwise: pd.Series | None = None) -> pd.Series:
    """Names without white space, which ends a field of a BED for some readers; "." for none."""
    given = names.fillna("").astype(str)
    if otherwise is not None:
        given = given.where(given.str.strip() != "", otherwise.fillna("").astype(str))
    clean = given.str.replace(_CONTROL, " ", regex=True).str.strip().str.replace(r"\s+", "_", regex=True)
    return clean.str.replace('"', "'", regex=False).replace("", ".")
