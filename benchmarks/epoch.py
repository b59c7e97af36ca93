"""Seconds an epoch and genes a second of end-to-end training, batches loaded and moved as in training.

    python -m benchmarks.epoch --genes 512 --elements 3250               # on a processor, small
    python -m benchmarks.epoch --genes 18377 --elements 116669 --device cuda --workers 8   # the size of K562

Random bases and signals with the shape of K562: 16.6 elements of 500 to 1,000 bp a gene, batches of 64 genes,
PE-Activity, nothing frozen, AdamW. Steps are timed after some that do not count and scaled to an epoch of 14,700 genes,
what a fold of K562 trains on. The rate of operations counts convolutions and matrix products alone, and stands beside
that of one large convolution in the same arithmetic.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import machine, median_seconds, parser, seconds
from benchmarks.synthetic import synthetic_dataset
from epinformer.dataset.store import Dataset
from epinformer.model.config import published_config
from epinformer.model.epinformer import EPInformer
from epinformer.model.hardware import named_device
from epinformer.training.examples import EpochOrder, GeneExample, GeneExamples, whole

FOLD_GENES = 14_700
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--genes", type=int, default=512)
    options.add_argument("--elements", type=int, default=3250)
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--device", default="auto")
    options.add_argument("--workers", type=int, default=0)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    device = named_device(given.device)
    name = machine(given.threads) if device.type == "cpu" else torch.cuda.get_device_name(device)
    print(f"{name}: {given.genes:,} genes, {given.elements:,} elements, batches of {given.batch}")
    with tempfile.TemporaryDirectory() as folder:
        dataset = synthetic_dataset(Path(folder) / "d", genes=given.genes, elements=given.elements)
        for label, dtype in TYPES.items():
            measure(dataset, label, dtype, device, given.batch, given.steps, given.workers)


def measure(
    dataset: Dataset, label: str, dtype: torch.dtype, device: torch.device, size: int, steps: int, workers: int
) -> None:
    """Time some steps and print what they come to."""
    torch.manual_seed(0)
    model = EPInformer(published_config("PE-Activity", "expression_rna")).to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=1e-6, betas=(0.9, 0.99))
    batches = batches_of(dataset, model, size, workers)

    def step() -> Tensor:
        example = next(batches).to(device)
        loss = functional.smooth_l1_loss(model(example.batch, dtype=dtype).prediction, example.target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss

    def run() -> None:
        for _ in range(steps):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    step()
    with FlopCounterMode(display=False) as counter:
        step()
    run()
    taken = seconds(run) / steps
    loading = seconds(lambda: [next(batches) for _ in range(steps)]) / steps
    memory = f", peak memory {torch.cuda.max_memory_allocated() / 1e6:,.0f} MB" if device.type == "cuda" else ""
    rate, possible = counter.get_total_flops() / taken, convolution_rate(device, dtype)
    print(f"{label}: {size / taken:,.1f} genes a second,", end=" ")
    print(f"{FOLD_GENES * taken / size:,.0f} s an epoch of {FOLD_GENES:,}", end=" ")
    print(f"(loading alone {1000 * loading:.0f} of {1000 * taken:.0f} ms a step){memory}")
    share = f"{rate / possible:.2f} of one large convolution ({possible / 1e12:.2f})"
    print(f"      {rate / 1e12:.3f} TFLOP/s, {share}", flush=True)


def batches_of(dataset: Dataset, model: EPInformer, size: int, workers: int) -> Iterator[GeneExample]:
    """Batches without end, loaded as training loads them."""
    examples = GeneExamples(dataset, model.config, np.arange(dataset.n_genes))
    order = EpochOrder(len(examples), seed=0)
    loader = DataLoader(examples, size, sampler=order, collate_fn=whole, num_workers=workers, drop_last=True)

    def forever() -> Iterator[GeneExample]:
        for _ in repeat(None):
            yield from loader

    return forever()


def convolution_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the encoder's most expensive convolution on many positions, channels last."""
    shape = (16 if device.type == "cpu" else 256, 256, 1, 2000)
    image = torch.randn(shape, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(128, 256, 1, 3, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)

    def run() -> None:
        functional.conv2d(image, kernel, padding=(0, 1))
        if device.type == "cuda":
            torch.cuda.synchronize()

    return 2 * shape[0] * shape[3] * 256 * 128 * 3 / median_seconds(run, 9)


if __name__ == "__main__":
    main()
