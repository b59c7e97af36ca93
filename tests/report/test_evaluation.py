from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import OutputError
from epinformer.evaluation.expression import Evaluation, evaluate
from epinformer.report.evaluation import summary, write_evaluation


def result(genes: int = 40, chromosomes: int = 4) -> Evaluation:
    generator = np.random.default_rng(0)
    observed = generator.normal(size=genes)
    observed[0] = np.nan if genes > 1 else 0.5
    data = pd.DataFrame(
        {
            "gene_id": [f"g{i}" for i in range(genes)],
            "chrom": [f"chr{1 + i % chromosomes}" for i in range(genes)],
            "fold": [i % chromosomes for i in range(genes)],
            "observed": observed,
            "predicted": generator.normal(size=genes),
        }
    )
    return evaluate(data, bootstraps=20)


def test_the_folder_holds_numbers_and_picture(tmp_path: Path) -> None:
    evaluation = result()
    for _ in range(2):
        write_evaluation(evaluation, tmp_path / "new" / "folder")
    assert sorted(entry.name for entry in (tmp_path / "new" / "folder").iterdir()) == ["metrics.json", "scatter.png"]
    assert json.loads((tmp_path / "new" / "folder" / "metrics.json").read_text("utf-8")) == evaluation.to_dict()


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="file: cannot be made a folder"):
        write_evaluation(result(), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("failing", ["metrics.json", "scatter.png"])
def test_a_failure_leaves_everything_as_it_was(
    tmp_path: Path, there: bool, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "folder"
    if there:
        write_evaluation(result(), folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(*arguments: object, **options: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "metrics.json":
        monkeypatch.setattr(Path, "write_text", full)
    else:
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(OutputError, match=r"folder/[a-z.]+: cannot be written: No space left"):
        write_evaluation(result(50), folder)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (tmp_path / "new").exists() == there


def test_the_summary_says_how_many_and_how_well() -> None:
    evaluation = result()
    text = summary(evaluation)
    assert "39 of 40 genes, 1 without an observed value left out, 4 chromosomes" in text
    assert f"{evaluation.pooled.pearson:.3f}" in text
    assert "95 % from" in text
    assert "fold 3" in text
    assert "note: the intervals rest on only 4 chromosomes" in text


def test_undefined_numbers_are_dashes() -> None:
    text = summary(result(genes=1))
    assert "pooled             1         -         -         -" in text
    assert "95 %" not in text
    assert "1 chromosome\n" in text
