"""Sums and means of bigWig files written by pybigtools, against arrays of every base."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pybigtools
import pytest

from epinformer.errors import InputError
from epinformer.inputs.tracks import track_lengths, track_means, track_sums

LENGTHS = {"chr1": 200_000, "chr2": 50_000, "chrX": 1_000}
Interval = tuple[str, int, int, float]


def write(path: Path, intervals: Sequence[Interval], lengths: dict[str, int] | None = None) -> Path:
    pybigtools.open(str(path), "w").write(lengths or LENGTHS, iter(intervals))
    return path


def regions(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """Some ten thousand intervals, so several blocks, and the value of every base as the file has it."""
    rng = np.random.default_rng(3)
    rows: list[Interval] = []
    bases = {chrom: np.zeros(length) for chrom, length in LENGTHS.items()}
    for chrom in ("chr1", "chr2"):
        cuts = np.unique(rng.integers(0, LENGTHS[chrom], LENGTHS[chrom] // 15))
        for start, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            if rng.random() < 0.7:
                # Ten orders of magnitude side by side.
                value = float(np.float32(10 ** rng.uniform(-5, 5)))
                rows.append((chrom, start, end, value))
                bases[chrom][start:end] = value
    return write(tmp_path_factory.mktemp("tracks") / "many.bw", rows), bases


def test_sums_and_means(many: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, bases = many
    rng = np.random.default_rng(4)
    chroms = rng.choice(["chr1", "chr2"], 3_000)
    start = np.array([rng.integers(0, LENGTHS[chrom] - 1) for chrom in chroms])
    length = rng.choice([1, 2, 50, 500, 30_000], 3_000)
    end = np.minimum(start + length, [LENGTHS[chrom] for chrom in chroms])
    table = pd.DataFrame({"chrom": chroms, "start": start, "end": end})
    result = track_sums(path, table)
    expected = np.array([bases[chrom][a:b].sum() for chrom, a, b in zip(chroms, start, end, strict=True)])
    np.testing.assert_allclose(result.sums, expected, rtol=1e-12)
    np.testing.assert_allclose(result.total, sum(values.sum() for values in bases.values()), rtol=1e-12)
    np.testing.assert_allclose(track_means(path, table), expected / (end - start), rtol=1e-12)
    # In another order of regions, the same of each.
    np.testing.assert_array_equal(track_sums(path, table[::-1]).sums, result.sums[::-1])


def test_another_reader_agrees(many: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    path, _ = many
    table = pd.DataFrame({"chrom": "chr1", "start": np.arange(0, 199_000, 130), "end": np.arange(500, 199_500, 130)})
    bed = tmp_path / "regions.bed"
    table.assign(name="x").to_csv(bed, sep="\t", header=False, index=False)
    with pybigtools.open(str(path)) as track:
        expected = np.fromiter(track.average_over_bed(str(bed), stats="sum"), np.float64)
        summary = track.info()["summary"]
        assert track_lengths(path) == track.chroms()
    result = track_sums(path, table)
    np.testing.assert_allclose(result.sums, expected, rtol=1e-9)
    assert result.total == pytest.approx(summary["sum"], rel=1e-9)


def test_only_touched_blocks_are_read_for_means(many: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, _ = many
    blocks: list[int] = []
    for table in (regions(("chr1", 5_000, 5_010)), regions(("chr1", 0, 200_000))):
        track_means(path, table, progress=lambda done, total: blocks.append(total))
    track_sums(path, table, progress=lambda done, total: blocks.append(total))
    # Those of chr2 are touched by no region.
    assert blocks[0] == 1 < blocks[1] < blocks[-1]


def test_uncovered_bases_are_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bw", [("chr1", 10, 20, 2.0), ("chr1", 30, 40, 4.0), ("chrX", 990, 1_000, 1.0)])
    table = regions(
        ("chr1", 0, 10), ("chr1", 15, 35), ("chr1", 20, 30), ("chr1", 39, 139), ("chrX", 980, 1_020), ("chr1", -5, 11)
    )
    assert track_sums(path, table).sums.tolist() == [0, 30, 0, 4, 10, 2]
    assert track_means(path, table).tolist() == [0, 1.5, 0, 0.04, 0.25, 0.125]
    assert track_sums(path, table).total == 70
    assert np.isnan(track_sums(path, table, total=False).total)
    assert track_sums(path, regions()).sums.shape == (0,)


def test_small_sums_beside_large_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bw", [("chr1", 0, 100_000, 1e30), ("chr1", 100_000, 100_003, 0.1)])
    assert track_sums(path, regions(("chr1", 100_000, 100_002))).sums[0] == 2 * float(np.float32(0.1))


def test_the_other_style(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.bw", [("1", 10, 20, 2.0), ("MT", 0, 5, 1.0)], {"1": 100, "MT": 50})
    with caplog.at_level(logging.INFO):
        sums = track_sums(path, regions(("chrM", 0, 10), ("chr1", 0, 15))).sums
    assert sums.tolist() == [5, 10]
    assert "a.bw: 2 chromosome names are read in the other files' style (1 as chr1)" in caplog.text


def test_absent_chromosomes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.bw", [("chr1", 10, 20, 2.0)], {"chr1": 100})
    table = regions(("chr2", 5, 10), ("chr1", 0, 15), ("chr3", 7, 9))
    assert track_sums(path, table).sums.tolist() == [0, 10, 0]
    assert "a.bw has no data of chromosomes of 2 of 3 regions, which are 0 there (first: chr2:5-10)" in caplog.text
    with pytest.raises(InputError, match=r"a\.bw: has none of .* \(2 affected; first: chr2:5-10\)\. .* it has chr1\."):
        track_sums(path, table[table["chrom"] != "chr1"])


def test_another_assembly(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bw", [("chr1", 10, 20, 2.0)], {"chr1": 100})
    message = r"a\.bw: has chromosomes that end before regions begin.*\(2 affected; first: chr1:100-150, .* 100 bp\)"
    with pytest.raises(InputError, match=message):
        track_sums(path, regions(("chr1", 0, 10), ("chr1", 100, 150), ("chr1", 99, 150), ("chr1", 300, 301)))


def test_values_that_are_no_signal(tmp_path: Path) -> None:
    table = regions(("chr1", 0, 15))
    path = write(tmp_path / "a.bw", [("chr1", 10, 20, 2.0), ("chr2", 5, 9, -1.5), ("chr2", 9, 10, -1.0)])
    with pytest.raises(InputError, match=r"are negative, NaN or infinite \(2 affected; first: chr2:5-9, -1\.5\)"):
        track_sums(path, table)
    assert track_sums(path, table, signed=True).total == 13
    assert track_means(path, regions(("chr2", 5, 15))).tolist() == [-0.7]
    for value in (float("nan"), float("inf")):
        path = write(tmp_path / "b.bw", [("chr1", 10, 20, value), ("chr1", 20, 30, -1.0)])
        with pytest.raises(InputError, match=rf"are NaN or infinite \(1 affected; first: chr1:10-20, {value:g}\)"):
            track_means(path, table)


def test_progress_and_errors_within(many: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, _ = many
    seen: list[tuple[int, int]] = []
    track_sums(path, regions(("chr1", 0, 15)), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 1 and seen == sorted(seen)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        track_sums(path, regions(("chr1", 0, 15)), progress=stop)
    assert threading.active_count() == before
