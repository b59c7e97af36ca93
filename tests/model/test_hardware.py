from __future__ import annotations

import pytest
import torch

from epinformer.errors import EpinformerError
from epinformer.model.hardware import Hardware, arithmetic, named_device, training_hardware


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, 0),
        ({"LOCAL_RANK": "1"}, 1),
        ({"LOCAL_RANK": "1", "NODE_RANK": "2"}, 5),
        ({"RANK": "3", "LOCAL_RANK": "1"}, 3),
        ({"SLURM_NTASKS": "6", "SLURM_PROCID": "4", "LOCAL_RANK": "0"}, 4),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, 0),
        # An interactive job, in which Lightning starts the others itself.
        ({"SLURM_NTASKS": "6", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "bash", "LOCAL_RANK": "1"}, 1),
    ],
)
def test_every_process_knows_its_place(environment: dict[str, str], rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hardware = Hardware(devices=2, nodes=3)
    assert hardware.share() == {"rank": rank, "world": 6} and hardware.leads is (rank == 0)
    assert Hardware().share() == {"rank": 0, "world": 1} and Hardware().leads


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert training_hardware("cpu", 2, 3) == Hardware("cpu", 2, 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert training_hardware() == Hardware("cuda", 1, 1)
    with pytest.raises(EpinformerError, match=r"there are 1 CUDA devices, not 2\. Lower --devices"):
        training_hardware("cuda", 2)
    with pytest.raises(EpinformerError, match="there is no device 'abacus'"):
        named_device("abacus")


def test_exact_arithmetic_is_the_same_everywhere() -> None:
    assert arithmetic("32", "cpu") == arithmetic("32", "cuda") == torch.float32
    assert arithmetic("bf16", "cuda") == torch.bfloat16
