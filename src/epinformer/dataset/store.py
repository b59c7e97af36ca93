"""The dataset on disk: open one and write one.

A directory of ``dataset.json``, ``genes.parquet``, ``elements.parquet``, ``pairs.parquet`` and, if there is sequence,
``sequence.npy``. Positions are 0-based half-open. What the tables hold is said and checked in
`epinformer.dataset.contract`.
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
from epinformer.dataset.contract import SEQUENCE_LENGTH, check_tables, normalise_tables
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
    "Dataset",
    "FilterStep",
    "InputFile",
    "Manifest",
    "element_spans",
    "open_dataset",
    "write_dataset",
]

SEQUENCE_NAME = "sequence.npy"
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
    """

    path: Path
    manifest: Manifest
    genes: pd.DataFrame
    elements: pd.DataFrame
    pairs: pd.DataFrame
    codes: np.ndarray | None

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.genes)

    @property
    def n_elements(self) -> int:
        """Number of elements."""
        return len(self.elements)

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
    rows = _rows(genes, elements, pairs, codes is not None)
    for name, number in rows.items():
        if manifest.rows.get(name) != number:
            raise DatasetError(
                f"holds {number:,} {name}, but dataset.json says {manifest.rows.get(name)}", source=path, fix=_AGAIN
            )
    return Dataset(path=path, manifest=manifest, genes=genes, elements=elements, pairs=pairs, codes=codes)


def write_dataset(
    path: str | Path,
    manifest: Manifest,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    pairs: pd.DataFrame,
    sequences: Iterable[np.ndarray] | None,
    *,
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
    manifest = manifest.model_copy(update={"rows": _rows(genes, elements, pairs, sequences is not None), "files": {}})
    manifest_text(manifest, path)  # refuse a bad config before the long work
    with atomic_directory(path, overwrite=overwrite, marker=MANIFEST_NAME) as folder:
        hashes = {}
        for name, table in zip(_PARQUET_NAMES.values(), (genes, elements, pairs), strict=True):
            with (folder / name).open("wb") as handle:
                table.to_parquet(handle, engine="pyarrow", index=False, compression="zstd")
            hashes[name] = sha256(folder / name)
        if sequences is not None:
            hashes[SEQUENCE_NAME] = _write_codes(
                folder / SEQUENCE_NAME, sequences, manifest.rows["sequence_bases"], path
            )
        manifest = manifest.model_copy(update={"files": hashes})
        (folder / MANIFEST_NAME).write_text(manifest_text(manifest, path), encoding="utf-8")


def _write_codes(target: Path, sequences: Iterable[np.ndarray], total: int, dataset: Path) -> str:
    """Stream the chunks into a .npy of a known length; its SHA-256."""
    digest = hashlib.sha256()
    written = 0
    # Plain writes and not a memory map: on a full disk a map kills the process instead of raising.
    with target.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "|u1", "fortran_order": False, "shape": (total,)})
        handle.flush()
        digest.update(target.read_bytes())
        for number, chunk in enumerate(sequences):
            if not isinstance(chunk, np.ndarray) or chunk.dtype != np.uint8 or chunk.ndim != 1:
                raise DatasetError(
                    "a chunk of sequence is not a flat uint8 array", source=dataset, first=f"chunk {number}"
                )
            if chunk.size and int(chunk.max()) > NO_BASE:
                raise DatasetError(
                    f"sequence holds codes above {NO_BASE}",
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
        raise DatasetError(f"sequence has {amount} bases, promoters and sequence_length need {total:,}", source=dataset)
    return digest.hexdigest()


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
    expected = int(_sequence_offsets(n_genes, elements)[-1])
    try:
        # An empty file region cannot be mapped.
        codes = np.load(path, mmap_mode="r" if expected else None, allow_pickle=False)
    except FileNotFoundError as error:
        raise DatasetError("is missing", source=path, fix=_AGAIN) from error
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise DatasetError(f"is damaged: {error}", source=path, fix=_AGAIN) from error
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint8 or codes.shape != (expected,):
        raise DatasetError(
            f"is damaged: it should be {expected:,} uint8 codes, as promoters and sequence_length say",
            source=path,
            fix=_AGAIN,
        )
    # A plain array over the map: slicing np.memmap itself costs several times as much.
    plain: np.ndarray = codes.view(np.ndarray)
    plain.flags.writeable = False
    return plain


def _sequence_offsets(n_genes: int, elements: pd.DataFrame) -> np.ndarray:
    promoters = np.full(n_genes, SEQUENCE_LENGTH, dtype=np.int64)
    return _offsets(np.concatenate([promoters, elements["sequence_length"].to_numpy(np.int64)]))


def _offsets(counts: np.ndarray) -> np.ndarray:
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _rows(genes: pd.DataFrame, elements: pd.DataFrame, pairs: pd.DataFrame, has_sequence: bool) -> dict[str, int]:
    bases = int(_sequence_offsets(len(genes), elements)[-1]) if has_sequence else 0
    return {"genes": len(genes), "elements": len(elements), "pairs": len(pairs), "sequence_bases": bases}
