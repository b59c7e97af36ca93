"""Each format against its definition: columns, order, coordinates, what a score may be."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import DatasetError, InputError
from epinformer.scoring.link_formats import FORMATS, Ranking, browser_rows, gene_summary, ranked_by

# chr1: an element upstream and one downstream of the TSS, one around it, one whose last base is before it; one whose
# score is missing; chr10 sorts before chr2 as text does.
LINKS = pd.DataFrame(
    [
        ("G1", "A", "chr1", 5_000, "+", "chr1:1000-1500", 1_000, 1_500, 0.25),
        ("G1", "A", "chr1", 5_000, "+", "chr1:8000-9000", 8_000, 9_000, 0.75),
        ("G1", "A", "chr1", 5_000, "+", "chr1:4900-5100", 4_900, 5_100, 1.25),
        ("G1", "A", "chr1", 5_000, "+", "chr1:4000-5000", 4_000, 5_000, math.nan),
        ("G2", "", "chr2", 700, "-", "chr2:100-300", 100, 300, -0.5),
        ("G3", "C", "chr10", 90_000, ".", "chr10:95000-95600", 95_000, 95_600, 0.5),
        ("G3", "C", "chr10", 90_000, ".", "chr10:89500-90000", 89_500, 90_000, 0.5),
    ],
    columns=["gene_id", "gene_name", "chrom", "tss", "strand", "element_id", "start", "end", "abc"],
)
ALL = Ranking("abc")
SHOWN = LINKS[LINKS.abc.notna()]


def rows(kind: str, ranking: Ranking = ALL) -> pd.DataFrame:
    return browser_rows([LINKS[:3], LINKS[3:]], ranking, kind)  # type: ignore[arg-type]


def places(table: pd.DataFrame) -> list[tuple[str, int, int]]:
    return list(table.iloc[:, :3].itertuples(index=False, name=None))


@pytest.mark.parametrize("kind", FORMATS)
def test_sorted_and_complete(kind: str) -> None:
    table = rows(kind)
    assert places(table) == sorted(places(table))
    assert len(table) == len(SHOWN) * (2 if kind == "longrange" else 1)
    assert len(rows(kind, Ranking("abc", 0.5))) == 4 * (2 if kind == "longrange" else 1)
    assert rows(kind, Ranking("abc", 99.0)).empty and not table.isna().any(axis=None)
    assert (table.iloc[:, 1] < table.iloc[:, 2]).all() and (table.iloc[:, 1] >= 0).all()


def test_bedpe() -> None:
    table = rows("bedpe")
    assert table.columns.tolist() == [
        *("#chrom1", "start1", "end1", "chrom2", "start2", "end2", "name", "score", "strand1", "strand2")
    ]
    found = {row.name: row for row in table.rename(columns={"#chrom1": "chrom1"}).itertuples(index=False)}
    for link in SHOWN.itertuples():
        row = table[table.name == f"{link.element_id}|{link.gene_name or link.gene_id}"].iloc[0]
        assert row.iloc[:6].tolist() == [link.chrom, link.start, link.end, link.chrom, link.tss, link.tss + 1]
        assert row.score == link.abc and [row.strand1, row.strand2] == [".", link.strand]
    assert len(found) == 6 or len(table) == 6


def test_bed12() -> None:
    table = rows("bed12")
    assert table.shape[1] == 12
    expected = {link.element_id: link for link in SHOWN.itertuples()}
    for row in table.itertuples(index=False):
        link = expected[row.name.split("|")[0]]
        sizes, starts = ([int(part) for part in text.split(",")[:-1]] for text in (row.blockSizes, row.blockStarts))
        assert len(sizes) == len(starts) == row.blockCount
        # The definition: the first block begins at 0, the last one ends at chromEnd, none overlaps the next.
        assert starts[0] == 0 and starts[-1] + sizes[-1] == row.chromEnd - row.chromStart
        assert all(starts[i] + sizes[i] <= starts[i + 1] for i in range(len(starts) - 1))
        blocks = {(row.chromStart + a, row.chromStart + a + n) for a, n in zip(starts, sizes, strict=True)}
        tss = (link.tss, link.tss + 1)
        inside = link.start <= link.tss < link.end
        assert blocks == ({(link.start, link.end)} if inside else {(link.start, link.end), tss})
        assert (row.thickStart, row.thickEnd) == (link.start, link.end) and row.strand == link.strand
        assert isinstance(row.score, int) and 0 <= row.score <= 1000


def test_interact() -> None:
    table = rows("biginteract")
    assert table.columns.tolist() == [
        *("chrom", "chromStart", "chromEnd", "name", "score", "value", "exp", "color"),
        *("sourceChrom", "sourceStart", "sourceEnd", "sourceName", "sourceStrand"),
        *("targetChrom", "targetStart", "targetEnd", "targetName", "targetStrand"),
    ]
    expected = {link.element_id: link for link in SHOWN.itertuples()}
    for row in table.itertuples(index=False):
        link = expected[row.sourceName]
        assert (row.sourceChrom, row.sourceStart, row.sourceEnd) == (link.chrom, link.start, link.end)
        assert (row.targetChrom, row.targetStart, row.targetEnd) == (link.chrom, link.tss, link.tss + 1)
        assert row.chromStart == min(row.sourceStart, row.targetStart)
        assert row.chromEnd == max(row.sourceEnd, row.targetEnd)
        assert row.name == f"{row.sourceName}/{row.targetName}" and row.value == link.abc
        assert isinstance(row.score, int) and 0 <= row.score <= 1000
        assert row.sourceStrand == "." and row.targetStrand in "+-." and " " not in row.name
    # Between the lowest, -0.5, and the highest, 1.25.
    of = dict(zip(table.sourceName, table.score, strict=True))
    assert of["chr2:100-300"] == 0 and of["chr1:4900-5100"] == 1000
    assert of["chr1:1000-1500"] == round(1000 * 0.75 / 1.75)


def test_longrange() -> None:
    table = rows("longrange")
    assert table.shape[1] == 4
    found = set(table.itertuples(index=False, name=None))
    for link in SHOWN.itertuples():
        assert (link.chrom, link.start, link.end, f"{link.chrom}:{link.tss}-{link.tss + 1},{link.abc:g}") in found
        assert (link.chrom, link.tss, link.tss + 1, f"{link.chrom}:{link.start}-{link.end},{link.abc:g}") in found


def test_equal_scores_are_all_the_highest() -> None:
    table = browser_rows([LINKS[5:]], ALL, "bed12")
    assert table.score.tolist() == [1000, 1000]


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not there")
def test_bedtools_reads_them(tmp_path: Path) -> None:
    rows("bed12").to_csv(tmp_path / "l.bed", sep="\t", header=False, index=False)
    told = subprocess.run(
        ["bedtools", "bed12tobed6", "-i", tmp_path / "l.bed"], capture_output=True, text=True, check=True
    )
    assert len(told.stdout.splitlines()) == 2 * len(SHOWN) - 1 and not told.stderr
    rows("bedpe").to_csv(tmp_path / "l.bedpe", sep="\t", index=False)
    (tmp_path / "tss.bed").write_text("chr1\t5000\t5001\n")
    command = ["bedtools", "pairtobed", "-a", tmp_path / "l.bedpe", "-b", tmp_path / "tss.bed"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    # Twice for the one whose element lies over the TSS, too.
    assert {line.split("\t")[6] for line in told.stdout.splitlines()} == {
        f"{link.element_id}|A" for link in SHOWN[SHOWN.gene_id == "G1"].itertuples()
    }


def test_places_must_be_known() -> None:
    lost = LINKS.assign(start=LINKS.start.astype("Int64").where(LINKS.index != 1))
    with pytest.raises(DatasetError, match="have no place"):
        browser_rows([lost], ALL, "bedpe")


def test_ranking() -> None:
    both = LINKS.assign(attention_abc=0.0, powerlaw_abc=0.0)
    assert ranked_by(both, None, None) == Ranking("attention_abc")
    assert ranked_by(LINKS, None, 0.5) == Ranking("abc", 0.5)
    assert ranked_by(both, "powerlaw_abc", None).score == "powerlaw_abc"
    with pytest.raises(InputError, match="no score attention. Name one with --score; there are abc"):
        ranked_by(LINKS, "attention", None)
    with pytest.raises(InputError, match="no score gene_id"):
        ranked_by(LINKS, "gene_id", None)
    with pytest.raises(InputError, match="no score to rank them by"):
        ranked_by(LINKS.drop(columns="abc"), None, None)
    with pytest.raises(InputError, match="threshold of nan"):
        ranked_by(LINKS, "abc", float("nan"))
    assert Ranking("abc").counts(LINKS).tolist() == LINKS.abc.notna().tolist()
    assert Ranking("abc", 0.5).counts(LINKS).tolist() == [False, True, True, False, False, True, True]


def test_gene_summary() -> None:
    table = gene_summary(LINKS, Ranking("abc", 0.3))
    assert table.columns.tolist() == [
        *("gene_id", "gene_name", "chrom", "tss", "strand", "elements", "links", "score", "score_sum", "score_max"),
        "top_elements",
    ]
    assert table.gene_id.tolist() == ["G1", "G2", "G3"] and table.tss.tolist() == [5_000, 700, 90_000]
    assert table.elements.tolist() == [4, 1, 2] and table.links.tolist() == [2, 0, 2]
    assert table.score_sum.tolist() == [2.0, 0.0, 1.0] and set(table.score) == {"abc"}
    np.testing.assert_array_equal(table.score_max, [1.25, math.nan, 0.5])
    assert table.top_elements[0] == "chr1:4900-5100:1.25;chr1:8000-9000:0.75"
    assert pd.isna(table.top_elements[1])
    many = pd.concat([LINKS[:1]] * 9, ignore_index=True).assign(abc=range(9))
    assert gene_summary(many, ALL).top_elements[0].split(";")[::4] == ["chr1:1000-1500:8", "chr1:1000-1500:4"]
    assert gene_summary(many, ALL).top_elements[0].count(";") == 4
    assert gene_summary(LINKS[:0], ALL).empty
