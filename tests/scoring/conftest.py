"""Models and datasets that several tests of scores share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.synthetic import synthetic_dataset
from epinformer.dataset.features import Feature
from epinformer.dataset.limits import PairLimits
from epinformer.dataset.store import Dataset
from epinformer.model.checkpoint import LoadedModel, ModelInfo, fold_info
from epinformer.model.config import ModelConfig, published_config
from epinformer.model.epinformer import EPInformer
from epinformer.prepare.pairs import make_pairs

Maker = Callable[..., LoadedModel]

_ALL = PairLimits()


def _loaded(config: ModelConfig, seed: int, fold: int) -> LoadedModel:
    torch.manual_seed(seed)
    model = EPInformer(config).eval()
    if config.standardise:
        assert model.pair_standardiser is not None and model.gene_standardiser is not None
        model.pair_standardiser.fit(torch.rand(20, len(config.pair_features)))
        model.gene_standardiser.fit(torch.rand(20, len(config.gene_features)))
    return LoadedModel(model, ModelInfo(config=config, assembly="hg38", fold=fold_info(fold)), Path(f"{seed}.model"))


@pytest.fixture(scope="session")
def reader() -> Maker:
    """Makes published models that read bases."""

    def make(variant: str = "PE-Activity-HiC", seed: int = 0, fold: int = 11) -> LoadedModel:
        return _loaded(published_config(variant, "expression_rna"), seed, fold)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def signals_model() -> Maker:
    """Makes small models of signals alone, with standardised features and input to the promoter's row."""

    def make(seed: int = 0, fold: int = 11, limits: PairLimits = _ALL) -> LoadedModel:
        config = ModelConfig(
            preset="small",
            sequence="none",
            pair_features=(
                Feature("dnase_rpm", "log10_0.1p"),
                Feature("activity"),
                Feature("distance", "log10_bp"),
                Feature("contact", "log10_1p"),
            ),
            gene_features=(Feature("promoter_activity", "log10_0.1p"), Feature("UTR5LEN")),
            target="expression_rna",
            limits=limits,
            standardise=True,
            promoter_input=True,
            width=32,
            layers=2,
            feedforward=32,
            hidden=16,
        )
        return _loaded(config, seed, fold)

    return make


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """30 genes on chr2 and chr22 (the first without elements) with 60 elements, an ABC score, and no sequence."""
    folder = tmp_path_factory.mktemp("plain") / "plain.dataset"
    dataset = synthetic_dataset(folder, genes=30, elements=60, sequence=False, chroms=("chr2", "chr22"))
    random = np.random.default_rng(5)
    made = make_pairs(dataset.genes, dataset.elements, min_distance=None, max_distance=25_000, max_elements=None).table
    pairs = made[made["gene_index"] > 0].reset_index(drop=True)
    values = random.random((2, len(pairs)))
    pairs = pairs.assign(contact=values[0], abc_score=values[1])
    elements = dataset.elements.assign(length=(dataset.elements["end"] - dataset.elements["start"]).astype(np.int32))
    return dataclasses.replace(dataset, pairs=pairs, elements=elements)
