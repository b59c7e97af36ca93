from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from epinformer.report.attribution_figures import attribution_logo, region_figure, tiling_figure
from epinformer.report.html import png

START = 37_953_477


def sequence(length: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4, length).astype(np.uint8), rng.normal(size=length)


def seqlets(*rows: tuple[int, int, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        [(START + low, START + high, name) for low, high, name in rows], columns=["start", "end", "name"]
    )


def logo(length: int = 256, marked: pd.DataFrame | None = None, **how: Any) -> Figure:
    codes, actual = sequence(length)
    return attribution_logo(codes, actual, chrom="chr22", start=START, seqlets=marked, **how)


def tiles(predictions: list[float], stride: int = 256, width: int = 256) -> pd.DataFrame:
    start = START - stride + stride * np.arange(len(predictions))
    best = np.arange(len(predictions)) == int(np.argmax(predictions))
    return pd.DataFrame(
        {"chrom": "chr22", "start": start, "end": start + width, "prediction": predictions, "strongest": best}
    )


def drawn(figure: Figure) -> list[Axes]:
    """The panels, after everything was drawn."""
    assert png(figure)[:4] == b"\x89PNG"
    return list(figure.axes)


def texts(axes: Axes) -> list[Text]:
    return [text for text in axes.texts if text.get_text()]


def letters(axes: Axes) -> int:
    """Positions with a letter; a path of n letters ends n times."""
    paths = [patch.get_path() for patch in axes.artists + axes.patches if hasattr(patch, "get_path")]
    places = {int(x) for path in paths if len(path.vertices) > 5 for x in path.vertices[:, 0]}
    return len([place for place in places if place >= 0])


def test_letters_stand_on_the_genome() -> None:
    (axes,) = drawn(logo())
    assert axes.get_xlim() == (START, START + 256)
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert "37,953,500" in labels and axes.get_xlabel() == "chr22"
    assert letters(axes) == pytest.approx(256, abs=4)
    assert logo().texts[0].get_text() == "chr22:37,953,477-37,953,733"


def test_padding_is_left_away_and_unknown_bases_are_marked() -> None:
    codes, actual = sequence(40)
    codes[30:], codes[5:9] = 5, 4
    actual[30:] = actual[5:9] = 0
    figure = attribution_logo(codes, actual, chrom="chr1", start=0)
    (axes,) = drawn(figure)
    assert axes.get_xlim() == (0, 30) and figure.texts[0].get_text() == "chr1:0-30"
    assert [(text.get_text(), text.xy[0]) for text in axes.texts] == [("N", 7)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [0.0, 1e-9, -3.0, 1e6])
def test_any_size_of_attributions(value: float) -> None:
    codes, _ = sequence(256)
    (axes,) = drawn(attribution_logo(codes, np.full(256, value), chrom="chr1", start=0))
    low, high = axes.get_ylim()
    assert low < min(value, 0) + 1e-15 and high > max(value, 0) - 1e-15 and low < high
    assert bool(texts(axes)) == (value == 0)


def test_of_a_long_sequence_the_strongest_part_has_letters() -> None:
    codes, actual = sequence(2_000)
    actual[1_250:1_290] *= -30
    figure = attribution_logo(
        codes, actual, chrom="chr22", start=START, seqlets=seqlets((1_260, 1_270, "GATA1"), (10, 20, "SP1"))
    )
    bars, link, names, zoom = drawn(figure)
    assert bars.get_xlim() == (START, START + 2_000) == link.get_xlim()
    low, high = zoom.get_xlim()
    assert high - low == 200 and low <= START + 1_250 and high >= START + 1_290
    sums = np.convolve(np.abs(actual), np.ones(200), "valid")
    assert low - START == sums.argmax()
    assert [text.get_text() for text in texts(names)] == ["GATA1"]
    assert zoom.get_xlabel() == "chr22" and not bars.get_xlabel()


@pytest.mark.parametrize(("length", "panels"), [(1, 1), (300, 1), (301, 3), (2_000, 3)])
def test_every_length(length: int, panels: int) -> None:
    assert len(drawn(logo(length))) == panels


def test_names_do_not_overlap() -> None:
    names = [
        "GATA1::TAL1",
        "a name that no figure has room for, whatever its size",
        "名前",
        "$x$ & $y$",
        "SP4",
        "ETV6",
        "x" * 300,
    ]
    rng = np.random.default_rng(0)
    at = rng.integers(0, 246, 40).tolist()
    marked = seqlets(*((place, place + 10, names[row % len(names)]) for row, place in enumerate(at)))
    figure = logo(marked=marked, title="t")
    strip, axes = drawn(figure)
    found = texts(strip)
    assert len(found) == 40 and {text.get_text() for text in found} >= {"GATA1::TAL1", "??", "$x$ & $y$"}
    extents = [text.get_window_extent() for text in found]
    inside = strip.get_window_extent()
    for one, other in itertools.combinations(extents, 2):
        assert not (one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 - 1 and other.y0 < one.y1 - 1)
    for extent in extents:
        assert extent.x0 > inside.x0 - 1 and extent.x1 < inside.x1 + 1
    assert axes.get_window_extent().y1 <= min(extent.y0 for extent in extents) + 2


def test_seqlets_without_a_name_or_elsewhere() -> None:
    marked = seqlets((10, 20, ""), (30, 40, None), (50, 60, np.nan), (-20, -5, "left"), (400, 410, "right"))
    (axes,) = drawn(logo(marked=marked))
    spans = [patch for patch in axes.patches if patch.get_alpha() == 0.14]
    assert sorted(patch.get_x() - START for patch in spans) == [10, 30, 50]
    assert len(drawn(logo(marked=marked.iloc[:0]))) == 1
    strip, axes = drawn(logo(marked=seqlets((-5, 3, "edge"))))
    assert [text.get_text() for text in texts(strip)] == ["edge"]


def test_a_long_title_is_cut() -> None:
    figure = logo(title="$title$ " * 100)
    png(figure)
    assert figure.texts[0].get_text().endswith("…")
    assert figure.texts[0].get_window_extent().x1 < figure.bbox.x1


@pytest.mark.parametrize(
    ("target", "word", "heights"),
    [
        ("log2(0.1 + activity)", "predicted activity", [2**-1 - 0.1, 2**2 - 0.1, 0.0]),
        ("log10(0.1 + H3K27ac)", "predicted H3K27ac", [10**-1 - 0.1, 10**2 - 0.1, 0.0]),
        (None, "predicted activity", [-1, 2, -9]),
        ("a target that is of no known kind", "prediction", [-1, 2, -9]),
    ],
)
def test_bars_are_the_predictions(target: str | None, word: str, heights: list[float]) -> None:
    figure = tiling_figure(tiles([-1.0, 2.0, -9.0]), target=target)
    (axes,) = drawn(figure)
    bars = [patch for patch in axes.patches if patch.get_width() > 0]
    assert [bar.get_height() for bar in bars] == pytest.approx(heights, abs=1e-12)
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == [START + 256 * row - 128 for row in range(3)]
    colours = [bar.get_facecolor() for bar in bars]
    assert colours[0] == colours[2] != colours[1]
    assert axes.get_ylabel() == word and axes.get_xlabel() == "chr22"


def test_bars_of_windows_that_overlap_stand_side_by_side() -> None:
    (axes,) = drawn(tiling_figure(tiles([1.0, 2.0, 1.5, 0.5], stride=64)))
    edges = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(edges))


def test_an_element_has_its_windows_above_the_strongest() -> None:
    codes, actual = sequence(256)
    figure = region_figure(
        tiles([0.5, 2.0, 1.0]), codes, actual, chrom="chr22", start=START, seqlets=seqlets((5, 15, "ETS"))
    )
    bars, link, names, letters_ = drawn(figure)
    assert bars.get_xlim() == (START - 256, START + 512)
    ends = sorted(tuple(float(x) for x in line.get_xdata()) for line in link.lines)
    assert ends == [(START, START - 256), (START + 256, START + 512)]
    assert [text.get_text() for text in texts(names)] == ["ETS"]
    assert letters_.get_xlim() == (START, START + 256)
    assert figure.texts[0].get_text() == "chr22:37,953,221-37,953,989"


@pytest.mark.parametrize("number", [0, 1])
def test_of_one_window_there_are_no_bars(number: int) -> None:
    codes, actual = sequence(256)
    figure = region_figure(tiles([1.0]).iloc[:number], codes, actual, chrom="chr22", start=START)
    assert len(drawn(figure)) == 1


def test_the_same_figure_is_the_same_bytes() -> None:
    assert png(logo(marked=seqlets((5, 15, "A")))) == png(logo(marked=seqlets((5, 15, "A"))))
