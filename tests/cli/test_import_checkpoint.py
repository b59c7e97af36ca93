from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from epinformer.cli.main import app
from epinformer.model.checkpoint import load_model
from epinformer.model.config import published_config
from epinformer.model.published_tensors import published_slots

NAME = "fold_11_EPInformer_PE_Activity_HiC_RNA_K562_checkpoint.pt"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    state = OrderedDict(
        (slot.theirs, torch.tensor(1) if slot.theirs.endswith("tracked") else torch.full(slot.stored[0], 0.5))
        for slot in published_slots(published_config("PE-Activity-HiC"))
    )
    torch.save({"epoch": 1, "model_state_dict": state, "loss": np.float64(-0.75)}, tmp_path / NAME)
    return tmp_path / NAME


def test_import(checkpoint: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["import-checkpoint", str(checkpoint), "-o", str(tmp_path / "m")])
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "PE-Activity-HiC, K562, hg38, expression_rna, fold 11" in result.stderr
    assert load_model(tmp_path / "m").info.training == {"epoch": 1, "validation_r2": 0.75}


def test_options(checkpoint: Path, tmp_path: Path) -> None:
    file = checkpoint.rename(tmp_path / "x.pt")
    options = ["--fold", "2", "--target", "expression_cage", "--assembly", "hg19", "--cell-type", "HepG2"]
    result = CliRunner().invoke(app, ["import-checkpoint", str(file), "-o", str(tmp_path / "m"), *options])
    assert result.exit_code == 0, result.output
    info = load_model(tmp_path / "m").info
    assert info.fold is not None
    assert (info.fold.name, info.target, info.assembly, info.cell_type) == ("2", "expression_cage", "hg19", "HepG2")
    again = ["import-checkpoint", str(file), "-o", str(tmp_path / "m")]
    result = CliRunner().invoke(app, again)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert CliRunner().invoke(app, [*again, "--overwrite"]).exit_code == 0
    assert CliRunner().invoke(app, [*again, "--fold", "13"]).exit_code == 2


@pytest.mark.parametrize("kind", ["csv", "evil", "missing"])
def test_errors_are_one_line_and_leave_nothing(kind: str, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    file = tmp_path / NAME
    if kind == "csv":
        file.write_text(",Pred,actual\nENSG1,1,2\n")
    elif kind == "evil":
        file.write_bytes(pickle.dumps(Evil()))
    result = CliRunner().invoke(app, ["import-checkpoint", str(file), "-o", str(tmp_path / "m")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {file}: ")
    assert result.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {NAME}


def test_a_name_that_is_no_utf8(checkpoint: Path, tmp_path: Path) -> None:
    file = checkpoint.rename(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.pt"))
    output = os.fsdecode(os.fsencode(tmp_path) + b"/m\xff")
    done = subprocess.run(
        [sys.executable, "-m", "epinformer", "import-checkpoint", file, "-o", output],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "m\\udcff: PE-Activity-HiC" in done.stderr
    source = load_model(output).info.source
    assert source is not None
    assert source.name == "bad\ufffd.pt"


def test_a_setting_that_is_no_utf8(checkpoint: Path, tmp_path: Path) -> None:
    command = ["import-checkpoint", str(checkpoint), "-o", str(tmp_path / "m"), "--cell-type", "K\udcff"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: text cannot be written as utf-8: ")
    assert "K\\udcff'. Give names and settings as UTF-8." in result.stderr
    assert not (tmp_path / "m").exists()


def test_quiet_is_quiet(checkpoint: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--quiet", "import-checkpoint", str(checkpoint), "-o", str(tmp_path / "m")])
    assert (result.exit_code, result.output) == (0, "")


def test_help_has_an_example() -> None:
    result = CliRunner().invoke(app, ["import-checkpoint", "--help"])
    assert result.exit_code == 0
    assert "Examples:\n" in result.stdout
    assert "epinformer import-checkpoint fold_11" in result.stdout
