"""The locus of a gene: what CRISPR measured there, and what the scores of its links say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.evaluation.crispr import CrisprBenchmark
from epinformer.evaluation.precision_recall import threshold_at_recall
from epinformer.report.crispr_figures import DPI, PAGE_WIDTH, clear
from epinformer.report.figures import COLOURS, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REGULATED, _TESTED, _UNTESTED = COLOURS[2], COLOURS[5], "#c3ccd4"
_THRESHOLD: dict[str, Any] = {"color": INK, "linewidth": 0.9, "linestyle": (0, (3, 2))}
# Points: an element of 500 bp is none in a window of a megabase.
_THINNEST = 1.3
# bp: links at the gene's own promoter would flatten all others.
_PROMOTER = 1_000
_MARGIN, _SMALLEST_MARGIN = 0.06, 25_000
_PANEL_LETTERS = 13


def locus(benchmark: CrisprBenchmark, gene: str, scores: Sequence[str]) -> Figure:
    """Draw what was measured at a gene and what some scores say, one under the other, along the chromosome.

    The window holds the TSS (dotted) and all regulated regions, which are shaded through all panels. A dashed line is
    the score that calls 70 % of all regulated pairs of the table. A score beyond the panel, as that of a gene's own
    promoter may be, ends in a triangle.

    Parameters
    ----------
    benchmark
        The comparison.
    gene
        As ``gene`` of the tested pairs.
    scores
        Of the links, a panel each.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    pairs = benchmark.tested.pairs
    here = (pairs["gene"] == gene).to_numpy()
    tested = pairs[here].join(benchmark.tested.outcomes)
    links = benchmark.joined.loci
    links = links[(links["gene"] == gene) & (links["chrom"] == tested["chrom"].iloc[0])]
    tss = _tss(tested, links)
    low, high = _window(tested, tss)
    heights = [1.25, *(1.0 for _ in scores)]
    figure = Figure(figsize=(PAGE_WIDTH, 0.95 + 0.92 * sum(heights)), dpi=DPI, layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    panels[-1].set_xlim(low / 1e6, high / 1e6)
    thinnest = (high - low) * _THINNEST / (72 * 0.88 * PAGE_WIDTH)

    states = np.where(tested["regulated"], _REGULATED, _TESTED)
    _sticks(panels[0], tested, 100 * tested["effect_size"].to_numpy(), states, thinnest)
    panels[0].axhline(0, color=INK, linewidth=0.7)
    panels[0].set_ylabel("effect on\nexpression, %", fontsize=8.5, color=INK)
    panels[0].margins(y=0.12)
    status = _status(links, tested)
    regulated = benchmark.tested.outcomes["regulated"]
    for axes, name in zip(panels[1:], scores, strict=True):
        values = links[name].to_numpy(np.float64)
        shown = ((links["end"] > low) & (links["start"] < high)).to_numpy()
        top = _top(links[shown], values[shown], tss)
        threshold = threshold_at_recall(regulated, benchmark.joined.scores[name])
        if threshold is not None:
            axes.axhline(threshold, **_THRESHOLD)
            top = max(top, 1.25 * threshold) if threshold < 4 * top else top
        _sticks(axes, links[shown], values[shown], status[shown], thinnest)
        beyond = shown & (values > top)
        middle = (links["start"] + links["end"])[beyond] / 2e6
        axes.plot(middle, np.full(beyond.sum(), 0.96 * top), "^", color=INK, markersize=3.5)
        bottom = float(np.nanmin(np.append(values[shown], 0.0)))
        axes.set_ylim(1.1 * bottom, top)
        axes.set_ylabel(_wrapped(name), fontsize=8.5, color=INK)
    bands = _bands(tested[tested["regulated"]], 3 * thinnest)
    for axes in panels:
        for start, end in bands:
            axes.axvspan(start / 1e6, end / 1e6, color=_REGULATED, alpha=0.18, linewidth=0)
        if tss is not None:
            axes.axvline(tss / 1e6, color=COLOURS[0], linewidth=1.0, linestyle=":")
        axes.locator_params(axis="y", nbins=4)
        clear(axes)
    _name_gene(panels[0], tested, links, gene, tss)
    panels[-1].set_xlabel(f"{tested['chrom'].iloc[0]}, Mb", color=INK)
    panels[-1].ticklabel_format(axis="x", useOffset=False)
    figure.align_ylabels(list(panels))
    figure.legend(
        [Patch(color=_REGULATED), Patch(color=_TESTED), Patch(color=_UNTESTED), Line2D([], [], **_THRESHOLD)],
        ["regulated", "tested, not regulated", "not tested", "calls 70 % of all regulated"],
        loc="outside upper right",
        ncols=4,
        frameon=False,
        fontsize=8.5,
        handlelength=1.3,
        handleheight=0.9,
        columnspacing=1.2,
    )
    return figure


def _tss(tested: pd.DataFrame, links: pd.DataFrame) -> float | None:
    """Where the gene starts, as the links have it, else as the tested pairs do."""
    for table in (links, tested):
        if "tss" in table and table["tss"].notna().any():
            return float(table["tss"].median())
    return None


def _window(tested: pd.DataFrame, tss: float | None) -> tuple[float, float]:
    """The first and last base to draw."""
    regions = tested[tested["regulated"]] if tested["regulated"].any() else tested
    ends = [*regions["start"], *regions["end"], *([] if tss is None else [tss])]
    low, high = float(min(ends)), float(max(ends))
    margin = max(_MARGIN * (high - low), _SMALLEST_MARGIN)
    return low - margin, high + margin


def _bands(regions: pd.DataFrame, thinnest: float) -> list[tuple[float, float]]:
    """Regions that are at least so wide, overlapping ones as one."""
    bands: list[tuple[float, float]] = []
    for start, end in sorted(regions[["start", "end"]].to_numpy(np.float64).tolist()):
        middle, half = (start + end) / 2, max(end - start, thinnest) / 2
        low, high = middle - half, middle + half
        if bands and low <= bands[-1][1]:
            bands[-1] = bands[-1][0], max(high, bands[-1][1])
        else:
            bands.append((low, high))
    return bands


def _sticks(
    axes: Axes, regions: pd.DataFrame, values: NDArray[np.float64], colours: NDArray[np.str_], thinnest: float
) -> None:
    """A bar from zero over each region, those that matter most in front."""
    from matplotlib.collections import PolyCollection

    middle = (regions["start"] + regions["end"]).to_numpy() / 2
    half = np.maximum((regions["end"] - regions["start"]).to_numpy(), thinnest) / 2
    known = np.isfinite(values)
    for layer, colour in enumerate((_UNTESTED, _TESTED, _REGULATED)):
        at = known & (colours == colour)
        left, right, height = (middle - half)[at] / 1e6, (middle + half)[at] / 1e6, values[at]
        zero = np.zeros_like(height)
        corners = np.stack([left, zero, left, height, right, height, right, zero], axis=1).reshape(-1, 4, 2)
        axes.add_collection(PolyCollection(list(corners), facecolors=colour, linewidths=0, zorder=2 + layer))
    axes.autoscale_view(scalex=False)


def _status(links: pd.DataFrame, tested: pd.DataFrame) -> NDArray[np.str_]:
    """The colour of each link: overlaps a regulated region, another tested one, or none."""
    start, end = links["start"].to_numpy()[:, None], links["end"].to_numpy()[:, None]
    overlap = (end > tested["start"].to_numpy()) & (start < tested["end"].to_numpy())
    regulated = (overlap & tested["regulated"].to_numpy(bool)).any(axis=1)
    return np.where(regulated, _REGULATED, np.where(overlap.any(axis=1), _TESTED, _UNTESTED))


def _top(links: pd.DataFrame, values: NDArray[np.float64], tss: float | None) -> float:
    """The highest value to draw: that of the distal links, with a margin."""
    distal = np.ones(len(links), dtype=bool)
    if tss is not None:
        distal = ((links["start"] > tss + _PROMOTER) | (links["end"] < tss - _PROMOTER)).to_numpy()
    for chosen in (distal, np.ones(len(links), dtype=bool)):
        known = values[chosen & np.isfinite(values)]
        if known.size and known.max() > 0:
            return 1.12 * float(known.max())
    return 1.0


def _name_gene(axes: Axes, tested: pd.DataFrame, links: pd.DataFrame, gene: str, tss: float | None) -> None:
    """The gene's symbol, at its TSS where that is known, with an arrow where it is read to."""
    name = tested["gene_name"].iloc[0] if "gene_name" in tested and pd.notna(tested["gene_name"].iloc[0]) else gene
    strand = links["strand"].iloc[0] if "strand" in links and len(links) else ""
    arrow = {"+": " →", "-": " ←"}.get(str(strand), "")
    low, high = axes.get_xlim()
    x = 0.5 if tss is None else (tss / 1e6 - low) / (high - low)
    axes.annotate(
        f"{name}{arrow}",
        (x, 1.02),
        xycoords="axes fraction",
        ha="left" if x < 0.1 else "center" if x < 0.9 else "right",
        va="bottom",
        fontsize=10,
        fontstyle="italic",
        color=INK,
    )


def _wrapped(name: str) -> str:
    """A score's name in lines that fit a panel's height, broken behind what joins its words."""
    lines = [""]
    for word in re.split(r"(?<=[_ .])", name):
        if lines[-1] and len(lines[-1]) + len(word) > _PANEL_LETTERS:
            lines.append("")
        lines[-1] += word
    return "\n".join(line.strip() for line in lines)
