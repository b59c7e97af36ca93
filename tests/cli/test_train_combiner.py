from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.synthetic import synthetic_dataset
from epinformer.cli.links import links
from epinformer.cli.train_combiner import train_combiner
from epinformer.errors import OutputError

app = typer.Typer()
app.command()(links)
app.command()(train_combiner)


def called(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, its links with context, and tested pairs of some."""
    folder = tmp_path_factory.mktemp("combiner")
    synthetic_dataset(
        folder / "d", genes=40, elements=120, pairs_per_gene=12, most=20, sequence=False, chroms=("chr1", "chr2")
    )
    called("links", "--data", folder / "d", "--context", "-o", folder / "links.tsv")
    table = pd.read_csv(folder / "links.tsv", sep="\t").iloc[::2]
    likely = np.random.default_rng(0).random(len(table)) < table["activity"].rank(pct=True) / 2
    tested = table[["chrom", "gene_id"]].assign(
        chromStart=table["start"], chromEnd=table["end"], Regulated=np.where(likely, "TRUE", "FALSE")
    )
    tested.to_csv(folder / "crispr.tsv", sep="\t", index=False)
    return folder


def test_from_links_to_calibrated_links(folder: Path) -> None:
    command = ["train-combiner", folder / "links.tsv", "--crispr", folder / "crispr.tsv", "-o", folder / "c"]
    assert called(*command, "--bootstraps", 5) == ""
    called("links", "--data", folder / "d", "--calibrated", folder / "c", "-o", folder / "calibrated.tsv")
    table = pd.read_csv(folder / "calibrated.tsv", sep="\t")
    assert len(table) == len(pd.read_csv(folder / "links.tsv", sep="\t"))
    assert table["calibrated"].between(0, 1).all() and (table["calibrated_without"] == table["chrom"]).all()
    held_out = pd.read_csv(folder / "c" / "held_out.tsv", sep="\t")
    both = held_out.merge(table.rename(columns={"gene_id": "gene"}), on=["gene", "chrom", "start", "end"])
    assert len(both) > 100
    # The links that were learned from were text of seven digits.
    np.testing.assert_allclose(both["calibrated_x"], both["calibrated_y"], rtol=1e-4)
    with pytest.raises(OutputError, match="already exists"):
        called(*command)
    called(*command, "--bootstraps", 5, "--overwrite")


def test_links_can_be_ranked_by_it(folder: Path) -> None:
    command = ["train-combiner", folder / "links.tsv", "--crispr", folder / "crispr.tsv", "-o", folder / "r"]
    called(*command, "--bootstraps", 2)
    ranked = ["--score", "calibrated", "--threshold", "0.3", "--format", "bedpe"]
    called("links", "--data", folder / "d", "--calibrated", folder / "r", *ranked, "-o", folder / "links.bedpe")
    rows = pd.read_csv(folder / "links.bedpe", sep="\t")
    assert len(rows) and (rows["score"] >= 0.3).all()


def test_a_folder_with_an_input_is_not_overwritten(folder: Path) -> None:
    inside = folder / "in"
    inside.mkdir()
    (inside / "links.tsv").write_bytes((folder / "links.tsv").read_bytes())
    with pytest.raises(OutputError, match="is or holds what is to be read"):
        called("train-combiner", inside / "links.tsv", "--crispr", folder / "crispr.tsv", "-o", inside, "--overwrite")
