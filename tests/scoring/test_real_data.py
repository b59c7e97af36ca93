"""The main job on real input: the chr22 locus, against what the authors' code predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.inference import fast_batch, padded_inputs
from benchmarks.padded import padded_forward
from epinformer.config import load_config
from epinformer.dataset.store import Dataset, open_dataset
from epinformer.model.checkpoint import import_checkpoint, load_model
from epinformer.model.epinformer import EPInformer
from epinformer.prepare.build import prepare
from epinformer.scoring.links import links
from epinformer.scoring.predict import predict

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def chr22(tmp_path_factory: pytest.TempPathFactory, project: Path, shared_data: Path) -> Dataset:
    folder = tmp_path_factory.mktemp("chr22") / "k562_chr22.dataset"
    prepare(load_config(project / "examples" / "k562_chr22" / "config.yaml", root=shared_data), folder)
    return open_dataset(folder)


@pytest.mark.parametrize(
    ("weights", "with_rna", "with_published"),
    [("PE_Activity_HiC_RNA", 0.666, 0.976), ("PE_Activity_CAGE", 0.535, 0.886)],
)
def test_predictions_are_the_authors_own(
    weights: str, with_rna: float, with_published: float, chr22: Dataset, shared_data: Path, tmp_path: Path
) -> None:
    checkpoint = shared_data / "published" / f"fold_11_EPInformer_{weights}_K562_checkpoint.pt"
    import_checkpoint(checkpoint, tmp_path / "model")
    table = predict([load_model(tmp_path / "model")], chr22, observed="expression_rna").table.set_index("gene_id")
    authors = pd.read_csv(shared_data / "k562_chr22" / "authors_code_predictions.csv").set_index("gene")
    assert len(table) == 60 and set(table.index) == set(authors.index)
    authors = authors.loc[table.index]
    np.testing.assert_allclose(table.predicted, authors[weights], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table.observed, authors.rna, rtol=1e-6)
    assert np.corrcoef(table.predicted, table.observed)[0, 1] == pytest.approx(with_rna, abs=0.005)
    assert np.corrcoef(table.predicted, authors.authors_rna_pred)[0, 1] == pytest.approx(with_published, abs=0.003)


def test_fast_and_padded_agree_on_real_dna(chr22: Dataset, shared_data: Path) -> None:
    """Three genes; `benchmarks/inference.py` compares all sixty."""
    model = EPInformer.from_published(
        shared_data / "published" / "fold_11_EPInformer_PE_Activity_HiC_RNA_K562_checkpoint.pt"
    )
    batch = fast_batch(model, chr22, np.array([0, 17, 43]))
    with torch.inference_mode():
        fast, padded = model(batch), padded_forward(model, *padded_inputs(batch, range(3)))
    torch.testing.assert_close(fast.prediction, padded.prediction, rtol=0, atol=1e-5)
    rows = fast.attention.shape[-1]
    torch.testing.assert_close(fast.attention.mean(2), padded.attention[:, :, 0, :rows], rtol=1e-4, atol=1e-5)


def test_links_and_knock_outs_are_the_padded_reference_s(chr22: Dataset, shared_data: Path, tmp_path: Path) -> None:
    """Two genes, every element's attention; knock-outs of the outer elements of one, a middle one of the other."""
    checkpoint = shared_data / "published" / "fold_11_EPInformer_PE_Activity_HiC_RNA_K562_checkpoint.pt"
    import_checkpoint(checkpoint, tmp_path / "model")
    model = load_model(tmp_path / "model")
    chosen = [7, 31]
    table = links([model], chr22, genes=chr22.genes["gene_id"].iloc[chosen].tolist())
    one_hot, pair, gene = padded_inputs(fast_batch(model.model, chr22, np.array(chosen)), range(2))
    with torch.inference_mode():
        whole = padded_forward(model.model, one_hot, pair, gene)
        for number, index in enumerate(chosen):
            rows = table[table.gene_id == chr22.genes["gene_id"][index]]
            attention = whole.attention.mean(0)[number, 0, 1 : len(rows) + 1]
            np.testing.assert_allclose(rows.attention_raw, attention, rtol=1e-4, atol=1e-5)
            for element in ((0, len(rows) - 1), (len(rows) // 2,))[number]:
                without = one_hot[number : number + 1].clone()
                without[0, 1 + element] = 0
                after = padded_forward(model.model, without, pair[number : number + 1], gene[number : number + 1])
                effect = float(whole.prediction[number] - after.prediction)
                assert rows.knockout.iloc[element] == pytest.approx(effect, abs=1e-5)
