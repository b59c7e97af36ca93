"""Figures of a comparison with CRISPR-tested pairs: curves, bars by distance, values with intervals."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from epinformer.evaluation.crispr import CrisprBenchmark
from epinformer.evaluation.crispr_measure import Stratum
from epinformer.evaluation.crispr_protocols import ACTIVITY_FLOOR, DISTANCE_FLOOR, NO_INFORMATION, strata_of
from epinformer.evaluation.precision_recall import curve
from epinformer.report.figures import COLOURS, GRID, INK, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE_WIDTH, DPI = 7.2, 200
"""Inches, and dots an inch."""
_FLOORS = {DISTANCE_FLOOR: COLOURS[1], ACTIVITY_FLOOR: COLOURS[5], NO_INFORMATION: "#b9c2ca"}
_FIRST_RECALL = 0.01
_BARS = ("0-10 kb", "10-100 kb", "beyond 100 kb")


def colours_of(scores: Sequence[str]) -> dict[str, str]:
    """A colour for each score, floors in greys."""
    own = [COLOURS[0], *COLOURS[2:5]]
    names = [name for name in scores if name not in _FLOORS]
    return {name: own[place % len(own)] for place, name in enumerate(names)} | _FLOORS


def precision_recall(benchmark: CrisprBenchmark, scores: Sequence[str]) -> Figure:
    """Draw the curves of some scores on all valid pairs, and on those within 100 kb.

    A curve starts at a recall of 1 % and ends where the score has no value for the remaining pairs.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.9), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    colours = colours_of(scores)
    regulated = benchmark.tested.outcomes["regulated"].to_numpy(bool)
    inside = strata_of(benchmark.tested.pairs["distance"])
    for axes, stratum in zip(panels, ("all", "within 100 kb"), strict=True):
        of = benchmark.strata[stratum]
        chosen = inside[stratum]
        for name in reversed(scores):
            points = curve(regulated[chosen], benchmark.scores[name][chosen])
            # The first few hits and misses only draw lines along the axis.
            scored = np.isfinite(points.threshold) & (points.recall >= _FIRST_RECALL)
            axes.plot(
                points.recall[scored],
                points.precision[scored],
                color=colours[name],
                linewidth=1.3 if name in _FLOORS else 1.8,
                linestyle=(0, (4, 1.5)) if name in _FLOORS else "-",
                label=name,
            )
        axes.axhline(of.regulated / max(of.pairs, 1), color=SOFT, linewidth=0.9, linestyle=":")
        axes.axvline(0.7, color=GRID, linewidth=0.8, zorder=0)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        title = "all valid pairs" if stratum == "all" else stratum
        axes.set_title(f"{title}: {of.regulated:,} of {of.pairs:,} regulated", fontsize=9, color=INK)
        axes.set_xlabel("recall", color=INK)
        clear(axes)
    panels[0].set_ylabel("precision", color=INK)
    handles, names = panels[0].get_legend_handles_labels()
    values = [
        " | ".join(_number(benchmark.strata[stratum].scores[name].values["average_precision"]) for stratum in inside)
        for inside, name in ((("all", "within 100 kb"), name) for name in names)
    ]
    figure.legend(
        handles[::-1],
        [f"{name}   {value}" for name, value in zip(names[::-1], values[::-1], strict=True)],
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=8.5,
        handlelength=2.2,
        title="average precision, all | within 100 kb; dotted: a score that says nothing",
        title_fontsize=8.5,
    )
    return figure


def by_distance(benchmark: CrisprBenchmark, scores: Sequence[str]) -> Figure:
    """Draw the average precision of some scores in each distance bin, with 95 % intervals."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(PAGE_WIDTH, 3.3), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    colours = colours_of(scores)
    width = 0.8 / max(len(scores), 1)
    for place, name in enumerate(scores):
        at = np.arange(len(_BARS)) + (place - (len(scores) - 1) / 2) * width
        measured = [benchmark.strata[stratum].scores[name] for stratum in _BARS]
        values = [each.values["average_precision"] for each in measured]
        axes.bar(
            at,
            [value or 0 for value in values],
            width=0.9 * width,
            color=colours[name],
            label=name,
        )
        for x, each, value in zip(at, measured, values, strict=True):
            interval = each.intervals["average_precision"]
            if interval is not None and value is not None:
                axes.plot([x, x], interval, color=INK, linewidth=0.9)
    for place, stratum in enumerate(_BARS):
        of = benchmark.strata[stratum]
        if of.pairs:
            axes.plot([place - 0.45, place + 0.45], [of.regulated / of.pairs] * 2, color=SOFT, linestyle=":")
    handles, names = axes.get_legend_handles_labels()
    figure.legend(
        [*handles, Line2D([], [], color=SOFT, linestyle=":")],
        [*names, "a score that says nothing"],
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=8.5,
    )
    sizes = [f"{benchmark.strata[each].regulated:,} of {benchmark.strata[each].pairs:,} regulated" for each in _BARS]
    axes.set_xticks(range(len(_BARS)), [f"{each}\n{size}" for each, size in zip(_BARS, sizes, strict=True)])
    axes.set_ylim(0, 1)
    axes.set_ylabel("average precision", color=INK)
    clear(axes)
    return figure


def values(stratum: Stratum, scores: Sequence[str], nothing: float | None) -> Figure:
    """Draw the average precision of scores with 95 % intervals, one under the other.

    Parameters
    ----------
    stratum
        Of which pairs.
    scores
        Which, in the order of their colours (`colours_of`); those that the stratum lacks are passed over.
    nothing
        What a score has that says nothing, drawn as a dotted line.
    """
    from matplotlib.figure import Figure

    known = {
        name: (value, each.intervals["average_precision"])
        for name, each in stratum.scores.items()
        if (value := each.values["average_precision"]) is not None and name in (*scores, NO_INFORMATION)
    }
    names = sorted(known, key=lambda name: -known[name][0])
    figure = Figure(figsize=(4.8, 0.8 + 0.4 * max(2, len(names))), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    colours = colours_of(scores)
    for row, name in enumerate(names):
        value, interval = known[name]
        if interval is not None:
            axes.plot(interval, [row, row], color=colours[name], linewidth=3.5, alpha=0.45)
        marker, size = ("s", 6.5) if name in _FLOORS else ("o", 8)
        axes.plot(value, row, marker, color=colours[name], markersize=size, markeredgecolor="white")
        axes.annotate(
            _number(value), (value, row), (0, 7), textcoords="offset points", ha="center", fontsize=8.5, color=INK
        )
    if nothing is not None:
        axes.axvline(nothing, color=SOFT, linewidth=0.9, linestyle=":")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(2, len(names)) - 0.5, -0.8)
    axes.set_xlabel("average precision", color=INK)
    axes.margins(x=0.1)
    clear(axes, grid="x")
    return figure


def pdf(figure: Figure) -> bytes:
    """A figure as a PDF with its text as text."""
    import matplotlib

    buffer = io.BytesIO()
    # Nothing of the day or the program's version: the same figure gives the same bytes.
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()


def clear(axes: Axes, *, grid: Literal["x", "y"] = "y") -> None:
    """No box but a base line, light grid lines, soft ticks."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, labelcolor=INK, length=0, labelsize=8.5)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
