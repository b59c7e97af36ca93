from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from epinformer.report.letters import BASE_COLOURS, draw_letters


def boxes(axes: Axes) -> dict[str, list[tuple[float, ...]]]:
    """Left, bottom, right and top of each letter, by the base that its colour says."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for patch in axes.artists + axes.patches:
        assert isinstance(patch, PathPatch)
        base = "ACGT"[BASE_COLOURS.index(to_hex(patch.get_facecolor()))]
        path = patch.get_path()
        part = path.vertices[path.codes != path.CLOSEPOLY]
        found.setdefault(base, []).append((*part.min(axis=0), *part.max(axis=0)))
    return found


def drawn(heights: object, left: float = 0.0) -> dict[str, list[tuple[float, ...]]]:
    axes = Figure().add_subplot()
    draw_letters(axes, heights, left=left)  # type: ignore[arg-type]
    return boxes(axes)


@pytest.mark.parametrize("base", range(4))
@pytest.mark.parametrize("height", [3.0, -2.0])
def test_a_letter_fills_its_place_from_zero(base: int, height: float) -> None:
    heights = np.zeros((4, 5))
    heights[base, 2] = height
    found = drawn(heights, left=100)
    assert list(found) == ["ACGT"[base]]
    ((left, bottom, right, top),) = found["ACGT"[base]]
    assert (bottom, top) == pytest.approx((min(height, 0), max(height, 0)))
    assert 102 < left < 102.1 and 102.9 < right < 103


def test_letters_are_stacked_the_lowest_next_to_zero() -> None:
    found = drawn([[1.0], [-2.0], [3.0], [-0.5]])
    spans = {base: (bottom, top) for base, ((_, bottom, _, top),) in found.items()}
    assert spans == {
        "A": pytest.approx((0, 1)),
        "G": pytest.approx((1, 4)),
        "T": pytest.approx((-0.5, 0)),
        "C": pytest.approx((-2.5, -0.5)),
    }


def test_a_letter_below_zero_is_upside_down() -> None:
    def widest(height: float) -> float:
        """How far from zero an A is widest, as a part of its height."""
        axes = Figure().add_subplot()
        draw_letters(axes, [[height], [0], [0], [0]])
        vertices = (axes.artists + axes.patches)[0].get_path().vertices
        return float(vertices[vertices[:, 0].argmin(), 1] / height)

    assert widest(2.0) == pytest.approx(0) and widest(-2.0) == pytest.approx(0)


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn(np.zeros((4, 7))) == {} == drawn(np.zeros((4, 0)))


def test_limits_are_left_alone() -> None:
    axes = Figure().add_subplot()
    axes.set_xlim(5, 6)
    axes.set_ylim(0, 0.1)
    draw_letters(axes, np.ones((4, 20)))
    assert axes.get_xlim() == (5, 6) and axes.get_ylim() == (0, 0.1)
