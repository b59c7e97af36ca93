from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from epinformer.cli.main import app
from epinformer.evaluation.expression import evaluate


def test_without_output_the_json_goes_to_stdout(predictions: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(predictions), "--bootstraps", "20", "--seed", "5"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == evaluate(predictions, bootstraps=20, seed=5).to_dict()
    assert result.stderr == ""


def test_with_output_the_folder_is_written_and_the_summary_goes_to_stderr(predictions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    for _ in range(2):
        result = CliRunner().invoke(app, ["evaluate", str(predictions), "-o", str(folder), "--bootstraps", "20"])
        assert (result.exit_code, result.stdout) == (0, "")
        assert "30 of 30 genes, 3 chromosomes" in result.stderr
    assert sorted(entry.name for entry in folder.iterdir()) == ["metrics.json", "scatter.png"]
    assert json.loads((folder / "metrics.json").read_text("utf-8"))["pooled"]["n"] == 30


def test_quiet_is_quiet(predictions: Path, tmp_path: Path) -> None:
    command = ["--quiet", "evaluate", str(predictions), "-o", str(tmp_path / "e"), "--bootstraps", "20"]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.output) == (0, "")


def test_more_resamples_than_can_be_wanted_are_wrong_usage(predictions: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(predictions), "--bootstraps", "2000000000"])
    assert result.exit_code == 2
    assert "1000000" in result.stderr


def test_bad_input_writes_nothing(predictions: Path, tmp_path: Path) -> None:
    predictions.write_text(predictions.read_text().replace("predicted", "guessed"))
    result = CliRunner().invoke(app, ["evaluate", str(predictions), "-o", str(tmp_path / "evaluation")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {predictions}: lacks the column predicted")
    assert not (tmp_path / "evaluation").exists()
