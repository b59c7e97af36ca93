"""Preparing the genome-wide K562 tables, opening a large dataset, and how fast the command answers.

python -m benchmarks.tables [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, in_child, machine, parser, peak_rss, seconds
from benchmarks.synthetic import synthetic_dataset
from epinformer.config import load_config
from epinformer.dataset.store import open_dataset
from epinformer.prepare.build import prepare


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--measure", choices=["prepare"], help=argparse.SUPPRESS)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.measure is not None:
            print(json.dumps(measure_prepare(given.data, Path(folder))))
            return
        print(machine(given.threads))
        results = [
            in_child("tables", ["--data", str(given.data), "--measure", "prepare"]) for _ in range(given.repeats)
        ]
        time = statistics.median(result["seconds"] for result in results)
        peak = max(result["peak"] for result in results)
        print(f"prepare, K562 genome-wide without sequence: {time:.1f} s, peak {peak:,.0f} MB; {results[0]['rows']}")

        path = Path(folder) / "large.dataset"
        synthetic_dataset(path, genes=18_377, elements=116_669, length=(2000, 2000))
        opening = [seconds(lambda: open_dataset(path)) for _ in range(5)]
        size = (path / "sequence.npy").stat().st_size / 1e6
        print(f"open 116,669 elements of 2 kb ({size:,.0f} MB of bases): {statistics.median(opening):.2f} s", end="")
        print(f" (slowest of 5: {max(opening):.2f} s)")
    command = [sys.executable, "-m", "epinformer", "--help"]
    run = [seconds(lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True)) for _ in range(7)]
    print(f"epinformer --help: {statistics.median(run):.2f} s (slowest of 7: {max(run):.2f} s)")


def measure_prepare(data: Path, folder: Path) -> dict[str, object]:
    """Prepare the genome-wide example in this process."""
    config = load_config(ROOT / "examples/k562_genomewide/config.yaml", root=data)
    time = seconds(lambda: prepare(config, folder / "k562.dataset"))
    return {"seconds": time, "peak": peak_rss(), "rows": open_dataset(folder / "k562.dataset").manifest.rows}


if __name__ == "__main__":
    main()
