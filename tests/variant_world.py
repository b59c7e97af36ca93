"""A dataset cut out of a small made-up genome, with models, for tests of variants."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from epinformer.bases import NO_BASE
from epinformer.dataset.contract import HALF_LIFE_FEATURES
from epinformer.dataset.manifest import Manifest
from epinformer.dataset.store import Dataset, open_dataset, write_dataset
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import LoadedModel, ModelInfo, fold_info
from epinformer.model.config import activity_config, published_config
from epinformer.model.epinformer import EPInformer
from epinformer.prepare.pairs import make_pairs

CHROMS = ("chr2", "chr22")
LENGTH = 9_000
# Two that overlap, one at a TSS, one shorter than a window, one at the chromosome's start, one at its end, a long one.
ELEMENTS = ((0, 500), (1_400, 2_010), (1_900, 2_500), (2_800, 2_960), (4_300, 5_000), (5_500, 7_500), (8_600, 9_000))
GENES = (700, 4_500, 7_900)


class World(NamedTuple):
    """The dataset, the genome as codes of each chromosome, and its FASTA."""

    dataset: Dataset
    genome: dict[str, np.ndarray]
    fasta: Path

    def text(self, chrom: str, start: int, end: int) -> str:
        """Bases of the genome."""
        return "".join("ACGTN"[code] for code in self.genome[chrom][start:end])


def make_world(folder: Path, seed: int = 0) -> World:
    """Two chromosomes of the same layout; the second's bases are others, some of them N."""
    random = np.random.default_rng(seed)
    genome = {chrom: random.integers(0, 4, LENGTH, dtype=np.uint8) for chrom in CHROMS}
    genome["chr22"][6_000:6_010] = 4
    fasta = folder / "genome.fa"
    fasta.write_text("".join(f">{chrom}\n{''.join('ACGTN'[c] for c in codes)}\n" for chrom, codes in genome.items()))
    rows = [(chrom, start, end) for chrom in CHROMS for start, end in ELEMENTS]
    elements = pd.DataFrame(rows, columns=["chrom", "start", "end"])
    elements.insert(0, "element_id", [f"{chrom}:{start}-{end}" for chrom, start, end in rows])
    signals = random.gamma(0.8, 2.0, (2, len(rows)))
    elements = elements.assign(dnase_rpm=signals[0], h3k27ac_rpm=signals[1], activity=np.sqrt(signals.prod(0)))
    elements["sequence_length"] = elements["end"] - elements["start"]
    places = [(chrom, tss) for chrom in CHROMS for tss in GENES]
    genes = pd.DataFrame(
        {
            "gene_id": [f"ENSG{row:011d}" for row in range(len(places))],
            "gene_name": [f"GENE{row}" for row in range(len(places))],
            "chrom": [chrom for chrom, _ in places],
            "tss": [tss for _, tss in places],
            "strand": ["+", "-", "+"] * len(CHROMS),
            **{name: random.normal(size=len(places)) for name in HALF_LIFE_FEATURES},
            "promoter_activity": random.gamma(0.8, 3.0, len(places)),
            "expression_rna": random.normal(size=len(places)),
        }
    )
    pairs = make_pairs(genes, elements, min_distance=None, max_distance=3_500, max_elements=None).table
    pairs = pairs.assign(contact=random.gamma(0.5, 2.0, len(pairs)))
    sequences = sequences_of(genome, genes, elements)
    manifest = Manifest(assembly="hg38", cell_type="made up", package_version="0")
    write_dataset(folder / "world.dataset", manifest, genes, elements, pairs, sequences)
    return World(open_dataset(folder / "world.dataset"), genome, fasta)


def sequences_of(genome: dict[str, np.ndarray], genes: pd.DataFrame, elements: pd.DataFrame) -> list[np.ndarray]:
    """Promoters and elements as a dataset holds them."""
    places = [(chrom, tss - 1_000, tss + 1_000) for chrom, tss in zip(genes["chrom"], genes["tss"], strict=True)]
    places += list(zip(elements["chrom"], elements["start"], elements["end"], strict=True))
    found = []
    for chrom, start, end in places:
        padded = np.concatenate([np.full(1_000, NO_BASE, np.uint8), genome[chrom], np.full(1_000, NO_BASE, np.uint8)])
        found.append(padded[start + 1_000 : end + 1_000])
    return found


def activity_model(seed: int = 0, fold: int | None = 11) -> LoadedModel:
    """A random 256-bp model, with other means than 0 in its normalisation."""
    torch.manual_seed(seed)
    config = activity_config()
    network = ActivityModel(config).eval()
    for norm in (network.norm1, network.norm2):
        norm.running_mean.normal_(0, 0.1)
    # Random weights alone would give differences below rounding.
    network.output.weight.data *= 20
    info = ModelInfo(config=config, assembly="hg38", fold=None if fold is None else fold_info(fold))
    return LoadedModel(network, info, Path(f"activity_{seed}.model"))


def expression_model(variant: str = "PE-Activity-HiC", seed: int = 0, fold: int = 11) -> LoadedModel:
    """A random model of a published variant whose weights are large enough for a single base to matter."""
    torch.manual_seed(seed)
    config = published_config(variant, "expression_rna")  # type: ignore[arg-type]
    network = EPInformer(config).eval()
    for part in network.modules():
        if isinstance(part, (nn.Conv1d, nn.Linear)):
            part.weight.data *= 1.7
    return LoadedModel(network, ModelInfo(config=config, assembly="hg38", fold=fold_info(fold)), Path(f"{seed}.model"))


def write_vcf(path: Path, rows: list[tuple[str, int, str, str]]) -> Path:
    """A VCF without contig lines of (chrom, 1-based position, ref, alt)."""
    lines = [f"{chrom}\t{pos}\tv{n}\t{ref}\t{alt}\t.\t.\tAC=1" for n, (chrom, pos, ref, alt) in enumerate(rows)]
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    path.write_text(head + "".join(f"{line}\n" for line in lines))
    return path
