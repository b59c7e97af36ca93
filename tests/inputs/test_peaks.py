from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest

from epinformer.errors import InputError
from epinformer.inputs.peaks import read_peaks


def write(folder: Path, text: str, name: str = "p.narrowPeak") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def narrow(start: int, end: int, offset: object, *, chrom: str = "chr1", signal: object = 4.5) -> str:
    return f"{chrom}\t{start}\t{end}\tpeak\t77\t.\t{signal}\t9\t8\t{offset}\n"


def test_summits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # The first and the last base may be the summit, one region may have two, and -1 stands for the centre.
    text = "track type=narrowPeak\n" + narrow(100, 201, 0) + narrow(100, 201, 100) + narrow(100, 201, -1, signal=".")
    with caplog.at_level(logging.INFO, logger="epinformer"):
        table = read_peaks(write(tmp_path, text))
    assert list(table) == ["chrom", "start", "end", "summit", "score", "signal"]
    assert table["summit"].tolist() == [100, 200, 150] and table["summit"].dtype == np.int64
    assert table["score"].tolist() == [77, 77, 77]
    assert table["signal"].tolist()[:2] == [4.5, 4.5] and np.isnan(table["signal"].iloc[2])
    assert table.index.tolist() == [2, 3, 4]
    assert "p.narrowPeak: the centre is taken for the summit of 1 of 3 peaks" in caplog.text


@pytest.mark.parametrize(
    ("row", "score"),
    [("chr1\t10\t21", None), ("chr1 10 21 name 5.5", 5.5), ("chr1\t10\t21\tname\t.\t+\t1\t2\t3", None)],
)
def test_bed_has_its_centre(tmp_path: Path, row: str, score: float | None) -> None:
    table = read_peaks(write(tmp_path, row + "\n", "p.bed"))
    assert table["summit"].tolist() == [15]
    assert table["score"].fillna(-1).tolist() == [-1 if score is None else score]
    assert table["signal"].isna().all()


def test_gzip(tmp_path: Path) -> None:
    path = tmp_path / "p.narrowPeak.gz"
    path.write_bytes(gzip.compress(narrow(5, 9, 3).encode()))
    assert read_peaks(path)["summit"].tolist() == [8]


@pytest.mark.parametrize("offset", [101, -2])
def test_summit_outside_its_peak(tmp_path: Path, offset: int) -> None:
    text = narrow(100, 201, 100) + narrow(100, 201, offset) + narrow(300, 310, 10)
    with pytest.raises(InputError) as caught:
        read_peaks(write(tmp_path, text))
    assert f"has summits outside their peaks (2 affected; first: line 2: chr1 100 201 {offset})" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (narrow(100, 100, -1), r"has starts that are not below ends \(1 affected"),
        (narrow(-1, 100, -1), r"has negative starts \(1 affected"),
        (narrow(1, 100, 1.5), r"column offset holds something else than a whole number .*'1\.5'"),
        (narrow(1, 100, 5, signal="inf"), r"column signal holds something else than a finite number"),
        ("chr1\t1\t9\tname\t5\n", r"is named narrowPeak and does not have its 10 columns\. Give all ten"),
        (narrow(1, 9, 1) + "chr1\t1\t9\n", r"rows that do not have 10 fields.*line 2"),
        ("", r"is empty"),
        ("chr1\n", r"rows of 1 columns and needs 3"),
    ],
)
def test_bad_peaks(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"p\.narrowPeak: .*" + message):
        read_peaks(write(tmp_path, text))


def test_twelve_columns_are_bed(tmp_path: Path) -> None:
    # Column 10 is a number of blocks there.
    row = "chr1\t10\t21\tname\t5\t+\t10\t21\t0\t1\t11,\t0,\n"
    table = read_peaks(write(tmp_path, row, "p.bed"))
    assert table["summit"].tolist() == [15] and table["signal"].isna().all()
    with pytest.raises(InputError, match="does not have its 10 columns"):
        read_peaks(write(tmp_path, row))


@pytest.mark.real_data
def test_peaks_of_macs(shared_data: Path) -> None:
    folder = shared_data / "abc_chr22" / "K562_chr22" / "Peaks"
    path = folder / "macs2_peaks.narrowPeak.sorted"
    table = read_peaks(path)
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    assert table["summit"].tolist() == [int(row[1]) + int(row[9]) for row in rows]
    assert table["signal"].tolist() == [float(row[6]) for row in rows]
    # Called with several summits a region.
    assert table.duplicated(["chrom", "start", "end"]).any()
    # The regions made of them are plain BED, whatever their name.
    regions = read_peaks(folder / "macs2_peaks.narrowPeak.sorted.candidateRegions.bed")
    assert regions["summit"].equals((regions["start"] + regions["end"]) // 2)
