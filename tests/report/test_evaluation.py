from __future__ import annotations

import json
from pathlib import Path

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
