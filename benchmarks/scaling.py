"""How the time and memory of `predict` grow with the number of genes: 1x, 2x, 4x.

    python -m benchmarks.scaling [--genes 1000]

Random genes with as many elements each as in K562 and random bases, a fresh process for each size.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

from benchmarks.measure import in_child, machine, parser, peak_rss, seconds
from benchmarks.synthetic import synthetic_dataset
from epinformer.dataset.store import open_dataset
from epinformer.model.checkpoint import LoadedModel, ModelInfo
from epinformer.model.config import published_config
from epinformer.model.epinformer import EPInformer
from epinformer.scoring.predict import predict

# Elements a gene in the K562 dataset.
_ELEMENTS = 116_669 / 18_377


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--genes", type=int, default=1_000, help="of the smallest dataset")
    options.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    if given.measure is not None:
        print(json.dumps(measure(given.measure)))
        return
    print(machine(given.threads))
    first = None
    with tempfile.TemporaryDirectory() as folder:
        for factor in (1, 2, 4):
            genes = factor * given.genes
            path = Path(folder) / f"{factor}.dataset"
            synthetic_dataset(path, genes=genes, elements=int(genes * _ELEMENTS))
            result = in_child("scaling", ["--threads", str(given.threads), "--measure", str(path)])
            first = first or result
            print(
                f"{factor}x: {genes:,} genes, {result['sequences']:,} sequences: {result['seconds']:.2f} s "
                f"({result['seconds'] / first['seconds']:.2f}x), peak {result['peak']:,.0f} MB, "
                f"{result['peak'] - result['loaded']:,.0f} MB above the loaded process "
                f"({(result['peak'] - result['loaded']) / (first['peak'] - first['loaded']):.2f}x)"
            )


def measure(path: Path) -> dict[str, float]:
    """Predict every gene of a dataset in this process."""
    dataset = open_dataset(path)
    config = published_config("PE-Activity-HiC", "expression_rna")
    torch.manual_seed(0)
    model = LoadedModel(EPInformer(config).eval(), ModelInfo(config=config, assembly="hg38"))
    loaded = peak_rss()
    time = seconds(lambda: predict([model], dataset))
    return {
        "seconds": time,
        "sequences": dataset.n_genes + dataset.n_elements,
        "loaded": loaded,
        "peak": peak_rss(),
    }


if __name__ == "__main__":
    main()
