"""The records of a FASTA file as base codes: held in memory, or read through an index."""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

import numpy as np
import pysam

from epinformer.bases import encode
from epinformer.errors import InputError, OutputError
from epinformer.files import atomic_file

logger = logging.getLogger(__name__)

IN_MEMORY = 64_000_000
"""Files of up to about this many bytes of text are read whole: quick, and needs no index."""

_COMPRESSION = 4  # DNA text over its gzip size, about
_CHUNK = 1 << 22
_HEADER = 1 << 13
_LETTERS = bytes(range(ord("A"), ord("Z") + 1)) + bytes(range(ord("a"), ord("z") + 1)) + b"*-. \t\r\n\v\f"
# The empty block that ends every complete bgzip file (SAM specification, section 4.1.2).
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class Record(NamedTuple):
    """A record: the first word of its header, the rest of it, and its length in bases."""

    name: str
    description: str
    length: int


class Fasta(Protocol):
    """Where bases come from: the n-th record's codes by position within it."""

    records: list[Record]

    def codes(self, number: int, start: int, end: int) -> np.ndarray:
        """uint8 (end - start,) of record ``number``; 0 <= start <= end <= its length."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def open_fasta(path: Path) -> Fasta:
    """Open a FASTA file: plain, bgzip or gzip.

    Up to about `IN_MEMORY` bytes it is read whole. A larger plain or bgzip file is read through its ``.fai`` (and
    ``.gzi``), which are made beside it when they are missing and the folder is writable. What cannot be indexed (gzip,
    a folder that is read-only) is read whole, too.

    Raises
    ------
    InputError
        The file is missing, empty, unreadable, not FASTA, or truncated, or its index is of another file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            head = handle.read(18)
            handle.seek(max(0, size - len(_BGZIP_END)))
            tail = handle.read()
    except FileNotFoundError as error:
        raise InputError("does not exist", source=path, fix="Check the path of the genome") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=path) from error
    if not size:
        raise InputError("is empty", source=path, fix="Download it again")
    compressed = head.startswith(b"\x1f\x8b")
    blocked = compressed and len(head) == 18 and bool(head[3] & 4) and head[12:16] == b"BC\x02\x00"
    if blocked and tail != _BGZIP_END:
        raise InputError("is a truncated bgzip file", source=path, fix="Download it again")
    if size * (_COMPRESSION if compressed else 1) <= IN_MEMORY:
        return _MemoryFasta(path, compressed)
    if compressed and not blocked:
        logger.warning(
            "%s is gzip, which cannot be read in parts: it is read whole, which takes time and memory. Compress it "
            "with bgzip to avoid that.",
            path,
        )
        return _MemoryFasta(path, compressed)
    if _ensure_index(path, blocked):
        return _IndexedFasta(path, blocked)
    logger.warning("%s has no index and its folder is not writable: it is read whole, which takes memory.", path)
    return _MemoryFasta(path, compressed)


class _MemoryFasta:
    """Every record's codes in memory, one byte a base."""

    def __init__(self, path: Path, compressed: bool) -> None:
        self.records: list[Record] = []
        self._codes: list[np.ndarray] = []
        try:
            with gzip.open(path, "rb") if compressed else path.open("rb") as handle:
                for header, codes in _parse(cast(BinaryIO, handle), path):
                    name, _, description = header.partition(" ")
                    self.records.append(Record(name, description.strip(), len(codes)))
                    self._codes.append(codes)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"is a truncated or damaged gzip file ({error})", source=path, fix="Download it again"
            ) from error
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", source=path) from error

    def codes(self, number: int, start: int, end: int) -> np.ndarray:
        return self._codes[number][start:end]

    def close(self) -> None:
        self._codes = [np.zeros(0, dtype=np.uint8) for _ in self._codes]


def _parse(handle: BinaryIO, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Header and codes of each record."""
    header: str | None = None
    parts: list[bytes] = []
    number = 0
    while lines := handle.readlines(_CHUNK):
        first = 0
        for i, line in enumerate(lines):
            number += 1
            if line.startswith(b">"):
                if header is not None:
                    yield header, _joined(header, [*parts, *lines[first:i]], path)
                header = _header(line, path, number)
                parts, first = [], i + 1
            elif header is None and line.strip():
                raise InputError(
                    "is not FASTA: its first line does not start with '>'", source=path, first=_shown(line)
                )
        # Joined once a chunk, so that a chromosome is not held as millions of small lines.
        parts.append(b"".join(lines[first:]).translate(None, b"\r\n"))
    if header is None:
        raise InputError("is empty", source=path, fix="Download it again")
    yield header, _joined(header, parts, path)


def _header(line: bytes, path: Path, number: int) -> str:
    header = " ".join(line[1:].decode("utf-8", errors="replace").split())
    if not header:
        raise InputError("has a record without a name", source=path, first=f"line {number}")
    return header


def _joined(header: str, parts: list[bytes], path: Path) -> np.ndarray:
    text = b"".join(parts)
    strange = text.translate(None, _LETTERS)
    if strange:
        raise InputError(
            f"is not FASTA: record {header.split()[0]} holds characters that are no letters",
            source=path,
            count=len(strange),
            first=_shown(strange[:1]),
        )
    codes = encode(text)
    if not len(codes):
        raise InputError("has a record without bases", source=path, first=header.split()[0], fix="Download it again")
    return codes


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("latin-1").rstrip("\r\n"))


class _IndexedFasta:
    """Random access through the index. Not to be shared between processes or threads."""

    def __init__(self, path: Path, blocked: bool) -> None:
        self._path = path
        try:
            entries = _entries(path)
            # The index has no descriptions, and nothing in it says which file it was made from: read the headers.
            with _Text(path, blocked) as text:
                self.records = _records(path, entries, text)
            self._fasta = pysam.FastaFile(str(path))
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise InputError(
                f"cannot be read through its index ({error})", source=path, fix=f"Remove {path.name}.fai and run again"
            ) from error

    def codes(self, number: int, start: int, end: int) -> np.ndarray:
        if start == end:
            return np.zeros(0, dtype=np.uint8)
        record = self.records[number]
        try:
            codes = encode(self._fasta.fetch(record.name, start, end).encode("latin-1"))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"cannot be read at {record.name}:{start}-{end} ({error})", source=self._path) from error
        if len(codes) != end - start:
            raise InputError(
                f"ends or is damaged within {record.name}:{start}-{end}", source=self._path, fix="Download it again"
            )
        return codes

    def close(self) -> None:
        self._fasta.close()


class _Entry(NamedTuple):
    """A line of the .fai: name, bases, byte of the first base, bases and bytes of a full line."""

    name: str
    length: int
    offset: int
    line_bases: int
    line_bytes: int

    @property
    def end(self) -> int:
        """The byte after the last base."""
        lines, column = divmod(self.length - 1, self.line_bases)
        return self.offset + lines * self.line_bytes + column + 1


def _entries(path: Path) -> list[_Entry]:
    entries = []
    with Path(f"{path}.fai").open(encoding="utf-8") as handle:
        for line in handle:
            name, *numbers = line.rstrip("\n").split("\t")
            length, offset, line_bases, line_bytes = (int(number) for number in numbers[:4])
            if min(length, line_bases) < 1 or offset < 2 or line_bytes < line_bases:
                raise ValueError(f"record {name} without bases")
            entries.append(_Entry(name, length, offset, line_bases, line_bytes))
    if not entries:
        raise InputError("has no records", source=path, fix="Check that it is a FASTA file")
    return sorted(entries, key=lambda entry: entry.offset)


def _records(path: Path, entries: list[_Entry], text: _Text) -> list[Record]:
    """List the records of an index, after finding the header of each where the index says."""
    records = []
    end = 0
    for entry in entries:
        before = max(0, entry.offset - _HEADER)
        chunk = text.read(before, entry.offset - before).rstrip(b"\r\n")
        begin = chunk.rfind(b"\n") + 1
        header = " ".join(chunk[begin + 1 :].decode("utf-8", errors="replace").split())
        name, _, description = header.partition(" ")
        if chunk[begin : begin + 1] != b">" or name != entry.name:
            raise InputError(
                "has an index that was made from another file",
                source=path,
                first=f"no header of {entry.name} before byte {entry.offset}",
                fix=f"Remove {path.name}.fai (and .gzi) and run again",
            )
        _check_gap(path, text, end, before + begin)
        records.append(Record(name, description, entry.length))
        end = entry.end
    if not text.read(end - 1, 1):
        raise InputError("is shorter than its index says", source=path, fix="Download it again")
    _check_gap(path, text, end, end + _HEADER)
    return records


def _check_gap(path: Path, text: _Text, start: int, end: int) -> None:
    """Between two records of the index lies nothing: indexing skips records with a name that was there before."""
    between = text.read(start, min(end - start, _HEADER)) if end > start else b""
    if between.strip():
        raise InputError(
            "has records that its index does not list",
            source=path,
            first=_shown(between.strip().splitlines()[0]),
            fix=f"Give records distinct names, remove {path.name}.fai (and .gzi) and run again",
        )


class _Text:
    """Bytes of the uncompressed text by position."""

    def __init__(self, path: Path, blocked: bool) -> None:
        self._handle: Any = pysam.BGZFile(str(path), "rb", index=None) if blocked else path.open("rb")
        self._blocks = np.zeros((1, 2), dtype=np.int64)
        if blocked:
            # .gzi: a count, then the (compressed, uncompressed) offsets of all blocks but the first; little-endian.
            index = np.fromfile(f"{path}.gzi", dtype="<u8").astype(np.int64)
            if not len(index) or len(index) != 1 + 2 * index[0]:
                self.close()
                raise ValueError("its .gzi is damaged")
            self._blocks = np.concatenate([self._blocks, index[1:].reshape(-1, 2)])
        self._blocked = blocked

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``."""
        if self._blocked:
            block, first = self._blocks[np.searchsorted(self._blocks[:, 1], offset, side="right") - 1]
            self._handle.seek(int(block) << 16)
            self._handle.read(offset - int(first))
        else:
            self._handle.seek(offset)
        return bytes(self._handle.read(size))

    def close(self) -> None:
        self._handle.close()

    def __enter__(self) -> _Text:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ensure_index(path: Path, blocked: bool) -> bool:
    """Make the index if it is not there. False when that is impossible for want of permission or space."""
    index, blocks = Path(f"{path}.fai"), Path(f"{path}.gzi")
    if index.exists() and (blocks.exists() or not blocked):
        return True
    if not os.access(path.parent, os.W_OK):
        return False
    logger.info("Indexing %s once: %s is written beside it.", path, index.name)
    try:
        with contextlib.ExitStack() as stack:
            arguments = []
            for option, target in [("--fai-idx", index), ("--gzi-idx", blocks)][: 1 + blocked]:
                temporary = stack.enter_context(atomic_file(target))
                temporary.touch()  # so that a folder we may not write to is told apart from a bad FASTA
                arguments += [option, str(temporary)]
            pysam.faidx(str(path), *arguments)
    except OutputError as error:
        logger.warning("%s", error)
        return False
    except pysam.SamtoolsError as error:
        raise InputError(
            "cannot be indexed: it is damaged, not FASTA, or its lines differ in length",
            source=path,
            fix="Check the file with `samtools faidx`",
        ) from error
    return True
