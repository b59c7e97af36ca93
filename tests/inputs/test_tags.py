"""Counts of text files of reads against one look at every row."""

from __future__ import annotations

import gzip
import logging
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs import text_rows as module
from epinformer.inputs.reads import ReadFilter, count_reads, read_format
from epinformer.inputs.text_rows import Layout, text_layout

CELLS = ["AAACGAAAGAAACGCC-1", "AAACGAAAGAAAGCAG-1", "TTTGTGTTCTTGTCGC-1"]
SOME = pd.DataFrame([("chr1", 0, 20), ("chr2", 5, 6)], columns=["chrom", "start", "end"])


def regions(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def over(table: pd.DataFrame, pieces: list[tuple[str, int, int]]) -> list[int]:
    return [
        sum(own == chrom and start < last and end > first for own, start, end in pieces)
        for chrom, first, last in table.itertuples(index=False)
    ]


def test_tags_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.tagAlign"
    path.write_text(
        "chr2\t0\t50\tN\t1000\t-\nchr1\t10\t60\tN\t1000\t+\nchr1\t10\t60\tN\t1000\t+\nchrUn\t1\t2\tN\t0\t+\n"
    )
    table = regions(
        ("chr1", 10, 11), ("chr1", 14, 15), ("chr1", 59, 61), ("chr1", 63, 64), ("chr2", 44, 45), ("chr2", 49, 50)
    )
    assert read_format(path) == "tags"
    for keep, counts in (
        (ReadFilter(), [2, 2, 2, 0, 1, 1]),
        (ReadFilter(unit="cut"), [2, 0, 0, 0, 0, 1]),
        (ReadFilter(shift="tn5"), [0, 2, 2, 2, 1, 0]),
        (ReadFilter(shift="tn5", unit="cut"), [0, 2, 0, 0, 1, 0]),
    ):
        result = count_reads(path, table, keep=keep)
        assert (result.counts.tolist(), result.total) == (counts, 4)


def test_fragments_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "fragments.tsv.gz"
    rows = [
        "# id=pbmc\n# primary_contig=chr1\n",
        f"chr1\t100\t300\t{CELLS[0]}\t9\n",
        f"chr1\t100\t300\t{CELLS[0]}\t1\n",  # a row is a fragment, whatever another one is
        f"chr1\t150\t152\t{CELLS[1]}\t1\n",
        f"chr2\t7\t8\t{CELLS[2]}\t2\n",
    ]
    path.write_bytes(gzip.compress("".join(rows).encode()))
    assert read_format(path) == "fragments"
    table = regions(("chr1", 0, 101), ("chr1", 150, 152), ("chr1", 299, 300), ("chr2", 0, 9))

    def counted(keep: ReadFilter) -> tuple[list[int], int]:
        result = count_reads(path, table, keep=keep)
        return result.counts.tolist(), result.total

    assert counted(ReadFilter()) == ([2, 3, 2, 1], 4)
    assert counted(ReadFilter(duplicates=False)) == ([2, 3, 2, 1], 4)
    assert counted(ReadFilter(unit="cut")) == ([2, 2, 2, 2], 8)
    assert counted(ReadFilter(barcodes=frozenset(CELLS[:1]))) == ([2, 2, 2, 0], 2)
    assert counted(ReadFilter(barcodes=frozenset([*CELLS[1:], "X"]), unit="cut")) == ([0, 2, 0, 2], 4)


def strand_or_none(width: int) -> st.SearchStrategy[str]:
    return st.sampled_from("+-") if width >= 6 else st.just("")


@given(
    st.sampled_from([3, 4, 5, 6, 8]).flatmap(
        lambda width: st.tuples(
            st.just(width),
            st.lists(
                st.tuples(
                    st.sampled_from(["chr1", "chr2", "chrM", "scaffold_7"]),
                    st.integers(0, 60),
                    st.integers(1, 60),
                    strand_or_none(width),
                ),
                min_size=1,
                max_size=30,
            ),
        )
    ),
    st.lists(
        st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 80), st.integers(1, 30)).map(
            lambda row: (row[0], row[1], row[1] + row[2])
        ),
        max_size=9,
    ),
    st.sampled_from(
        [ReadFilter(), ReadFilter(unit="cut"), ReadFilter(shift="tn5"), ReadFilter(unit="cut", shift="tn5")]
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "# made on Monday\n", "track name=x\n\n"]),
    st.sampled_from([16, 64, 1 << 22]),
    st.booleans(),
    st.booleans(),
)
def test_any_tags(
    file: tuple[int, list[tuple[str, int, int, str]]],
    rows: list[tuple[str, int, int]],
    keep: ReadFilter,
    line_end: str,
    comment: str,
    block: int,
    packed: bool,
    last_end: bool,
) -> None:
    width, tags = file
    if width < 6:
        keep = ReadFilter()
    # So that both chromosomes of regions have rows.
    tags = [*tags, ("chr1", 500, 9, "+"), ("chr2", 500, 9, "+")]
    lines, pieces = [], []
    for number, (chrom, start, length, strand) in enumerate(tags):
        end = start + length
        row = [chrom, str(start), str(end), f"read{number}", "0x1F" if number % 9 == 8 else "60", strand, "7", "8"]
        lines.append("\t".join(row[:width]) + line_end + (comment if number % 4 == 3 else ""))
        if keep.shift == "tn5":
            start, end = (start - 5, end - 5) if strand == "-" else (start + 4, end + 4)
        if keep.unit == "cut":
            start, end = (end - 1, end) if strand == "-" else (start, start + 1)
        pieces.append((chrom, start, end))
    text = comment + "".join(lines)
    content = (text if last_end else text.rstrip("\r\n")).encode()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BYTES", block)
        path = Path(folder) / "a.bed"
        path.write_bytes(gzip.compress(content) if packed else content)
        table = regions(*rows)
        result = count_reads(path, table, keep=keep, threads=2)
        assert (result.counts.tolist(), result.total) == (over(table, pieces), len(tags))


@given(
    st.lists(
        st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 60), st.integers(1, 60), st.sampled_from(CELLS)),
        max_size=30,
    ),
    st.sets(st.sampled_from(CELLS), min_size=1),
    st.sampled_from(["read", "cut"]),
    st.sampled_from([4, 5]),
    st.sampled_from([40, 1 << 22]),
)
def test_any_fragments(
    rows: list[tuple[str, int, int, str]], cells: set[str], unit: str, width: int, block: int
) -> None:
    rows = [*rows, ("chr1", 0, 5, min(cells)), ("chr2", 5, 1, min(cells))]
    pieces = []
    for chrom, start, length, cell in rows:
        if cell in cells:
            ends = [(start, start + 1), (start + length - 1, start + length)]
            pieces += [(chrom, *end) for end in ends] if unit == "cut" else [(chrom, start, start + length)]
    lines = ["\t".join([chrom, str(start), str(start + n), cell, "2"][:width]) for chrom, start, n, cell in rows]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BYTES", block)
        path = Path(folder) / "fragments.tsv"
        path.write_text("\n".join(lines) + "\n")
        keep = ReadFilter(unit=unit, barcodes=frozenset(cells))  # type: ignore[arg-type]
        result = count_reads(path, SOME, keep=keep)
        assert (result.counts.tolist(), result.total) == (over(SOME, pieces), len(pieces))


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ("chr1\t1\t2", Layout(3, False)),
        ("chr1\t1\t2\tSRR1234567.8", Layout(4, False)),
        ("chr1\t1\t2\tread_8\t60", Layout(5, False)),
        ("chr1\t1\t2\tACGTACGTACGTACGT\t60\t+", Layout(6, False)),  # tagAlign may have the bases there
        ("chr1\t1\t2\tACGTACGTACGTACGT-1", Layout(4, True)),
        ("chr1\t1\t2\tACGTACGTACGTACGT-1\t3", Layout(5, True)),
        ("chr1\t1\t2\tsample2#ACGTACGTACGTACGT\t3", Layout(5, True)),
        ("chr1\t1\t2\tACGTACGTACGTACGT-1\t3.5", Layout(5, False)),
    ],
)
def test_what_text_is(tmp_path: Path, row: str, layout: Layout) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"# a comment\n\n{row}\n{row}\n")
    assert text_layout(path) == layout


def test_cells_of_any_name_if_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("chr1\t5\t9\tcell_1\t3\nchr2\t5\t9\tcell_2\t3\n")
    assert read_format(path) == "tags"
    assert count_reads(path, SOME, keep=ReadFilter(barcodes=frozenset({"cell_2"}))).counts.tolist() == [0, 1]


def test_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    path.write_bytes(b"\xef\xbb\xbfchr1\t5\t9\nchr2\t5\t9\n")
    assert count_reads(path, SOME).counts.tolist() == [1, 1]


GOOD = "chr1\t5\t9\tN\t0\t+\nchr2\t5\t9\tN\t0\t-\n"


@pytest.mark.parametrize(
    ("text", "keep", "problem"),
    [
        ("", {}, r"is empty"),
        ("# only this\n\n", {}, r"holds no rows"),
        (
            GOOD + "chr1\t5\t9\tN\t0\nchr1\t5\n" + GOOD,
            {},
            r"do not have 6 columns .*\(2 affected; first: line 3: 'chr1",
        ),
        (GOOD + "chr1\t-5\t9\tN\t0\t+\n", {}, r"has negative starts \(1 affected; first: line 3: 'chr1\\t-5"),
        (GOOD + "chr1\t9\t9\tN\t0\t+\nchr1\t9\t8\tN\t0\t+\n", {}, r"starts that are not below ends \(2 affected; .*3:"),
        (GOOD + "\n#x\nchr1\tx\t9\tN\t0\t+\r\n", {}, r"no whole numbers \(1 affected; first: line 5: 'chr1\\tx\\t9"),
        (GOOD + "chr1\t0x1\t9\tN\t0\t+\n", {}, r"no whole numbers"),
        (GOOD + "chr1\t\t9\tN\t0\t+\n", {}, r"no whole numbers"),
        (GOOD + "chr1\t1.5\t9\tN\t0\t+\n", {}, r"no whole numbers"),
        (GOOD + "chr1\t1\t99999999999999999999\tN\t0\t+\n", {}, r"no whole numbers"),
        (GOOD + "chr1\t1\t3000000000\tN\t0\t+\n", {}, r"ends beyond any chromosome"),
        (GOOD + "\t1\t3\tN\t0\t+\n", {}, r"rows without a chromosome"),
        (GOOD + "chr1\t5\t9\tN\t0\t.\n", {"unit": "cut"}, r"rows without a strand, which a shift and cuts need"),
        (GOOD + "chr1\t5\t9\tN\t0\t.\n", {"shift": "tn5"}, r"rows without a strand, which a shift and cuts need"),
        ("chr1\t5\t9\tchr1\t80\t99\tr\t1\t+\t-\n", {}, r"something else than a strand in column 6"),
        ("chr1\t5\t9\t3.5\nchr1\t9\t12\t0\n", {}, r"is a bedGraph"),
        ("chr1 5 9\n", {}, r"has rows of 1 columns and needs 3"),
        ("@HD\tVN:1.6\nr\t0\tchr1\t5\n", {}, r"is SAM text"),
        ("chr1\t5\t9\n", {"unit": "cut"}, r"has no strands"),
        ("chr1\t5\t9\n", {"shift": "tn5"}, r"has no strands"),
        (GOOD, {"min_mapping_quality": 1}, r"no mapping qualities and flags"),
        (GOOD, {"require_flags": 2}, r"no mapping qualities and flags"),
        (GOOD, {"exclude_flags": 2}, r"no mapping qualities and flags"),
        (GOOD, {"duplicates": False}, r"does not tell which reads are duplicates"),
        (GOOD, {"barcodes": frozenset({"A"})}, r"holds no fragments with barcodes"),
        (f"chr1\t5\t9\t{CELLS[0]}\t1\n", {"shift": "tn5"}, r"holds fragments, which are shifted already"),
        (
            f"chr1\t5\t9\t{CELLS[0]}\t1\n",
            {"barcodes": frozenset({"AAACGAAAGAAACGCC", "X"})},
            rf"no fragment of any of the barcodes \(2 affected; first: AAACGAAAGAAACGCC is asked .* has {CELLS[0]}\)",
        ),
        (
            "chr7\t5\t9\nchrX\t5\t9\n",
            {},
            r"no row on any chromosome .*\(2 affected; first: chr1:0-20\).*are chr7, chrX",
        ),
        ("chr1\t5\t9\n2\t5\t9\n", {}, r"names chromosomes in two styles"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_bad_text(tmp_path: Path, text: str, keep: dict[str, object], problem: str, line_end: str) -> None:
    path = tmp_path / "a.bed"
    path.write_bytes(text.replace("\r\n", "\n").replace("\n", line_end).encode())
    with pytest.raises(InputError, match=problem) as caught:
        count_reads(path, SOME, keep=ReadFilter(**keep))  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"{path}: ")


def test_bad_rows_of_every_part_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 30)
    path = tmp_path / "a.bed"
    path.write_text("chr1\t5\t9\n" * 40 + "chr1\t9\t5\n" + "chr1\t5\t9\n" * 40 + "chr1\t9\t5\nchr1\tx\t5\n")
    with pytest.raises(InputError, match=r"not below ends \(2 affected; first: line 41: "):
        count_reads(path, SOME, threads=2)


@pytest.mark.parametrize("share", [0.2, 0.7, 0.99])
def test_truncated_gzip(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.bed.gz"
    content = gzip.compress("".join(f"chr1\t{i * 7919 % 10_007}\t20000\n" for i in range(20_000)).encode())
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"a\.bed\.gz: is truncated: its compressed data end too early"):
        count_reads(path, SOME)


@pytest.mark.parametrize("content", [b"chr1\t5\t9\n" * 300 + b"chr1\t5\t9" * 20_000, b"chr1\t5\t9\n\xff\xfe\t5\t9\n"])
def test_what_turns_out_to_be_no_text(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1 << 17)
    (tmp_path / "a.bed").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.bed: is not text"):
        count_reads(tmp_path / "a.bed", SOME)


def test_a_chromosome_without_rows_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.bed"
    path.write_text("1\t5\t9\nMT\t5\t9\n")
    with caplog.at_level(logging.INFO, logger="epinformer"):
        result = count_reads(path, regions(("chr1", 0, 9), ("chrY", 0, 9), ("chrY", 4, 9), ("chrM", 0, 9)))
    assert result.counts.tolist() == [1, 0, 0, 1]
    assert "a.bed: no row on chrY, which hold 2 regions: these have 0 reads" in caplog.text
    assert "a.bed: 2 chromosome names are read in the other files' style (1 as chr1)" in caplog.text


CTCF = [
    "CTCF_SE_ChIP_chr22_50k.bed.gz",
    "CTCF_SE_CTRL_chr22_50k.bed.gz",
    "CTCF_PE_ChIP_chr22_50k.bedpe.gz",
    "CTCF_PE_CTRL_chr22_50k.bedpe.gz",
]


@pytest.mark.real_data
@pytest.mark.parametrize("name", CTCF)
def test_real_tags(shared_data: Path, name: str) -> None:
    path = shared_data / "tags_ctcf_chr22" / name
    with gzip.open(path, "rt") as handle:
        rows = [line.split() for line in handle]
    start, end = (np.array([int(row[column]) for row in rows]) for column in (1, 2))
    # The parts of the chromosome, and some tags themselves, one of them twice.
    table = regions(
        *(("chr22", at, at + 250_000) for at in range(16_000_000, 51_500_000, 250_000)),
        *(("chr22", int(rows[number][1]), int(rows[number][2])) for number in (0, 0, len(rows) // 2, len(rows) - 1)),
    )
    expected = [((start < last) & (end > first)).sum() for _, first, last in table.itertuples(index=False)]
    result = count_reads(path, table)
    assert (result.counts.tolist(), result.total) == (expected, len(rows))
    assert result.counts.sum() > len(rows)
    if "_SE_" in name:
        minus = np.array([row[5] == "-" for row in rows])
        five = np.where(minus, end - 1, start)
        cuts = count_reads(path, table.assign(chrom="22"), keep=ReadFilter(unit="cut"))
        expected = [((five >= first) & (five < last)).sum() for _, first, last in table.itertuples(index=False)]
        assert (cuts.counts.tolist(), cuts.total) == (expected, len(rows))
