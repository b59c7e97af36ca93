"""Open text files, plain or gzipped, and tell what can be wrong with them as such."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from epinformer.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
# bgzip ends every file with this empty block; a copy cut between two blocks is valid gzip but lacks it.
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@contextmanager
def open_text(path: Path) -> Iterator[Iterator[str]]:
    """Open a file as lines of text, unpacking gzip by its content, not its name.

    Raises
    ------
    InputError
        The name says gzip and the content does not, bgzip lacks its end, or there is gzip inside gzip.
    """
    with path.open("rb") as raw, io.TextIOWrapper(unpacked(path, raw), encoding="utf-8-sig") as text:
        yield text


def unpacked(path: Path, raw: io.BufferedReader) -> gzip.GzipFile | io.BufferedReader:
    """The bytes of an open file, unpacking gzip as `open_text` does, with the same errors."""
    magic = raw.read(16)
    raw.seek(0)
    if magic[:2] == _GZIP_MAGIC:
        _refuse_cut_bgzip(path, raw, magic)
        content = gzip.GzipFile(fileobj=raw)
        if content.peek(2)[:2] == _GZIP_MAGIC:
            raise InputError("is gzip inside gzip", source=path, fix="Unpack it once")
        return content
    if path.suffix in (".gz", ".bgz") and magic:
        raise InputError("is named .gz but is not gzip", source=path, fix="Compress it or drop the .gz of its name")
    return raw


def _refuse_cut_bgzip(path: Path, raw: io.BufferedReader, magic: bytes) -> None:
    if magic[3] != 4 or magic[12:14] != b"BC":
        return
    size = raw.seek(0, io.SEEK_END)
    raw.seek(max(0, size - len(_BGZIP_END)))
    complete = raw.read() == _BGZIP_END
    raw.seek(0)
    if not complete:
        raise _truncated(path)


def _truncated(path: Path) -> InputError:
    return InputError("is truncated: its compressed data end too early", source=path, fix="Copy or download it again")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what can go wrong while reading into an `InputError` that names the file."""
    try:
        yield
    except EOFError as error:
        raise _truncated(path) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"has damaged gzip data: {error}", source=path, fix="Copy or download it again") from error
    except UnicodeDecodeError as error:
        raise InputError("is not text", source=path, fix="Give a plain or gzipped text table") from error
    except csv.Error as error:
        raise InputError(f"is not a table: {error}", source=path, fix="Check quotes and separators") from error
    except FileNotFoundError as error:
        raise InputError("there is no such file", source=path, fix="Check its path") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", source=path, fix="Check the file") from error
