"""Run a network over a dataset's genes: each distinct sequence embedded once, and memory that stays flat."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from epinformer.dataset.batch import Batch, sequence_codes
from epinformer.dataset.store import Dataset
from epinformer.errors import EpinformerError
from epinformer.model.config import ModelConfig
from epinformer.model.epinformer import Embeddings, EPInformer
from epinformer.model.hardware import exact_convolutions

# Sequences whose codes are held at a time, and genes that pass through the interaction at a time: memory stays flat.
CHUNK_BASES = 4_000_000
CHUNK_GENES = 512


def needed_sequences(dataset: Dataset, genes: np.ndarray, config: ModelConfig) -> np.ndarray:
    """(S,) ascending numbers of the sequences that a model reads for these genes (g,)."""
    if config.sequence == "none":
        return genes[:0]
    if not config.elements:
        return genes
    wanted = np.zeros(dataset.n_genes, dtype=bool)
    wanted[genes] = True
    rows = wanted[dataset.pairs["gene_index"].to_numpy()]
    used = np.unique(dataset.pairs["element_index"].to_numpy()[rows])
    return np.concatenate([genes, dataset.n_genes + used.astype(np.int64)])


def gene_batch(network: EPInformer, dataset: Dataset, genes: np.ndarray, sequences: np.ndarray) -> Batch:
    """These genes as the network reads them, for sequences that `embed` embeds.

    Raises
    ------
    DatasetError
        A feature's column is missing, or holds a missing value for one of these genes.
    """
    return Batch.from_dataset(
        dataset,
        genes,
        pair_features=network.config.pair_features,
        gene_features=network.config.gene_features,
        elements=network.config.elements,
        sequences=np.arange(dataset.n_genes + dataset.n_elements) if network.encoder is None else sequences,
    )


def embed(
    network: EPInformer,
    dataset: Dataset,
    sequences: np.ndarray,
    dtype: torch.dtype,
    progress: Callable[[int], None] | None,
) -> Embeddings | None:
    """Embed the numbered sequences, some millions of bases at a time; None for a network that reads none."""
    if network.encoder is None:
        return None
    place = next(network.parameters()).device
    lengths = np.diff(dataset.sequence_offsets)[sequences]
    chunk = np.cumsum(lengths) // CHUNK_BASES
    edges = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(sequences)]
    parts = []
    for begin, end in itertools.pairwise(edges):
        codes, bases = sequence_codes(dataset, sequences[begin:end])
        told = later(progress, begin)
        parts.append(network.embed(codes.to(place), bases.to(place), dtype=dtype, progress=told))
    return Embeddings(torch.cat([part.sequences for part in parts]), parts[-1].empty)


def in_parts(batch: Batch, place: torch.device) -> Iterator[Batch]:
    """Some genes of the batch at a time, on that device."""
    for begin in range(0, len(batch), CHUNK_GENES):
        yield batch.part(begin, min(begin + CHUNK_GENES, len(batch))).to(place)


@contextmanager
def evaluating(network: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Put the network on ``device`` in evaluation mode with exact convolutions, and afterwards all back as it was.

    Raises
    ------
    EpinformerError
        The device's memory is too small.
    """
    training, home = network.training, next(network.parameters()).device
    try:
        network.to(device).eval()
        with exact_convolutions():
            yield
    except torch.OutOfMemoryError as error:
        raise EpinformerError(f"the memory of {device} is too small", fix="Use --device cpu") from error
    finally:
        network.to(home).train(training)


def part_of(progress: Callable[[int, int], None] | None, before: int, total: int) -> Callable[[int], None] | None:
    """Progress of a part of the work, before which ``before`` of ``total`` was done."""
    if progress is None:
        return None
    return lambda done: progress(min(before + done, total), total)


def later(progress: Callable[[int], None] | None, before: int) -> Callable[[int], None] | None:
    """Progress of a step before which ``before`` was done."""
    return None if progress is None else lambda done: progress(before + done)
