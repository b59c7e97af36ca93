from __future__ import annotations

from pathlib import Path

import pytest

from epinformer.dataset.limits import PairLimits
from epinformer.errors import ConfigError
from epinformer.training.settings import FeatureConfig, PretrainConfig, TrainConfig, load_run_config, presets


@pytest.mark.parametrize("name", [name for name in presets() if name != "pretrain"])
def test_every_preset_is_valid(name: str) -> None:
    config = load_run_config(TrainConfig, name)
    assert config.preset == name and config.seeds


def test_published_is_the_papers_recipe() -> None:
    config = load_run_config(TrainConfig, "published")
    assert config.network.variant == "PE-Activity" and config.folds == "paper"
    fit = config.fit
    assert (fit.loss, fit.learning_rate, fit.weight_decay, fit.betas) == ("smooth_l1", 5e-4, 1e-6, (0.9, 0.99))
    assert (fit.batch, fit.patience, fit.schedule, fit.precision) == (64, 6, "constant", "32")
    pretraining = load_run_config(PretrainConfig, "pretrain")
    assert (pretraining.windows, pretraining.stride, pretraining.both_strands) == (3, 156, True)


def test_a_file_lies_over_the_preset_and_changes_over_both(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("preset: published\nencoder: runs/encoders\nfit: {batch: 32, max_epochs: 7}\nseeds: [4]\n")
    config = load_run_config(TrainConfig, None, file, ["fit.max_epochs=9", "encoder.freeze=true", "seeds=[1, 2]"])
    assert config.preset == "published" and config.seeds == (1, 2)
    assert (config.fit.batch, config.fit.max_epochs, config.fit.patience) == (32, 9, 6)
    assert config.encoder is not None and (config.encoder.source, config.encoder.freeze) == ("runs/encoders", True)
    other = load_run_config(TrainConfig, "default", file, ["encoder.freeze=true", "encoder=elsewhere"])
    assert other.preset == "default" and other.encoder is not None
    assert (other.encoder.source, other.encoder.freeze) == ("elsewhere", True)
    assert load_run_config(TrainConfig).preset == "default" and load_run_config(PretrainConfig).preset == "pretrain"


def test_features_and_limits_are_short_to_write(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "network:\n  variant: null\n  pair_features: [distance, {column: '*_rpm', transform: log10_1p}]\n"
        "  gene_features: [promoter_activity]\n  limits: {max_distance: 50000}\nfit: {precision: 32}\n"
    )
    network = load_run_config(TrainConfig, "published", file).network
    assert network.pair_features == (FeatureConfig(column="distance"),
                                     FeatureConfig(column="*_rpm", transform="log10_1p"))  # fmt: skip
    assert network.limits == PairLimits(None, 50_000, None)


def test_naming_a_variant_replaces_a_presets_features() -> None:
    network = load_run_config(TrainConfig, "default", None, ["network.variant=PE"]).network
    assert network.variant == "PE" and not network.pair_features and not network.gene_features


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["fit.max_epoch=3"], r"fit\.max_epoch: is not a setting; did you mean max_epochs\?"),
        (["fit.batch=0"], r"fit\.batch: input should be greater than or equal to 1"),
        (["fit.loss=rmse"], r"fit\.loss: "),
        (["seeds=[1, 1]"], "names a seed twice"),
        (["seeds=[]"], "seeds: "),
        (["network.elements=false"], "variant PE-Activity says which features there are"),
        (["preset=default"], "--set preset=default: a preset is not a setting. Name it with --preset"),
        (["fit.batch"], "--set fit.batch: is no change of a setting"),
        (["fit.batch=[1"], "is not valid YAML"),
    ],
)
def test_wrong_settings(changes: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_run_config(TrainConfig, "published", None, changes)


def test_unknown_presets_and_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no preset 'best'\. Use one of default, "):
        load_run_config(TrainConfig, "best")
    with pytest.raises(ConfigError, match="there is no such file"):
        load_run_config(TrainConfig, "default", tmp_path / "no.yaml")
    file = tmp_path / "wrong.yaml"
    file.write_text("preset: [1]\n")
    with pytest.raises(ConfigError, match=r"wrong\.yaml: there is no preset \[1\]"):
        load_run_config(TrainConfig, None, file)
    with pytest.raises(ConfigError, match="batches of 1"):
        load_run_config(PretrainConfig, None, None, ["fit.batch=1"])
