"""What a training step sees: genes with their labels, or windows with their activity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from epinformer.bases import COMPLEMENT
from epinformer.dataset.batch import Batch, sequence_codes
from epinformer.dataset.limits import limited
from epinformer.dataset.store import Dataset
from epinformer.model.config import ModelConfig

if TYPE_CHECKING:
    from epinformer.training.towers import TowerCache


class GeneExample(NamedTuple):
    """Genes to learn from.

    Attributes
    ----------
    batch
        G genes.
    target
        (G,) float32: their labels.
    towers
        (S, positions, channels) float32 of the batch's sequences where the encoder is frozen; None otherwise.
    """

    batch: Batch
    target: Tensor
    towers: Tensor | None = None

    def to(self, device: torch.device) -> GeneExample:
        """The same on ``device``."""
        towers = None if self.towers is None else self.towers.to(device)
        return GeneExample(self.batch.to(device), self.target.to(device), towers)


class WindowExample(NamedTuple):
    """Windows to pretrain on: codes (S, length) uint8 and labels (S,) float32."""

    codes: Tensor
    target: Tensor

    def to(self, device: torch.device) -> WindowExample:
        """The same on ``device``."""
        return WindowExample(self.codes.to(device), self.target.to(device))


class GeneExamples(TorchDataset[GeneExample]):
    """Some genes of a dataset with their labels; features are in memory, bases are read batch by batch.

    Parameters
    ----------
    dataset
        With the features of ``config``.
    config
        The network that will read them.
    genes
        (n,) int64: which genes, by their number in the dataset.
    towers
        The frozen encoder's output, if there is one.
    """

    def __init__(
        self, dataset: Dataset, config: ModelConfig, genes: np.ndarray, towers: TowerCache | None = None
    ) -> None:
        self.dataset = dataset
        self.reads_bases = config.sequence == "bases"
        self.towers = towers
        self.batch = Batch.from_dataset(
            limited(dataset, config.limits),
            genes,
            pair_features=config.pair_features,
            gene_features=config.gene_features,
            elements=config.elements,
            sequences=np.arange(dataset.n_genes + dataset.n_elements),
        )
        values = dataset.genes[config.target].to_numpy(np.float64, na_value=np.nan)[genes]
        self.target = torch.from_numpy(values.astype(np.float32))

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: int) -> GeneExample:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> GeneExample:
        chosen = torch.tensor(indices)
        batch, target = self.batch.take(chosen), self.target[chosen]
        if not self.reads_bases:
            return GeneExample(batch, target)
        sequences, row_sequence = torch.unique(batch.row_sequence, return_inverse=True)
        batch = replace(batch, row_sequence=row_sequence)
        if self.towers is not None:
            return GeneExample(batch, target, self.towers.towers(sequences.numpy()))
        codes, lengths = sequence_codes(self.dataset, sequences.numpy())
        return GeneExample(replace(batch, codes=codes, lengths=lengths), target)


class WindowExamples(TorchDataset[WindowExample]):
    """Windows with their labels; with ``both_strands`` each is there twice, the second time as its reverse complement.

    Parameters
    ----------
    codes
        (n, length) uint8, possibly memory-mapped.
    target
        (n,) labels.
    rows
        (m,) int64: which of the windows.
    both_strands
        Whether example m + i is the reverse complement of example i.
    """

    def __init__(self, codes: np.ndarray, target: np.ndarray, rows: np.ndarray, *, both_strands: bool) -> None:
        self.codes = codes
        self.rows = rows
        self.target = torch.from_numpy(np.asarray(target, dtype=np.float32)[rows])
        self.both_strands = both_strands

    def __len__(self) -> int:
        return len(self.rows) * (2 if self.both_strands else 1)

    def __getitem__(self, index: int) -> WindowExample:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> WindowExample:
        chosen = np.asarray(indices)
        window = chosen % len(self.rows)
        codes = self.codes[self.rows[window]]
        reverse = chosen >= len(self.rows)
        codes[reverse] = COMPLEMENT[codes[reverse, ::-1]]
        return WindowExample(torch.from_numpy(codes), self.target[torch.from_numpy(window)])


class EpochOrder(Sampler[int]):
    """An order of all examples that depends on the seed and the epoch alone, so that a resumed run sees the same.

    Among several processes each takes its share; the last examples of an epoch are left out where they do not divide.
    """

    def __init__(self, examples: int, seed: int, *, rank: int = 0, world: int = 1) -> None:
        self.examples = examples
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of another epoch; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.examples // self.world

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.examples)
        yield from order[self.rank : len(self) * self.world : self.world].tolist()


def whole(examples: Sequence[GeneExample] | GeneExample | WindowExample) -> object:
    """Pass on what ``__getitems__`` made: it is a batch already."""
    return examples
