"""Contact maps as tables of pairs of bins: BEDPE, and the average Hi-C of the activity-by-contact (ABC) pipeline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from epinformer.errors import InputError
from epinformer.inputs.bin_table import BinTable, Layout, layout_of, read_bin_tables
from epinformer.inputs.contact_maps import RESOLUTION, ContactMap, Pixels

logger = logging.getLogger(__name__)

# ABC's files of chromosomes, each in a folder of the same name.
_ENDINGS = (".bed.gz", ".avg.gz", ".bed")


def open_bedpe(path: str | Path, max_distance: int) -> ContactMap:
    """Read contacts between bins of one size from BEDPE, plain or gzipped.

    Columns: chrom1, start1, end1, chrom2, start2, end2 and the contact (as FAN-C's `dump` writes them), or, before the
    contact, a name. The intervals tell the size of the bins; starts are multiples of it, or multiples plus 1
    (1-based). Rows between chromosomes are passed over, and how many is logged. Two bins that occur in the file but
    not together have the contact 0; for a bin that occurs nowhere in the file there are no data, nor where the contact
    is blank or NaN.

    Parameters
    ----------
    path
        The file.
    max_distance
        bp; pairs of bins that are farther apart than any two positions at this distance are not held in memory.

    Raises
    ------
    InputError
        The file cannot be read (`inputs.tables.read_bed`), has bins of several sizes, negative or infinite contacts,
        or a pair of bins twice, in either order.
    """
    path = Path(path)
    return _of_file(path, layout_of(path, (7, 8), None), max_distance)


def open_average(path: str | Path, max_distance: int) -> ContactMap:
    """Read ABC's average Hi-C in bins of 5 kb: one file of all chromosomes, or a folder with a file of each.

    The file has the columns chrom, position of one bin, position of the other, contact. The folder has
    `chr1/chr1.bed.gz` (or `.avg.gz`) and so on, with the same columns or without chrom, which are read when they are
    asked for. The rest is as in `open_bedpe`; ABC itself takes bins without data as 0.

    Raises
    ------
    InputError
        As `open_bedpe`; also positions that are no multiples of 5,000, and a folder without such files.
    """
    path = Path(path)
    if not path.is_dir():
        return _of_file(path, layout_of(path, (4,), None), max_distance)
    files = {}
    for folder in sorted(path.iterdir()):
        named = [folder / f"{folder.name}{ending}" for ending in _ENDINGS]
        if found := [file for file in named if file.is_file()]:
            files[folder.name] = found[0]
    if not files:
        raise InputError(
            "holds no chr1/chr1.bed.gz or the like", source=path, fix="Name the folder of ABC's average Hi-C, or a file"
        )

    def load(chrom: str) -> BinTable:
        file = files[chrom]
        _, tables = read_bin_tables(file, layout_of(file, (3, 4), chrom), max_distance)
        if list(tables) != [chrom]:
            raise InputError(f"holds other chromosomes than {chrom}", source=file, fix="Name the file, not its folder")
        return tables[chrom]

    return ContactMap(_BinPairs(path, RESOLUTION, dict.fromkeys(files), load))


class _BinPairs:
    """Pixels of tables (`inputs.contact_maps.PixelReader`); of several tables, the last one is held."""

    relative = False

    def __init__(
        self, path: Path, resolution: int, chromosomes: dict[str, int | None], load: Callable[[str], BinTable]
    ) -> None:
        self.path = path
        self.resolution = resolution
        self.chromosomes = chromosomes
        self._load = load
        self._held: tuple[str, BinTable] | None = None

    def _table(self, chrom: str) -> BinTable:
        if self._held is None or self._held[0] != chrom:
            self._held = (chrom, self._load(chrom))
        return self._held[1]

    def norms(self, chrom: str) -> np.ndarray:
        """1, and NaN for bins that do not occur."""
        return np.where(self._table(chrom).seen, 1.0, np.nan)

    def counts(self, chrom: str, first: int, last: int, farthest: int) -> Iterator[Pixels]:
        """Pixels of rows, near the diagonal."""
        table = self._table(chrom)
        start, end = np.searchsorted(table.first, (first, last)).tolist()
        one, other = table.first[start:end].astype(np.int64), table.second[start:end].astype(np.int64)
        near = other - one <= farthest
        yield Pixels(one[near], other[near], table.values[start:end][near])


def _of_file(path: Path, layout: Layout, max_distance: int) -> ContactMap:
    resolution, tables = read_bin_tables(path, layout, max_distance)
    pairs = sum(len(table.first) for table in tables.values())
    logger.info(
        "%s: %s pairs of bins of %s bp on %d chromosomes", path.name, f"{pairs:,}", f"{resolution:,}", len(tables)
    )
    return ContactMap(_BinPairs(path, resolution, dict.fromkeys(tables), tables.__getitem__))
