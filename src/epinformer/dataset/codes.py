"""Bases on disk: a .npy of uint8 codes, written chunk by chunk and memory-mapped."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from epinformer.bases import NO_BASE
from epinformer.errors import DatasetError

_AGAIN = "Prepare the dataset again"


def write_codes(
    target: Path,
    chunks: Iterable[np.ndarray],
    shape: tuple[int, ...],
    dataset: Path,
    *,
    what: str = "sequence",
    asked_by: str = "promoters and sequence_length need",
) -> str:
    """Stream chunks into a .npy of a known shape; its SHA-256.

    Parameters
    ----------
    target
        The file.
    chunks
        Flat uint8 arrays of any size, one after the other the array in C order.
    shape
        The array's.
    dataset, what, asked_by
        For messages: the dataset, what the codes are, and what says how many there must be.

    Raises
    ------
    DatasetError
        A chunk is no flat uint8 array or holds a code above 5, or there are more or fewer codes than the shape has.
    """
    digest = hashlib.sha256()
    written, total = 0, math.prod(shape)
    # Plain writes and not a memory map: on a full disk a map kills the process instead of raising.
    with target.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "|u1", "fortran_order": False, "shape": shape})
        handle.flush()
        digest.update(target.read_bytes())
        for number, chunk in enumerate(chunks):
            if not isinstance(chunk, np.ndarray) or chunk.dtype != np.uint8 or chunk.ndim != 1:
                raise DatasetError(
                    f"a chunk of {what} is not a flat uint8 array", source=dataset, first=f"chunk {number}"
                )
            if chunk.size and int(chunk.max()) > NO_BASE:
                raise DatasetError(
                    f"{what} holds codes above {NO_BASE}",
                    source=dataset,
                    count=int((chunk > NO_BASE).sum()),
                    first=f"chunk {number}: {int(chunk.max())}",
                )
            written += chunk.size
            if written > total:
                break
            block = np.ascontiguousarray(chunk).data
            digest.update(block)
            handle.write(block)
    if written != total:
        amount = "more" if written > total else f"{written:,}"
        raise DatasetError(f"{what} has {amount} bases, {asked_by} {total:,}", source=dataset)
    return digest.hexdigest()


def map_codes(path: Path, shape: tuple[int, ...], *, asked_by: str = "promoters and sequence_length say") -> np.ndarray:
    """A read-only view of a file of codes, uint8 of this shape; ``asked_by`` says, for messages, what gives the shape.

    Raises
    ------
    DatasetError
        The file is missing, damaged, or of another shape.
    """
    total = math.prod(shape)
    try:
        # An empty file region cannot be mapped.
        codes = np.load(path, mmap_mode="r" if total else None, allow_pickle=False)
    except FileNotFoundError as error:
        raise DatasetError("is missing", source=path, fix=_AGAIN) from error
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise DatasetError(f"is damaged: {error}", source=path, fix=_AGAIN) from error
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint8 or codes.shape != shape:
        raise DatasetError(
            f"is damaged: it should be {' x '.join(f'{size:,}' for size in shape)} uint8 codes, as {asked_by}",
            source=path,
            fix=_AGAIN,
        )
    # A plain array over the map: slicing np.memmap itself costs several times as much.
    plain: np.ndarray = codes.view(np.ndarray)
    plain.flags.writeable = False
    return plain
