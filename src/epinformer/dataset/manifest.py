"""`dataset.json`: where a dataset comes from and what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from epinformer.errors import DatasetError
from epinformer.jsonfile import read_record

FORMAT_VERSION = 1
MANIFEST_NAME = "dataset.json"


class InputFile(BaseModel):
    """A file the dataset was made from."""

    path: str
    sha256: str
    bytes: int


class FilterStep(BaseModel):
    """How many rows of a table one step kept, e.g. ``table="genes", step="no half-life features"``."""

    table: str
    step: str
    before: int
    after: int


class Manifest(BaseModel):
    """Everything of a dataset but its tables and sequence.

    ``rows`` (genes, elements, pairs, sequence_bases, and windows if there are any) and ``files`` (name -> SHA-256 of
    the dataset's own files) are filled in by `epinformer.dataset.store.write_dataset`; what a caller puts there is
    replaced.
    ``transforms`` says in words how a column was made: ``"activity": "sqrt(dnase_rpm * h3k27ac_rpm)"``; those of the
    windows have their table's name before them (``"windows.activity"``).
    ``log10_per_unit`` says of the columns of expression that are logarithms, z-scored or not, how many powers of ten
    one unit of them is.
    """

    # Otherwise NaN and infinity would silently become null.
    model_config = ConfigDict(ser_json_inf_nan="constants")

    format_version: int = FORMAT_VERSION
    assembly: str
    cell_type: str | None = None
    package_version: str
    config: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, InputFile] = Field(default_factory=dict)
    filters: list[FilterStep] = Field(default_factory=list)
    rows: dict[str, int] = Field(default_factory=dict)
    transforms: dict[str, str] = Field(default_factory=dict)
    log10_per_unit: dict[str, float] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)


def manifest_text(manifest: Manifest, source: str | Path) -> str:
    """Indented JSON of a manifest.

    Raises
    ------
    DatasetError
        It holds a number that JSON has no word for (NaN, infinity), or a value that is not plain data.
    """
    try:
        return json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise DatasetError(
            f"its config cannot be written as JSON ({error})", source=source, fix="Use finite numbers, text and lists"
        ) from error


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``dataset.json`` of a dataset's folder.

    Raises
    ------
    DatasetError
        The file is missing, damaged, incomplete, or of a newer format than this version reads.
    """
    try:
        return read_record(
            folder / MANIFEST_NAME,
            Manifest,
            newest=FORMAT_VERSION,
            error=DatasetError,
            fix="Prepare the dataset again",
            upgrade="Upgrade epinformer or prepare the dataset again",
        )
    except FileNotFoundError as error:
        raise DatasetError(
            "is no dataset: dataset.json is missing", source=folder, fix="Make one with `epinformer prepare`"
        ) from error
    except NotADirectoryError as error:
        raise DatasetError(f"cannot be read: {error.strerror}", source=folder / MANIFEST_NAME) from error
