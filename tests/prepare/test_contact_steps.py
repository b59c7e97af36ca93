from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from epinformer.prepare.contact import ContactSource, MapContacts, open_contacts
from epinformer.prepare.contact_steps import AbcContacts, abc_source
from epinformer.settings import AbcConfig, ContactConfig
from tests.contact_files import random_counts, write_cool

BIN = 5_000
LENGTHS = {"1": 103_000, "2": 52_000}
COUNTS = random_counts(LENGTHS, BIN, seed=4)
# A third of the bins have no read of their own.
for matrix in COUNTS.values():
    matrix[np.arange(0, len(matrix), 3), np.arange(0, len(matrix), 3)] = 0
NORMS = np.random.default_rng(1).uniform(0.1, 2.0, 32)
NORMS[[0, 7, 25, 31]] = np.nan
NORMS[[2, 12]] = 0.25


@contextmanager
def opened(settings: ContactConfig, abc: AbcConfig, folder: Path) -> Iterator[ContactSource]:
    with open_contacts(settings, folder.joinpath, abc.window) as source:
        yield abc_source(source, settings, abc)


def oracle(chrom: str, norms: np.ndarray, settings: AbcConfig) -> np.ndarray:
    """The steps, entry by entry, on the dense matrix; `norms` as the file has them and for the cut-off."""
    divide, compare = norms
    bins = len(divide)
    value = COUNTS[chrom] / (divide[:, None] * divide)
    original = np.nan_to_num(value)
    for i in range(bins):
        if settings.diagonal is not None and original[i, i] > 0:
            neighbours = [original[i, j] for j in (i - 1, i + 1) if 0 <= j < bins]
            value[i, i] = max(neighbours) * settings.diagonal / 100
    if settings.scale_rows:
        sums = [sum(original[i]) for i in range(bins)]
        value = value / np.mean([total for total in sums if total > 0])
    for i in range(bins):
        if np.isnan(divide[i]) or compare[i] < settings.min_norm:
            value[i], value[:, i] = np.nan, np.nan
    return value


def own(chrom: str) -> np.ndarray:
    return NORMS[:21] if chrom == "1" else NORMS[21:]


@pytest.mark.parametrize("diagonal", [None, 100.0, 40.0])
@pytest.mark.parametrize("scale_rows", [True, False])
@pytest.mark.parametrize("min_norm", [0.0, 0.25, 0.8])
@pytest.mark.parametrize("normalisation", ["KR", "ICE", "none"])
def test_each_step(
    tmp_path: Path, diagonal: float | None, scale_rows: bool, min_norm: float, normalisation: str
) -> None:
    write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN, {"KR": NORMS, "weight": 1 / NORMS})
    abc = AbcConfig(diagonal=diagonal, scale_rows=scale_rows, min_norm=min_norm)
    with opened(ContactConfig(map="a.cool", normalisation=normalisation), abc, tmp_path) as source:
        for chrom in LENGTHS:
            divide = np.ones(len(own(chrom))) if normalisation == "none" else own(chrom)
            compare = divide / np.nanmean(divide) if normalisation == "ICE" else divide
            expected = oracle(chrom, (divide, compare), abc)
            bins = len(divide)
            one, other = (grid.ravel() for grid in np.meshgrid(np.arange(bins) * BIN + 17, np.arange(bins) * BIN))
            values = source.contact(f"chr{chrom}", one, other).reshape(bins, bins)
            assert np.allclose(values, expected, rtol=1e-12, equal_nan=True)
            # Any few pairs alone have the same.
            few = source.contact(f"chr{chrom}", one[23:31], other[23:31])
            assert np.array_equal(few, values.ravel()[23:31], equal_nan=True)


def test_outside_the_map_and_without_pairs(tmp_path: Path) -> None:
    write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN, {"KR": NORMS})
    with opened(ContactConfig(map="a.cool", normalisation="KR"), AbcConfig(), tmp_path) as source:
        nowhere = np.array([10**7, 3 * BIN])
        assert np.isnan(source.contact("chr1", nowhere, np.array([10**7, 10**7]))).all()
        assert np.isnan(source.contact("chrX", nowhere, nowhere)).all()
        assert source.contact("chr1", nowhere[:0], nowhere[:0]).tolist() == []


def test_words(tmp_path: Path) -> None:
    write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN, {"KR": NORMS})
    settings = ContactConfig(map="a.cool", normalisation="KR")
    with opened(settings, AbcConfig(), tmp_path) as source:
        assert source.words == (
            "a.cool, KR, bins of 5,000 bp, divided by the mean row sum, diagonal 100 % of the larger neighbour, "
            "bins of norm below 0.25 missing"
        )
    with opened(settings, AbcConfig(scale_rows=False, diagonal=None, min_norm=0), tmp_path) as source:
        assert source.words == "a.cool, KR, bins of 5,000 bp"


def test_tables_of_bins_are_finished_contacts(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("chr1\t0\t0\t3\nchr1\t0\t5000\t1\n")
    with opened(ContactConfig(average="a.bed"), AbcConfig(), tmp_path) as source:
        assert isinstance(source, MapContacts) and not isinstance(source, AbcContacts)
        assert source.contact("chr1", np.array([0, 0]), np.array([0, 5_000])).tolist() == [3, 1]
