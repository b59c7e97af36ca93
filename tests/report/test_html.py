from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from epinformer.report.html import (
    Block,
    Bullets,
    Card,
    Columns,
    Facts,
    Listing,
    Picture,
    Section,
    Table,
    Text,
    embed,
    page,
    png,
)

BAD = "<script>alert('x')</script> & \"more\""


class Reader(HTMLParser):
    """Tags with their attributes, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] and self.tags[-1][0] != "style" and data.strip():
            self.words.append(data.strip())


def figure() -> Figure:
    made = Figure(figsize=(2, 1), dpi=100)
    made.add_subplot().plot([0, 1])
    return made


BLOCKS: list[Block] = [
    Text(BAD),
    Picture("data:image/png;base64,AA==", BAD, BAD),
    Table([BAD, "n"], [[BAD, "1"]], BAD, label=BAD),
    Table([BAD, "n"], [[BAD, "1"]], BAD),
    Table([BAD, "n"], [[BAD, Picture("data:image/png;base64,AA==", BAD)]], BAD, words=2),
    Facts([(BAD, BAD)]),
    Bullets([BAD]),
    Listing(BAD, BAD),
    Columns([Text(BAD), Text(BAD)]),
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_every_kind_of_block_is_shown_and_escaped(block: Block) -> None:
    written = Reader(page("title", [Section("part", [block])]))
    assert "script" not in {tag for tag, _ in written.tags}
    shown = written.words + [value for _, attributes in written.tags for value in attributes.values() if value]
    assert shown.count(BAD) == str(block).count("alert(")


def test_all_other_text_is_escaped() -> None:
    text = page(
        BAD,
        [Section(BAD, [Text("x")])],
        subtitle=BAD,
        cards=[Card(BAD, BAD, BAD)],
        lead=BAD,
        warnings=[BAD],
        footer=BAD,
    )
    assert "<script" not in text
    assert Reader(text).words.count(BAD) == 10  # the title is there twice


def test_a_page_loads_nothing() -> None:
    image = embed(figure())
    written = Reader(page("title", [Section("part", [Picture(image, "what it shows")])]))
    links = [value for _, each in written.tags for name, value in each.items() if name in ("src", "href", "srcset")]
    assert links and all(str(link).startswith("data:") for link in links)
    assert not {"script", "iframe", "object", "embed"} & {tag for tag, _ in written.tags}
    assert [each["alt"] for tag, each in written.tags if tag == "img"] == ["what it shows"]


def test_a_figure_is_embedded_as_it_is_drawn() -> None:
    uri = embed(figure())
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == png(figure())
    assert embed(png(figure())) == uri
    assert matplotlib.image.imread(io.BytesIO(base64.b64decode(body))).shape[:2] == (100, 200)


def test_a_section_without_blocks_is_left_out() -> None:
    text = page("title", [Section("empty one", []), Section("full one", [Text("x")])])
    assert "empty one" not in text
    assert "full one" in text


def test_numbers_are_aligned_apart_from_words() -> None:
    written = Reader(page("t", [Section("s", [Table(["gene", "chrom", "n"], [["A", "chr1", "7"]], words=2)])]))
    cells = [each.get("class") for tag, each in written.tags if tag in ("td", "th")]
    assert cells == [None, None, "number", None, None, "number"]
