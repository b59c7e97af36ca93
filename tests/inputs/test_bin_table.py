from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from epinformer.errors import InputError
from epinformer.inputs import bin_table
from epinformer.inputs.bin_table import layout_of, read_bin_tables

GOOD = "chr1\t0\t100\tchr1\t100\t200\t1\n"


def read(path: Path, width: int = 7) -> object:
    return read_bin_tables(path, layout_of(path, (width,), None), 10_000)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("chr1\t0\t100\tchr1\t200\t300\t-1", r"has negative contacts \(1 affected; first: line 2: chr1 0 100 chr1 200"),
        (
            "chr1\t0\t100\tchr1\t200\t300\tinf",
            r"column contact holds .* finite number \(1 affected; first: line 2: 'inf'",
        ),
        ("chr1\t0\t100\tchr1\t200\t300\tmany", r"column contact holds .* \(1 affected; first: line 2: 'many'\)"),
        ("chr1\t0\t100\tchr1\tx\t300\t1", r"column start2 holds .* whole number \(1 affected; first: line 2: 'x'\)"),
        ("chr1\t0\t100\tchr1\t\t300\t1", r"column start2 holds .* whole number \(1 affected; first: line 2: ''\)"),
        ("chr1\t0\t100\tchr1\t300\t1", r"rows that do not have 7 fields .* \(1 affected; first: line 2: 6 fields"),
        (
            "chr1\t0\t100\tchr1\t200\t450\t1",
            r"has positions that are not of bins of 100 bp \(1 affected; first: line 2: chr1 0 100 chr1 200 450 1\.0\)",
        ),
        ("chr1\t0\t100\tchr1\t150\t250\t1", r"not of bins of 100 bp \(1 affected; first: line 2: .*\)\. Give contacts"),
        ("chr1\t0\t100\tchr1\t-100\t0\t1", r"not of bins of 100 bp \(1 affected; first: line 2"),
        ("chr1\t0\t100\tchr1\t200\t200\t1", r"has starts that are not below ends \(1 affected; first: line 2"),
        (
            "chr1\t100\t200\tchr1\t0\t100\t1",
            r"gives a pair of bins twice \(1 affected; first: line 2: chr1 0 100 1\.0\)\. Keep one row a pair",
        ),
    ],
)
def test_bad_rows(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "a.bedpe"
    path.write_text(GOOD + row + "\nchr1\t300\t400\tchr1\t300\t400\t1\n")
    with pytest.raises(InputError, match=r"a\.bedpe: .*" + message):
        read(path)


def test_positions_of_another_bin_size(tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    path.write_text("chr1\t0\t5000\t1\nchr1\t2500\t5000\t1\n")
    with pytest.raises(InputError, match=r"not of bins of 5,000 bp \(1 affected; first: line 2: chr1 2500 5000 1\.0\)"):
        read(path, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"holds no rows"),
        (b"# nothing\n\n", r"holds no rows"),
        (b"chr1\t0\t100\t5\n", r"has 4 columns and not 7 \(first: line 1: chr1 0 100 5\)"),
        (b"chr1\t0\t100\tchr2\t0\t100\t5\n", r"holds no pairs within a chromosome"),
        (gzip.compress(GOOD.encode() * 2_000)[:-20], r"is truncated: its compressed data end too early"),
        (gzip.compress(gzip.compress(GOOD.encode())), r"is gzip inside gzip"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", r"is not text"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.bedpe"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.bedpe: " + message):
        read(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.bedpe: there is no such file"):
        read(tmp_path / "a.bedpe")


def test_tables_of_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bin_table, "_BLOCK_BYTES", 300)
    rng = np.random.default_rng(0)
    pairs = {
        (chrom, *sorted(rng.integers(0, 40, 2).tolist())): float(rng.random()) for chrom in "ab" for _ in range(300)
    }
    order = rng.permutation(len(pairs))
    rows = [
        f"{chrom}\t{i * 100}\t{i * 100 + 100}\t{chrom}\t{j * 100}\t{j * 100 + 100}\t{value!r}"
        for (chrom, i, j), value in pairs.items()
    ]
    path = tmp_path / "a.bedpe"
    path.write_text("\n".join(rows[row] for row in order))
    size, tables = read_bin_tables(path, layout_of(path, (7,), None), 10_000)
    assert size == 100
    found = {
        (chrom, i, j): value
        for chrom, table in tables.items()
        for i, j, value in zip(table.first.tolist(), table.second.tolist(), table.values.tolist(), strict=True)
    }
    assert found == pairs
    assert all(np.all(np.diff(table.first * 100 + table.second) > 0) for table in tables.values())
    for chrom, table in tables.items():
        known = {bin_ for name, *both in pairs if name == chrom for bin_ in both}
        assert np.flatnonzero(table.seen).tolist() == sorted(known)
