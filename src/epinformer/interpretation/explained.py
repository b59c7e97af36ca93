"""What explained sequences have in common, whatever was predicted of them: settings, references, means, tables."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from epinformer.errors import ModelError
from epinformer.interpretation.attribution_file import Explained
from epinformer.interpretation.deeplift import shuffled_references
from epinformer.interpretation.targets import Targets
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.hardware import Precision

Method = Literal["ism", "deeplift"]

REFERENCES = 20
"""Shuffled sequences that DeepLIFT compares with. The paper uses 1,000."""


class Settings(NamedTuple):
    """How sequences are explained.

    Attributes
    ----------
    method
        ``ism`` or ``deeplift``.
    references, seed
        Dinucleotide-shuffled references a sequence, and where their order comes from (DeepLIFT).
    device, precision
        As in `epinformer.scoring.predict.predict`.
    allow_leakage
        Also explain what lies on chromosomes that no model held out.
    """

    method: Method
    references: int = REFERENCES
    seed: int = 0
    device: str = "auto"
    precision: Precision = "32"
    allow_leakage: bool = False


class Scores(NamedTuple):
    """Of n sequences: prediction, reference and delta (n,) as `Explained` has them, hypothetical (n, 4, L)."""

    prediction: np.ndarray
    reference: np.ndarray
    delta: np.ndarray
    hypothetical: np.ndarray


def of_mutants(predicted: np.ndarray, hypothetical: np.ndarray) -> Scores:
    """Scores of mutagenesis, which compares with no reference and has nothing to converge."""
    nothing = np.full(len(predicted), np.nan)
    return Scores(predicted, nothing, nothing, hypothetical)


def mean_scores(found: Sequence[Scores], sources: Sequence[LoadedModel]) -> Scores:
    """Means over models; the delta is the largest.

    Raises
    ------
    ModelError
        A model's scores are not finite.
    """
    for scores, loaded in zip(found, sources, strict=True):
        if not np.isfinite(scores.hypothetical).all() or not np.isfinite(scores.prediction).all():
            raise ModelError("gives predictions that are not finite", source=loaded.path)
    hypothetical = np.stack([scores.hypothetical for scores in found]).mean(axis=0, dtype=np.float64)
    return Scores(
        np.mean([scores.prediction for scores in found], axis=0),
        np.mean([scores.reference for scores in found], axis=0),
        np.max([scores.delta for scores in found], axis=0),
        hypothetical.astype(np.float32),
    )


def references_of(codes: np.ndarray, chrom: Iterable[str], start: Iterable[int], settings: Settings) -> np.ndarray:
    """Shuffled references (n, r, L) of sequences, which depend on the place of each and the seed alone."""
    seeds = [
        (zlib.crc32(f"{name}:{first}".encode()) + settings.seed) % 2**31
        for name, first in zip(chrom, start, strict=True)
    ]
    return shuffled_references(codes, settings.references, np.array(seeds))


def table_of(
    targets: Targets,
    rows: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    scores: Scores,
    models: int,
    held_out: pd.arrays.BooleanArray,
) -> pd.DataFrame:
    """The table of `Explained` for targets by number (n,), of which ``[start, end)`` was explained."""
    own = targets.table.iloc[rows].reset_index(drop=True)
    return pd.DataFrame(
        {
            **{name: own[name] for name in ("name", "kind", "chrom")},
            "start": start,
            "end": end,
            "target_start": own["start"],
            "target_end": own["end"],
            **{name: own[name] for name in ("gene_id", "gene_name", "score")},
            "prediction": scores.prediction,
            "reference": scores.reference,
            "delta": scores.delta,
            "models": np.full(len(own), models, dtype=np.int64),
            "held_out": held_out,
        }
    )


def in_order(parts: Sequence[tuple[np.ndarray, np.ndarray, Explained]]) -> Explained:
    """Parts of a chunk as one in the targets' order; each part comes with the targets of its rows and of its tiles."""
    if len(parts) == 1:
        return parts[0][2]
    rows, tiles, found = zip(*parts, strict=True)
    order = np.argsort(np.concatenate(rows), kind="stable")
    order_of_tiles = np.argsort(np.concatenate(tiles), kind="stable")
    return Explained(
        pd.concat([part.table for part in found], ignore_index=True).iloc[order].reset_index(drop=True),
        np.concatenate([part.codes for part in found])[order],
        np.concatenate([part.hypothetical for part in found])[order],
        pd.concat([part.tiles for part in found], ignore_index=True).iloc[order_of_tiles].reset_index(drop=True),
    )
