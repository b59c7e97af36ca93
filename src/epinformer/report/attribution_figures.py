"""Attributions as figures: letters along the genome, the seqlets among them, and the windows they were chosen from."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.bases import NO_BASE, OTHER_BASE
from epinformer.report.figures import COLOURS, GRID, INK, SOFT
from epinformer.report.letters import draw_letters
from epinformer.report.panels import ACROSS, SMALL, Panel, dress, link_panel, stacked
from epinformer.report.words import FAMILY, drawable, shortened, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_LOGO, _OVERVIEW, _TILES, _NAMES, _TICKS = 1.65, 0.8, 1.2, 0.19, 0.24
# More bases than these are an overview in bars, with letters of its strongest part.
_LETTERS, _PART = 300, 200
_LONGEST_NAME, _BETWEEN_NAMES = 150.0, 5.0
_POSITIVE, _NEGATIVE, _OTHER_TILE = COLOURS[0], COLOURS[2], "#c3ccd4"
_SEQLET = COLOURS[4]
_LOGARITHM = re.compile(r"log(2|10)\(0\.1 \+ (.+)\)")


class _View(NamedTuple):
    """Bases along the genome: codes and attributions (L,), and where they begin (0-based)."""

    codes: NDArray[np.uint8]
    actual: NDArray[np.float64]
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.codes)

    def part(self, first: int, last: int) -> _View:
        return _View(self.codes[first:last], self.actual[first:last], self.start + first)


class _Name(NamedTuple):
    """A seqlet's name: where it is centred on the genome, in which row (0 is the lowest), and what it belongs to."""

    text: str
    middle: float
    row: int
    anchor: float


def attribution_logo(
    codes: NDArray[np.uint8],
    actual: NDArray[np.floating],
    *,
    chrom: str,
    start: int,
    seqlets: pd.DataFrame | None = None,
    title: str = "",
) -> Figure:
    """Draw a sequence's bases as letters as high as their attributions, along the genome.

    The letter of the base at 0-based position p stands between p and p + 1. Letters below zero are upside down, runs
    of N are shaded. Of more than 300 bases there are bars, and letters of the 200 bases with the largest sum of
    \\|attribution\\|.

    Parameters
    ----------
    codes, actual
        (L,) codes of bases, with no bases at the right end if at all, and the attribution of each.
    chrom, start
        Where the first base is (0-based).
    seqlets
        start, end (on the genome, 0-based half-open) and name of stretches to mark; blank or missing names are fine.
    title
        Shown above; by default the interval.
    """
    view = _View(*_real(codes, actual), start)
    return stacked(_logo_panels(view, chrom, seqlets), title or _place(chrom, start, view.end))


def tiling_figure(tiles: pd.DataFrame, *, title: str = "", target: str | None = None) -> Figure:
    """Draw the prediction of each window of an element as a bar along the genome, the strongest marked.

    Parameters
    ----------
    tiles
        chrom, start, end (0-based half-open), prediction, strongest; at least one.
    title
        Shown above; by default the interval.
    target
        What the model predicts. Of ``log2(0.1 + activity)``, also with log10 or another word, the bars show the
        activity itself; anything else is drawn as it is.
    """
    chrom = str(tiles["chrom"].iloc[0])
    return stacked([_tile_panel(tiles, target, label=chrom)], title or _place(chrom, *_extent(tiles)))


def region_figure(
    tiles: pd.DataFrame,
    codes: NDArray[np.uint8],
    actual: NDArray[np.floating],
    *,
    chrom: str,
    start: int,
    seqlets: pd.DataFrame | None = None,
    title: str = "",
    target: str | None = None,
) -> Figure:
    """Draw an element's windows, and below them the attributions of the one that was explained.

    Parameters are those of `tiling_figure` and `attribution_logo`. Of a single window, or none, no bars are drawn.
    """
    view = _View(*_real(codes, actual), start)
    panels = _logo_panels(view, chrom, seqlets)
    low, high = view.start, view.end
    if len(tiles) > 1:
        panels = [_tile_panel(tiles, target), link_panel(_extent(tiles), (view.start, view.end)), *panels]
        low, high = _extent(tiles)
    return stacked(panels, title or _place(chrom, low, high))


def _logo_panels(view: _View, chrom: str, seqlets: pd.DataFrame | None) -> list[Panel]:
    """Letters under their seqlets' names; of a long sequence bars above them."""
    boxes = _boxes(seqlets)
    whole, above = view, []
    if len(view.codes) > _LETTERS:
        sums = np.cumsum(np.append(0.0, np.abs(view.actual)))
        first = int(np.argmax(sums[_PART:] - sums[:-_PART]))
        view = view.part(first, first + _PART)
        bars = functools.partial(_overview, view=whole, zoom=(view.start, view.end), boxes=boxes)
        above = [Panel(_OVERVIEW, _TICKS, bars), link_panel((whole.start, whole.end), (view.start, view.end))]
    boxes = [(max(low, view.start), min(high, view.end), name) for low, high, name in boxes]
    boxes = [box for box in boxes if box[0] < box[1]]
    names = _placed(boxes, view.start, view.end)
    rows = 1 + max((name.row for name in names), default=-1)
    letters = functools.partial(_letters, view=view, chrom=chrom, boxes=boxes)
    strip = functools.partial(_name_strip, names=names, rows=rows, low=view.start, high=view.end)
    return [*above, *([Panel(rows * _NAMES, 0.0, strip)] if rows else []), Panel(_LOGO, 0.0, letters)]


def _letters(axes: Axes, view: _View, chrom: str, boxes: Sequence[tuple[float, float, str]]) -> None:
    axes.set_xlim(view.start, view.end)
    heights = np.zeros((4, len(view.codes)))
    known = np.flatnonzero(view.codes < OTHER_BASE)
    heights[view.codes[known], known] = view.actual[known]
    _zero_line(axes, heights)
    for low, high, _ in boxes:
        axes.axvspan(low, high, facecolor=_SEQLET, alpha=0.14, edgecolor="none", zorder=0)
    for low, high in _runs(view.codes == OTHER_BASE):
        axes.axvspan(view.start + low, view.start + high, facecolor=GRID, edgecolor="none", zorder=0)
        middle = (view.start + (low + high) / 2, 0.03)
        axes.annotate("N", middle, xycoords=("data", "axes fraction"), ha="center", fontsize=SMALL, color=SOFT)
    draw_letters(axes, heights, left=view.start)
    dress(axes, "attribution", label=chrom)


def _overview(axes: Axes, view: _View, zoom: tuple[int, int], boxes: Sequence[tuple[float, float, str]]) -> None:
    axes.set_xlim(view.start, view.end)
    edges = np.arange(view.start, view.end + 1)
    _zero_line(axes, view.actual)
    axes.axvspan(*zoom, facecolor=GRID, alpha=0.6, edgecolor="none", zorder=0)
    for low, high, _ in boxes:
        axes.axvspan(low, high, 0.94, 1.0, facecolor=_SEQLET, edgecolor="none")
    for values, colour in ((np.maximum(view.actual, 0), _POSITIVE), (np.minimum(view.actual, 0), _NEGATIVE)):
        axes.stairs(values, edges, fill=True, color=colour, linewidth=0)
    dress(axes, "attribution", label=None)


def _tile_panel(tiles: pd.DataFrame, target: str | None, label: str | None = None) -> Panel:
    logarithm = _LOGARITHM.fullmatch(target or "")
    values = tiles["prediction"].to_numpy(np.float64)
    if logarithm:
        values = np.maximum(float(logarithm[1]) ** values - 0.1, 0.0)
    word = drawable(f"predicted {logarithm[2] if logarithm else target or 'activity'}")
    if width_of(word, SMALL) > _TILES * 72:
        word = "prediction"
    bars = functools.partial(_bars, tiles=tiles, values=values, word=word, label=label)
    return Panel(_TILES, 0.0 if label else _TICKS, bars)


def _bars(axes: Axes, tiles: pd.DataFrame, values: NDArray[np.float64], word: str, label: str | None) -> None:
    low, high = _extent(tiles)
    middle = (tiles["start"] + tiles["end"]).to_numpy() / 2
    # Windows that overlap would hide each other in their full width.
    step = float(np.median(np.diff(np.sort(middle)))) if len(middle) > 1 else math.inf
    width = 0.94 * np.minimum((tiles["end"] - tiles["start"]).to_numpy(), step)
    colours = [_POSITIVE if best else _OTHER_TILE for best in tiles["strongest"]]
    axes.bar(middle, values, width, color=colours, edgecolor="white", linewidth=0.6)
    axes.axhline(0, color=INK, linewidth=0.7)
    axes.set_xlim(low, high)
    axes.margins(y=0.06)
    dress(axes, word, label=label)


def _name_strip(axes: Axes, names: Sequence[_Name], rows: int, low: int, high: int) -> None:
    axes.set_xlim(low, high)
    axes.set_ylim(0, rows)
    axes.set_axis_off()
    for name in names:
        axes.plot([name.anchor, name.anchor], [0, name.row + 0.2], color=_SEQLET, linewidth=0.6)
    for name in names:
        axes.text(
            name.middle,
            name.row + 0.5,
            name.text,
            ha="center",
            va="center",
            fontsize=SMALL,
            color=INK,
            family=FAMILY,
            parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )


def _placed(boxes: Sequence[tuple[float, float, str]], low: int, high: int) -> list[_Name]:
    """Names above their boxes, each in the lowest row where it touches no other."""
    base = (high - low) / ACROSS
    taken: list[float] = []
    names = []
    for first, last, name in sorted(boxes):
        text = shortened(drawable(name), _LONGEST_NAME, SMALL)
        if not text:
            continue
        half = base * (width_of(text, SMALL) + _BETWEEN_NAMES) / 2
        anchor = (first + last) / 2
        middle = min(max(anchor, low + half), high - half)
        row = next((row for row, end in enumerate(taken) if end <= middle - half), len(taken))
        taken[row : row + 1] = [middle + half]
        names.append(_Name(text, middle, row, anchor))
    return names


def _boxes(seqlets: pd.DataFrame | None) -> list[tuple[float, float, str]]:
    """Start, end and name, "" if it has none."""
    if seqlets is None:
        return []
    names = seqlets["name"].astype(object).where(seqlets["name"].notna(), "").map(str)
    return list(zip(seqlets["start"].astype(float), seqlets["end"].astype(float), names, strict=True))


def _real(codes: NDArray[np.uint8], actual: NDArray[np.floating]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Without the padding at the right; one position if there is nothing else."""
    length = 1 + int(np.flatnonzero(codes != NO_BASE).max(initial=0))
    return codes[:length], np.asarray(actual[:length], dtype=np.float64)


def _runs(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _extent(tiles: pd.DataFrame) -> tuple[int, int]:
    return int(tiles["start"].min()), int(tiles["end"].max())


def _place(chrom: str, start: int, end: int) -> str:
    return f"{chrom}:{start:,}-{end:,}"


def _zero_line(axes: Axes, values: NDArray[np.float64]) -> None:
    """The axis' limits, which hold zero, and a line there."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    margin = 0.05 * (high - low)
    if not margin:
        axes.set_yticks([0])
        axes.annotate("no base has an attribution", (0.5, 0.62), xycoords="axes fraction", ha="center", color=SOFT)
    axes.set_ylim(low - (margin or 1.0), high + (margin or 1.0))
    axes.axhline(0, color=INK, linewidth=0.6, zorder=1)
