from __future__ import annotations

import dataclasses
import functools
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from epinformer.baselines.tabular import BASELINES
from epinformer.dataset.store import Dataset
from epinformer.errors import ConfigError, DatasetError, LeakageError, ModelError, OutputError, TrainingError
from epinformer.files import locked
from epinformer.model.checkpoint import load_model, save_model
from epinformer.scoring.predict import predict
from epinformer.training import crossval as crossval_module
from epinformer.training import train as train_module
from epinformer.training.crossval import crossval
from epinformer.training.pretrain import pretrain
from epinformer.training.settings import PretrainConfig, TrainConfig, load_run_config
from epinformer.training.train import train

from .conftest import QUICK


def changed(*changes: str) -> TrainConfig:
    return load_run_config(TrainConfig, "published", None, [*QUICK, *changes])


def test_held_out_predictions_of_every_tested_gene(signals: Dataset, quick: TrainConfig, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    result = crossval(signals, tmp_path / "run", quick, folds=["2", "1"], progress=lambda *step: done.append(step))
    table = result.table
    assert table.columns.tolist() == [
        *("gene_id", "gene_name", "chrom", "fold", "observed", "predicted", "predicted_sd")
    ]
    assert table.groupby("fold")["chrom"].unique().map(list).to_dict() == {
        "1": ["chr2", "chr12"],
        "2": ["chr3", "chr13"],
    }
    genes = signals.genes.set_index("gene_id").loc[table.gene_id]
    np.testing.assert_allclose(table.observed, genes.expression_rna, rtol=1e-7)
    assert list(result.baselines) == list(BASELINES)
    assert all(values.shape == (40,) and np.isfinite(values).all() for values in result.baselines.values())
    assert result.history.groupby(["fold", "seed"]).size().to_dict() == {
        (fold, seed): 3 for fold in ("1", "2") for seed in (1, 2)
    }
    assert result.about["leakage"] == [] and result.about["seeds"] == [1, 2]
    assert done == sorted(done) and done[-1][0] == done[-1][1]
    # The models on disk, asked the ordinary way, say the same.
    models = [load_model(tmp_path / "run" / f"fold_{f}" / f"seed_{s}.model") for f in (1, 2) for s in (1, 2)]
    asked = predict(models, signals, genes=table.gene_id.tolist()).table.set_index("gene_id").loc[table.gene_id]
    np.testing.assert_allclose(asked.predicted, table.predicted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(asked.predicted_sd, table.predicted_sd, rtol=1e-3, atol=1e-5)
    assert asked.fold.tolist() == table.fold.tolist()


def test_what_is_done_is_not_done_again(
    signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = train(signals, tmp_path / "run", quick, folds=["1"])
    assert [path.name for path in paths] == ["seed_1.model", "seed_2.model"]
    monkeypatch.setattr(train_module, "fit", None)
    first = crossval(signals, tmp_path / "run", quick, folds=["1"])
    monkeypatch.setattr(crossval_module, "fit_predict", None)
    again = crossval(signals, tmp_path / "run", quick, folds=["1"])
    pd.testing.assert_frame_equal(again.table, first.table, check_exact=True)
    pd.testing.assert_frame_equal(again.history, first.history, check_exact=True)
    info = load_model(paths[1]).info
    assert info.fold is not None and info.fold.test == ("2", "12")
    assert info.training_data == signals.content_hash() and info.training["seed"] == 2
    assert info.training["train_genes"] == 190 and info.training["validation_genes"] == 20


def test_another_runs_folder_is_refused_with_the_differences(
    signals: Dataset, quick: TrainConfig, tmp_path: Path
) -> None:
    train(signals, tmp_path / "run", quick, folds=["1"])
    other = changed("fit.learning_rate=0.01", "network.variant=PE")
    with pytest.raises(OutputError, match=r"(?s)holds a run with \d+ other settings:.*fit\.learning_rate: 0\.002 "):
        train(signals, tmp_path / "run", other, folds=["1"])
    changed_data = dataclasses.replace(
        signals, manifest=signals.manifest.model_copy(update={"files": {"genes.parquet": "0"}})
    )
    with pytest.raises(OutputError, match=r"data\.content_hash"):
        train(changed_data, tmp_path / "run", quick, folds=["1"])
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mother.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"no training run \(first: mother\.txt\)"):
        train(signals, tmp_path / "letters", quick, folds=["1"])
    with pytest.raises(OutputError, match="its folder does not exist"):
        train(signals, tmp_path / "no" / "run", quick, folds=["1"])
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(OutputError, match=r"run\.json: cannot be read"):
        train(signals, tmp_path / "run", quick, folds=["1"])


def with_genes(dataset: Dataset, **columns: object) -> Dataset:
    return dataclasses.replace(dataset, genes=dataset.genes.assign(**columns))


def test_bad_datasets(signals: Dataset, quick: TrainConfig, tmp_path: Path) -> None:
    def begin(dataset: Dataset, *changes: str, folds: list[str] | None = None) -> None:
        crossval(dataset, tmp_path / "run", changed(*changes), folds=folds)
        raise AssertionError("was not refused")

    chrom = signals.genes.chrom
    with pytest.raises(DatasetError, match=r"in no fold \(10 affected; first: ENSG\d+ on chrM\).*fold=drop"):
        begin(with_genes(signals, chrom=chrom.replace("chr5", "chrM")))
    with pytest.raises(DatasetError, match="no validation genes for fold 1: none lies on chromosome 1 or 11"):
        begin(with_genes(signals, chrom=chrom.replace({"chr1": "chr4", "chr11": "chr4"})))
    with pytest.raises(DatasetError, match="no test genes for fold 1: none lies on chromosome 12 or 2"):
        begin(with_genes(signals, chrom=chrom.replace({"chr2": "chr4", "chr12": "chr4"})), folds=["1"])
    with pytest.raises(DatasetError, match="expression_rna is 2 for all 230 genes"):
        begin(with_genes(signals, expression_rna=2.0))
    with pytest.raises(DatasetError, match="has no value of expression_rna"):
        begin(with_genes(signals, expression_rna=np.nan))
    with pytest.raises(DatasetError, match=r"several expressions \(expression_rna, expression_cage\)"):
        begin(with_genes(signals, expression_cage=1.0))
    with pytest.raises(DatasetError, match="has no expression to learn from"):
        begin(dataclasses.replace(signals, genes=signals.genes.drop(columns="expression_rna")))
    with pytest.raises(DatasetError, match=r"no expression 'expression_x' among its genes\. It has: expression_rna"):
        begin(signals, "target=expression_x")
    with pytest.raises(ConfigError, match=r"there is no fold 13\. There are 1, 2, "):
        begin(signals, folds=["13"])
    with pytest.raises(DatasetError, match="has no sequence, which the network is to read"):
        begin(signals, "network.sequence=bases")
    with pytest.raises(DatasetError, match=r"has no sequence, which an encoder reads"):
        begin(signals, "encoder=somewhere")
    without = dataclasses.replace(signals, pairs=signals.pairs.drop(columns="contact"))
    with pytest.raises(DatasetError, match=r"what the network \(PE-Activity-HiC\) reads .*first: contact"):
        begin(without, "network.variant=PE-Activity-HiC")
    with pytest.raises(DatasetError, match=r"'UTR5LEN'.* has no value for some of these genes \(1 affected"):
        begin(with_genes(signals, UTR5LEN=signals.genes.UTR5LEN.where(signals.genes.index != 7)))
    with pytest.raises(DatasetError, match="no gene with expression_rna on a chromosome of the folds"):
        begin(with_genes(signals, chrom="NC_000001.11"), "genes_in_no_fold=drop")
    with pytest.raises(ConfigError, match="width 30 is no multiple of the 4 heads"):
        begin(signals, "network.width=30")
    with pytest.raises(DatasetError, match="lacks the feature 'ctcf_rpm' among its pairs or elements"):
        begin(signals, "network.variant=null", "network.pair_features=[ctcf_rpm]")
    assert not (tmp_path / "run").exists()


def test_genes_of_no_fold_and_without_expression_can_be_left_out(
    signals: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chrom = signals.genes.chrom.replace("chr5", "chrM")
    expression = signals.genes.expression_rna.where(signals.genes.index % 10 > 0)
    dataset = with_genes(signals, chrom=chrom, expression_rna=expression)
    with caplog.at_level(logging.INFO):
        result = crossval(dataset, tmp_path / "run", changed("genes_in_no_fold=drop", "seeds=[1]"), folds=["1"])
    assert len(result.table) == 18
    info = load_model(tmp_path / "run" / "fold_1" / "seed_1.model").info
    assert info.training["train_genes"] == 9 * 18
    assert "9 genes on chromosomes that are in no fold (ENSG00000000041 on chrM) are left out" in caplog.text
    assert "23 genes without expression_rna are left out" in caplog.text


def test_folds_of_ones_own(signals: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "folds.yaml"
    file.write_text("folds: {odd: {test: [chr1, 3], validation: [chr5]}, 7: {test: ['2'], validation: [chr4]}}\n")
    config = changed(f"folds={file}", "genes_in_no_fold=train", "seeds=[1]")
    result = crossval(signals, tmp_path / "run", config)
    assert result.table.groupby("fold").size().to_dict() == {"7": 10, "odd": 20}
    info = load_model(tmp_path / "run" / "fold_odd" / "seed_1.model").info
    assert info.training["train_genes"] == 200 and info.training["validation_genes"] == 10
    one_out = train(signals, tmp_path / "loco", changed("folds=chromosomes", "seeds=[1]"), folds=["X"])
    assert load_model(one_out[0]).info.fold.model_dump() == {"name": "X", "validation": ("1",), "test": ("X",)}


@pytest.fixture(scope="module")
def encoders(bases: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoders of folds 1 and 2, pretrained for one epoch."""
    folder = tmp_path_factory.mktemp("encoders") / "run"
    config = load_run_config(PretrainConfig, "pretrain", None, ["fit.max_epochs=1", "fit.batch=64", "windows=1"])
    pretrain(bases, folder, config, folds=["1", "2"])
    return folder


@pytest.mark.parametrize("freeze", [True, False])
def test_starts_from_the_folds_own_encoder(freeze: bool, bases: Dataset, encoders: Path, tmp_path: Path) -> None:
    config = changed(
        *("network.width=32", "fit.max_epochs=1", "seeds=[1]", f"encoder={encoders}", f"encoder.freeze={freeze}")
    )
    result = crossval(bases, tmp_path / "run", config, folds=["1"])
    assert len(result.table) == 4 and result.about["sequence"] == "bases"
    loaded = load_model(tmp_path / "run" / "fold_1" / "seed_1.model")
    encoder = load_model(encoders / "fold_1" / "encoder.model")
    pairs = zip(loaded.model.encoder.state_dict().items(), encoder.model.encoder.state_dict().items(), strict=True)
    equal = [bool((mine[1] == theirs[1]).all()) for mine, theirs in pairs]
    assert all(equal) if freeze else not all(equal)
    assert loaded.info.training["encoder"] == encoder.info.weights_sha256
    assert loaded.info.training["encoder_frozen"] is freeze
    assert not (tmp_path / "run" / "fold_1" / "towers").exists()


def test_an_encoder_that_has_seen_what_is_held_out_is_refused(bases: Dataset, encoders: Path, tmp_path: Path) -> None:
    wrong = encoders / "fold_2" / "encoder.model"
    config = changed("network.width=32", "fit.max_epochs=1", "seeds=[1]", f"encoder={wrong}", "encoder.freeze=true")
    message = r"encoder\.model: the encoder was trained on chromosomes 1, 11, which fold 1 holds out"
    with pytest.raises(LeakageError, match=message):
        crossval(bases, tmp_path / "run", config, folds=["1"])
    assert not (tmp_path / "run").exists()
    result = crossval(bases, tmp_path / "run", config, folds=["1"], allow_leakage=True)
    assert len(result.about["leakage"]) == 2 and "trained on chromosomes 1, 11" in result.about["leakage"][0]
    assert "weights were chosen on chromosomes 2, 12, which fold 1 tests" in result.about["leakage"][1]
    assert load_model(tmp_path / "run" / "fold_1" / "seed_1.model").info.training["leakage"] == result.about["leakage"]
    loaded = load_model(wrong)
    save_model(loaded.model, tmp_path / "unsaid.model", loaded.info.model_copy(update={"fold": None}))
    unsaid = changed("network.width=32", f"encoder={tmp_path / 'unsaid.model'}")
    with pytest.raises(LeakageError, match="does not say which chromosomes it was trained on"):
        crossval(bases, tmp_path / "other", unsaid, folds=["1"])


def test_what_was_trained_with_leakage_is_never_held_out(bases: Dataset, encoders: Path, tmp_path: Path) -> None:
    wrong = encoders / "fold_2" / "encoder.model"
    config = changed("network.width=32", "fit.max_epochs=1", "seeds=[1]", f"encoder={wrong}", "encoder.freeze=true")
    table = crossval(bases, tmp_path / "run", config, folds=["1", "2"], allow_leakage=True).table
    leaked, clean = (load_model(tmp_path / "run" / f"fold_{fold}" / "seed_1.model") for fold in (1, 2))
    assert leaked.info.training["leakage"] and not clean.info.training["leakage"]
    genes = table.gene_id[table.fold == "1"].tolist()
    with pytest.raises(LeakageError, match="held out"):
        predict([leaked], bases, genes=genes)
    assert not predict([leaked], bases, genes=genes, allow_leakage=True).table.held_out.any()
    assert predict([clean], bases, genes=table.gene_id[table.fold == "2"].tolist()).table.held_out.all()


def test_another_encoder_in_the_same_place_is_noticed(bases: Dataset, encoders: Path, tmp_path: Path) -> None:
    moved = tmp_path / "encoders"
    shutil.copytree(encoders, moved)
    changes = ("network.width=32", "fit.max_epochs=1", "seeds=[1]", "encoder.freeze=true")
    train(bases, tmp_path / "run", changed(*changes, f"encoder={encoders}"), folds=["1"])
    again = train(bases, tmp_path / "run", changed(*changes, f"encoder={moved}"), folds=["1"])  # the same, elsewhere
    assert again[0].is_dir()
    loaded = load_model(moved / "fold_1" / "encoder.model")
    loaded.model.output.bias.data += 1
    save_model(loaded.model, moved / "fold_1" / "encoder.model", loaded.info, overwrite=True)
    with pytest.raises(OutputError, match="fold_1: was begun with another encoder than there is now"):
        train(bases, tmp_path / "run", changed(*changes, f"encoder={moved}"), folds=["1"])


def test_one_process_at_a_time_in_a_fold(
    signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(signals, tmp_path / "run", quick, folds=["2"])
    monkeypatch.setattr(train_module, "locked", functools.partial(locked, patience=0.2))
    (tmp_path / "run" / "fold_1").mkdir()
    with locked(tmp_path / "run" / "fold_1" / ".lock"), pytest.raises(OutputError, match="another process is at work"):
        train(signals, tmp_path / "run", quick, folds=["1"])


def test_too_little_memory_outside_of_the_steps_is_told_too(
    signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(crossval_module, "_predicted", fails)
    with pytest.raises(TrainingError, match=r"fold_1: memory is too small for batches of 32"):
        crossval(signals, tmp_path / "run", quick, folds=["1"])


def test_encoders_that_do_not_fit(bases: Dataset, encoders: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nor an encoder for fold 3\. Pretrain it with `epinformer pretrain"):
        crossval(bases, tmp_path / "run", changed("network.width=32", f"encoder={encoders}"), folds=["3"])
    other = dataclasses.replace(bases, manifest=bases.manifest.model_copy(update={"assembly": "mm10"}))
    with pytest.raises(ModelError, match="was trained on hg38, but .* is of mm10"):
        crossval(other, tmp_path / "run", changed("network.width=32", f"encoder={encoders}"), folds=["1"])
    signal_model = train(bases, tmp_path / "signals", changed("network.sequence=none", "seeds=[1]"), folds=["1"])[0]
    with pytest.raises(ModelError, match="reads signals alone and has no encoder"):
        crossval(bases, tmp_path / "run", changed("network.width=32", f"encoder={signal_model}"), folds=["1"])


def test_run_json_says_what_was_run(signals: Dataset, quick: TrainConfig, tmp_path: Path) -> None:
    train(signals, tmp_path / "run", quick, folds=["1"])
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    assert content["kind"] == "train" and content["target"] == "expression_rna"
    assert content["data"]["content_hash"] == signals.content_hash() and content["data"]["genes"] == 230
    assert content["config"]["fit"]["batch"] == 32 and content["network"]["sequence"] == "none"
    assert content["folds"]["11"] == {"test": ["22", "X"], "validation": ["3", "21"]}
