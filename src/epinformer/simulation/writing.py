"""Writing through libraries that do not say why they fail, and the blocked gzip of BAM."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pysam

from epinformer.files import write_failure

# Bytes that go into a block, as other writers have it: the compressed block stays below 64 kB in any case.
_BLOCK = 0xFF00
# Three times as fast as the usual 6, for a sixth more space.
_LEVEL = 1
_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a failure to write that has no error number into one that has: that of writing beside the file.

    Raises
    ------
    OSError
        With the number that the system gives for another file there, or as an input/output error of ``path``.
    """
    try:
        yield
    except (OSError, pysam.SamtoolsError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise write_failure(path) from error


class BlockedGzip:
    """A BGZF file to write to; the same bytes give the same file."""

    def __init__(self, path: Path) -> None:
        self._handle = path.open("wb")
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._waiting += data
        whole = len(self._waiting) // _BLOCK * _BLOCK
        for first in range(0, whole, _BLOCK):
            self._handle.write(_block(self._waiting[first : first + _BLOCK]))
        del self._waiting[:whole]

    def __enter__(self) -> BlockedGzip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._handle as handle:
            if kind is None:
                if self._waiting:
                    handle.write(_block(self._waiting))
                handle.write(_END)


def _block(data: bytes | bytearray) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    header = struct.pack("<4BI2BH2B2H", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(packed) + 25)
    return header + packed + struct.pack("<2I", zlib.crc32(data), len(data))
