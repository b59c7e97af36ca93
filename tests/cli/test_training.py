"""`epinformer pretrain`, `train`, `crossval` and `demo`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.synthetic import synthetic_dataset
from epinformer import demo as demo_module
from epinformer.cli.main import app
from epinformer.cli.training_options import names

CHROMS = [f"chr{name}" for name in (*range(1, 23), "X")]
SMALL = ("network.width=32", "fit.max_epochs=2", "fit.min_steps=0", "fit.batch=64", "seeds=[1]")


def settings(*changes: str) -> list[str]:
    return [argument for change in changes for argument in ("--set", change)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "small.dataset"
    synthetic_dataset(path, genes=138, elements=276, pairs_per_gene=3, most=6, sequence=False, chroms=CHROMS)
    return path


def test_crossval_writes_everything_and_goes_on(data: Path, tmp_path: Path) -> None:
    command = ["crossval", "--data", str(data), "-o", str(tmp_path / "run"), "--preset", "published"]
    trained = CliRunner().invoke(app, ["train", *command[1:], "--fold", "1", *settings(*SMALL)])
    assert trained.exit_code == 0, trained.output
    assert "seed_1.model" in trained.stderr
    done = CliRunner().invoke(app, [*command, "--folds", "1, 2", *settings(*SMALL)])
    assert done.exit_code == 0, done.output
    assert "gradient boosting" in done.stderr and "model − baseline" in done.stderr
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"predictions.tsv", "metrics.json", "report.html", "figures", "run.json", "fold_1", "fold_2"} <= written
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["model"]["n"] == 24 and set(metrics["baselines"]) == {"promoter activity", "gradient boosting"}
    assert metrics["about"]["preset"] == "published"
    table = pd.read_csv(tmp_path / "run" / "predictions.tsv", sep="\t")
    assert {"gene_id", "fold", "observed", "predicted", "baseline_gradient_boosting"} <= set(table)
    other = CliRunner().invoke(app, [*command, "--folds", "1", *settings(*SMALL, "fit.batch=32")])
    assert other.exit_code == 1 and "fit.batch: 64 there, 32 now" in other.stderr


def test_bad_input_is_one_line(data: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (["crossval", "--preset", "best"], "there is no preset 'best'"),
        (["train", "--fold", "99"], "there is no fold 99"),
        (["crossval", "--set", "fit.batch=-1"], "fit.batch"),
        (["pretrain"], "sequence"),
        (["crossval", "--device", "abacus"], "there is no device 'abacus'"),
    ):
        command = [arguments[0], "--data", str(data), "-o", str(tmp_path / "run"), *arguments[1:]]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 1 and message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_names() -> None:
    assert names(None) is None
    assert names("1, 2,X,") == ["1", "2", "X"]


def test_the_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps, with hardly any training."""
    monkeypatch.setattr(demo_module, "FOLDS", ("2",))
    monkeypatch.setattr(demo_module, "PRETRAIN", ("fit.max_epochs=1", "fit.batch=128", "both_strands=false"))
    monkeypatch.setattr(demo_module, "TRAIN", (*demo_module.TRAIN[:2], *SMALL))
    done = CliRunner().invoke(app, ["demo", "-o", str(tmp_path / "demo"), "--genes", "72"])
    assert done.exit_code == 0, done.output
    for step in ("simulate", "prepare", "pretrain", "crossval", "predict", "evaluate", "links"):
        assert f"$ epinformer {step} " in done.stderr
    folder = tmp_path / "demo"
    assert (folder / "run" / "report.html").read_text().startswith("<!")
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text())
    run = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics["pooled"]["n"] == run["model"]["n"] > 0
    assert metrics["pooled"]["pearson"] == pytest.approx(run["model"]["pearson"], abs=1e-3)
    assert run["about"]["sequence"] == "bases" and run["about"]["leakage"] == []
    links = pd.read_csv(folder / "links.tsv", sep="\t")
    assert links["held_out"].all() and links["attention"].notna().any() and (links["fold"] == 2).all()
    again = CliRunner().invoke(app, ["demo", "-o", str(folder), "--genes", "72"])
    assert again.exit_code == 0 and "$ epinformer simulate" not in again.stderr


def test_the_commands_of_the_demonstration_can_be_copied() -> None:
    """What it says it runs are commands with options that exist."""
    for command in ("simulate", "prepare", "pretrain", "crossval", "predict", "evaluate", "links"):
        done = subprocess.run([sys.executable, "-m", "epinformer", command, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and "-o, --output" in done.stdout
