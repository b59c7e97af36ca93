"""A cross-validation for people: a summary in words, and a folder with tables, pictures and a page to look at."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from epinformer.evaluation.crossval import MODEL, CrossvalEvaluation, Difference, Score
from epinformer.evaluation.expression import Metrics
from epinformer.files import atomic_file
from epinformer.report.crossval_page import crossval_page, plain
from epinformer.report.evaluation import made_folder
from epinformer.report.figures import Estimate, dots, learning_curves, per_fold, scatter
from epinformer.report.html import png
from epinformer.report.tables import write_table

PREDICTIONS = ("gene_id", "gene_name", "chrom", "fold", "observed", "predicted", "predicted_sd")
"""Columns of ``predictions.tsv``; a column ``baseline_<name>`` for each baseline follows."""


def summary(evaluation: CrossvalEvaluation) -> str:
    """The model and its baselines, pooled and by fold, and the notes, as a plain text table."""
    width = 2 + max(len(name) for name in (MODEL, "fold 10", *evaluation.baselines))
    pooled = evaluation.model.pooled
    left_out = f", {evaluation.without_observed:,} without an observed value left out"
    lines = [
        f"{pooled.n:,} of {evaluation.genes:,} genes"
        + (left_out if evaluation.without_observed else "")
        + f", {evaluation.chromosomes} chromosome{'s' if evaluation.chromosomes > 1 else ''}, "
        f"{len(evaluation.per_fold)} fold{'s' if len(evaluation.per_fold) != 1 else ''}",
        "",
        f"{'':<{width}}{'n':>8}  {'Pearson [95 %]':<23}{'Spearman':>9}{'R²':>9}  model − baseline, Pearson [95 %]",
        _row(MODEL, evaluation.model, None, width),
    ]
    for name, score in evaluation.baselines.items():
        lines.append(_row(name, score, evaluation.differences[name], width))
    if len(evaluation.per_fold) > 1:
        lines += ["", f"{'Pearson':<{width}}{'n':>8}" + "".join(f"  {name}" for name in (MODEL, *evaluation.baselines))]
        for fold, predictors in evaluation.per_fold.items():
            values = "".join(f"  {_number(each.pearson):>{len(name)}}" for name, each in predictors.items())
            lines.append(f"{f'fold {fold}':<{width}}{predictors[MODEL].n:>8,}{values}")
    lines += [f"note: {note}" for note in evaluation.notes]
    return "\n".join(line.rstrip() for line in lines)


def write_crossval(
    folder: str | Path,
    evaluation: CrossvalEvaluation,
    table: pd.DataFrame,
    *,
    history: pd.DataFrame,
    about: Mapping[str, Any],
) -> None:
    """Write ``predictions.tsv``, ``metrics.json``, ``figures/`` and ``report.html`` into a folder.

    The folder is made if it is not there. Earlier files are replaced, all or, on a failure before the last is complete,
    none.

    Parameters
    ----------
    folder
        Where to.
    evaluation
        What `evaluate_crossval` made of the table.
    table
        The table it was made of: ``gene_id chrom fold observed predicted``, and ``gene_name`` and ``predicted_sd`` if
        there are.
    history
        ``fold seed epoch train_loss validation_mse``, a row an epoch; may be empty.
    about
        Plain values that say what was run, all optional: ``title preset target dataset assembly cell_type genes
        elements pairs content_hash seeds folds package_version time``; ``filters`` (mappings of table, step, before,
        after), ``notes`` (list of text), ``leakage`` (what of the test data the model may have seen: true, or a
        list of text), ``config`` (nested). Others are shown as they are.

    Raises
    ------
    OutputError
        The folder cannot be made or written to.
    """
    folder, about = Path(folder), plain(about)
    predictions = predictions_table(evaluation, table)
    pictures = {name: png(figure) for name, figure in _figures(evaluation, predictions, history)}
    page = crossval_page(evaluation, predictions, pictures, about)
    numbers = {"about": {key: value for key, value in about.items() if key != "config"}, **evaluation.to_dict()}
    # Everything is written under temporary names before the first is renamed.
    with contextlib.ExitStack() as stack:
        stack.enter_context(made_folder(folder / "figures"))
        text = json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        stack.enter_context(atomic_file(folder / "report.html")).write_text(page, encoding="utf-8")
        for name, picture in pictures.items():
            stack.enter_context(atomic_file(folder / "figures" / f"{name}.png")).write_bytes(picture)
        stack.enter_context(atomic_file(folder / "metrics.json")).write_text(text, encoding="utf-8")
        with stack.enter_context(atomic_file(folder / "predictions.tsv")).open("w", encoding="utf-8") as handle:
            write_table(predictions, handle)


def predictions_table(evaluation: CrossvalEvaluation, table: pd.DataFrame) -> pd.DataFrame:
    """The table of held-out predictions with a column for each baseline."""
    columns = [column for column in PREDICTIONS if column in table]
    baselines = {f"baseline_{name.replace(' ', '_')}": values for name, values in evaluation.predictions.items()}
    return table.loc[:, columns].reset_index(drop=True).assign(**baselines)


def _figures(
    evaluation: CrossvalEvaluation, predictions: pd.DataFrame, history: pd.DataFrame
) -> Iterator[tuple[str, Any]]:
    known = predictions[predictions["observed"].notna()]
    yield "observed_vs_predicted", scatter(known["observed"], known["predicted"], title=f"{len(known):,} genes")
    scores = {MODEL: evaluation.model, **evaluation.baselines}
    estimates = [_estimate(name, score.pooled.pearson, score.intervals["pearson"]) for name, score in scores.items()]
    yield "comparison", dots(estimates, label="Pearson correlation")
    estimates = [
        _estimate(name, each.values["pearson"], each.intervals["pearson"])
        for name, each in evaluation.differences.items()
    ]
    yield "differences", dots(estimates, label="model − baseline, Pearson", zero=True)
    if evaluation.per_fold:
        values = {
            fold: {name: metrics.pearson for name, metrics in predictors.items()}
            for fold, predictors in evaluation.per_fold.items()
        }
        sizes = {fold: predictors[MODEL].n for fold, predictors in evaluation.per_fold.items()}
        yield "per_fold", per_fold(values, sizes, label="Pearson correlation")
    if len(history):
        yield "learning_curves", learning_curves(history)


def _estimate(label: str, value: float | None, interval: tuple[float, float] | None) -> Estimate:
    return Estimate(label, value, *(interval or (None, None)))


def _row(name: str, score: Score, difference: Difference | None, width: int) -> str:
    pooled: Metrics = score.pooled
    line = f"{name:<{width}}{pooled.n:>8,}  {_bounded(pooled.pearson, score.intervals['pearson'], '.3f'):<23}"
    line += f"{_number(pooled.spearman):>9}{_number(pooled.r2):>9}"
    if difference is not None:
        line += f"  {_bounded(difference.values['pearson'], difference.intervals['pearson'], '+.4f')}"
    return line


def _bounded(value: float | None, interval: tuple[float, float] | None, style: str) -> str:
    if value is None:
        return "-"
    return f"{value:{style}}" + (f" [{interval[0]:{style}}, {interval[1]:{style}}]" if interval else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
