"""A small world of input files that tests can change before it is prepared."""

from __future__ import annotations

import copy
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from epinformer.config import PrepareConfig, load_config
from epinformer.dataset.store import HALF_LIFE_FEATURES, Dataset, open_dataset
from epinformer.prepare.build import prepare

CHROMOSOME_LENGTH = 60_000


class World:
    """Two chromosomes, four genes, six elements; `tables` and `config` may be changed before `prepare`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "out.dataset"
        # One gene at a chromosome's start, one far from all elements, both strands.
        self.genes = [
            ["chr1", 19_500, 20_500, "G1", 0, "+"],
            ["chr1", 29_500, 30_500, "G2", 0, "-"],
            ["chr1", 100, 1_100, "G3", 0, "+"],
            ["chr2", 49_500, 50_500, "G4", 0, "-"],
        ]
        self.elements = [
            ["chr1", 10_000, 10_500],
            ["chr1", 19_800, 20_100],
            ["chr1", 25_000, 29_001],
            ["chr1", 35_000, 35_600],
            ["chr2", 1_000, 1_700],
            ["chr1", 40_000, 40_500],
        ]
        self.dnase = [10, 20, 30, 40, 50, 60]
        self.h3k27ac = [[4, 0, 8, 12, 16, 20], [2, 2, 2, 2, 2, 2]]
        self.promoter_dnase = [100, 50, 0, 25]
        self.promoter_h3k27ac = [[8, 4, 2, 1], [1, 1, 1, 1]]
        self.half_life = [[row[3], f"name{row[3]}", *np.round(np.arange(8) * 0.25 + i, 2)] for i, row in
                          enumerate(self.genes)]  # fmt: skip
        self.expression = [[row[3], 0.5 * i - 1] for i, row in enumerate(self.genes)]
        rng = np.random.default_rng(5)
        self.sequence = {name: "".join(rng.choice(list("ACGTacgtN"), CHROMOSOME_LENGTH)) for name in ("chr1", "chr2")}
        self.config: dict[str, Any] = {
            "assembly": "toy",
            "cell_type": "K562",
            "genome": {"fasta": "genome.fa"},
            "genes": {"table": "genes.bed"},
            "signals": {
                "dnase": [{"elements": "dnase.bedgraph", "promoters": "dnase.tss.bedgraph", "total_reads": 2e6}],
                "h3k27ac": [
                    {"elements": "h3k27ac.0.bedgraph", "promoters": "h3k27ac.0.tss.bedgraph", "total_reads": 1e6},
                    {"elements": "h3k27ac.1.bedgraph", "promoters": "h3k27ac.1.tss.bedgraph", "total_reads": 4e6},
                ],
            },
            "half_life": {"table": "half_life.csv"},
            "expression": {"rna": {"table": "rna.csv", "id": "ENSID", "value": "actual"}},
        }

    def write(self) -> None:
        """Write all files as they now are."""
        windows = [row[:3] for row in self.genes]
        self.table("genes.bed", self.genes)
        self.table("dnase.bedgraph", [[*row, n] for row, n in zip(self.elements, self.dnase, strict=True)])
        self.table("dnase.tss.bedgraph", [[*row, n] for row, n in zip(windows, self.promoter_dnase, strict=True)])
        for i in range(2):
            rows = zip(self.elements, self.h3k27ac[i], strict=True)
            self.table(f"h3k27ac.{i}.bedgraph", [[*row, n] for row, n in rows])
            rows = zip(windows, self.promoter_h3k27ac[i], strict=True)
            self.table(f"h3k27ac.{i}.tss.bedgraph", [[*row, n] for row, n in rows])
        features = [f"{name}_log10zscore" if "LEN" in name else name for name in HALF_LIFE_FEATURES]
        self.table("half_life.csv", [["gene_id", "Gene name", *features], *self.half_life], ",")
        self.table("rna.csv", [["ENSID", "actual"], *self.expression], ",")
        fasta = "".join(f">{name}\n{text}\n" for name, text in self.sequence.items())
        (self.folder / "genome.fa").write_text(fasta)

    def table(self, name: str, rows: list[list[Any]], separator: str = "\t") -> Path:
        """Write one table, gzipped if its name says so."""
        text = "".join(separator.join(str(value) for value in row) + "\n" for row in rows)
        path = self.folder / name
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
        return path

    def load(self) -> PrepareConfig:
        """The configuration, by way of its file."""
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(copy.deepcopy(self.config)))
        return load_config(path)

    def prepare(self, *, rewrite: bool = True) -> Dataset:
        """Write the files, prepare, open."""
        if rewrite:
            self.write()
        prepare(self.load(), self.output)
        return open_dataset(self.output)

    def cut(self, start: int, end: int, outside: str = "drop") -> None:
        """Give only a locus of chr1 as the genome, and pairs that reach 15 kb."""
        self.sequence = {f"piece range=chr1:{start + 1}-{end}": self.sequence["chr1"][start:end]}
        self.config["genome"]["outside"] = outside
        self.config["pairs"] = {"max_distance": 15_000}

    def nothing_left(self) -> bool:
        """Whether a failed run left neither the dataset nor a part of it."""
        return not [path for path in self.folder.iterdir() if ".dataset" in path.name]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
