"""`epinformer inspect`: tables for people, JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from epinformer.cli.inspect import inspect
from epinformer.dataset.store import FilterStep, InputFile, Manifest, open_dataset, write_dataset
from epinformer.dataset.summary import summarise
from epinformer.errors import DatasetError


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    genes = pd.DataFrame(
        {"gene_id": ["a", "b"], "gene_name": ["[red]A", "B"], "chrom": "chr1", "tss": [10, 20], "strand": "+"}
    )
    elements = pd.DataFrame(
        {
            "element_id": ["e"],
            "chrom": "chr1",
            "start": [5000],
            "end": [5100],
            "activity": 12345.678,
            "sequence_length": 100,
        }
    )
    pairs = pd.DataFrame({"gene_index": [0], "element_index": [0], "distance": [5040]})
    manifest = Manifest(
        assembly="hg38",
        cell_type="K562",
        package_version="1.2.3",
        inputs={"genome": InputFile(path="folder/" * 30 + "x.fa", sha256="0123456789abcdef" * 4, bytes=1_234_567)},
        filters=[FilterStep(table="genes", step="no half-life features", before=1500, after=2)],
        transforms={"activity": "sqrt(dnase_rpm * h3k27ac_rpm)"},
    )
    path = tmp_path / "k562.dataset"
    write_dataset(path, manifest, genes, elements, pairs, [np.zeros(4100, np.uint8)])
    return path


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(inspect)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_table(dataset: Path) -> None:
    result = run(dataset)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for expected in (
        str(dataset),
        "assembly hg38",
        "cell type K562",
        "made by epinformer 1.2.3 (format 1)",
        "rows 2 genes, 1 elements, 1 pairs",
        "elements per gene mean 0.5, median 0.5, max 1; 1 genes have none",
        "|distance| 5,040 to 5,040 bp, median 5,040; 100.0 % downstream",
        "sequence 4,100 bases, 0.0 MB",
        "genes no half-life features 1,500 2 1,498",
        f"genome {'folder/' * 30}x.fa 0123456789ab 1,234,567",
        "activity 0 12,345.7 12,345.7 12,345.7 12,345.7 0 sqrt(dnase_rpm * h3k27ac_rpm)",
        "chr1 2 1",
    ):
        assert expected in lines
    assert "\x1b" not in result.stdout
    assert all(line == line.rstrip() for line in result.stdout.splitlines())


def test_windows_are_shown(dataset: Path, tmp_path: Path) -> None:
    parts = open_dataset(dataset)
    windows = pd.DataFrame({"chrom": "chr1", "start": [5, 9], "end": [261, 265], "activity": [0.5, 1.5]})
    path = tmp_path / "w.dataset"
    write_dataset(
        path, parts.manifest, parts.genes, parts.elements, parts.pairs, [np.zeros(4100, np.uint8)],
        windows=windows, window_codes=[np.zeros(512, np.uint8)],
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in run(path).stdout.splitlines()]
    for expected in (
        "rows 2 genes, 1 elements, 1 pairs, 2 windows",
        "Columns of windows",
        "activity 0 0.5 1 1 1.5 0",
        "chromosome genes elements windows",
        "chr1 2 1 2",
    ):
        assert expected in lines


def test_json(dataset: Path) -> None:
    result = run(dataset, "--json")
    assert json.loads(result.stdout) == summarise(open_dataset(dataset))


def test_without_pairs_and_sequence(tmp_path: Path) -> None:
    genes = pd.DataFrame({"gene_id": ["a"], "gene_name": "A", "chrom": "chr1", "tss": [1], "strand": "+"})
    elements = pd.DataFrame({"element_id": ["e"], "chrom": "chr1", "start": [1], "end": [2]})
    pairs = pd.DataFrame({name: np.zeros(0, int) for name in ("gene_index", "element_index", "distance")})
    path = tmp_path / "a.dataset"
    write_dataset(path, Manifest(assembly="hg38", package_version="0"), genes, elements, pairs, None)
    output = run(path).stdout
    assert "no pairs" in output and "cell type          not said" in output and "Filters" not in output


def test_no_dataset(tmp_path: Path) -> None:
    result = run(tmp_path / "no.dataset")
    assert result.exit_code == 1 and isinstance(result.exception, DatasetError) and result.stdout == ""


def test_help_has_examples() -> None:
    result = run("--help")
    assert result.exit_code == 0 and "epinformer inspect k562.dataset" in result.stdout
