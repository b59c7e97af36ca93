from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from epinformer.errors import OutputError
from epinformer.report.figures import scatter


def ink(path: Path) -> float:
    """Share of pixels that are not white."""
    return float((matplotlib.image.imread(path)[..., :3] < 0.99).any(axis=-1).mean())


@pytest.mark.parametrize("genes", [1, 2, 50, 5_000])
def test_a_picture_for_any_number_of_genes(tmp_path: Path, genes: int) -> None:
    x = np.random.default_rng(0).normal(size=genes)
    scatter(x, x + 0.1, tmp_path / "a.png", title="title")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
    assert 0.001 < ink(tmp_path / "a.png") < 0.9


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e9, 1e9], [-5.0, -5.0]])
def test_constant_values_still_draw(tmp_path: Path, values: list[float]) -> None:
    scatter(values, [1.0, 2.0], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_scales_far_apart_still_draw(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=3_000)
    scatter(x, 1e4 + 1e3 * x, tmp_path / "a.png")
    assert ink(tmp_path / "a.png") > 0.05


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_suffix_says_the_format(tmp_path: Path, suffix: str, magic: bytes) -> None:
    scatter([1.0, 2.0], [1.0, 3.0], tmp_path / f"a.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes().startswith(magic)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        scatter([1.0, 2.0], [1.0, 3.0], tmp_path / "no" / "a.png")
