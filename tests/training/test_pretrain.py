from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from epinformer.dataset.store import Dataset
from epinformer.dataset.windows import encoder_windows
from epinformer.errors import ConfigError, DatasetError
from epinformer.evaluation.expression import evaluate
from epinformer.model.checkpoint import load_model
from epinformer.training import pretrain as pretrain_module
from epinformer.training.pretrain import pretrain
from epinformer.training.settings import PretrainConfig, load_run_config

QUICK = load_run_config(PretrainConfig, "pretrain", None, ["fit.max_epochs=2", "fit.batch=64", "windows=1"])


def test_predicts_the_windows_of_held_out_chromosomes(
    bases: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = pretrain(bases, tmp_path / "run", QUICK, folds=["1", "11"])
    assert [str(path.relative_to(tmp_path / "run")) for path in result.models] == [
        *("fold_1/encoder.model", "fold_11/encoder.model")
    ]
    table = result.table
    assert table.groupby("fold").chrom.unique().map(set).to_dict() == {
        "1": {"chr2", "chr12"},
        "11": {"chr22", "chrX"},
    }
    windows = encoder_windows(bases, 1, 156)
    rows = table.gene_id.to_numpy(int)
    np.testing.assert_allclose(table.observed, np.log2(0.1 + windows.table.activity[rows]), rtol=1e-5)
    loaded = load_model(result.models[0])
    assert loaded.info.config.kind == "activity" and loaded.info.fold is not None
    assert loaded.info.fold.name == "1" and loaded.info.assembly == "hg38"
    # Both strands: a window and its reverse complement get the same prediction.
    codes = torch.from_numpy(np.array(windows.codes[rows[:3]]))
    reverse = torch.from_numpy(np.array([3, 2, 1, 0, 4, 5], np.uint8)[codes.numpy()[:, ::-1]])
    with torch.inference_mode():
        forward = loaded.model.both_strands(codes)
        assert torch.allclose(forward, loaded.model.both_strands(reverse), atol=1e-6)
    np.testing.assert_allclose(forward, table.predicted[:3], rtol=1e-4)
    assert evaluate(table).pooled.n == len(table)
    monkeypatch.setattr(pretrain_module, "fit", None)
    again = pretrain(bases, tmp_path / "run", QUICK, folds=["1", "11"]).table
    pd.testing.assert_frame_equal(again, table, rtol=1e-6)


def test_bad_input(signals: Dataset, bases: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="sequence"):
        pretrain(signals, tmp_path / "run", QUICK)
    flat = dataclasses.replace(bases, elements=bases.elements.assign(activity=1.0))
    with pytest.raises(DatasetError, match="the same activity"):
        pretrain(flat, tmp_path / "run", QUICK)
    chrom = bases.elements.chrom.replace({"chr1": "chr4", "chr11": "chr4"})
    moved = dataclasses.replace(bases, elements=bases.elements.assign(chrom=chrom))
    with pytest.raises(DatasetError, match="no validation windows for fold 1: none lies on chromosome 1 or 11"):
        pretrain(moved, tmp_path / "run", QUICK)
    with pytest.raises(ConfigError, match="there is no fold 99"):
        pretrain(bases, tmp_path / "run", QUICK, folds=["99"])
    assert not (tmp_path / "run").exists()
