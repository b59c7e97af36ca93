"""The settings of a combiner: which columns of a table of links it reads, and how."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, field_validator

from epinformer.inputs.links import CALIBRATED
from epinformer.settings import Settings
from epinformer.yamlfile import read_yaml, validated

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class CombinerFeature(Settings):
    """A column of a table of links; with ``log`` c it is taken as sign(x) * log10(1 + |x| / c)."""

    column: Annotated[str, Field(min_length=1)]
    log: _Positive | None = None
    optional: bool = False


class CombinerConfig(Settings):
    """Everything `epinformer train-combiner` is told: the features, and the penalty of their squared weights."""

    features: tuple[CombinerFeature, ...]
    penalty: _Positive = 1.0

    @field_validator("features", mode="before")
    @classmethod
    def _column_alone(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        return [{"column": item} if isinstance(item, str) else item for item in value]

    @field_validator("features")
    @classmethod
    def _different(cls, value: tuple[CombinerFeature, ...]) -> tuple[CombinerFeature, ...]:
        if not value:
            raise ValueError("names no column; list at least one")
        names = [feature.column for feature in value]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(f"names {repeated[0]} twice")
        if CALIBRATED in names:
            raise ValueError(f"{CALIBRATED} is what a combiner gives, and has learned from the pairs; leave it out")
        return value


def load_combiner_config(path: str | Path | None = None) -> CombinerConfig:
    """Settings of a YAML file, or those that come with the package.

    Raises
    ------
    ConfigError
        The file cannot be read, or a setting is missing, unknown or wrong.
    """
    if path is not None:
        return read_yaml(path, CombinerConfig, "Write `features:`, a list of columns")
    text = (resources.files("epinformer.combiner") / "presets" / "default.yaml").read_text(encoding="utf-8")
    return validated(yaml.safe_load(text), CombinerConfig, "preset default")
