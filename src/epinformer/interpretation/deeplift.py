"""DeepLIFT/SHAP scores of the networks, by tangermeme, against dinucleotide-shuffled references.

DeepLIFT (Shrikumar et al., ICML 2017) follows the difference between a sequence's prediction and a reference's back to
the bases. The mean over references approximates SHAP values (Lundberg and Lee, NeurIPS 2017).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from epinformer.bases import OTHER_BASE
from epinformer.errors import InputError
from epinformer.interpretation.extra import needed
from epinformer.interpretation.one_hot import OneHotActivity, OneHotExpression, Rest, one_hot
from epinformer.model.activity import ActivityModel
from epinformer.model.epinformer import EPInformer
from epinformer.scoring.replacement import shuffled

STEPS = 64
"""Points at which the gradient of what follows the embedding is averaged along the way from the reference to it."""

# Bases of sequences, each with a reference, that pass through a network at a time: few enough for the processor's
# cache, and on a GPU for its memory.
_BASES = 4_096
_BASES_CUDA = 65_536

# Sequences with a reference whose multipliers are held at a time: memory does not grow with the number of sequences.
_PAIRS = 1_024


class Attributed(NamedTuple):
    """DeepLIFT of n sequences, means over their references.

    Attributes
    ----------
    predicted
        (n,) float64: the network's prediction.
    hypothetical
        (n, 4, L) float32: what base b at position p would contribute to the difference from the references'
        prediction; 0 where the sequence has an N or no base.
    delta
        (n,) float64: how far the contributions of the bases are from summing to the difference between the sequence's
        prediction and a reference's; the largest over the references, never negative.
    references_mean
        (n,) float64: mean prediction of the references.
    """

    predicted: np.ndarray
    hypothetical: np.ndarray
    delta: np.ndarray
    references_mean: np.ndarray


def shuffled_references(codes: np.ndarray, references: int, seeds: np.ndarray) -> np.ndarray:
    """Dinucleotide shuffles of sequences.

    Each stretch of known bases is shuffled for itself (`epinformer.scoring.replacement.shuffled`); an N and no base
    stay where they are. A stretch with one order only, as of a single base, is its own shuffle.

    Parameters
    ----------
    codes
        uint8 (n, L): A0 C1 G2 T3, N 4, no base 5.
    references
        Shuffles of each sequence.
    seeds
        (n,): each sequence's own seed, so that its shuffles do not depend on the others.

    Returns
    -------
    np.ndarray
        uint8 (n, references, L).

    Raises
    ------
    InputError
        No reference is asked for.
    """
    if references < 1:
        raise InputError(f"{references} references are too few", fix="Ask for 1 or more")
    found = np.repeat(codes[:, None], references, axis=1)
    for row, seed, copies in zip(codes, seeds.tolist(), found, strict=True):
        random = np.random.default_rng(seed)
        known = np.concatenate([[False], row < OTHER_BASE, [False]])
        stretches = np.flatnonzero(known[1:] != known[:-1]).reshape(-1, 2).tolist()
        for reference in copies:
            for begin, end in stretches:
                reference[begin:end] = shuffled(row[begin:end], random)
    return found


def activity_deeplift(
    network: ActivityModel,
    codes: np.ndarray,
    references: np.ndarray,
    *,
    device: str | torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> Attributed:
    """DeepLIFT of windows by an activity model: of the mean over both strands, of windows and of references alike.

    Parameters
    ----------
    network
        Left as it is, wherever and in whichever mode that is.
    codes
        uint8 (n, 256).
    references
        uint8 (n, r, 256), as from `shuffled_references`.
    device
        Where it is computed.
    progress
        Called with (windows done, windows).

    Raises
    ------
    InputError
        Windows have another length than the model's.
    EpinformerError
        tangermeme is not installed.
    """
    length = network.encoder.sequence_length
    if codes.shape[1] != length:
        raise InputError(f"windows have {codes.shape[1]:,} bases", fix=f"The model reads windows of {length:,}")
    return deeplift(OneHotActivity(network).to(device), codes, references, device=device, progress=progress)


def sequence_deeplift(
    network: EPInformer, codes: np.ndarray, references: np.ndarray, rest: nn.Module, *, device: str | torch.device
) -> Attributed:
    """DeepLIFT of one sequence by an expression model.

    From the bases to the embedding by DeepLIFT's rules. What follows has no exact rule and counts as one layer: its
    multiplier is its gradient, averaged along the straight way from the reference's embedding to the sequence's
    (integrated gradients: Sundararajan et al., ICML 2017). ``delta`` says what that leaves open.

    Parameters
    ----------
    network
        In evaluation mode; left as it is.
    codes
        uint8 (bases,).
    references
        uint8 (r, bases), as from `shuffled_references`.
    rest
        From embeddings (B, width) of the sequence to predictions (B, 1), differentiable. On ``device`` and in
        evaluation mode; left as it is.
    device
        Where it is computed.

    Returns
    -------
    Attributed
        Of one sequence: n is 1.

    Raises
    ------
    ModelError
        The network reads no sequence.
    InputError
        There are no bases, or more than the network reads.
    EpinformerError
        tangermeme is not installed.
    """
    integrated = needed("tangermeme.deep_lift_shap", "DeepLIFT").integrated_gradients_op(STEPS)
    whole = OneHotExpression(network, len(codes), rest).to(device)
    return deeplift(whole, codes[None], references[None], device=device, rules={Rest: integrated})


def deeplift(
    network: nn.Module,
    codes: np.ndarray,
    references: np.ndarray,
    *,
    device: str | torch.device,
    rules: Mapping[type[nn.Module], Callable[..., Any]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Attributed:
    """DeepLIFT of sequences by any network of modules that tangermeme has rules for, or that are linear.

    Parameters
    ----------
    network
        From `one_hot` bases (B, 6, L) to predictions (B, 1). Read in evaluation mode and then left in its own.
    codes
        uint8 (n, L).
    references
        uint8 (n, r, L), at least one for each sequence.
    device
        Where it is computed.
    rules
        Of further modules, as tangermeme's ``additional_nonlinear_ops``.
    progress
        Called with (sequences done, sequences).

    Raises
    ------
    EpinformerError
        tangermeme is not installed.
    """
    deep_lift_shap = needed("tangermeme.deep_lift_shap", "DeepLIFT").deep_lift_shap
    recorded = _Recorded(network)
    bases = _BASES_CUDA if torch.device(device).type == "cuda" else _BASES
    total, number, length = references.shape
    parts = [Attributed(np.zeros(0), np.zeros((0, 4, length), dtype=np.float32), np.zeros(0), np.zeros(0))]
    step = max(_PAIRS // number, 1)
    for begin in range(0, total, step):
        some = slice(begin, begin + step)
        with warnings.catch_warnings():
            # What this warns of is returned as `delta`.
            warnings.filterwarnings("ignore", "Convergence deltas", RuntimeWarning)
            multipliers = deep_lift_shap(
                recorded,
                one_hot(codes[some]),
                references=one_hot(references[some]),
                batch_size=max(bases // length, 1),
                raw_outputs=True,
                additional_nonlinear_ops=None if rules is None else dict(rules),
                device=device,
            )
        parts.append(_attributed(multipliers, codes[some], references[some], *recorded.taken()))
        if progress is not None:
            progress(min(begin + step, total), total)
    return Attributed(*(np.concatenate(values) for values in zip(*parts, strict=True)))


class _Recorded(nn.Module):
    """A network that keeps what it predicts, so that nothing is predicted twice."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        # The mode to which tangermeme returns both.
        self.training = network.training
        self._predicted: list[Tensor] = []

    def forward(self, bases: Tensor) -> Tensor:
        predicted: Tensor = self.network(bases)
        self._predicted.append(predicted.detach()[:, 0])
        return predicted

    def taken(self) -> tuple[np.ndarray, np.ndarray]:
        """Predictions (pairs,) float64 since the last call: of sequences, and of references, the second half."""
        halves = zip(*(predicted.double().cpu().chunk(2) for predicted in self._predicted), strict=True)
        self._predicted = []
        sequences, references = (torch.cat(half).numpy() for half in halves)
        return sequences, references


def _attributed(
    multipliers: Tensor, codes: np.ndarray, references: np.ndarray, predicted: np.ndarray, of_references: np.ndarray
) -> Attributed:
    """Scores from multipliers (n, r, 6, L) and the predictions (n r,) of each sequence and its reference."""
    own, other = (
        torch.from_numpy(letters.astype(np.int64)) for letters in (codes[:, None, None], references[:, :, None])
    )
    # A base contributes its own multiplier less that of the base it takes the place of.
    replaced = multipliers.gather(2, other)
    hypothetical = (multipliers[:, :, :4] - replaced).mean(1).numpy()
    contributed = multipliers.gather(2, own.expand_as(replaced)) - replaced
    summed = contributed.double().sum((2, 3)).numpy()
    predicted, of_references = predicted.reshape(summed.shape), of_references.reshape(summed.shape)
    return Attributed(
        predicted.mean(1),
        hypothetical * (codes < OTHER_BASE)[:, None],
        np.abs(predicted - of_references - summed).max(1),
        of_references.mean(1),
    )
