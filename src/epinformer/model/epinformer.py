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
from epinformer.model.standardiser import Standardiser


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
        (G, R, 0) without sequence.
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

    With ``sequence: none`` there is no encoder and no embedding, and fusion takes the signals alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = None
        self.embedding = None
        if config.sequence == "bases":
            self.encoder = SequenceEncoder(config)
            self.embedding = SequenceEmbedding(config, self.encoder.channels, self.encoder.positions)
        self.pair_standardiser = Standardiser(len(config.pair_features)) if config.standardise else None
        self.gene_standardiser = Standardiser(len(config.gene_features)) if config.standardise else None
        self.promoter_input = nn.Linear(len(config.gene_features), config.width) if config.promoter_input else None
        self.fusion = Fusion(config)
        self.interaction = Interaction(config)
        self.predictor = Predictor(config)
        if not self._fused:
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
        if self.encoder is None or self.embedding is None:
            raise ModelError("reads no sequence and embeds none", fix="Call it with a batch alone")
        if self.training:
            # The empty sequence, the last one, is not among what batch normalisation learns from.
            towers = torch.cat([encoded.tower for encoded in self.encoder(codes, lengths, dtype=dtype)])
            return self.embed_towers(towers[:-1])
        parts = []
        for encoded in self.encoder(codes, lengths, dtype=dtype):
            parts.append(self.embedding(encoded.tower).float())
            if progress is not None:
                progress(min(encoded.end, len(lengths)))
        embedded = torch.cat(parts)
        return Embeddings(embedded[:-1], embedded[-1])

    def embed_towers(
        self, towers: Tensor, empty: Tensor | None = None, *, dtype: torch.dtype | None = None
    ) -> Embeddings:
        """Embed sequences whose encoder output is known, as when the encoder is frozen.

        Parameters
        ----------
        towers
            (S, positions, channels): the encoder's output.
        empty
            (positions, channels): the same of a sequence without bases. Only `Prediction.embedding` shows it; in
            training, or where it is not given, its embedding is 0.
        dtype
            Type of the arithmetic, float32 or bfloat16; that of the towers if not given.
        """
        if self.embedding is None:
            raise ModelError("reads no sequence and embeds none", fix="Call it with a batch alone")
        towers = towers.to(towers.dtype if dtype is None else dtype)
        if self.training or empty is None:
            embedded = self.embedding(towers).float()
            return Embeddings(embedded, embedded.new_zeros(embedded.shape[1]))
        embedded = self.embedding(torch.cat([towers, empty[None].to(towers)])).float()
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
        if not self.config.elements:
            batch = batch.promoters()
        if self.encoder is None:
            embeddings = None
        elif embeddings is None:
            embeddings = self.embed(batch.codes, batch.lengths, dtype=dtype)
        embedded = self._embedded(batch, embeddings)
        empty = embedded[0] if embeddings is None else embeddings.empty
        prediction, attention, promoter = self.interact(self._rows(batch, embedded), batch)
        slots = batch.slots()
        padded = torch.where((slots < 0)[..., None], empty, embedded[slots.clamp(min=0)])
        return Prediction(prediction, attention, padded, promoter)

    def rows(self, batch: Batch, embeddings: Embeddings | None) -> Tensor:
        """What enters the interaction: each row's sequence and signals in one vector, (N, width).

        A row depends on nothing but itself, so rows can be left out, or taken from elsewhere, before `interact`.

        Parameters
        ----------
        batch
            As `forward` takes it.
        embeddings
            Of the batch's sequences; None for a model that reads none.
        """
        return self._rows(batch, self._embedded(batch, embeddings))

    def interact(self, rows: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """From each row's vector to expression: prediction, attention and promoter as in `Prediction`.

        Parameters
        ----------
        rows
            (N, width), as `rows` gives them.
        batch
            Says which gene and slot each row belongs to, and has the genes' features.
        """
        slots = batch.slots()
        promoter, attention = self.interaction(rows, batch.row_gene, slots[:, 0], slots)
        return self.predictor(promoter, self._standardised_genes(batch)), attention, promoter

    def _embedded(self, batch: Batch, embeddings: Embeddings | None) -> Tensor:
        """(N, width) embedding of each row's sequence, or (N, 0) without sequence."""
        return batch.pair_features[:, :0] if embeddings is None else embeddings.sequences[batch.row_sequence]

    def _rows(self, batch: Batch, embedded: Tensor) -> Tensor:
        if not self._fused:
            return embedded
        pairs = batch.pair_features
        if self.pair_standardiser is not None:
            pairs = self.pair_standardiser(pairs) * (batch.row_slot > 0)[:, None]  # still 0 for promoters
        more = None
        if self.promoter_input is not None:
            more = embedded.new_zeros(len(embedded), self.config.width)
            promoters = batch.slots()[:, 0]
            more = more.index_copy(0, promoters, self.promoter_input(self._standardised_genes(batch)))
        return self.fusion(embedded, pairs, more)

    def _standardised_genes(self, batch: Batch) -> Tensor:
        genes = batch.gene_features
        return genes if self.gene_standardiser is None else self.gene_standardiser(genes)

    @property
    def _fused(self) -> bool:
        """Whether rows pass through fusion: not in the published promoter-only model."""
        return self.config.elements or self.encoder is None or self.promoter_input is not None
