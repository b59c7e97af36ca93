"""Bring published files into a folder: whole, checked, and never over a good one."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, NamedTuple

from epinformer.errors import FetchError, OutputError
from epinformer.fetch.part import discard, memo, part_of, require_room
from epinformer.fetch.record import add_record, read_record
from epinformer.fetch.registry import Entry, Wanted
from epinformer.fetch.transfer import GO_ON, Patience, Progress, by_hand, remote_size, transfer
from epinformer.files import locked

logger = logging.getLogger(__name__)

State = Literal["good", "unchecked", "bad", "missing"]
Meter = Callable[[str], AbstractContextManager[Progress]]

_HASHED_BYTES = 1 << 20


class Found(NamedTuple):
    """What stands under a file's name: whether it is good, and what is known or wrong of it in words."""

    state: State
    words: str


class Planned(NamedTuple):
    """What `fetch_files` would do: ``here`` bytes are there, of ``size`` (None: nobody says)."""

    name: str
    entry: Entry
    found: Found
    here: int
    size: int | None


class Outcome(NamedTuple):
    """A file that is there now, and how many bytes came over the network for it."""

    name: str
    path: Path
    found: Found
    received: int


def fetch_files(
    wanted: Sequence[Wanted],
    folder: str | Path,
    *,
    overwrite: bool = False,
    patience: Patience | None = None,
    meter: Meter | None = None,
) -> list[Outcome]:
    """Download files into a folder, which is made if it is not there; one that fails does not stop the others.

    Parameters
    ----------
    wanted
        What to download (`registry.chosen`).
    folder
        Where to. A file is called ``NAME.part`` until it is complete and checked.
    overwrite
        Download again what is there and does not pass its check, or has none; a good file is never touched.
    patience
        How long to wait for the servers.
    meter
        Called with a file's name, gives a context with the function of (done, total) bytes for it.

    Returns
    -------
    list of Outcome
        In the order of ``wanted``.

    Raises
    ------
    FetchError
        A file cannot be downloaded, is not what was published, or a bad one stands in its place. What came is kept
        where it can be used, and the same call goes on.
    OutputError
        The folder cannot be written, its disk has no room, or another process downloads the same file into it.
    """
    folder = Path(folder)
    patience = patience or Patience()
    _make(folder)
    new = [entry for _, entry in wanted if entry.size is not None and not (folder / entry.file).exists()]
    require_room(
        folder, sum((entry.size or 0) - part_of(_part(folder, entry), entry.url).done for entry in new), folder
    )
    outcomes, failures = [], []
    for name, entry in wanted:
        try:
            with nullcontext(None) if meter is None else meter(f"fetching {entry.file}") as progress:
                outcomes.append(_fetch(name, entry, folder, overwrite, patience, progress))
        except FetchError as error:
            if len(wanted) > 1:
                logger.warning("%s", error)
            failures.append(error)
    if len(failures) > 1:
        raise FetchError(
            f"{len(failures)} of {len(wanted)} files are not there", count=len(failures), first=failures[0], fix=GO_ON
        )
    if failures:
        raise failures[0]
    return outcomes


def plan(wanted: Sequence[Wanted], folder: str | Path, *, patience: Patience | None = None) -> list[Planned]:
    """Say what `fetch_files` would do, without writing anything; servers are asked for lengths that nobody published.

    Raises
    ------
    FetchError, OutputError
        ``fetched.json`` is damaged, or a folder stands under a file's name.
    """
    folder = Path(folder)
    planned = []
    for name, entry in wanted:
        found = examine(entry, folder)
        part = _part(folder, entry)
        here = (folder / entry.file).stat().st_size if found.state != "missing" else part_of(part, entry.url).done
        size = entry.size
        if size is None:
            size = remote_size(entry, patience or Patience()) if found.state == "missing" else here
        planned.append(Planned(name, entry, found, here, size))
    return planned


def examine(entry: Entry, folder: Path) -> Found:
    """Check what stands under a file's name: its length, then its checksum, published or recorded at the download.

    Raises
    ------
    FetchError
        ``fetched.json`` is damaged.
    OutputError
        It is a folder.
    """
    path = folder / entry.file
    if not path.exists():
        return Found("missing", "is not there")
    if not path.is_file():
        raise OutputError("is not a file, and one is to be written", source=path, fix="Name another folder")
    recorded = read_record(folder).get(entry.file)
    if recorded is not None and recorded.url != entry.url:
        recorded = None  # of another version, which the registry had
    length = path.stat().st_size
    if entry.size is not None and length != entry.size:
        return Found("bad", f"has {length:,} bytes, and {entry.size:,} are published")
    if entry.has_checksum:
        wrong = _wrong(entry, _digests(path, _published(entry)))
        return Found("bad", wrong) if wrong else Found("good", "as published")
    if recorded is None:
        return Found("unchecked", "no checksum is published, and it was not downloaded by this program")
    if length != recorded.size or _digests(path, {"sha256"})["sha256"] != recorded.sha256:
        return Found("bad", f"is not what was downloaded on {recorded.date}")
    return Found("good", f"as downloaded on {recorded.date}")


def _fetch(
    name: str, entry: Entry, folder: Path, overwrite: bool, patience: Patience, progress: Progress | None
) -> Outcome:
    target, lock = folder / entry.file, folder / f".{entry.file}.lock"
    with locked(lock, patience=patience.lock):
        # Under the lock: another process may just have completed it.
        found = examine(entry, folder)
        if found.state == "bad" and not overwrite:
            raise FetchError(
                f"{found.words}; it is kept", source=target, fix="Remove it or pass --overwrite to download it again"
            )
        received = 0
        if found.state == "unchecked" and not overwrite:
            logger.warning("%s: is kept unchecked: %s", target, found.words)
        elif found.state == "good":
            logger.info("%s: is there, %s", target, found.words)
        else:
            received = _download(entry, folder, patience, progress)
            found = Found("good", "as published" if entry.has_checksum else "its SHA-256 is recorded")
            logger.info("%s: %s bytes, %s", target, f"{target.stat().st_size:,}", found.words)
        # Only where the file is there: whoever waited for this lock then finds it, and downloads nothing.
        lock.unlink(missing_ok=True)
    return Outcome(name, target, found, received)


def _download(entry: Entry, folder: Path, patience: Patience, progress: Progress | None) -> int:
    part = _part(folder, entry)
    received = transfer(entry, part, patience=patience, progress=progress)
    length = part.stat().st_size
    if part_of(part, entry.url).total is None and entry.size is None and not entry.has_checksum:
        logger.warning("%s: neither its server nor a publication says how long it is; it may be cut", entry.file)
    digests = _digests(part, _published(entry).keys() | {"sha256"})
    wrong = _wrong(entry, digests)
    if entry.size is not None and length != entry.size:
        wrong = f"{length:,} bytes came, and {entry.size:,} are published"
    if wrong:
        discard(part)
        raise FetchError(
            f"is not what was published: {wrong}; it is not kept",
            source=entry.url,
            fix=f"Run the same command again, in case it was damaged on the way. {by_hand(entry, folder)}",
        )
    # Before the name: a file without a published checksum must never stand there unrecorded.
    add_record(folder, entry.file, url=entry.url, size=length, sha256=digests["sha256"], patience=patience.lock)
    os.replace(part, folder / entry.file)
    memo(part).unlink(missing_ok=True)
    return received


def _published(entry: Entry) -> dict[str, str]:
    """The checksums that are known of a file, by kind."""
    return {kind: value for kind, value in (("md5", entry.md5), ("sha256", entry.sha256)) if value is not None}


def _digests(path: Path, kinds: Collection[str]) -> dict[str, str]:
    """Checksums of some kinds, in one pass."""
    sums = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    with path.open("rb", buffering=0) as handle:
        while block := handle.read(_HASHED_BYTES):
            for one in sums.values():
                one.update(block)
    return {kind: one.hexdigest() for kind, one in sums.items()}


def _wrong(entry: Entry, digests: dict[str, str]) -> str | None:
    """Which published checksum is not met."""
    for kind, published in _published(entry).items():
        if digests[kind] != published:
            return f"its {kind} is {digests[kind]}, and {published} is published"
    return None


def _part(folder: Path, entry: Entry) -> Path:
    return folder / f"{entry.file}.part"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made: {error.strerror}", source=folder, fix="Name another folder") from error
