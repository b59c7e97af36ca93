"""The authors' HDF5 layout, read in bounded pieces.

Datasets of N genes: ``ensid`` (N,), ``pe_code`` (N, 1 + S, 2000, 4) one-hot sequences in channel order A, C, G, T with
the promoter in row 0 and S = 60 element slots after it, and ``distance``, ``activity`` and ``hic``, each (N, 1 + S)
with the promoter first or (N, S) without it, perhaps with an axis of length 1 at the end. Elements are centred in
their 2,000 positions; other positions and unused slots are zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from epinformer.bases import NO_BASE, OTHER_BASE
from epinformer.dataset.store import SEQUENCE_LENGTH
from epinformer.errors import InputError

SIGNALS = ("distance", "activity", "hic")
_HALF = SEQUENCE_LENGTH // 2
# One-hot bytes read at a time, and genes whose codes are held at a time (125 kB a gene at 60 slots).
_SLAB_BYTES = 32 * 2**20
_BLOCK_BASES = 48 * 2**20
_SIGNAL_ROWS = 4096
_DAMAGED_FIX = "Copy or download it again"


class Layout(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    path
        The file.
    gene_ids
        Its genes, in order.
    slots
        Element slots of a gene.
    farthest
        Largest |distance| of any slot, in the file's unit.
    """

    path: Path
    gene_ids: list[str]
    slots: int
    farthest: float


class Block(NamedTuple):
    """Consecutive genes of a file.

    Attributes
    ----------
    first
        Row of the first gene.
    codes
        (genes, 1 + slots, 2000) uint8: A 0, C 1, G 2, T 3, N 4, no base 5.
    distance, activity, contact
        (genes, slots) float64, as in the file.
    """

    first: int
    codes: np.ndarray
    distance: np.ndarray
    activity: np.ndarray
    contact: np.ndarray


def read_layout(path: str | Path) -> Layout:
    """Check a file's datasets and shapes, and read its gene ids.

    Raises
    ------
    InputError
        The file is missing, truncated or not HDF5, or lacks a dataset, or one has another shape or type.
    """
    path = Path(path)
    with _opened(path) as file:
        missing = [name for name in ("ensid", "pe_code", *SIGNALS) if not isinstance(file.get(name), h5py.Dataset)]
        if missing:
            raise InputError(
                "lacks datasets of the authors' layout",
                source=path,
                count=len(missing),
                first=missing[0],
                fix=f"Needed are ensid, pe_code, distance, activity and hic; the file has {', '.join(file) or 'none'}",
            )
        sequences = file["pe_code"]
        n_genes = file["ensid"].shape[0] if file["ensid"].ndim else 0
        if sequences.ndim != 4 or sequences.shape[2:] != (SEQUENCE_LENGTH, 4) or sequences.shape[1] < 1:
            raise InputError(
                f"pe_code has the shape {sequences.shape}, not (genes, 61, {SEQUENCE_LENGTH}, 4)", source=path
            )
        if sequences.dtype.kind not in "biuf":
            raise InputError(f"pe_code is of type {sequences.dtype}, not a number", source=path)
        slots = sequences.shape[1] - 1
        for name in SIGNALS:
            shape = file[name].shape
            width = shape[:-1] if len(shape) == 3 and shape[2] == 1 else shape
            if width not in ((n_genes, slots), (n_genes, slots + 1)):
                raise InputError(
                    f"{name} has the shape {shape}, not ({n_genes}, {slots + 1}) or ({n_genes}, {slots})", source=path
                )
            if file[name].dtype.kind not in "biuf":
                raise InputError(f"{name} is of type {file[name].dtype}, not a number", source=path)
        if sequences.shape[0] != n_genes:
            raise InputError(f"ensid names {n_genes:,} genes, pe_code has {sequences.shape[0]:,}", source=path)
        if not n_genes:
            raise InputError("holds no genes", source=path)
        gene_ids = _gene_ids(file["ensid"], path)
        farthest = 0.0
        for first in range(0, n_genes, _SIGNAL_ROWS):
            distance = _signal(file["distance"], first, min(first + _SIGNAL_ROWS, n_genes), slots)
            farthest = max(farthest, float(np.abs(distance[np.isfinite(distance)]).max(initial=0.0)))
        return Layout(path, gene_ids, slots, farthest)


def read_blocks(layout: Layout) -> Iterator[Block]:
    """Read a file's genes in order, a bounded number at a time.

    Raises
    ------
    InputError
        The file is damaged, or a position is neither one base, nor N (0.25 four times), nor empty.
    """
    with _opened(layout.path) as file:
        sequences = file["pe_code"]
        n_genes = len(layout.gene_ids)
        genes, rows = _piece(sequences)
        for first in range(0, n_genes, genes):
            last = min(first + genes, n_genes)
            codes = np.empty((last - first, layout.slots + 1, SEQUENCE_LENGTH), dtype=np.uint8)
            for row in range(0, layout.slots + 1, rows):
                end = min(row + rows, layout.slots + 1)
                codes[:, row:end] = _codes(sequences[first:last, row:end], layout, first, row)
            distance, activity, contact = (_signal(file[name], first, last, layout.slots) for name in SIGNALS)
            yield Block(first, codes, distance, activity, contact)


def centred_spans(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the shortest centred span of each sequence that holds all its bases.

    A sequence of L bases stands at 1000 - L // 2 in its 2,000 positions. Where the bases as found do not (an N at an
    end that the file has as zero, say), the span is widened until it does; what it gains is `NO_BASE`, so that the
    sequence in its 2,000 positions stays what it was.

    Parameters
    ----------
    codes
        (n, 2000) uint8.

    Returns
    -------
    offset, length
        int64 (n,): the span is ``[offset, offset + length)``, and offset is 1000 - length // 2. Length 0 where there
        is no base.
    """
    based = codes != NO_BASE
    present = based.any(axis=1)
    first = based.argmax(axis=1)
    end = SEQUENCE_LENGTH - based[:, ::-1].argmax(axis=1)
    before, after = np.maximum(_HALF - first, 0), np.maximum(end - _HALF, 0)
    # Of a length L there are L // 2 positions before the middle and L - L // 2 after it.
    length = np.where(after > before, 2 * after - 1, 2 * before)
    length = np.where(present, length, 0).astype(np.int64)
    return _HALF - length // 2, length


def _codes(slab: np.ndarray, layout: Layout, first_gene: int, first_row: int) -> np.ndarray:
    """Codes (genes, rows, 2000) of a one-hot slab (genes, rows, 2000, 4)."""
    # Four booleans read as one 32-bit number: which channels are 1, and which are anything but 0.
    ones = np.ascontiguousarray(slab == 1).view(np.uint32)[..., 0]
    filled = np.ascontiguousarray(slab != 0).view(np.uint32)[..., 0]
    codes = np.full(ones.shape, NO_BASE, dtype=np.uint8)
    understood = filled == 0
    for channel in range(4):
        pattern = np.zeros(4, dtype=bool)
        pattern[channel] = True
        found = (ones == pattern.view(np.uint32)[0]) & (filled == ones)
        codes[found] = channel
        understood |= found
    if not understood.all():
        unknown = (slab == 0.25).all(axis=-1)
        codes[unknown] = OTHER_BASE
        wrong = np.argwhere(~(understood | unknown))
        if len(wrong):
            gene, row, position = wrong[0]
            raise InputError(
                "pe_code has positions that are neither one base, nor N (0.25 four times), nor empty",
                source=layout.path,
                count=len(wrong),
                first=f"gene {layout.gene_ids[first_gene + gene]}, row {first_row + row}, position {position}: "
                f"{slab[gene, row, position].tolist()}",
                fix="The layout is one-hot in the order A, C, G, T",
            )
    return codes


def _piece(sequences: Any) -> tuple[int, int]:
    """Genes and rows to read at a time: whole HDF5 chunks where they fit, since a chunk is unpacked as a whole."""
    n_genes, rows = sequences.shape[:2]
    chunk = sequences.chunks or (1, 1, SEQUENCE_LENGTH, 4)
    row_bytes = SEQUENCE_LENGTH * 4 * sequences.dtype.itemsize
    most_genes = max(1, _BLOCK_BASES // (rows * SEQUENCE_LENGTH))
    genes = max(1, _SLAB_BYTES // (rows * row_bytes))
    genes = min(max(genes // chunk[0] * chunk[0], chunk[0]), most_genes, max(1, _SLAB_BYTES // row_bytes), n_genes)
    read = max(1, _SLAB_BYTES // (genes * row_bytes))
    return genes, min(max(read // chunk[1] * chunk[1], 1), rows)


def _signal(dataset: Any, first: int, last: int, slots: int) -> np.ndarray:
    """Rows of a signal (genes, slots) float64, without the promoter's."""
    values = np.asarray(dataset[first:last], dtype=np.float64)
    values = values.reshape(last - first, -1)
    return values[:, values.shape[1] - slots :]


def _gene_ids(dataset: Any, path: Path) -> list[str]:
    values = dataset[:].reshape(len(dataset), -1)
    if values.shape[1] != 1 or values.dtype.kind not in "SOU":
        raise InputError(
            f"ensid has the shape {dataset.shape} and type {dataset.dtype}, not (genes,) text", source=path
        )
    try:
        ids = [value.decode() if isinstance(value, bytes) else str(value) for value in values[:, 0]]
    except UnicodeDecodeError as error:
        raise InputError("ensid holds something else than text", source=path) from error
    ids = [value.strip() for value in ids]
    blank = [row for row, value in enumerate(ids) if not value]
    if blank:
        raise InputError("ensid has blank gene ids", source=path, count=len(blank), first=f"row {blank[0]}")
    return ids


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; what HDF5 cannot read is told with the file's name."""
    if not path.is_file():
        raise InputError("is a folder" if path.is_dir() else "no such file", source=path)
    if not path.stat().st_size:
        raise InputError("is empty", source=path, fix=_DAMAGED_FIX)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        reason = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        problem = "is not HDF5" if "signature not found" in reason else f"is damaged or cannot be read: {reason}"
        raise InputError(problem, source=path, fix=_DAMAGED_FIX) from error
