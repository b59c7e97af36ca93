from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.inputs import contact_maps
from epinformer.inputs.contact_maps import ContactMap, Pixels, chosen_resolution, open_contact_map
from epinformer.inputs.hic import imported_hictkpy
from tests.contact_files import LENGTHS, random_counts, write_cool, write_hic

hictkpy = imported_hictkpy()

BIN = 5_000
COUNTS = random_counts(LENGTHS, BIN)
FACTORS = np.random.default_rng(1).uniform(0.5, 2.0, sum(map(len, COUNTS.values())))
FACTORS[[3, 20, 25]] = np.nan


def dense(contact_map: ContactMap, chrom: str) -> np.ndarray:
    bins = contact_map.bins(chrom)
    one, other = (grid.ravel() for grid in np.meshgrid(np.arange(bins), np.arange(bins)))
    return contact_map.values(chrom, one, other).reshape(bins, bins)


def scaled(chrom: str, factors: np.ndarray) -> np.ndarray:
    start = sum(len(COUNTS[name]) for name in list(COUNTS)[: list(COUNTS).index(chrom)])
    own = factors[start : start + len(COUNTS[chrom])]
    return COUNTS[chrom] * own[:, None] * own


@pytest.fixture(params=["cool", "hic"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "cool":
        return write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN)
    return write_hic(tmp_path / "a.hic", COUNTS, LENGTHS, [BIN])


def test_counts_as_they_are(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rows are read with what lies between them, or one by one.
    for gap in (500, 1):
        monkeypatch.setattr(contact_maps, "_GAP", gap)
        with open_contact_map(path, normalisation="none") as opened:
            assert opened.chromosomes == LENGTHS
            assert (opened.resolution, opened.normalisation, opened.path) == (BIN, "none", path)
            for chrom, expected in COUNTS.items():
                assert np.array_equal(dense(opened, chrom), expected)
                assert np.array_equal(opened.row_sums(chrom), expected.sum(axis=0))
            picked = opened.values("chr1", np.array([0, 19, 7]), np.array([20, 1, 7]))
            assert picked.tolist() == [COUNTS["chr1"][0, 20], COUNTS["chr1"][1, 19], COUNTS["chr1"][7, 7]]


def test_bins_outside_have_no_contact(path: Path) -> None:
    with open_contact_map(path, normalisation="none") as opened:
        values = opened.values("chr2", np.array([-1, 0, 10, 3]), np.array([0, 11, 10, 500]))
        assert np.isnan(values).tolist() == [True, True, False, True]
        assert opened.values("chr2", np.zeros(0, int), np.zeros(0, int)).tolist() == []


def test_names_of_chromosomes_in_either_style(path: Path) -> None:
    with open_contact_map(path, normalisation="none") as opened:
        assert [opened.name_of(chrom) for chrom in ("chr1", "1", "chrY", "scaffold")] == ["chr1", "chr1", None, None]


def test_normalised_by_either_kind_of_column(tmp_path: Path) -> None:
    path = write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN, {"weight": FACTORS, "VC": 1 / FACTORS})
    file = hictkpy.File(path)
    for normalisation, name in (("ICE", "weight"), ("weight", "weight"), ("VC", "VC")):
        with open_contact_map(path, normalisation=normalisation) as opened:
            for chrom in COUNTS:
                expected = scaled(chrom, FACTORS)
                assert np.allclose(dense(opened, chrom), expected, rtol=1e-14, equal_nan=True)
                if len(expected) > 1:  # hictk does not find the pixel of a last chromosome that is one bin
                    other = file.fetch(chrom, normalization=name, count_type=float).to_numpy()
                    assert np.allclose(np.nan_to_num(expected), np.nan_to_num(other), rtol=1e-6)
                assert np.allclose(opened.row_sums(chrom), np.nansum(expected, axis=0))


def test_juicer_norms_are_as_they_are_and_those_of_weights_over_their_mean(tmp_path: Path) -> None:
    path = write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN, {"weight": FACTORS, "VC": 1 / FACTORS})
    with open_contact_map(path, normalisation="VC") as opened:
        assert np.allclose(opened.relative_norms("chr1"), 1 / FACTORS[:21], equal_nan=True)
    with open_contact_map(path, normalisation="ICE") as opened:
        assert np.allclose(
            opened.relative_norms("chr1"), 1 / FACTORS[:21] / np.nanmean(1 / FACTORS[:21]), equal_nan=True
        )


def test_sums_and_numbers_at_each_distance(tmp_path: Path) -> None:
    path = write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN, {"weight": FACTORS})
    with open_contact_map(path, normalisation="ICE") as opened:
        for chrom in COUNTS:
            expected = scaled(chrom, FACTORS)
            sums, pairs = opened.distance_sums(chrom, 12)
            for apart in range(13):
                diagonal = np.diagonal(expected, apart) if apart < len(expected) else np.zeros(0)
                assert sums[apart] == pytest.approx(np.nansum(diagonal))
                assert pairs[apart] == np.isfinite(diagonal).sum()


class Blocks:
    """A reader that gives a matrix row by row, with a pixel whose value is missing."""

    path, resolution, chromosomes, relative = Path("made-up"), BIN, {"a": 4 * BIN}, False
    matrix = np.array([[1.0, 2, 0, np.nan], [2, 0, 3, 0], [0, 3, 4, 5], [np.nan, 0, 5, 6]])

    def norms(self, chrom: str) -> np.ndarray:
        return np.ones(4)

    def counts(self, chrom: str, first: int, last: int, farthest: int) -> Iterator[Pixels]:
        for row in range(first, last):
            second = np.flatnonzero(self.matrix[row] != 0)
            second = second[(second >= row) & (second <= row + farthest)]
            yield Pixels(np.full(len(second), row), second, self.matrix[row, second])


def test_pieces_and_missing_pixels() -> None:
    contact_map = ContactMap(Blocks())
    assert np.array_equal(dense(contact_map, "a"), Blocks.matrix, equal_nan=True)
    sums, pairs = contact_map.distance_sums("a", 4)
    assert sums.tolist() == [11, 10, 0, 0, 0]
    assert pairs.tolist() == [4, 3, 2, 0, 0]
    assert contact_map.row_sums("a").tolist() == [3, 5, 12, 11]


def test_the_resolution_nearest_to_5_kb_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    coarse = random_counts(LENGTHS, 10_000, seed=3)
    path = tmp_path / "a.mcool"
    for size, counts in ((1_000, random_counts(LENGTHS, 1_000)), (10_000, coarse)):
        write_cool(path, counts, LENGTHS, size, group=f"resolutions/{size}")
    with caplog.at_level(logging.INFO), open_contact_map(path, normalisation="none") as opened:
        assert opened.resolution == 10_000
        assert np.array_equal(dense(opened, "chr1"), coarse["chr1"])
    assert "a.mcool: bins of 10,000 bp are taken, of 1,000, 10,000" in caplog.text
    assert "contact map of 3 chromosomes in bins of 10,000 bp, normalisation none" in caplog.text
    with open_contact_map(path, normalisation="none", resolution=1_000) as opened:
        assert opened.bins("chr1") == 103
    hic = write_hic(tmp_path / "a.hic", COUNTS, LENGTHS, [BIN, 10_000, 25_000])
    with open_contact_map(hic, normalisation="none", resolution=25_000) as opened:
        pooled = np.add.reduceat(np.add.reduceat(np.triu(COUNTS["chr1"]), range(0, 21, 5), 0), range(0, 21, 5), 1)
        assert np.array_equal(np.triu(dense(opened, "chr1")), pooled)


@pytest.mark.parametrize(("available", "taken"), [([2_500, 10_000], 2_500), ([7_000, 3_000], 7_000), ([10**6], 10**6)])
def test_near_is_meant_by_ratio(available: list[int], taken: int) -> None:
    assert chosen_resolution(Path("a"), available, None) == taken


def test_what_a_file_lacks_is_told_with_what_it_has(path: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"has no bins of 1,000 bp\. Set resolution to one that the file has: 5,000\."),
        open_contact_map(path, resolution=1_000),
    ):
        pass
    with (
        pytest.raises(InputError, match=r"has no normalisation VC\. Set normalisation to one that the file has: none"),
        open_contact_map(path),
    ):
        pass
    path = write_cool(tmp_path / "b.cool", COUNTS, LENGTHS, BIN, {"weight": FACTORS, "KR": FACTORS})
    with (
        pytest.raises(InputError, match=r"has no normalisation vc\. .* the file has: KR, ICE, none\."),
        open_contact_map(path, normalisation="vc"),
    ):
        pass


def test_not_a_map(tmp_path: Path) -> None:
    for content, message in (
        (b"", "is empty"),
        (b"chr1\t0\t5000", "is no contact map"),
        (gzip.compress(b"a"), "is no"),
    ):
        (tmp_path / "a.hic").write_bytes(content)
        with (
            pytest.raises(InputError, match=rf"a\.hic: {message}.* Give a \.hic, \.cool or \.mcool"),
            open_contact_map(tmp_path / "a.hic"),
        ):
            pass
    with pytest.raises(InputError, match=r"b\.hic: there is no such file"), open_contact_map(tmp_path / "b.hic"):
        pass
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"), open_contact_map(tmp_path):
        pass


def test_truncated_maps(path: Path) -> None:
    whole = path.read_bytes()
    for size in (12, len(whole) // 3, len(whole) - 200):
        path.write_bytes(whole[:size])
        with (
            pytest.raises(InputError, match=r"a\.(hic|cool): is truncated or damaged: "),
            open_contact_map(path, normalisation="none") as opened,
        ):
            for chrom in opened.chromosomes:
                dense(opened, chrom)


def test_what_fails_in_the_block_is_not_put_down_to_the_file(path: Path) -> None:
    with pytest.raises(RuntimeError, match="mine"), open_contact_map(path, normalisation="none"):
        raise RuntimeError("mine")


@pytest.mark.real_data
@pytest.mark.parametrize("normalisation", ["VC", "VC_SQRT", "KR", "SCALE", "none"])
def test_a_real_hic_equals_hictks_dump(shared_data: Path, normalisation: str) -> None:
    path = shared_data / "hic" / "straw_R_test.hic"
    if not path.is_file():
        pytest.skip(f"no {path}")
    file = hictkpy.File(path, 2_500_000)
    with open_contact_map(path, normalisation=normalisation) as opened:
        assert dict(opened.chromosomes) == dict(file.chromosomes())
        for chrom in opened.chromosomes:
            expected = file.fetch(chrom, normalization=normalisation.upper(), count_type=float).to_numpy()
            masked = np.zeros(len(expected), dtype=bool)
            if normalisation != "none":
                masked = ~(np.nan_to_num(file.weights(normalisation)[_own_bins(file, chrom)]) > 0)
            expected[masked], expected[:, masked] = np.nan, np.nan
            # hictk rounds to 32 bits.
            assert np.allclose(dense(opened, chrom), expected, rtol=2.0**-23, atol=0, equal_nan=True)


def _own_bins(file: Any, chrom: str) -> slice:
    sizes = [-(-length // file.resolution()) for length in file.chromosomes().values()]
    start = sum(sizes[: [*file.chromosomes()].index(chrom)])
    return slice(start, start + -(-file.chromosomes()[chrom] // file.resolution()))


@pytest.mark.real_data
def test_a_real_cool_equals_coolers_dump(shared_data: Path) -> None:
    folder = shared_data / "hic"
    path = folder / "hg19.GM12878-MboI.matrix.2000kb.cool"
    if not path.is_file():
        pytest.skip(f"no {path}")
    names = ["chrom1", "start1", "end1", "chrom2", "start2", "end2", "count"]
    table = pd.read_csv(folder / "hg19.GM12878-MboI.matrix.2000kb.bg2.gz", sep="\t", names=names)
    with open_contact_map(path, normalisation="none") as opened:
        total = 0
        for chrom in opened.chromosomes:
            own = table[(table["chrom1"] == chrom) & (table["chrom2"] == chrom)]
            expected = np.zeros((opened.bins(chrom), opened.bins(chrom)))
            one, other = own["start1"] // 2_000_000, own["start2"] // 2_000_000
            expected[one, other] = expected[other, one] = own["count"]
            assert np.array_equal(dense(opened, chrom), expected)
            total += len(own)
        assert total == 15_653
