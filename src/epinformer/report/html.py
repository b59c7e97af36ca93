"""Self-contained web pages: one file that opens without a network, reads on a phone and prints."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure


class Text(NamedTuple):
    """A paragraph; ``tone`` is "plain", "lead" (larger) or "aside" (smaller, grey)."""

    text: str
    tone: str = "plain"


class Picture(NamedTuple):
    """An image as a data URI (see `embed`), what it shows in words for who cannot see it, and a caption.

    ``width`` is how wide it is at most, in letters' heights; it is narrower where there is less room.
    """

    uri: str
    alt: str
    caption: str = ""
    width: int = 30


class Table(NamedTuple):
    """Rows of text, and of pictures without their captions, under a header.

    ``words`` columns at the left hold text, the others numbers; ``label`` folds the table away under it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str | Picture]]
    caption: str = ""
    words: int = 1
    label: str = ""


class Facts(NamedTuple):
    """Names and values, one under the other."""

    rows: Sequence[tuple[str, str]]


class Bullets(NamedTuple):
    """A list of sentences."""

    items: Sequence[str]


class Listing(NamedTuple):
    """Text in which spaces count, folded away under a label."""

    label: str
    text: str


class Columns(NamedTuple):
    """Blocks side by side where there is room."""

    blocks: Sequence[Block]


Block: TypeAlias = Text | Picture | Table | Facts | Bullets | Listing | Columns


class Section(NamedTuple):
    """A headed part of a page."""

    title: str
    blocks: Sequence[Block]


class Card(NamedTuple):
    """A number to see first: what it is, the number, and a line that qualifies it (its interval, how many)."""

    label: str
    value: str
    detail: str = ""


def page(
    title: str,
    sections: Sequence[Section],
    *,
    subtitle: str = "",
    cards: Sequence[Card] = (),
    lead: str = "",
    warnings: Sequence[str] = (),
    footer: str = "",
) -> str:
    """Lay out a page.

    Parameters
    ----------
    title, subtitle
        Its heading, and a line of what it is about.
    sections
        Its parts in order; those without blocks are left out.
    cards
        Numbers to see first; the first of them is drawn largest.
    lead
        What the page says, in a sentence.
    warnings
        What makes its numbers unfit for use, in a box above everything.
    footer
        A line at the end.

    Returns
    -------
    str
        HTML that loads nothing from elsewhere. All text is escaped.
    """
    return _template().render(
        title=title,
        subtitle=subtitle,
        sections=[section for section in sections if section.blocks],
        cards=cards,
        lead=lead,
        warnings=warnings,
        footer=footer,
    )


def png(figure: Figure) -> bytes:
    """A figure as a PNG image."""
    buffer = io.BytesIO()
    # Nothing of the day or the program's version: the same figure gives the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def embed(image: Figure | bytes) -> str:
    """A figure, or a PNG image, as a data URI for `Picture`."""
    data = image if isinstance(image, bytes) else png(image)
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("epinformer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("page.html")
