from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
import typer
from typer.testing import CliRunner

from benchmarks.synthetic import synthetic_dataset
from epinformer.cli.knockout import knockout
from epinformer.cli.links import links
from epinformer.dataset.store import Dataset
from epinformer.errors import EpinformerError
from epinformer.model.checkpoint import ModelInfo, fold_info, save_model
from epinformer.model.config import published_config
from epinformer.model.epinformer import EPInformer

app = typer.Typer()
app.command()(links)
app.command()(knockout)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return synthetic_dataset(tmp_path_factory.mktemp("data") / "d", genes=8, elements=20, most=6, sequence=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two models, as a cross-validation leaves it."""
    config = published_config("PE-Activity", "expression_rna").model_copy(update={"sequence": "none"})
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.json").write_text("{}")
    (folder / "fold_11").mkdir()
    for seed in (1, 2):
        torch.manual_seed(seed)
        info = ModelInfo(config=config, assembly="hg38", fold=fold_info(11))
        save_model(EPInformer(config), folder / "fold_11" / f"seed_{seed}.model", info)
    return folder


def called(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_links_of_a_run(run: Path, data: Dataset, tmp_path: Path) -> None:
    table, genes, arcs = tmp_path / "l.parquet", tmp_path / "g.tsv.gz", tmp_path / "l.interact"
    assert called("links", "--data", data.path, "--model", run, "-o", table, "--summary", genes) == ""
    found = pd.read_parquet(table)
    assert len(found) == len(data.pairs) and (found.models == 2).all() and found.held_out.all()
    assert len(pd.read_csv(genes, sep="\t")) == data.pairs.gene_index.nunique()
    options = ["--score", "attention", "--threshold", "0.166", "--format", "biginteract"]
    called("links", "--data", data.path, "--model", run, *options, "-o", arcs)
    assert len(arcs.read_text().splitlines()) == (found.attention >= 0.166).sum() > 0


def test_links_without_models_go_to_stdout(data: Dataset) -> None:
    lines = called("links", "--data", data.path, "--genes", "GENE1", "--window", "9000").splitlines()
    assert lines[0].startswith("gene_id\tgene_name\tchrom\t") and lines[1].startswith("ENSG00000000001\tGENE1\t")


def test_knockouts(run: Path, data: Dataset, tmp_path: Path) -> None:
    table, regions, genes = tmp_path / "k.tsv", tmp_path / "r.bed", tmp_path / "genes.txt"
    common = ["knockout", "--data", data.path, "--model", run]
    lines = called(*common, "--gene", "GENE1", "--gene", "GENE3", "--log10-sd", "1").splitlines()
    assert len(lines) == 1 + data.pairs.gene_index.isin([1, 3]).sum()
    called(*common, "--all", "--silence", "--quantile", "0", "-o", table)
    assert len(pd.read_csv(table, sep="\t")) == len(data.pairs)
    genes.write_text("GENE1\n")
    element = data.elements.iloc[int(data.pairs.element_index[data.pairs.gene_index == 1].iloc[0])]
    regions.write_text(f"22\t{element.start}\t{element.end}\tmine\n")
    called(*common, "--genes", genes, "--regions", regions, "-o", table)
    found = pd.read_csv(table, sep="\t")
    assert found.knockout.tolist() == ["mine"] and found.change.tolist() == ["removed"]
    assert len(called(*common, "--gene", "GENE1", "--element", element.element_id).splitlines()) == 2


def test_wrong_use(run: Path, data: Dataset, tmp_path: Path) -> None:
    common = ["knockout", "--data", data.path, "--model", run]
    for arguments, problem in (
        ([], "Give one of --gene, --genes and --all"),
        (["--gene", "GENE1", "--all"], "Give one of --gene, --genes and --all"),
        (["--all", "--element", "e", "--regions", "r.bed"], "--element and --regions are both given"),
        (["--all", "-o", tmp_path / "k.xlsx"], "which kind of table"),
        (["--all", "-o", run / "k.tsv"], "would overwrite the input"),
        (["--all", "--regions", tmp_path / "none.bed"], "none.bed"),
        (["--gene", "GENE0"], "no elements that the models look at"),
        (["--genes", ""], "names no genes"),
    ):
        with pytest.raises(EpinformerError, match=problem):
            called(*common, *arguments)
    (tmp_path / "empty" / "fold_1").mkdir(parents=True)
    (tmp_path / "empty" / "run.json").write_text("{}")
    with pytest.raises(EpinformerError, match="is a run without a trained model"):
        called("links", "--data", data.path, "--model", tmp_path / "empty")


@pytest.mark.parametrize("command", ["links", "knockout"])
def test_help_has_examples(command: str) -> None:
    assert f"epinformer {command} --" in called(command, "--help")
