"""The configuration of `epinformer prepare`: typed, checked as a whole, read from YAML."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from epinformer.errors import ConfigError
from epinformer.yamlfile import read_yaml, suggestion

# Signals that can carry the activity alone, the preferred one first, and the mark that is multiplied in.
ACCESSIBILITY = ("dnase", "atac")
ACETYLATION = "h3k27ac"

COLUMN_NAME = r"^[a-z][a-z0-9_]*$"
"""What a signal or an assay may be called, since columns are named after it."""

# The longest chromosomes have some Gb, and distances are 32-bit integers on disk.
_FARTHEST = 1_000_000_000
_LAST_POSITION = 2**31 - 1
_MOST_WINDOWS = 999

_Replicates = TypeVar("_Replicates")
_Name = Annotated[str, StringConstraints(pattern=COLUMN_NAME)]
_File = Annotated[str, StringConstraints(min_length=1)]


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _with_accessibility(signals: dict[str, list[_Replicates]]) -> dict[str, list[_Replicates]]:
    """Signals, of which one is the accessibility and each has a replicate."""
    if not any(name in signals for name in ACCESSIBILITY):
        near = suggestion(signals, ACCESSIBILITY)
        raise ValueError(f"needs dnase or atac, the accessibility that activity is made of{near}")
    for name, replicates in signals.items():
        if not replicates:
            raise ValueError(f"{name} has no replicate; list at least one")
    return signals


def _accessibility(signals: Container[str]) -> str:
    return next(name for name in ACCESSIBILITY if name in signals)


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


class EncoderWindowsConfig(Settings):
    """Windows for pretraining the encoder: at every peak's summit and, `stride` bp apart, on both sides of it."""

    peaks: _File
    windows: Annotated[int, Field(gt=0, le=_MOST_WINDOWS)] = 3
    stride: Annotated[int, Field(gt=0, le=_FARTHEST)] = 156
    reads: dict[_Name, list[_File]]

    @field_validator("windows")
    @classmethod
    def _one_at_the_summit(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(
                f"must be odd, one at the summit and as many on each side; give {value - 1} or {value + 1}"
            )
        return value

    @field_validator("reads")
    @classmethod
    def _reads_carry_activity(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        return _with_accessibility(value)

    @property
    def accessibility(self) -> str:
        """The signal that activity is made of: `dnase`, or `atac` where there is no DNase."""
        return _accessibility(self.reads)


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
    encoder_windows: EncoderWindowsConfig | None = None

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
        return _with_accessibility(value)

    @model_validator(mode="after")
    def _windows_have_bases(self) -> PrepareConfig:
        if self.encoder_windows is not None and self.genome is None:
            raise ValueError("encoder_windows: needs the bases of a genome; add `genome: {fasta: FILE}`")
        return self

    @property
    def accessibility(self) -> str:
        """The signal that activity is made of: `dnase`, or `atac` where there is no DNase."""
        return _accessibility(self.signals)

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
    config = read_yaml(path, PrepareConfig, "Write `assembly:`, `genes:` and `signals:` as in examples/")
    folder = Path(root).expanduser() if root is not None else path.parent / config.root.expanduser()
    if not folder.is_dir():
        named = "--root" if root is not None else "root"
        raise ConfigError(
            f"{named}: there is no folder {folder}", source=path, fix="Name the folder that holds the inputs"
        )
    return config.model_copy(update={"root": folder.resolve()})


# The settings that name a file, or several, wherever they stand.
_FILE_SETTINGS = frozenset({"fasta", "table", "elements", "promoters", "peaks", "reads"})


def _files(setting: str, value: object, *, named: bool = False) -> Iterator[tuple[str, str]]:
    """Setting and file name of each file at or below a setting; `named`: texts at it are file names."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            inner = f"{setting}.{name}" if setting else name
            yield from _files(inner, getattr(value, name), named=name in _FILE_SETTINGS)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _files(f"{setting}.{name}", item, named=named)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _files(f"{setting}[{index}]", item, named=named)
    elif named and isinstance(value, str):
        yield setting, value
