"""SNVs in elements scored with an expression and an activity model: time, and memory, which must not grow.

Run with ``python -m benchmarks.variants``. Genes and elements are random, a ninth of what K562 has, and the SNVs lie
anywhere in elements but in promoters, which in random data have bases of their own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import in_child, machine, parser, peak_rss, seconds
from benchmarks.synthetic import synthetic_dataset
from epinformer.dataset.store import Dataset
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import LoadedModel, ModelInfo, fold_info
from epinformer.model.config import activity_config, published_config
from epinformer.model.epinformer import EPInformer
from epinformer.scoring.variants import variant_tables

GENES, ELEMENTS = 2_000, 12_700


def main() -> None:
    """Measure and print; ``--child`` measures one number of variants and prints JSON."""
    options = parser(__doc__)
    options.add_argument("--numbers", type=int, nargs="+", default=[5_000, 10_000, 20_000])
    options.add_argument("--models", choices=["both", "activity", "expression"], default="both")
    options.add_argument("--child", type=int)
    given = options.parse_args()
    if given.child is not None:
        measure(given, given.child)
        return
    print(machine(given.threads))
    for number in given.numbers:
        arguments = ["--child", str(number), "--threads", str(given.threads), "--models", given.models]
        found = in_child("variants", arguments)
        print(
            f"{number:,} SNVs, {found['rows']:,} rows: {found['seconds']:.1f} s "
            f"({found['processor']:.1f} s of the processor's), "
            f"{found['mb'] - found['before']:.0f} MB above the loaded process ({found['before']:.0f} MB)"
        )


def measure(given: argparse.Namespace, number: int) -> None:
    """Score so many SNVs in this process."""
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        dataset = synthetic_dataset(Path(folder) / "d", genes=GENES, elements=ELEMENTS, unknown=0)
        vcf = write_snvs(dataset, Path(folder) / "v.vcf", number)
        models = made(given.models)
        before = peak_rss()
        rows = 0

        def run() -> None:
            nonlocal rows
            for scored in variant_tables(models, dataset, vcf):
                rows += int((scored.table["status"] == "scored").sum())

        processor = time.process_time()
        spent = seconds(run)
        processor = time.process_time() - processor
        print(json.dumps({"rows": rows, "seconds": spent, "processor": processor, "mb": peak_rss(), "before": before}))


def write_snvs(dataset: Dataset, path: Path, number: int) -> Path:
    """SNVs at random places of elements, in no order."""
    random = np.random.default_rng(0)
    assert dataset.codes is not None
    offsets = dataset.sequence_offsets[dataset.n_genes :]
    start = dataset.elements["start"].to_numpy()
    tss = dataset.genes["tss"].to_numpy()
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    while len(lines) < number + 2:
        element = int(random.integers(dataset.n_elements))
        offset = int(random.integers(offsets[element + 1] - offsets[element]))
        position = int(start[element]) + offset
        if np.abs(tss - position).min() < 1_100:
            continue
        ref = int(dataset.codes[offsets[element] + offset])
        alt = "ACGT"[(ref + int(random.integers(1, 4))) % 4]
        lines.append(f"chr22\t{position + 1}\t.\t{'ACGT'[ref]}\t{alt}\t.\t.\t.")
    path.write_text("\n".join(lines) + "\n")
    return path


def made(kinds: str) -> list[LoadedModel]:
    """Random models that held out chr22."""
    torch.manual_seed(0)
    models = []
    for kind, config in (
        ("expression", published_config("PE-Activity-HiC", "expression_rna")),
        ("activity", activity_config()),
    ):
        if kinds in ("both", kind):
            network = EPInformer(config) if kind == "expression" else ActivityModel(config)
            info = ModelInfo(config=config, assembly="hg38", fold=fold_info(11))
            models.append(LoadedModel(network.eval(), info, Path(f"{kind}.model")))
    return models


if __name__ == "__main__":
    main()
