"""`epinformer make-qnorm-reference`: what it writes is tested with the library; here the command."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import typer
from typer.testing import CliRunner, Result

from epinformer.cli.make_qnorm_reference import make_qnorm_reference
from epinformer.dataset.store import Manifest, write_dataset


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(make_qnorm_reference)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def dataset(path: Path) -> Path:
    genes = pd.DataFrame({"gene_id": ["g"], "gene_name": ["G"], "chrom": "chr1", "tss": [10], "strand": "+"})
    elements = pd.DataFrame({"element_id": ["a", "b"], "chrom": "chr1", "start": [100, 300], "end": [150, 350]})
    elements = elements.assign(**{"class": ["promoter", "genic"], "atac_rpm": [4.0, 1.5]})
    pairs = pd.DataFrame({"gene_index": [0], "element_index": [0], "distance": [115]})
    write_dataset(path, Manifest(assembly="toy", package_version="0"), genes, elements, pairs, None)
    return path


def test_it_writes_a_table(tmp_path: Path) -> None:
    output = tmp_path / "qnorm.tsv"
    result = run(dataset(tmp_path / "a.dataset"), "-o", output)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    lines = output.read_text().splitlines()
    assert lines[0].split("\t") == ["enh_class", "quantile", "rank", "ATAC.RPM"]
    assert len(lines) == 1 + 3 * 118
    assert lines[-1].split("\t") == ["nonpromoter", "1", "0", "1.5"]


def test_a_file_inside_the_dataset_is_refused(tmp_path: Path) -> None:
    path = dataset(tmp_path / "a.dataset")
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    result = run(path, "-o", path / "elements.parquet")
    assert result.exit_code == 1 and "would overwrite the input" in str(result.exception)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_help_has_an_example() -> None:
    result = run("--help")
    assert result.exit_code == 0 and "make-qnorm-reference k562.dataset -o" in result.stdout
