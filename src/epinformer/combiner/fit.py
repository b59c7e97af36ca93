"""Learn a combiner from CRISPR-tested pairs, leaving out whole chromosomes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.combiner.model import Combiner, Member, Term, TrainingTables, transformed
from epinformer.combiner.settings import CombinerConfig, CombinerFeature
from epinformer.dataset.folds import bare_names, natural_order
from epinformer.errors import InputError
from epinformer.evaluation.calibration import Calibration, calibration
from epinformer.evaluation.crispr_join import Overlaps, join_links, overlapping_links, score_rules
from epinformer.evaluation.crispr_measure import Stratum, measure_scores
from epinformer.evaluation.crispr_protocols import floor_scores, strata_of
from epinformer.files import sha256
from epinformer.inputs.crispr import CrisprTable, read_crispr
from epinformer.inputs.links import CALIBRATED, WITHOUT, Links, number_columns, read_links

logger = logging.getLogger(__name__)

_STRATA = ("all", "within 100 kb")


class Trained(NamedTuple):
    """A combiner, and how it does on pairs that it has not seen.

    Attributes
    ----------
    combiner
        Ready to be saved.
    held_out
        A row a tested pair: chrom, start, end, gene, distance, regulated, calibrated (of the members that have not seen
        its chromosome; missing where no link of the gene overlaps the region) and calibrated_without.
    strata
        calibrated beside the floors, on all pairs and within 100 kb; a pair without a link is at the bottom.
    calibration
        Of the pairs that have a probability.
    """

    combiner: Combiner
    held_out: pd.DataFrame
    strata: dict[str, Stratum]
    calibration: Calibration


def train_combiner(
    links: str | Path,
    crispr: str | Path,
    config: CombinerConfig,
    *,
    cell_type: str | None = None,
    bootstraps: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Fit logistic regressions of `Regulated` on columns of a table of links.

    A tested pair is learned from by the link of its gene that shares most bases with the tested region. For each
    chromosome with such pairs there is a member that has seen none of them, neither labels nor values: what centres and
    scales its features and fills in missing ones comes from its own pairs, too. What a member that left out a
    chromosome says of that chromosome is what the combiner is judged by, and what it gives to links.

    Parameters
    ----------
    links
        Table of links with the columns of ``config`` (`inputs.links.read_links`).
    crispr
        Table of tested pairs (`inputs.crispr.read_crispr`).
    config
        The features and the penalty. Nothing else is chosen, so nothing is chosen by the held-out pairs.
    cell_type
        Whose tested pairs count; needed if the table has several.
    bootstraps, seed
        Resamples of genes for the intervals.
    progress
        Called with (resamples done, resamples of both strata).

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        A file cannot be used or they do not fit each other, the links lack a column, the pairs lie on one chromosome,
        or without one chromosome there is no regulated pair, or no other one, to learn from.
    """
    tested = read_crispr(crispr, cell_type=cell_type)
    features = _present(config, number_columns(links), links)
    given = read_links(links, scores=[feature.column for feature in features])
    overlaps = overlapping_links(tested.pairs, given, links)
    pair, link = _largest_overlaps(tested.pairs, overlaps)
    features = _filled(features, overlaps.table.iloc[link])
    values = overlaps.table[[feature.column for feature in features]].iloc[link].reset_index(drop=True)
    labels = tested.outcomes["regulated"].to_numpy(bool)[pair]
    chroms = bare_names(tested.pairs["chrom"].iloc[pair])
    members = _members(features, values, labels, chroms, config.penalty, crispr)
    trained_on = TrainingTables(
        links=Path(links).name,
        links_sha256=sha256(links),
        crispr=Path(crispr).name,
        crispr_sha256=sha256(crispr),
        cell_type=tested.cell_type,
        tested=len(tested.pairs),
        without_link=len(tested.pairs) - len(pair),
    )
    combiner = Combiner(config=config, members=tuple(members), trained_on=trained_on)
    return _judged(combiner, tested, overlaps.table, links, bootstraps, seed, progress)


def _present(config: CombinerConfig, columns: Sequence[str], links: str | Path) -> list[CombinerFeature]:
    """The features whose columns are there."""
    absent = [feature for feature in config.features if feature.column not in columns]
    lacking = [feature.column for feature in absent if not feature.optional]
    if lacking:
        raise InputError(
            f"lacks columns that the combiner is to read: {', '.join(lacking)}",
            source=links,
            fix="Write the links with `epinformer links --context`, or name other features with --config",
        )
    if absent:
        logger.info(
            "%s: not there, and done without: %s", Path(links).name, ", ".join(feature.column for feature in absent)
        )
    present = [feature for feature in config.features if feature.column in columns]
    if not present:
        raise InputError("has none of the columns that the combiner may read", source=links, fix="Name others")
    return present


def _filled(features: Sequence[CombinerFeature], rows: pd.DataFrame) -> list[CombinerFeature]:
    """The features that have a value for some pair to learn from."""
    empty = [feature.column for feature in features if rows[feature.column].isna().all()]
    if empty:
        logger.warning("no tested pair has a value of %s, so nothing is learned of it", ", ".join(empty))
    return [feature for feature in features if feature.column not in empty]


def _largest_overlaps(pairs: pd.DataFrame, overlaps: Overlaps) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row of each tested pair that overlaps a link, and row of the link that shares most bases; the first of equals."""
    start, end = (overlaps.table[name].to_numpy(np.int64)[overlaps.link] for name in ("start", "end"))
    low, high = (pairs[name].to_numpy(np.int64)[overlaps.tested] for name in ("start", "end"))
    shared = np.minimum(end, high) - np.maximum(start, low)
    order = np.lexsort((overlaps.link, -shared, overlaps.tested))
    pair, first = np.unique(overlaps.tested[order], return_index=True)
    return pair, overlaps.link[order][first]


def _members(
    features: Sequence[CombinerFeature],
    values: pd.DataFrame,
    labels: NDArray[np.bool_],
    chroms: pd.Series,
    penalty: float,
    crispr: str | Path,
) -> list[Member]:
    """One that sees all pairs, and one without each chromosome."""
    names = natural_order(chroms.unique())
    if len(names) < 2:
        raise InputError(
            f"has pairs with links on chromosome {names[0]} alone, so nothing is left to learn from without it",
            source=crispr,
            fix="Give pairs on at least two chromosomes",
        )
    members = []
    for without in (None, *names):
        seen = np.ones(len(labels), dtype=bool) if without is None else (chroms != without).to_numpy()
        regulated = int(labels[seen].sum())
        if regulated in (0, seen.sum()):
            kind = "no regulated pair" if regulated == 0 else "only regulated pairs"
            told = "" if without is None else f" without chromosome {without}"
            raise InputError(
                f"leaves {kind} to learn from{told}",
                source=crispr,
                count=int(seen.sum()),
                fix="Give pairs of both kinds on at least two chromosomes",
            )
        members.append(_member(without, features, values[seen], labels[seen], penalty))
    return members


def _member(
    without: str | None,
    features: Sequence[CombinerFeature],
    values: pd.DataFrame,
    labels: NDArray[np.bool_],
    penalty: float,
) -> Member:
    """Fit one logistic regression: each feature standardised, and beside it whether it is missing."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    columns, scales = [], []
    for feature in features:
        column = transformed(values[feature.column].to_numpy(np.float64), feature.log)
        missing = np.isnan(column)
        floor = float(column[~missing].min()) if not missing.all() else 0.0
        shown, blank = np.where(missing, floor, column), missing.astype(np.float64)
        means = float(shown.mean()), float(blank.mean())
        spreads = _spread(shown), _spread(blank)
        columns += [(shown - means[0]) / spreads[0], (blank - means[1]) / spreads[1]]
        scales.append((floor, means, spreads))
    with threadpool_limits(1):
        fitted = LogisticRegression(C=1 / penalty, solver="newton-cholesky", tol=1e-6, max_iter=1000).fit(
            np.column_stack(columns), labels
        )
    weights = fitted.coef_[0].reshape(-1, 2)
    intercept = float(fitted.intercept_[0])
    terms = []
    for feature, (floor, means, spreads), (weight, blank_weight) in zip(features, scales, weights, strict=True):
        if_missing = float(blank_weight / spreads[1])
        intercept -= if_missing * means[1]
        terms.append(
            Term(
                column=feature.column,
                log=feature.log,
                floor=floor,
                center=means[0],
                scale=spreads[0],
                weight=float(weight),
                missing=if_missing,
            )
        )
    return Member(
        without=without, pairs=len(labels), regulated=int(labels.sum()), intercept=intercept, terms=tuple(terms)
    )


def _spread(values: np.ndarray) -> float:
    """Standard deviation; 1 for values that are all the same, whose weight is 0 then, whatever rounding makes of it."""
    return float(values.std()) if values.max() > values.min() else 1.0


def _shifted(progress: Callable[[int, int], None], stratum: int, done: int, of: int) -> None:
    progress(stratum * of + done, len(_STRATA) * of)


def _judged(
    combiner: Combiner,
    tested: CrisprTable,
    table: pd.DataFrame,
    links: str | Path,
    bootstraps: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> Trained:
    """What the members say of pairs that they have not seen, against the outcomes."""
    scored = Links(combiner.scored(table), (CALIBRATED,))
    value = join_links(tested.pairs, scored, score_rules([CALIBRATED]), links).scores[CALIBRATED]
    regulated = tested.outcomes["regulated"].to_numpy(bool)
    scores = pd.concat([value, floor_scores(tested.pairs)], axis=1)
    strata: dict[str, Stratum] = {}
    for number, name in enumerate(_STRATA):
        inside = strata_of(tested.pairs["distance"])[name]
        strata[name] = measure_scores(
            scores[inside],
            regulated[inside],
            tested.pairs["gene"][inside],
            bootstraps=bootstraps,
            seed=seed,
            progress=None if progress is None else partial(_shifted, progress, number),
        )
    known = value.notna().to_numpy()
    found = calibration(regulated[known], value.to_numpy(np.float64)[known])
    told: dict[str, Any] = {name: stratum.to_dict() for name, stratum in strata.items()}
    combiner = combiner.model_copy(update={"held_out": told | {"calibration": found.to_dict()}})
    kept = [name for name in ("chrom", "start", "end", "gene", "distance") if name in tested.pairs]
    held_out = tested.pairs[kept].assign(regulated=regulated, calibrated=value)
    held_out[WITHOUT] = held_out["chrom"].where(known)
    return Trained(combiner, held_out.reset_index(drop=True), strata, found)
