"""Text of users in figures: what can be drawn of it, how wide it is, and what of it fits."""

from __future__ import annotations

import functools
from pathlib import Path

FAMILY = "DejaVu Sans"
"""The font that comes with matplotlib: the same picture on every machine."""

_CUT = "…"
_PRECISE = 100


def drawable(text: str) -> str:
    """A text in one line, with "?" for what the font has no letter for.

    Draw it with ``parse_math=False``, else a pair of dollars is taken for a formula.
    """
    known = _known()
    return "".join(letter if ord(letter) in known else "?" for letter in " ".join(text.split()))


def width_of(text: str, size: float) -> float:
    """The width of a drawable text in points, at a size of the font in points."""
    return sum(_advance(letter) for letter in text) * size


def shortened(text: str, points: float, size: float) -> str:
    """A drawable text, or as much of its beginning as fits into so many points with an ellipsis."""
    if width_of(text, size) <= points:
        return text
    while text and width_of(text + _CUT, size) > points:
        text = text[:-1]
    return text.rstrip() + _CUT


@functools.cache
def _advance(letter: str) -> float:
    from matplotlib.ft2font import FT2Font, LoadFlags

    font = FT2Font(_file())
    font.set_size(_PRECISE, 72)
    return float(font.load_char(ord(letter), flags=LoadFlags.NO_HINTING).linearHoriAdvance) / 65536 / _PRECISE


@functools.cache
def _known() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(_file()).get_charmap())


@functools.cache
def _file() -> str:
    from matplotlib import get_data_path

    return str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
