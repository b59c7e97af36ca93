"""What a model is made of: its kind, its features and its widths."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from epinformer.dataset.contract import HALF_LIFE_FEATURES
from epinformer.dataset.features import Feature
from epinformer.dataset.limits import PairLimits

Size = Annotated[int, Field(ge=1, le=65_536)]
Variant = Literal["promoter", "PE", "PE-Activity", "PE-Activity-HiC"]

_HALF_LIFE = tuple(Feature(name) for name in HALF_LIFE_FEATURES)
_DISTANCE = Feature("distance", "abs_kb")
_CONTACT = Feature("contact", "log10_1p")
_ACTIVITY = Feature("activity")
_PUBLISHED_LIMITS = PairLimits(1_000, 100_000, 60)
_PAIR_FEATURES: dict[Variant, tuple[Feature, ...]] = {
    "promoter": (),
    "PE": (_DISTANCE,),
    "PE-Activity": (_DISTANCE, _ACTIVITY),
    "PE-Activity-HiC": (_DISTANCE, _CONTACT, _ACTIVITY),
}


class ModelConfig(BaseModel):
    """The shape of a network and the dataset columns that it reads.

    The defaults are the published widths (paper, Methods, "Model architecture"; where the paper and the published
    weights differ, the weights).

    Attributes
    ----------
    kind
        ``expression`` for `EPInformer`, ``activity`` for the 256-bp enhancer-activity model.
    preset
        The name that every result carries, e.g. ``published``.
    variant
        Which of the published input sets this is.
    elements
        Whether the model looks at elements at all; false for the promoter-only variant.
    pair_features
        Features of a (gene, element) pair, in the order in which the network takes them.
    gene_features
        Features of a gene, in the order in which the predictor takes them after the promoter embedding.
    target
        Column of the dataset's genes (or description) that the model predicts.
    sequence
        ``bases``, or ``none`` for a model of signals alone, without encoder and embedding.
    limits
        The pairs that the model looks at.
    standardise
        Whether features are centred and scaled by the mean and standard deviation of the training genes, which the
        weights then hold.
    promoter_input
        Whether fusion gives the promoter's row the gene features, where elements have those of their pair.
    sequence_length
        Length in bp of the window in which a sequence is centred.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["expression", "activity"] = "expression"
    preset: str = "published"
    variant: Variant | None = None
    elements: bool = True
    pair_features: tuple[Feature, ...] = ()
    gene_features: tuple[Feature, ...] = ()
    target: str | None = None
    sequence: Literal["bases", "none"] = "bases"
    limits: PairLimits = PairLimits()
    standardise: bool = False
    promoter_input: bool = False
    sequence_length: Size = 2000
    stem_channels: Size = 256
    stem_kernel: Annotated[int, Field(ge=1, le=8)] = 8
    block_channels: tuple[Size, Size, Size, Size] = (128, 64, 64, 128)
    dilations: tuple[Size, ...] = (2, 4, 6)
    dilated_channels: Size = 64
    reduced_channels: Size = 32
    width: Size = 64
    heads: Size = 4
    layers: Annotated[int, Field(ge=1, le=64)] = 3
    feedforward: Size = 256
    hidden: Size = 128
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of the {self.heads} heads")
        if self.sequence == "bases" and self.width % self.reduced_channels:
            raise ValueError(f"width {self.width} is no multiple of {self.reduced_channels}, the embedding's channels")
        if self.sequence_length % 16:
            raise ValueError(f"sequence_length {self.sequence_length} is no multiple of 16")
        if self.sequence == "none" and self.kind == "activity":
            raise ValueError("an enhancer-activity model reads bases; sequence none is for expression models")
        return self


def published_config(variant: Variant, target: str | None = None) -> ModelConfig:
    """Configuration of one of the four published expression models.

    Parameters
    ----------
    variant
        ``promoter``, ``PE``, ``PE-Activity`` or ``PE-Activity-HiC``.
    target
        ``expression_rna`` or ``expression_cage``, if known.
    """
    # PE was trained without any signal, so its slot for the promoter's activity is fed 0.
    promoter_activity = Feature("promoter_activity", "zero" if variant == "PE" else "identity")
    return ModelConfig(
        variant=variant,
        elements=variant != "promoter",
        pair_features=_PAIR_FEATURES[variant],
        limits=_PUBLISHED_LIMITS if variant != "promoter" else PairLimits(),
        gene_features=(*_HALF_LIFE, promoter_activity),
        target=target,
    )


def activity_config(target: str | None = "log2(0.1 + activity)") -> ModelConfig:
    """Configuration of the published 256-bp enhancer-activity model."""
    return ModelConfig(kind="activity", elements=False, target=target, sequence_length=256, hidden=256, dropout=0.1)
