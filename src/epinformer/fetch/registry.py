"""The list of published files and the sets they make, checked as a whole."""

from __future__ import annotations

import re
import urllib.parse
from collections import Counter
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints, field_validator, model_validator

from epinformer.errors import FetchError
from epinformer.settings import Settings
from epinformer.yamlfile import read_yaml, suggestion

RECORD = "fetched.json"
"""Where a folder says what was downloaded into it."""

_HINT = "Write `sets:` and `files:`"
# This machine itself, where a test or a mirror may serve without encryption.
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
# No folders, nothing hidden, nothing that means something to a shell.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_Text = Annotated[str, StringConstraints(min_length=1)]
_Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Entry(Settings):
    """One published file.

    ``file`` is its name on disk, ``page`` where a person finds it, ``source`` where these facts are from. ``size`` (in
    bytes) and checksums are there only where a published source gives them.
    """

    file: _Text
    what: _Text
    url: _Text
    page: _Text | None = None
    size: Annotated[int, Field(gt=0)] | None = None
    md5: _Md5 | None = None
    sha256: _Sha256 | None = None
    source: _Text

    @field_validator("url", "page")
    @classmethod
    def _encrypted(cls, value: str | None) -> str | None:
        if value is not None and not allowed(value):
            raise ValueError(f"{value} is not an address that begins with https:// and names a host")
        return value

    @field_validator("file")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _FILE_NAME.fullmatch(value) or value.endswith((".part", ".part.json")) or value == RECORD:
            raise ValueError(f"{value!r} is no name for a file; use letters, digits, . _ + -, and no folder")
        return value

    @property
    def has_checksum(self) -> bool:
        """Whether a published checksum is known."""
        return self.md5 is not None or self.sha256 is not None


class FileSet(Settings):
    """Files that belong together."""

    what: _Text
    files: Annotated[tuple[_Name, ...], Field(min_length=1)]

    @field_validator("files")
    @classmethod
    def _once_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := _repeated(value):
            raise ValueError(f"names {twice} twice; name it once")
        return value


class Registry(Settings):
    """All sets and all files, by name."""

    sets: dict[_Name, FileSet]
    files: dict[_Name, Entry]

    @model_validator(mode="after")
    def _fits_together(self) -> Registry:
        if twice := _repeated(name.lower() for name in (*self.sets, *self.files)):
            raise ValueError(f"the name {twice} is given twice, capitals aside; rename one of the two")
        if twice := _repeated(entry.file.lower() for entry in self.files.values()):
            raise ValueError(f"two files would be {twice} on disk; rename one of the two")
        for name, members in self.sets.items():
            if strangers := [member for member in members.files if member not in self.files]:
                near = suggestion(strangers, self.files)
                raise ValueError(f"sets.{name}: {strangers[0]} is not among the files{near}")
        return self


class Wanted(NamedTuple):
    """A file of the registry with its name there."""

    name: str
    entry: Entry


def read_registry(path: str | Path | None = None) -> Registry:
    """Read a registry; None reads the one that comes with the package.

    Raises
    ------
    ConfigError
        The file cannot be read, or an entry is wrong: an address without https, a checksum of another form, a name
        given twice, a set of a file that is not there. All of these are listed.
    """
    if path is not None:
        return read_yaml(path, Registry, _HINT)
    with resources.as_file(resources.files("epinformer.fetch") / "registry.yaml") as packaged:
        return read_yaml(packaged, Registry, _HINT)


def chosen(registry: Registry, names: Iterable[str]) -> list[Wanted]:
    """The files that sets and single files stand for, each once, in the order named; capitals do not matter.

    Raises
    ------
    FetchError
        A name is neither a set nor a file.
    """
    sets = {name.lower(): members.files for name, members in registry.sets.items()}
    single = {name.lower(): name for name in registry.files}
    found: dict[str, None] = {}
    unknown = []
    for name in names:
        if name.lower() in sets:
            found |= dict.fromkeys(sets[name.lower()])
        elif name.lower() in single:
            found[single[name.lower()]] = None
        else:
            unknown.append(name)
    if unknown:
        raise FetchError(
            f"no such set or file{suggestion(unknown, [*sets, *single])}",
            count=len(unknown),
            first=unknown[0],
            fix="`epinformer fetch` alone lists what there is",
        )
    return [Wanted(name, registry.files[name]) for name in found]


def allowed(url: str) -> bool:
    """Whether an address may be asked: https, or http of this machine itself."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or any(character.isspace() for character in url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOCAL)


def _repeated(names: Iterable[str]) -> str | None:
    """The first name that comes twice."""
    return next((name for name, times in Counter(names).items() if times > 1), None)
