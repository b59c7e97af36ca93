"""Counting 10 million reads of a BAM file in 150,000 regions, beside bedtools.

python -m benchmarks.reads [--reads 10000000] [--regions 150000] [--repeats 3]

Whole processes are timed, from their start to the written counts, in turn. The file has three fifths of its reads
anywhere and two fifths in regions, of which some have many; reads of 50 bp with names, bases and qualities that do not
compress better than those of a sequencer. Both programs count every read.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import psutil
import pysam

from epinformer.inputs.reads import count_reads
from epinformer.inputs.regions import read_regions
from epinformer.simulation.writing import BlockedGzip

ROOT = Path(__file__).resolve().parents[1]
# bp of the human chromosomes 1 to 22, X and Y, to the Mb.
LENGTHS = {
    f"chr{name}": mb * 1_000_000
    for name, mb in zip(
        [*range(1, 23), "X", "Y"],
        (
            248,
            242,
            198,
            190,
            181,
            170,
            159,
            145,
            138,
            133,
            135,
            133,
            114,
            107,
            101,
            90,
            83,
            80,
            58,
            64,
            46,
            50,
            156,
            57,
        ),
        strict=True,
    )
}
READ_LENGTH = 50
# 16 bases as the format writes them, two in a byte.
BASES = np.array([first << 4 | second for first in (1, 2, 4, 8) for second in (1, 2, 4, 8)], dtype=np.uint8)
RECORD = np.dtype(
    [
        *(("size", "<i4"), ("reference", "<i4"), ("position", "<i4"), ("name_length", "u1"), ("quality", "u1")),
        *(("bin", "<u2"), ("operations", "<u2"), ("flag", "<u2"), ("length", "<i4"), ("next_reference", "<i4")),
        *(("next_position", "<i4"), ("template", "<i4"), ("name", "S32"), ("cigar", "<u4")),
        *(("bases", "u1", (READ_LENGTH // 2,)), ("qualities", "u1", (READ_LENGTH,))),
    ]
)
CHUNK = 200_000
POLL_SECONDS = 0.02


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--reads", type=int, default=10_000_000)
    options.add_argument("--regions", type=int, default=150_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.measure is not None:
        measure(given.measure)
        return
    if shutil.which("bedtools") is None:
        raise SystemExit("bedtools is not on PATH")
    # Not in the measured process: it imports torch.
    from benchmarks.measure import machine

    print(machine(len(psutil.Process().cpu_affinity())))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, given.reads, given.regions)
        size = (folder / "reads.bam").stat().st_size / 1e6
        print(f"{given.reads:,} reads ({size:,.0f} MB), {given.regions:,} regions")
        here = [sys.executable, "-m", "benchmarks.reads", "--measure", str(folder)]
        there = ["bedtools", "coverage", "-sorted", "-counts", "-a", "regions.bed", "-b", "reads.bam"]
        ours, bedtools, counting = [], [], []
        for _ in range(given.repeats):
            ours.append(timed(here, folder / "ours.txt", ROOT))
            counting.append(float((folder / "seconds.txt").read_text()))
            bedtools.append(timed(there, folder / "bedtools.txt", folder))
            same(folder / "ours.txt", folder / "bedtools.txt")
    show("epinformer", ours)
    print(f"  of which `count_reads`: {statistics.median(counting):.1f} s; the rest is Python and the tables")
    show("bedtools coverage -sorted -counts", bedtools)
    ratio = statistics.median(run.seconds for run in bedtools) / statistics.median(run.seconds for run in ours)
    cpu = statistics.median(run.cpu for run in bedtools) / statistics.median(run.cpu for run in ours)
    print(f"identical counts; {ratio:.2f} times as fast, with {1 / cpu:.2f} times the processor time")


class Run(NamedTuple):
    """Wall and processor time of a process in seconds, and its largest resident memory in MB, of helpers too."""

    seconds: float
    cpu: float
    peak: float


def measure(folder: Path) -> None:
    """Count in this process and write the counts as bedtools does, one row a region."""
    regions = read_regions(folder / "regions.bed")
    start = time.perf_counter()
    counts = count_reads(folder / "reads.bam", regions).counts
    (folder / "seconds.txt").write_text(str(time.perf_counter() - start))
    regions.assign(count=counts).to_csv(sys.stdout, sep="\t", header=False, index=False)


def timed(command: list[str], output: Path, folder: Path) -> Run:
    """Run a command to its end."""
    with output.open("wb") as handle:
        start = time.perf_counter()
        process = psutil.Popen(command, cwd=folder, stdout=handle)
        peak, cpu = 0.0, 0.0
        while True:
            try:
                process.wait(timeout=POLL_SECONDS)
                break
            except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
                peak = max(peak, sum(high_water(member.pid) for member in [process, *process.children(recursive=True)]))
                times = process.cpu_times()
                cpu = times.user + times.system
        seconds = time.perf_counter() - start
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return Run(seconds, cpu, peak)


def high_water(pid: int) -> float:
    """Largest resident memory of a process so far, in MB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def same(ours: Path, bedtools: Path) -> None:
    """Stop if the two do not say the same of every region."""
    if ours.read_bytes() != bedtools.read_bytes():
        raise SystemExit("the counts differ")


def show(name: str, runs: list[Run]) -> None:
    """Print a program's median and its single runs."""
    single = ", ".join(f"{run.seconds:.1f}" for run in runs)
    cpu = statistics.median(run.cpu for run in runs)
    print(
        f"{name}: {statistics.median(run.seconds for run in runs):.1f} s ({single}), processor {cpu:.1f} s, "
        f"peak {max(run.peak for run in runs):,.0f} MB"
    )


def write(folder: Path, reads: int, regions: int) -> None:
    """Write `reads.bam` with its index, sorted, and `regions.bed`; the same in every run."""
    rng = np.random.default_rng(1)
    genome = sum(LENGTHS.values())
    # How many of each chromosome, so that all of them add up.
    bounds = np.cumsum([0, *LENGTHS.values()]) / genome
    numbers = np.diff((bounds * reads).round().astype(int))
    tables = []
    with BlockedGzip(folder / "reads.bam") as bam:
        bam.write(header())
        for number, (chrom, length) in enumerate(LENGTHS.items()):
            many = int((bounds[number + 1] * regions).round() - (bounds[number] * regions).round())
            start = np.sort(rng.integers(10_000, length - 10_000, many))
            end = start + rng.integers(200, 1_500, many)
            tables.append(pd.DataFrame({"chrom": chrom, "start": start, "end": end}))
            inside = int(numbers[number] * 2 // 5) if many else 0
            strength = rng.lognormal(0, 1.5, many)
            peak = rng.choice(many, inside, p=strength / strength.sum()) if many else np.zeros(0, int)
            at = start[peak] + ((end - start)[peak] * rng.random(inside)).astype(int)
            position = np.concatenate([at, rng.integers(0, length - READ_LENGTH, numbers[number] - inside)])
            position.sort()
            for first in range(0, len(position), CHUNK):
                bam.write(records(rng, number, position[first : first + CHUNK]).tobytes())
    pysam.index(str(folder / "reads.bam"))
    pd.concat(tables).to_csv(folder / "regions.bed", sep="\t", header=False, index=False)


def header() -> bytes:
    """The head of a BAM file."""
    lines = ["@HD\tVN:1.6\tSO:coordinate", *(f"@SQ\tSN:{chrom}\tLN:{length}" for chrom, length in LENGTHS.items())]
    text = ("\n".join(lines) + "\n").encode()
    parts = [b"BAM\x01", np.int32(len(text)).tobytes(), text, np.int32(len(LENGTHS)).tobytes()]
    for chrom, length in LENGTHS.items():
        name = chrom.encode() + b"\0"
        parts += [np.int32(len(name)).tobytes(), name, np.int32(length).tobytes()]
    return b"".join(parts)


def records(rng: np.random.Generator, reference: int, position: np.ndarray) -> np.ndarray:
    """Reads that match all along, on either strand, a fifth of them marked duplicates."""
    made = np.zeros(len(position), dtype=RECORD)
    made["size"] = RECORD.itemsize - 4
    made["reference"], made["position"] = reference, position
    made["name_length"] = RECORD["name"].itemsize
    made["quality"] = rng.choice([60, 60, 60, 30, 0], len(position))
    made["operations"], made["cigar"] = 1, READ_LENGTH << 4
    made["flag"] = rng.choice([0, 16, 0x400, 0x410], len(position), p=[0.4, 0.4, 0.1, 0.1])
    made["length"] = READ_LENGTH
    made["next_reference"] = made["next_position"] = -1
    made["name"] = [b"SN932:130:C1C2YACXX:5:%09d" % number for number in rng.integers(0, 10**9, len(position))]
    made["bases"] = BASES[rng.integers(0, 16, (len(position), READ_LENGTH // 2))]
    made["qualities"] = rng.choice(np.array([2, 12, 23, 32, 37, 37, 37, 37], np.uint8), (len(position), READ_LENGTH))
    return made


if __name__ == "__main__":
    main()
