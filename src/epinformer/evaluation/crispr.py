"""Scored links against CRISPR-tested pairs: average precision and precision at 70 % recall, beside what knows less."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.dataset.folds import bare_names
from epinformer.errors import InputError, LeakageError
from epinformer.evaluation.crispr_join import Joined, join_links, score_rules
from epinformer.evaluation.crispr_measure import Stratum, measure_scores
from epinformer.evaluation.crispr_protocols import (
    ACTIVITY_FLOOR,
    DISTANCE_FLOOR,
    NO_INFORMATION,
    STRATA,
    floor_scores,
    paper_scores,
    strata_of,
)
from epinformer.inputs.crispr import CrisprTable, read_crispr
from epinformer.inputs.links import CALIBRATED, WITHOUT, Links, read_links

logger = logging.getLogger(__name__)

DEFINITIONS = {
    "average_precision": "sum over thresholds of the gain in recall times the precision there, not interpolated; pairs "
    "of the same score are called together; a score that says nothing has the share of regulated pairs",
    "precision_at_70_recall": "precision at the highest threshold that calls 70 % of the regulated pairs",
    "missing": "pairs without the score, because no link of the gene overlaps the tested region or none has it; they "
    "are counted below all others, not left out",
    "all_valid_pairs": "the comparison to quote: all pairs, scores as they are, nothing chosen by a label",
    "as_in_the_paper": "pairs within 100 kb of genes with a regulated pair there, each score divided by its sum over "
    "the gene's tested pairs (1/distance for distances; negative values count as 0). That uses the labels: the fewer "
    f"pairs such a gene has, the likelier each is regulated, so '{NO_INFORMATION}' is far above the share of regulated "
    "pairs. Compare with that, and do not quote",
    "interval": "95 % percentile bootstrap over genes drawn with replacement",
    "differences": "first minus second on the same draws of genes, so that the interval can exclude zero although the "
    "two intervals overlap",
    DISTANCE_FLOOR: "minus the distance between tested region and TSS",
    ACTIVITY_FLOOR: "sqrt(DNase RPM x H3K27ac RPM) of the tested region, as the CRISPR table has them, times the power "
    "law of its distance; no model",
    "null": "undefined: no regulated pair, or for an interval fewer than two genes or too many draws without any",
}
_FEW_GENES = 10
_POWER = 0.8


class CrisprBenchmark(NamedTuple):
    """What `benchmark_crispr` found.

    Attributes
    ----------
    strata
        All valid pairs, by distance (`STRATA`).
    paper
        As in the paper (`paper_scores`); None if no gene has a regulated pair within 100 kb.
    tested
        The tested pairs and their outcomes.
    joined
        The links' scores of the tested pairs.
    floors
        Scores that come from the CRISPR table alone, with the index of the pairs.
    bootstraps, seed
        How the intervals were drawn.
    notes
        What a reader of the numbers must know.
    """

    strata: dict[str, Stratum]
    paper: Stratum | None
    tested: CrisprTable
    joined: Joined
    floors: pd.DataFrame
    bootstraps: int
    seed: int
    notes: tuple[str, ...]

    @property
    def scores(self) -> pd.DataFrame:
        """The links' scores and the floors, a row a tested pair."""
        return pd.concat([self.joined.scores, self.floors], axis=1)

    def table(self) -> pd.DataFrame:
        """A row a tested pair: what was tested, what came of it, the number of links that overlap, every score.

        A score has its own name, with "score: " before it where another column has that name.
        """
        outcomes = self.tested.outcomes[["regulated", "effect_size"]]
        pairs = self.tested.pairs.drop(columns=["gene", "dnase_rpm", "h3k27ac_rpm"], errors="ignore")
        table = pd.concat([pairs, outcomes.assign(links=self.joined.links)], axis=1)
        scores = self.scores.rename(columns=lambda name: f"score: {name}" if name in table else name)
        return pd.concat([table, scores], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the tables, ready for JSON: no NaN, no NumPy types."""
        tested, joined = self.tested, self.joined
        return {
            "tested": {
                "rows": tested.rows,
                "invalid": tested.invalid,
                "other_cell_types": tested.other_cell_types,
                "cell_type": tested.cell_type,
                "pairs": len(tested.pairs),
                "regulated": int(tested.outcomes["regulated"].sum()),
                "genes": int(tested.pairs["gene"].nunique()),
            },
            "links": {
                "genes": joined.genes,
                "pairs_of_missing_genes": int((~joined.gene_found).sum()),
                "pairs_without_link": int((joined.links == 0).sum()),
                "pairs_with_several_links": int((joined.links > 1).sum()),
                "scores": {name: rule.words() for name, rule in joined.rules.items()},
            },
            "all_valid_pairs": {name: stratum.to_dict() for name, stratum in self.strata.items()},
            "as_in_the_paper": None if self.paper is None else self.paper.to_dict(),
            "bootstraps": self.bootstraps,
            "seed": self.seed,
            "notes": list(self.notes),
            "definitions": DEFINITIONS,
        }


def benchmark_crispr(
    links: str | Path,
    crispr: str | Path,
    *,
    scores: Sequence[str] | None = None,
    aggregate: Mapping[str, str] | None = None,
    lower: Collection[str] = (),
    cell_type: str | None = None,
    bootstraps: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CrisprBenchmark:
    """Judge every score of a table of links by CRISPR-tested pairs.

    Parameters
    ----------
    links
        Table of links (`inputs.links.read_links`).
    crispr
        Table of tested pairs (`inputs.crispr.read_crispr`).
    scores
        Columns of the links to judge; all scores by default.
    aggregate, lower
        How scores are read, where the default is not meant (`crispr_join.score_rules`).
    cell_type
        Whose tested pairs count; needed if the table has several.
    bootstraps, seed
        Resamples of genes for the intervals.
    progress
        Called with (resamples done, resamples of all strata).

    Returns
    -------
    CrisprBenchmark

    Raises
    ------
    InputError
        A file cannot be used, the two do not fit each other, or no pair, or every pair, is regulated.
    ConfigError
        A rule is of a score that is not there, or an unknown one.
    LeakageError
        A combiner may have been trained on pairs that it is to be judged by.
    """
    tested = read_crispr(crispr, cell_type=cell_type)
    given = read_links(links, scores=scores)
    _refuse_in_sample(given, tested, links)
    joined = join_links(tested.pairs, given, score_rules(given.scores, aggregate, lower), links)
    floors = floor_scores(tested.pairs)
    everything = pd.concat([joined.scores, floors], axis=1)

    # From here on the labels are known.
    regulated = tested.outcomes["regulated"].to_numpy(bool)
    if regulated.all() or not regulated.any():
        raise InputError(
            f"has {'only regulated pairs' if regulated.any() else 'no regulated pair'}",
            source=crispr,
            count=len(regulated),
            fix="A score can be judged only by pairs of both kinds",
        )
    strata: dict[str, Stratum] = {}
    total = (len(STRATA) + 1) * bootstraps
    for number, (name, inside) in enumerate(strata_of(tested.pairs["distance"]).items()):
        strata[name] = measure_scores(
            everything[inside],
            regulated[inside],
            tested.pairs["gene"][inside],
            bootstraps=bootstraps,
            seed=seed,
            progress=_shifted(progress, number * bootstraps, total),
        )
    chosen, shares = paper_scores(tested.pairs, regulated, everything, joined.rules)
    paper = None
    if chosen.any():
        paper = measure_scores(
            shares,
            regulated[chosen],
            tested.pairs["gene"][chosen],
            bootstraps=bootstraps,
            seed=seed,
            progress=_shifted(progress, len(STRATA) * bootstraps, total),
        )
    notes = _notes(tested, joined, strata["all"], paper)
    return CrisprBenchmark(strata, paper, tested, joined, floors, bootstraps, seed, notes)


def _refuse_in_sample(given: Links, tested: CrisprTable, links: str | Path) -> None:
    """Refuse probabilities of a combiner that may have seen tested pairs of the chromosomes that it is judged on."""
    if CALIBRATED not in given.scores:
        return
    own = bare_names(given.table["chrom"])
    judged = own.isin(set(bare_names(tested.pairs["chrom"].unique()))).to_numpy()
    without = bare_names(given.table[WITHOUT]) if WITHOUT in given.table else pd.Series(None, own.index, dtype=object)
    seen = judged & given.table[CALIBRATED].notna().to_numpy() & (without != own).to_numpy(dtype=bool, na_value=True)
    if seen.any():
        row = int(seen.argmax())
        link = given.table.iloc[row]
        left_out = "" if pd.isna(without[row]) else str(without[row])
        without_it = f"was learned without {left_out}" if left_out else "does not say what was seen"
        raise LeakageError(
            f"has scores '{CALIBRATED}' of a combiner that may have been trained on the pairs to judge it by: "
            f"{WITHOUT} is not the link's own chromosome",
            source=links,
            count=int(seen.sum()),
            first=f"line {given.table.index[row]:,}: {link['chrom']}:{link['start']}-{link['end']} {without_it}",
            fix="Write the links with `epinformer links --calibrated`, or judge other scores with --score",
        )


def _shifted(progress: Callable[[int, int], None] | None, before: int, total: int) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, _: progress(before + done, total)


def _notes(tested: CrisprTable, joined: Joined, everything: Stratum, paper: Stratum | None) -> tuple[str, ...]:
    """What a reader of the numbers must know."""
    regulated = tested.outcomes["regulated"].to_numpy(bool)
    notes = []
    absent = ~joined.gene_found
    if absent.any():
        notes.append(
            f"{_counted(absent, regulated)} are of genes that the links lack; they are at the bottom of every score"
        )
    bare = joined.gene_found & (joined.links == 0)
    if bare.any():
        notes.append(f"{_counted(bare, regulated)} overlap no link of their gene; they are at the bottom, too")
    unscored = joined.scores.isna().to_numpy() & (joined.links > 0)[:, None]
    for name, column in zip(joined.scores, unscored.T, strict=True):
        if column.any():
            notes.append(
                f"{_counted(column, regulated)} overlap links that have no {name}; that puts them at its bottom"
            )
    if "held_out" in joined.loci:
        seen = (joined.loci["held_out"].str.lower() != "true").to_numpy(bool, na_value=True)
        if seen.any():
            notes.append(
                f"{seen.sum():,} of {len(seen):,} links of tested genes have scores of models that learned from the "
                "gene's chromosome, or do not say (held_out)"
            )
    share = everything.regulated / everything.pairs
    for name in joined.scores:
        value = everything.scores[str(name)].values["average_precision"]
        if value is not None and value < share:
            notes.append(
                f"{name} puts regulated pairs lower than chance would (average precision {value:.3f}, of a score that "
                f"says nothing {share:.3f}): is lower likelier?"
            )
    if everything.genes_regulated < _FEW_GENES:
        notes.append(
            f"only {everything.genes_regulated} genes have a regulated pair; the intervals are likely too narrow"
        )
    weak = ~tested.outcomes["significant"].to_numpy(bool) & (tested.outcomes["power"] < _POWER).to_numpy()
    if weak.any():
        notes.append(
            f"{weak.sum():,} of {(~regulated).sum():,} pairs that count as not regulated were tested with less than "
            "80 % power to find an effect of 25 %"
        )
    if paper is not None:
        left_out = [str(name) for name in joined.scores if str(name) not in paper.scores]
        if left_out:
            notes.append(f"as in the paper: {', '.join(left_out)} has no positive values to divide by their sum")
    unknown = tested.pairs["distance"].isna()
    if unknown.any():
        notes.append(f"{unknown.sum():,} pairs have no known distance; they are in no distance bin")
    return tuple(notes)


def _counted(pairs: NDArray[np.bool_], regulated: NDArray[np.bool_]) -> str:
    return f"{pairs.sum():,} of {len(pairs):,} tested pairs ({(pairs & regulated).sum():,} regulated)"
