"""The settings of a training run: a preset, and what a user changes of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field, field_validator, model_validator

from epinformer.dataset.features import Transform
from epinformer.dataset.limits import PairLimits
from epinformer.errors import ConfigError
from epinformer.model.config import Size, Variant
from epinformer.settings import Settings
from epinformer.yamlfile import read_yaml, validated

_Config = TypeVar("_Config", bound="RunConfig")

Loss = Literal["smooth_l1", "mse", "l1_kl"]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class FeatureConfig(Settings):
    """Columns that become inputs; a column with ``*`` stands for all that match, a text alone for the column itself."""

    column: Annotated[str, Field(min_length=1)]
    transform: Transform = "identity"
    optional: bool = False


class NetworkConfig(Settings):
    """The network: one of the published variants, or features of your own.

    ``sequence: auto`` reads bases where the dataset has them.
    """

    sequence: Literal["auto", "bases", "none"] = "auto"
    variant: Variant | None = None
    elements: bool = True
    pair_features: tuple[FeatureConfig, ...] = ()
    gene_features: tuple[FeatureConfig, ...] = ()
    limits: PairLimits = PairLimits()
    standardise: bool = False
    promoter_input: bool = False
    width: Size = 64
    heads: Size = 4
    layers: Annotated[int, Field(ge=1, le=64)] = 3
    feedforward: Size = 256
    hidden: Size = 128

    @field_validator("pair_features", "gene_features", mode="before")
    @classmethod
    def _column_alone(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        return [{"column": item} if isinstance(item, str) else item for item in value]

    @field_validator("limits", mode="before")
    @classmethod
    def _limits_by_name(cls, value: object) -> object:
        return PairLimits(**value) if isinstance(value, dict) and set(value) <= set(PairLimits._fields) else value

    @model_validator(mode="after")
    def _one_way(self) -> NetworkConfig:
        own = {"elements", "pair_features", "gene_features", "limits"} & self.model_fields_set
        if self.variant is not None and own:
            raise ValueError(f"variant {self.variant} says which features there are; leave out {sorted(own)[0]}")
        return self


class EncoderConfig(Settings):
    """A pretrained sequence encoder: a model directory, or a pretraining run that holds one for each fold."""

    source: Annotated[str, Field(min_length=1)]
    freeze: bool = False


class FitConfig(Settings):
    """How weights are found: AdamW on a loss, stopped early by the mean squared error of the validation genes.

    ``batch`` counts genes, or windows where an encoder is pretrained. Training takes ``max_epochs``, and more if these
    are fewer than ``min_steps`` steps, as they are for few genes. ``patience`` is the number of epochs without
    improvement after which training stops; null never stops early. ``keep: best`` keeps the weights of the epoch with
    the lowest validation error, ``last`` those of the last epoch, so that nothing is chosen by the validation genes.
    ``precision: bf16`` computes the encoder in bfloat16
    where the processor knows it.
    """

    loss: Loss = "smooth_l1"
    kl_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    learning_rate: Rate = 5e-4
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-6
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.99)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch: Count = 64
    max_epochs: Count = 100
    min_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    patience: Count | None = 6
    keep: Literal["best", "last"] = "best"
    gradient_clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    precision: Literal["32", "bf16"] = "32"
    workers: Annotated[int, Field(ge=0, le=256)] = 0

    @field_validator("precision", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


class RunConfig(Settings):
    """What training and pretraining share."""

    preset: Annotated[str, Field(min_length=1)]
    folds: Annotated[str, Field(min_length=1)] = "paper"
    fit: FitConfig = FitConfig()


class TrainConfig(RunConfig):
    """Everything `epinformer train` and `epinformer crossval` are told.

    ``target`` is a column of the dataset's genes; null takes the only one there is. ``folds`` is ``paper``,
    ``chromosomes`` (leave one out) or a YAML file. ``genes_in_no_fold`` says what happens to genes on chromosomes that
    no fold tests or validates on.
    """

    target: str | None = None
    genes_in_no_fold: Literal["error", "drop", "train"] = "error"
    network: NetworkConfig = NetworkConfig()
    encoder: EncoderConfig | None = None
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1)] = (1,)

    @field_validator("encoder", mode="before")
    @classmethod
    def _source_alone(cls, value: object) -> object:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("seeds", mode="after")
    @classmethod
    def _different(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names a seed twice")
        return value


class PretrainConfig(RunConfig):
    """Everything `epinformer pretrain` is told.

    ``windows`` and ``stride`` are used for datasets without windows of their own, whose elements are then tiled.
    """

    windows: Annotated[int, Field(ge=1, le=101)] = 3
    stride: Annotated[int, Field(ge=1, le=256)] = 156
    both_strands: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1

    @field_validator("fit", mode="after")
    @classmethod
    def _more_than_one(cls, value: FitConfig) -> FitConfig:
        if value.batch < 2:
            raise ValueError("batch normalisation learns nothing from batches of 1")
        return value


def presets() -> list[str]:
    """Names of the presets that come with the package."""
    folder = resources.files("epinformer.training") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_run_config(
    kind: type[_Config], preset: str | None = None, path: str | Path | None = None, changes: Sequence[str] = ()
) -> _Config:
    """Settings of a preset, with those of a file laid over them, and single changes over both.

    Parameters
    ----------
    kind
        `TrainConfig` or `PretrainConfig`.
    preset
        Name of a preset of the package. By default the one that the file names, or else ``default``, and ``pretrain``
        for pretraining.
    path
        A YAML file with only what differs; it may name a ``preset``.
    changes
        Texts like ``fit.max_epochs=5``; the value is YAML.

    Raises
    ------
    ConfigError
        There is no such preset, the file cannot be read, or a setting is unknown or wrong.
    """
    given = {} if path is None else read_yaml(path, _Anything, "Write only what differs from the preset").values()
    fallback = "pretrain" if issubclass(kind, PretrainConfig) else "default"
    named = given.pop("preset", fallback)
    name = preset if preset is not None else named
    values = _laid_over(_preset(name, path), given)
    for change in changes:
        setting, equals, text = change.partition("=")
        if setting == "preset":
            raise ConfigError(f"--set {change}: a preset is not a setting", fix="Name it with --preset")
        if not equals or not setting:
            raise ConfigError(f"--set {change}: is no change of a setting", fix="Write it as fit.max_epochs=5")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {change}: its value is not valid YAML", fix="Quote it") from error
        for part in reversed(setting.split(".")):
            value = {part: value}
        values = _laid_over(values, value)
    values["preset"] = name
    return validated(values, kind, path if path is not None else f"preset {name}")


class _Anything(Settings):
    """Any mapping: what it holds is checked when it lies over the preset."""

    model_config = ConfigDict(extra="allow")

    def values(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


def _preset(name: object, source: str | Path | None) -> dict[str, Any]:
    known = presets()
    if name not in known:
        raise ConfigError(f"there is no preset {name!r}", source=source, fix=f"Use one of {', '.join(known)}")
    text = (resources.files("epinformer.training") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    values: dict[str, Any] = yaml.safe_load(text)
    return values


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The one mapping with the other's values in place of its own, section by section."""
    merged = copy.deepcopy(dict(below))
    for name, value in above.items():
        if name == "encoder" and isinstance(value, str):
            value = {"source": value}
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = _laid_over(merged[name], value)
        else:
            merged[name] = copy.deepcopy(value)
    if isinstance(merged.get("network"), dict) and "variant" in (above.get("network") or {}):
        # A variant names its features, so those of a preset below it no longer hold.
        for name in ("elements", "pair_features", "gene_features", "limits"):
            if name not in above["network"]:
                merged["network"].pop(name, None)
    return merged
