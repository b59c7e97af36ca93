from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from benchmarks.padded import PaddedOutput, one_hot, padded_activity, padded_forward
from epinformer.dataset.batch import Batch
from epinformer.errors import ModelError
from epinformer.model.activity import ActivityModel
from epinformer.model.config import Variant, activity_config, published_config
from epinformer.model.epinformer import EPInformer

VARIANTS = get_args(Variant)
PARAMETERS = {"promoter": 447_149, "PE": 447_213, "PE-Activity": 447_277, "PE-Activity-HiC": 447_341}


def trained(variant: Variant = "PE-Activity-HiC", seed: int = 0) -> EPInformer:
    torch.manual_seed(seed)
    model = EPInformer(published_config(variant))
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm1d):
            nn.init.uniform_(norm.running_mean, -0.3, 0.3)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return model.eval()


class Dense:
    """Padded inputs of genes with so many elements each."""

    def __init__(self, elements: list[int], features: int, rows: int = 7, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.one_hot = np.zeros((len(elements), rows, 2000, 4), dtype=np.float32)
        self.pair = np.zeros((len(elements), rows, features), dtype=np.float32)
        for gene, count in enumerate(elements):
            for row in range(count + 1):
                length = 2000 if row == 0 else int(rng.integers(1, 900))
                codes = rng.integers(0, 5, length, dtype=np.uint8)
                self.one_hot[gene, row] = one_hot(codes)
                self.pair[gene, row] = rng.normal(size=features) if row else 0
        self.gene = rng.normal(size=(len(elements), 9)).astype(np.float32)

    def batch(self) -> Batch:
        return Batch.from_dense(self.one_hot, self.pair, self.gene)

    def reference(self, model: EPInformer) -> PaddedOutput:
        return padded_forward(model, *(torch.from_numpy(x) for x in (self.one_hot, self.pair, self.gene)))


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameter_counts(variant: Variant) -> None:
    model = EPInformer(published_config(variant))
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[variant]
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    features = len(model.config.pair_features)
    assert parts == {
        "encoder": 210_688,
        "embedding": 52_076,
        "fusion": 8_320 + 64 * features,
        "interaction": 149_952,
        "predictor": 26_113,
    }


def test_parameter_count_of_the_activity_model() -> None:
    assert sum(p.numel() for p in ActivityModel(activity_config()).parameters()) == 802_305


@settings(max_examples=10)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.sampled_from(VARIANTS[1:]), st.integers(0, 9))
def test_ragged_equals_padded(elements: list[int], variant: Variant, seed: int) -> None:
    model = trained(variant, seed)
    dense = Dense(elements, len(model.config.pair_features), seed=seed)
    with torch.inference_mode():
        output, reference = model(dense.batch()), dense.reference(model)
    close(output.prediction, reference.prediction)
    close(output.attention.mean(2), reference.attention[:, :, 0])
    close(output.embedding, reference.embedding)


def test_promoter_variant_looks_at_no_element() -> None:
    model = trained("promoter")
    with_elements, without = Dense([3, 0], 0), Dense([3, 0], 0)
    without.one_hot[:, 1:] = 0
    with torch.inference_mode():
        output = model(with_elements.batch())
        close(output.prediction, without.reference(model).prediction)
    assert (output.attention[..., 0] == 1).all() and (output.attention[..., 1:] == 0).all()
    assert not any(p.requires_grad for p in model.fusion.parameters())


def test_removed_element_leaves_its_slot_empty() -> None:
    model = trained()
    dense = Dense([5], 3)
    dense.one_hot[0, 2] = 0
    with torch.inference_mode():
        output, reference = model(dense.batch()), dense.reference(model)
    close(output.prediction, reference.prediction)
    assert (output.attention[:, 0, :, 2] == 0).all()
    close(output.attention.sum(-1), torch.ones(3, 1, 4))


def test_prediction_does_not_depend_on_the_rest_of_the_batch() -> None:
    model = trained()
    dense = Dense([4, 0, 6], 3)
    with torch.inference_mode():
        together = model(dense.batch()).prediction
        for gene in range(3):
            alone = Batch.from_dense(
                dense.one_hot[gene : gene + 1], dense.pair[gene : gene + 1], dense.gene[gene : gene + 1]
            )
            torch.testing.assert_close(model(alone).prediction[0], together[gene], rtol=1e-5, atol=1e-6)


def test_known_embeddings_serve_instead_of_sequences() -> None:
    model = trained()
    batch = Dense([4, 1], 3).batch()
    with torch.inference_mode():
        embeddings = model.embed(batch.codes, batch.lengths)
        assert torch.equal(model(batch, embeddings).prediction, model(batch).prediction)


def test_every_used_parameter_learns() -> None:
    model = trained().train()
    model(Dense([4, 0, 2], 3).batch()).prediction.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # A convolution's bias before batch normalisation cancels out; everything else must move.
        if not (name.endswith(("conv.bias", "reduce.bias")) or "qkv.bias" in name):
            assert parameter.grad.abs().max() > 0, name


def test_the_empty_sequence_teaches_normalisation_nothing() -> None:
    model = trained().train()
    sequences = [np.random.default_rng(n).integers(0, 4, n, dtype=np.uint8) for n in (400, 900)]
    codes, lengths = torch.from_numpy(np.concatenate(sequences)), torch.tensor([400, 900])
    before = {name: value.clone() for name, value in model.embedding.state_dict().items()}
    embeddings = model.embed(codes, lengths)
    learned = model.embedding.state_dict()["dilated.0.norm.running_mean"].clone()
    assert not embeddings.empty.any()
    model.embedding.load_state_dict(before)
    towers = torch.cat([run.tower for run in model.encoder(codes, lengths)])
    model.embedding(towers[:2])
    torch.testing.assert_close(model.embedding.state_dict()["dilated.0.norm.running_mean"], learned)


def test_activity_model_equals_padded() -> None:
    torch.manual_seed(0)
    model = ActivityModel(activity_config()).eval()
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 5, length, dtype=np.uint8) for length in (256, 256, 180)]
    dense = torch.from_numpy(np.stack([one_hot(sequence, 256) for sequence in sequences]))
    with torch.inference_mode():
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        predicted = model(torch.from_numpy(np.concatenate(sequences)), lengths)
        close(predicted, padded_activity(model, dense))
        assert model(torch.zeros(0, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)).shape == (0,)


@pytest.mark.real_data
def test_an_activity_checkpoint_is_no_expression_model(shared_data: Path) -> None:
    path = next((shared_data / "published").glob("*seq2activity*.pt"))
    with pytest.raises(ModelError, match=r"seq2activity.*enhancer-activity model"):
        EPInformer.from_published(path)
