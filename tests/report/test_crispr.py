from __future__ import annotations

import errno
import json
import re
from pathlib import Path
from typing import NoReturn

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from epinformer.errors import InputError, OutputError
from epinformer.evaluation.crispr import CrisprBenchmark, benchmark_crispr
from epinformer.evaluation.crispr_protocols import ACTIVITY_FLOOR, DISTANCE_FLOOR
from epinformer.report.crispr import loci_of, summary, write_crispr
from epinformer.report.crispr_figures import by_distance, colours_of, pdf, precision_recall, values
from epinformer.report.crispr_locus import locus

TESTED = """chrom chromStart chromEnd measuredGeneSymbol gene_id startTSS Regulated EffectSize ValidConnection
chr1 100500 101000 AAA ENSG1.1 120000 TRUE -0.5 TRUE
chr1 110500 111000 AAA ENSG1.1 120000 FALSE 0.1 TRUE
chr1 180500 181000 AAA ENSG1.1 120000 TRUE -0.3 TRUE
chr1 190500 191000 AAA ENSG1.1 120000 FALSE 0.0 TRUE
chr2 900500 901000 B/B ENSG2.1 700000 FALSE -0.1 TRUE
chr2 720500 721000 B/B ENSG2.1 700000 TRUE -0.2 TRUE
chr3 10500 11000 CCC ENSG3.1 30000 FALSE 0.2 TRUE
chr3 20500 21000 CCC ENSG3.1 30000 FALSE 0.0 promoter
"""
LINKS = """gene_id gene_name chrom start end tss strand abc long_score_name distance
ENSG1 AAA chr1 100600 100900 120000 - 0.30 5 -19250
ENSG1 AAA chr1 110600 110900 120000 - 0.05 2 -9250
ENSG1 AAA chr1 119800 120400 120000 - 0.90 90 100
ENSG1 AAA chr1 150600 150900 120000 - 0.02 1 30750
ENSG1 AAA chr1 180600 180900 120000 - 0.10 NA 60750
ENSG2 B/B chr2 900600 900900 700000 + 0.01 0 200750
ENSG2 B/B chr2 720600 720900 700000 + 0.20 3 20750
"""


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> CrisprBenchmark:
    folder = tmp_path_factory.mktemp("crispr")
    (folder / "crispr.tsv").write_text(TESTED.replace(" ", "\t"))
    (folder / "links.tsv").write_text(LINKS.replace(" ", "\t"))
    return benchmark_crispr(folder / "links.tsv", folder / "crispr.tsv", bootstraps=50)


def test_the_folder_holds_numbers_pairs_pictures_and_a_page(tmp_path: Path, benchmark: CrisprBenchmark) -> None:
    folder = tmp_path / "new" / "out"
    write_crispr(folder, benchmark)
    assert sorted(entry.name for entry in folder.iterdir()) == ["figures", "metrics.json", "pairs.tsv", "report.html"]
    drawn = ["all_valid_pairs", "as_in_the_paper", "by_distance", "locus_AAA", "locus_B_B", "precision_recall"]
    assert sorted(entry.name for entry in (folder / "figures").iterdir()) == sorted(
        f"{name}.{suffix}" for name in drawn for suffix in ("pdf", "png")
    )
    assert json.loads((folder / "metrics.json").read_text("utf-8")) == benchmark.to_dict()
    pairs = pd.read_csv(folder / "pairs.tsv", sep="\t")
    assert pairs["regulated"].tolist() == [True, False, True, False, False, True, False]
    assert pairs["links"].tolist() == [1, 1, 1, 0, 1, 1, 0]
    assert pairs["abc"].fillna(-1).tolist() == [0.3, 0.05, 0.1, -1, 0.01, 0.2, -1]
    assert pairs["distance"].tolist()[:2] == [19_250, 9_250]
    page = (folder / "report.html").read_text("utf-8")
    assert "As in the paper" in page and "no information (1/n)" in page and len(re.findall("<img", page)) == 6
    for picture in (folder / "figures").glob("*.png"):
        assert (matplotlib.image.imread(picture)[..., :3] < 0.99).any(axis=-1).mean() > 0.003
    for picture in (folder / "figures").glob("*.pdf"):
        assert picture.read_bytes().startswith(b"%PDF")


def test_another_benchmark_leaves_no_locus_of_an_earlier_one(
    tmp_path: Path, benchmark: CrisprBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("png", "pdf"):
        monkeypatch.setattr(f"epinformer.report.crispr.{name}", lambda figure: b"picture")
    write_crispr(tmp_path, benchmark, genes=["AAA"])
    own = tmp_path / "figures" / "locus_notes.txt"
    own.write_text("mine")
    write_crispr(tmp_path, benchmark, genes=["CCC"])
    loci = sorted(entry.name for entry in (tmp_path / "figures").glob("locus_*"))
    assert loci == ["locus_CCC.pdf", "locus_CCC.png", "locus_notes.txt"]


def test_the_links_own_distance_does_not_hide_the_tested_one(benchmark: CrisprBenchmark) -> None:
    table = benchmark.table()
    assert table.columns.is_unique
    assert table["score: distance"].iloc[0] == -19_250


def test_the_same_picture_gives_the_same_bytes(benchmark: CrisprBenchmark) -> None:
    first, second = (pdf(values(benchmark.strata["all"], ["abc"], None)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_everything_as_it_was(
    tmp_path: Path, benchmark: CrisprBenchmark, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = {"all_valid_pairs", "by_distance", "precision_recall", "as_in_the_paper"}
    blank = {name: Figure(figsize=(1, 1)) for name in pictures}
    monkeypatch.setattr("epinformer.report.crispr._figures", lambda *given: blank.items())
    if there:
        write_crispr(tmp_path / "out", benchmark)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == (11 if there else 0)

    def full(*arguments: object, **options: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("epinformer.report.crispr.write_table", full)
    with pytest.raises(OutputError, match=r"pairs.tsv: cannot be written: No space left"):
        write_crispr(tmp_path / "out", benchmark)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (tmp_path / "out").exists() == there


def test_the_summary_has_both_protocols_and_the_notes(benchmark: CrisprBenchmark) -> None:
    text = summary(benchmark)
    assert "3 of 7 tested pairs are regulated; 3 genes" in text
    assert "all valid pairs: the ones to quote" in text and "as in the paper: 3 of 5 pairs" in text
    assert re.search(r"says nothing +0\.429 +0\.429", text)
    assert re.search(r"floor: distance +0  0\.\d{3}", text) and "no information (1/n)" in text
    assert "note: 1 of 7 tested pairs (0 regulated) are of genes that the links lack" in text


def test_loci_are_those_named_or_those_with_most_links(benchmark: CrisprBenchmark) -> None:
    assert loci_of(benchmark) == ["ENSG1", "ENSG2"]
    assert loci_of(benchmark, ["CCC", "ENSG1", "AAA"]) == ["ENSG3", "ENSG1"]
    with pytest.raises(InputError, match=r"no pair of this gene was tested.*first: AAB.*Close to it: AAA"):
        loci_of(benchmark, ["AAA", "AAB"])


def test_curves_and_bars_are_those_of_the_numbers(benchmark: CrisprBenchmark) -> None:
    axes = precision_recall(benchmark, ["abc", DISTANCE_FLOOR]).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    # Of seven pairs two have no score; the called are regulated, regulated, regulated, not, not.
    np.testing.assert_allclose(np.asarray(lines["abc"].get_ydata()), [1, 1, 1, 3 / 4, 3 / 5])
    np.testing.assert_allclose(np.asarray(lines["abc"].get_xdata()), [1 / 3, 2 / 3, 1, 1, 1])
    axes = by_distance(benchmark, ["abc", DISTANCE_FLOOR]).axes[0]
    heights = [bar.get_height() for bar in axes.containers[0]]
    expected = [
        benchmark.strata[name].scores["abc"].values["average_precision"] or 0
        for name in ("0-10 kb", "10-100 kb", "beyond 100 kb")
    ]
    np.testing.assert_allclose(heights, expected)
    axes = values(benchmark.strata["all"], ["abc", DISTANCE_FLOOR], 0.4).axes[0]
    assert axes.get_yticklabels()[0].get_text() == "abc" and axes.texts[0].get_text() == "1.000"


def test_floors_have_colours_of_their_own() -> None:
    colours = colours_of(["a", DISTANCE_FLOOR, "b", "c", "d", ACTIVITY_FLOOR])
    assert len({colours[name] for name in ("a", "b", "c", "d", DISTANCE_FLOOR, ACTIVITY_FLOOR)}) == 6


def test_a_locus_shows_what_was_measured_above_what_is_said(benchmark: CrisprBenchmark) -> None:
    figure = locus(benchmark, "ENSG1", ["abc", "long_score_name"])
    effect, abc, other = figure.axes
    low, high = (1e6 * limit for limit in abc.get_xlim())
    assert low < 100_500 and high > 181_000

    def heights(axes: object, layer: int) -> list[float]:
        """Of the bars that are not tested, tested, or regulated."""
        paths = axes.collections[layer].get_paths()  # type: ignore[attr-defined]
        return sorted(float(path.vertices[1][1]) for path in paths)

    assert heights(effect, 2) == [-50, -30] and heights(effect, 1) == [0, 10]
    assert heights(abc, 2) == [0.1, 0.3] and heights(abc, 1) == [0.05] and heights(abc, 0) == [0.02, 0.9]
    assert heights(other, 2) == [5]
    # The promoter's link is beyond the panel and says so.
    assert abc.get_ylim()[1] < 0.5
    assert [line.get_marker() for line in abc.lines if line.get_marker() == "^"] == ["^"]
    assert effect.texts[0].get_text() == "AAA ←"
    assert other.get_ylabel() == "long_score_\nname"
    assert pdf(figure).startswith(b"%PDF")


def test_a_locus_without_regulated_pair_or_links_still_draws(benchmark: CrisprBenchmark) -> None:
    figure = locus(benchmark, "ENSG3", ["abc"])
    assert pdf(figure).startswith(b"%PDF")
    assert figure.axes[0].texts[0].get_text() == "CCC"
