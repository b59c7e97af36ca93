"""The fast path against the padded reference: same weights, same genes, same process.

    python -m benchmarks.inference [--repeats 3] [--genes 60]

Inputs are in memory for both: base codes for the fast path, 61 x 2,000 x 4 floats a gene for the reference, whose
making is not counted. Peak memory is that of a fresh process each, less that of one that only loaded the data.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import ROOT, in_child, machine, median_seconds, parser, peak_rss, seconds
from benchmarks.padded import ROWS, one_hot, padded_forward
from epinformer.config import load_config
from epinformer.dataset.batch import Batch
from epinformer.dataset.store import Dataset, open_dataset
from epinformer.model.epinformer import EPInformer
from epinformer.prepare.build import prepare

WEIGHTS = "published/fold_11_EPInformer_PE_Activity_HiC_RNA_K562_checkpoint.pt"


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--genes", type=int, default=60)
    options.add_argument("--batch", type=int, default=4, help="genes a batch of the padded reference")
    options.add_argument("--dataset", type=Path, help="dataset of the chr22 example; made if not given")
    options.add_argument("--memory", choices=["none", "fast", "padded"], help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        dataset = chr22(given.dataset, given.data, Path(folder))
        genes = np.arange(min(given.genes, dataset.n_genes))
        model = EPInformer.from_published(given.data / WEIGHTS)
        if given.memory is not None:
            print(json.dumps(memory(model, dataset, genes, given.memory, given.batch)))
            return
        shared = ["--data", str(given.data), "--threads", str(given.threads), "--dataset", str(dataset.path)]
        shared += ["--genes", str(len(genes)), "--batch", str(given.batch), "--memory"]
        print(machine(given.threads))
        compare(model, dataset, genes, given.repeats, given.batch)
        peaks = {mode: in_child("inference", [*shared, mode])["peak"] for mode in ("none", "fast", "padded")}
    fast, padded = peaks["fast"] - peaks["none"], peaks["padded"] - peaks["none"]
    print(f"peak memory above {peaks['none']:,.0f} MB of the loaded process: fast {fast:,.0f} MB, ", end="")
    print(f"padded ({given.batch} genes a batch) {padded:,.0f} MB, ratio {fast / padded:.3f}")
    print(f"whole process: fast {peaks['fast']:,.0f} MB, padded {peaks['padded']:,.0f} MB")


def chr22(path: Path | None, data: Path, folder: Path) -> Dataset:
    """The dataset of the chr22 example: the one given, or one made in a folder."""
    if path is None:
        path = folder / "k562_chr22.dataset"
        prepare(load_config(ROOT / "examples/k562_chr22/config.yaml", root=data), path)
    return open_dataset(path)


def compare(model: EPInformer, dataset: Dataset, genes: np.ndarray, repeats: int, batch: int) -> None:
    """Times, differences and arithmetic."""
    ragged = fast_batch(model, dataset, genes)
    dense = [padded_inputs(ragged, range(i, min(i + batch, len(genes)))) for i in range(0, len(genes), batch)]
    with torch.inference_mode():
        reference = torch.cat([padded_forward(model, *inputs).prediction for inputs in dense])
        results = {}
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            results[name] = (model(ragged, dtype=dtype).prediction - reference).abs().max().item()
        times: dict[str, list[float]] = {"padded": [], "fp32": [], "bf16": []}
        for _ in range(repeats):
            times["padded"].append(seconds(lambda: [padded_forward(model, *inputs) for inputs in dense]))
            times["fp32"].append(median_seconds(lambda: model(ragged), 5))
            times["bf16"].append(median_seconds(lambda: model(ragged, dtype=torch.bfloat16), 1))
        convolution = convolution_rate()
    print(f"{len(genes)} genes, {len(ragged.row_gene):,} rows, {len(ragged.lengths):,} distinct sequences", end="")
    print(f" of {int(ragged.lengths.sum()):,} bases; padded {len(genes) * ROWS:,} rows of 2,000")
    padded = statistics.median(times["padded"])
    print(f"padded fp32: {padded:.2f} s, {padded / len(genes):.3f} s a gene (runs: {rounded(times['padded'])})")
    for name, difference in results.items():
        ratios = [a / b for a, b in zip(times["padded"], times[name], strict=True)]
        print(f"fast {name}: {statistics.median(times[name]):.3f} s, {statistics.median(ratios):.1f}x", end=" ")
        print(f"(runs: {rounded(ratios)}), max |difference| {difference:.1e}")

    with torch.no_grad():
        padded_flops = count(lambda: [padded_forward(model, *inputs) for inputs in dense])
        fast_flops = count(lambda: model(ragged))
    fast = statistics.median(times["fp32"])
    print(f"one large convolution (256 -> 128 channels, width 3): {convolution / 1e9:.0f} GFLOP/s")
    for name, flops, time in (("padded", padded_flops, padded), ("fast fp32", fast_flops, fast)):
        rate = flops / time
        print(f"{name}: {flops / 1e9:,.0f} GFLOP at {rate / 1e9:.0f} GFLOP/s, {rate / convolution:.2f} of that")


def memory(model: EPInformer, dataset: Dataset, genes: np.ndarray, mode: str, batch: int) -> dict[str, float]:
    """Peak resident memory (MB) of this process after predicting all genes one way, or none."""
    ragged = fast_batch(model, dataset, genes)
    with torch.inference_mode():
        if mode == "fast":
            model(ragged)
        elif mode == "padded":
            for begin in range(0, len(genes), batch):
                padded_forward(model, *padded_inputs(ragged, range(begin, min(begin + batch, len(genes)))))
    return {"peak": peak_rss()}


def fast_batch(model: EPInformer, dataset: Dataset, genes: np.ndarray) -> Batch:
    """The genes as the fast path reads them."""
    config = model.config
    return Batch.from_dataset(dataset, genes, pair_features=config.pair_features, gene_features=config.gene_features)


def padded_inputs(ragged: Batch, genes: range) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Some genes of a batch as the published layout has them: (g, 61, 2000, 4), (g, 61, k), (g, 9)."""
    sequences = torch.split(ragged.codes, ragged.lengths.tolist())
    dense = np.zeros((len(genes), ROWS, 2000, 4), dtype=np.float32)
    features = torch.zeros(len(genes), ROWS, ragged.pair_features.shape[1])
    for row in ((ragged.row_gene >= genes.start) & (ragged.row_gene < genes.stop)).nonzero().ravel().tolist():
        place = int(ragged.row_gene[row]) - genes.start, int(ragged.row_slot[row])
        dense[place] = one_hot(sequences[int(ragged.row_sequence[row])].numpy())
        features[place] = ragged.pair_features[row]
    return torch.from_numpy(dense), features, ragged.gene_features[genes.start : genes.stop]


def convolution_rate() -> float:
    """FLOP/s of the encoder's most expensive convolution on 32,000 positions, in the faster memory layout."""
    images = torch.randn(16, 256, 1, 2000)
    kernel = torch.randn(128, 256, 1, 3)
    rates = []
    for layout in (torch.contiguous_format, torch.channels_last):
        image, weight = images.contiguous(memory_format=layout), kernel.contiguous(memory_format=layout)
        time = median_seconds(lambda i=image, w=weight: functional.conv2d(i, w, padding=(0, 1)), 9)  # type: ignore[misc]
        rates.append(2 * 16 * 2000 * 256 * 128 * 3 / time)
    return max(rates)


def count(function: object) -> float:
    """Floating-point operations of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        function()  # type: ignore[operator]
    return float(counter.get_total_flops())


def rounded(values: list[float]) -> str:
    """Numbers for people."""
    return ", ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    main()
