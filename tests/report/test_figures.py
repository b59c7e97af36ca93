from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from epinformer.report.figures import scatter


def ink(path: Path) -> float:
    """Share of pixels that are not white."""
    return float((matplotlib.image.imread(path)[..., :3] < 0.99).any(axis=-1).mean())


@pytest.mark.parametrize("genes", [1, 2, 50, 5_000])
def test_a_picture_for_any_number_of_genes(tmp_path: Path, genes: int) -> None:
    x = np.random.default_rng(0).normal(size=genes)
    scatter(x, x + 0.1, title="title").savefig(tmp_path / "a.png")
    assert 0.001 < ink(tmp_path / "a.png") < 0.9


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e9, 1e9], [-5.0, -5.0]])
def test_constant_values_still_draw(tmp_path: Path, values: list[float]) -> None:
    scatter(values, [1.0, 2.0]).savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_scales_far_apart_still_draw(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=3_000)
    scatter(x, 1e4 + 1e3 * x).savefig(tmp_path / "a.png")
    assert ink(tmp_path / "a.png") > 0.05


@pytest.mark.parametrize("genes", [3, 3_000])
@pytest.mark.parametrize("odd", [[1e308], [1e308, -1e308], [1e-300]])
def test_numbers_at_the_ends_of_the_range_still_draw(tmp_path: Path, genes: int, odd: list[float]) -> None:
    x = np.arange(float(genes))
    scatter(x, np.r_[odd, x[len(odd) :]]).savefig(tmp_path / "a.png")
    assert ink(tmp_path / "a.png") > 0.001
