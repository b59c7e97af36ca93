"""Write whole files or none: everything goes to a temporary name and is renamed when complete."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from epinformer.errors import OutputError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Others say nothing of the output unless they name it: a block may also fail to read its input.
_REFUSED = frozenset(
    {errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.ENAMETOOLONG}
)


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    An existing file is replaced. On any failure the temporary file is removed and ``path`` is as it was. The temporary
    name ends like ``path``, so that writers which go by the suffix do the same. A device or a pipe (``/dev/stdout``)
    cannot be renamed over and is yielded itself.

    Raises
    ------
    OutputError
        The folder does not exist, ``path`` is a directory, or the disk is full or not writable.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError("is a directory, and a file is to be written", source=path, fix="Name a file")
    if path.exists() and not path.is_file():
        with _told(path, path):
            yield path
        return
    target, temporary = _prepared(path)
    try:
        with _told(path, temporary):
            yield temporary
            os.replace(temporary, target)
    finally:
        _remove(temporary)


@contextlib.contextmanager
def atomic_directory(
    path: str | Path, *, overwrite: bool = False, marker: str | tuple[str, ...] = ("dataset.json", "model.json")
) -> Iterator[Path]:
    """Yield a temporary directory beside ``path``; rename it to ``path`` if the block succeeds.

    Parameters
    ----------
    path
        The directory to make. Its parent must exist.
    overwrite
        Replace an existing directory, if it is empty or one of ours.
    marker
        Name of the file (or names, any of them) by which a directory is known to be one of ours.

    Raises
    ------
    OutputError
        ``path`` exists and ``overwrite`` is false, or it is something else than an empty directory or one with the
        marker; its parent does not exist; or the disk is full or not writable.
    """
    path = Path(path)
    markers = (marker,) if isinstance(marker, str) else marker
    _check_replaceable(path, overwrite, markers)
    target, temporary = _prepared(path)
    try:
        with _told(path, temporary):
            temporary.mkdir()
            yield temporary
            _swap(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_replaceable(path: Path, overwrite: bool, markers: tuple[str, ...]) -> None:
    """Refuse to put a directory where something stands that we may not delete."""
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise OutputError("already exists", source=path, fix="Name another output or pass --overwrite")
    if not path.is_dir():
        raise OutputError(
            "is not a directory, and only a directory can be overwritten by one", source=path, fix="Name another output"
        )
    with _told(path, path):
        empty = next(path.iterdir(), None) is None
    if not empty and not any((path / name).is_file() for name in markers):
        raise OutputError(
            f"is not overwritten: it holds no {' or '.join(markers)}, so it is not a result of this program",
            source=path,
            fix="Name another output, or remove the folder yourself",
        )


def _swap(temporary: Path, target: Path) -> None:
    """Put the finished directory in the place of the old one, which stays recoverable until then."""
    if not target.exists():
        os.replace(temporary, target)
        return
    retired = _name(target, "old", os.getpid())
    os.replace(target, retired)
    try:
        os.replace(temporary, target)
    except BaseException:
        os.replace(retired, target)
        raise
    shutil.rmtree(retired, ignore_errors=True)


def _prepared(path: Path) -> tuple[Path, Path]:
    """The real target behind ``path`` and our temporary name beside it, after clearing what killed processes left."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise OutputError("its folder does not exist", source=path, fix=f"Create {path.parent} first")
    # A process killed between the two renames of a replacement left the old directory under its retired name only.
    for retired in _stale(target, "old"):
        if target.exists():
            _remove(retired)
        else:
            os.replace(retired, target)
    for leftover in _stale(target, "tmp"):
        _remove(leftover)
    return target, _name(target, "tmp", os.getpid())


def _name(target: Path, label: str, process: int) -> Path:
    return target.with_name(f"{_prefix(label)}{process}-{target.name}")


def _prefix(label: str) -> str:
    # Another host's process ids say nothing here: its leftovers are not ours to judge.
    return f".{label}-{platform.node()}-"


def _stale(target: Path, label: str) -> list[Path]:
    """Temporaries for ``target`` whose process on this host is gone. Our own id can only be an earlier process's."""
    found = []
    with contextlib.suppress(OSError):
        for entry in target.parent.iterdir():
            process, _, name = entry.name.removeprefix(_prefix(label)).partition("-")
            ours = entry.name.startswith(_prefix(label)) and name == target.name and process.isdigit()
            if ours and (int(process) == os.getpid() or not _alive(int(process))):
                found.append(entry)
    return found


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


@contextlib.contextmanager
def _told(path: Path, temporary: Path) -> Iterator[None]:
    """Turn a failing write into an `OutputError` that names the target; let every other error through."""
    try:
        yield
    except Exception as error:
        number = _write_error(error, temporary)
        if number is None:
            raise
        fix = "Free some space or name another output" if number in _NO_ROOM else "Name another output"
        raise OutputError(f"cannot be written: {os.strerror(number)}", source=path, fix=fix) from error


def _write_error(error: Exception, temporary: Path) -> int | None:
    """The error number with which writing below ``temporary`` failed, or None if the error is another one."""
    if isinstance(error, OSError):
        if error.errno in _NO_ROOM:
            return error.errno
        if error.errno in _REFUSED and any(_below(name, temporary) for name in (error.filename, error.filename2)):
            return error.errno
        # numpy counts the bytes and has no error number.
        if error.errno is None and re.search(r"\d+ requested and \d+ written", str(error)):
            return errno.ENOSPC
    # safetensors wraps the operating system's error in its own class.
    told = re.search(r"\(os error (\d+)\)", str(error))
    return int(told[1]) if told and int(told[1]) in _NO_ROOM else None


def _below(name: object, temporary: Path) -> bool:
    """Whether ``name`` is the temporary path or inside it."""
    if not isinstance(name, str | os.PathLike):
        return False
    path = Path(os.path.abspath(name))
    return path == temporary or temporary in path.parents
