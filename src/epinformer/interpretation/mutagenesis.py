"""In-silico saturation mutagenesis: what every single-base mutant of a sequence is predicted to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from epinformer.bases import COMPLEMENT
from epinformer.errors import InputError
from epinformer.model.activity import ActivityModel
from epinformer.model.epinformer import EPInformer
from epinformer.model.mutant_outputs import ActivityMutants, embedding_mutants
from epinformer.scoring.network import evaluating

# Windows whose mutants are computed at a time: what they need stays in a processor's cache, or fills a GPU.
_RUN_WINDOWS = 8
_RUN_WINDOWS_CUDA = 256


class Mutants(NamedTuple):
    """Predictions of n sequences of L bases and of all their single-base mutants.

    Attributes
    ----------
    predicted
        (n,) float64: of the sequences themselves.
    mutants
        (n, 4, L) float64: with base b (A, C, G, T) at each position; where the sequence has that base, or none of
        the four (N, no base), the prediction of the sequence itself.
    """

    predicted: np.ndarray
    mutants: np.ndarray


def activity_mutants(
    network: ActivityModel,
    codes: np.ndarray,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], None] | None = None,
) -> Mutants:
    """Predict the activity of windows and of all their single-base mutants, each the mean over both strands.

    The same, to rounding, as ``network.both_strands`` of every mutated window. Memory beyond the result does not grow
    with the number of windows, but for a table of at most 65,536 8-mers of A, C, G and T.

    Parameters
    ----------
    network
        The 256-bp model.
    codes
        (n, length) uint8: windows as the model reads them; A0 C1 G2 T3, N 4, no base 5.
    device, dtype
        Where, and with which type the encoder computes: float32 or bfloat16.
    progress
        Called with the number of windows done and of all.

    Raises
    ------
    InputError
        The windows have another length than the model's.
    EpinformerError
        The device's memory is too small.
    """
    length = network.config.sequence_length
    if codes.ndim != 2 or codes.shape[1] != length:
        raise InputError(f"windows of shape {codes.shape} are none of {length} bp", fix=f"Give (n, {length}) codes")
    predicted, mutants = np.zeros(len(codes)), np.zeros((len(codes), 4, length))
    run = _RUN_WINDOWS_CUDA if device.type == "cuda" else _RUN_WINDOWS
    with evaluating(network, device), torch.inference_mode():
        strands = torch.from_numpy(np.stack([codes, COMPLEMENT[codes[:, ::-1]]])).to(device)
        model = ActivityMutants(network, strands.flatten(0, 1), dtype=dtype)
        for begin in range(0, len(codes), run):
            end = min(begin + run, len(codes))
            own, changed = model(strands[:, begin:end].flatten(0, 1))
            predicted[begin:end] = _host(own.view(2, -1)).mean(0)
            forward, reverse = _host(changed.view(2, -1, 4, length))
            # Base b of the other strand is base 3 - b of this one.
            mutants[begin:end] = (forward + reverse[:, ::-1, ::-1]) / 2
            if progress is not None:
                progress(end, len(codes))
    return Mutants(predicted, mutants)


def sequence_mutants(
    network: EPInformer, codes: np.ndarray, *, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Embed every single-base mutant of one of an expression model's sequences.

    The same, to rounding, as ``network.embed`` of every mutated sequence.

    Parameters
    ----------
    network
        A model that reads sequence.
    codes
        (bases,) uint8: 1 to 2,000 bp; A0 C1 G2 T3, N 4, no base 5.
    device, dtype
        Where, and with which type it computes: float32 or bfloat16.

    Returns
    -------
    Tensor
        (4, bases, width) float32 on the device; where the sequence has that base, or none of the four, its own.

    Raises
    ------
    InputError
        The sequence is empty, or longer than the model's window.
    ModelError
        The network reads no sequence.
    EpinformerError
        The device's memory is too small.
    """
    longest = network.config.sequence_length
    if codes.ndim != 1 or not 0 < len(codes) <= longest:
        raise InputError(
            f"a sequence of {codes.size:,} bp is not one of 1 to {longest:,}", fix="Cut it as the model does"
        )
    with evaluating(network, device), torch.inference_mode():
        return embedding_mutants(network, torch.from_numpy(np.array(codes)).to(device), dtype=dtype)


def hypothetical(mutants: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Hypothetical contributions of all bases: a mutant's prediction less the mean of the four at its position.

    Parameters
    ----------
    mutants
        (..., 4, L): predictions with each base at each position, as in `Mutants`.
    codes
        (..., L) uint8: the sequences.

    Returns
    -------
    np.ndarray
        (..., 4, L) float32; 0 where the sequence has none of A, C, G and T. The entry of the sequence's own base is
        its actual contribution.
    """
    centred = mutants - mutants.mean(axis=-2, keepdims=True)
    return np.where((codes < 4)[..., None, :], centred, 0).astype(np.float32)


def _host(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()
