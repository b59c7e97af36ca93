"""The padded reference in training: as the authors do it, and as the package does where the two should agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.padded import one_hot, padded_forward
from epinformer.dataset.batch import Batch
from epinformer.model.config import published_config
from epinformer.model.epinformer import EPInformer
from epinformer.model.published_tensors import published_slots


@pytest.mark.real_data
def test_a_step_is_that_of_the_authors(shared_data: Path) -> None:
    folder = shared_data / "published"
    model = EPInformer.from_published(folder / "fold_1_EPInformer_PE_Activity_HiC_CAGE_K562_checkpoint.pt").train()
    inputs = np.load(folder / "inputs.npz")
    expected = np.load(folder / "outputs_PE_Activity_HiC_K562_CAGE_fold1.npz")
    dense = [torch.from_numpy(inputs[name]).float() for name in ("pe_seq", "extra_feat_3", "rna_feat")]
    prediction = padded_forward(model, *dense).prediction
    loss = functional.smooth_l1_loss(prediction, torch.from_numpy(inputs["y"][:, 0]))
    loss.backward()
    np.testing.assert_allclose(prediction.detach(), expected["train_prediction"][:, 0], rtol=1e-3)
    np.testing.assert_allclose(loss.item(), expected["train_loss"], rtol=1e-3)
    norm = model.encoder.blocks[0].norm
    np.testing.assert_allclose(norm.running_mean, expected["bn_running_mean_after_step_conv_tower0"], rtol=1e-3)
    np.testing.assert_allclose(norm.running_var, expected["bn_running_var_after_step_conv_tower0"], rtol=1e-3)
    ours = {slot.theirs: slot.ours for slot in published_slots(model.config)}
    norms = dict(zip(expected["train_grad_norm_names"].tolist(), expected["train_grad_norms"].tolist(), strict=True))
    parameters = dict(model.named_parameters())
    assert {ours[name] for name in norms} == set(parameters)
    for name, value in norms.items():
        if not name.endswith("bias"):  # some biases cancel in batch normalisation and attention; rounding is left
            assert parameters[ours[name]].grad.norm().item() == pytest.approx(value, rel=1e-3), name


def test_gradients_agree_where_statistics_are_frozen() -> None:
    """Then the two are the same function, for all parameters."""
    torch.manual_seed(0)
    model = EPInformer(published_config("PE-Activity-HiC"))
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm1d):
            nn.init.uniform_(norm.running_mean, -0.3, 0.3)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    rng = np.random.default_rng(0)
    dense = np.zeros((2, 3, 2000, 4), dtype=np.float32)
    pair = np.zeros((2, 3, 3), dtype=np.float32)
    for gene, row, length in ((0, 0, 2000), (0, 1, 612), (0, 2, 90), (1, 0, 2000)):
        dense[gene, row] = one_hot(rng.integers(0, 5, length, dtype=np.uint8))
        pair[gene, row] = rng.normal(size=3) if row else 0
    features = rng.normal(size=(2, 9)).astype(np.float32)
    batch, target = Batch.from_dense(dense, pair, features), torch.tensor([2.0, -1.0])
    gradients = []
    for padded in (False, True):
        model.zero_grad()
        # The package goes by each layer's mode, as in training with frozen statistics; the reference by the model's.
        model.train(not padded)
        for norm in model.modules():
            if isinstance(norm, nn.BatchNorm1d):
                norm.eval()
        if padded:
            prediction = padded_forward(model, *(torch.from_numpy(x) for x in (dense, pair, features))).prediction
        else:
            prediction = model(batch).prediction
        functional.smooth_l1_loss(prediction, target).backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    fast, reference = gradients
    largest = max(float(value.abs().max()) for value in reference.values())
    for name, value in reference.items():
        # In norm: where two neighbours in pooling are equal but for rounding, which of them has the gradient depends on
        # the processor's instructions.
        allowed = 5e-3 * value.norm() + 1e-6 * largest * value.numel() ** 0.5
        assert (fast[name] - value).norm() <= allowed, name
        assert value.abs().max() > 0, name
