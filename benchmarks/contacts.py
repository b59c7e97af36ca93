"""Contacts of 300,000 pairs from a map of 10 million pixels in bins of 5 kb.

python -m benchmarks.contacts [--pixels 10000000] [--pairs 300000] [--repeats 3] [--hic]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.measure import in_child, machine, parser, peak_rss, seconds
from epinformer.inputs.contact_maps import open_contact_map
from epinformer.simulation.contact import DIAGONALS, CoolWriter

BIN = 5_000
# bp of the human chromosomes 1 to 22 and X, to the Mb.
LENGTHS = {
    f"chr{name}": mb * 1_000_000
    for name, mb in zip(
        [*range(1, 23), "X"],
        (248, 242, 198, 190, 181, 170, 159, 145, 138, 133, 135, 133, 114, 107, 101, 90, 83, 80, 58, 64, 46, 50, 156),
        strict=True,
    )
}


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--pixels", type=int, default=10_000_000)
    options.add_argument("--pairs", type=int, default=300_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument(
        "--hic", action="store_true", help="also a .hic of the same counts, which takes minutes to write"
    )
    options.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--how", default="map", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.measure is not None:
        print(json.dumps(MEASURES[given.how](given.measure)))
        return
    print(machine(given.threads))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = write_map(folder / "map.cool", given.pixels)
        write_pairs(folder / "pairs.npz", given.pairs)
        print(f"{pixels:,} pixels of {BIN:,} bp, up to {DIAGONALS - 1} bins apart; {given.pairs:,} pairs within 100 kb")
        runs = ["map", "sums"]
        if importlib.util.find_spec("cooler") is not None:
            runs.append("cooler")
        if given.hic:
            write_hic(folder / "map.hic", folder / "map.cool")
            runs += ["hic", "hic_sums"]
        sums = {}
        for how in runs:
            results = [in_child("contacts", ["--measure", str(folder), "--how", how]) for _ in range(given.repeats)]
            times = [result["seconds"] for result in results]
            peak = max(result["peak"] for result in results)
            listed = ", ".join(f"{one:.2f}" for one in times)
            processor = statistics.median(result["processor"] for result in results)
            print(f"{WORDS[how]}: {statistics.median(times):.2f} s ({listed})", end="")
            print(f", of the processor {processor:.2f} s, peak {peak:,.0f} MB")
            sums[how] = results[0]["sum"]
        if "cooler" in sums:
            print(f"the sums agree with cooler's: {bool(np.isclose(sums['map'], sums['cooler'], rtol=1e-9))}")


def write_map(path: Path, pixels: int) -> int:
    """A .cool file of about so many pixels with a column of weights; returns how many there are."""
    rng = np.random.default_rng(0)
    cells = sum(LENGTHS.values()) // BIN * DIAGONALS
    decay = np.maximum(np.arange(DIAGONALS), 1.0) ** -0.5
    # Pixels fall with distance, as reads do; the rate makes as many as are asked for.
    rates = np.geomspace(0.01, 100, 400)
    filled = [(1 - np.exp(-rate * decay)).mean() * cells for rate in rates]
    rate = np.interp(pixels, filled, rates)
    total = 0
    with CoolWriter(path, LENGTHS, "made up") as cool:
        for chrom, length in LENGTHS.items():
            counts = rng.poisson(rate * decay, (length // BIN, DIAGONALS)).astype(np.int32)
            total += int((counts > 0).sum())
            cool.add(chrom, counts)
    with h5py.File(path, "r+") as file:
        weights = rng.uniform(0.5, 2.0, file["bins/start"].shape[0])
        weights[::97] = np.nan
        file.create_dataset("bins/weight", data=weights)
    return total


def write_hic(path: Path, cool: Path) -> None:
    """The same counts as a .hic file."""
    import hictkpy

    source = hictkpy.File(cool, BIN)
    writer = hictkpy.hic.FileWriter(path, LENGTHS, BIN)
    for chrom in LENGTHS:
        writer.add_pixels(source.fetch(chrom).to_pandas())
    writer.finalize()


def write_pairs(path: Path, pairs: int) -> None:
    """Chromosome number, TSS and midpoint of pairs."""
    rng = np.random.default_rng(1)
    lengths = np.array([*LENGTHS.values()])
    chrom = np.sort(rng.choice(len(lengths), pairs, p=lengths / lengths.sum()))
    tss = rng.integers(100_000, lengths[chrom] - 100_000)
    np.savez(path, chrom=chrom, tss=tss, midpoint=tss + rng.integers(-100_000, 100_001, pairs))


def measured(function: Callable[[], None]) -> dict[str, float]:
    """Wall time, processor time and peak memory of one call."""
    before = time.process_time()
    wall = seconds(function)
    return {"seconds": wall, "processor": time.process_time() - before, "peak": peak_rss()}


def looked_up(folder: Path, name: str, normalisation: str) -> dict[str, Any]:
    """Open a map and look up all pairs."""
    pairs = np.load(folder / "pairs.npz")
    values = np.zeros(len(pairs["chrom"]))

    def look_up() -> None:
        with open_contact_map(folder / name, normalisation=normalisation) as contact_map:
            for number, chrom in enumerate(LENGTHS):
                own = pairs["chrom"] == number
                values[own] = contact_map.values(chrom, pairs["tss"][own] // BIN, pairs["midpoint"][own] // BIN)

    return measured(look_up) | {"sum": float(np.nansum(values))}


def summed(folder: Path, name: str, normalisation: str) -> dict[str, Any]:
    """Open a map and sum its rows."""
    total = []

    def sum_rows() -> None:
        with open_contact_map(folder / name, normalisation=normalisation) as contact_map:
            total.extend(float(contact_map.row_sums(chrom).sum()) for chrom in LENGTHS)

    return measured(sum_rows) | {"sum": sum(total)}


def with_cooler(folder: Path) -> dict[str, Any]:
    """The same with cooler: one sparse matrix a chromosome."""
    import cooler

    pairs = np.load(folder / "pairs.npz")
    values = np.zeros(len(pairs["chrom"]))

    def look_up() -> None:
        matrix = cooler.Cooler(str(folder / "map.cool")).matrix(balance=True, sparse=True)
        for number, chrom in enumerate(LENGTHS):
            own = pairs["chrom"] == number
            found = matrix.fetch(chrom).tocsr()[pairs["tss"][own] // BIN, pairs["midpoint"][own] // BIN]
            values[own] = np.asarray(found).ravel()

    return measured(look_up) | {"sum": float(np.nansum(values))}


MEASURES = {
    "map": lambda folder: looked_up(folder, "map.cool", "ICE"),
    "sums": lambda folder: summed(folder, "map.cool", "ICE"),
    "hic": lambda folder: looked_up(folder, "map.hic", "none"),
    "hic_sums": lambda folder: summed(folder, "map.hic", "none"),
    "cooler": with_cooler,
}
WORDS = {
    "map": "look up, .cool with ICE",
    "sums": "sums of all rows, .cool with ICE",
    "hic": "look up, .hic as it is",
    "hic_sums": "sums of all rows, .hic as it is",
    "cooler": "look up with cooler's sparse matrices",
}


if __name__ == "__main__":
    main()
