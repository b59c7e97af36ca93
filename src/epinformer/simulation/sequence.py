"""The bases of a chromosome, with motif sites where its elements are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
import pandas as pd

from epinformer.bases import NO_BASE
from epinformer.simulation.model import CORE
from epinformer.simulation.motifs import MOTIFS, NAMES, draw_site

# GC content: of the genome's blocks, and of what surrounds a promoter.
_GC_MEAN, _GC_SD, _GC_RANGE = 0.41, 0.045, (0.34, 0.56)
_BLOCK = 1_000
_BLOCKS_PER_KNOT = 100
_ISLAND_GC, _ISLAND_HALF = 0.62, 500
# Part of the CpGs outside islands that have decayed to TpG or CpA.
_DECAYED = 0.78
_CHUNK = 1_000_000
# Sites lie within so many bp of an element's centre.
_REACH = 110
# An enhancer or promoter draws its sites from those of so many factors, which may be the same.
_FACTORS = 2
_LINE = 60
_LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)

_ACTIVATORS = tuple(motif.name for motif in MOTIFS if motif.role == "activator")
_PROMOTERS = tuple(motif.name for motif in MOTIFS if motif.role == "promoter")


def chromosome_codes(length: int, elements: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """The bases of a chromosome.

    GC content varies along it, CpG is rare but in islands at promoters, and every element has motif sites within
    110 bp of its centre.

    Parameters
    ----------
    length
        bp.
    elements
        center and kind.
    rng
        Source of all choices.

    Returns
    -------
    ndarray
        uint8 (length,): A 0, C 1, G 2, T 3.
    """
    blocks = -(-length // _BLOCK)
    knots = rng.normal(_GC_MEAN, _GC_SD, blocks // _BLOCKS_PER_KNOT + 2).clip(*_GC_RANGE)
    gc = np.interp(np.arange(blocks) / _BLOCKS_PER_KNOT, np.arange(len(knots)), knots).astype(np.float32)
    codes = np.empty(length, dtype=np.uint8)
    for first in range(0, length, _CHUNK):
        last = min(first + _CHUNK, length)
        content = np.repeat(gc[first // _BLOCK : -(-last // _BLOCK)], _BLOCK)[: last - first]
        codes[first:last] = _bases(content, rng)
        _decay(codes[first:last], rng)
    promoters = elements["center"][elements["kind"] == "promoter"]
    for center in promoters:
        low, high = max(int(center) - _ISLAND_HALF, 0), min(int(center) + _ISLAND_HALF, length)
        codes[low:high] = _bases(np.full(high - low, _ISLAND_GC, dtype=np.float32), rng)
    for center, kind in zip(elements["center"], elements["kind"], strict=True):
        _plant(codes, int(center), str(kind), rng)
    return codes


def _bases(gc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Independent bases with the given GC content at each, uint8."""
    drawn = rng.random(len(gc), dtype=np.float32)
    bases: np.ndarray = (drawn >= (1 - gc) / 2).astype(np.uint8) + (drawn >= 0.5) + (drawn >= 0.5 + gc / 2)
    return bases


def _decay(codes: np.ndarray, rng: np.random.Generator) -> None:
    """Turn most CpG into TpG or CpA, as methylation does over time."""
    sites = np.flatnonzero((codes[:-1] == 1) & (codes[1:] == 2))
    sites = sites[rng.random(len(sites)) < _DECAYED]
    first = rng.random(len(sites)) < 0.5
    codes[sites[first]] = 3
    codes[sites[~first] + 1] = 0


def _plant(codes: np.ndarray, center: int, kind: str, rng: np.random.Generator) -> None:
    """Write an element's motif sites, in random order, strand and spacing, without overlap."""
    sites = [draw_site(MOTIFS[NAMES.index(name)], rng) for name in _grammar(kind, rng)]
    room = 2 * _REACH - sum(map(len, sites))
    gaps = np.sort(rng.integers(0, room + 1, len(sites)))
    position = center - _REACH
    for gap, site in zip(gaps, sites, strict=True):
        codes[position + gap : position + gap + len(site)] = site
        position += len(site)


def _grammar(kind: str, rng: np.random.Generator) -> list[str]:
    """Names of the motifs that an element of a kind gets."""
    chance = rng.random(3)
    if kind == "promoter":
        names = [*rng.choice(rng.choice(_PROMOTERS, _FACTORS), rng.integers(0, 7))]
        extra = {"GFI1B": chance[0] < 0.15}
    elif kind == "enhancer":
        names = [*rng.choice(rng.choice(_ACTIVATORS, _FACTORS), 2 + rng.binomial(4, 0.6))]
        extra = {"GFI1B": chance[0] < 0.15, "CTCF": chance[1] < 0.1}
    elif kind == "insulator":
        names = ["CTCF"] * int(rng.integers(1, 3))
        extra = {_ACTIVATORS[int(rng.integers(len(_ACTIVATORS)))]: chance[0] < 0.2}
    else:
        names = [*rng.choice(_ACTIVATORS, rng.integers(0, 2))]
        extra = {"GFI1B": chance[0] < 0.25}
    names += [name for name, is_there in extra.items() if is_there]
    return [str(name) for name in rng.permutation(np.array(names, dtype=object))]


def windows(codes: np.ndarray, starts: Iterable[int], width: int = CORE) -> np.ndarray:
    """Stretches of a chromosome, uint8 (number of starts, width); 5 beyond its ends."""
    places = np.fromiter(starts, dtype=np.int64)[:, None] + np.arange(width)
    inside = (places >= 0) & (places < len(codes))
    cut: np.ndarray = np.where(inside, codes[places.clip(0, len(codes) - 1)], NO_BASE).astype(np.uint8)
    return cut


def letters(codes: np.ndarray) -> str:
    """Codes as text."""
    return _LETTERS[codes].tobytes().decode("ascii")


def write_record(handle: BinaryIO, name: str, codes: np.ndarray) -> str:
    """Append a FASTA record of 60 bases a line, and give its line of the .fai."""
    handle.write(f">{name}\n".encode())
    offset = handle.tell()
    for first in range(0, len(codes), _LINE * 20_000):
        text = _LETTERS[codes[first : first + _LINE * 20_000]]
        full = len(text) // _LINE * _LINE
        lines = np.full((full // _LINE, _LINE + 1), ord("\n"), dtype=np.uint8)
        lines[:, :_LINE] = text[:full].reshape(-1, _LINE)
        handle.write(lines.tobytes())
        if full < len(text):
            handle.write(text[full:].tobytes() + b"\n")
    return f"{name}\t{len(codes)}\t{offset}\t{_LINE}\t{_LINE + 1}\n"
