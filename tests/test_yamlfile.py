"""Any settings from YAML; how each problem is worded is in test_config.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from epinformer.errors import ConfigError
from epinformer.yamlfile import read_yaml, setting_path, suggestion, validated


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Frozen(Settings):
    kind: Literal["frozen"]
    folder: str


class Tuned(Settings):
    kind: Literal["tuned"]
    rate: float = 0.1


class Inner(Settings):
    depth: int = 1


class Outer(Settings):
    name: str = "none"
    inner: Inner | None = None
    listed: dict[str, list[Annotated[Inner, Field(title="one")]]] | None = None
    either: Inner | Tuned | None = None
    tagged: Annotated[Frozen | Tuned, Field(discriminator="kind")] | None = None


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: x\nlisted: {a: [{depth: 3}]}\n")
    settings = read_yaml(path, Outer, "Write `name:`")
    assert isinstance(settings, Outer) and settings == Outer(name="x", listed={"a": [Inner(depth=3)]})


def test_hint_for_a_file_without_settings(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing\n")
    with pytest.raises(ConfigError, match=r"a\.yaml: holds no settings\. Write `name:`\.$"):
        read_yaml(tmp_path / "a.yaml", Outer, "Write `name:`")


def test_values_from_elsewhere() -> None:
    assert validated({"inner": {"depth": "7"}}, Outer, "--set") == Outer(inner=Inner(depth=7))
    with pytest.raises(ConfigError, match=r"^--set: inner\.depth: input should be a valid integer.*, not 'deep'"):
        validated({"inner": {"depth": "deep"}}, Outer, "--set")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"dept": 1}}, r"inner\.dept: is not a setting; did you mean depth\?"),
        ({"inner": {"zzz": 1}}, r"inner\.zzz: is not a setting; known here: depth\.$"),
        ({"listed": {"a": [{}, {"dept": 1}]}}, r"listed\.a\[1\]\.dept: is not a setting; did you mean depth\?"),
        ({"tagged": {"kind": "tuned", "rat": 1}}, r"tagged\.tuned\.rat: is not a setting; did you mean rate\?"),
        ({"zzz": 1}, r"zzz: is not a setting; known here: name, inner, listed, either, tagged\.$"),
    ],
)
def test_unknown_keys_of_any_model(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validated(values, Outer, "x")


def test_unknown_keys_where_one_of_several_models_may_stand() -> None:
    with pytest.raises(ConfigError) as caught:
        validated({"either": {"rat": 1}}, Outer, "x")
    assert "either.Inner.rat: is not a setting; known here: depth" in str(caught.value)
    assert "either.Tuned.rat: is not a setting; did you mean rate?" in str(caught.value)


def test_setting_path() -> None:
    assert setting_path(("signals", "dnase", 0, "total_reads")) == "signals.dnase[0].total_reads"


def test_suggestion() -> None:
    assert suggestion(["CTCF", "DNAse"], ("dnase", "atac")) == "; did you mean dnase?"
    assert suggestion(["ctcf"], ("dnase", "atac")) == ""
