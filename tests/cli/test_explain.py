from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pybigtools
import pytest
from typer.testing import CliRunner

from epinformer.cli.main import app
from epinformer.interpretation.attribution_file import read_attributions
from epinformer.model.checkpoint import save_model
from tests.variant_world import World, activity_model, expression_model, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """world.dataset, genome.fa, rna.model, and a run of one encoder, which held chr22 out."""
    folder = tmp_path_factory.mktemp("explain")
    world = make_world(folder)
    (folder / "encoders" / "fold_11").mkdir(parents=True)
    (folder / "encoders" / "run.json").write_text("{}")
    for model, path in ((expression_model(), "rna.model"), (activity_model(), "encoders/fold_11/encoder.model")):
        save_model(model.model, folder / path, model.info)
    return world


def run(world: World, *more: str | Path, model: str = "encoders", data: bool = True):
    folder = world.fasta.parent
    given = ["--data", str(folder / "world.dataset")] if data else []
    return CliRunner().invoke(app, ["explain", "--model", str(folder / model), *given, *map(str, more)])


def test_regions_of_a_genome_become_a_folder(world: World, tmp_path: Path) -> None:
    (tmp_path / "two.bed").write_text("chr22\t4300\t5000\tstrong <one>\nchr22\t100\t400\t.\n")
    more = ["--genome", world.fasta, "--regions", tmp_path / "two.bed", "--method", "ism", "-o", tmp_path / "out"]
    result = run(world, *more, data=False)
    assert result.exit_code == 0, result.stderr
    assert "2 sequences explained" in result.stderr
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    expected = {"attributions.h5", "attributions.bw", "regions.tsv", "tiles.tsv", "explain.json"}
    assert expected <= names and len([name for name in names if name.endswith(".png")]) == 2
    about = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert (about["method"], about["what"], about["sequences"]) == ("ism", "activity", 2)
    assert about["strand_difference"] < 1e-3
    table = pd.read_csv(tmp_path / "out" / "regions.tsv", sep="\t")
    assert table["name"].tolist() == ["strong <one>", "chr22:100-400"]
    found = read_attributions(tmp_path / "out")
    with pybigtools.open(str(tmp_path / "out" / "attributions.bw")) as track:
        for row, entry in found.table.iterrows():
            values = track.values("chr22", int(entry.start), int(entry.end), fillna=None)
            np.testing.assert_allclose(values, found.actual[row], atol=1e-7)
    assert run(world, *more, data=False).exit_code == 1  # it is there already
    assert run(world, *more[:-1], tmp_path / "far", "--seed", str(2**64), data=False).exit_code == 2
    assert run(world, *more, "--overwrite", data=False).exit_code == 0


def test_a_gene_of_an_expression_model(world: World, tmp_path: Path) -> None:
    result = run(
        world, "--gene", "GENE3", "--part", "promoter", "--figures", "0", "-o", tmp_path / "out", model="rna.model"
    )
    assert result.exit_code == 0, result.stderr
    found = read_attributions(tmp_path / "out")
    assert found.about.method == "ism" and found.table["name"].tolist() == ["GENE3 promoter"]
    assert np.abs(found.actual).max() > 0 and not (tmp_path / "out" / "tiles.tsv").exists()


def test_errors_are_told(world: World, tmp_path: Path) -> None:
    (tmp_path / "short.bed").write_text("chr22\t100\t300\nchr22\t4300\t5000\n")
    (tmp_path / "outside.bed").write_text("chr22\t8900\t9300\n")
    (tmp_path / "nothing.bed").write_text("chr22\t6000\t6010\n")
    genome = ["--genome", world.fasta]
    for more, message in (
        ([*genome, "--regions", tmp_path / "short.bed"], "shorter than"),
        ([*genome, "--regions", tmp_path / "outside.bed"], "outside.bed"),
        ([*genome, "--regions", tmp_path / "none.bed"], "there is no such file"),
        (["--gene", "NOPE"], "does not hold all genes asked for"),
        (["--gene", "GENE3", "--genes", "GENE4"], "--gene and --genes are both given"),
        (["--gene", "GENE3", "--links", "l.tsv"], "--links and other regions or genes are both given"),
        ([], "no model given held out the chromosomes"),
        (["--gene", "GENE3", "--model", str(world.fasta.parent / "rna.model")], "some of the models predict activity"),
    ):
        result = run(world, *more, "--method", "ism", "-o", tmp_path / "out")
        assert result.exit_code == 1 and message in result.stderr, (more, result.stderr)
        assert "Traceback" not in result.stderr and result.stderr.splitlines()[-1].startswith("error: ")
        assert not (tmp_path / "out").exists()
