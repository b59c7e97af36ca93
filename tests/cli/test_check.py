from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from epinformer.cli.main import app
from epinformer.simulation.simulate import simulate


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check") / "world"
    simulate(folder, genes=48, seed=1)
    return folder


def test_a_sound_configuration(world: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(world / "config_raw.yaml")])
    assert result.exit_code == 0, result.stderr
    blocks = result.stdout.split("\n")
    at = blocks.index("elements.peaks  dnase.narrowPeak")
    assert blocks[at + 1].endswith(" peaks")
    assert "signals.dnase[0].reads" in blocks[at + 2] and blocks[at + 2].startswith("    all of it in ")
    assert "    BAM, 24 chromosomes" in blocks
    assert "    contacts at 5,000 bp, normalisation none, 24 chromosomes" in blocks


def test_problems_are_told_after_the_report(world: Path, tmp_path: Path) -> None:
    text = (world / "config_raw.yaml").read_text().replace("peaks: dnase.narrowPeak", "peaks: genome.fa.fai")
    config = tmp_path / "config.yaml"
    config.write_text(text)
    result = CliRunner().invoke(app, ["check", str(config), "--root", str(world)])
    assert result.exit_code == 1
    assert "elements.peaks  genome.fa.fai\n    FAILED" in result.stdout
    assert "signals.dnase[0].reads" in result.stdout
    assert result.stderr.count("error:") == 1 and "genome.fa.fai" in result.stderr
    assert "Traceback" not in result.stderr
