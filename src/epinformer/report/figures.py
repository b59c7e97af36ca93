"""Figures. They are drawn without a display; whoever asks for one writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
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
_POINT = "#2a6f97"
_LINE = "#c8553d"


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
    from matplotlib.figure import Figure

    x, y = (np.clip(np.asarray(values, dtype=float), -_LARGEST, _LARGEST) for values in (observed, predicted))
    many = len(x) >= _MANY
    figure = Figure(figsize=(6.1 if many else 5.2, 5.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    x_limits, y_limits = _limits(x, y)
    if many:
        density = axes.hexbin(x, y, gridsize=60, bins="log", mincnt=1, extent=(*x_limits, *y_limits), linewidths=0.1)
        figure.colorbar(density, ax=axes, label="genes", shrink=0.8)
    else:
        axes.scatter(x, y, s=18, color=_POINT, alpha=0.65, linewidths=0)
    _dress(axes, x_limits, y_limits, title)
    return figure


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
    axes.axline((0.0, 0.0), slope=1.0, color=_LINE, linewidth=1, linestyle="--")
    axes.set_xlim(*x_limits)
    axes.set_ylim(*y_limits)
    if x_limits == y_limits:
        axes.set_aspect("equal")
    axes.set_xlabel("observed expression")
    axes.set_ylabel("predicted expression")
    axes.set_title(title, fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.annotate(
        "dashed: predicted = observed", (0.99, 0.01), xycoords="axes fraction", ha="right", fontsize=7, color=_LINE
    )
