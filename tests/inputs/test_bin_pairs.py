from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest

from epinformer.errors import InputError
from epinformer.inputs.bin_pairs import open_average, open_bedpe
from epinformer.inputs.contact_maps import ContactMap

# Bins 0 and 3 of chr1 touch, 3 and 1; bin 2 occurs nowhere; nothing is known of 0 and 1; the end of chr2 is short.
ROWS = [
    ("chr1", 0, 100, "chr1", 300, 400, "0.5"),
    ("chr1", 300, 400, "chr1", 100, 200, "2"),
    ("chr1", 100, 200, "chr1", 100, 200, "7"),
    ("chr1", 0, 100, "chr1", 100, 200, "NaN"),
    ("chr1", 0, 100, "chr2", 0, 100, "5"),
    ("chr2", 0, 100, "chr2", 100, 160, "1e-3"),
]
EXPECTED = {
    "chr1": [[0, np.nan, np.nan, 0.5], [np.nan, 7, np.nan, 2], [np.nan] * 4, [0.5, 2, np.nan, 0]],
    "chr2": [[0, 0.001], [0.001, 0]],
}


def bedpe(path: Path, *, named: bool = False, base: int = 0, header: str = "", end: str = "\n") -> Path:
    lines = []
    for chrom1, start1, end1, chrom2, start2, end2, contact in ROWS:
        name = ["pair"] if named else []
        fields = [chrom1, start1 + base, end1, chrom2, start2 + base, end2, *name, contact]
        lines.append("\t".join(map(str, fields)) + end)
    content = (header + "".join(lines)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def dense(contact_map: ContactMap, chrom: str) -> np.ndarray:
    bins = contact_map.bins(chrom)
    one, other = (grid.ravel() for grid in np.meshgrid(np.arange(bins), np.arange(bins)))
    return contact_map.values(chrom, one, other).reshape(bins, bins)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.bedpe", {}),
        ("a.bedpe.gz", {"named": True}),
        ("a.txt", {"base": 1}),
        ("a.bedpe", {"header": "# made by hand\nchrom1\tstart1\tend1\tchrom2\tstart2\tend2\tcontact\n"}),
        ("a.bedpe", {"end": "\r\n"}),
    ],
)
def test_bedpe_in_its_variants(tmp_path: Path, name: str, options: dict, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        opened = open_bedpe(bedpe(tmp_path / name, **options), 1_000)
    assert opened.resolution == 100
    assert dict(opened.chromosomes) == {"chr1": None, "chr2": None}
    for chrom, expected in EXPECTED.items():
        assert np.array_equal(dense(opened, chrom), np.array(expected), equal_nan=True)
    assert f"{name}: 1 rows between chromosomes are passed over" in caplog.text
    assert f"{name}: 5 pairs of bins of 100 bp on 2 chromosomes" in caplog.text


def test_far_pairs_are_not_held_but_their_bins_are_known(tmp_path: Path) -> None:
    opened = open_bedpe(bedpe(tmp_path / "a.bedpe"), 150)
    # Positions 150 bp apart may be two bins apart.
    assert opened.values("chr1", np.array([3, 3]), np.array([1, 3])).tolist() == [2, 0]
    assert opened.row_sums("chr1").tolist() == [0, 9, 0, 2]


def test_sums_leave_out_what_is_not_known(tmp_path: Path) -> None:
    sums, pairs = open_bedpe(bedpe(tmp_path / "a.bedpe"), 1_000).distance_sums("chr1", 4)
    assert sums.tolist() == [7, 0, 2, 0.5, 0]
    assert pairs.tolist() == [3, 0, 1, 1, 0]


def average(rows: list[str]) -> str:
    return "".join(row + "\n" for row in rows)


def test_average_hic_of_one_file_or_of_a_folder(tmp_path: Path) -> None:
    rows = ["chr1\t0\t15000\t0.25", "chr1\t5000\t5000\t1", "chr1\t0\t5000\tnan", "chr22\t0\t0\t2"]
    (tmp_path / "all.bed.gz").write_bytes(gzip.compress(("#chr\tx1\tx2\tcontact\n" + average(rows)).encode()))
    folder = tmp_path / "AvgHiC"
    for chrom, name in (("chr1", "chr1.bed.gz"), ("chr22", "chr22.avg.gz")):
        (folder / chrom).mkdir(parents=True)
        own = [row for row in rows if row.startswith(chrom + "\t")]
        if name.endswith(".avg.gz"):
            own = [row.partition("\t")[2] for row in own]
        (folder / chrom / name).write_bytes(gzip.compress(average(own).encode()))
    (folder / "notes").mkdir()
    (folder / "params.txt").write_text("resolution 5000")
    for path in (tmp_path / "all.bed.gz", folder):
        opened = open_average(path, 100_000)
        assert opened.resolution == 5_000
        assert list(opened.chromosomes) == ["chr1", "chr22"]
        for _ in range(2):
            expected = [[0, np.nan, np.nan, 0.25], [np.nan, 1, np.nan, 0], [np.nan] * 4, [0.25, 0, np.nan, 0]]
            assert np.array_equal(dense(opened, "chr1"), np.array(expected), equal_nan=True)
            assert dense(opened, "chr22").tolist() == [[2]]


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no chr1/chr1\.bed\.gz or the like\. Name the folder of ABC's"):
        open_average(tmp_path, 100_000)
    (tmp_path / "chr1").mkdir()
    (tmp_path / "chr1" / "chr1.bed").write_text("chr2\t0\t5000\t1\n")
    opened = open_average(tmp_path, 100_000)
    with pytest.raises(InputError, match=r"chr1\.bed: holds other chromosomes than chr1\. Name the file"):
        opened.bins("chr1")
