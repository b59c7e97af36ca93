"""The beginning of a file that is being downloaded, and what is noted of it; room on the disk for the rest."""

from __future__ import annotations

import errno
import json
import shutil
from io import FileIO
from pathlib import Path
from typing import Literal, NamedTuple

from epinformer.errors import OutputError


class Part(NamedTuple):
    """What is there of a file: bytes, what the server said to know the version by, and its whole length."""

    done: int = 0
    validator: str | None = None
    total: int | None = None


def part_of(part: Path, url: str) -> Part:
    """What an earlier attempt left of the file at an address; nothing if it is not known what it is a part of."""
    try:
        said = json.loads(memo(part).read_text())
        if said["url"] == url:
            validator, total = said["validator"], said["total"]
            return Part(part.stat().st_size, None if validator is None else str(validator), total and int(total))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return Part()


def memo(part: Path) -> Path:
    """The file beside a part that says what it is a part of."""
    return part.with_name(part.name + ".json")


def discard(part: Path) -> None:
    """Remove a part and what is noted of it."""
    part.unlink(missing_ok=True)
    memo(part).unlink(missing_ok=True)


def note(part: Path, url: str, start: Part) -> None:
    """Write down what a part is a part of."""
    text = json.dumps({"url": url, "validator": start.validator, "total": start.total})
    with opened(memo(part), "wb") as handle:
        append(handle, text.encode(), part)


def opened(path: Path, mode: Literal["ab", "wb"]) -> FileIO:
    """Open a file for writing, without a buffer: what was written is there, whatever happens next.

    Raises
    ------
    OutputError
        It cannot be opened.
    """
    try:
        return path.open(mode, buffering=0)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", source=path, fix="Name another folder") from error


def append(handle: FileIO, block: bytes, part: Path) -> None:
    """Write all of a block.

    Raises
    ------
    OutputError
        The disk is full or refuses.
    """
    rest = memoryview(block)
    while rest:
        try:
            rest = rest[handle.write(rest) :]
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise OutputError(
                f"cannot be written: {error.strerror}",
                source=part,
                fix=f"{'Free some space' if full else 'Name another folder'}; what came is kept",
            ) from error


def require_room(folder: Path, needed: int, source: Path) -> None:
    """Check that the disk has room.

    Raises
    ------
    OutputError
        It has not.
    """
    free = free_bytes(folder)
    if needed > free:
        raise OutputError(
            f"{needed:,} bytes are still to come, and the disk has {free:,} free",
            source=source,
            fix="Free some space or name another folder",
        )


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder that may not be there yet."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(there).free
