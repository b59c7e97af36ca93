"""Datasets of any size with random contents and the shape of the real K562 one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer import __version__
from epinformer.dataset.contract import HALF_LIFE_FEATURES, SEQUENCE_LENGTH
from epinformer.dataset.manifest import Manifest
from epinformer.dataset.store import Dataset, open_dataset, write_dataset

_BLOCK = 1_000


def synthetic_dataset(
    path: Path,
    *,
    genes: int,
    elements: int,
    pairs_per_gene: float = 16.6,
    most: int = 60,
    length: tuple[int, int] = (500, 1000),
    seed: int = 0,
    sequence: bool = True,
    unknown: float = 1e-4,
    chroms: Sequence[str] = ("chr22",),
) -> Dataset:
    """Write and open a dataset of random genes, elements, signals and bases.

    Parameters
    ----------
    genes, elements
        How many. The first gene has no elements, the second as many as there may be.
    pairs_per_gene, most
        Mean and largest number of a gene's elements, which are neighbours in the table, as on a chromosome.
    length
        Shortest and longest element in bp.
    sequence
        Whether promoters and elements have bases.
    unknown
        Share of bases that are N.
    chroms
        Chromosomes, each with as many consecutive genes and elements as the others. Expression follows the promoter's
        activity.
    """
    rng = np.random.default_rng(seed)
    counts = np.minimum(rng.geometric(1 / (pairs_per_gene + 1), genes) - 1, min(most, elements))
    counts[:2] = [0, min(most, elements)][:genes]
    first = (np.arange(genes) * max(elements - most, 1) // max(genes, 1)).clip(0)
    first = np.minimum(first, elements - counts)
    gene_index = np.repeat(np.arange(genes), counts)
    within = np.arange(len(gene_index)) - np.repeat(np.cumsum(counts) - counts, counts)
    lengths = rng.integers(length[0], length[1] + 1, elements)
    start = 10_000 + 3_000 * np.arange(elements)
    dnase, h3k27ac = rng.gamma(0.8, 2.0, elements), rng.gamma(0.5, 2.0, elements)
    table = pd.DataFrame(
        {
            "element_id": [f"chr22:{a}-{a + n}" for a, n in zip(start, lengths, strict=True)],
            "chrom": _spread(chroms, elements),
            "start": start,
            "end": start + lengths,
            "dnase_rpm": dnase,
            "h3k27ac_rpm": h3k27ac,
            "activity": np.sqrt(dnase * h3k27ac),
        }
    )
    if sequence:
        table["sequence_length"] = lengths
    gene_table = pd.DataFrame(
        {
            "gene_id": [f"ENSG{i:011d}" for i in range(genes)],
            "gene_name": [f"GENE{i}" for i in range(genes)],
            "chrom": _spread(chroms, genes),
            "tss": 10_000 + 7_000 * np.arange(genes),
            "strand": rng.choice(["+", "-"], genes),
            **{name: rng.normal(size=genes) for name in HALF_LIFE_FEATURES},
            "promoter_activity": rng.gamma(0.8, 3.0, genes),
            "expression_rna": rng.normal(size=genes),
        }
    )
    gene_table["expression_rna"] = 0.3 * gene_table["expression_rna"] + np.log1p(gene_table["promoter_activity"])
    pairs = pd.DataFrame(
        {
            "gene_index": gene_index,
            "element_index": first[gene_index] + within,
            "distance": (1_500 + 1_400 * within) * rng.choice([-1, 1], len(gene_index)),
            "contact": rng.gamma(0.5, 2.0, len(gene_index)),
        }
    )
    manifest = Manifest(assembly="hg38", cell_type="synthetic", package_version=__version__)
    sizes = np.concatenate([np.full(genes, SEQUENCE_LENGTH), lengths])
    write_dataset(path, manifest, gene_table, table, pairs, _bases(rng, sizes, unknown) if sequence else None)
    return open_dataset(path)


def _spread(names: Sequence[str], rows: int) -> np.ndarray:
    return np.asarray(names, dtype=object)[np.arange(rows) * len(names) // max(rows, 1)]


def _bases(rng: np.random.Generator, sizes: np.ndarray, unknown: float) -> Iterator[np.ndarray]:
    for begin in range(0, len(sizes), _BLOCK):
        total = int(sizes[begin : begin + _BLOCK].sum())
        codes = rng.integers(0, 4, total, dtype=np.uint8)
        codes[rng.random(total) < unknown] = 4
        yield codes
