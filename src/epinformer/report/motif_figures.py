"""Figures of motifs: a pattern above the known motif that it resembles, seqlets per motif, enrichment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from epinformer.report.crispr_figures import DPI, clear
from epinformer.report.figures import COLOURS, INK, SOFT
from epinformer.report.letters import draw_letters
from epinformer.report.words import FAMILY, drawable, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RAISES, LOWERS = COLOURS[0], COLOURS[2]
"""Colours of what raises a prediction and what lowers it."""
BARS = 30
"""The most motifs that one figure shows."""
# Inches.
_LETTER, _LOGO, _WIDTH = 0.16, 0.62, 6.4
# Points.
_LONGEST_NAME = 150.0


def pattern_logo(contributions: np.ndarray, motif: np.ndarray | None = None, offset: int = 0) -> Figure:
    """Draw a pattern, and under it a known motif at the place where it resembles it.

    Parameters
    ----------
    contributions
        (4, width), mean attribution of each base at each position.
    motif
        (4, any width), frequencies of the bases, in the pattern's direction; drawn in bits.
    offset
        Where the motif's first position lies in the pattern; may be negative.
    """
    from matplotlib.figure import Figure

    width = contributions.shape[1]
    low, high = 0, width
    if motif is not None:
        low, high = min(0, offset), max(width, offset + motif.shape[1])
    rows = 1 if motif is None else 2
    figure = Figure(figsize=(_LETTER * (high - low) + 0.1, _LOGO * rows + 0.06), dpi=DPI)
    panels = figure.subplots(rows, 1, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.03, top=0.97, hspace=0.1)
    draw_letters(panels[0], contributions)
    bottom, top = np.clip(contributions, None, 0).sum(axis=0).min(), np.clip(contributions, 0, None).sum(axis=0).max()
    room = 0.04 * (top - bottom) or 1.0
    panels[0].set_ylim(bottom - room * (bottom < 0), top + room * (top > 0))
    _bare(panels[0], (0, width))
    if motif is not None:
        draw_letters(panels[1], information(motif), left=offset)
        panels[1].set_ylim(0, 2)
        _bare(panels[1], (offset, offset + motif.shape[1]))
    for axes in panels:
        axes.set_xlim(low, high)
    return figure


def motif_bars(counts: pd.DataFrame) -> Figure:
    """Draw the number of seqlets of each named motif, coloured by whether they raise or lower the prediction.

    Parameters
    ----------
    counts
        As `motif_tables.seqlets_per_motif` gives; the first `BARS` are drawn.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = counts.head(BARS)
    figure = Figure(figsize=(_WIDTH, 1.1 + 0.3 * max(2, len(shown))), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.barh(
        range(len(shown)),
        shown["seqlets"],
        height=0.68,
        color=[RAISES if sign > 0 else LOWERS for sign in shown["sign"]],
        alpha=0.9,
    )
    largest = int(shown["seqlets"].max()) if len(shown) else 1
    for row, seqlets in enumerate(shown["seqlets"]):
        axes.annotate(
            f"{seqlets:,}", (seqlets, row), (3, 0), textcoords="offset points", va="center", fontsize=8.5, color=INK
        )
    _named_rows(axes, shown)
    axes.set_xlim(0, 1.12 * largest)
    axes.set_xlabel("seqlets of the patterns that resemble it", color=INK)
    axes.locator_params(axis="x", integer=True, nbins=7)
    clear(axes, grid="x")
    if (shown["sign"] < 0).any():
        handles = [Patch(color=RAISES, alpha=0.9), Patch(color=LOWERS, alpha=0.9)]
        names = ["raises the prediction", "lowers it"]
        figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def enrichment_dots(rows: pd.DataFrame, q: float) -> Figure:
    """Draw how much more often motifs are hit in one set of sequences than in another.

    Parameters
    ----------
    rows
        name, family, log2_odds_ratio, q, share_first, share_second (of the sequences, with a hit), the first at the
        top.
    q
        Below which q a dot is filled.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(_WIDTH, 1.3 + 0.3 * max(2, len(rows))), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    for place, (_, row) in enumerate(rows.iterrows()):
        colour = RAISES if row["log2_odds_ratio"] > 0 else LOWERS
        significant = row["q"] < q
        # The area grows with the share of sequences that have a hit, in whichever set it is larger.
        share = max(row["share_first"], row["share_second"])
        axes.scatter(
            row["log2_odds_ratio"],
            place,
            s=18 + 160 * share,
            facecolor=colour if significant else "white",
            edgecolor=colour,
            linewidths=1.2,
            alpha=0.9,
            zorder=3,
        )
        axes.plot([0, row["log2_odds_ratio"]], [place, place], color=colour, linewidth=0.9, alpha=0.6, zorder=2)
    _named_rows(axes, rows)
    axes.margins(x=0.12)
    axes.set_xlabel("log2 odds ratio of a hit: right, more often here; left, in the other set", color=INK, fontsize=9)
    clear(axes, grid="x")
    handles = [
        Line2D([], [], marker="o", linestyle="", color=SOFT, markersize=7),
        Line2D([], [], marker="o", linestyle="", color=SOFT, markerfacecolor="white", markersize=7),
        Line2D([], [], marker="o", linestyle="", color=SOFT, markersize=np.sqrt(18 + 160 * 0.1)),
        Line2D([], [], marker="o", linestyle="", color=SOFT, markersize=np.sqrt(18 + 160 * 0.8)),
    ]
    figure.legend(
        handles,
        [f"q < {q:g}", f"q ≥ {q:g}", "hit in 10 %", "hit in 80 %"],
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=8.5,
        handletextpad=0.6,
    )
    return figure


def information(frequencies: np.ndarray) -> np.ndarray:
    """Heights of a motif's letters in bits: frequency times the information of its position, uniform background.

    Parameters
    ----------
    frequencies
        (4, width), columns that sum to 1.

    Notes
    -----
    Schneider and Stephens, Sequence logos: a new way to display consensus sequences, 1990, without the correction for
    small samples.
    """
    logs = np.log2(np.where(frequencies > 0, frequencies, 1.0))
    return np.maximum(frequencies * (2 + (frequencies * logs).sum(axis=0)), 0.0)


def _named_rows(axes: Axes, rows: pd.DataFrame) -> None:
    """The motif's name at the left of each row, and its family small under it."""
    axes.set_yticks([])
    axes.set_ylim(max(2, len(rows)) - 0.4, -0.6)
    for row, (name, family) in enumerate(zip(rows["name"], rows["family"], strict=True)):
        for text, size, colour, up in ((name, 8.5, INK, 3.5 if family else 0), (family, 6.5, SOFT, -5)):
            axes.annotate(
                shortened(drawable(text), _LONGEST_NAME, size),
                (0, row),
                (-6, up),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=size,
                color=colour,
                family=FAMILY,
                parse_math=False,
            )


def _bare(axes: Axes, line: tuple[float, float]) -> None:
    """Nothing but the letters and the line that they stand on."""
    axes.set_axis_off()
    axes.plot(line, (0, 0), color=SOFT, linewidth=0.6, zorder=0)
