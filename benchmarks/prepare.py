"""How `prepare` grows with a simulated genome of which everything is raw: reads, peaks, a contact map.

python -m benchmarks.prepare [--genes 300]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.measure import in_child, machine, parser, peak_rss, seconds
from epinformer.config import load_config
from epinformer.prepare.build import prepare
from epinformer.simulation.simulate import simulate

SIZES = (1, 2, 4)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--genes", type=int, default=300, help="at 1x")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.measure is not None:
        print(json.dumps(measure(given.measure)))
        return
    print(machine(given.threads))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            world = Path(folder) / f"{size}x"
            made = simulate(world, genes=size * given.genes)
            results = [in_child("prepare", ["--measure", str(world)]) for _ in range(given.repeats)]
            best = sorted(results, key=lambda result: result["seconds"])[len(results) // 2]
            rows.append((made, best["seconds"], max(result["peak"] for result in results)))
            first = rows[0]
            print(
                f"{made.genes:,} genes, {made.bases:,} bases, {sum(made.reads.values()):,} reads: "
                f"{best['seconds']:.2f} s ({best['seconds'] / first[1]:.2f}x), peak {rows[-1][2]:,.0f} MB "
                f"({rows[-1][2] / first[2]:.2f}x)"
            )


def measure(world: Path) -> dict[str, float]:
    """Prepare a world's raw files in this process."""
    config = load_config(world / "config_raw.yaml")
    with tempfile.TemporaryDirectory() as folder:
        time = seconds(lambda: prepare(config, Path(folder) / "raw.dataset"))
    return {"seconds": time, "peak": peak_rss()}


if __name__ == "__main__":
    main()
