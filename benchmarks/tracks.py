"""Exact means of a bigWig over 150,000 regions: `track_means` and `track_sums` against pyBigWig, in one process.

python -m benchmarks.tracks [--intervals 24000000] [--regions 150000] [--repeats 3] [--track FILE]

pyBigWig is no dependency of this project. To compare, install it in an environment of its own beside the project,
`python -m venv bench && bench/bin/pip install -e . pyBigWig`, and run this there; without it only our own times are
printed. Intervals are of 100 bp on average, with a fifth of the genome uncovered; values are random, which unpack
slowly. The file takes a minute to write; `--track FILE` keeps it, or takes it if it is there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pybigtools

from benchmarks.measure import machine, parser, peak_rss, seconds
from epinformer.inputs.tracks import track_lengths, track_means, track_sums

# bp of the human chromosomes 1 to 22, X and Y, to the Mb.
MEGABASES = [248, 242, 198, 190, 181, 170, 159, 145, 138, 133, 135, 133, 114, 107, 101, 90, 83, 80, 58, 64, 46, 50]
MEGABASES += [156, 57]
LENGTHS = {f"chr{name}": mb * 1_000_000 for name, mb in zip([*range(1, 23), "X", "Y"], MEGABASES, strict=True)}
WIDTH = 500


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--intervals", type=int, default=24_000_000)
    options.add_argument("--regions", type=int, default=150_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--track", type=Path)
    given = options.parse_args()
    print(machine(given.threads))
    with tempfile.TemporaryDirectory() as folder:
        path = given.track or Path(folder) / "track.bw"
        if not path.exists():
            pybigtools.open(str(path), "w").write(LENGTHS, intervals(given.intervals))
        regions = random_regions(track_lengths(path), given.regions)
        print(f"{path.stat().st_size / 1e6:,.0f} MB; {given.regions:,} regions of {WIDTH} bp")
        compare(path, regions, given.repeats)


def compare(path: Path, regions: pd.DataFrame, repeats: int) -> None:
    """Time ours and pyBigWig's by turns, and compare what they give."""
    results: dict[str, np.ndarray] = {}

    def keeping(name: str, function: Callable[[], np.ndarray]) -> Callable[[], None]:
        def run() -> None:
            results[name] = function()

        return run

    runs = {
        "track_means": keeping("track_means", lambda: track_means(path, regions)),
        "track_sums, with the whole file's": keeping("track_sums", lambda: track_sums(path, regions).sums / WIDTH),
    }
    if importlib.util.find_spec("pyBigWig") is not None:
        runs["pyBigWig, sum, exact"] = keeping("sum", lambda: pybigwig(path, regions, "sum") / WIDTH)
        runs["pyBigWig, mean, exact"] = keeping("mean", lambda: pybigwig(path, regions, "mean"))
    else:
        print("no pyBigWig to compare with")
    times: dict[str, list[float]] = {name: [] for name in runs}
    processors: dict[str, list[float]] = {name: [] for name in runs}
    memory: dict[str, float] = {}
    for _ in range(repeats):
        for name, run in runs.items():
            before, processor = forget_peak(), time.process_time()
            times[name].append(seconds(run))
            processors[name].append(time.process_time() - processor)
            memory[name] = max(memory.get(name, 0), peak_rss() - before)
    ours = statistics.median(times["track_means"])
    for name, values in times.items():
        listed = ", ".join(f"{value:.2f}" for value in values)
        median = statistics.median(values)
        print(
            f"{name}: {median:.2f} s ({listed}), {median / ours:.2f} times as long as track_means; "
            f"{statistics.median(processors[name]):.2f} s of processor time, {memory[name]:,.0f} MB more than before"
        )
    if "sum" in results:
        # pyBigWig rounds what it adds up; its mean leaves out uncovered bases, so only its sums are comparable.
        difference = np.abs(results["track_means"] - results["sum"]) / np.maximum(np.abs(results["sum"]), 1e-300)
        difference[results["track_means"] == results["sum"]] = 0
        print(f"largest relative difference to pyBigWig's sums: {difference.max():.1e}")
    np.testing.assert_allclose(results["track_means"], results["track_sums"], rtol=1e-12)


def forget_peak() -> float:
    """Make the peak of memory begin anew where the system can; returns what it is then, in MB."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_rss()


def pybigwig(path: Path, regions: pd.DataFrame, kind: str) -> np.ndarray:
    """PyBigWig's statistic of each region, 0 where it has none, without zoom levels."""
    import pyBigWig

    track = pyBigWig.open(str(path))
    values = [
        track.stats(chrom, start, end, type=kind, exact=True)[0] or 0.0
        for chrom, start, end in zip(
            regions["chrom"].tolist(), regions["start"].tolist(), regions["end"].tolist(), strict=True
        )
    ]
    track.close()
    return np.array(values)


def intervals(number: int) -> Iterator[tuple[str, int, int, float]]:
    """About so many intervals over all chromosomes, with a fifth of the bases uncovered."""
    rng = np.random.default_rng(0)
    bases = sum(LENGTHS.values())
    for chrom in sorted(LENGTHS):
        cuts = np.unique(rng.integers(0, LENGTHS[chrom], int(number / 0.8 * LENGTHS[chrom] / bases)))
        some = rng.random(len(cuts) - 1) < 0.8
        values = rng.gamma(1, 1, int(some.sum())).round(3)
        for start, end, value in zip(cuts[:-1][some].tolist(), cuts[1:][some].tolist(), values.tolist(), strict=True):
            yield chrom, start, end, value


def random_regions(lengths: dict[str, int], number: int) -> pd.DataFrame:
    """Regions anywhere, by chromosome and start, as pyBigWig reads them fastest."""
    rng = np.random.default_rng(1)
    sizes = np.array(list(lengths.values()))
    chosen = rng.choice(len(sizes), number, p=sizes / sizes.sum())
    start = (rng.random(number) * (sizes[chosen] - WIDTH)).astype(np.int64)
    table = pd.DataFrame({"chrom": np.array(list(lengths))[chosen], "start": start, "end": start + WIDTH})
    return table.sort_values(["chrom", "start"], ignore_index=True)


if __name__ == "__main__":
    main()
