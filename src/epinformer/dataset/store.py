"""The dataset on disk: open one and write one.

A directory of ``dataset.json``, ``genes.parquet``, ``elements.parquet``, ``pairs.parquet``; with sequence also of
``sequence.npy``; and with windows to pretrain the encoder on also of ``windows.parquet`` and ``windows.npy``. Positions
are 0-based half-open. What the tables hold is said and checked in `epinformer.dataset.contract`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from epinformer.bases import NO_BASE
from epinformer.dataset.codes import map_codes, write_codes
from epinformer.dataset.contract import (
    SEQUENCE_LENGTH,
    WINDOW_LENGTH,
    check_tables,
    check_windows,
    normalise_tables,
    normalise_windows,
)
from epinformer.dataset.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    FilterStep,
    InputFile,
    Manifest,
    manifest_text,
    read_manifest,
)
from epinformer.errors import DatasetError
from epinformer.files import atomic_directory, sha256
from epinformer.half_life import HALF_LIFE_FEATURES

__all__ = [
    "FORMAT_VERSION",
    "HALF_LIFE_FEATURES",
    "NO_BASE",
    "SEQUENCE_LENGTH",
    "WINDOW_LENGTH",
    "Dataset",
    "FilterStep",
    "InputFile",
    "Manifest",
    "element_spans",
    "open_dataset",
    "write_dataset",
]

SEQUENCE_NAME = "sequence.npy"
WINDOWS_NAME = "windows.parquet"
WINDOW_CODES_NAME = "windows.npy"
_PARQUET_NAMES = {"genes": "genes.parquet", "elements": "elements.parquet", "pairs": "pairs.parquet"}
_AGAIN = "Prepare the dataset again"


@dataclass(frozen=True, eq=False)
class Dataset:
    """An opened dataset. Tables have a default index: row i is the i of ``gene_index`` and ``element_index``.

    Attributes
    ----------
    path
        Its directory.
    manifest
        Its ``dataset.json``.
    genes
        ``gene_id gene_name chrom tss strand``, then half-life features, ``promoter_*`` and ``expression_*`` columns.
    elements
        ``element_id chrom start end``, then signals; ``sequence_length`` (int32) when there is sequence. ``start`` and
        ``end`` are the interval after `element_spans`; the id keeps the interval as it was given.
    pairs
        ``gene_index element_index distance`` (int32), then e.g. ``contact powerlaw_contact abc_score``; sorted by
        gene_index, then |distance|.
    codes
        uint8, read-only, memory-mapped (sequence_offsets[-1],): the promoters in gene order, `SEQUENCE_LENGTH` each,
        then the elements in order, ``sequence_length`` each. A 0, C 1, G 2, T 3, other letters 4, no base 5.
        None for a dataset without sequence.
    windows
        ``chrom start end``, signals and ``activity`` of windows of `WINDOW_LENGTH` bp that the encoder is pretrained
        on; None where there are none.
    window_codes
        uint8, read-only, memory-mapped (n_windows, `WINDOW_LENGTH`): their bases; None where there are none.
    """

    path: Path
    manifest: Manifest
    genes: pd.DataFrame
    elements: pd.DataFrame
    pairs: pd.DataFrame
    codes: np.ndarray | None
    windows: pd.DataFrame | None = None
    window_codes: np.ndarray | None = None

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.genes)

    @property
    def n_elements(self) -> int:
        """Number of elements."""
        return len(self.elements)

    @property
    def chroms(self) -> list[str]:
        """Names of the chromosomes with a gene or an element, in that order."""
        return pd.unique(pd.concat([self.genes["chrom"], self.elements["chrom"]])).tolist()

    @property
    def has_sequence(self) -> bool:
        """Whether promoters and elements have their bases."""
        return self.codes is not None

    @cached_property
    def pair_offsets(self) -> np.ndarray:
        """int64 (n_genes + 1,): the pairs of gene g are rows ``pair_offsets[g]:pair_offsets[g + 1]``."""
        counts = np.bincount(self.pairs["gene_index"].to_numpy(), minlength=self.n_genes)
        return _offsets(counts)

    @cached_property
    def sequence_offsets(self) -> np.ndarray:
        """int64 (n_genes + n_elements + 1,): sequence i is ``codes[sequence_offsets[i]:sequence_offsets[i + 1]]``.

        The promoter of gene g is sequence g, element e is sequence ``n_genes + e``.

        Raises
        ------
        DatasetError
            The dataset has no sequence.
        """
        if self.codes is None:
            raise DatasetError(
                "has no sequence", source=self.path, fix="Prepare it with a genome (`genome: {fasta: ...}`)"
            )
        return _sequence_offsets(self.n_genes, self.elements)

    def content_hash(self) -> str:
        """SHA-256 of what the dataset holds: the same for the same data made in another folder or on another day.

        It covers assembly, cell type, row counts, transforms and the hashes that the manifest keeps of the dataset's
        files, not the paths of inputs; no large file is read.
        """
        fields = self.manifest.model_dump(
            mode="json", include={"format_version", "assembly", "cell_type", "rows", "transforms", "files"}
        )
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def element_spans(start: ArrayLike, end: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Cut intervals longer than `SEQUENCE_LENGTH` to their midpoint, ``(start + end) // 2``, ± 1,000 bp.

    Parameters
    ----------
    start, end
        Integers (n,), bp, 0-based half-open.

    Returns
    -------
    tuple of np.ndarray
        int64 (n,) starts and ends; intervals that are not too long are as they were.
    """
    starts, ends = np.asarray(start, dtype=np.int64), np.asarray(end, dtype=np.int64)
    long = ends - starts > SEQUENCE_LENGTH
    cut = (starts + ends) // 2 - SEQUENCE_LENGTH // 2
    return np.where(long, cut, starts), np.where(long, cut + SEQUENCE_LENGTH, ends)


def open_dataset(path: str | Path) -> Dataset:
    """Open a dataset; the sequence is memory-mapped, not read.

    Raises
    ------
    DatasetError
        It is no directory, a file is missing or damaged, its format is newer than this version reads, or its tables
        contradict each other (index out of range, pairs not sorted, sequence of another length).
    """
    path = Path(path)
    if not path.is_dir():
        problem = "is not a directory" if path.exists() else "does not exist"
        raise DatasetError(problem, source=path, fix="Name the directory that `epinformer prepare` wrote")
    manifest = read_manifest(path)
    genes, elements, pairs = (_read_table(path / name) for name in _PARQUET_NAMES.values())
    check_tables(genes, elements, pairs, path)
    codes = _map_codes(path / SEQUENCE_NAME, len(genes), elements)
    windows, window_codes = _open_windows(path, manifest)
    rows = _rows(genes, elements, pairs, codes is not None, windows)
    for name, number in rows.items():
        if manifest.rows.get(name) != number:
            raise DatasetError(
                f"holds {number:,} {name}, but dataset.json says {manifest.rows.get(name)}", source=path, fix=_AGAIN
            )
    return Dataset(path, manifest, genes, elements, pairs, codes, windows, window_codes)


def write_dataset(
    path: str | Path,
    manifest: Manifest,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    pairs: pd.DataFrame,
    sequences: Iterable[np.ndarray] | None,
    *,
    windows: pd.DataFrame | None = None,
    window_codes: Iterable[np.ndarray] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a dataset, whole or not at all.

    Parameters
    ----------
    path
        The directory to make.
    manifest
        Its ``rows`` and ``files`` are filled in here.
    genes, elements, pairs
        As in `Dataset`; the index is ignored, integers of another width are converted if they fit.
    sequences
        uint8 codes in chunks of any size, all promoters and then all elements: in total
        ``n_genes * SEQUENCE_LENGTH + elements["sequence_length"].sum()``. None (and no column ``sequence_length``)
        for a dataset without sequence. Taken one chunk at a time.
    windows
        As in `Dataset`, or None.
    window_codes
        uint8 codes in flat chunks of any size, `WINDOW_LENGTH` for each window; they go with ``windows``.
    overwrite
        Replace a dataset that is already there.

    Raises
    ------
    DatasetError
        The tables or sequences break the contract; nothing is written.
    OutputError
        ``path`` exists, or the disk is full or not writable; nothing is left behind.
    """
    path = Path(path)
    genes, elements, pairs = normalise_tables(genes, elements, pairs, path)
    check_tables(genes, elements, pairs, path)
    if (sequences is not None) != ("sequence_length" in elements):
        raise DatasetError("sequence and the elements' column sequence_length go together: one is missing", source=path)
    if (windows is None) != (window_codes is None):
        raise DatasetError("windows and their codes go together: one is missing", source=path)
    if windows is not None:
        windows = normalise_windows(windows, path)
        check_windows(windows, path)
    rows = _rows(genes, elements, pairs, sequences is not None, windows)
    manifest = manifest.model_copy(update={"rows": rows, "files": {}})
    manifest_text(manifest, path)  # refuse a bad config before the long work
    with atomic_directory(path, overwrite=overwrite, marker=MANIFEST_NAME) as folder:
        hashes = {
            name: _write_table(folder / name, table)
            for name, table in zip(_PARQUET_NAMES.values(), (genes, elements, pairs), strict=True)
        }
        if sequences is not None:
            hashes[SEQUENCE_NAME] = write_codes(folder / SEQUENCE_NAME, sequences, (rows["sequence_bases"],), path)
        if windows is not None and window_codes is not None:
            hashes[WINDOWS_NAME] = _write_table(folder / WINDOWS_NAME, windows)
            shape = (len(windows), WINDOW_LENGTH)
            hashes[WINDOW_CODES_NAME] = write_codes(
                folder / WINDOW_CODES_NAME, window_codes, shape, path, what="windows", asked_by="their table needs"
            )
        manifest = manifest.model_copy(update={"files": hashes})
        (folder / MANIFEST_NAME).write_text(manifest_text(manifest, path), encoding="utf-8")


def _write_table(target: Path, table: pd.DataFrame) -> str:
    """Write a table; the file's SHA-256."""
    with target.open("wb") as handle:
        table.to_parquet(handle, engine="pyarrow", index=False, compression="zstd")
    return sha256(target)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pq.ParquetFile(path).read().to_pandas()
    except FileNotFoundError as error:
        raise DatasetError("is missing", source=path, fix=_AGAIN) from error
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"is damaged: {reason}", source=path, fix=_AGAIN) from error


def _map_codes(path: Path, n_genes: int, elements: pd.DataFrame) -> np.ndarray | None:
    """Sequence as a read-only view of the file; None when the tables say there is none."""
    if "sequence_length" not in elements:
        if path.exists():
            raise DatasetError("is there, but elements.parquet has no sequence_length", source=path, fix=_AGAIN)
        return None
    return map_codes(path, (int(_sequence_offsets(n_genes, elements)[-1]),))


def _open_windows(path: Path, manifest: Manifest) -> tuple[pd.DataFrame | None, np.ndarray | None]:
    """Windows and their codes; None where dataset.json says nothing of them."""
    if "windows" not in manifest.rows:
        for name in (WINDOWS_NAME, WINDOW_CODES_NAME):
            if (path / name).exists():
                raise DatasetError("is there, but dataset.json knows of no windows", source=path / name, fix=_AGAIN)
        return None, None
    windows = _read_table(path / WINDOWS_NAME)
    check_windows(windows, path)
    codes = map_codes(path / WINDOW_CODES_NAME, (len(windows), WINDOW_LENGTH), asked_by=f"{WINDOWS_NAME} says")
    return windows, codes


def _sequence_offsets(n_genes: int, elements: pd.DataFrame) -> np.ndarray:
    promoters = np.full(n_genes, SEQUENCE_LENGTH, dtype=np.int64)
    return _offsets(np.concatenate([promoters, elements["sequence_length"].to_numpy(np.int64)]))


def _offsets(counts: np.ndarray) -> np.ndarray:
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _rows(
    genes: pd.DataFrame, elements: pd.DataFrame, pairs: pd.DataFrame, has_sequence: bool, windows: pd.DataFrame | None
) -> dict[str, int]:
    bases = int(_sequence_offsets(len(genes), elements)[-1]) if has_sequence else 0
    rows = {"genes": len(genes), "elements": len(elements), "pairs": len(pairs), "sequence_bases": bases}
    return rows if windows is None else rows | {"windows": len(windows)}
