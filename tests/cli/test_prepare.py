"""`epinformer prepare`: the command adds a summary and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epinformer.cli.main import app
from epinformer.dataset.store import open_dataset

CONFIG = """\
assembly: toy
genome: {fasta: genome.fa}
genes: {table: genes.bed}
signals:
  dnase: [{elements: dnase.bedgraph, promoters: dnase.tss.bedgraph, total_reads: 1000000}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration beside the files it names."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "genome.fa").write_text(">1\n" + "ACGTTGCA" * 5_000 + "\n")
    (folder / "genes.bed").write_text("chr1\t9500\t10500\tG1\t0\t+\nchr1\t19500\t20500\tG2\t0\t-\n")
    (folder / "dnase.tss.bedgraph").write_text("chr1\t9500\t10500\t7\nchr1\t19500\t20500\t5\n")
    (folder / "dnase.bedgraph").write_text("chr1\t12000\t12500\t4\nchr1\t30000\t30500\t6\n")
    path = folder / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_a_dataset_and_a_summary_on_stderr(config: Path, tmp_path: Path) -> None:
    output = tmp_path / "toy.dataset"
    result = CliRunner().invoke(app, ["prepare", str(config), "-o", str(output)])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "activity is dnase_rpm\n" in result.stderr
    assert "kept 4 of 4 pairs: 0 beyond a gene's 60 nearest elements\n" in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last == f"wrote {output}: 2 genes, 2 elements, 4 pairs, 5,000 bases"
    assert open_dataset(output).genes["gene_id"].tolist() == ["G1", "G2"]


def test_quiet_is_quiet(config: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--quiet", "prepare", str(config), "-o", str(tmp_path / "toy.dataset")])
    assert (result.exit_code, result.output) == (0, "")


def test_root_and_overwrite(config: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "config.yaml"
    elsewhere.write_text(CONFIG.replace("genome: {fasta: genome.fa}\n", ""))
    output = tmp_path / "toy.dataset"
    command = ["prepare", str(elsewhere), "-o", str(output)]
    missing = CliRunner().invoke(app, command)
    assert missing.exit_code == 1
    assert "input files are not there (3 affected; first: genes.bed (genes.table))" in missing.stderr
    assert not output.exists()
    command += ["--root", str(config.parent)]
    assert "2 genes, 2 elements, 4 pairs, no sequence" in CliRunner().invoke(app, command).stderr
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1
    assert (
        again.stderr.startswith("error: ")
        and "already exists. Name another output or pass --overwrite." in again.stderr
    )
    assert CliRunner().invoke(app, [*command, "--overwrite"]).exit_code == 0


def test_bad_input_is_one_line_without_a_traceback(config: Path, tmp_path: Path) -> None:
    bad = config.parent / "dnase.bedgraph"
    bad.write_text(bad.read_text().replace("\t6\n", "\t-6\n"))
    result = CliRunner().invoke(app, ["prepare", str(config), "-o", str(tmp_path / "toy.dataset")])
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {bad}: has negative counts (1 affected; first: line 2: chr1 30000 30500 -6.0). "
        "Give reads per region, 0 or more.\n"
    )
    assert list(tmp_path.iterdir()) == [config.parent]


def test_bad_settings(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("total_reads", "totalreads"))
    result = CliRunner().invoke(app, ["prepare", str(config), "-o", str(tmp_path / "toy.dataset")])
    assert result.exit_code == 1
    assert "  - signals.dnase[0].totalreads: is not a setting; did you mean total_reads?" in result.stderr


def test_a_full_disk_leaves_nothing(config: Path, tmp_path: Path) -> None:
    # A limit on the size of files stands in for a full disk. Compiled modules would be cut by it, and stay so.
    full = (
        "import resource, runpy, sys; sys.dont_write_bytecode = True; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000)); "
        "runpy.run_module('epinformer', run_name='__main__')"
    )
    output = tmp_path / "toy.dataset"
    command = [sys.executable, "-c", full, "prepare", str(config), "-o", str(output)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert f"error: {output}: cannot be written: " in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [config.parent]


def test_help_has_examples() -> None:
    result = CliRunner().invoke(app, ["prepare", "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout and "epinformer prepare examples/k562_chr22/config.yaml" in result.stdout
