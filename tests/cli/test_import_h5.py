from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from epinformer.cli.main import app
from epinformer.dataset.store import HALF_LIFE_FEATURES, open_dataset


@pytest.fixture
def h5(tmp_path: Path) -> Path:
    path = tmp_path / "k562.h5"
    sequences = np.zeros((2, 3, 2000, 4), dtype=np.uint8)
    sequences[:, 0, :, 1] = 1
    sequences[1, 1, 900:1100, 2] = 1
    with h5py.File(path, "w") as file:
        file["ensid"] = np.array([b"ENSG1", b"ENSG2"])
        file["pe_code"] = sequences
        file["distance"] = np.array([[0, 0, 0], [0, 120.0, 0]])
        file["activity"] = np.array([[0, 0, 0], [0, 3.5, 0]])
        file["hic"] = np.zeros((2, 3))
    return path


def test_import_with_all_tables(h5: Path, tmp_path: Path) -> None:
    table = pd.DataFrame({"gene_id": ["ENSG1", "ENSG2"], "chrom": "22", "TSS": [5, 6], "promoter_activity": [1.0, 2.0]})
    table = table.assign(**dict.fromkeys(HALF_LIFE_FEATURES, 0.5), value=[3.0, 4.0])
    table.iloc[1:].to_csv(tmp_path / "genes.csv", index=False)
    table.to_csv(tmp_path / "all.csv", index=False)
    command = ["import-h5", str(h5), "-o", str(tmp_path / "d"), "--genes", str(tmp_path / "genes.csv")]
    command += ["--promoters", str(tmp_path / "all.csv"), "--expression", str(tmp_path / "all.csv")]
    command += ["--expression-id", "gene_id", "--expression-value", "value", "--assay", "cage", "--assembly", "hg19"]
    command += ["--cell-type", "K562", "--distance-unit", "kb", "--max-distance", "200000"]
    result = CliRunner().invoke(app, [*command, "--without-half-life", "keep"])
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "2 genes, 1 elements, 1 pairs, 4,200 bases" in result.stderr
    result = CliRunner().invoke(app, ["--quiet", *command, "--overwrite"])
    assert (result.exit_code, result.output) == (0, "")
    dataset = open_dataset(tmp_path / "d")
    assert dataset.genes["gene_id"].tolist() == ["ENSG2"]
    assert dataset.genes["expression_cage"].tolist() == [4.0]
    assert dataset.genes["promoter_activity"].tolist() == [2.0]
    assert dataset.pairs["distance"].tolist() == [120_000]
    assert (dataset.manifest.assembly, dataset.manifest.cell_type) == ("hg19", "K562")


def test_error_is_one_line(h5: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["import-h5", str(h5), "-o", str(tmp_path / "d")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {h5}: has no distance above 120")
    assert [path.name for path in tmp_path.iterdir()] == [h5.name]


def test_help_has_an_example() -> None:
    result = CliRunner().invoke(app, ["import-h5", "--help"])
    assert result.exit_code == 0
    assert "Examples:\n" in result.stdout
