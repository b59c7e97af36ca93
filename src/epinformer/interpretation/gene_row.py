"""A gene's predicted expression as a function of one of its sequences, everything else as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from epinformer.dataset.batch import Batch
from epinformer.dataset.store import Dataset
from epinformer.model.epinformer import Embeddings, EPInformer
from epinformer.scoring.changes import CHUNK_ROWS
from epinformer.scoring.network import embed, gene_batch, needed_sequences


class GeneRow(nn.Module):
    """From the embedding of a promoter or element to the prediction of a gene: fusion, interaction and predictor.

    A row that enters the interaction depends on its own sequence and signals alone (`EPInformer.rows`), so the gene's
    other rows are worked out once. Gradients reach the embedding. The network is used where it is and is no part of
    this module, so that nothing is done to its layers through it.

    Parameters
    ----------
    network
        In evaluation mode, and reads sequence.
    dataset
        With only the pairs that the network looks at.
    gene
        The gene's number in the dataset.
    pair
        The row of the dataset's pairs whose element is meant; -1 for the promoter.
    dtype
        Type of the encoder's arithmetic for the gene's other sequences.
    """

    def __init__(
        self, network: EPInformer, dataset: Dataset, gene: int, pair: int, *, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        genes = np.array([gene])
        place = next(network.parameters()).device
        sequences = needed_sequences(dataset, genes, network.config)
        self._network = (network,)
        self._batch = gene_batch(network, dataset, genes, sequences).to(place)
        self._row = 0 if pair < 0 else 1 + pair - int(dataset.pair_offsets[gene])
        with torch.inference_mode(False), torch.no_grad():
            embeddings = embed(network, dataset, sequences, dtype, None)
            assert embeddings is not None
            self._embeddings = embeddings
            self._rows = network.rows(self._batch, embeddings)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Predictions (B, 1) with each of these embeddings (B, width) in place of the sequence's own."""
        network, number = self._network[0], len(embeddings)
        own = self._own(embeddings)
        rows = self._rows.expand(number, *self._rows.shape)
        rows = torch.cat([rows[:, : self._row], own[:, None], rows[:, self._row + 1 :]], dim=1)
        return network.interact(rows.flatten(0, 1), _repeated(self._batch, number, len(self._rows)))[0][:, None]

    @torch.inference_mode()
    def predict(self, embeddings: Tensor) -> np.ndarray:
        """Predictions (B,) float64, some thousands of rows at a time."""
        step = max(CHUNK_ROWS // len(self._rows), 1)
        return np.concatenate([self(part)[:, 0].double().cpu().numpy() for part in embeddings.split(step)])

    def _own(self, embeddings: Tensor) -> Tensor:
        """(B, width): what enters the interaction. An element comes with its promoter, as fusion may ask for one."""
        kept = [0] if self._row == 0 else [0, self._row]
        number, size = len(embeddings), len(kept)
        some = replace(
            self._batch,
            row_sequence=self._batch.row_sequence[kept],
            row_slot=torch.arange(size, device=embeddings.device),
            width=size,
            pair_features=self._batch.pair_features[kept],
        )
        batch = _repeated(some, number, size)
        sequence = batch.row_sequence.clone()
        new = len(self._embeddings.sequences) + torch.arange(number, device=embeddings.device)
        sequence[size - 1 :: size] = new
        every = Embeddings(torch.cat([self._embeddings.sequences, embeddings]), self._embeddings.empty)
        return self._network[0].rows(replace(batch, row_sequence=sequence), every)[size - 1 :: size]


def _repeated(batch: Batch, number: int, size: int) -> Batch:
    """The one gene of a batch, of ``size`` rows, ``number`` times."""
    gene = torch.arange(number, device=batch.row_gene.device)
    return replace(
        batch,
        row_sequence=batch.row_sequence.repeat(number),
        row_gene=gene.repeat_interleave(size),
        row_slot=batch.row_slot.repeat(number),
        pair_features=batch.pair_features.repeat(number, 1),
        gene_features=batch.gene_features.repeat(number, 1),
    )
