"""Attributions as a bigWig track for genome browsers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.bigwig import write_bigwig_file
from epinformer.errors import InputError
from epinformer.interpretation.attribution_file import AttributionReader, open_attributions

# Rows that are read at a time, in the order of the genome.
_ROWS = 512


def write_bigwig(source: Path, target: Path, chrom_sizes: Mapping[str, int]) -> None:
    """Write the attributions of the bases that are there, at each base the mean over the sequences that hold it.

    Chromosomes are sorted by their names' letters, as browsers look them up. Neighbours of equal value share an
    interval; bases of no sequence have no value, an N has 0. A few hundred sequences are held at a time, and the place
    of each.

    Parameters
    ----------
    source
        A file of attributions.
    target
        The bigWig file to write.
    chrom_sizes
        Chromosome -> bp.

    Raises
    ------
    InputError
        The file is damaged (`interpretation.attribution_file.open_attributions`), or a sequence is on another
        chromosome or ends behind its chromosome's end.
    OSError
        The track cannot be written; what is left of it is of no use.
    """
    with open_attributions(source) as reader:
        places = reader.places()
        require_inside(places, chrom_sizes, reader.path)
        chrom, found = pd.factorize(places["chrom"], sort=True)
        names = [str(name) for name in found]
        start, end = places["start"].to_numpy(), places["end"].to_numpy()
        del places
        order = np.lexsort((start, chrom))
        means = _means(_rows(reader, order, chrom, start, end))
        intervals = ((names[number], *interval) for number, interval in means)
        write_bigwig_file(target, {name: chrom_sizes[name] for name in names}, intervals)


def require_inside(table: pd.DataFrame, chrom_sizes: Mapping[str, int], source: str | Path | None) -> None:
    """Refuse intervals (chrom, start, end) that are not on the chromosomes.

    Raises
    ------
    InputError
        A chromosome is not known, or ends before an interval does.
    """
    size = table["chrom"].map(dict(chrom_sizes)).to_numpy(np.float64)
    for wrong, problem in (
        (np.isnan(size), "has sequences on chromosomes whose lengths are not known"),
        (table["end"].to_numpy() > size, "has sequences that end behind the end of their chromosome"),
    ):
        if wrong.any():
            row = table.iloc[int(wrong.argmax())]
            raise InputError(
                problem,
                source=source,
                count=int(wrong.sum()),
                first=f"{row['chrom']}:{row['start']}-{row['end']}",
                fix="Give the lengths of the assembly of these sequences",
            )


def _rows(
    reader: AttributionReader,
    order: NDArray[np.int64],
    chrom: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Chromosome's number, start and attributions of each sequence, in the order of the genome."""
    for first in range(0, len(order), _ROWS):
        rows = order[first : first + _ROWS]
        for row, values in zip(rows.tolist(), reader.actual(rows), strict=True):
            yield int(chrom[row]), int(start[row]), values[: end[row] - start[row]].astype(np.float64)


def _means(
    rows: Iterable[tuple[int, int, NDArray[np.float64]]],
) -> Iterator[tuple[int, tuple[int, int, float]]]:
    """Intervals of one value, with their chromosome's number; what no later row can reach is given away."""
    number, begin = -1, 0
    sums, counts = np.zeros(0), np.zeros(0)
    for chrom, start, values in rows:
        done = len(sums) if chrom != number else min(start - begin, len(sums))
        for interval in _intervals(begin, sums[:done], counts[:done]):
            yield number, interval
        sums, counts = sums[done:], counts[done:]
        if not len(sums):
            number, begin = chrom, start
        else:
            begin += done
        missing = max(0, len(values) - len(sums))
        sums, counts = np.pad(sums, (0, missing)), np.pad(counts, (0, missing))
        sums[: len(values)] += values
        counts[: len(values)] += 1
    for interval in _intervals(begin, sums, counts):
        yield number, interval


def _intervals(begin: int, sums: NDArray[np.float64], counts: NDArray[np.float64]) -> Iterator[tuple[int, int, float]]:
    """Start, end and mean of each run of equal means; every base is covered."""
    means = (sums / counts).astype(np.float32)
    edges = np.flatnonzero(np.diff(means)) + 1
    starts, ends = np.append(0, edges), np.append(edges, len(means))
    if len(means):
        yield from zip((begin + starts).tolist(), (begin + ends).tolist(), means[starts].tolist(), strict=True)
