"""Where genes and elements lie on the chromosomes."""

from __future__ import annotations

import bisect
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.simulation.model import CHROMOSOMES, FARTHEST, stream

# bp: from one gene to the next, around an isolated gene, from the outermost genes to the chromosome's end.
_GAP_LEAST, _GAP_MEAN = 8_000, 66_000
_ISOLATION = 2 * FARTHEST + 30_000
_MARGIN = (25_000, 60_000)
_ISOLATED = 0.02
_OWN_MEAN, _OWN_SHAPE, _OWN_MOST = 4.2, 3.0, 25
_CLOSEST, _FARTHEST_OWN = 3_000, 95_000
# bp between midpoints, so that elements do not overlap; long ones keep more room.
_SPACING, _SPACING_LONG = 2_000, 4_500
_LONG = 0.015
_TIED = 0.06
_KINDS = {"enhancer": 0.4, "weak": 0.35, "insulator": 0.25}
# Of every so many chromosomes one has an element that begins with it, and one that ends with it.
_AT_ENDS = 4


class World(NamedTuple):
    """What lies where, 0-based half-open; every table in the order of the chromosomes and of positions.

    Attributes
    ----------
    lengths
        Chromosome -> bp.
    genes
        gene_id, gene_name, chrom, tss, strand, isolated (no element within 100 kb but its own promoter), promoter (row
        of its element).
    elements
        element_id (`chrom:start-end`), chrom, start, end, center (of the regulatory sequence), kind (`enhancer`,
        `weak`, `insulator`, `promoter`), gene (row of the gene it was placed for).
    """

    lengths: dict[str, int]
    genes: pd.DataFrame
    elements: pd.DataFrame


def lay_out(genes: int, seed: int) -> World:
    """Place genes and elements on 24 chromosomes, which are as long as that takes: about 1 Mb at 300 genes.

    Parameters
    ----------
    genes
        Number of genes, at least 48; chromosomes 1-22 and X have two or more, Y some if there are at least 150.
    seed
        Of the random streams.
    """
    lengths, gene_tables, element_tables = {}, [], []
    first = 0
    for number, (chrom, count) in enumerate(zip(CHROMOSOMES, _shares(genes), strict=True)):
        rng = stream(seed, "layout", number)
        length, placed, elements = _chromosome(count, chrom == "chrY", number, rng)
        lengths[chrom] = length
        gene_tables.append(placed.assign(chrom=chrom))
        element_tables.append(elements.assign(chrom=chrom, gene=elements["gene"] + first))
        first += count
    table = pd.concat(gene_tables, ignore_index=True)
    elements = pd.concat(element_tables, ignore_index=True)
    name = elements["chrom"] + ":" + elements["start"].astype(str) + "-" + elements["end"].astype(str)
    promoters = elements.index[elements["kind"] == "promoter"]
    promoter = pd.Series(promoters, index=elements.loc[promoters, "gene"]).reindex(table.index)
    table = table.assign(
        gene_id=[f"SIMG{row:08d}" for row in range(1, len(table) + 1)],
        gene_name=[f"GENE{row}" for row in range(1, len(table) + 1)],
        promoter=promoter.to_numpy(np.int64),
    )
    return World(
        lengths,
        table[["gene_id", "gene_name", "chrom", "tss", "strand", "isolated", "promoter"]],
        elements.assign(element_id=name)[["element_id", "chrom", "start", "end", "center", "kind", "gene"]],
    )


def _shares(genes: int) -> list[int]:
    """Genes of each chromosome: fewer from chromosome 1 to 22 and X, next to none on Y."""
    last = genes // 150
    weights = np.linspace(1.25, 0.8, len(CHROMOSOMES) - 1)
    exact = (genes - last) * weights / weights.sum()
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: genes - last - counts.sum()]] += 1
    return [*map(int, counts), last]


def _chromosome(
    count: int, is_last: bool, number: int, rng: np.random.Generator
) -> tuple[int, pd.DataFrame, pd.DataFrame]:
    """Length, genes and elements of one chromosome."""
    isolated = rng.random(count) < (1.0 if is_last else _ISOLATED)
    gaps = _GAP_LEAST + rng.gamma(1.2, (_GAP_MEAN - _GAP_LEAST) / 1.2, count)
    after = np.roll(isolated, 1)
    gaps = np.where(isolated | after, _ISOLATION + gaps / 4, gaps)
    if count:
        gaps[0] = _ISOLATION if isolated[0] else rng.integers(*_MARGIN)
    tss = np.cumsum(gaps).astype(np.int64)
    end = _ISOLATION if count and isolated[-1] else int(rng.integers(*_MARGIN))
    # A chromosome with few genes is not much shorter than the others.
    length = max(int(tss[-1]) + end if count else 0, 500_000)
    minus = rng.random(count) < 0.5
    genes = pd.DataFrame({"tss": tss, "strand": np.where(minus, "-", "+"), "isolated": isolated})
    return length, genes, _elements(genes, length, number, rng)


def _elements(genes: pd.DataFrame, length: int, number: int, rng: np.random.Generator) -> pd.DataFrame:
    taken: list[int] = []
    rows: list[tuple[int, int, int, str, int]] = []
    for gene, (tss, strand) in enumerate(zip(genes["tss"], genes["strand"], strict=True)):
        center = int(tss) + (60 if strand == "-" else -60)
        half = int(rng.integers(200, 600))
        middle = center + int(rng.integers(-40, 41))
        rows.append((middle - half, middle + half, center, "promoter", gene))
        bisect.insort(taken, middle)
    lonely = genes["isolated"].to_numpy(bool)
    if number % _AT_ENDS == 0 and len(genes) and not (lonely[0] or lonely[-1]):
        for gene, at_end in ((0, False), (len(genes) - 1, True)):
            half = int(rng.integers(150, 500))
            middle = length - half if at_end else half
            rows.append((middle - half, middle + half, middle, "enhancer", gene))
            bisect.insort(taken, middle)
    kinds, odds = list(_KINDS), list(_KINDS.values())
    for gene, (tss, alone) in enumerate(zip(genes["tss"], lonely, strict=True)):
        own = (
            0
            if alone
            else min(int(rng.negative_binomial(_OWN_SHAPE, _OWN_SHAPE / (_OWN_SHAPE + _OWN_MEAN))), _OWN_MOST)
        )
        for _ in range(own):
            middle = int(tss) + _offset(rng)
            long = rng.random() < _LONG
            half = int(rng.integers(1_030, 1_750) if long else rng.integers(150, 601))
            shift = int(np.clip(rng.normal(0, 25), -half // 4, half // 4))
            kind = kinds[int(rng.choice(len(kinds), p=odds))]
            # A mirror image at the same distance from the TSS, so that there are ties.
            mirror = [2 * int(tss) - middle] if rng.random() < _TIED else []
            for place in (middle, *mirror):
                if _is_free(taken, place, _SPACING_LONG if long else _SPACING, length):
                    rows.append((place - half, place + half, place + shift, kind, gene))
                    bisect.insort(taken, place)
    table = pd.DataFrame(rows, columns=["start", "end", "center", "kind", "gene"])
    table = table.astype({"start": np.int64, "end": np.int64, "center": np.int64, "kind": "str", "gene": np.int64})
    return table.sort_values(["start", "end"], ignore_index=True)


def _offset(rng: np.random.Generator) -> int:
    """Signed bp from a TSS: half of them evenly spread, half denser near it."""
    if rng.random() < 0.5:
        distance = rng.uniform(_CLOSEST, _FARTHEST_OWN)
    else:
        distance = np.exp(rng.uniform(np.log(_CLOSEST), np.log(_FARTHEST_OWN)))
    return int(distance) * (1 if rng.random() < 0.5 else -1)


def _is_free(taken: list[int], middle: int, spacing: int, length: int) -> bool:
    place = bisect.bisect(taken, middle)
    left = taken[place - 1] if place else -spacing
    right = taken[place] if place < len(taken) else length + spacing
    inside = 2_000 <= middle <= length - 2_000
    return inside and middle - left >= spacing and right - middle >= spacing
