from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from epinformer.cli.benchmark_crispr import benchmark_crispr
from epinformer.errors import ConfigError, OutputError
from epinformer.evaluation import crispr as evaluation


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(benchmark_crispr)
    return app


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """Arguments that name a small table of links and one of tested pairs."""
    tested = [
        f"chr1\t{1000 * i}\t{1000 * i + 500}\tG{i % 3}\t0\t{'TRUE' if i % 4 == 0 else 'FALSE'}" for i in range(12)
    ]
    links = [f"chr1\t{1000 * i + 100}\t{1000 * i + 300}\tG{i % 3}\t{(7 * i) % 12}\t{i}" for i in range(12)]
    header = "chrom\tchromStart\tchromEnd\tmeasuredGeneSymbol\tstartTSS\tRegulated\n"
    (tmp_path / "crispr.tsv").write_text(header + "\n".join(tested) + "\n")
    (tmp_path / "links.tsv").write_text("chrom\tstart\tend\tgene_name\tone\ttwo\n" + "\n".join(links) + "\n")
    return str(tmp_path / "links.tsv"), "--crispr", str(tmp_path / "crispr.tsv")


def test_without_output_the_json_goes_to_stdout(app: typer.Typer, files: tuple[str, str, str]) -> None:
    result = CliRunner().invoke(app, [*files, "--bootstraps", "20", "--seed", "5", "--aggregate", "one=sum"])
    assert result.exit_code == 0
    expected = evaluation.benchmark_crispr(files[0], files[2], aggregate={"one": "sum"}, bootstraps=20, seed=5)
    assert json.loads(result.stdout) == expected.to_dict()


def test_with_output_the_folder_is_written(
    app: typer.Typer, files: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fonts in PDFs are slow, and `tests/report` looks at them.
    monkeypatch.setattr("epinformer.report.crispr.pdf", lambda figure: b"%PDF")
    options = ["-o", str(tmp_path / "out"), "--bootstraps", "20", "--score", "two", "--lower", "two", "--gene", "G1"]
    result = CliRunner().invoke(app, [*files, *options])
    assert (result.exit_code, result.stdout) == (0, "")
    numbers = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert numbers["links"]["scores"] == {"two": "min of overlapping links, lower is likelier"}
    assert (tmp_path / "out" / "figures" / "locus_G1.png").exists()
    assert not (tmp_path / "out" / "figures" / "locus_G0.png").exists()


def test_inputs_are_not_overwritten(app: typer.Typer, files: tuple[str, str, str], tmp_path: Path) -> None:
    links = tmp_path / "pairs.tsv"
    links.write_bytes(Path(files[0]).read_bytes())
    result = CliRunner().invoke(app, [str(links), *files[1:], "-o", str(tmp_path)])
    assert isinstance(result.exception, OutputError) and links.read_bytes() == Path(files[0]).read_bytes()
    result = CliRunner().invoke(app, [*files, "-o", files[0]])
    assert isinstance(result.exception, OutputError) and "is not a folder" in str(result.exception)


def test_an_aggregate_without_a_way_is_told(app: typer.Typer, files: tuple[str, str, str]) -> None:
    result = CliRunner().invoke(app, [*files, "--aggregate", "one"])
    assert isinstance(result.exception, ConfigError)
    assert "--aggregate one does not say how" in str(result.exception)


def test_the_help_names_the_columns(app: typer.Typer) -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert "gene_id or gene_name" in " ".join(text.split()) and "--crispr" in text
