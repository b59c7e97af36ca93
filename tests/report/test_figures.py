from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from epinformer.report.figures import Estimate, dots, learning_curves, per_fold, scatter


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


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_dots_for_any_number_of_predictors(tmp_path: Path, count: int, zero: bool) -> None:
    estimates = [
        Estimate(f"number {place}", 0.1 * place, 0.1 * place - 0.02, 0.1 * place + 0.03) for place in range(count)
    ]
    dots([*estimates, Estimate("undefined", None)], label="Pearson", zero=zero).savefig(tmp_path / "a.png")
    assert ink(tmp_path / "a.png") > 0.001


def test_dots_are_where_the_numbers_are() -> None:
    axes = dots([Estimate("a", 0.5, 0.4, 0.7), Estimate("b", -0.2)], label="Pearson", zero=True).axes[0]
    lines = [list(map(float, line.get_xdata())) for line in axes.lines]
    assert lines == [[0.4, 0.7], [0.5], [-0.2], [0, 0]]
    assert [text.get_text() for text in axes.texts] == ["+0.5000", "−0.2000"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_folds_are_drawn_with_their_sizes_and_gaps(tmp_path: Path) -> None:
    folds = {str(fold): {"model": 0.8 + fold / 100, "trees": None if fold == 2 else 0.7} for fold in range(1, 25)}
    figure = per_fold(folds, {fold: 1_000 + int(fold) for fold in folds}, label="Pearson")
    axes = figure.axes[0]
    assert axes.get_yticklabels()[1].get_text() == "fold 2   n 1,002"
    shown = {points.get_label(): points.get_offsets() for points in axes.collections}
    np.testing.assert_allclose(np.asarray(shown["model"])[:, 0], [each["model"] for each in folds.values()])
    assert np.ma.count(shown["trees"][:, 0]) == 23
    figure.savefig(tmp_path / "a.png")
    assert ink(tmp_path / "a.png") > 0.01


def history(folds: int, seeds: int, epochs: int) -> pd.DataFrame:
    rows = [(f"{fold}", seed, epoch) for fold in range(folds) for seed in range(seeds) for epoch in range(epochs)]
    table = pd.DataFrame(rows, columns=["fold", "seed", "epoch"])
    return table.assign(train_loss=0.5 / (1 + table["epoch"]), validation_mse=0.3 + (table["epoch"] - 2.0) ** 2 / 50)


@pytest.mark.parametrize(("folds", "seeds", "epochs"), [(1, 1, 1), (1, 3, 6), (2, 1, 6), (12, 3, 6), (7, 1, 4)])
def test_learning_curves_have_a_panel_a_fold(tmp_path: Path, folds: int, seeds: int, epochs: int) -> None:
    figure = learning_curves(history(folds, seeds, epochs))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == [f"fold {fold}" for fold in range(folds)]
    assert {len(axes.lines) for axes in panels} == {3 * seeds}
    best = panels[0].lines[2]
    assert float(best.get_xdata()[0]) == min(2, epochs - 1)
    figure.savefig(tmp_path / "a.png")
    assert ink(tmp_path / "a.png") > 0.005


def test_a_bad_first_epoch_does_not_hide_the_others() -> None:
    table = history(2, 1, 6)
    table.loc[0, "validation_mse"] = 1e6
    assert learning_curves(table).axes[0].get_ylim()[1] < 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_curves_of_a_training_that_failed_still_draw(tmp_path: Path, value: float) -> None:
    table = history(1, 1, 3).assign(validation_mse=value, train_loss=value)
    learning_curves(table).savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
