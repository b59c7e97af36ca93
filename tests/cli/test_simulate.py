"""`epinformer simulate`: the command adds a summary and nothing else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from epinformer.cli.simulate import simulate
from epinformer.errors import ConfigError
from epinformer.simulation import simulate as module
from epinformer.simulation.simulate import Simulation

app = typer.Typer()
app.command()(simulate)


def test_options_reach_the_library_and_the_summary_says_what_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: dict[str, object] = {}

    def make(output: Path, **options: object) -> Simulation:
        asked.update(options, output=output)
        return Simulation(
            output, output / "config.yaml", 1_000, 5_000, 14_000, 2_000, 80_000_000, {"dnase": 7, "b": 8}, 0.9
        )

    monkeypatch.setattr(module, "simulate", make)
    output = tmp_path / "world"
    with caplog.at_level(logging.INFO, logger="epinformer"):
        result = CliRunner().invoke(app, ["-o", str(output), "--genes", "1000", "--seed", "7", "--overwrite"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert callable(asked.pop("progress"))
    assert asked == {"output": output, "genes": 1_000, "seed": 7, "overwrite": True}
    assert caplog.messages[-1] == (
        f"wrote {output}: 1,000 genes, 5,000 elements, 14,000 pairs, 80,000,000 bases, 15 reads, 2,000 variants"
    )


def test_defaults_and_errors_are_the_librarys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app, ["-o", str(tmp_path / "world"), "--genes", "3"])
    assert isinstance(result.exception, ConfigError) and "3 genes cannot be simulated" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
    assert CliRunner().invoke(app, []).exit_code == 2


def test_help_has_examples() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout and "epinformer simulate -o simulated" in result.stdout
