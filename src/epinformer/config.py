"""The configuration of `epinformer prepare`: typed, checked as a whole, read from YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator, model_validator

from epinformer.errors import ConfigError
from epinformer.settings import (
    AbcConfig,
    ActivityConfig,
    ContactConfig,
    CountedReplicate,
    ElementsConfig,
    EncoderWindowsConfig,
    ExpressionConfig,
    File,
    GenesConfig,
    GenomeConfig,
    HalfLifeConfig,
    Name,
    PairsConfig,
    Replicate,
    Settings,
    accessibility,
    spelled_out,
    with_accessibility,
)
from epinformer.yamlfile import read_yaml, validated


class PrepareConfig(Settings):
    """Everything `epinformer prepare` is told. Paths are relative to `root`, which is absolute once loaded."""

    assembly: str = Field(min_length=1)
    cell_type: str | None = None
    root: Path = Path(".")
    chrom_sizes: File | None = None
    genome: GenomeConfig | None = None
    genes: GenesConfig
    elements: ElementsConfig | None = None
    signals: dict[Name, list[Replicate]]
    activity: ActivityConfig = ActivityConfig()
    half_life: HalfLifeConfig | None = None
    expression: dict[Name, ExpressionConfig] = Field(default_factory=dict)
    contact: ContactConfig | None = None
    abc: AbcConfig = AbcConfig()
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

    @field_validator("signals", mode="before")
    @classmethod
    def _spelled_out(cls, value: object) -> object:
        return spelled_out(value)

    @field_validator("signals")
    @classmethod
    def _signals_carry_activity(cls, value: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return with_accessibility(value)

    @model_validator(mode="after")
    def _bases_are_there(self) -> PrepareConfig:
        if self.genome is None:
            if self.encoder_windows is not None:
                raise ValueError("encoder_windows: needs the bases of a genome; add `genome: {fasta: FILE}`")
            if self.half_life is not None and self.half_life.annotation is not None:
                raise ValueError("half_life.annotation: needs the bases of a genome; add `genome: {fasta: FILE}`")
        return self

    @model_validator(mode="after")
    def _regions_are_given(self) -> PrepareConfig:
        counted = [
            f"signals.{name}[{number}]"
            for name, replicates in self.signals.items()
            for number, replicate in enumerate(replicates)
            if isinstance(replicate, CountedReplicate)
        ]
        if counted and self.elements is not None and self.elements.tested is not None:
            raise ValueError(
                f"elements.tested: {counted[0]} was not counted over them; give reads or tracks for every signal"
            )
        if counted and self.elements is not None and self.elements.table is None:
            raise ValueError(
                f"elements: made around peaks, they are not those that {counted[0]} was counted over; "
                "give elements.table, or reads or tracks for every signal"
            )
        windows = self.encoder_windows
        if windows is not None and windows.reads is None and counted:
            raise ValueError(
                f"encoder_windows.reads: is missing, and {counted[0]} is counted already; name the reads or tracks"
            )
        return self

    @model_validator(mode="after")
    def _steps_have_contact(self) -> PrepareConfig:
        contact = self.contact
        if contact is None or contact.map is None:
            alone = self.abc.set_among("scale_rows", "diagonal", "min_norm")
            if alone:
                raise ValueError(f"abc.{alone[0]}: goes with contact.map")
        if contact is None or not contact.is_map:
            alone = self.abc.set_among("scale_powerlaw", "reference_gamma", "pseudocount_distance", "weak_gene")
            if alone:
                raise ValueError(f"abc.{alone[0]}: goes with contact.map, contact.bedpe or contact.average")
        return self

    @property
    def accessibility(self) -> str:
        """The signal that activity is made of: `dnase`, or `atac` where there is no DNase."""
        return accessibility(self.signals)

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


def with_tested(config: PrepareConfig, path: str | Path) -> PrepareConfig:
    """The configuration with the regions of a BED file as `elements.tested`; ``path`` is relative to this process.

    Raises
    ------
    ConfigError
        A signal is counted already, so nothing is known of other regions.
    """
    elements = (config.elements or ElementsConfig()).model_copy(update={"tested": str(Path(path).resolve())})
    return validated({**dict(config), "elements": elements}, PrepareConfig, "--elements")


# The settings that name a file, or several, wherever they stand.
_FILE_SETTINGS = frozenset(
    {
        *("fasta", "chrom_sizes", "table", "tss_table", "annotation", "elements", "promoters", "peaks", "blocklist"),
        *("include", "tested", "reads", "barcodes", "track", "plus", "minus", "both", "ctss", "quantile_reference"),
        *("map", "bedpe", "average"),
    }
)


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
