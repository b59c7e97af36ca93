"""Explain the activity that models predict for the strongest 256 bp of elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from epinformer.bases import COMPLEMENT
from epinformer.dataset.contract import WINDOW_LENGTH
from epinformer.errors import ModelError
from epinformer.interpretation.attribution_file import Explained
from epinformer.interpretation.deeplift import activity_deeplift
from epinformer.interpretation.explained import (
    REFERENCES,
    Scores,
    Settings,
    in_order,
    mean_scores,
    of_mutants,
    references_of,
    table_of,
)
from epinformer.interpretation.mutagenesis import activity_mutants, hypothetical
from epinformer.interpretation.targets import Targets
from epinformer.interpretation.tiling import left_aligned, strongest_windows
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.hardware import arithmetic, named_device
from epinformer.scoring.held_out import by_held_out, held_out_chroms, truly_held_out
from epinformer.scoring.network import evaluating

STRIDE = WINDOW_LENGTH
"""bp between the windows that tile an element, as in the paper (fig. 4c)."""

# Targets that are worked on at a time, and for DeepLIFT also targets x references: memory does not grow with their
# number, and it is seen how far the work is.
_CHUNK = 256
_CHUNK_REFERENCES = 1_024
_WINDOWS_AT_A_TIME = 2_048


def explain_activity(
    models: Sequence[LoadedModel],
    targets: Targets,
    settings: Settings,
    *,
    stride: int = STRIDE,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Explained]:
    """Explain the predicted activity of the strongest window of each target, with the models that held it out.

    Parameters
    ----------
    models
        256-bp enhancer-activity models; scores are means over those that held out the target's chromosome, and always
        over both strands.
    targets
        What is explained; each is tiled with windows, and the one with the highest mean prediction is taken (paper,
        fig. 4c).
    settings
        How.
    stride
        bp between windows.
    progress
        Called with (targets done, targets).

    Returns
    -------
    Iterator of Explained
        Some targets at a time, in their order.

    Raises
    ------
    LeakageError
        No model held out the chromosomes of some targets, and that is not allowed.
    ModelError
        A prediction is not finite (while iterating).
    """
    chroms = targets.table["chrom"].tolist()
    held_out = held_out_chroms(models, chroms)
    masks = by_held_out(
        held_out,
        models,
        targets.table["name"].tolist(),
        chroms,
        what="regions",
        choose="Choose other regions",
        allow_leakage=settings.allow_leakage,
    )
    return _chunks(models, targets, settings, stride, np.array(masks), truly_held_out(masks, held_out), progress)


def strand_difference(models: Sequence[LoadedModel], codes: np.ndarray, settings: Settings) -> float:
    """How far scores of windows are from those of their reverse complements, flipped: a check of the whole way.

    Predictions are means over both strands, so the two are the same but for rounding.

    Parameters
    ----------
    models
        As in `explain_activity`.
    codes
        (n, 256) uint8.
    settings
        How. References are reverse-complemented, too; 20 are enough.

    Returns
    -------
    float
        Largest difference, as a part of the largest score; 0 where all scores are 0.
    """
    references = None
    if settings.method == "deeplift":
        settings = settings._replace(references=min(settings.references, REFERENCES))
        references = references_of(codes, ["window"] * len(codes), range(len(codes)), settings)
    forward = _scores(models, codes, references, settings).hypothetical
    other = None if references is None else COMPLEMENT[references[..., ::-1]]
    reverse = _scores(models, COMPLEMENT[codes[:, ::-1]], other, settings).hypothetical[:, ::-1, ::-1]
    largest = float(np.abs(forward).max(initial=0))
    return float(np.abs(forward - reverse).max(initial=0)) / largest if largest > 0 else 0.0


def _chunks(
    models: Sequence[LoadedModel],
    targets: Targets,
    settings: Settings,
    stride: int,
    masks: np.ndarray,
    held_out: pd.arrays.BooleanArray,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Explained]:
    total = len(targets.table)
    size = _CHUNK if settings.method == "ism" else min(_CHUNK, max(1, _CHUNK_REFERENCES // settings.references))
    for begin in range(0, total, size):
        rows = np.arange(begin, min(begin + size, total))
        # Targets that the same models explain go together.
        _, group = np.unique(masks[:, rows], axis=1, return_inverse=True)
        parts = []
        for number in range(int(group.max()) + 1):
            some = rows[group.reshape(-1) == number]
            chosen = [model for model, mask in zip(models, masks[:, some[0]], strict=True) if mask]
            parts.append(_explained(chosen, targets, some, settings, stride, held_out))
        yield in_order(parts)
        if progress is not None:
            progress(int(rows[-1]) + 1, total)


def _explained(
    models: Sequence[LoadedModel],
    targets: Targets,
    rows: np.ndarray,
    settings: Settings,
    stride: int,
    held_out: pd.arrays.BooleanArray,
) -> tuple[np.ndarray, np.ndarray, Explained]:
    """The targets of the rows and of the tiles, and some targets' strongest windows explained by all these models."""
    tiles, codes = strongest_windows(
        lambda windows: _predicted(models, windows, settings), targets, rows.tolist(), stride
    )
    best = tiles.table[tiles.table["strongest"]]
    number, start, end = (best[name].to_numpy(np.int64) for name in ("target", "start", "end"))
    chrom = targets.table["chrom"].to_numpy()
    references = references_of(codes, chrom[number], start, settings) if settings.method == "deeplift" else None
    scores = _scores(models, codes, references, settings)
    of_tiles = tiles.table["target"].to_numpy()
    named = tiles.table.assign(name=targets.table["name"].to_numpy()[of_tiles], chrom=chrom[of_tiles])
    table = table_of(targets, number, start, end, scores, len(models), held_out[number])
    columns = ["name", "chrom", "start", "end", "prediction", "strongest"]
    return number, of_tiles, Explained(table, *left_aligned(codes, scores.hypothetical), named[columns])


def _predicted(models: Sequence[LoadedModel], codes: np.ndarray, settings: Settings) -> np.ndarray:
    """(n,) float64: mean over models and strands of windows (n, 256)."""
    place = named_device(settings.device)
    dtype = arithmetic(settings.precision, place)
    found = []
    for loaded in models:
        network = loaded.model
        assert isinstance(network, ActivityModel)
        with evaluating(network, place), torch.inference_mode():
            parts = [
                network.both_strands(part.to(place), dtype=dtype).double().cpu().numpy()
                for part in torch.from_numpy(codes).split(_WINDOWS_AT_A_TIME)
            ]
        found.append(np.concatenate(parts))
        if not np.isfinite(found[-1]).all():
            raise ModelError("gives predictions that are not finite", source=loaded.path)
    mean: np.ndarray = np.mean(found, axis=0)
    return mean


def _scores(
    models: Sequence[LoadedModel], codes: np.ndarray, references: np.ndarray | None, settings: Settings
) -> Scores:
    """Mean scores of windows (n, 256), with references (n, r, 256) by DeepLIFT and without by mutagenesis."""
    place = named_device(settings.device)
    found = []
    for loaded in models:
        network = loaded.model
        assert isinstance(network, ActivityModel)
        if references is None:
            mutants = activity_mutants(network, codes, device=place, dtype=arithmetic(settings.precision, place))
            found.append(of_mutants(mutants.predicted, hypothetical(mutants.mutants, codes)))
        else:
            attributed = activity_deeplift(network, codes, references, device=place)
            found.append(
                Scores(attributed.predicted, attributed.references_mean, attributed.delta, attributed.hypothetical)
            )
    return mean_scores(found, models)
