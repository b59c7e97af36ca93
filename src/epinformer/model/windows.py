"""Lay sequences out so that the encoder computes only the positions that their bases can change.

A sequence of n bases sits at ``[s, s + n)`` of a window of 2,000 bp, ``s = 1000 - n // 2``, and the rest is empty. The
encoder's output has one position every 16 bp, and each depends on fewer than 20 bp to either side, so a sequence can
change only positions ``floor((s - 20) / 16) .. ceil((s + n + 20) / 16)``; all others hold the response of an empty
sequence. The convolutions' own zero padding would disturb the first and last position of such a window, so one more is
computed on each side and dropped, except where the window ends at the sequence's own end, 0 or 2,000, where the zero
padding is the published one.

The windows of all sequences are laid end to end in one long row, with one empty position after each that is held at
zero before every convolution, so that one dense convolution serves sequences of every length without padding.

The bases enter as k-mers: what the first two convolutions compute at a base depends only on few of its neighbours, so
it is worked out once per distinct k-mer instead of once per base.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from epinformer.bases import NO_BASE

STRIDE = 16
"""Bases per output position: four poolings by two."""

REACH = 20
"""Bases on either side of an output position's own that can change it (19 in truth)."""

CODES = 6
"""Number of base codes: A, C, G, T, N and no base."""


class Windows(NamedTuple):
    """Windows of S sequences and of one without bases after them, end to end; P positions, separators included.

    Attributes
    ----------
    kmers
        (16 P + 2,) int32: for every base the index into ``distinct`` of the k-mer around it; 0 on separators and at
        both ends of the row.
    distinct
        (U,) int64: the distinct k-mers, as numbers in base 6; entry 0 stands for "outside of every window".
    first
        (S + 1,) int64: first position of the window in the sequence's own numbering, 0 .. 124.
    size
        (S + 1,) int64: positions of the window; 0 for a sequence without bases, but all of them for the last.
    offset
        (S + 2,) int64: where the window starts in the row; ``offset[i + 1] - offset[i] == size[i] + 1``.
    """

    kmers: Tensor
    distinct: Tensor
    first: Tensor
    size: Tensor
    offset: Tensor


def lay_out(codes: Tensor, lengths: Tensor, sequence_length: int, kernel: int) -> Windows:
    """Lay out sequences for the encoder, and after them the whole window of an empty one.

    Parameters
    ----------
    codes
        (bases,) uint8: the sequences, one after the other; A0 C1 G2 T3, N 4, no base 5.
    lengths
        (S,) int64: bases of each sequence, at most ``sequence_length``.
    sequence_length
        Length in bp of the window in which a sequence is centred; a multiple of 16.
    kernel
        Width of the encoder's first convolution.
    """
    device = codes.device
    lengths = torch.nn.functional.pad(lengths, (0, 1))
    start = sequence_length // 2 - lengths // 2
    first, size = _spans(lengths, sequence_length)
    size[-1] = sequence_length // STRIDE
    offset = torch.nn.functional.pad(torch.cumsum(size + 1, 0), (1, 0))
    total = int(offset[-1]) * STRIDE

    # "Same" padding of an even kernel puts the smaller half on the left.
    left = (kernel - 1) // 2
    row = torch.full((total + kernel - 1,), NO_BASE, dtype=torch.uint8, device=device)
    sequence_start = torch.cumsum(lengths, 0) - lengths
    shift = STRIDE * (offset[:-1] - first) + start - sequence_start
    row[left + torch.arange(codes.numel(), device=device) + torch.repeat_interleave(shift, lengths)] = codes

    kmers = torch.zeros(total + 2, dtype=torch.int32, device=device)
    kmers[1:-1] = kmer_numbers(row, kernel)
    separators = offset[1:] - 1
    kmers[1:-1].view(-1, STRIDE).index_fill_(0, separators, 0)

    present = torch.zeros(CODES**kernel + 1, dtype=torch.bool, device=device)
    present[kmers] = True
    rank, distinct = ranked(present)
    return Windows(rank[kmers], distinct, first, size, offset)


def kmer_numbers(row: Tensor, kernel: int) -> Tensor:
    """(n, ...) int32: k-mers along the first axis of base codes (n + kernel - 1, ...), as numbers in base 6 from 1."""
    total = row.shape[0] - kernel + 1
    numbers = torch.zeros((total, *row.shape[1:]), dtype=torch.int32, device=row.device)
    for step in range(kernel):
        numbers.mul_(CODES).add_(row[step : step + total])
    return numbers.add_(1)


def ranked(present: Tensor) -> tuple[Tensor, Tensor]:
    """For every k-mer number its rank (int32) among those marked in a bool tensor, and their numbers (U,) int64."""
    return torch.cumsum(present, 0, dtype=torch.int32) - 1, present.nonzero().squeeze(1)


def _spans(lengths: Tensor, sequence_length: int) -> tuple[Tensor, Tensor]:
    """First position and number of positions of each sequence's window, as in `Windows`."""
    start = sequence_length // 2 - lengths // 2
    positions = sequence_length // STRIDE
    first = (torch.div(start - REACH, STRIDE, rounding_mode="floor") - 1).clamp(min=0)
    last = (torch.div(start + lengths + REACH + STRIDE - 1, STRIDE, rounding_mode="floor") + 1).clamp(max=positions)
    first, last = first * (lengths > 0), last * (lengths > 0)
    return first, last - first


def kept_spans(lengths: Tensor, sequence_length: int) -> tuple[Tensor, Tensor]:
    """Which output positions the bases of sequences can change.

    Parameters
    ----------
    lengths
        (S,) int64: bases of each sequence.
    sequence_length
        Length in bp of the window in which a sequence is centred.

    Returns
    -------
    first, count
        (S,) int64 each: ``count`` positions from ``first``; none for a sequence without bases.
    """
    first, size = _spans(lengths, sequence_length)
    return _trimmed(first, size, sequence_length // STRIDE)


def _trimmed(first: Tensor, size: Tensor, positions: int) -> tuple[Tensor, Tensor]:
    """Windows without the positions at their ends that the convolutions' zero padding disturbs."""
    left = (first > 0).long()
    right = (first + size < positions).long()
    return first + left, (size - left - right).clamp(min=0)


def kmer_one_hot(kmers: Tensor, kernel: int) -> Tensor:
    """(U, 4 kernel) float32: the bases of k-mers numbered as in `Windows`, base by base; N 0.25 each, no base 0."""
    alphabet = torch.cat([torch.eye(4), torch.full((1, 4), 0.25), torch.zeros(1, 4)]).to(kmers.device)
    powers = CODES ** torch.arange(kernel - 1, -1, -1, device=kmers.device)
    digits = torch.div((kmers - 1).clamp(min=0)[:, None], powers, rounding_mode="floor") % CODES
    return alphabet[digits].flatten(1)


def kept_positions(first: Tensor, size: Tensor, positions: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which computed positions count, for consecutive windows of a row.

    Parameters
    ----------
    first, size
        (S,) int64 as in `Windows`.
    positions
        Output positions of a whole sequence (125 for 2,000 bp).

    Returns
    -------
    sequence, position, source
        (K,) int64 each: position ``position`` of sequence ``sequence`` stands at ``source`` in the row, counted from
        the first of these windows.
    """
    begin, count = _trimmed(first, size, positions)
    sequence = torch.repeat_interleave(torch.arange(len(size), device=size.device), count)
    within = torch.arange(len(sequence), device=size.device) - (torch.cumsum(count, 0) - count)[sequence]
    within += (begin - first)[sequence]
    offset = torch.cumsum(size + 1, 0) - (size + 1)
    return sequence, first[sequence] + within, offset[sequence] + within


def runs(edges: list[int], bases: int) -> list[tuple[int, int]]:
    """Split consecutive windows into runs ``[i, j)`` of about ``bases`` bases each, at least one window a run.

    ``edges`` are the windows' offsets in the row, one more than there are windows.
    """
    limit = max(bases // STRIDE, 1)
    found, begin = [], 0
    for index in range(1, len(edges)):
        if edges[index] - edges[begin] >= limit or index == len(edges) - 1:
            found.append((begin, index))
            begin = index
    return found
