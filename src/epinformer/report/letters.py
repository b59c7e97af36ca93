"""Bases drawn as letters whose heights are numbers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path

BASE_COLOURS = ("#109e5f", "#0b5fb3", "#eb9c00", "#cf2f3c")
"""Of A, C, G, T: green, blue, orange, red as such figures have them, in shades that differ in lightness, too."""

_GAP = 0.04
# Fractions of the tallest letter: what is lower is less than a dot of ink.
_SMALLEST = 2e-3


def draw_letters(axes: Axes, heights: ArrayLike, *, left: float = 0.0) -> None:
    """Draw a stack of letters at each position: upwards what is above zero, downwards and upside down what is below.

    The lowest letter of a stack is next to zero. The limits of the axes are left alone.

    Parameters
    ----------
    axes
        Where to.
    heights
        (4, L) of A, C, G, T, in units of the y axis.
    left
        Where the first position begins on the x axis; each is 1 wide.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    values = np.asarray(heights, dtype=np.float64)
    order = np.argsort(np.abs(values), axis=0, kind="stable")
    ranked = np.take_along_axis(values, order, axis=0)
    bottom = np.empty_like(ranked)
    for part in (np.maximum(ranked, 0), np.minimum(ranked, 0)):
        np.copyto(bottom, np.cumsum(part, axis=0) - part, where=part != 0)
    visible = np.abs(ranked) > _SMALLEST * np.abs(values).max(initial=0.0)
    for base, colour in enumerate(BASE_COLOURS):
        rank, position = np.nonzero(visible & (order == base))
        if not len(rank):
            continue
        letter = _letter("ACGT"[base])
        size = np.stack([np.full(len(rank), 1 - 2 * _GAP), ranked[rank, position]], axis=1)
        corner = np.stack([left + position + _GAP, bottom[rank, position]], axis=1)
        vertices = letter.vertices * size[:, None] + corner[:, None]
        outline = Path(vertices.reshape(-1, 2), np.tile(np.asarray(letter.codes), len(rank)))
        axes.add_artist(PathPatch(outline, facecolor=colour, linewidth=0, clip_path=axes.patch))


@functools.cache
def _letter(name: str) -> Path:
    """The outline of a letter that fills the square from (0, 0) to (1, 1)."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    # The font that comes with matplotlib: the same picture on every machine.
    outline = TextPath((0, 0), name, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    drawn = outline.vertices[outline.codes != Path.CLOSEPOLY]  # what closes an outline lies anywhere
    corner, other = drawn.min(axis=0), drawn.max(axis=0)
    return Path((outline.vertices - corner) / (other - corner), outline.codes)
