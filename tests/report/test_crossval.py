from __future__ import annotations

import base64
import errno
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import OutputError
from epinformer.evaluation.crossval import CrossvalEvaluation, evaluate_crossval
from epinformer.report.crossval import summary, write_crossval

EVIL = "<script>alert(1)</script>"
ABOUT: dict[str, Any] = {
    "title": "A run",
    "preset": "default",
    "target": "expression_rna",
    "dataset": Path("data/k562.dataset"),
    "cell_type": f"K562 {EVIL}",
    "genes": np.int64(18_377),
    "seeds": [0, 1],
    "notes": ["the table of contacts is old"],
    "leakage": False,
    "missing": float("nan"),
    "filters": [{"table": "genes", "step": "no expression", "before": 18_500, "after": 18_377}],
    "config": {"fit": {"epochs": 12, "rate": 5e-4}, "encoder": Path("e.model"), "note": EVIL},
}


def made(genes: int = 120, chromosomes: int = 12, *, seed: int = 0) -> tuple[CrossvalEvaluation, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    observed = rng.normal(size=genes)
    chrom = np.arange(genes) % chromosomes + 1
    table = pd.DataFrame(
        {
            "gene_id": [f"ENSG{i:05d}" for i in range(genes)],
            "gene_name": [f"GENE{i}" for i in range(genes)],
            "chrom": [f"chr{number}" for number in chrom],
            "fold": [f"{(number + 1) // 2}" for number in chrom],
            "observed": observed,
            "predicted": observed + rng.normal(0, 0.4, genes),
            "predicted_sd": rng.gamma(1.0, 0.1, genes),
        }
    )
    table.loc[3, "observed"] = np.nan
    table.loc[5, ["gene_name", "predicted"]] = [EVIL, table.loc[5, "observed"] + 4]
    table.loc[7, ["gene_name", "predicted"]] = [None, table.loc[7, "observed"] - 3]
    baselines = {
        "promoter activity": observed + rng.normal(0, 2.5, genes),
        "gradient boosting": observed + rng.normal(0, 2.2, genes),
    }
    return evaluate_crossval(table, baselines, bootstraps=60), table


def history(folds: int) -> pd.DataFrame:
    rows = [
        (str(fold), seed, epoch, 0.5 / epoch, 0.4 / epoch)
        for fold in range(1, folds + 1)
        for seed in (0, 1)
        for epoch in (1, 2, 3)
    ]
    return pd.DataFrame(rows, columns=["fold", "seed", "epoch", "train_loss", "validation_mse"])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CrossvalEvaluation, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("report") / "run"
    evaluation, table = made()
    write_crossval(folder, evaluation, table, history=history(6), about=ABOUT)
    return folder, evaluation, table


class Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.alts: list[str | None] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.text += data


def test_the_folder_holds_everything(written: tuple[Path, CrossvalEvaluation, pd.DataFrame]) -> None:
    folder, _, _ = written
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    figures = ["comparison", "differences", "learning_curves", "observed_vs_predicted", "per_fold"]
    assert names == [*(f"figures/{name}.png" for name in figures), "metrics.json", "predictions.tsv", "report.html"]


def test_predictions_are_the_table_and_the_baselines(written: tuple[Path, CrossvalEvaluation, pd.DataFrame]) -> None:
    folder, evaluation, table = written
    back = pd.read_csv(folder / "predictions.tsv", sep="\t", dtype={"fold": str}, keep_default_na=False, na_values=[""])
    columns = ["gene_id", "gene_name", "chrom", "fold", "observed", "predicted", "predicted_sd"]
    assert list(back) == [*columns, "baseline_promoter_activity", "baseline_gradient_boosting"]
    for name in ("gene_id", "chrom", "fold"):
        assert back[name].tolist() == table[name].tolist()
    for name in ("observed", "predicted", "predicted_sd"):
        np.testing.assert_allclose(back[name], table[name], rtol=1e-6)
    np.testing.assert_allclose(
        back["baseline_gradient_boosting"], evaluation.predictions["gradient boosting"], rtol=1e-6
    )


def test_metrics_are_the_evaluation_and_what_was_run(written: tuple[Path, CrossvalEvaluation, pd.DataFrame]) -> None:
    folder, evaluation, _ = written

    def refuse(name: str) -> NoReturn:
        raise AssertionError(name)

    metrics = json.loads((folder / "metrics.json").read_text("utf-8"), parse_constant=refuse)
    about = metrics.pop("about")
    assert metrics == json.loads(json.dumps(evaluation.to_dict()))
    assert about["preset"] == "default"
    assert about["genes"] == 18_377
    assert about["dataset"] == "data/k562.dataset"
    assert about["missing"] is None
    assert "config" not in about


def test_the_page_needs_nothing_but_itself(written: tuple[Path, CrossvalEvaluation, pd.DataFrame]) -> None:
    folder, _, _ = written
    page = Page(folder / "report.html")
    assert all(link.startswith("data:") for link in page.links)
    assert "script" not in page.tags
    source = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", (folder / "report.html").read_text("utf-8"))
    assert not re.search(r"https?:|url\(|@import|//", source)
    assert len(page.alts) == 5 and all(page.alts)


def test_the_page_shows_the_pictures_of_the_folder(written: tuple[Path, CrossvalEvaluation, pd.DataFrame]) -> None:
    folder, _, _ = written
    shown = [base64.b64decode(link.partition(",")[2]) for link in Page(folder / "report.html").links if "png" in link]
    assert sorted(shown) == sorted(path.read_bytes() for path in (folder / "figures").iterdir())


def test_the_page_has_the_numbers_of_the_metrics(written: tuple[Path, CrossvalEvaluation, pd.DataFrame]) -> None:
    folder, _, _ = written
    page = Page(folder / "report.html").text.replace("−", "-")
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    for predictor in (metrics["model"], *metrics["baselines"].values()):
        for name in ("pearson", "spearman", "r2"):
            low, high = predictor["interval_95"][name]
            assert f"{predictor[name]:.3f}\n[{low:.3f}, {high:.3f}]" in page
    for difference in metrics["model_minus_baseline"].values():
        low, high = difference["interval_95"]["pearson"]
        assert f"{difference['pearson']:+.4f}\n[{low:+.4f}, {high:+.4f}]" in page
    for fold, predictors in metrics["per_fold"].items():
        row = "".join(f"{each['pearson']:.3f}" for each in predictors.values())
        assert f"fold {fold}{predictors['model']['n']:,}{row}" in page
    assert "119 held-out genes, 6 folds" in page
    assert "better than promoter activity and gradient boosting" in page


def test_the_page_names_the_genes_missed_most(written: tuple[Path, CrossvalEvaluation, pd.DataFrame]) -> None:
    folder, _, table = written
    page = Page(folder / "report.html").text.replace("−", "-")
    gene = table.iloc[5]
    assert (
        f"{EVIL}{gene['chrom']}{gene['observed']:.2f}{gene['predicted']:.2f}± {gene['predicted_sd']:.2f}-4.00" in page
    )
    assert "ENSG00007chr8" in page  # it has no name
    assert "The 10 genes furthest" in page
    assert page.index(EVIL + "chr6") < page.index("ENSG00007chr8")


def test_the_page_says_what_was_run(written: tuple[Path, CrossvalEvaluation, pd.DataFrame]) -> None:
    folder, _, _ = written
    page = Page(folder / "report.html").text
    for words in (
        "A run",
        "18,377",
        "no expression18,50018,377",
        "epochs: 12",
        "The table of contacts is old.",
        "0, 1",
    ):
        assert words in page
    assert "Leakage" not in page


@pytest.mark.parametrize("leakage", [True, ["the encoder was trained on chr2"]])
def test_leakage_is_said_first(tmp_path: Path, leakage: object) -> None:
    evaluation, table = made(30)
    write_crossval(tmp_path / "run", evaluation, table, history=history(1), about={"leakage": leakage})
    page = Page(tmp_path / "run" / "report.html").text
    assert page.index("Do not quote these numbers") < page.index("Pearson")
    assert ("the encoder was trained on chr2" in page) == isinstance(leakage, list)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))["about"]["leakage"] == leakage


@pytest.mark.parametrize(("genes", "chromosomes"), [(20, 1), (20, 2), (2_100, 4)])
def test_any_number_of_genes_and_folds_has_a_page(tmp_path: Path, genes: int, chromosomes: int) -> None:
    evaluation, table = made(genes, chromosomes)
    write_crossval(tmp_path / "run", evaluation, table.drop(columns=["predicted_sd"]), history=history(0), about={})
    page = Page(tmp_path / "run" / "report.html").text
    assert f"{genes - 1:,} held-out genes" in page
    assert ("no interval" in page) == (chromosomes == 1)
    assert ("Fold by fold" in page) == (chromosomes > 2)
    assert "Training" not in page
    assert not (tmp_path / "run" / "figures" / "learning_curves.png").exists()


def test_a_model_no_better_or_worse_is_called_so(tmp_path: Path) -> None:
    _, table = made(600)
    twin, best = table["predicted"].to_numpy(), table["observed"].fillna(0).to_numpy()
    evaluation = evaluate_crossval(table, {"twin": twin, "best": best, "mean": np.zeros(600)}, bootstraps=60)
    write_crossval(tmp_path / "run", evaluation, table, history=history(0), about={})
    page = Page(tmp_path / "run" / "report.html").text
    assert "the model is not told apart from twin; worse than best; not comparable with mean." in page


@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation, table = made(30)
    folder = tmp_path / "run"
    if there:
        write_crossval(folder, evaluation, table, history=history(1), about=ABOUT)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(*arguments: object, **options: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OutputError, match=r"predictions\.tsv: cannot be written: No space left"):
        write_crossval(folder, evaluation, table, history=history(1), about={})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert folder.exists() == there


def test_the_summary_has_model_baselines_differences_and_folds() -> None:
    evaluation, _ = made()
    lines = summary(evaluation).splitlines()
    assert lines[0] == "119 of 120 genes, 1 without an observed value left out, 12 chromosomes, 6 folds"
    trees, paired = evaluation.baselines["gradient boosting"], evaluation.differences["gradient boosting"]
    interval, span = trees.intervals["pearson"], paired.intervals["pearson"]
    assert interval is not None and span is not None
    row = next(line for line in lines if line.startswith("gradient boosting"))
    assert row.split() == [
        "gradient",
        "boosting",
        "119",
        f"{trees.pooled.pearson:.3f}",
        f"[{interval.low:.3f},",
        f"{interval.high:.3f}]",
        f"{trees.pooled.spearman:.3f}",
        f"{trees.pooled.r2:.3f}",
        f"{paired.values['pearson']:+.4f}",
        f"[{span.low:+.4f},",
        f"{span.high:+.4f}]",
    ]
    fold = next(line for line in lines if line.startswith("fold 3"))
    assert fold.split()[2:] == ["20", *(f"{each.pearson:.3f}" for each in evaluation.per_fold["3"].values())]


def test_the_summary_of_one_chromosome_has_no_interval() -> None:
    text = summary(made(20, 1)[0])
    assert "19 of 20 genes, 1 without an observed value left out, 1 chromosome, 1 fold\n" in text
    assert "[" not in text.split("\n", 3)[3]
    assert "note: all genes are on one chromosome" in text
