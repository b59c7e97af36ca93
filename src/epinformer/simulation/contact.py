"""How often two places of a chromosome touch: the true map, and its reads in a `.cool` file."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import pandas as pd

from epinformer.simulation.model import BIN, Model

DIAGONALS = 101
"""Bins apart, 0 to 100, that the map holds: up to 500 kb."""

# An own element at more bp than this may be looped to its gene, which multiplies the contact so much.
_LOOP_FROM = 15_000
_LOOP_FOLD = (2.0, 5.0)
_CHUNK = 1 << 16


def expected_contacts(
    length: int, genes: pd.DataFrame, elements: pd.DataFrame, model: Model, rng: np.random.Generator
) -> np.ndarray:
    """The true contact of every two bins of a chromosome up to 500 kb apart.

    max(bins apart, 1) ** -contact_decay, times exp(normal noise) of each pixel, times 2 to 5 where a loop brings an
    enhancer to its gene, with half of that (in logarithm) in the pixels around it.

    Parameters
    ----------
    length
        bp.
    genes, elements
        Of the chromosome, indexed as in the world; tss; start, end, kind and gene.
    model
        Its contact_decay, contact_sd and looped.
    rng
        Source of noise and loops.

    Returns
    -------
    ndarray
        float32 (bins, 101): row i column d is the contact of bins i and i + d. 1 is that of neighbours, on average.
    """
    bins = -(-length // BIN)
    decay = np.maximum(np.arange(DIAGONALS), 1.0) ** -model.contact_decay
    noise = model.contact_sd * rng.standard_normal((bins, DIAGONALS), dtype=np.float32)
    contacts: np.ndarray = (decay * np.exp(noise)).astype(np.float32)
    middle = (elements["start"].to_numpy() + elements["end"].to_numpy()) // 2
    tss = genes["tss"].reindex(elements["gene"]).to_numpy()
    can_loop = (elements["kind"] == "enhancer").to_numpy() & (np.abs(middle - tss) > _LOOP_FROM)
    is_looped = can_loop & (rng.random(len(elements)) < model.looped)
    fold = rng.uniform(*_LOOP_FOLD, len(elements))
    for one, other, times in zip(middle[is_looped], tss[is_looped], fold[is_looped], strict=True):
        low, high = sorted((int(one) // BIN, int(other) // BIN))
        for row in range(low - 1, low + 2):
            for column in range(high - 1, high + 2):
                if 0 <= row <= column < bins and column - row < DIAGONALS:
                    contacts[row, column - row] *= times if (row, column) == (low, high) else times**0.5
    return contacts


def at_pairs(contacts: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Values of a map at the bins of pairs of positions, which are less than 500 kb apart."""
    first, second = np.asarray(one) // BIN, np.asarray(other) // BIN
    values: np.ndarray = contacts[np.minimum(first, second), np.abs(first - second)]
    return values


class CoolWriter:
    """Writes a `.cool` file of upper-triangle counts, chromosome by chromosome.

    h5py writes it rather than a library of the format, so that the same counts are the same bytes: no dates. It is put
    together in memory, compressed (24 MB at 20,000 genes), since HDF5 does not end well on a full disk.
    """

    def __init__(self, path: Path, lengths: dict[str, int], assembly: str) -> None:
        self._path = path
        self._file = h5py.File(path, "w", driver="core", backing_store=False)
        self._bins = np.cumsum([0, *(-(-length // BIN) for length in lengths.values())])
        self._names = list(lengths)
        self._pixels = 0
        self._total = 0
        self._offsets = [np.zeros(1, dtype=np.int64)]
        self._write_bins(lengths)
        for name in ("bin1_id", "bin2_id", "count"):
            kind = np.int32 if name == "count" else np.int64
            self._file.create_dataset(
                f"pixels/{name}", (0,), kind, maxshape=(None,), chunks=(_CHUNK,), compression="gzip", shuffle=True
            )
        self._attributes = {
            "format": "HDF5::Cooler",
            "format-version": np.int64(3),
            "bin-type": "fixed",
            "bin-size": np.int64(BIN),
            "storage-mode": "symmetric-upper",
            "genome-assembly": assembly,
            "generated-by": "epinformer",
            "metadata": "{}",
            "nbins": self._bins[-1],
            "nchroms": np.int64(len(lengths)),
        }

    def _write_bins(self, lengths: dict[str, int]) -> None:
        names = np.array([name.encode() for name in lengths])
        self._file.create_dataset("chroms/name", data=names)
        self._file.create_dataset("chroms/length", data=np.array([*lengths.values()], dtype=np.int32))
        counts = np.diff(self._bins)
        starts = np.concatenate([np.arange(count) * BIN for count in counts])
        ends = np.minimum(starts + BIN, np.repeat([*lengths.values()], counts))
        chrom = h5py.enum_dtype({name: number for number, name in enumerate(lengths)}, basetype="i")
        number = np.repeat(np.arange(len(lengths)), counts)
        self._file.create_dataset("bins/chrom", data=number, dtype=chrom, compression="gzip")
        self._file.create_dataset("bins/start", data=starts.astype(np.int32), compression="gzip")
        self._file.create_dataset("bins/end", data=ends.astype(np.int32), compression="gzip")

    def add(self, chrom: str, counts: np.ndarray) -> None:
        """Append a chromosome's counts, int (bins, 101), in the order of the chromosomes."""
        first = self._bins[self._names.index(chrom)]
        places = np.arange(len(counts))[:, None] + np.arange(DIAGONALS)
        row, apart = np.nonzero((counts > 0) & (places < len(counts)))
        columns = {"bin1_id": first + row, "bin2_id": first + row + apart, "count": counts[row, apart]}
        for name, values in columns.items():
            dataset = self._file[f"pixels/{name}"]
            dataset.resize((self._pixels + len(values),))
            dataset[self._pixels :] = values
        self._pixels += len(row)
        self._total += int(columns["count"].sum())
        self._offsets.append(self._offsets[-1][-1] + np.cumsum(np.bincount(row, minlength=len(counts))))

    def __enter__(self) -> CoolWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file as file:
            if kind is None:
                file.create_dataset("indexes/bin1_offset", data=np.concatenate(self._offsets), compression="gzip")
                file.create_dataset("indexes/chrom_offset", data=self._bins.astype(np.int64))
                totals = {"nnz": np.int64(self._pixels), "sum": np.int64(self._total)}
                file.attrs.update(self._attributes | totals)
                file.flush()
                self._path.write_bytes(file.id.get_file_image())
