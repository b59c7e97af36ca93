from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs import tables
from epinformer.inputs.tables import Column, numeric_columns, read_bed, read_headed, read_header

BED = (Column("chrom", "text", 0), Column("start", "int", 1), Column("score", "float", -1))
HEADED = (Column("id", "text", ("id",)), Column("value", "float", ("value", "val"), blank=True))


def write(folder: Path, content: str | bytes, name: str = "t.bed") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(table: pd.DataFrame) -> list[tuple]:
    return list(table.itertuples(index=False, name=None))


def test_bed_with_all_that_is_passed_over(tmp_path: Path) -> None:
    text = "\ufefftrack name=x\nbrowser position\n# c\n\nchr1\t5\t9\t1.5\r\n#c\nchr2\t6\t9\t-2e3\n\n"
    table = read_bed(write(tmp_path, text), BED)
    assert rows(table) == [("chr1", 5, 1.5), ("chr2", 6, -2000.0)]
    assert table.index.tolist() == [5, 7] and table.index.name == "line"
    assert table["start"].dtype == np.int64 and table["score"].dtype == np.float64


@pytest.mark.parametrize("text", ["chr1\t5\t9\t1.5", "chr1 5  9 1.5\n", "chr1\t5\t9\t1.5\r\n", "chr1\t5\t9\t1.5\r"])
def test_bed_ways_to_write_one_row(tmp_path: Path, text: str) -> None:
    assert rows(read_bed(write(tmp_path, text), BED)) == [("chr1", 5, 1.5)]


def test_chromosome_named_like_a_keyword(tmp_path: Path) -> None:
    assert rows(read_bed(write(tmp_path, "tracks\t5\t9\t1\n"), BED)) == [("tracks", 5, 1.0)]


def test_header_row_of_a_bed_file_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        table = read_bed(write(tmp_path, "chrom\tstart\tend\tn\nchr1\t5\t9\t1\n"), BED)
    assert rows(table) == [("chr1", 5, 1.0)]
    assert "t.bed: line 1 is taken as a header" in caplog.text


def test_whole_numbers_as_programs_write_them(tmp_path: Path) -> None:
    numbers = ["7.0", " 8. ", "+9", "-10.000", "248956422", str(2**63 - 1), str(-(2**63))]
    table = read_bed(write(tmp_path, "".join(f"c\t{number}\t1\t1\n" for number in numbers)), BED)
    assert table["start"].tolist() == [7, 8, 9, -10, 248_956_422, 2**63 - 1, -(2**63)]
    assert table["start"].dtype == np.int64


@pytest.mark.parametrize("token", ["3.7205E+07", "1e+05", "1e30"])
def test_whole_numbers_that_a_spreadsheet_has_rounded(tmp_path: Path, token: str) -> None:
    message = rf"start holds .* whole number \(1 affected; first: line 2: '{token.replace('+', '.')}'\)\. A spreadsheet"
    with pytest.raises(InputError, match=message):
        read_bed(write(tmp_path, f"c\t5\t1\t1\nc\t{token}\t1\t1\n"), BED)


@pytest.mark.parametrize("token", ["37_220_921", str(2**63), "9" * 5000, "0x10", "٣", "", "1.5", "nan", "5 6"])
def test_what_is_no_whole_number(tmp_path: Path, token: str) -> None:
    with pytest.raises(InputError, match=r"start holds something else than a whole number \(1 affected.*Correct"):
        read_bed(write(tmp_path, f"c\t5\t1\t1\nc\t{token}\t1\t1\n"), BED)


def test_underscores_are_no_digits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"score holds .* finite number \(1 affected; first: line 2: '1_000'\)"):
        read_bed(write(tmp_path, "c\t5\t1\t1\nc\t5\t1\t1_000\n"), BED)


def test_a_width_that_columns_do_not_tell(tmp_path: Path) -> None:
    path = write(tmp_path, "c\t1\t2\nc\t3\t4\nc\t3\t4\t5\n")
    message = (
        r"t\.bed: has rows of 3 columns and needs 4 \(2 affected; first: line 1: .*chrom \(1\), start \(2\), score \(l"
    )
    with pytest.raises(InputError, match=message):
        read_bed(path, BED, min_width=4)


def test_gzip_inside_gzip(tmp_path: Path) -> None:
    data = gzip.compress(gzip.compress(b"c\t1\t2\t3\n"))
    with pytest.raises(InputError, match=r"t\.bed\.gz: is gzip inside gzip\. Unpack it once"):
        read_bed(write(tmp_path, data, "t.bed.gz"), BED)


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    data = gzip.compress(b"chr1\t5\t9\t1\n") + gzip.compress(b"chr2\t6\t9\t2\n")
    for name in ("t.bed.gz", "t.bed"):
        assert rows(read_bed(write(tmp_path, data, name), BED)) == [("chr1", 5, 1.0), ("chr2", 6, 2.0)]


@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
def test_chunks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(tables, "_CHUNK_ROWS", chunk)
    path = write(tmp_path, "".join(f"chr{i}\t{i}\t9\t{i / 2}\n" for i in range(7)))
    table = read_bed(path, BED)
    assert rows(table) == [(f"chr{i}", i, i / 2) for i in range(7)]
    assert table.index.tolist() == list(range(1, 8))
    bad = write(tmp_path, "".join(f"chr{i}\t{i}\t9\t{'x' if i in (3, 5) else 1}\n" for i in range(7)))
    with pytest.raises(InputError, match=r"\(2 affected; first: line 4: 'x'\)"):
        read_bed(bad, BED)


@given(st.lists(st.tuples(st.integers(0, 2**40), st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_numbers_are_read_exactly(values: list[tuple[int, float]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "".join(f"c\t{i}\t0\t{x!r}\n" for i, x in values))
        assert rows(read_bed(path, BED)) == [("c", i, x) for i, x in values]


BAD_BED = {
    "empty": ("", r"t\.bed: is empty\. Check how"),
    "comments only": ("# a\n\ntrack x\n", r"t\.bed: holds no rows"),
    "header only": ("chrom\tstart\tend\n", r"t\.bed: holds no rows"),
    "too narrow": (
        "chr1\n",
        r"t\.bed: has rows of 1 columns and needs 2 \(1 affected; first: line 1: 'chr1'\)\. Separate",
    ),
    "commas": ("chr1,5,9,1\nchr2,5,9,1\n", r"has rows of 1 columns and needs 2 \(2 affected"),
    "ragged": (
        "c\t1\t2\t3\nc\t1\t2\nc\t1\t2\t3\t4\nc\t1\t2\t3\n",
        r"t\.bed: has rows that do not have 4 fields like its first one \(2 affected; first: line 2: 3 fields: "
        r"'c\\t1\\t2'\)\. Complete or remove",
    ),
    "text": (
        "c\t1\t2\tx\nc\t1\t2\t?\n",
        r"column score holds .* finite number \(2 affected; first: line 1: 'x'\)\. Correct",
    ),
    "blank": (
        "c\t1\t2\t\n",
        r"column score holds something else than a finite number \(1 affected; first: line 1: ''\)",
    ),
    "NaN": ("c\t1\t2\tNaN\n", r"column score .*'NaN'"),
    "infinite": ("c\t1\t2\t-inf\n", r"column score .*'-inf'"),
    "fraction": (
        "c\t1.5\t2\t3\n",
        r"column start holds something else than a whole number \(1 affected; first: line 1: '1\.5'\)",
    ),
    "not text": (b"\x89PNG\xff\xfe\x00", r"t\.bed: is not text\. Give"),
    "truncated": (gzip.compress(b"c\t1\t2\t3\n" * 5000)[:-9], r"t\.bed: is truncated: .*Copy or download it again"),
    "truncated within": (gzip.compress(np.random.default_rng(0).bytes(999))[:500], r"t\.bed: is (truncated|not text)"),
    "damaged": (gzip.compress(b"c\t1\t2\t3\n" * 50)[:-8] + b"\0" * 8, r"t\.bed: has damaged gzip data"),
    "trailing bytes": (gzip.compress(b"c\t1\t2\t3\n") + b"xyz", r"t\.bed: has damaged gzip data"),
}


@pytest.mark.parametrize("name", BAD_BED)
def test_bad_bed(tmp_path: Path, name: str) -> None:
    content, message = BAD_BED[name]
    with pytest.raises(InputError, match=message):
        read_bed(write(tmp_path, content), BED)


def test_bgzip_cut_between_two_blocks(tmp_path: Path) -> None:
    pysam = pytest.importorskip("pysam")
    path = tmp_path / "t.bed.gz"
    with pysam.BGZFile(str(path), "wb") as handle:
        handle.write(b"c\t1\t2\t3\n")
    whole = path.read_bytes()
    assert rows(read_bed(path, BED)) == [("c", 1, 3.0)]
    path.write_bytes(whole[:-28])
    with pytest.raises(InputError, match=r"t\.bed\.gz: is truncated"):
        read_bed(path, BED)


def test_name_says_gzip_but_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.bed\.gz: is named \.gz but is not gzip"):
        read_bed(write(tmp_path, "c\t1\t2\t3\n", "t.bed.gz"), BED)


@pytest.mark.parametrize(("name", "message"), [("none.bed", "there is no such file"), (".", "cannot be read")])
def test_no_file(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_bed(tmp_path / name, BED)


@pytest.mark.parametrize(
    "text",
    [
        "id,other,value\na,1,2.5\nb,1,NA\n",
        "id\tother\tvalue\na\t1\t2.5\nb\t1\t\n",
        "#id\tother\tvalue\na\t1\t2.5\n# c\n#c\nb\t1\tnan\n",
        "## format\n# by hand\nid,other,val\na,1,2.5\n\nb,1,.\n",
        '\ufeff"id","other","value"\r\n"a","x, y",2.5\r\nb,"2 ""c""",null\r\n',
        "value,id\n2.5,a\nNaN,b\n",
    ],
)
def test_headed(tmp_path: Path, text: str) -> None:
    table = read_headed(write(tmp_path, text, "t.csv"), HEADED)
    assert table["id"].tolist() == ["a", "b"]
    assert table["value"].tolist()[0] == 2.5 and np.isnan(table["value"].iloc[1])


def test_headed_prefers_the_first_name_and_takes_optional_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "val,value,id\n1,2,a\n")
    columns = (*HEADED, Column("more", "text", ("more",), optional=True))
    assert read_headed(path, columns).to_dict("list") == {"id": ["a"], "value": [2.0]}
    assert read_header(path) == ["val", "value", "id"]


BAD_HEADED = {
    "empty": ("", r"t\.csv: is empty"),
    "header only": ("id,value\n", r"t\.csv: holds no rows"),
    "missing": (
        "ID,values\na,1\n",
        r"t\.csv: lacks the columns id, value or val\. Add it, .* has ID, values; close to it: values",
    ),
    "repeated": ("id,value,value\na,1,2\n", r"t\.csv: has 2 columns named value\. Rename"),
    "ragged": (
        "id,value\na,1\nb\nc,1,2\n",
        r"do not have 2 fields like its first one \(2 affected; first: line 3: 1 fields: 'b'\)",
    ),
    "text": ("id,value\na,1\nb,low\n", r"column value holds .* \(1 affected; first: line 3: 'low'\)"),
    "infinite": ("id,value\na,inf\n", r"column value holds .*'inf'"),
    "unquoted": ('id,value\n"a,1\n' + "x" * 200_000 + "\n", r"t\.csv: is not a table: field larger"),
}


@pytest.mark.parametrize("name", BAD_HEADED)
def test_bad_headed(tmp_path: Path, name: str) -> None:
    content, message = BAD_HEADED[name]
    with pytest.raises(InputError, match=message):
        read_headed(write(tmp_path, content, "t.csv"), HEADED)


def test_columns_of_numbers_are_known_by_their_first_rows(tmp_path: Path) -> None:
    text = "# by hand\n#id\tvalue\tflag\tempty\tmixed\na\t1e-3\tTrue\tNA\t1\nb\tNA\tFalse\t\tx\n"
    path = write(tmp_path, text)
    expected = {"id": False, "value": True, "flag": False, "empty": True, "mixed": False}
    assert numeric_columns(path) == expected
    assert numeric_columns(path, rows=1) == expected | {"mixed": True}
    with pytest.raises(InputError, match="holds no rows"):
        numeric_columns(write(tmp_path, "id\tvalue\n"))
