from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch

from epinformer.report.html import png
from epinformer.report.letters import BASE_COLOURS
from epinformer.report.motif_figures import (
    BARS,
    LOWERS,
    RAISES,
    enrichment_dots,
    information,
    motif_bars,
    pattern_logo,
)
from tests.motif_world import ODD


def one_hot(text: str) -> np.ndarray:
    return (np.array(list(text)) == np.array(list("ACGT"))[:, None]).astype(float)


def extent(axes: object, base: str) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of all letters of a kind."""
    colour = BASE_COLOURS["ACGT".index(base)]
    (patch,) = [
        patch
        for patch in axes.get_children()  # type: ignore[attr-defined]
        if isinstance(patch, PathPatch) and to_hex(patch.get_facecolor()) == colour
    ]
    box = patch.get_path().get_extents()
    return box.x0, box.x1, box.y0, box.y1


def test_information_is_what_shannon_says() -> None:
    columns = np.array([[1.0, 0.5, 0.25, 0.7], [0, 0.5, 0.25, 0.1], [0, 0, 0.25, 0.1], [0, 0, 0.25, 0.1]])
    entropy = -(0.7 * np.log2(0.7) + 0.3 * np.log2(0.1))
    np.testing.assert_allclose(information(columns).sum(axis=0), [2, 1, 0, 2 - entropy])
    np.testing.assert_allclose(information(columns)[:, 1], [0.5, 0.5, 0, 0])
    assert (information(columns) >= 0).all()


@pytest.mark.parametrize("offset", [-2, 0, 3])
def test_the_known_motif_stands_where_it_was_matched(offset: int) -> None:
    figure = pattern_logo(0.3 * one_hot("GGTGG"), one_hot("CCA"), offset)
    above, below = figure.axes
    assert above.get_xlim() == below.get_xlim() == (min(0, offset), max(5, 3 + offset))
    left, right, bottom, top = extent(above, "T")
    assert 2 <= left < right <= 3 and bottom == 0 and top == pytest.approx(0.3)
    left, right, bottom, top = extent(below, "A")
    assert offset + 2 <= left < right <= offset + 3 and bottom == 0 and top == pytest.approx(2)
    assert above.get_ylim()[1] > 0.3


def test_a_letter_is_as_wide_in_every_logo() -> None:
    short, long = pattern_logo(one_hot("ACGT")), pattern_logo(one_hot("ACGT"), one_hot("A" * 12), -3)
    widths = [figure.get_figwidth() - 0.1 for figure in (short, long)]
    assert widths[1] / widths[0] == pytest.approx(12 / 4)
    assert len(short.axes) == 1


def test_what_lowers_hangs_below_the_line() -> None:
    (axes,) = pattern_logo(-one_hot("AC")).axes
    assert extent(axes, "C")[2:] == (-1, 0)
    low, high = axes.get_ylim()
    assert low < -1 and high == 0


def counts(rows: int) -> pd.DataFrame:
    names = [ODD if row == 1 else f"M{row}" for row in range(rows)]
    signs = [-1 if row % 2 else 1 for row in range(rows)]
    return pd.DataFrame({"name": names, "family": "", "sign": signs, "seqlets": range(100 + rows, 100, -1)})


def test_bars_are_the_seqlets_of_each_motif_in_the_colour_of_its_sign() -> None:
    figure = motif_bars(counts(BARS + 3))
    (axes,) = figure.axes
    bars = axes.containers[0]
    assert [bar.get_width() for bar in bars] == list(range(100 + BARS + 3, 103, -1))
    assert [to_hex(bar.get_facecolor()) for bar in bars][:2] == [RAISES, LOWERS]
    assert len(figure.legends) == 1
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == str(100 + BARS + 3) and "M0" in texts


def test_bars_without_one_that_lowers_need_no_legend() -> None:
    assert motif_bars(counts(1)).legends == []


def test_dots_are_where_the_odds_are_and_filled_if_significant() -> None:
    rows = pd.DataFrame(
        {
            "name": ["a", ODD],
            "family": ["f", ODD],
            "log2_odds_ratio": [2.5, -1.0],
            "q": [0.01, 0.5],
            "share_first": [0.9, 0.1],
            "share_second": [0.2, 0.3],
        }
    )
    (axes,) = enrichment_dots(rows, 0.02).axes
    assert [tuple(dot.get_offsets()[0]) for dot in axes.collections] == [(2.5, 0), (-1.0, 1)]
    assert [to_hex(dot.get_facecolor()[0]) for dot in axes.collections] == [RAISES, "#ffffff"]
    areas = [dot.get_sizes()[0] for dot in axes.collections]
    assert (areas[0] - 18) / (areas[1] - 18) == pytest.approx(0.9 / 0.3)


@pytest.mark.parametrize("rows", [1, 2])
def test_odd_names_are_drawn_as_they_are(rows: int) -> None:
    assert png(motif_bars(counts(rows))).startswith(b"\x89PNG")
