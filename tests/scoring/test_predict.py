from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.padded import one_hot, padded_forward
from benchmarks.synthetic import synthetic_dataset
from epinformer.dataset.limits import PairLimits
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, EpinformerError, InputError, LeakageError, ModelError
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import LoadedModel, ModelInfo, fold_info
from epinformer.model.config import Variant, activity_config, published_config
from epinformer.model.epinformer import EPInformer
from epinformer.scoring import network
from epinformer.scoring.predict import predict


def loaded(
    variant: Variant = "PE-Activity-HiC",
    seed: int = 0,
    target: str = "expression_rna",
    fold: int = 11,
    assembly: str | None = "hg38",
) -> LoadedModel:
    torch.manual_seed(seed)
    config = published_config(variant, target)
    info = ModelInfo(config=config, assembly=assembly, fold=fold_info(fold))
    return LoadedModel(EPInformer(config).eval(), info, Path("some.model"))


def padded(model: EPInformer, dataset: Dataset, gene: int) -> tuple[float, np.ndarray]:
    """Prediction and (layers, elements) attention of one gene the published way."""
    assert dataset.codes is not None
    offsets = dataset.sequence_offsets
    pairs = dataset.pairs[dataset.pairs.gene_index == gene]
    dense = np.zeros((1, 61, 2000, 4), dtype=np.float32)
    features = np.zeros((1, 61, 3), dtype=np.float32)
    for row, sequence in enumerate([gene, *(dataset.n_genes + pairs.element_index)]):
        dense[0, row] = one_hot(dataset.codes[offsets[sequence] : offsets[sequence + 1]])
    for row, pair in enumerate(pairs.itertuples(), start=1):
        activity = dataset.elements.activity[pair.element_index]
        features[0, row] = [abs(pair.distance) / 1000, np.log10(1 + pair.contact), activity]
    columns = [feature.column for feature in model.config.gene_features]
    values = dataset.genes.loc[[gene], columns].to_numpy(np.float32)
    with torch.inference_mode():
        inputs = (torch.tensor(x) for x in (dense, features, values))
        output = padded_forward(model, *inputs)
    return output.prediction.item(), output.attention[:, 0, 0, 1 : len(pairs) + 1].numpy()


def test_equals_padded_gene_by_gene(synthetic: Dataset) -> None:
    model = loaded()
    done: list[tuple[int, int]] = []
    result = predict([model], synthetic, attention=True, progress=lambda *step: done.append(step))
    assert result.table.columns.tolist() == [
        *("gene_id", "chrom", "tss", "strand", "fold", "observed", "predicted", "gene_name", "elements", "held_out")
    ]
    assert result.attention is not None and len(result.attention) == len(synthetic.pairs)
    for gene in (0, 1, 7):
        expected, attention = padded(model.model, synthetic, gene)
        assert result.table.predicted[gene] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        rows = result.attention[result.attention.gene_id == synthetic.genes.gene_id[gene]]
        np.testing.assert_allclose(rows.filter(like="attention_layer").T, attention, rtol=1e-4, atol=1e-5)
    assert result.table.gene_id.tolist() == synthetic.genes.gene_id.tolist()
    assert result.table.fold.tolist() == ["11"] * 12
    np.testing.assert_array_equal(result.table.observed, synthetic.genes.expression_rna)
    assert result.table.elements.tolist()[:2] == [0, 20]
    assert done[-1][0] == done[-1][1] and done == sorted(done)


def test_chunks_do_not_change_the_result(synthetic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded()
    whole = predict([model], synthetic, attention=True)
    monkeypatch.setattr(network, "CHUNK_BASES", 3_000)
    monkeypatch.setattr(network, "CHUNK_GENES", 5)
    parts = predict([model], synthetic, attention=True)
    # A prediction near 0 has the rounding of the numbers that it is the sum of.
    pd.testing.assert_frame_equal(parts.table, whole.table, rtol=1e-5, atol=1e-6)
    pd.testing.assert_frame_equal(parts.attention, whole.attention, rtol=1e-4)


def test_genes_by_id_and_name_in_dataset_order(synthetic: Dataset) -> None:
    model = loaded()
    everything = predict([model], synthetic).table
    some = predict([model], synthetic, genes=["GENE7", "ENSG00000000001", "GENE1"], attention=True)
    assert some.table.gene_name.tolist() == ["GENE1", "GENE7"]
    np.testing.assert_allclose(some.table.predicted, everything.predicted[[1, 7]], rtol=1e-5)
    assert some.attention is not None and set(some.attention.gene_id) <= {"ENSG00000000001", "ENSG00000000007"}
    with pytest.raises(InputError, match=r"small.dataset: .*\(2 affected; first: NOSUCH\)"):
        predict([model], synthetic, genes=["GENE1", "NOSUCH", "NEITHER"])


def test_several_models_give_mean_and_spread(synthetic: Dataset) -> None:
    models = [loaded(seed=1), loaded(seed=2)]
    table = predict(models, synthetic).table
    single = np.array([predict([model], synthetic).table.predicted for model in models])
    np.testing.assert_allclose(table.predicted, single.mean(0), rtol=1e-6)
    np.testing.assert_allclose(table.predicted_sd, single.std(0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(table[["predicted_1", "predicted_2"]].T, single, rtol=1e-6)
    with pytest.raises(ModelError, match=r"different targets \(expression_cage, expression_rna\)"):
        predict([models[0], loaded(target="expression_cage")], synthetic)
    with pytest.raises(ModelError, match="no model"):
        predict([], synthetic)


def test_mode_is_restored(synthetic: Dataset) -> None:
    model = loaded()
    model.model.train()
    predict([model], synthetic, genes=["GENE0"])
    assert model.model.training


def test_promoter_variant(synthetic: Dataset) -> None:
    model = loaded("promoter")
    table = predict([model], synthetic).table
    assert table.predicted.notna().all()
    with pytest.raises(ModelError, match="promoters alone"):
        predict([model], synthetic, attention=True)


def test_refuses_a_dataset_that_does_not_fit(synthetic: Dataset) -> None:
    with pytest.raises(DatasetError, match="is of assembly hg38, but the model was trained on mm10"):
        predict([loaded(assembly="mm10")], synthetic)
    without = dataclasses.replace(synthetic, pairs=synthetic.pairs.drop(columns="contact"))
    with pytest.raises(DatasetError, match=r"PE-Activity-HiC\) needs: 'contact'"):
        predict([loaded()], without)
    without = dataclasses.replace(without, elements=without.elements.drop(columns="activity"))
    with pytest.raises(DatasetError, match="needs: 'contact', 'activity'"):
        predict([loaded()], without)
    with pytest.raises(DatasetError, match="has no sequence"):
        predict([loaded()], dataclasses.replace(synthetic, codes=None))
    genes = synthetic.genes.assign(promoter_activity=np.nan)
    with pytest.raises(DatasetError, match=r"'promoter_activity'.*12 affected; first: ENSG00000000000"):
        predict([loaded()], dataclasses.replace(synthetic, genes=genes))
    assert predict([loaded("PE")], dataclasses.replace(synthetic, genes=genes)).table.predicted.notna().all()


def test_missing_values_are_counted_over_all_genes(synthetic: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "CHUNK_GENES", 3)
    genes = synthetic.genes.copy()
    genes.loc[[2, 5, 11], "UTR5LEN"] = np.nan
    with pytest.raises(DatasetError, match=r"'UTR5LEN'.*3 affected; first: ENSG00000000002"):
        predict([loaded()], dataclasses.replace(synthetic, genes=genes))
    pairs = synthetic.pairs.copy()
    pairs.loc[pairs.index[[0, 40]], "contact"] = np.nan
    with pytest.raises(DatasetError, match=r"'contact'.*2 affected; first: ENSG00000000001 and chr22:"):
        predict([loaded()], dataclasses.replace(synthetic, pairs=pairs))


def test_names_of_one_assembly_are_the_same(synthetic: Dataset) -> None:
    assert len(predict([loaded(assembly="GRCh38")], synthetic, genes=["GENE1"]).table) == 1


def test_other_windows_are_refused(synthetic: Dataset) -> None:
    model = loaded()
    config = model.info.config.model_copy(update={"sequence_length": 1984})
    with pytest.raises(ModelError, match="windows of 1,984 bp"):
        predict([model._replace(info=model.info.model_copy(update={"config": config}))], synthetic)


def test_refuses_an_activity_model(synthetic: Dataset) -> None:
    config = activity_config()
    model = LoadedModel(ActivityModel(config), ModelInfo(config=config), Path("encoder.model"))
    with pytest.raises(ModelError, match=r"encoder\.model: is an enhancer-activity model"):
        predict([model], synthetic)


def test_refuses_infinite_predictions(synthetic: Dataset) -> None:
    model = loaded()
    with torch.no_grad():
        model.model.predictor.output.bias.fill_(float("inf"))
    with pytest.raises(ModelError, match=r"not finite \(12 affected; first: ENSG00000000000\)"):
        predict([model], synthetic)


def test_observed_column(synthetic: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    cage = loaded(target="expression_cage")
    with caplog.at_level(logging.WARNING):
        table = predict([cage], synthetic, genes=["GENE1"]).table
    assert table.observed.isna().all()
    assert "no expression_cage to compare with" in caplog.text and "expression_rna" in caplog.text
    table = predict([cage], synthetic, genes=["GENE1"], observed="expression_rna").table
    assert table.observed.tolist() == [synthetic.genes.expression_rna[1]]
    with pytest.raises(DatasetError, match=r"no column 'x' among its genes. It has: expression_rna"):
        predict([cage], synthetic, observed="x")


def of_two_chromosomes(dataset: Dataset) -> Dataset:
    """The first six genes on chr2, which fold 1 tests, the others on chr22, which fold 11 tests."""
    return dataclasses.replace(dataset, genes=dataset.genes.assign(chrom=["chr2"] * 6 + ["22"] * 6))


def test_genes_that_were_learned_from_are_refused(synthetic: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    dataset = of_two_chromosomes(synthetic)
    message = r"held out .* \(tested: 22, X\) \(6 affected; first: ENSG00000000000 on chr2\)"
    with pytest.raises(LeakageError, match=message):
        predict([loaded(fold=11)], dataset)
    with caplog.at_level(logging.WARNING):
        table = predict([loaded(fold=11)], dataset, allow_leakage=True).table
    assert "6 of 12 genes lie on chromosomes that the models have learned from" in caplog.text
    assert table.held_out.tolist() == [False] * 6 + [True] * 6
    assert table.fold.tolist() == ["1"] * 6 + ["11"] * 6
    assert predict([loaded(fold=11)], dataset, genes=["GENE6", "GENE7"]).table.held_out.all()


def test_each_gene_is_predicted_by_the_models_that_held_it_out(synthetic: Dataset) -> None:
    dataset = of_two_chromosomes(synthetic)
    models = [loaded(seed=1, fold=1), loaded(seed=2, fold=11), loaded(seed=3, fold=11)]
    result = predict(models, dataset, attention=True)
    alone = [predict([model], dataset, allow_leakage=True, attention=True) for model in models]
    table = result.table
    np.testing.assert_allclose(table.predicted[:6], alone[0].table.predicted[:6], rtol=1e-5, atol=1e-6)
    both = np.stack([alone[1].table.predicted[6:], alone[2].table.predicted[6:]])
    np.testing.assert_allclose(table.predicted[6:], both.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(table.predicted_sd[6:], both.std(0, ddof=1), rtol=1e-4)
    assert table.predicted_sd[:6].isna().all() and table.predicted_1[6:].isna().all()
    assert table.predicted_2[:6].isna().all() and table.held_out.all()
    assert table.fold.tolist() == ["1"] * 6 + ["11"] * 6
    assert result.attention is not None and alone[0].attention is not None and alone[1].attention is not None
    first = result.attention.gene_id.isin(table.gene_id[:6])
    column = "attention_layer2"
    np.testing.assert_allclose(result.attention[column][first], alone[0].attention[column][first], rtol=1e-4)
    assert not np.allclose(result.attention[column][~first], alone[1].attention[column][~first], rtol=1e-3)
    everything = predict(models, dataset, allow_leakage=True).table
    assert everything.held_out.all() and everything.predicted_2[:6].isna().all()
    some = predict(models[1:], dataset, allow_leakage=True).table
    np.testing.assert_allclose(some.predicted[6:], table.predicted[6:], rtol=1e-5, atol=1e-6)
    assert some.held_out.tolist() == [False] * 6 + [True] * 6 and some.predicted_2.notna().all()


def test_a_model_that_does_not_say_what_it_saw_predicts_all(
    synthetic: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    dataset, model = of_two_chromosomes(synthetic), loaded()
    unknown = model._replace(info=model.info.model_copy(update={"fold": None}))
    with caplog.at_level(logging.WARNING):
        table = predict([unknown], dataset).table
    assert table.predicted.notna().all() and table.held_out.isna().all()
    assert "does not say which chromosomes it was trained on" in caplog.text


def test_only_pairs_within_the_models_limits_are_seen(synthetic: Dataset) -> None:
    """The published models were trained on elements beyond 1 kb: nearer ones must not change their predictions."""
    model = loaded()
    near = synthetic.pairs.drop_duplicates("gene_index").assign(distance=np.int32(-500))
    pairs = pd.concat([near, synthetic.pairs]).sort_values("gene_index", kind="stable", ignore_index=True)
    more = dataclasses.replace(synthetic, pairs=pairs)
    result = predict([model], more, attention=True)
    expected = predict([model], synthetic, attention=True)
    pd.testing.assert_frame_equal(result.table, expected.table, rtol=1e-5, atol=1e-6)
    assert result.attention is not None and len(result.attention) == len(synthetic.pairs)
    other = model.info.config.model_copy(update={"limits": PairLimits(None, 50_000, None)})
    with pytest.raises(ModelError, match="different pairs of a gene"):
        predict([model, model._replace(info=model.info.model_copy(update={"config": other}))], synthetic)


def test_signals_alone(synthetic: Dataset) -> None:
    config = published_config("PE-Activity", "expression_rna").model_copy(update={"sequence": "none"})
    torch.manual_seed(3)
    model = LoadedModel(EPInformer(config).eval(), ModelInfo(config=config, fold=fold_info(11)), Path("s.model"))
    without = dataclasses.replace(synthetic, codes=None)
    done: list[tuple[int, int]] = []
    result = predict([model], without, attention=True, progress=lambda *step: done.append(step))
    assert result.attention is not None and len(result.attention) == len(synthetic.pairs)
    pd.testing.assert_frame_equal(predict([model], synthetic).table, result.table)
    some = predict([model], without, genes=["GENE1", "GENE7"]).table
    np.testing.assert_allclose(some.predicted, result.table.predicted[[1, 7]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("instructions", [True, False])
def test_bf16_where_the_processor_knows_it(
    instructions: bool, synthetic: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: instructions)
    model = loaded()
    full = predict([model], synthetic, genes=["GENE1"]).table.predicted[0]
    with caplog.at_level(logging.WARNING):
        half = predict([model], synthetic, genes=["GENE1"], precision="bf16").table.predicted[0]
    assert half == pytest.approx(full, abs=0.02)
    assert (half == full) is not instructions
    assert ("no bfloat16 instructions" in caplog.text) is not instructions


def test_devices(synthetic: Dataset) -> None:
    model = loaded()
    for device in ("abacus", "meta", "mps", "cuda:x"):
        with pytest.raises(EpinformerError, match=f"no device '{device}'"):
            predict([model], synthetic, device=device)
    with pytest.raises(EpinformerError, match="'cuda:99' is not there"):
        predict([model], synthetic, device="cuda:99")
    rounding = torch.backends.cudnn.allow_tf32
    predict([model], synthetic, genes=["GENE1"], device="cpu")
    assert torch.backends.cudnn.allow_tf32 is rounding


def test_no_pairs_at_all(tmp_path: Path) -> None:
    dataset = synthetic_dataset(tmp_path / "d", genes=1, elements=1, most=0)
    result = predict([loaded()], dataset, attention=True)
    assert len(result.table) == 1 and result.attention is not None and result.attention.empty
