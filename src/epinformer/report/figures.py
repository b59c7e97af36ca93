"""Figures. They are drawn without a display; whoever asks for one writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# From here on single points hide each other and a density says more.
_MANY = 2_000
# Ranges that differ by more are drawn on axes of their own.
_COMMON_SCALE = 4.0
# Limits, margins and ticks of larger values would leave the range of floating-point numbers.
_LARGEST = 1e100
# Told apart by every kind of colour vision (after Okabe and Ito), and by their shapes on paper: the first is what a
# figure is about, the others what it is compared with.
COLOURS = ("#0072b2", "#7a8793", "#d98200", "#009e73", "#b8568d", "#3d4a57")
MARKERS = ("o", "s", "D", "^", "v", "P")
INK, SOFT, GRID = "#1b2733", "#5b6875", "#dfe5ea"
_DENSITY = ("#d3e6f3", "#6fb1d9", "#0072b2", "#083a63", "#041b30")
# Inches: half of a page, or all of a phone.
_WIDTH = 4.8
_DPI = 200
# Curves of a fold: training, validation.
_TRAINING, _VALIDATION = "#9aa5b0", COLOURS[0]


class Estimate(NamedTuple):
    """A number with its interval; None where undefined."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None


def scatter(observed: ArrayLike, predicted: ArrayLike, *, title: str = "") -> Figure:
    """Draw predicted against observed expression, points for few genes and a hexagonal density for many.

    Parameters
    ----------
    observed, predicted
        Shape (n,), finite.
    title
        Shown above; several lines are fine.

    Returns
    -------
    Figure
        matplotlib's, not yet written.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    x, y = (np.clip(np.asarray(values, dtype=float), -_LARGEST, _LARGEST) for values in (observed, predicted))
    many = len(x) >= _MANY
    figure = Figure(figsize=(5.2 if many else 4.5, 4.5), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    x_limits, y_limits = _limits(x, y)
    if many:
        colours = LinearSegmentedColormap.from_list("density", _DENSITY)
        density = axes.hexbin(
            x, y, gridsize=60, bins="log", mincnt=1, extent=(*x_limits, *y_limits), linewidths=0.1, cmap=colours
        )
        figure.colorbar(density, ax=axes, label="genes", shrink=0.8).outline.set_visible(False)
    else:
        axes.scatter(x, y, s=18, color=COLOURS[0], alpha=0.65, linewidths=0)
    _dress(axes, x_limits, y_limits, title)
    return figure


def dots(estimates: Sequence[Estimate], *, label: str, zero: bool = False) -> Figure:
    """Draw numbers with their intervals, one under the other.

    Parameters
    ----------
    estimates
        Scores, the model first; or, with ``zero``, differences of the model to each of the others.
    label
        What the numbers are.
    zero
        Whether zero is shown and a sign written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 0.75 + 0.47 * max(2, len(estimates))), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    for row, estimate in enumerate(estimates):
        if estimate.value is not None:
            _dot(
                axes,
                row,
                estimate,
                estimate.value,
                style=row + zero,
                text=f"{estimate.value:{'+.4f' if zero else '.3f'}}",
            )
    if zero:
        axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.set_yticks(range(len(estimates)), [estimate.label for estimate in estimates])
    axes.set_ylim(max(2, len(estimates)) - 0.5, -0.75)
    axes.set_xlabel(label, color=INK)
    axes.margins(x=0.14)
    axes.locator_params(axis="x", nbins=5)
    _clear(axes, grid="x")
    return figure


def per_fold(folds: Mapping[str, Mapping[str, float | None]], sizes: Mapping[str, int], *, label: str) -> Figure:
    """Draw one metric of every predictor, a row a fold.

    Parameters
    ----------
    folds
        Fold to predictor to value, the model first.
    sizes
        Number of genes of each fold.
    label
        What the numbers are.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 1 + 0.31 * len(folds)), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    names = list(next(iter(folds.values()))) if folds else []
    for row, values in enumerate(folds.values()):
        known = [value for value in values.values() if value is not None]
        if known:
            axes.plot([min(known), max(known)], [row, row], color=GRID, linewidth=2.5, zorder=1)
    for number, name in reversed(list(enumerate(names))):
        axes.scatter(
            np.array([values[name] for values in folds.values()], dtype=float),
            range(len(folds)),
            label=name,
            s=58 if number == 0 else 34,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            edgecolors="white",
            linewidths=0.7,
            zorder=4 if number == 0 else 3,
        )
    axes.set_yticks(range(len(folds)), [f"fold {fold}   n {sizes[fold]:,}" for fold in folds])
    axes.set_ylim(len(folds) - 0.4, -0.6)
    axes.margins(x=0.04)
    axes.set_xlabel(label, color=INK)
    _clear(axes, grid="x")
    handles, written = axes.get_legend_handles_labels()
    figure.legend(
        handles[::-1],
        written[::-1],
        loc="outside upper right",
        ncols=min(3, max(1, len(names))),
        frameon=False,
        fontsize=9,
        columnspacing=1.2,
        handletextpad=0.5,
    )
    return figure


def learning_curves(history: pd.DataFrame) -> Figure:
    """Draw training loss and validation error by epoch, a panel a fold, a line a seed, the lowest error marked.

    Parameters
    ----------
    history
        ``fold seed epoch train_loss validation_mse``, a row an epoch.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    folds = list(dict.fromkeys(history["fold"]))
    columns = min(3, len(folds))
    rows = -(-len(folds) // columns)
    figure = Figure(figsize=(5.6, 0.9 + (1.4 if columns > 2 else 2.2) * rows), dpi=_DPI, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, fold in zip(panels, folds, strict=False):
        for _, run in history[history["fold"] == fold].groupby("seed"):
            run = run.sort_values("epoch")
            axes.plot(run["epoch"], run["train_loss"], color=_TRAINING, linewidth=0.9)
            axes.plot(run["epoch"], run["validation_mse"], color=_VALIDATION, linewidth=1.1, alpha=0.8)
            if run["validation_mse"].notna().any():
                best = run.loc[run["validation_mse"].idxmin()]
                axes.plot(best["epoch"], best["validation_mse"], "o", color=COLOURS[2], markersize=4.5, zorder=4)
        axes.set_title(f"fold {fold}", fontsize=9, color=INK)
        axes.locator_params(axis="x", nbins=4, integer=True)
        _clear(axes, grid="y")
    for axes in panels[len(folds) :]:
        axes.set_visible(False)
    panels[0].set_ylim(*_curve_limits(history))
    figure.supxlabel("epoch", fontsize=10, color=INK)
    figure.legend(
        [
            Line2D([], [], color=_TRAINING),
            Line2D([], [], color=_VALIDATION),
            Line2D([], [], color=COLOURS[2], marker="o", linestyle=""),
        ],
        ["training loss", "validation MSE", "lowest"],
        loc="outside upper right",
        ncols=3,
        frameon=False,
        fontsize=9,
        columnspacing=1.2,
        handletextpad=0.5,
    )
    return figure


def _curve_limits(history: pd.DataFrame) -> tuple[float, float]:
    """The range of the curves; a bad first epoch may leave it, so that the others can be told apart."""
    later = history[history["epoch"] > history.groupby(["fold", "seed"])["epoch"].transform("min")]
    values = (later if len(later) else history)[["train_loss", "validation_mse"]].to_numpy(dtype=float)
    values = values[np.isfinite(values) & (np.abs(values) < _LARGEST)]
    return _span(values) if values.size else (0.0, 1.0)


def _dot(axes: Axes, row: int, estimate: Estimate, value: float, *, style: int, text: str) -> None:
    """A dot, its interval, and its number above."""
    colour = COLOURS[style % len(COLOURS)]
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=3.5, alpha=0.45)
    marker = MARKERS[style % len(MARKERS)]
    axes.plot(value, row, marker, color=colour, markersize=8, markeredgecolor="white", zorder=3)
    axes.annotate(
        text.replace("-", "−"), (value, row), (0, 8), textcoords="offset points", ha="center", fontsize=9, color=INK
    )


def _clear(axes: Axes, *, grid: Literal["x", "y"]) -> None:
    """No box, light grid lines, soft ticks."""
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, labelcolor=INK, length=0, labelsize=9)


def _limits(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of both axes with a margin: the same for both unless the scales are far apart."""
    spans = [_span(x), _span(y)]
    widths = [high - low for low, high in spans]
    common = min(spans[0][0], spans[1][0]), max(spans[0][1], spans[1][1])
    if common[1] - common[0] <= _COMMON_SCALE * min(widths):
        return common, common
    return spans[0], spans[1]


def _span(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or max(0.5, 0.05 * abs(low))
    return low - margin, high + margin


def _dress(axes: Axes, x_limits: tuple[float, float], y_limits: tuple[float, float], title: str) -> None:
    """Identity line, limits, labels."""
    axes.axline((0.0, 0.0), slope=1.0, color=INK, linewidth=1, linestyle="--")
    axes.set_xlim(*x_limits)
    axes.set_ylim(*y_limits)
    if x_limits == y_limits:
        axes.set_aspect("equal")
    axes.set_xlabel("observed expression")
    axes.set_ylabel("predicted expression")
    axes.set_title(title, fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.annotate(
        "dashed: predicted = observed", (0.99, 0.01), xycoords="axes fraction", ha="right", fontsize=7, color=INK
    )
