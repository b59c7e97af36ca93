from __future__ import annotations

from pathlib import Path

import pytest

from epinformer.errors import InputError
from epinformer.inputs.named_regions import read_named_regions


def test_names_and_style(tmp_path: Path) -> None:
    path = tmp_path / "r.bed"
    path.write_text("# made by hand\n1\t10\t20\tfirst\n1\t30\t40\t.\nX\t5\t6\t\n")
    table = read_named_regions(path, ["chr1", "chrX"])
    assert table.name.tolist() == ["first", "1:30-40", "X:5-6"]
    assert table.chrom.tolist() == ["chr1", "chr1", "chrX"] and table.index.tolist() == [2, 3, 4]
    path.write_text("chr1\t10\t20\nchr1\t10\t20\n")
    assert read_named_regions(path, ["chr1"]).name.tolist() == ["chr1:10-20"] * 2


def test_bad_regions(tmp_path: Path) -> None:
    path = tmp_path / "r.bed"
    for text, problem in (
        ("chr1\t20\t20\n", "starts that are not below ends"),
        ("chr1\t-2\t20\n", "negative starts"),
        ("chr1\ta\t20\n", "whole number"),
        ("", "is empty"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=problem):
            read_named_regions(path, ["chr1"])
