"""Variants, some of which hit motif sites, and what they do to the activity of an element."""

from __future__ import annotations

import numpy as np
import pandas as pd

from epinformer.simulation.model import CORE, Model
from epinformer.simulation.motifs import MOTIFS, NAMES, Hits, find_sites, sequence_activity
from epinformer.simulation.sequence import letters, windows

PER_GENE = 2

_IN_SITE, _IN_CORE, _IN_ELEMENT = 0.45, 0.15, 0.1
_INDEL, _LONGEST = 0.12, 6
_WIDTHS = tuple(len(motif.consensus) for motif in MOTIFS)


def draw_variants(
    codes: np.ndarray, elements: pd.DataFrame, sites: Hits, count: int, model: Model, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw SNVs and short indels of one chromosome.

    45 % lie in a motif site, 15 % elsewhere in the 256 bp that count, 10 % elsewhere in an element, the rest anywhere;
    12 % are insertions or deletions of up to 6 bp, shifted to the left as far as they go.

    Parameters
    ----------
    codes
        The chromosome (bp,).
    elements
        Its elements: start, end, center; without any there are no variants.
    sites
        Motif sites in their cores; `window` is the row of the element.
    count
        How many to draw; those that overlap others are dropped.
    model, rng
        The grammar, and the source of all choices.

    Returns
    -------
    DataFrame
        position (0-based), ref, alt, element (index of the element in whose core it lies, -1 for none), motif (of the
        strongest site it overlaps, "" for none), log2_activity_change (of the element), sorted by position.
    """
    centers = elements["center"].to_numpy()
    drawn = sorted(
        _allele(codes, _place(codes, elements, sites, rng), rng) for _ in range(count if len(elements) else 0)
    )
    rows = []
    free = 0
    for position, ref, alt in drawn:
        row, cut = _core(centers, position, len(ref))
        if position < free or cut:
            continue
        free = position + len(ref) + 1
        rows.append((position, ref, alt, row, "" if row < 0 else _motif(sites, row, position, ref, alt, centers)))
    table = pd.DataFrame(rows, columns=["position", "ref", "alt", "element", "motif"])
    table = table.astype({"position": np.int64, "element": np.int64})
    inside = table[table["element"] >= 0]
    before, after = _cores(codes, centers, inside)
    change = np.zeros(len(table))
    change[inside.index] = [a - b for a, b in zip(_activity(after, model), _activity(before, model), strict=True)]
    table["log2_activity_change"] = change
    index = elements.index.to_numpy()
    rows_of_world = np.array([index[row] if row >= 0 else -1 for row in table["element"]], dtype=np.int64)
    return table.assign(element=rows_of_world)


def _place(codes: np.ndarray, elements: pd.DataFrame, sites: Hits, rng: np.random.Generator) -> int:
    chance = rng.random()
    row = int(rng.integers(len(elements)))
    center = int(elements["center"].iloc[row])
    if chance < _IN_SITE and len(sites.window):
        site = int(rng.integers(len(sites.window)))
        start = int(elements["center"].iloc[sites.window[site]]) - CORE // 2 + int(sites.position[site])
        return start + int(rng.integers(_width(sites, site)))
    if chance < _IN_SITE + _IN_CORE:
        return center + int(rng.integers(-CORE // 2, CORE // 2))
    if chance < _IN_SITE + _IN_CORE + _IN_ELEMENT:
        return int(rng.integers(elements["start"].iloc[row] + 1, elements["end"].iloc[row] - _LONGEST - 1))
    return int(rng.integers(1_000, len(codes) - 1_000))


def _width(sites: Hits, row: int) -> int:
    return _WIDTHS[int(sites.motif[row])]


def _allele(codes: np.ndarray, place: int, rng: np.random.Generator) -> tuple[int, str, str]:
    """Position, reference and alternative allele as VCF has them."""
    if rng.random() >= _INDEL:
        other = (int(codes[place]) + int(rng.integers(1, 4))) % 4
        return place, letters(codes[place : place + 1]), "ACGT"[other]
    size = int(rng.integers(1, _LONGEST + 1))
    anchor = letters(codes[place : place + 1])
    if rng.random() < 0.5:
        ref, alt = letters(codes[place : place + 1 + size]), anchor
    else:
        ref, alt = anchor, anchor + letters(rng.integers(0, 4, size))
    while ref[-1] == alt[-1] and place > 0:
        place -= 1
        before = letters(codes[place : place + 1])
        ref, alt = before + ref[:-1], before + alt[:-1]
    return place, ref, alt


def _core(centers: np.ndarray, position: int, length: int) -> tuple[int, bool]:
    """Row of the element in whose core a variant begins, -1 for none, and whether it crosses a core's edge."""
    row = int(np.searchsorted(centers, position - CORE // 2, side="right"))
    if row == len(centers):
        return -1, False
    start = int(centers[row]) - CORE // 2
    if position < start:
        return -1, position + length > start
    return row, position + length > start + CORE


def _motif(sites: Hits, row: int, position: int, ref: str, alt: str, centers: np.ndarray) -> str:
    """Name of the strongest site whose bases the variant changes."""
    start = position + (len(ref) != len(alt)) - (int(centers[row]) - CORE // 2)
    end = max(position + len(ref) - (int(centers[row]) - CORE // 2), start)
    low, high = np.searchsorted(sites.window, [row, row + 1])
    best, name = 0.0, ""
    for site in range(low, high):
        first = int(sites.position[site])
        last = first + _width(sites, site)
        # An insertion changes a site if it falls between two of its bases.
        hit = first < start < last if start == end else start < last and end > first
        if hit and sites.strength[site] > best:
            best, name = float(sites.strength[site]), NAMES[int(sites.motif[site])]
    return name


def _cores(codes: np.ndarray, centers: np.ndarray, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The cores before and after each variant; the left edge stays, and bases enter or leave at the right."""
    starts = centers[table["element"].to_numpy(int)] - CORE // 2
    reference = windows(codes, starts, CORE + _LONGEST)
    changed = reference[:, :CORE].copy()
    for row, (start, position, ref, alt) in enumerate(
        zip(starts, table["position"], table["ref"], table["alt"], strict=True)
    ):
        at = int(position - start)
        added = np.array(["ACGT".index(base) for base in alt], dtype=np.uint8)
        changed[row] = np.concatenate([reference[row, :at], added, reference[row, at + len(ref) :]])[:CORE]
    return reference[:, :CORE], changed


def _activity(cores: np.ndarray, model: Model) -> np.ndarray:
    return sequence_activity(find_sites(cores).total(len(cores)), model)
