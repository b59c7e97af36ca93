"""The records of a BAM file, taken apart many at once.

The blocks of a file are unpacked by threads, which leave the interpreter free meanwhile, and the fields of some 20,000
records are gathered by a few array operations: one object a record costs more.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from isal import igzip_lib, isal_zlib

_READ_BYTES = 1 << 20  # more than a block has
# A block of BGZF: gzip with one extra field of six bytes, whose last two are the block's size - 1 (SAM specification,
# section 4.1).
_BLOCK = struct.Struct("<4s6x6sH")
_GZIP = 31  # zlib's number for data with a gzip header
_BLOCK_MAGIC, _BLOCK_EXTRA = b"\x1f\x8b\x08\x04", b"\x06\x00BC\x02\x00"
LARGEST_BLOCK = 1 << 16
# A record (SAM specification, section 4.2), up to the flag; the name begins at byte 36 and the CIGAR follows it.
_FIELDS = np.dtype(
    [
        ("size", "<u4"),
        ("reference", "<i4"),
        ("position", "<i4"),
        ("name_length", "u1"),
        ("quality", "u1"),
        ("bin", "<u2"),
        ("operations", "<u2"),
        ("flag", "<u2"),
    ]
)
_NAME = 36
_SIZE = struct.Struct("<I")
_LARGEST_RECORD = 1 << 28
# Which CIGAR operations cover the reference: M, D, N, = and X of MIDNSHP=X.
_ON_REFERENCE = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1] + [0] * 7, dtype=np.int64)


class Reads(NamedTuple):
    """Arrays (n,) of consecutive reads: reference's number (-1: none), what is covered of it, flag and MAPQ."""

    reference: np.ndarray
    start: np.ndarray
    end: np.ndarray
    flag: np.ndarray
    quality: np.ndarray


def blocks(
    path: Path, offset: int, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[memoryview, list[int]]]:
    """Compressed bytes of a file from ``offset`` on, and the bounds of the whole blocks in them."""
    with path.open("rb", buffering=0) as handle:
        size = path.stat().st_size
        while offset < size:
            handle.seek(offset)
            data = handle.read(_READ_BYTES)
            bounds = [0]
            while len(data) >= bounds[-1] + _BLOCK.size:
                magic, extra, last = _BLOCK.unpack_from(data, bounds[-1])
                if magic != _BLOCK_MAGIC or extra != _BLOCK_EXTRA:
                    raise ValueError("a block of compressed data does not begin where the one before it ends")
                if bounds[-1] + last >= len(data):
                    break
                bounds.append(bounds[-1] + last + 1)
            if bounds[-1] == 0:
                raise EOFError("the last block of compressed data is not whole")
            yield memoryview(data), bounds
            offset += bounds[-1]
            if progress is not None:
                progress(min(offset, size), size)


def unpacked(compressed: tuple[memoryview, list[int]]) -> list[bytes]:
    """The content of each of the blocks that `blocks` gives, after a comparison of their checksums."""
    data, bounds = compressed
    try:
        # Twice as fast as zlib's, which would be half of the whole time.
        return [isal_zlib.decompress(data[start:end], _GZIP, LARGEST_BLOCK) for start, end in pairwise(bounds)]
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stubs take the class for an instance
        raise ValueError(f"damaged compressed data: {error}") from error


def records(contents: Iterable[list[bytes]], skip: int) -> Iterator[tuple[bytes, np.ndarray]]:
    """Bytes, and where whole records begin in them, int64; ``skip`` bytes lie before the first."""
    rest = b""
    for content in contents:
        data = b"".join([rest, *content])
        starts = np.fromiter(_starts(data, skip), np.int64)
        if not len(starts):
            rest = data
        else:
            (size,) = _SIZE.unpack_from(data, starts[-1])
            if size > _LARGEST_RECORD:
                raise ValueError(f"a record of {size:,} bytes")
            end = int(starts[-1]) + _SIZE.size + size
            if end > len(data):
                end, starts = int(starts[-1]), starts[:-1]
            rest = data[end:]
            skip = 0
            if len(starts):
                yield data, starts
    if len(rest) > skip:
        raise EOFError("the last record is not whole")


def _starts(data: bytes, at: int) -> Iterator[int]:
    """Where records begin, of which the last may not be whole; their sizes are as they come, but not negative."""
    size_at = _SIZE.unpack_from
    with contextlib.suppress(struct.error):  # at the end of the data
        while True:
            (size,) = size_at(data, at)
            yield at
            at += size + 4


def parsed(data: bytes, starts: np.ndarray) -> Reads:
    """The fields of records that begin at ``starts``."""
    if starts[-1] > len(data) - _NAME:
        raise ValueError("a last record that is too short")
    # A view of as many bytes from every byte on, of which those at the starts are taken. Plain bytes are copied ten
    # times as fast as fields.
    every = np.ndarray((len(data) - _FIELDS.itemsize + 1,), f"V{_FIELDS.itemsize}", data, strides=(1,))
    fields = every[starts].view(_FIELDS)
    if (fields["size"] < _NAME - _SIZE.size).any():
        raise ValueError(f"a record of {fields['size'].min()} bytes")
    operations = fields["operations"].astype(np.int64)
    cigar = starts + _NAME + fields["name_length"]
    if (cigar + 4 * operations > starts + _SIZE.size + fields["size"]).any():
        raise ValueError("a record that is too short for its CIGAR")
    start = fields["position"].astype(np.int64)
    end = start + np.maximum(_reference_lengths(data, cigar, operations), 1)
    return Reads(fields["reference"], start, end, fields["flag"], fields["quality"])


def _reference_lengths(data: bytes, cigar: np.ndarray, operations: np.ndarray) -> np.ndarray:
    """Bases of the reference that CIGARs span, int64, of ``operations`` each that begin at the bytes ``cigar``."""
    encoded = np.ndarray((max(0, len(data) - 3),), "<u4", data, strides=(1,))
    if (operations == 1).all():
        codes = encoded[cigar]
        return (codes >> 4) * _ON_REFERENCE[codes & 15]
    row = np.repeat(np.arange(len(cigar)), operations)
    before = np.cumsum(operations) - operations
    codes = encoded[cigar[row] + 4 * (np.arange(len(row)) - before[row])]
    return np.bincount(row, (codes >> 4) * _ON_REFERENCE[codes & 15], minlength=len(cigar)).astype(np.int64)
