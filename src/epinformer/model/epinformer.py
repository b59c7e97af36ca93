"""The whole expression model: sequences and signals of a gene's promoter and elements to its expression."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from epinformer.dataset.batch import Batch
from epinformer.errors import ModelError
from epinformer.model.config import ModelConfig
from epinformer.model.embedding import SequenceEmbedding
from epinformer.model.encoder import SequenceEncoder
from epinformer.model.fusion import Fusion
from epinformer.model.interaction import Interaction
from epinformer.model.predictor import Predictor
from epinformer.model.published import read_published


class Embeddings(NamedTuple):
    """Embeddings of distinct sequences.

    Attributes
    ----------
    sequences
        (S, width): one row a sequence.
    empty
        (width,): the embedding of a sequence without bases; 0 in training, where it is not computed.
    """

    sequences: Tensor
    empty: Tensor


class Prediction(NamedTuple):
    """What `EPInformer` returns for G genes with up to R rows each, the promoter being row 0.

    Attributes
    ----------
    prediction
        (G,): predicted expression, on the scale of the model's target.
    attention
        (layers, G, heads, R): the promoter's attention to itself and to each element; sums to 1 over R, and is 0 for
        rows that do not exist.
    embedding
        (G, R, width): sequence embeddings before fusion; rows that do not exist hold that of an empty sequence.
    promoter
        (G, width): the promoter's embedding after the last interaction layer.
    """

    prediction: Tensor
    attention: Tensor
    embedding: Tensor
    promoter: Tensor


class EPInformer(nn.Module):
    """EPInformer (paper, Methods, "Model architecture"), as the published weights have it.

    Parameters at the published widths: 447,149 promoter-only, 447,213 PE, 447,277 PE-Activity, 447,341
    PE-Activity-HiC. The promoter-only model has no fusion, but its published files hold the weights of one; they are
    kept, frozen and unused, so that files and counts agree.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = SequenceEncoder(config)
        self.embedding = SequenceEmbedding(config, self.encoder.channels, self.encoder.positions)
        self.fusion = Fusion(config)
        self.interaction = Interaction(config)
        self.predictor = Predictor(config)
        if not config.elements:
            self.fusion.requires_grad_(False)

    @classmethod
    def from_published(cls, path: str | Path) -> EPInformer:
        """Load one of the authors' expression checkpoints, in evaluation mode and on the CPU.

        Raises
        ------
        ModelError
            The file is no such checkpoint, or is damaged.
        """
        published = read_published(path)
        if published.config.kind != "expression":
            raise ModelError(
                "is an enhancer-activity model, not an expression model",
                source=path,
                fix="Import it with `epinformer import-checkpoint`",
            )
        model = cls(published.config)
        model.load_state_dict(published.state)
        return model.eval()

    def embed(
        self,
        codes: Tensor,
        lengths: Tensor,
        *,
        dtype: torch.dtype = torch.float32,
        progress: Callable[[int], None] | None = None,
    ) -> Embeddings:
        """Embed distinct sequences, each once.

        Parameters
        ----------
        codes
            (bases,) uint8: the sequences one after the other; A0 C1 G2 T3, N 4, no base 5.
        lengths
            (S,) int64: bases of each sequence, 0 to 2,000.
        dtype
            Type of the arithmetic, float32 or bfloat16; embeddings come back as float32.
        progress
            Called with the number of sequences done so far.
        """
        parts = []
        for encoded in self.encoder(codes, lengths, dtype=dtype):
            if self.training:
                # The empty sequence, last in this one run, is not among what batch normalisation learns from.
                embedded = self.embedding(encoded.tower[:-1]).float()
                return Embeddings(embedded, torch.zeros_like(embedded[0]))
            parts.append(self.embedding(encoded.tower).float())
            if progress is not None:
                progress(min(encoded.end, len(lengths)))
        embedded = torch.cat(parts)
        return Embeddings(embedded[:-1], embedded[-1])

    def forward(
        self, batch: Batch, embeddings: Embeddings | None = None, *, dtype: torch.dtype = torch.float32
    ) -> Prediction:
        """Predict the expression of a batch's genes.

        Parameters
        ----------
        batch
            G genes; its features must be those of ``config``, in its order.
        embeddings
            Of the batch's sequences, if they are known already.
        dtype
            Type of the encoder's arithmetic.
        """
        if embeddings is None:
            embeddings = self.embed(batch.codes, batch.lengths, dtype=dtype)
        if not self.config.elements:
            batch = batch.promoters()
        embedded = embeddings.sequences[batch.row_sequence]
        rows = self.fusion(embedded, batch.pair_features) if self.config.elements else embedded
        slots = batch.slots()
        promoter, attention = self.interaction(rows, batch.row_gene, slots[:, 0], slots)
        padded = torch.where((slots < 0)[..., None], embeddings.empty, embedded[slots.clamp(min=0)])
        return Prediction(self.predictor(promoter, batch.gene_features), attention, padded, promoter)
