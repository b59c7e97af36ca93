"""The bigWig format: its index, and the intervals of many blocks at once.

The layout is described in the supplement of Kent et al. 2010 (doi:10.1093/bioinformatics/btq351). Zoom levels are not
read: they are summaries, and what is computed of them is not exact.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from isal import igzip_lib, isal_zlib

from epinformer.errors import InputError

_SIGNATURE, _BIGBED = 0x888FFC26, 0x8789F2EB
_CHROMOSOMES, _INDEX = 0x78CA8C91, 0x2468ACE0
_AGAIN = "Copy or download it again"
_LARGEST_BUFFER = 1 << 20
_LONGEST_NAME = 1 << 12
_HEADER, _BLOCK = "IHHQQQHHQQIQ", "5IBxH"
_BLOCK_SIZE = 24
# What an interval of a block of each kind says: bedGraph, variable step, fixed step.
_FIELDS = {1: ("start", "end", "value"), 2: ("start", "value"), 3: ("value",)}


class Intervals(NamedTuple):
    """Stretches of one value, in a chromosome's order: start, end uint32 (0-based half-open), value float32, (n,)."""

    start: np.ndarray
    end: np.ndarray
    value: np.ndarray


class _Block(NamedTuple):
    """The header of a block and its intervals as bytes."""

    kind: int
    start: int
    step: int
    span: int
    items: int
    payload: memoryview


class BigWig:
    """An open bigWig file; threads may read it at the same time.

    Attributes
    ----------
    path
        The file.
    lengths
        Chromosome -> length in bp, of those that the file lists, which need not be all of the assembly.
    blocks
        Chromosome -> its blocks in the chromosome's order, int64 (blocks, 4): start and end (0-based half-open) of what
        they cover, offset and size in the file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._order = self._checked_order()
        header = self._unpacked(_HEADER, 0)
        _, _, _, chromosomes, _, index, _, _, _, _, buffer, _ = header
        # 0 says that nothing is compressed; else it is the size to make room for, which damage must not make huge.
        self._buffer = min(buffer, _LARGEST_BUFFER)
        names = self._chromosomes(chromosomes)
        self.lengths = {name: length for name, length in names.values()}
        self._numbers = {name: number for number, (name, _) in names.items()}
        table = self._index(index)
        table = table[np.lexsort((table["start"], table["chrom"]))]
        unknown = ~np.isin(table["chrom"], list(names))
        if unknown.any() or (table["offset"] >= self._size).any() or (table["size"] > self._size).any():
            raise self._damaged("its index points to what is not there")
        places = np.stack([table[name].astype(np.int64) for name in ("start", "end", "offset", "size")], axis=1)
        self.blocks = {name: places[table["chrom"] == number] for name, number in self._numbers.items()}

    def intervals(self, chrom: str, blocks: np.ndarray) -> Intervals:
        """The intervals of some blocks of a chromosome, which are rows of ``self.blocks``.

        Raises
        ------
        InputError
            The blocks are damaged, or their intervals overlap or are out of order.
        """
        number = self._numbers[chrom]
        read = [self._block(number, chrom, offset, size) for _, _, offset, size in blocks.tolist()]
        runs = [self._decoded(kind, list(run)) for kind, run in groupby(read, key=lambda block: block.kind)]
        start, end, value = runs[0] if len(runs) == 1 else map(np.concatenate, zip(*runs, strict=True))
        wrong = end < start
        wrong[1:] |= start[1:] < end[:-1]
        if wrong.any():
            row = int(wrong.argmax())
            raise out_of_order(self.path, int(wrong.sum()), f"{chrom}:{start[row]}-{end[row]}")
        return Intervals(start, end, value)

    def _checked_order(self) -> str:
        """The byte order, by the signature that is at the file's start and at its end."""
        if not self._size:
            raise InputError("is empty", source=self.path, fix="Check how the file was made")
        first, last = self._read(0, min(4, self._size)), self._read(max(0, self._size - 4), min(4, self._size))
        for order in "<>":
            if first == struct.pack(order + "I", _BIGBED):
                raise InputError(
                    "is a bigBed file, which has regions and no signal", source=self.path, fix="Give a bigWig file"
                )
            if first == struct.pack(order + "I", _SIGNATURE):
                if last != first:
                    raise InputError(
                        "is truncated: it does not end with the signature of bigWig", source=self.path, fix=_AGAIN
                    )
                return order
        raise InputError(
            "is no bigWig file",
            source=self.path,
            fix="Give a bigWig file; `bedGraphToBigWig` makes one of a bedGraph table",
        )

    def _chromosomes(self, at: int) -> dict[int, tuple[str, int]]:
        """Number of each chromosome -> its name and length."""
        signature, _, key_size, value_size = self._unpacked("4I", at)
        if signature != _CHROMOSOMES or value_size != 8 or not 0 < key_size <= _LONGEST_NAME:
            raise self._damaged("its list of chromosomes is not where it should be")
        item = np.dtype([("key", f"S{key_size}"), ("chrom", self._order + "u4"), ("length", self._order + "u4")])
        child = np.dtype([("key", f"S{key_size}"), ("child", self._order + "u8")])
        try:
            return {
                int(number): (key.decode(), int(length))
                for items in self._leaves(at + 32, item, child)
                for key, number, length in items.tolist()
            }
        except UnicodeDecodeError as error:
            raise self._damaged("its names of chromosomes are no text") from error

    def _index(self, at: int) -> np.ndarray:
        """Chromosome's number, start, offset and size of every block."""
        if self._unpacked("I", at)[0] != _INDEX:
            raise self._damaged("its index is not where it should be")
        names = ("chrom", "start", "last_chrom", "end", "offset", "size")
        item = np.dtype([(name, self._order + ("u8" if name in ("offset", "size") else "u4")) for name in names])
        child = np.dtype([(name, self._order + ("u8" if name == "child" else "u4")) for name in (*names[:4], "child")])
        return np.concatenate([np.zeros(0, item), *self._leaves(at + 48, item, child)])

    def _leaves(self, root: int, item: np.dtype, child: np.dtype) -> Iterator[np.ndarray]:
        """The items of a tree's leaves."""
        waiting, seen = [root], {root}
        while waiting:
            at = waiting.pop()
            leaf, count = self._unpacked("BxH", at)
            kind = item if leaf else child
            items = np.frombuffer(self._read(at + 4, count * kind.itemsize), kind)
            if leaf:
                yield items
                continue
            children = items["child"].tolist()
            if not seen.isdisjoint(children):
                raise self._damaged("its index runs in circles")
            waiting += children
            seen.update(children)

    def _block(self, number: int, chrom: str, offset: int, size: int) -> _Block:
        raw = self._read(offset, size)
        try:
            data = memoryview(isal_zlib.decompress(raw, bufsize=self._buffer) if self._buffer else raw)
            chromosome, start, _, step, span, kind, count = struct.unpack_from(self._order + _BLOCK, data)
        except (igzip_lib.IsalError, struct.error) as error:  # type: ignore[misc]  # its stubs take it for an instance
            raise self._damaged(f"a block of {chrom} at byte {offset:,} cannot be unpacked") from error
        length = 4 * count * len(_FIELDS.get(kind, ()))
        payload = data[_BLOCK_SIZE : _BLOCK_SIZE + length]
        if chromosome != number or kind not in _FIELDS or len(payload) < length:
            raise self._damaged(f"the block of {chrom} at byte {offset:,} is not what the index says")
        return _Block(kind, start, step, span, count, payload)

    def _decoded(self, kind: int, blocks: list[_Block]) -> Intervals:
        """Intervals of blocks of one kind."""
        types = [(name, self._order + ("f4" if name == "value" else "u4")) for name in _FIELDS[kind]]
        items = np.frombuffer(b"".join(block.payload for block in blocks), types)
        value = items["value"].astype(np.float32)
        if kind == 1:
            return Intervals(items["start"].astype(np.uint32), items["end"].astype(np.uint32), value)
        counts = np.array([block.items for block in blocks])
        if kind == 2:
            start = items["start"].astype(np.uint32)
        else:
            within = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
            first, step = (np.repeat(column, counts) for column in zip(*(block[1:3] for block in blocks), strict=True))
            start = (first + within * step).astype(np.uint32)
        return Intervals(start, start + np.repeat([block.span for block in blocks], counts).astype(np.uint32), value)

    def _unpacked(self, layout: str, at: int) -> tuple[int, ...]:
        layout = self._order + layout
        return struct.unpack(layout, self._read(at, struct.calcsize(layout)))

    def _read(self, at: int, size: int) -> bytes:
        # Asking for more than there is would first make room for it.
        data = os.pread(self._descriptor, size, at) if at + size <= self._size else b""
        if len(data) != size:
            raise self._damaged("it ends before what its header and index point to")
        return data

    def _damaged(self, how: str) -> InputError:
        return InputError(f"is truncated or damaged: {how}", source=self.path, fix=_AGAIN)


def out_of_order(path: Path, count: int, first: str) -> InputError:
    """What is said of a file whose intervals are not one after the other."""
    return InputError(
        "has intervals that overlap or are out of order",
        source=path,
        count=count,
        first=first,
        fix="Sort what it was made of by chromosome and start, and make it again",
    )


@contextlib.contextmanager
def open_bigwig(path: str | Path) -> Iterator[BigWig]:
    """Open a bigWig file and read its index.

    Raises
    ------
    InputError
        There is no such file, it is no bigWig, or it is truncated or damaged.
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            yield BigWig(path, descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise InputError("there is no such file", source=path, fix="Check its path") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", source=path, fix="Check the file") from error
