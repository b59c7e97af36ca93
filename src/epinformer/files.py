"""Write whole files or none: everything goes to a temporary name and is renamed when complete."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import fnmatch
import hashlib
import itertools
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from epinformer.errors import OutputError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Others say nothing of the output unless they name it: a block may also fail to read its input.
_REFUSED = frozenset(
    {errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.ENAMETOOLONG}
)
# What our directories hold (names, or patterns of names), by the file that marks them: all else in one is the user's,
# and is never deleted.
_CONTENTS = {
    "dataset.json": frozenset(
        {
            "dataset.json",
            "genes.parquet",
            "elements.parquet",
            "pairs.parquet",
            "sequence.npy",
            "windows.parquet",
            "windows.npy",
        }
    ),
    "model.json": frozenset({"model.json", "model.safetensors"}),
    "combiner.json": frozenset({"combiner.json", "held_out.tsv"}),
    "towers.json": frozenset({"towers.json", "towers.npy"}),
    "simulation.json": frozenset(
        {
            *("simulation.json", "config.yaml", "config_raw.yaml", "genome.fa", "genome.fa.fai", "genes.bed"),
            *(
                "half_life.csv",
                "expression.csv",
                "contacts.tsv",
                "contacts.cool",
                "variants.vcf.gz",
                "variants.vcf.gz.tbi",
            ),
            *("crispr.tsv", "dnase.narrowPeak", "h3k27ac.narrowPeak"),
            *(
                f"{experiment}.{what}"
                for experiment in ("dnase", "h3k27ac.rep1", "h3k27ac.rep2")
                for what in ("bam", "bam.bai", "bw", "elements.bedgraph", "promoters.bedgraph")
            ),
            *("truth/elements.tsv", "truth/genes.tsv", "truth/links.tsv", "truth/motif_sites.bed"),
            *("truth/motifs.meme", "truth/variants.tsv"),
        }
    ),
    "explain.json": frozenset(
        {
            *("explain.json", "attributions.h5", "attributions.bw", "regions.tsv", "tiles.tsv"),
            *("figures/[0-9][0-9][0-9][0-9]*_*.png", "figures/[0-9][0-9][0-9][0-9]*_*.pdf"),
        }
    ),
    "motifs.json": frozenset(
        {
            *("motifs.json", "motifs.html", "motifs.tsv", "matches.tsv", "hits.bed", "seqlets.bed", "enrichment.tsv"),
            *("patterns.meme", "modisco.h5", "logos/pos_[0-9]*.png", "logos/neg_[0-9]*.png"),
            *(
                f"figures/{name}.{suffix}"
                for name in ("motifs", "enrichment", "[0-9][0-9][0-9][0-9]*_*")
                for suffix in ("png", "pdf")
            ),
        }
    ),
}
_HASHED_BYTES = 1 << 18
_PROBE = bytes(1 << 20)
# Process ids come again, and threads share one: this run and the call are in the name of a temporary, too.
_RUN = uuid.uuid4().hex[:8]
_CALLS = itertools.count()


def sha256(path: str | Path, progress: Callable[[int], None] | None = None) -> str:
    """Hexadecimal SHA-256 of a file's bytes; ``progress`` is called with the number of bytes read so far."""
    digest = hashlib.sha256()
    done = 0
    with open(path, "rb", buffering=0) as handle:
        while block := handle.read(_HASHED_BYTES):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done)
    return digest.hexdigest()


def refuse_output(
    path: str | Path, *, overwrite: bool, marker: str | tuple[str, ...], inputs: Iterable[str | Path] = ()
) -> None:
    """Say before the work that `atomic_directory` would refuse its result, or that it would replace an input.

    Parameters
    ----------
    path, overwrite, marker
        As `atomic_directory` will get them.
    inputs
        Files that the work reads.

    Raises
    ------
    OutputError
        ``path`` may not be replaced, its folder does not exist, or it is or holds one of the inputs.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    held = [str(name) for name in inputs if _below(os.path.realpath(name), target)]
    if held:
        raise OutputError(
            "is or holds what is to be read", source=path, count=len(held), first=held[0], fix="Name another output"
        )
    _check_replaceable(path, overwrite, marker)
    _require_folder(path, target)


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
        Replace an existing directory, if it is empty or one of ours and holds nothing else.
    marker
        Name of the file (or names, any of them) by which a directory is known to be one of ours.

    Raises
    ------
    OutputError
        ``path`` exists and ``overwrite`` is false, or it is something else than an empty directory or one with the
        marker and files that go with it; its parent does not exist; or the disk is full or not writable.
    """
    path = Path(path)
    _check_replaceable(path, overwrite, marker)
    target, temporary = _prepared(path)
    try:
        with _told(path, temporary):
            temporary.mkdir()
            yield temporary
            # The work may have taken hours, in which somebody put something there.
            _check_replaceable(path, overwrite, marker)
            _swap(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def locked(path: str | Path, *, patience: float = 10.0) -> Iterator[None]:
    """Hold a lock file, which is made if it is not there, for as long as the block runs; a killed process lets go.

    The helpers of a killed process notice only after seconds that it is gone, so ``patience`` seconds are waited.

    Raises
    ------
    OutputError
        Another process holds the lock, or the file cannot be made.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        with _told(path, path):
            handle = stack.enter_context(path.open("wb"))
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise OutputError(
                        "another process is at work here", source=path.parent, fix="Wait for it, or name another output"
                    ) from error
                time.sleep(0.1)
        yield


def write_failure(path: Path) -> OSError:
    """The system's reason why ``path`` cannot be written, found by writing another file beside it.

    For libraries that say that they failed, but not why.
    """
    probe = path.with_name(f"{path.name}.probe")
    try:
        with probe.open("wb") as handle:
            handle.write(_PROBE)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        return error
    finally:
        probe.unlink(missing_ok=True)
    return OSError(errno.EIO, os.strerror(errno.EIO), str(path))


def _check_replaceable(path: Path, overwrite: bool, marker: str | tuple[str, ...]) -> None:
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
        entries = _entries(path)
    if not entries:
        return
    markers = (marker,) if isinstance(marker, str) else marker
    present = [name for name in markers if entries.get(name)]
    if not present:
        raise OutputError(
            f"is not overwritten: it holds no {' or '.join(markers)}, so it is not a result of this program",
            source=path,
            fix="Name another output, or remove the folder yourself",
        )
    ours = frozenset[str]().union(*(_CONTENTS.get(name, {name}) for name in present))
    strangers = sorted(
        name
        for name, is_file in entries.items()
        if not is_file or not any(fnmatch.fnmatchcase(name, pattern) for pattern in ours)
    )
    if strangers:
        raise OutputError(
            "is not overwritten: it also holds what this program did not write",
            source=path,
            count=len(strangers),
            first=strangers[0],
            fix="Move that elsewhere, or name another output",
        )


def _entries(folder: Path) -> dict[str, bool]:
    """What a directory holds, and whether each is a file; of a subfolder that a result of ours has, what it holds."""
    entries = {entry.name: entry.is_file() for entry in folder.iterdir()}
    ours = [name for marker, names in _CONTENTS.items() if entries.get(marker) for name in names if "/" in name]
    for subfolder in {folder / name.partition("/")[0] for name in ours}:
        if subfolder.is_dir() and not subfolder.is_symlink():
            del entries[subfolder.name]
            entries |= {f"{subfolder.name}/{entry.name}": entry.is_file() for entry in subfolder.iterdir()}
    return entries


def _swap(temporary: Path, target: Path) -> None:
    """Put the finished directory in the place of the old one, which stays recoverable until then."""
    if not target.exists():
        os.replace(temporary, target)
        return
    retired = _name(target, "old")
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
    _require_folder(path, target)
    # A process killed between the two renames of a replacement left the old directory under its retired name only.
    for retired in _stale(target, "old"):
        if target.exists():
            _remove(retired)
        else:
            os.replace(retired, target)
    for leftover in _stale(target, "tmp"):
        _remove(leftover)
    return target, _name(target, "tmp")


def _require_folder(path: Path, target: Path) -> None:
    if not target.parent.is_dir():
        raise OutputError("its folder does not exist", source=path, fix=f"Create {path.absolute().parent} first")


def _name(target: Path, label: str) -> Path:
    return target.with_name(f"{_prefix(label)}{os.getpid()}-{_RUN}.{next(_CALLS)}-{target.name}")


def _prefix(label: str) -> str:
    # Another host's process ids say nothing here: its leftovers are not ours to judge.
    return f".{label}-{platform.node()}-"


def _stale(target: Path, label: str) -> list[Path]:
    """Temporaries for ``target`` whose process on this host is gone, an earlier one with our own id among them."""
    found = []
    with contextlib.suppress(OSError):
        for entry in target.parent.iterdir():
            process, _, rest = entry.name.removeprefix(_prefix(label)).partition("-")
            call, _, name = rest.partition("-")
            if not entry.name.startswith(_prefix(label)) or name != target.name or not process.isdigit():
                continue
            earlier = int(process) == os.getpid() and not call.startswith(f"{_RUN}.")
            if earlier or not _alive(int(process)):
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
