from __future__ import annotations

from pathlib import Path

import pytest

from epinformer.combiner.settings import CombinerConfig, load_combiner_config
from epinformer.errors import ConfigError


def test_the_default_reads_distance_activity_and_any_model() -> None:
    config = load_combiner_config()
    required = [feature.column for feature in config.features if not feature.optional]
    assert required[:3] == ["neg_distance", "activity", "powerlaw_abc"]
    optional = {feature.column for feature in config.features if feature.optional}
    assert {"attention", "knockout", "gradient_x_input", "abc", "contact", "h3k27ac_rpm"} <= optional


def test_a_file_replaces_the_default(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("features: [abc, {column: knockout, log: 0.5}]\n")
    config = load_combiner_config(tmp_path / "c.yaml")
    assert [(feature.column, feature.log) for feature in config.features] == [("abc", None), ("knockout", 0.5)]
    assert config.penalty == 1.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("features: []", "names no column"),
        ("features: [abc, abc]", "names abc twice"),
        ("features: [abc, calibrated]", "calibrated is what a combiner gives"),
        ("features: [{column: abc, log: 0}]", "greater than 0"),
        ("features: [abc]\npenalty: -1", "penalty"),
        ("features: [{colum: abc}]", "did you mean column"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_combiner_config(tmp_path / "c.yaml")


def test_single_names_are_columns() -> None:
    assert CombinerConfig.model_validate({"features": ["abc"]}).features[0].column == "abc"
