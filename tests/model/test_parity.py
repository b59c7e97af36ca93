"""The package against what the authors' code computed with the same weights and inputs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from epinformer.dataset.batch import Batch
from epinformer.model.activity import ActivityModel
from epinformer.model.epinformer import EPInformer
from epinformer.model.published import read_published

pytestmark = pytest.mark.real_data


class Case(NamedTuple):
    weights: str
    outputs: str
    features: int


CASES = [
    Case("promoter_seeded_init_state_dict.pt", "promoter_seeded_init", 0),
    Case("PE_seeded_init_state_dict.pt", "PE_seeded_init", 1),
    Case("fold_1_EPInformer_PE_Activity_CAGE_K562_checkpoint.pt", "PE_Activity_K562_CAGE_fold1", 2),
    Case("fold_1_EPInformer_PE_Activity_HiC_CAGE_K562_checkpoint.pt", "PE_Activity_HiC_K562_CAGE_fold1", 3),
]


class Fixture:
    def __init__(self, folder: Path, case: Case) -> None:
        inputs = np.load(folder / "inputs.npz")
        self.one_hot = inputs["pe_seq"]
        if case.features == 0:
            self.one_hot[:, 1:] = 0  # the outputs are those of promoters alone
        self.pair = inputs[f"extra_feat_{case.features}"] if case.features else None
        self.gene = inputs["rna_feat"].copy()
        if case.features == 1:
            self.gene[:, 8] = 0  # the authors feed PE no promoter activity
        self.model = EPInformer.from_published(folder / case.weights)
        self.outputs = np.load(folder / f"outputs_{case.outputs}.npz")

    def batch(self, genes: slice = slice(None), without: int | None = None) -> Batch:
        one_hot = self.one_hot[genes].copy()
        if without is not None:
            one_hot[:, without] = 0
        pair = None if self.pair is None else self.pair[genes]
        return Batch.from_dense(one_hot, pair, self.gene[genes])


@pytest.fixture(params=CASES, ids=lambda case: case.outputs)
def fixture(request: pytest.FixtureRequest, shared_data: Path) -> Fixture:
    return Fixture(shared_data / "published", request.param)


def close(found: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


def test_forward(fixture: Fixture) -> None:
    with torch.inference_mode():
        output = fixture.model(fixture.batch())
    close(output.prediction, fixture.outputs["prediction"][:, 0])
    close(output.attention, fixture.outputs["attention_per_head"][..., 0, :])
    close(output.attention.mean(2), fixture.outputs["attention_mean_heads"][:, :, 0])
    close(output.promoter, fixture.outputs["promoter_embed"])
    close(output.embedding, fixture.outputs["seq_embed"])


def test_layers(fixture: Fixture) -> None:
    """Elements' own attention shows in the rows after each layer but the last, where only promoters count."""
    batch, model = fixture.batch(), fixture.model
    if not model.config.elements:
        batch = batch.promoters()
    slots = batch.slots()
    present = slots >= 0
    with torch.inference_mode():
        rows = model.embed(batch.codes, batch.lengths).sequences[batch.row_sequence]
        if model.config.elements:
            rows = model.fusion(rows, batch.pair_features)
            close(rows, fixture.outputs["fused_embed"][present])
        for index, layer in enumerate(model.interaction.layers):
            rows, _ = layer(rows, batch.row_gene, slots[:, 0], slots)
            close(rows, fixture.outputs[f"layer{index}_out"][present])


def test_knock_out(fixture: Fixture) -> None:
    with torch.inference_mode():
        found = [fixture.model(fixture.batch(slice(2, 3), without=j)).prediction for j in range(1, 6)]
    close(torch.cat(found), fixture.outputs["knockout_gene2_enh1to5"])


def test_encoder(fixture: Fixture) -> None:
    batch = fixture.batch()
    expected = fixture.outputs["seq_encoder_out_sample"]
    with torch.inference_mode():
        towers = torch.cat([run.tower for run in fixture.model.encoder(batch.codes, batch.lengths)])
    slots = batch.slots()
    for gene in range(len(batch)):
        for row in range(expected.shape[2]):
            known = int(slots[gene, row])
            sequence = -1 if known < 0 else int(batch.row_sequence[known])  # the last tower is of no sequence
            torch.testing.assert_close(
                towers[sequence].T, torch.from_numpy(expected[gene, :, row]), rtol=1e-4, atol=1e-4
            )


def test_activity_model(shared_data: Path) -> None:
    folder = shared_data / "published"
    published = read_published(next(folder.glob("*seq2activityLog2*.pt")))
    model = ActivityModel(published.config)
    model.load_state_dict(published.state)
    model.eval()
    data = np.load(folder / "enhancer_predictor_256bp.npz")
    batch = Batch.from_dense(data["seq"][None], None, np.zeros((1, 0)))
    # Rows 0 and 1 hold runs of zeros; `Batch` keeps where they stand.
    with torch.inference_mode():
        towers = torch.cat([run.tower for run in model.encoder(batch.codes, batch.lengths)])
        predicted = model(batch.codes, batch.lengths)
    close(predicted[batch.row_sequence], data["prediction_log2_K562_fold1"])
    expected = data["encoder_out_log2_K562_fold1"][:, :, 0]
    torch.testing.assert_close(
        towers[batch.row_sequence].transpose(1, 2), torch.from_numpy(expected), rtol=1e-4, atol=1e-4
    )
