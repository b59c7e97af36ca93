"""The files that a dataset is made of: all there, and known by their checksums."""

from __future__ import annotations

from pathlib import Path

from epinformer.config import PrepareConfig
from epinformer.dataset.store import InputFile
from epinformer.errors import InputError
from epinformer.files import sha256
from epinformer.prepare.steps import Share


def require_files(config: PrepareConfig) -> None:
    """Raise InputError if a file that the configuration names is not there; the number and the first are told."""
    files = config.files()
    missing = [(setting, name) for setting, name in files.items() if not _members(config.path(name))]
    if missing:
        setting, name = missing[0]
        raise InputError(
            "input files are not there",
            source=config.root,
            count=len(missing),
            first=f"{name} ({setting})",
            fix="Check the names in the configuration, and root or --root",
        )


def input_files(config: PrepareConfig, share: Share) -> dict[str, InputFile]:
    """Setting -> name, checksum and size of the file it names; of a folder's files each, as `setting/file`.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    named: dict[str, tuple[str, Path]] = {}
    for setting, name in config.files().items():
        path = config.path(name)
        for member in _members(path):
            inside = "" if member == path else f"/{member.relative_to(path)}"
            named[setting + inside] = (name + inside, member)
    sizes = {path: path.stat().st_size for _, path in named.values()}
    before, total = 0, sum(sizes.values())

    def report(done: int) -> None:
        share.report(min(before + done, total), total)

    hashes: dict[Path, str] = {}
    for path, size in sizes.items():
        try:
            hashes[path] = sha256(path, report)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", source=path, fix="Check its permissions") from error
        before += size
    return {
        setting: InputFile(path=name, sha256=hashes[path], bytes=sizes[path]) for setting, (name, path) in named.items()
    }


def _members(path: Path) -> list[Path]:
    """The file, or the files of a folder."""
    if path.is_dir():
        return sorted(member for member in path.rglob("*") if member.is_file())
    return [path] if path.is_file() else []
