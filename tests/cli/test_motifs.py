from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from epinformer.cli.main import app
from epinformer.inputs.motifs import write_meme
from epinformer.interpretation.attribution_file import Attributions
from epinformer.interpretation.motifs import MotifResult
from tests.motif_world import MOTIFS, attributions, found

Calls = list[tuple[Any, Any, dict[str, Any]]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What `find_motifs` is called with; it finds the same each time, and what is read is the same, too."""
    made: Calls = []

    def find(explained: Any, database: Any, **options: Any) -> MotifResult:
        made.append((explained, database, options))
        return found()

    monkeypatch.setattr("epinformer.interpretation.motifs.find_motifs", find)
    monkeypatch.setattr("epinformer.interpretation.attribution_file.read_attributions", lambda path: attributions())
    monkeypatch.setattr("epinformer.interpretation.databases.jaspar", lambda release: [release])
    return made


@pytest.fixture
def explained(tmp_path: Path) -> Path:
    path = tmp_path / "explained"
    path.mkdir()
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["motifs", *(str(argument) for argument in arguments)])


def test_it_finds_and_writes(calls: Calls, explained: Path, tmp_path: Path) -> None:
    result = run(explained, "-o", tmp_path / "out", "--figures", 0)
    assert result.exit_code == 0, result.output
    assert result.stdout == "" and "3 patterns from 6 seqlets" in result.stderr and "GATA1 (MA1" in result.stderr
    assert (tmp_path / "out" / "motifs.html").is_file()
    ((_, database, options),) = calls
    assert database == ["JASPAR2024"] and options["q"] == 0.02 and options["against"] is None


def test_options_reach_the_search(calls: Calls, explained: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.meme"
    write_meme(MOTIFS[:1], known)
    options = ("--q", 0.1, "--min-seqlets", 7, "--max-seqlets", 9, "--figures", 0, "--against", explained)
    assert run(explained, "-o", tmp_path / "out", "--motifs", known, *options).exit_code == 0
    ((_, database, given),) = calls
    assert [motif.id for motif in database] == ["MA1"]
    assert (given["q"], given["min_seqlets"], given["max_seqlets"]) == (0.1, 7, 9)
    assert given["against"].about == attributions().about


def test_both_databases_are_refused(calls: Calls, explained: Path, tmp_path: Path) -> None:
    result = run(explained, "-o", tmp_path / "out", "--motifs", "a.meme", "--jaspar", "JASPAR2022")
    assert result.exit_code == 1 and "--motifs and --jaspar are both given" in result.stderr
    assert calls == []


def test_an_output_that_is_there_is_refused_before_the_work(calls: Calls, explained: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    result = run(explained, "-o", tmp_path / "out")
    assert result.exit_code == 1 and "already exists" in result.stderr and calls == []
    assert run(explained, "-o", tmp_path / "out", "--figures", 0, "--overwrite").exit_code == 0
    result = run(explained, "-o", explained, "--overwrite")
    assert result.exit_code == 1 and "is or holds what is to be read" in result.stderr and len(calls) == 1


def test_something_else_than_attributions_is_an_error(explained: Path, tmp_path: Path) -> None:
    result = run(explained, "-o", tmp_path / "out")
    assert result.exit_code == 1 and "has no attributions.h5" in result.stderr
    assert not (tmp_path / "out").exists()


def test_sets_of_different_models_are_not_compared(
    calls: Calls, explained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> Attributions:
        made = attributions()
        return made if path == explained else made._replace(about=made.about._replace(what="expression"))

    monkeypatch.setattr("epinformer.interpretation.attribution_file.read_attributions", read)
    (tmp_path / "other").mkdir()
    result = run(explained, "-o", tmp_path / "out", "--against", tmp_path / "other")
    assert result.exit_code == 1 and "other: explains expression, but" in result.stderr
    assert not calls and not (tmp_path / "out").exists()
