from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from epinformer.cli.main import app
from epinformer.model.checkpoint import save_model
from tests.variant_world import World, activity_model, expression_model, make_world, write_vcf


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """world.dataset, genome.fa, rna.model, a run of encoders, and v.vcf with a SNV in an element of chr22."""
    folder = tmp_path_factory.mktemp("variants")
    world: World = make_world(folder)
    (folder / "encoders" / "fold_11").mkdir(parents=True)
    (folder / "encoders" / "run.json").write_text("{}")
    for model, path in ((expression_model(), "rna.model"), (activity_model(), "encoders/fold_11/encoder.model")):
        save_model(model.model, folder / path, model.info)
    ref = world.text("chr22", 4_620, 4_621)
    write_vcf(folder / "v.vcf", [("chr22", 4_621, ref, "A" if ref != "A" else "C")])
    return folder


def run(folder: Path, *more: str, vcf: str = "v.vcf", data: str = "world.dataset"):
    models = ["--model", str(folder / "rna.model"), "--model", str(folder / "encoders")]
    return CliRunner().invoke(app, ["variants", str(folder / vcf), *models, "--data", str(folder / data), *more])


def test_writes_a_table_and_a_vcf(folder: Path, tmp_path: Path) -> None:
    output, vcf = tmp_path / "v.parquet", tmp_path / "v.vcf.gz"
    result = run(folder, "-o", str(output), "--vcf", str(vcf), "--genome", str(folder / "genome.fa"))
    assert result.exit_code == 0 and result.stdout == "" and vcf.exists()
    table = pd.read_parquet(output)
    assert (table.status == "scored").all() and table.effect.notna().any() and "1 alleles: 1 scored" in result.stderr
    shown = run(folder, "--genes", "GENE4")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[0].split("\t") == table.columns.tolist()


def test_errors_are_told(folder: Path, tmp_path: Path) -> None:
    for more, vcf, message in (
        (["-o", str(folder / "v.vcf")], "v.vcf", "would overwrite the input"),
        ([], "missing.vcf", "there is no such file"),
        (["--genome", str(folder / "v.vcf")], "v.vcf", "v.vcf: "),
        (["--genes", "NONE"], "v.vcf", "does not hold all genes asked for"),
    ):
        result = run(folder, *more, vcf=vcf)
        assert result.exit_code == 1 and message in result.stderr and "Traceback" not in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: ")


def test_a_wrong_reference_stops_or_is_listed(folder: Path, tmp_path: Path) -> None:
    row = (folder / "v.vcf").read_text().splitlines()[-1].split("\t")
    row[3], row[4] = next(base for base in "ACGT" if base not in row[3]), row[3]
    head = (folder / "v.vcf").read_text().splitlines()[:-1]
    (folder / "wrong.vcf").write_text("\n".join([*head, "\t".join(row)]) + "\n")
    stopped = run(folder, vcf="wrong.vcf")
    assert stopped.exit_code == 1 and "reference alleles that are not what" in stopped.stderr
    listed = run(folder, "--mismatch", "skip", vcf="wrong.vcf")
    assert listed.exit_code == 0 and "reference mismatch" in listed.stdout


def test_a_model_is_asked_for(folder: Path) -> None:
    result = CliRunner().invoke(app, ["variants", str(folder / "v.vcf"), "--data", str(folder / "world.dataset")])
    assert result.exit_code == 2 and "--model" in result.stderr
