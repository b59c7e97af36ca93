"""A training step, fast against the padded reference: same weights, same genes, same process.

    python -m benchmarks.training_step [--repeats 3] [--steps 20] [--threads 2]

A step is forward, backward and AdamW (learning rate 5e-4, SmoothL1). Inputs are in memory for both. The padded
reference steps on --batch genes, whose size it likes best, and the fast path on the same genes and on all of them;
where the two differ in genes the ratio is that of times a gene. The frozen epoch reads the encoder's output from its
cache on disk and trains all that comes after. Peak memory is that of a fresh process each, less that of one that only
loaded the data.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.inference import WEIGHTS, chr22, fast_batch, padded_inputs, rounded
from benchmarks.measure import in_child, machine, median_seconds, parser, peak_rss, seconds
from benchmarks.padded import padded_forward
from epinformer.dataset.batch import Batch
from epinformer.dataset.store import Dataset
from epinformer.model.epinformer import EPInformer
from epinformer.training.towers import TowerCache

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Predict = Callable[[], Tensor]


class Learner:
    """A model with published weights, in training mode, and its optimiser."""

    def __init__(self, weights: Path) -> None:
        self.model = EPInformer.from_published(weights).train()
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=5e-4, weight_decay=1e-6, betas=(0.9, 0.99))

    def step(self, predict: Predict, target: Tensor) -> float:
        """One step; the loss before it."""
        self.optimiser.zero_grad()
        loss = functional.smooth_l1_loss(predict(), target)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def freeze(self, kind: type[nn.Module]) -> Learner:
        """Put all modules of a kind into evaluation mode."""
        for module in self.model.modules():
            if isinstance(module, kind):
                module.eval()
        return self


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--genes", type=int, default=60)
    options.add_argument("--batch", type=int, default=4, help="genes of the padded reference's step")
    options.add_argument("--steps", type=int, default=20, help="steps of the loss curves")
    options.add_argument("--curve", type=int, default=2, help="genes of the loss curves")
    options.add_argument("--dataset", type=Path, help="dataset of the chr22 example; made if not given")
    options.add_argument("--memory", choices=["none", "padded", *TYPES], help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    weights = given.data / WEIGHTS
    with tempfile.TemporaryDirectory() as folder:
        dataset = chr22(given.dataset, given.data, Path(folder))
        genes = np.arange(min(given.genes, dataset.n_genes))
        if given.memory is not None:
            print(json.dumps(memory(weights, dataset, genes, given.memory, given.batch)))
            return
        shared = ["--data", str(given.data), "--threads", str(given.threads), "--dataset", str(dataset.path)]
        shared += ["--genes", str(len(genes)), "--batch", str(given.batch), "--memory"]
        print(machine(given.threads), flush=True)
        compare(weights, dataset, genes, given.repeats, given.batch, Path(folder))
        peaks = {mode: in_child("training_step", [*shared, mode])["peak"] for mode in ("none", "padded", *TYPES)}
    padded = peaks["padded"] - peaks["none"]
    print(f"peak memory above {peaks['none']:,.0f} MB of the loaded process:", end="")
    print(f" padded ({given.batch} genes) {padded:,.0f} MB, {padded / given.batch:,.0f} MB a gene")
    for name in TYPES:
        fast = peaks[name] - peaks["none"]
        print(f"fast {name} ({len(genes)} genes) {fast:,.0f} MB, {fast / len(genes):,.1f} MB a gene", flush=True)
    curves(weights, dataset, given.curve, given.steps)


def compare(weights: Path, dataset: Dataset, genes: np.ndarray, repeats: int, size: int, folder: Path) -> None:
    """Times of a step."""
    learner = Learner(weights)
    model, label = learner.model, target(dataset)
    some, every = (fast_batch(model, dataset, chosen) for chosen in (genes[:size], genes))
    dense = padded_inputs(some, range(size))
    count, total = len(some), len(every)
    frozen = Frozen(Learner(weights), dataset, genes, folder)

    def step(batch: Batch, dtype: torch.dtype) -> Callable[[], float]:
        return lambda: learner.step(lambda: model(batch, dtype=dtype).prediction, label[: len(batch)])

    runs: dict[str, tuple[int, Callable[[], float]]] = {
        f"fast {name}, {len(batch)} genes": (len(batch), step(batch, dtype))
        for batch in (some, every)
        for name, dtype in TYPES.items()
    }
    runs |= {f"frozen encoder {name}, {total} genes": (total, frozen.epoch(dtype)) for name, dtype in TYPES.items()}
    times: dict[str, list[float]] = {name: [] for name in ("padded", *runs)}
    learner.step(lambda: padded_forward(model, *dense).prediction, label[:count])
    for _ in range(repeats):
        taken = seconds(lambda: learner.step(lambda: padded_forward(model, *dense).prediction, label[:count]))
        times["padded"].append(taken / count)
        for name, (number, run) in runs.items():
            times[name].append(median_seconds(run, 3) / number)
    print(f"{total} genes, {len(every.row_gene):,} rows, {len(every.lengths):,} sequences,", end="")
    print(f" {int(every.lengths.sum()):,} bases; of the first {count}: {len(some.row_gene)} rows,", end="")
    print(f" {len(some.lengths)} sequences, {int(some.lengths.sum()):,} bases")
    padded = statistics.median(times["padded"])
    print(f"padded fp32, {count} genes: {padded:.3f} s a gene (runs: {rounded(times['padded'])})")
    for name in runs:
        ratios = [a / b for a, b in zip(times["padded"], times[name], strict=True)]
        print(f"{name}: {1000 * statistics.median(times[name]):.2f} ms a gene,", end=" ")
        print(f"{statistics.median(ratios):.1f}x (runs: {rounded(ratios)})", flush=True)


class Frozen:
    """An epoch of all genes in one batch, on the cached output of the encoder."""

    def __init__(self, learner: Learner, dataset: Dataset, genes: np.ndarray, folder: Path) -> None:
        self.learner = learner
        encoder = learner.model.encoder
        assert encoder is not None
        encoder.eval().requires_grad_(False)
        took = seconds(lambda: TowerCache.build_or_open(folder / "towers", encoder, dataset))
        self.cache = TowerCache.build_or_open(folder / "towers", encoder, dataset)
        size = sum(file.stat().st_size for file in self.cache.path.iterdir())
        print(f"cache of {len(self.cache.sequences)} sequences: {size / 1e6:.1f} MB, made in {took:.2f} s", flush=True)
        config = learner.model.config
        features = {"pair_features": config.pair_features, "gene_features": config.gene_features}
        whole = Batch.from_dataset(dataset, genes, **features, sequences=self.cache.sequences)
        self.sequences = self.cache.sequences[np.unique(whole.row_sequence.numpy())]
        self.batch = Batch.from_dataset(dataset, genes, **features, sequences=self.sequences)
        self.label = target(dataset)[: len(genes)]

    def epoch(self, dtype: torch.dtype) -> Callable[[], float]:
        """Read the cache, forward, backward, step."""
        model = self.learner.model

        def predict() -> Tensor:
            embeddings = model.embed_towers(self.cache.towers(self.sequences), dtype=dtype)
            prediction: Tensor = model(self.batch, embeddings).prediction
            return prediction

        return lambda: self.learner.step(predict, self.label)


def curves(weights: Path, dataset: Dataset, genes: int, steps: int) -> None:
    """Losses step by step from the same weights on the same genes."""
    label = target(dataset)[:genes]
    batch = fast_batch(Learner(weights).model, dataset, np.arange(genes))
    dense = padded_inputs(batch, range(genes))
    for title, frozen in (("statistics of batch normalisation frozen", True), ("of the batch", False)):
        losses = {}
        for name in ("padded", *TYPES):
            learner = Learner(weights)
            if frozen:
                learner.freeze(nn.BatchNorm1d)
            model = learner.model

            def predict(name: str = name, model: EPInformer = model, training: bool = not frozen) -> Tensor:
                if name != "padded":
                    return model(batch, dtype=TYPES[name]).prediction  # type: ignore[no-any-return]
                model.training = training  # the reference goes by this flag alone
                return padded_forward(model, *dense).prediction

            losses[name] = np.array([learner.step(predict, label) for _ in range(steps)])
        print(f"loss of {genes} genes at steps 1, 2, 5, 10, {steps}, {title}:")
        for name, values in losses.items():
            shown = " ".join(f"{values[min(i, steps) - 1]:.5f}" for i in (1, 2, 5, 10, steps))
            largest = np.abs(values - losses["padded"]).max()
            print(f"  {name}: {shown}; max |difference| to padded {largest:.1e}", flush=True)


def memory(weights: Path, dataset: Dataset, genes: np.ndarray, mode: str, size: int) -> dict[str, float]:
    """Peak resident memory (MB) of this process after a step one way, or none."""
    learner = Learner(weights)
    model = learner.model
    chosen = genes[:size] if mode == "padded" else genes
    batch, label = fast_batch(model, dataset, chosen), target(dataset)[: len(chosen)]
    if mode == "padded":
        dense = padded_inputs(batch, range(size))
        learner.step(lambda: padded_forward(model, *dense).prediction, label)
    elif mode != "none":
        learner.step(lambda: model(batch, dtype=TYPES[mode]).prediction, label)
    return {"peak": peak_rss()}


def target(dataset: Dataset) -> Tensor:
    """(genes,) float32: what is learned."""
    return torch.from_numpy(dataset.genes["expression_rna"].to_numpy(np.float32))


if __name__ == "__main__":
    main()
