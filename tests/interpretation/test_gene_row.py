from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from epinformer.dataset.features import Feature
from epinformer.dataset.limits import limited
from epinformer.interpretation.gene_row import GeneRow
from epinformer.model.checkpoint import LoadedModel, ModelInfo, fold_info
from epinformer.model.config import ModelConfig
from epinformer.model.epinformer import Embeddings, EPInformer
from epinformer.scoring.network import gene_batch, needed_sequences
from epinformer.scoring.predict import predict
from epinformer.scoring.variant_alleles import sequence_bases
from tests.variant_world import World, expression_model, make_world


def own_model() -> LoadedModel:
    """A model whose promoters' rows read the gene's features, and whose features are standardised."""
    torch.manual_seed(1)
    config = ModelConfig(
        preset="small",
        pair_features=(Feature("activity"), Feature("distance", "log10_bp")),
        gene_features=(Feature("promoter_activity", "log10_0.1p"),),
        target="expression_rna",
        standardise=True,
        promoter_input=True,
        width=64,
        layers=2,
    )
    network = EPInformer(config).eval()
    for part in network.modules():
        if isinstance(part, (nn.Conv1d, nn.Linear)):
            part.weight.data *= 1.7
    assert network.pair_standardiser is not None and network.gene_standardiser is not None
    network.pair_standardiser.fit(torch.rand(20, 2))
    network.gene_standardiser.fit(torch.rand(20, 1))
    return LoadedModel(network, ModelInfo(config=config, assembly="hg38", fold=fold_info(11)), None)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize(
    ("variant", "nth"), [("PE-Activity", -1), ("PE-Activity", 2), ("own", -1), ("own", 0), ("promoter", -1)]
)
def test_equals_the_prediction_of_a_dataset_with_that_sequence(world: World, variant: str, nth: int) -> None:
    model = own_model() if variant == "own" else expression_model(variant)
    network = model.model
    assert isinstance(network, EPInformer)
    dataset = limited(world.dataset, model.info.config.limits)
    gene = 4
    pair = -1 if nth < 0 else int(dataset.pair_offsets[gene]) + nth
    element = -1 if nth < 0 else int(dataset.pairs["element_index"].iloc[pair])
    number = gene if nth < 0 else dataset.n_genes + element
    codes = sequence_bases(dataset, number).copy()
    codes[len(codes) // 2 :] = codes[len(codes) // 2 :][::-1]
    assert dataset.codes is not None
    every = dataset.codes.copy()
    offset = int(dataset.sequence_offsets[number])
    every[offset : offset + len(codes)] = codes
    wanted = [
        float(predict([model], changed, genes=[f"ENSG{gene:011d}"]).table["predicted"].iloc[0])
        for changed in (dataset, dataclasses.replace(dataset, codes=every))
    ]
    both = np.concatenate([sequence_bases(dataset, number), codes])
    with torch.inference_mode():
        embedded = network.embed(torch.from_numpy(both), torch.tensor([len(codes)] * 2)).sequences
    row = GeneRow(network, dataset, gene, pair)
    assert row.predict(embedded) == pytest.approx(wanted, rel=2e-6, abs=1e-6)
    assert abs(wanted[0] - wanted[1]) > 4e-6  # the sequence matters


def test_gradients_reach_the_embedding(world: World) -> None:
    model = expression_model("PE-Activity")
    assert isinstance(model.model, EPInformer)
    dataset = limited(world.dataset, model.info.config.limits)
    row = GeneRow(model.model, dataset, 4, int(dataset.pair_offsets[4]))
    assert list(row.parameters()) == [] and list(row.modules()) == [row]
    # The same by the whole network, with respect to the same one of its embeddings.
    sequences = needed_sequences(dataset, np.array([4]), model.model.config)
    batch = gene_batch(model.model, dataset, np.array([4]), sequences)
    torch.manual_seed(0)
    embedded = torch.randn(len(sequences), 64, requires_grad=True)
    (every,) = torch.autograd.grad(model.model(batch, Embeddings(embedded, torch.zeros(64))).prediction.sum(), embedded)
    own = int(batch.row_sequence[1])
    row._embeddings = Embeddings(embedded.detach(), torch.zeros(64))
    row._rows = model.model.rows(batch, row._embeddings).detach()
    start = embedded[own : own + 1].detach().requires_grad_()
    (gradient,) = torch.autograd.grad(row(start).sum(), start)
    assert gradient[0].numpy() == pytest.approx(every[own].numpy(), rel=1e-4, abs=1e-6)
    assert gradient.abs().max() > 1e-4


def test_many_embeddings_pass_in_parts(world: World) -> None:
    model = expression_model("PE-Activity")
    assert isinstance(model.model, EPInformer)
    dataset = limited(world.dataset, model.info.config.limits)
    row = GeneRow(model.model, dataset, 4, -1)
    torch.manual_seed(0)
    embedded = torch.randn(5_000, 64)
    found = row.predict(embedded)
    assert found[[0, 4_999]] == pytest.approx(row.predict(embedded[[0, 4_999]]), abs=1e-6)
