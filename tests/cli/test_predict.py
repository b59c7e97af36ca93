from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from epinformer.cli.main import app
from epinformer.dataset.store import Dataset
from epinformer.model.checkpoint import ModelInfo, fold_info, save_model
from epinformer.model.config import published_config
from epinformer.model.epinformer import EPInformer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = published_config("PE-Activity", "expression_rna")
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "rna.model"
    save_model(EPInformer(config), path, ModelInfo(config=config, assembly="hg38", fold=fold_info(11)))
    return path


def test_writes_tables(model: Path, synthetic: Dataset, tmp_path: Path) -> None:
    output, attention = tmp_path / "p.tsv", tmp_path / "a.tsv.gz"
    arguments = ["predict", "--model", str(model), "--data", str(synthetic.path), "--genes", "GENE0,GENE1"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(output), "--attention", str(attention)])
    assert result.exit_code == 0 and result.stdout == ""
    table = pd.read_csv(output, sep="\t")
    first = ["gene_id", "chrom", "tss", "strand", "fold", "observed", "predicted"]
    assert table.columns[: len(first)].tolist() == first
    assert len(table) == 2 and len(pd.read_csv(attention, sep="\t")) == 20


def test_results_go_to_stdout(model: Path, synthetic: Dataset) -> None:
    arguments = ["predict", "--model", str(model), "--data", str(synthetic.path), "--genes", "GENE1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    header, row = result.stdout.splitlines()
    assert header.startswith("gene_id\tchrom\t") and row.startswith("ENSG00000000001\tchr22\t17000\t")


def test_help_has_examples() -> None:
    result = CliRunner().invoke(app, ["predict", "--help"])
    assert result.exit_code == 0 and "epinformer predict --model" in result.stdout


def test_outputs_that_would_destroy_inputs(model: Path, synthetic: Dataset, tmp_path: Path) -> None:
    genes = tmp_path / "genes.txt"
    genes.write_text("GENE1\n")
    arguments = ["predict", "--model", str(model), "--data", str(synthetic.path), "--genes", str(genes)]
    for target in (genes, synthetic.path / "genes.parquet", model / "model.json"):
        before = target.read_bytes()
        result = CliRunner().invoke(app, [*arguments, "-o", str(target)])
        assert result.exit_code == 1 and "would overwrite the input" in result.stderr
        assert target.read_bytes() == before


def test_no_genes_is_told_as_such(model: Path, synthetic: Dataset, tmp_path: Path) -> None:
    arguments = ["predict", "--model", str(model), "--data", str(synthetic.path), "--genes", ""]
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "p.tsv")])
    assert result.exit_code == 1 and "names no genes" in result.stderr
