"""Panels one under the other along the genome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from epinformer.report.figures import GRID, INK, SOFT
from epinformer.report.words import FAMILY, drawable, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL, LARGE = 8.5, 10.0
"""Sizes of text in points."""
# Inches, and dots an inch: letters of 256 bases can be read, and text still can in a figure as wide as a page.
_WIDTH, _DPI = 10.0, 200
_LEFT, _RIGHT, _TOP, _BOTTOM, _LINK = 0.78, 0.42, 0.36, 0.5, 0.24
ACROSS = (_WIDTH - _LEFT - _RIGHT) * 72
"""The width of a panel in points."""


class Panel(NamedTuple):
    """A part of a figure: its height and the room below it in inches, and what draws it."""

    height: float
    below: float
    draw: Callable[[Axes], None]


def stacked(panels: Sequence[Panel], title: str) -> Figure:
    """Panels one under the other. Their places are fixed, so that names can be placed before anything is drawn."""
    from matplotlib.figure import Figure

    height = _TOP + _BOTTOM + sum(panel.height + panel.below for panel in panels)
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
    top = height - _TOP
    for panel in panels:
        across = (_WIDTH - _LEFT - _RIGHT) / _WIDTH
        axes = figure.add_axes((_LEFT / _WIDTH, (top - panel.height) / height, across, panel.height / height))
        panel.draw(axes)
        top -= panel.height + panel.below
    text = shortened(drawable(title), ACROSS, LARGE)
    figure.text(
        _LEFT / _WIDTH,
        1 - 0.1 / height,
        text,
        fontsize=LARGE,
        color=INK,
        va="top",
        family=FAMILY,
        parse_math=False,
    )
    return figure


def link_panel(above: tuple[int, int], below: tuple[int, int]) -> Panel:
    """Lines from where a part is in the panel above to the whole of the panel below."""

    def draw(axes: Axes) -> None:
        axes.set_xlim(*above)
        axes.set_ylim(0, 1)
        axes.set_axis_off()
        for top, bottom in zip(below, above, strict=True):
            axes.plot([top, bottom], [1, 0], color=SOFT, linewidth=0.7, linestyle=(0, (3, 2)), clip_on=False)

    return Panel(_LINK, 0.04, draw)


def dress(axes: Axes, word: str, *, label: str | None) -> None:
    """Ticks with all digits of the genome, light lines; a chromosome is named under the lowest panel only."""
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(GRID)
    axes.tick_params(colors=SOFT, labelcolor=INK, labelsize=SMALL, length=3, color=GRID)
    axes.locator_params(axis="x", nbins=7, integer=True)
    if len(axes.get_yticks()) > 1:
        axes.locator_params(axis="y", nbins=4)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    # No power of ten above the axis, where names may be.
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.6g}".replace("-", "−"))
    axes.set_ylabel(word, fontsize=SMALL, color=INK, parse_math=False)
    axes.yaxis.set_label_coords(-0.6 / (_WIDTH - _LEFT - _RIGHT), 0.5)
    if label is not None:
        axes.set_xlabel(drawable(label), fontsize=SMALL, color=INK, parse_math=False)
