"""Small contact maps in files, written by the tests themselves, and what they hold as dense matrices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from epinformer.inputs.hic import imported_hictkpy

LENGTHS = {"chr1": 103_000, "chr2": 52_000, "chr3": 4_000}


def random_counts(lengths: Mapping[str, int], bin_size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Chromosome -> symmetric matrix of counts, half of them 0."""
    rng = np.random.default_rng(seed)
    counts = {}
    for chrom, length in lengths.items():
        bins = -(-length // bin_size)
        upper = np.triu(rng.integers(1, 40, (bins, bins)) * (rng.random((bins, bins)) < 0.5))
        counts[chrom] = upper + np.triu(upper, 1).T
    return counts


def write_cool(
    path: Path,
    counts: Mapping[str, np.ndarray],
    lengths: Mapping[str, int],
    bin_size: int,
    columns: Mapping[str, np.ndarray] | None = None,
    *,
    group: str = "/",
    version: int = 3,
) -> Path:
    """Write matrices as a `.cool` file, or a resolution of a `.mcool`; each bin also touches the genome's last one."""
    sizes = [-(-length // bin_size) for length in lengths.values()]
    starts = np.cumsum([0, *sizes])
    rows = []
    for number, matrix in enumerate(counts.values()):
        for first in range(sizes[number]):
            for second in range(first, sizes[number]):
                if matrix[first, second]:
                    rows.append((starts[number] + first, starts[number] + second, matrix[first, second]))
            if number < len(sizes) - 1:
                rows.append((starts[number] + first, starts[-1] - 1, 7))
    one, other, count = (np.array(column) for column in zip(*rows, strict=True))
    with h5py.File(path, "a") as file:
        place = file.require_group(group)
        place.attrs.update({"format": "HDF5::Cooler", "format-version": version, "bin-size": bin_size})
        if version == 3:
            place.attrs.update({"bin-type": "fixed", "storage-mode": "symmetric-upper", "sum": count.sum()})
        place.attrs.update({"nbins": starts[-1], "nchroms": len(lengths), "nnz": len(count)})
        place.create_dataset("chroms/name", data=np.array([name.encode() for name in lengths]))
        place.create_dataset("chroms/length", data=np.array([*lengths.values()], dtype=np.int32))
        chrom = np.repeat(np.arange(len(lengths)), sizes)
        kind = h5py.enum_dtype({name: number for number, name in enumerate(lengths)}, basetype="i")
        place.create_dataset("bins/chrom", data=chrom, dtype=kind)
        begin = np.concatenate([np.arange(size) * bin_size for size in sizes])
        place.create_dataset("bins/start", data=begin.astype(np.int32))
        place.create_dataset("bins/end", data=np.minimum(begin + bin_size, np.array([*lengths.values()])[chrom]))
        for name, values in (columns or {}).items():
            place.create_dataset(f"bins/{name}", data=values)
        for name, values in (("bin1_id", one), ("bin2_id", other), ("count", count.astype(np.int32))):
            place.create_dataset(f"pixels/{name}", data=values)
        offsets = np.searchsorted(one, np.arange(starts[-1] + 1))
        place.create_dataset("indexes/bin1_offset", data=offsets)
        place.create_dataset("indexes/chrom_offset", data=starts)
    return path


def write_hic(path: Path, counts: Mapping[str, np.ndarray], lengths: Mapping[str, int], sizes: list[int]) -> Path:
    """Write matrices of the smallest of some bin sizes as a `.hic` file without normalisations."""
    import pandas as pd

    writer: Any = imported_hictkpy().hic.FileWriter(path, dict(lengths), sizes)
    start = 0
    for matrix in counts.values():
        first, second = np.nonzero(np.triu(matrix))
        columns = {"bin1_id": first + start, "bin2_id": second + start, "count": matrix[first, second].astype(np.int32)}
        writer.add_pixels(pd.DataFrame(columns))
        start += len(matrix)
    writer.finalize()
    return path
