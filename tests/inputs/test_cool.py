from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from epinformer.errors import InputError
from epinformer.inputs import cool
from epinformer.inputs.cool import CoolReader, open_cool
from epinformer.inputs.hic import imported_hictkpy
from tests.contact_files import LENGTHS, random_counts, write_cool

hictkpy = imported_hictkpy()

BIN = 5_000
COUNTS = random_counts(LENGTHS, BIN)


def pixels(reader: CoolReader, chrom: str, first: int, last: int, farthest: int) -> list[tuple[int, int, float]]:
    pieces = reader.counts(chrom, first, last, farthest)
    return [pixel for piece in pieces for pixel in zip(*(column.tolist() for column in piece), strict=True)]


@pytest.mark.parametrize("piece", [1, 10, 1 << 20])
def test_pieces_of_any_size_give_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(cool, "_PIECE", piece)
    path = write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN)
    matrix = COUNTS["chr1"]
    with open_cool(path, None, "none") as reader:
        for first, last, farthest in ((0, 21, 21), (4, 9, 3), (20, 21, 0), (5, 5, 5)):
            expected = [
                (i, j, matrix[i, j])
                for i in range(first, last)
                for j in range(i, min(i + farthest + 1, 21))
                if matrix[i, j]
            ]
            assert pixels(reader, "chr1", first, last, farthest) == expected


def test_files_of_version_2(tmp_path: Path) -> None:
    path = write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN, version=2)
    with open_cool(path, BIN, "none") as reader:
        assert len(pixels(reader, "chr2", 0, 11, 11)) == np.count_nonzero(np.triu(COUNTS["chr2"]))


def test_a_column_may_say_that_it_divides(tmp_path: Path) -> None:
    column = np.linspace(0.5, 2, sum(map(len, COUNTS.values())))
    path = write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN, {"mine": column, "KR": column, "GW_SCALE": column})
    with h5py.File(path, "r+") as file:
        file["bins/mine"].attrs["divisive_weights"] = True
        file["bins/KR"].attrs["divisive_weights"] = False
    other = hictkpy.File(path)
    for name, divides in (("mine", True), ("KR", False), ("GW_SCALE", True)):
        with open_cool(path, None, name) as reader:
            assert reader.relative is not divides
            assert np.allclose(reader.norms("chr1"), column[:21] if divides else 1 / column[:21])
            assert np.allclose(other.weights(name)[:21], reader.norms("chr1"))


def changed(path: Path, change: str) -> Path:
    with h5py.File(path, "r+") as file:
        if change == "square":
            file.attrs["storage-mode"] = "square"
        elif change == "variable":
            file.attrs["bin-type"] = "variable"
        elif change == "null":
            file.attrs["bin-size"] = "null"
        else:
            del file[change]
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("square", r"holds a matrix that is not symmetric\. Give the map of symmetric contacts"),
        ("variable", r"has bins of several sizes\. Make it with bins of one size"),
        ("null", r"has bins of several sizes"),
        ("pixels", r"is HDF5 but holds no contact map\. Give a \.cool or \.mcool"),
        ("indexes", r"lacks a part of the cooler format: .*component not found"),
        ("pixels/count", r"lacks a part of the cooler format: .*count"),
    ],
)
def test_other_hdf5(tmp_path: Path, change: str, message: str) -> None:
    path = changed(write_cool(tmp_path / "a.cool", COUNTS, LENGTHS, BIN), change)
    with pytest.raises(InputError, match=r"a\.cool: " + message), open_cool(path, None, "none") as reader:
        pixels(reader, "chr1", 0, 21, 21)
