"""The configuration of `epinformer prepare`: typed, checked as a whole, read from YAML."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from epinformer.errors import ConfigError

# Signals that can carry the activity alone, the preferred one first, and the mark that is multiplied in.
ACCESSIBILITY = ("dnase", "atac")
ACETYLATION = "h3k27ac"

COLUMN_NAME = r"^[a-z][a-z0-9_]*$"
"""What a signal or an assay may be called, since columns are named after it."""

# The longest chromosomes have some Gb, and distances are 32-bit integers on disk.
_FARTHEST = 1_000_000_000
_LAST_POSITION = 2**31 - 1

_Name = Annotated[str, StringConstraints(pattern=COLUMN_NAME)]
_File = Annotated[str, StringConstraints(min_length=1)]


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GenomeConfig(Settings):
    """The reference sequence, whole or an extracted locus."""

    fasta: _File
    chrom: str | None = Field(default=None, coerce_numbers_to_str=True)
    start: Annotated[int, Field(ge=0, le=_LAST_POSITION)] | None = None
    outside: Literal["error", "drop"] = "error"

    @model_validator(mode="after")
    def _locus_is_whole(self) -> GenomeConfig:
        if (self.chrom is None) != (self.start is None):
            raise ValueError("chrom and start say together where the locus lies; give both or neither")
        return self


class GenesConfig(Settings):
    """The gene table and what happens to genes that lack features or labels."""

    table: _File
    tss: Literal["center", "strand"] = "center"
    without_half_life: Literal["drop", "keep"] = "drop"
    without_expression: Literal["keep", "drop"] = "keep"


class ElementsConfig(Settings):
    """A table of candidate elements; `elements: FILE` is short for `elements: {table: FILE}`."""

    table: _File


class CountedReplicate(Settings):
    """One experiment, counted over the elements and over the genes' TSS windows."""

    elements: _File
    promoters: _File
    total_reads: float = Field(gt=0, allow_inf_nan=False)


class HalfLifeConfig(Settings):
    """The table of mRNA half-life features."""

    table: _File
    id: str = "gene_id"
    name: str = "Gene name"


class ExpressionConfig(Settings):
    """One assay's expression label: a column of a table."""

    table: _File
    id: str
    value: str


class ContactConfig(Settings):
    """Contact of the pairs: a pair table (`missing` fills pairs that it lacks) or one constant."""

    table: _File | None = None
    missing: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    constant: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_source(self) -> ContactConfig:
        if (self.table is None) == (self.constant is None):
            raise ValueError("give either table or constant")
        if self.table is None and self.missing is not None:
            raise ValueError("missing goes with table, not with constant")
        return self


class PairsConfig(Settings):
    """Which pairs are made: min_distance < |element midpoint - TSS| <= max_distance, the nearest max_elements."""

    min_distance: Annotated[int, Field(ge=0)] | None = 1000
    max_distance: int = Field(default=100_000, gt=0, le=_FARTHEST)
    max_elements: Annotated[int, Field(gt=0)] | None = 60

    @model_validator(mode="after")
    def _range_is_open(self) -> PairsConfig:
        if self.min_distance is not None and self.min_distance >= self.max_distance:
            raise ValueError("min_distance must be below max_distance")
        return self


class PrepareConfig(Settings):
    """Everything `epinformer prepare` is told. Paths are relative to `root`, which is absolute once loaded."""

    assembly: str = Field(min_length=1)
    cell_type: str | None = None
    root: Path = Path(".")
    genome: GenomeConfig | None = None
    genes: GenesConfig
    elements: ElementsConfig | None = None
    signals: dict[_Name, list[CountedReplicate]]
    half_life: HalfLifeConfig | None = None
    expression: dict[_Name, ExpressionConfig] = Field(default_factory=dict)
    contact: ContactConfig | None = None
    pairs: PairsConfig = PairsConfig()

    @field_validator("elements", mode="before")
    @classmethod
    def _table_alone(cls, value: object) -> object:
        return {"table": value} if isinstance(value, str) else value

    @field_validator("expression", mode="before")
    @classmethod
    def _no_expression(cls, value: object) -> object:
        return {} if value is None else value

    @field_validator("signals")
    @classmethod
    def _signals_carry_activity(cls, value: dict[str, list[CountedReplicate]]) -> dict[str, list[CountedReplicate]]:
        if not any(name in value for name in ACCESSIBILITY):
            near = _suggestion([*value], ACCESSIBILITY)
            raise ValueError(f"needs dnase or atac, the accessibility that activity is made of{near}")
        for name, replicates in value.items():
            if not replicates:
                raise ValueError(f"{name} has no replicate; list at least one")
        return value

    @property
    def accessibility(self) -> str:
        """The signal that activity is made of: `dnase`, or `atac` where there is no DNase."""
        return next(name for name in ACCESSIBILITY if name in self.signals)

    def path(self, name: str) -> Path:
        """Where a file named in the configuration lies."""
        return self.root / Path(name).expanduser()

    def files(self) -> dict[str, str]:
        """Setting -> file name as configured, for every input file."""
        return dict(_files("", self))

    def recorded(self) -> dict[str, Any]:
        """All settings with defaults filled in, without `root`: the same data elsewhere gives the same record."""
        return self.model_dump(mode="json", exclude={"root"})


def load_config(path: str | Path, root: str | Path | None = None) -> PrepareConfig:
    """Read and check a `prepare` configuration.

    Parameters
    ----------
    path
        A YAML file.
    root
        Folder that the configured paths are relative to. By default the file's own `root` (itself relative to the
        file's folder), else the file's folder.

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, repeats a key, or has settings that are missing, unknown or wrong; all
        of these are listed, each with the setting's path (`signals.dnase[0].total_reads`).
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError("there is no such file", source=path, fix="Check the name of the configuration") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", source=path, fix="Give a YAML text file") from error
    try:
        values = yaml.load(text, Loader=_UniqueKeys)  # a SafeLoader: builds plain values only
    except yaml.YAMLError as error:
        raise ConfigError(f"is not valid YAML: {_one_line(error)}", source=path, fix="Mend that line") from error
    if not isinstance(values, dict):
        raise ConfigError(
            "holds no settings", source=path, fix="Write `assembly:`, `genes:` and `signals:` as in examples/"
        )
    try:
        config = PrepareConfig.model_validate(values)
    except ValidationError as error:
        raise _config_error(path, error) from error
    folder = Path(root).expanduser() if root is not None else path.parent / config.root.expanduser()
    if not folder.is_dir():
        named = "--root" if root is not None else "root"
        raise ConfigError(
            f"{named}: there is no folder {folder}", source=path, fix="Name the folder that holds the inputs"
        )
    return config.model_copy(update={"root": folder.resolve()})


class _UniqueKeys(yaml.SafeLoader):
    """A SafeLoader that refuses a key given twice, of which YAML would silently keep the last."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"the key `{key.value}` is given twice", problem_mark=key.start_mark)
        seen.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _one_line(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        return f"{error.problem or error.context}{where}"
    return " ".join(str(error).split())


def _config_error(path: Path, error: ValidationError) -> ConfigError:
    problems = [_problem(detail["loc"], detail["type"], detail["msg"], detail["input"]) for detail in error.errors()]
    if len(problems) == 1:
        return ConfigError(problems[0], source=path)
    listed = "".join(f"\n  - {problem}" for problem in problems)
    return ConfigError(f"{len(problems)} settings are wrong:{listed}\nMend all of them", source=path)


def _problem(location: tuple[int | str, ...], kind: str, message: str, value: object) -> str:
    """One problem as a clause with its fix."""
    is_key = bool(location) and location[-1] == "[key]"
    setting = setting_path(location[:-1] if is_key else location)
    if is_key:
        return f"{setting}: is no name for columns; use lower-case letters, digits and _, a letter first"
    if kind == "missing":
        return f"{setting}: is missing; add it"
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = _suggestion([str(location[-1])], known)
        return f"{setting}: is not a setting{near or '; known here: ' + ', '.join(known)}"
    message = message.removeprefix("Value error, ")
    if kind == "value_error":
        return f"{setting}: {message}" if setting else message
    return f"{setting}: {message[:1].lower()}{message[1:]}, not {value!r}"


def setting_path(location: tuple[int | str, ...]) -> str:
    """`("signals", "dnase", 0)` -> `signals.dnase[0]`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _suggestion(given: list[str], known: tuple[str, ...] | list[str]) -> str:
    for name in given:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        if near:
            return f"; did you mean {near[0]}?"
    return ""


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Names of the settings of the model at a location, found by walking the annotations."""
    annotation: Any = PrepareConfig
    for part in location:
        annotation = _unwrapped(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(part)].annotation
        else:
            annotation = get_args(annotation)[-1]  # the values of a dict, the items of a list
    annotation = _unwrapped(annotation)
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _unwrapped(annotation: Any) -> Any:
    """`X` of `X | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(argument for argument in get_args(annotation) if argument is not type(None))
    return annotation


# The settings that name a file, wherever they stand.
_FILE_SETTINGS = frozenset({"fasta", "table", "elements", "promoters"})


def _files(setting: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            item = getattr(value, name)
            inner = f"{setting}.{name}" if setting else name
            if isinstance(item, str) and name in _FILE_SETTINGS:
                yield inner, item
            else:
                yield from _files(inner, item)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _files(f"{setting}.{name}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _files(f"{setting}[{index}]", item)
