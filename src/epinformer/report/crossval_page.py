"""The page of a cross-validation, out of what was already computed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import yaml

from epinformer.evaluation.bootstrap import Interval
from epinformer.evaluation.crossval import MODEL, CrossvalEvaluation, Difference
from epinformer.evaluation.expression import Metrics
from epinformer.report.html import (
    Block,
    Bullets,
    Card,
    Columns,
    Facts,
    Listing,
    Picture,
    Section,
    Table,
    Text,
    embed,
    page,
)

_WORST = 10
# In this order, and under these names; what else `about` holds follows.
_FACTS = {
    "dataset": "Dataset",
    "content_hash": "Content hash",
    "cell_type": "Cell type",
    "assembly": "Assembly",
    "target": "Target",
    "genes": "Genes",
    "elements": "Elements",
    "pairs": "Pairs",
    "preset": "Preset",
    "folds": "Folds",
    "seeds": "Seeds",
    "package_version": "epinformer",
    "time": "Time",
}
_READING = (
    "Held out: every gene is predicted by a model that was neither trained nor stopped on its chromosome, and so is "
    "every baseline, with the same folds.",
    "Pearson: how well predicted and observed lie on a straight line, 1 at best; a shift or a stretch of the "
    "predictions does not count.",
    "Spearman: the same of the ranks, so single extreme genes weigh less.",
    "R²: the share of the variance that the predictions explain as they are; 0 is the mean for all genes, below 0 is "
    "worse than that.",
    "95 % interval: whole chromosomes were drawn with replacement {drawn}, as genes of one chromosome are not "
    "independent; the interval holds the middle 95 % of the values. It does not tell how another training run would "
    "differ.",
    "Difference: both predictors see the same draws, so its interval can exclude zero although their own two overlap.",
)
_ELSEWHERE = ("title", "notes", "leakage", "config", "filters")


def crossval_page(
    evaluation: CrossvalEvaluation, predictions: pd.DataFrame, pictures: Mapping[str, bytes], about: Mapping[str, Any]
) -> str:
    """Lay out the page.

    Parameters
    ----------
    evaluation
        The numbers.
    predictions
        As `report.crossval.predictions_table` gives.
    pictures
        PNG images by name: ``observed_vs_predicted comparison differences``; ``per_fold`` and ``learning_curves`` if
        there are.
    about
        As `report.crossval.write_crossval` takes, made `plain`.

    Returns
    -------
    str
        HTML.
    """
    images = {name: embed(picture) for name, picture in pictures.items()}
    subject = [about.get(key) for key in ("cell_type", "assembly", "target")]
    preset = about.get("preset")
    return page(
        str(about.get("title") or "Cross-validation"),
        [
            Section("Against the baselines", _against(evaluation, images)),
            Section("To bear in mind", _caveats(evaluation, about)),
            Section("Observed and predicted", _observed(evaluation, predictions, images["observed_vs_predicted"])),
            Section("Fold by fold", _folds(evaluation, images.get("per_fold"))),
            Section("Training", _training(images.get("learning_curves"))),
            Section("Data", _data(about)),
            Section("Settings", _settings(about)),
            Section("How to read this", _reading(evaluation)),
        ],
        subtitle=" · ".join(str(each) for each in (*subject, f"preset {preset}" if preset else None) if each),
        cards=_cards(evaluation, about),
        lead=_verdict(evaluation),
        warnings=_warnings(about),
        footer=_footer(about),
    )


def _verdict(evaluation: CrossvalEvaluation) -> str:
    """What the paired differences say, in a sentence."""
    said: dict[str, list[str]] = {}
    for name, difference in evaluation.differences.items():
        said.setdefault(_compared(difference), []).append(name)
    if not said:
        return ""
    words = "; ".join(f"{verdict} {' and '.join(names)}" for verdict, names in said.items())
    return f"By Pearson correlation on the same {evaluation.model.pooled.n:,} held-out genes the model is {words}."


def _compared(difference: Difference) -> str:
    value, interval = difference.values["pearson"], difference.intervals["pearson"]
    if value is None:
        return "not comparable with"
    if interval is None:
        return f"{'ahead of' if value > 0 else 'not ahead of'} (without an interval to judge by)"
    if interval.low > 0:
        return "better than"
    return "worse than" if interval.high < 0 else "not told apart from"


def _cards(evaluation: CrossvalEvaluation, about: Mapping[str, Any]) -> list[Card]:
    pooled, intervals = evaluation.model.pooled, evaluation.model.intervals
    folds = len(evaluation.per_fold)
    heldout = f"{pooled.n:,} held-out genes, {folds} fold{'s' if folds != 1 else ''}"
    cards = [
        Card("Pearson correlation", _number(pooled.pearson), f"{_span(intervals['pearson'])}\n{heldout}"),
        Card("Spearman", _number(pooled.spearman), _span(intervals["spearman"])),
        Card("R²", _number(pooled.r2), _span(intervals["r2"])),
    ]
    for name, each in evaluation.differences.items():
        interval = each.intervals["pearson"]
        detail = f"{_signed(interval.low)} to {_signed(interval.high)}" if interval else "no interval"
        cards.append(Card(f"Pearson above {name}", _signed(each.values["pearson"]), detail))
    return cards


def _against(evaluation: CrossvalEvaluation, images: Mapping[str, str]) -> list[Block]:
    pooled = evaluation.model.pooled
    rows = [[MODEL, *_measured(evaluation.model.pooled, evaluation.model.intervals), "", ""]]
    for name, score in evaluation.baselines.items():
        each = evaluation.differences[name]
        rows.append(
            [
                name,
                *_measured(score.pooled, score.intervals),
                _differs(each, "pearson"),
                _differs(each, "r2"),
            ]
        )
    return [
        Columns(
            [
                Picture(
                    images["comparison"],
                    f"Pearson correlation with 95 % interval: {_listed(evaluation)}.",
                    f"Pearson correlation over {pooled.n:,} genes, with 95 % intervals.",
                ),
                Picture(
                    images["differences"],
                    "Pearson correlation of the model minus that of each baseline, with 95 % interval.",
                    "The paired difference: an interval right of the line is a model that predicts better.",
                ),
            ]
        ),
        Table(
            ["", "genes", "Pearson", "Spearman", "R²", "model above it, Pearson", "model above it, R²"],
            rows,
            "95 % intervals in brackets; differences on the same genes and draws.",
        ),
    ]


def _observed(evaluation: CrossvalEvaluation, predictions: pd.DataFrame, image: str) -> list[Block]:
    n = evaluation.model.pooled.n
    picture = Picture(
        image,
        f"Predicted against observed expression of {n:,} genes, Pearson {_number(evaluation.model.pooled.pearson)}.",
        "Each gene as predicted by the model that had not seen its chromosome.",
    )
    return [Columns([picture, _worst(predictions)])]


def _worst(predictions: pd.DataFrame) -> Table:
    """The genes that the model misses by most."""
    known = predictions[predictions["observed"].notna()]
    missed = known["observed"] - known["predicted"]
    worst = known.loc[missed.abs().sort_values(ascending=False, kind="stable").index[:_WORST]]
    spread = "predicted_sd" in worst
    rows = []
    for _, gene in worst.iterrows():
        name = gene.get("gene_name")
        row = [str(gene["gene_id"] if name is None or pd.isna(name) or not str(name).strip() else name)]
        row += [str(gene["chrom"])]
        row += [_number(gene["observed"], 2), _number(gene["predicted"], 2)]
        if spread:
            row.append("" if pd.isna(gene["predicted_sd"]) else f"± {gene['predicted_sd']:.2f}")
        rows.append([*row, _signed(gene["observed"] - gene["predicted"], 2)])
    header = ["gene", "chrom", "observed", "predicted", *(["seeds"] if spread else []), "off by"]
    caption = f"The {len(rows)} genes furthest from their prediction; off by: observed − predicted."
    if spread:
        caption += " Seeds: standard deviation of the prediction between training seeds."
    return Table(header, rows, caption, words=2)


def _folds(evaluation: CrossvalEvaluation, image: str | None) -> list[Block]:
    # One fold is the whole, which is above.
    if image is None or len(evaluation.per_fold) < 2:
        return []
    rows = []
    for fold, predictors in evaluation.per_fold.items():
        values = [_number(each.pearson) for each in predictors.values()]
        rows.append([f"fold {fold}", f"{predictors[MODEL].n:,}", *values])
    names = list(next(iter(evaluation.per_fold.values())))
    ahead = _ahead(evaluation)
    picture = Picture(
        image,
        f"Pearson correlation of {', '.join(names)} in each of {len(rows)} folds.",
        f"Each fold's genes are predicted by models that had not seen them. {ahead}".rstrip(),
    )
    return [Columns([picture, Table(["", "genes", *names], rows, "Pearson correlation over the genes of a fold.")])]


def _ahead(evaluation: CrossvalEvaluation) -> str:
    """In how many folds the model has the higher correlation."""
    parts = []
    for name in evaluation.baselines:
        pairs = [(each[MODEL].pearson, each[name].pearson) for each in evaluation.per_fold.values()]
        known = [(mine, other) for mine, other in pairs if mine is not None and other is not None]
        if known:
            parts.append(f"{name} in {sum(mine > other for mine, other in known)} of {len(known)}")
    return f"The model is ahead of {', of '.join(parts)}." if parts else ""


def _training(image: str | None) -> list[Block]:
    if image is None:
        return []
    return [
        Picture(
            image,
            "Training loss and validation error by epoch, a panel a fold.",
            "A line a seed; the dot is its lowest validation error. The weights that predict are those of that epoch, "
            "or of the last, as fit.keep says. The training loss need not be a mean squared error: compare its course, "
            "not its height.",
            width=38,
        )
    ]


def _data(about: Mapping[str, Any]) -> list[Block]:
    known = [(label, _said(about[key])) for key, label in _FACTS.items() if about.get(key) not in (None, "", [])]
    others = [
        (key.replace("_", " "), _said(value))
        for key, value in about.items()
        if key not in _FACTS and key not in _ELSEWHERE and value not in (None, "", [])
    ]
    blocks: list[Block] = [Facts([*known, *others])] if known or others else []
    if about.get("filters"):
        rows = [
            [str(step["table"]), str(step["step"]), f"{step['before']:,}", f"{step['after']:,}"]
            for step in about["filters"]
        ]
        blocks.append(Table(["table", "filter", "before", "after"], rows, "What was left out of the data.", words=2))
    return blocks


def _settings(about: Mapping[str, Any]) -> list[Block]:
    if not about.get("config"):
        return []
    text = yaml.safe_dump(about["config"], sort_keys=False, allow_unicode=True, width=100)
    return [Text("Everything that decides the result, defaults filled in."), Listing("Show the configuration", text)]


def _reading(evaluation: CrossvalEvaluation) -> list[Block]:
    drawn = f"{evaluation.bootstraps:,} times (seed {evaluation.seed})"
    return [Bullets([line.format(drawn=drawn) for line in _READING])]


def _caveats(evaluation: CrossvalEvaluation, about: Mapping[str, Any]) -> list[Block]:
    notes = [*(str(note) for note in about.get("notes") or []), *evaluation.notes]
    return [Bullets([f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in notes])] if notes else []


def _warnings(about: Mapping[str, Any]) -> list[str]:
    leaks = about.get("leakage")
    warnings = []
    if leaks:
        warnings.append(
            "Leakage was allowed: the model may have seen what it is tested on. Do not quote these numbers."
        )
        warnings += [str(leak) for leak in leaks] if isinstance(leaks, list) else []
    return warnings


def _footer(about: Mapping[str, Any]) -> str:
    made = f"epinformer {about['package_version']}" if about.get("package_version") else "epinformer"
    return f"Made by {made}. The numbers are in metrics.json, the predictions in predictions.tsv beside this page."


def _listed(evaluation: CrossvalEvaluation) -> str:
    scores = {MODEL: evaluation.model, **evaluation.baselines}
    return ", ".join(f"{name} {_number(score.pooled.pearson)}" for name, score in scores.items())


def _measured(pooled: Metrics, intervals: Mapping[str, Interval | None]) -> list[str]:
    values = [_number(pooled.pearson), _number(pooled.spearman), _number(pooled.r2)]
    spans = [f"\n[{_number(pair.low)}, {_number(pair.high)}]" if pair else "" for pair in intervals.values()]
    return [f"{pooled.n:,}", *(value + span for value, span in zip(values, spans, strict=True))]


def _differs(difference: Difference, metric: str) -> str:
    interval = difference.intervals[metric]
    span = f"\n[{_signed(interval.low)}, {_signed(interval.high)}]" if interval else ""
    return _signed(difference.values[metric]) + span


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _signed(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def _span(interval: Interval | None) -> str:
    return f"{_number(interval.low)} to {_number(interval.high)}" if interval else "no interval"


def _said(value: Any) -> str:
    """A plain value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(each) for each in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return str(value)


def plain(about: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON knows them: no NaN, no NumPy types, paths and the like as text."""
    text = json.dumps(about, default=lambda value: value.item() if hasattr(value, "item") else str(value))
    plain: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
    return plain
