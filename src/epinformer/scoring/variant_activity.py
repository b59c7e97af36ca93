"""What alleles do to the activity of the sequence that holds them, by the 256-bp model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from epinformer.assemblies import same_assembly
from epinformer.bases import NO_BASE
from epinformer.dataset.contract import WINDOW_LENGTH
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, ModelError
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.hardware import exact_convolutions
from epinformer.scoring.checks import common_target
from epinformer.scoring.held_out import held_out_chroms

logger = logging.getLogger(__name__)

STRIDE = 64
"""bp between the windows of a sequence."""

WINDOWS = 3
"""The most windows over which the effect of an allele is averaged."""

# Windows that are predicted at a time.
_CHUNK_WINDOWS = 4_096


class Activities(NamedTuple):
    """What is predicted of h alleles in sequences, log2(0.1 + activity), means over windows, strands and models.

    Attributes
    ----------
    before, after
        (h,) float64: with the reference and with the allele; missing where no model held out the chromosome.
    models
        (h,) int64: how many models.
    held_out
        (h,) nullable boolean: whether these had held out the chromosome; missing where they do not say.
    any_model
        Whether there is a model at all.
    """

    before: np.ndarray
    after: np.ndarray
    models: np.ndarray
    held_out: pd.arrays.BooleanArray
    any_model: bool

    def spread(self, rows: np.ndarray, number: int) -> Activities:
        """The same as rows (h,) of ``number`` in all, the others missing."""
        before, after = np.full((2, number), np.nan)
        models = np.zeros(number, dtype=np.int64)
        before[rows], after[rows], models[rows] = self.before, self.after, self.models
        held_out = pd.array([pd.NA] * number, dtype="boolean")
        held_out[rows] = self.held_out
        return Activities(before, after, models, held_out, self.any_model)


class ActivityScorer:
    """Predicts with several models, each where it held out the chromosome.

    Parameters
    ----------
    models
        256-bp enhancer-activity models; perhaps none.
    dataset
        What they will be used on.
    device, dtype
        Where, and with which type the encoder computes.
    allow_leakage
        Chromosomes that no model held out are predicted by all.

    Raises
    ------
    ModelError
        A model reads windows of another length, or they have different targets.
    DatasetError
        Another assembly than a model's.
    """

    def __init__(
        self,
        models: Sequence[LoadedModel],
        dataset: Dataset,
        *,
        device: torch.device,
        dtype: torch.dtype,
        allow_leakage: bool,
    ) -> None:
        for model in models:
            _check(model, dataset)
        if models:
            common_target(models)
        self.models = models
        self._device, self._dtype = device, dtype
        chroms = dataset.chroms
        self._chroms = pd.Index(chroms)
        held_out = held_out_chroms(models, chroms)
        masks = [np.ones(len(chroms), dtype=bool) if held is None else held for held in held_out]
        held = np.any(masks, axis=0) if models else np.zeros(len(chroms), dtype=bool)
        self._masks = [mask | ~held for mask in masks] if allow_leakage else masks
        unknown = np.zeros(len(chroms), dtype=bool)
        for said, mask in zip(held_out, self._masks, strict=True):
            unknown |= mask & (said is None)
        self._unknown, self._held = unknown, held
        if models and not allow_leakage and held.any() and not held.all():
            logger.warning(
                "no activity model given held out %s of %s chromosomes; no activity is predicted there",
                f"{(~held).sum():,}",
                f"{len(held):,}",
            )
        self.any_held_out = bool(np.any(self._masks))

    def __call__(
        self,
        chrom: np.ndarray,
        sequence: np.ndarray,
        before: list[np.ndarray],
        after: list[np.ndarray],
        place: np.ndarray,
    ) -> Activities:
        """Predict alleles in sequences.

        Parameters
        ----------
        chrom
            (h,) names in the dataset's style.
        sequence
            (h,) int64: numbers of the sequences, which say which of them are the same.
        before, after
            h arrays of uint8 codes, two of the same length: the sequence as it is and with the allele.
        place
            (h,) int64: the middle of what the allele changes, from the sequence's first base.

        Notes
        -----
        Windows of 256 bp begin every 64 bp from the sequence's first base, and one ends at its last. Those three are
        taken whose middles are nearest to the allele's. A shorter sequence is one window, in whose middle it is.
        """
        number = len(sequence)
        known = self._chroms.get_indexer(pd.Index(chrom))
        models = np.zeros(number, dtype=np.int64)
        sums = np.zeros((2, number))
        begins = [window_begins(len(codes), int(at)) for codes, at in zip(before, place, strict=True)]
        same = np.array([np.array_equal(a, b) for a, b in zip(before, after, strict=True)], dtype=bool)
        for model, mask in zip(self.models, self._masks, strict=True):
            chosen = np.flatnonzero(mask[known])
            if not len(chosen):
                continue
            models[chosen] += 1
            sums[:, chosen] += self._predict(model, sequence, before, after, begins, same, chosen)
        means = np.divide(sums, models, out=np.full_like(sums, np.nan), where=models > 0)
        held_out = pd.arrays.BooleanArray(self._held[known], self._unknown[known] | (models == 0))
        return Activities(means[0], means[1], models, held_out, bool(self.models))

    def _predict(
        self,
        loaded: LoadedModel,
        sequence: np.ndarray,
        before: list[np.ndarray],
        after: list[np.ndarray],
        begins: list[np.ndarray],
        same: np.ndarray,
        chosen: np.ndarray,
    ) -> np.ndarray:
        """(2, chosen): before and after. A window of the reference that several alleles share is predicted once."""
        windows: list[np.ndarray] = []
        shared: dict[tuple[int, int], int] = {}
        index: list[tuple[list[int], list[int]]] = []
        for hit in chosen.tolist():
            own: tuple[list[int], list[int]] = ([], [])
            for begin in begins[hit].tolist():
                key = (int(sequence[hit]), begin)
                if key not in shared:
                    shared[key] = len(windows)
                    windows.append(window(before[hit], begin))
                own[0].append(shared[key])
                own[1].append(shared[key] if same[hit] else len(windows))
                if not same[hit]:
                    windows.append(window(after[hit], begin))
            index.append(own)
        network = loaded.model
        assert isinstance(network, ActivityModel)
        home = next(network.parameters()).device
        values = []
        try:
            network.to(self._device).eval()
            with exact_convolutions(), torch.inference_mode():
                for first in range(0, len(windows), _CHUNK_WINDOWS):
                    codes = torch.from_numpy(np.stack(windows[first : first + _CHUNK_WINDOWS])).to(self._device)
                    values.append(network.both_strands(codes, dtype=self._dtype).double().cpu().numpy())
        finally:
            network.to(home)
        predicted = np.concatenate(values)
        if not np.isfinite(predicted).all():
            raise ModelError("gives predictions that are not finite", source=loaded.path)
        return np.array([[predicted[part].mean() for part in own] for own in index]).T


def window_begins(length: int, place: int) -> np.ndarray:
    """Where the windows of an allele begin, from the first base of a sequence of this length, ascending int64.

    ``place`` is the middle of what the allele changes. Negative for a sequence shorter than a window.
    """
    last = length - WINDOW_LENGTH
    if last <= 0:
        return np.array([length // 2 - WINDOW_LENGTH // 2])
    begins = np.unique(np.append(np.arange(0, last + 1, STRIDE), last))
    nearest = np.argsort(np.abs(begins + WINDOW_LENGTH // 2 - place), kind="stable")[:WINDOWS]
    found: np.ndarray = np.sort(begins[nearest])
    return found


def window(codes: np.ndarray, begin: int) -> np.ndarray:
    """The window of a sequence that begins there, uint8 (256,); no base where the sequence is too short."""
    if begin >= 0:
        return codes[begin : begin + WINDOW_LENGTH]
    padded = np.full(WINDOW_LENGTH, NO_BASE, dtype=np.uint8)
    padded[-begin : len(codes) - begin] = codes
    return padded


def _check(model: LoadedModel, dataset: Dataset) -> None:
    length = model.info.config.sequence_length
    if length != WINDOW_LENGTH:
        raise ModelError(f"reads windows of {length:,} bp, not of {WINDOW_LENGTH}", source=model.path)
    assembly = model.info.assembly
    if assembly is not None and not same_assembly(assembly, dataset.manifest.assembly):
        raise DatasetError(
            f"is of assembly {dataset.manifest.assembly}, but the model was trained on {assembly}",
            source=dataset.path,
            fix="Give a model of the dataset's assembly",
        )
