from __future__ import annotations

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from epinformer.report.words import FAMILY, drawable, shortened, width_of


def test_what_the_font_does_not_have_is_replaced() -> None:
    assert drawable("GATA1::TAL1 β $x$") == "GATA1::TAL1 β $x$"
    assert drawable("名 a\tb\n\nc 🧬") == "? a b c ?"
    assert drawable("") == ""


@pytest.mark.parametrize("text", ["GATA1::TAL1", "wwwwwwwwww", "iiiiiiiiii"])
def test_widths_are_those_of_the_drawn_text(text: str) -> None:
    drawn = TextPath((0, 0), text, size=9, prop=FontProperties(family=FAMILY)).get_extents().width
    # Room beside a letter counts, and pairs are not moved together.
    assert drawn - 0.1 <= width_of(text, 9) <= 1.1 * drawn + 1.5
    assert width_of(text, 18) == pytest.approx(2 * width_of(text, 9))


def test_long_text_is_cut_to_fit() -> None:
    assert shortened("short", 100, 9) == "short"
    text = "a very long name of a motif " * 10
    cut = shortened(text, 120, 9)
    assert cut.endswith("…") and text.startswith(cut[:-1]) and len(cut) > 10
    assert width_of(cut, 9) <= 120 < width_of(text[: len(cut) + 2], 9)
    assert shortened("abc", 1, 9) == "…"
