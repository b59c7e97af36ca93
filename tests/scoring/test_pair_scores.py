from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from epinformer.dataset.batch import Batch
from epinformer.dataset.store import Dataset
from epinformer.errors import ModelError
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.epinformer import Embeddings
from epinformer.scoring import changes, network
from epinformer.scoring.network import needed_sequences
from epinformer.scoring.pair_scores import PairScores, score_pairs
from epinformer.scoring.predict import predict


def scores(model: LoadedModel, dataset: Dataset, genes: list[int], **options) -> PairScores:
    numbers = np.array(genes)
    sequences = needed_sequences(dataset, numbers, model.info.config)
    cpu = torch.device("cpu")
    return score_pairs(model, dataset, numbers, sequences, cpu, torch.float32, options.get("progress"))


def scaled(model: LoadedModel, dataset: Dataset, gene: int, element: int, factor: float) -> float:
    """The prediction in double precision with one element's embedding and signals scaled, signals from their mean."""
    config, net = model.info.config, model.model.double()
    batch = Batch.from_dataset(
        dataset,
        np.array([gene]),
        pair_features=config.pair_features,
        gene_features=config.gene_features,
        sequences=None if net.encoder is not None else np.arange(dataset.n_genes + dataset.n_elements),
    )
    features = batch.pair_features.double()
    mean = torch.zeros(features.shape[1]) if net.pair_standardiser is None else net.pair_standardiser.mean
    for column, feature in enumerate(config.pair_features):
        if feature.column in ("activity", "dnase_rpm"):
            features[element, column] = mean[column] + factor * (features[element, column] - mean[column])
    batch = dataclasses.replace(batch, pair_features=features, gene_features=batch.gene_features.double())
    embeddings = None
    try:
        with torch.inference_mode():
            if net.encoder is not None:
                net.float()
                found = net.embed(batch.codes, batch.lengths)
                net.double()
                rows = found.sequences.double()[batch.row_sequence]
                rows[element] *= factor
                embeddings = Embeddings(rows, found.empty.double())
                batch = dataclasses.replace(batch, row_sequence=torch.arange(len(rows)))
            return float(net(batch, embeddings).prediction)
    finally:
        net.float()


@pytest.mark.parametrize("kind", ["signals", "bases"])
def test_scores(kind: str, signals_model, reader, plain: Dataset, synthetic: Dataset) -> None:
    model, dataset, gene = (signals_model(), plain, 4) if kind == "signals" else (reader(), synthetic, 6)
    if kind == "signals":
        dataset = dataclasses.replace(dataset, genes=dataset.genes.assign(chrom="chr22"))
    first, last = dataset.pair_offsets[[gene, gene + 1]]
    found = scores(model, dataset, [gene])
    assert last - first >= 2 and all(len(values) == last - first for values in found)
    whole = predict([model], dataset, genes=[f"GENE{gene}"], attention=True)
    assert whole.attention is not None
    expected = whole.attention.filter(like="attention_layer").mean(axis=1)
    np.testing.assert_allclose(found.attention, expected, rtol=1e-5)
    for number, row in enumerate(range(first, last)):
        pairs = dataset.pairs.drop(index=row).reset_index(drop=True)
        removed = predict([model], dataclasses.replace(dataset, pairs=pairs), genes=[f"GENE{gene}"])
        effect = whole.table.predicted[0] - removed.table.predicted[0]
        assert found.knockout[number] == pytest.approx(effect, abs=1e-6)
        # Along the element's own inputs the derivative at 1 is their gradient x input.
        step = 1e-4
        slope = [scaled(model, dataset, gene, 1 + number, 1 + sign * step) for sign in (-1, 1)]
        assert found.gradient_x_input[number] == pytest.approx((slope[1] - slope[0]) / (2 * step), rel=2e-3, abs=1e-6)


def test_chunks_and_choice_do_not_change_scores(signals_model, plain: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    whole = scores(signals_model(), plain, list(range(30)), progress=done.append)
    assert done[-1] == len(plain.pairs)
    monkeypatch.setattr(network, "CHUNK_GENES", 4)
    monkeypatch.setattr(changes, "CHUNK_ROWS", 50)
    np.testing.assert_allclose(np.stack(scores(signals_model(), plain, list(range(30)))), np.stack(whole), atol=1e-6)
    some = scores(signals_model(), plain, [0, 5, 29])
    rows = plain.pairs.index[plain.pairs.gene_index.isin([0, 5, 29])]
    np.testing.assert_allclose(np.stack(some), np.stack(whole)[:, rows], atol=1e-6)
    assert all(len(values) == 0 for values in scores(signals_model(), plain, [0]))
    assert all(len(values) == 0 for values in scores(signals_model(), plain, []))


def test_infinite_predictions_are_refused(signals_model, plain: Dataset) -> None:
    model = signals_model()
    with torch.no_grad():
        model.model.predictor.output.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"not finite \(2 affected; first: ENSG00000000003\)"):
        scores(model, plain, [3, 4])
    assert all(parameter.grad is None for parameter in model.model.parameters())
