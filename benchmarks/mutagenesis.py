"""In-silico saturation mutagenesis against predicting every mutant: real DNA of chr22, published weights.

    python -m benchmarks.mutagenesis [--repeats 3] [--windows 4] [--scale 2500]

A 256-bp window with the activity model: itself and its 768 mutants on both strands, by the padded reference (inputs
made beforehand and not counted, the faster of two batch sizes) and by the package's own prediction of whole windows.
An element with an expression model: its mutants' embeddings by the padded reference, measured on the mutants of some
positions and scaled to all. Last, windows streamed in chunks as `explain` does, a fresh process for each number.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.inference import WEIGHTS, rounded
from benchmarks.measure import in_child, machine, median_seconds, parser, peak_rss, seconds
from benchmarks.padded import one_hot, padded_activity, padded_embedding
from benchmarks.saturation import WEIGHTS as ACTIVITY
from epinformer.bases import COMPLEMENT
from epinformer.inputs.genome import open_genome
from epinformer.interpretation.mutagenesis import activity_mutants, hypothetical, sequence_mutants
from epinformer.model.activity import ActivityModel
from epinformer.model.epinformer import EPInformer
from epinformer.model.published import read_published

FASTA = "k562_chr22/chr22_hg38_37200001-40600000.fa.gz"
LOCUS = 37_200_000, 40_600_000
CHUNK_WINDOWS = 256
ELEMENT_BASES = 692
CPU = torch.device("cpu")


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--windows", type=int, default=4, help="windows that are compared")
    options.add_argument("--scale", type=int, default=2_500, help="windows of the smallest of three processes")
    options.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    network = activity_network(given.data / "published" / ACTIVITY)
    if given.measure is not None:
        print(json.dumps(stream(network, given.data / FASTA, given.measure)))
        return
    print(machine(given.threads))
    compare_activity(network, given.data / FASTA, given.windows, given.repeats)
    compare_expression(EPInformer.from_published(given.data / WEIGHTS), given.data / FASTA, given.repeats)
    print("windows   time, processor time, memory above the loaded process")
    first: dict[str, float] = {}
    for factor in (1, 2, 4):
        shared = ["--data", str(given.data), "--threads", str(given.threads)]
        found = in_child("mutagenesis", [*shared, "--measure", str(factor * given.scale)])
        found["above"] = found["peak"] - found["loaded"]
        first = first or found
        print(
            f"{factor * given.scale:7,}   {found['seconds']:,.1f} s ({found['seconds'] / first['seconds']:.2f}x)   "
            f"{found['processor']:,.1f} s ({found['processor'] / first['processor']:.2f}x)   "
            f"{found['above']:,.0f} MB ({found['above'] / first['above']:.2f}x), whole process {found['peak']:,.0f} MB"
        )


def activity_network(path: Path) -> ActivityModel:
    """The published 256-bp model."""
    published = read_published(path)
    network = ActivityModel(published.config)
    network.load_state_dict(published.state)
    return network.eval()


def bases(fasta: Path, start: int, count: int) -> np.ndarray:
    """Codes of the locus from its ``start``-th base on."""
    with open_genome(fasta) as genome:
        return genome.codes("chr22", LOCUS[0] + start, LOCUS[0] + start + count)


def all_mutants(codes: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(4, positions, bases): the sequence with each base at each position."""
    rows = np.tile(codes, (4, len(positions), 1))
    for base in range(4):
        rows[base, np.arange(len(positions)), positions] = base
    return rows


def compare_activity(network: ActivityModel, fasta: Path, number: int, repeats: int) -> None:
    """Times and differences of windows spread over the locus."""
    places = np.linspace(0, LOCUS[1] - LOCUS[0] - 256, number).astype(int)
    windows = [bases(fasta, place, 256) for place in places]
    many = bases(fasta, 1_000_000, CHUNK_WINDOWS * 256).reshape(-1, 256)
    times: dict[str, list[float]] = {name: [] for name in ("one", "chunk", "batched", "padded")}
    differences = {"batched": 0.0, "padded": 0.0}
    with torch.inference_mode():
        functions = scratch(network, windows[0])
        batch = min((64, 16), key=lambda size: median_seconds(partial(functions["padded"], size), 1))
        for window in windows:
            functions = scratch(network, window)
            functions["padded"] = partial(functions["padded"], batch)
            functions["one"] = partial(activity_mutants, network, window[None], device=CPU)
            found = functions["one"]()
            own = found.mutants[0].reshape(4, 256)
            expected = np.concatenate([found.predicted, own[np.arange(4)[:, None] != window]])
            for name in differences:
                difference = np.abs(functions[name]().double().numpy() - expected).max()
                differences[name] = max(differences[name], float(difference))
            for _ in range(repeats):
                for name in ("padded", "batched"):
                    times[name].append(seconds(functions[name]))
                times["one"].append(median_seconds(functions["one"], 3))
                chunk = partial(activity_mutants, network, many, device=CPU)
                times["chunk"].append(seconds(chunk) / len(many))
    print(f"activity model, {number} windows of 256 bp; seconds a window, ratios to the padded reference")
    print(f"  padded, {batch} sequences a batch: {statistics.median(times['padded']):.3f} s")
    for name, words in (
        ("batched", "all mutants by both_strands"),
        ("one", "mutants, one window a call"),
        ("chunk", f"mutants, {CHUNK_WINDOWS} windows a call"),
    ):
        ratios = [a / b for a, b in zip(times["padded"], times[name], strict=True)]
        print(f"  {words}: {statistics.median(times[name]):.4f} s, {statistics.median(ratios):.1f}x", end=" ")
        print(f"(runs: {rounded(ratios)})")
    print(f"  max |difference| of the mutants: to padded {differences['padded']:.1e}, ", end="")
    print(f"to both_strands {differences['batched']:.1e}")


def scratch(network: ActivityModel, window: np.ndarray) -> dict[str, Callable[..., Any]]:
    """Ways to predict a window and its 768 mutants, (769,) means over strands; ``padded`` takes a batch size."""
    every = all_mutants(window, np.arange(256)).reshape(-1, 256)
    # The four have the window's own base once.
    rows = np.concatenate([window[None], every[(every != window).any(1)]])
    strands = np.concatenate([rows, COMPLEMENT[rows[:, ::-1]]])
    dense = torch.from_numpy(np.stack([one_hot(row, 256) for row in strands]))
    codes = torch.from_numpy(rows)

    def padded(batch: int) -> Tensor:
        return torch.cat([padded_activity(network, part) for part in dense.split(batch)]).view(2, -1).mean(0)

    return {"padded": padded, "batched": lambda: network.both_strands(codes)}


def compare_expression(network: EPInformer, fasta: Path, repeats: int) -> None:
    """Times and differences of one element of the mean length of K562's."""
    codes = bases(fasta, 2_000_000, ELEMENT_BASES)
    some = np.arange(0, ELEMENT_BASES, 16)
    rows = all_mutants(codes, some).reshape(-1, ELEMENT_BASES)
    dense = torch.from_numpy(np.stack([one_hot(row) for row in rows]))
    scale = ELEMENT_BASES * 3 / len(rows)
    lengths = torch.full((len(rows),), ELEMENT_BASES)

    def padded() -> Tensor:
        return torch.cat([padded_embedding(network, part) for part in dense.split(8)])

    def batched() -> Tensor:
        return network.embed(torch.from_numpy(rows).flatten(), lengths).sequences

    times: dict[str, list[float]] = {name: [] for name in ("mutants", "batched", "padded")}
    with torch.inference_mode():
        found = sequence_mutants(network, codes, device=CPU)[:, some].flatten(0, 1)
        differences = {name: float((found - f()).abs().max()) for name, f in (("padded", padded), ("embed", batched))}
        for _ in range(repeats):
            times["padded"].append(seconds(padded) * scale)
            times["batched"].append(seconds(batched) * scale)
            times["mutants"].append(median_seconds(lambda: sequence_mutants(network, codes, device=CPU), 3))
    print(f"expression model, an element of {ELEMENT_BASES} bp: embeddings of {ELEMENT_BASES * 3:,} mutants", end="; ")
    print(f"{len(rows)} from scratch, scaled")
    print(f"  padded: {statistics.median(times['padded']):.1f} s")
    for name, words in (("batched", "all mutants by embed"), ("mutants", "mutants")):
        ratios = [a / b for a, b in zip(times["padded"], times[name], strict=True)]
        print(f"  {words}: {statistics.median(times[name]):.3f} s, {statistics.median(ratios):.0f}x", end=" ")
        print(f"(runs: {rounded(ratios)})")
    print(f"  max |difference|: to padded {differences['padded']:.1e}, to embed {differences['embed']:.1e}")


def stream(network: ActivityModel, fasta: Path, number: int) -> dict[str, float]:
    """Hypothetical contributions of windows side by side, some hundred at a time, nothing kept."""
    codes = bases(fasta, 0, number * 256).reshape(number, 256)
    loaded = peak_rss()

    def run() -> None:
        for begin in range(0, number, CHUNK_WINDOWS):
            chunk = codes[begin : begin + CHUNK_WINDOWS]
            hypothetical(activity_mutants(network, chunk, device=CPU).mutants, chunk)

    before = time.process_time()
    elapsed = seconds(run)
    return {"seconds": elapsed, "processor": time.process_time() - before, "loaded": loaded, "peak": peak_rss()}


if __name__ == "__main__":
    main()
