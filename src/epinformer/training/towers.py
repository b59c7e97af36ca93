"""The output of a frozen encoder, computed once for each of a dataset's sequences and kept on disk.

Only the positions that a sequence's bases can change are kept, about 50 of 125 for an element of 700 bp, and once those
of an empty sequence, which all others share. A cache is a folder named by what it holds: the encoder's weights, the
dataset's content, the sequences and the arithmetic. It is renamed into place when complete.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epinformer.dataset.batch import sequence_codes
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, ModelError, OutputError
from epinformer.files import atomic_directory
from epinformer.model.encoder import SequenceEncoder
from epinformer.model.windows import kept_spans

logger = logging.getLogger(__name__)

MARKER = "towers.json"
VALUES_NAME = "towers.npy"
_FORMAT = 1
# Bases encoded between two writes.
_CHUNK_BASES = 4_000_000


class TowerCache:
    """The encoder's output for some of a dataset's sequences; make one with `build_or_open`.

    Attributes
    ----------
    path
        The cache's own folder.
    sequences
        (n,) int64, ascending: numbers of the sequences that it holds.
    empty
        (positions, channels) float32: the output for a sequence without bases.
    """

    def __init__(self, path: Path, sequences: np.ndarray, spans: tuple[np.ndarray, np.ndarray], values: np.ndarray):
        first, count = spans
        self.path = path
        self.sequences = sequences
        self._values = values
        self._first, self._count = first, count
        # The first rows of the file are those of the empty sequence.
        positions = len(values) - int(count.sum())
        self._begin = positions + np.cumsum(count) - count
        self.empty = torch.from_numpy(np.array(values[:positions], dtype=np.float32))

    @classmethod
    def build_or_open(
        cls,
        folder: str | Path,
        encoder: SequenceEncoder,
        dataset: Dataset,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        sequences: np.ndarray | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> TowerCache:
        """Open the cache of these weights and sequences, or compute it first.

        Parameters
        ----------
        folder
            Where caches are, each in a folder of its own; made if it does not exist.
        encoder
            Used in evaluation mode; its mode and device are as before afterwards.
        dataset
            With sequence.
        device
            Where to compute.
        dtype
            Type of the arithmetic, float32 or bfloat16. Values are kept as float16 either way.
        sequences
            Numbers of the sequences to hold (promoter g is g, element e is ``n_genes + e``); all promoters, and the
            elements of at least one gene, if not given.
        progress
            Called with the number of sequences done and their total.

        Raises
        ------
        DatasetError
            The dataset has no sequence, or its bases are damaged.
        ModelError
            The encoder gives values that are not finite or beyond the range of float16.
        OutputError
            The cache cannot be written, or the disk is full.
        """
        if sequences is None:
            used = np.unique(dataset.pairs["element_index"].to_numpy(np.int64))
            sequences = np.concatenate([np.arange(dataset.n_genes), dataset.n_genes + used])
        sequences = np.unique(np.asarray(sequences, dtype=np.int64))
        lengths = torch.from_numpy(np.diff(dataset.sequence_offsets)[sequences])
        first, count = (span.numpy() for span in kept_spans(lengths, encoder.sequence_length))
        shape = encoder.positions + int(count.sum()), encoder.channels
        identity = {
            "format": _FORMAT,
            "encoder": weights_hash(encoder),
            "dataset": dataset.content_hash(),
            "sequences": hashlib.sha256(sequences.tobytes()).hexdigest(),
            "arithmetic": str(dtype).removeprefix("torch."),
            "shape": list(shape),
        }
        text = json.dumps(identity, indent=1, sort_keys=True)
        folder = Path(folder)
        path = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        values = _opened(path, text, shape)
        if values is None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot be made: {error.strerror}", source=folder, fix="Name another") from error
            parts = _encoded(encoder, dataset, sequences, torch.device(device), dtype, progress)
            try:
                with atomic_directory(path, overwrite=True, marker=MARKER) as temporary:
                    _write(temporary / VALUES_NAME, shape, parts)
                    (temporary / MARKER).write_text(text, encoding="utf-8")
            except OutputError:
                # Another process may have made the same in the meantime.
                if _opened(path, text, shape) is None:
                    raise
            logger.info("kept the encoder's output for %d sequences in %s", len(sequences), path)
            values = _opened(path, text, shape)
            assert values is not None
        return cls(path, sequences, (first, count), values)

    def towers(self, sequences: np.ndarray) -> Tensor:
        """(S, positions, channels) float32, on the CPU: the encoder's output for sequences by their numbers.

        Raises
        ------
        DatasetError
            A sequence is not among those that the cache was made for.
        """
        sequences = np.asarray(sequences, dtype=np.int64)
        index = np.searchsorted(self.sequences, sequences)
        absent = np.append(self.sequences, -1)[index] != sequences
        if absent.any():
            raise DatasetError(
                "holds no output of the encoder for some sequences",
                source=self.path,
                count=int(absent.sum()),
                first=f"sequence {sequences[absent][0]}",
                fix="Build the cache for all sequences that are asked of it",
            )
        count = self._count[index]
        step = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        source = step + np.repeat(self._begin[index], count)
        positions = len(self.empty)
        target = step + np.repeat(np.arange(len(index)) * positions + self._first[index], count)
        towers = self.empty.repeat(len(index), 1)
        towers[torch.from_numpy(target)] = torch.from_numpy(self._values[source]).float()
        return towers.view(len(index), *self.empty.shape)


def weights_hash(encoder: SequenceEncoder) -> str:
    """SHA-256 of all that decides an encoder's output in evaluation mode."""
    digest = hashlib.sha256(f"{encoder.sequence_length}".encode())
    for name, value in sorted(encoder.state_dict().items()):
        if not name.endswith("num_batches_tracked"):
            array = value.detach().cpu().contiguous().numpy()
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def _opened(path: Path, text: str, shape: tuple[int, int]) -> np.ndarray | None:
    """The values of a complete cache, memory-mapped; None where there is none, or a damaged one."""
    try:
        if (path / MARKER).read_text(encoding="utf-8") != text:
            return None
        values = np.load(path / VALUES_NAME, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        logger.warning("%s is damaged and is made again: %s", path, error)
        return None
    if values.shape != shape or values.dtype != np.float16:
        return None
    # A plain array over the map is quicker to index.
    return values.view(np.ndarray)


def _write(path: Path, shape: tuple[int, int], parts: Iterator[np.ndarray]) -> None:
    # Plain writes and not a memory map: on a full disk a map kills the process instead of raising.
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "<f2", "fortran_order": False, "shape": shape})
        for part in parts:
            handle.write(np.ascontiguousarray(part, dtype="<f2").data)
        handle.flush()
        os.fsync(handle.fileno())


def _encoded(
    encoder: SequenceEncoder,
    dataset: Dataset,
    sequences: np.ndarray,
    device: torch.device,
    dtype: torch.dtype,
    progress: Callable[[int, int], None] | None,
) -> Iterator[np.ndarray]:
    """Kept rows (n, channels) float16: first those of the empty sequence, then of the numbered ones in their order."""
    home = next(encoder.parameters()).device
    modes = [(module, module.training) for module in encoder.modules()]
    lengths = np.diff(dataset.sequence_offsets)[sequences]
    chunk = np.cumsum(lengths) // _CHUNK_BASES
    edges = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(sequences)]
    try:
        encoder.to(device).eval()
        none = torch.zeros(0, dtype=torch.uint8, device=device), torch.zeros(0, dtype=torch.int64, device=device)
        with torch.inference_mode():
            yield from (_half(run.tower.flatten(0, 1)) for run in encoder(*none, dtype=dtype))
        for begin, end in itertools.pairwise(edges):
            codes, bases = sequence_codes(dataset, sequences[begin:end])
            first, count = kept_spans(bases, encoder.sequence_length)
            # A generator must not leave inference mode on for whoever runs between its steps.
            with torch.inference_mode():
                for run in encoder(codes.to(device), bases.to(device), dtype=dtype):
                    stop = min(run.end, end - begin)
                    yield _half(_kept(run.tower[: stop - run.begin], first[run.begin : stop], count[run.begin : stop]))
            if progress is not None:
                progress(end, len(sequences))
    finally:
        encoder.to(home)
        for module, mode in modes:
            module.training = mode


def _kept(towers: Tensor, first: Tensor, count: Tensor) -> Tensor:
    """(n, channels): of each of (S, positions, channels) its ``count`` positions from ``first``."""
    position = torch.arange(towers.shape[1])
    inside = (position >= first[:, None]) & (position < (first + count)[:, None])
    return towers[inside.to(towers.device)]


def _half(rows: Tensor) -> np.ndarray:
    half = rows.to(torch.float16).cpu()
    if not torch.isfinite(half).all():
        raise ModelError(
            "the encoder's output is not finite or beyond 65,504, the range in which it is kept",
            fix="Train it without freezing the encoder, or pretrain the encoder again",
        )
    values: np.ndarray[Any, Any] = half.numpy()
    return values
