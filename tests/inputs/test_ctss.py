from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.inputs.ctss import ctss_sums

REGIONS = pd.DataFrame(
    [("chr1", 100, 484, "+"), ("chr1", 100, 484, "-"), ("chr2", -50, 10, "+"), ("chr3", 0, 9, "+")],
    columns=["chrom", "start", "end", "strand"],
)


def write(folder: Path, rows: list[str]) -> Path:
    path = folder / "cage.ctss.bed"
    path.write_text("".join(row.replace(" ", "\t") + "\n" for row in rows))
    return path


def test_only_the_own_strand_and_only_inside(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        ["chr1 483 484 x 8 +", "chr1 99 100 x 1 +", "chr1 100 101 x 2 +", "chr1 200 201 x 4 -", "chr1 484 485 x 16 +",
         "chr2 0 1 x 32 +", "chr2 10 11 x 64 +"],
    )  # fmt: skip
    assert ctss_sums(path, REGIONS).tolist() == [10.0, 4.0, 32.0, 0.0]


def test_the_other_style_of_names(tmp_path: Path) -> None:
    assert ctss_sums(write(tmp_path, ["1 100 101 x 3 +"]), REGIONS).tolist() == [3.0, 0.0, 0.0, 0.0]


def test_against_brute_force(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = [
        ("chr1", int(position), int(rng.integers(1, 9)), "+-"[int(rng.integers(2))])
        for position in rng.choice(600, 300, replace=False)
    ]
    path = write(tmp_path, [f"{chrom} {at} {at + 1} . {count} {strand}" for chrom, at, count, strand in rows])
    start = rng.integers(0, 500, 40)
    regions = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 60, "strand": rng.choice(["+", "-"], 40)})
    expected = [
        sum(count for _, at, count, strand in rows if item.start <= at < item.end and strand == item.strand)
        for item in regions.itertuples()
    ]
    assert ctss_sums(path, regions).tolist() == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("chr1 1 3 x 1 +", r"sites of more than one base \(1 affected; first: line 1"),
        ("chr1 1 2 x -1 +", "negative counts"),
        ("chr1 1 2 x 1 .", "neither"),
        ("chr9 1 2 x 1 +", "shares no chromosome with the genes"),
        ("chr1 1 2 x 1", "has rows of 5 columns"),
    ],
)
def test_bad_files(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ctss_sums(write(tmp_path, [row]), REGIONS)
