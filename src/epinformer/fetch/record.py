"""What a folder remembers of its downloads: address, size, SHA-256 and date of each file, in `fetched.json`."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from epinformer.errors import FetchError
from epinformer.fetch.registry import RECORD
from epinformer.files import atomic_file, locked
from epinformer.settings import Settings


class Fetched(Settings):
    """One download: ``size`` in bytes, ``date`` in UTC."""

    url: str
    size: int
    sha256: str
    date: str


_RECORDS = TypeAdapter(dict[str, Fetched])


def read_record(folder: Path) -> dict[str, Fetched]:
    """What was downloaded into a folder, by file name.

    Raises
    ------
    FetchError
        ``fetched.json`` is damaged.
    """
    path = folder / RECORD
    try:
        return _RECORDS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise FetchError(
            "is not what was written there",
            source=path,
            fix="Restore it, or remove it: files without a published checksum then go unchecked",
        ) from error


def add_record(folder: Path, file: str, *, url: str, size: int, sha256: str, patience: float) -> None:
    """Remember a download; other processes may be doing the same.

    Raises
    ------
    OutputError
        The folder cannot be written, or another process keeps its record for more than ``patience`` seconds.
    FetchError
        ``fetched.json`` is damaged.
    """
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with locked(folder / f".{RECORD}.lock", patience=patience):
        records = read_record(folder) | {file: Fetched(url=url, size=size, sha256=sha256, date=date)}
        text = json.dumps({name: kept.model_dump() for name, kept in sorted(records.items())}, indent=2)
        with atomic_file(folder / RECORD) as temporary:
            temporary.write_text(text + "\n")
