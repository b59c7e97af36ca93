from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from epinformer.errors import ModelError
from epinformer.model.published import read_published


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("conv_out.12.bias"), "lacks tensors.*conv_out.12.bias"),
        (lambda state: state.update(more=torch.zeros(1)), "no published model has.*more"),
        (
            lambda state: state.update({"pToExpr.0.weight": torch.zeros(128, 65)}),
            r"wrong shape.*pToExpr.0.weight is \(128, 65\), not \(128, 73\)",
        ),
        (lambda state: state.update({"add_pos_conv.0.weight": torch.zeros(64, 70, 1)}), "takes 6 features of a pair"),
        (lambda state: state["attn_encoder.1.norm2.bias"].fill_(torch.nan), "not finite.*attn_encoder.1.norm2.bias"),
        (lambda state: state["conv_out.1.running_var"][3:4].fill_(torch.inf), "not finite.*conv_out.1.running_var"),
        (
            lambda state: state.update({"pToExpr.4.bias": torch.zeros(1, dtype=torch.int32)}),
            "wrong type.*pToExpr.4.bias is torch.int32",
        ),
        (lambda state: state.update({"pToExpr.4.bias": torch.zeros(1).to_sparse()}), "wrong type.*pToExpr.4.bias"),
        (lambda state: state.update({"pToExpr.4.bias": 3.0}), "not tensors.*pToExpr.4.bias"),
        (lambda state: state.clear(), "holds no state dict"),
        (lambda state: state.pop("add_pos_conv.0.weight"), "does not hold the tensors of a published model"),
    ],
)
def test_strict_about_tensors(
    change: Callable[[dict], object], message: str, tmp_path: Path, authors_state: Callable[[str], OrderedDict]
) -> None:
    state = authors_state("PE-Activity")
    change(state)
    path = tmp_path / "x.pt"
    torch.save({"epoch": 0, "model_state_dict": state, "loss": 0.0}, path)
    with pytest.raises(ModelError, match=message):
        read_published(path)


def test_enormous_tensor_without_memory_behind_it(tmp_path: Path, authors_state: Callable[[str], OrderedDict]) -> None:
    state = authors_state("PE")
    state["pToExpr.0.weight"] = torch.zeros(1).expand(10**6, 10**6)
    path = tmp_path / "x.pt"
    torch.save(state, path)
    with pytest.raises(ModelError, match="wrong shape"):
        read_published(path)


def test_tensor_errors_say_how_many_and_what_to_do(tmp_path: Path, authors_state: Callable[[str], OrderedDict]) -> None:
    path = tmp_path / "x.pt"
    state = authors_state("PE")
    for name in ("conv_out.1.running_var", "attn_encoder.1.norm2.bias"):
        state[name].fill_(torch.nan)
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"not finite \(2 affected; first: conv_out.1.running_var\)\. Only whole"):
        read_published(path)
    del state["pToExpr.0.weight"], state["pToExpr.0.bias"]
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"lacks tensors.*\(2 affected; first: pToExpr.0.weight\)\. Only whole"):
        read_published(path)
