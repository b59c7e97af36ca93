"""Contact maps in bins: what of them is asked, whatever file they are in."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from epinformer.errors import InputError
from epinformer.inputs.chromosomes import other_style

logger = logging.getLogger(__name__)

RESOLUTION = 5_000
"""bp a bin, of the map that is taken of several if none is asked for; that of the published model."""

NONE = "none"
"""The normalisation that leaves counts as they are."""

# Rows farther apart than this are read on their own, without what lies between.
_GAP = 500
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HIC = b"HIC\x00"


class Pixels(NamedTuple):
    """Some pixels of a chromosome's upper triangle: bins int64 (p,) with first <= second, values float64 (p,)."""

    first: np.ndarray
    second: np.ndarray
    values: np.ndarray


class PixelReader(Protocol):
    """One file's way of giving pixels. Chromosomes are named as in the file."""

    path: Path
    resolution: int

    @property
    def chromosomes(self) -> Mapping[str, int | None]:
        """Name -> length in bp, or None where the file does not say."""

    @property
    def relative(self) -> bool:
        """Whether the scale of the norms is arbitrary."""

    def norms(self, chrom: str) -> np.ndarray:
        """What counts are divided by, for both of their bins: float64 (bins,), not above 0 or NaN where masked."""

    def counts(self, chrom: str, first: int, last: int, farthest: int) -> Iterator[Pixels]:
        """Pixels of the rows first <= bin < last at most `farthest` bins off the diagonal, in pieces of bounded size.

        A piece is sorted by first, then second, and no pixel comes twice.
        """


class ContactMap:
    """Contacts between the bins of a chromosome.

    Attributes
    ----------
    path, resolution, normalisation
        The file, its bp a bin, and the name of its normalisation.
    chromosomes
        Name in the file -> length in bp; None in a table, which does not say.
    """

    def __init__(self, reader: PixelReader, normalisation: str = NONE) -> None:
        self._reader = reader
        self._vector: tuple[str, np.ndarray] = ("", np.zeros(0))
        self.path = reader.path
        self.resolution = reader.resolution
        self.normalisation = normalisation
        self.chromosomes = reader.chromosomes

    def name_of(self, chrom: str) -> str | None:
        """The file's name of a chromosome, in whichever style; None if the file lacks it."""
        other = other_style(chrom)
        return next((name for name in (chrom, other) if name in self.chromosomes), None)

    def bins(self, chrom: str) -> int:
        """Number of bins of a chromosome of the file."""
        return len(self.norms(chrom))

    def norms(self, chrom: str) -> np.ndarray:
        """What counts are divided by, for both bins: float64 (bins,), NaN for a bin that the normalisation masks."""
        if self._vector[0] != chrom:
            norms = np.array(self._reader.norms(chrom), dtype=np.float64)
            norms[~(np.isfinite(norms) & (norms > 0))] = np.nan
            self._vector = (chrom, norms)
        return self._vector[1]

    def relative_norms(self, chrom: str) -> np.ndarray:
        """The norms on the scale of Juicer's, where an average bin has about 1.

        Juicer's own as they are; the inverse of cooler's weights, whose scale is arbitrary, over their mean.
        """
        norms = self.norms(chrom)
        known = np.isfinite(norms)
        return norms / norms[known].mean() if self._reader.relative and known.any() else norms

    def pixels(self, chrom: str, first: int, last: int, farthest: int) -> Iterator[Pixels]:
        """Normalised pixels of the rows first <= bin < last, at most `farthest` bins off the diagonal, in pieces.

        NaN where a bin is masked. A pixel that is not stored is 0 if both bins are not masked.
        """
        norms = self.norms(chrom)
        for piece in self._reader.counts(chrom, first, last, farthest):
            yield piece._replace(values=piece.values / (norms[piece.first] * norms[piece.second]))

    def values(self, chrom: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The contact of pairs of bins.

        The rows that hold them are read once, so ask for all pairs of a chromosome together.

        Parameters
        ----------
        chrom
            As the file names it.
        one, other
            Bin numbers int64 (n,), in either order.

        Returns
        -------
        ndarray
            float64 (n,); 0 for pairs of bins that were never found together, NaN where a bin is masked or lies outside
            the chromosome.
        """
        bins, norms = self.bins(chrom), self.norms(chrom)
        low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other).astype(np.int64)
        known = (low >= 0) & (high < bins)
        known[known] = np.isfinite(norms[low[known]]) & np.isfinite(norms[high[known]])
        wanted, place = np.unique(low[known] * bins + high[known], return_inverse=True)
        found = np.zeros(len(wanted))
        for own in _runs(wanted // bins):
            keys = wanted[own]
            rows = keys // bins
            farthest = int((keys - rows * (bins + 1)).max())
            for first, second, values in self.pixels(chrom, int(rows[0]), int(rows[-1]) + 1, farthest):
                pixel = first * bins + second
                # Only a few of the pixels are wanted, or a few of the wanted are in this piece.
                start, end = np.searchsorted(keys, (pixel[0], pixel[-1] + 1)) if len(pixel) else (0, 0)
                at = np.searchsorted(pixel, keys[start:end])
                hit = np.flatnonzero(pixel[at] == keys[start:end])
                found[own.start + start + hit] = values[at[hit]]
        result = np.full(len(low), np.nan)
        result[known] = found[place]
        return result

    def row_sums(self, chrom: str) -> np.ndarray:
        """Sum of each row of a chromosome's whole symmetric matrix, float64 (bins,); what is masked counts as 0."""
        bins = self.bins(chrom)
        sums = np.zeros(bins)
        for first, second, values in self.pixels(chrom, 0, bins, bins):
            known = np.where(np.isnan(values), 0.0, values)
            sums += np.bincount(first, known, bins)
            sums += np.bincount(second, np.where(first == second, 0.0, known), bins)
        return sums

    def distance_sums(self, chrom: str, farthest: int) -> tuple[np.ndarray, np.ndarray]:
        """Sum of the contacts and number of pairs of bins that have one, at each distance of 0..farthest bins."""
        bins = self.bins(chrom)
        known = np.isfinite(self.norms(chrom))
        sums = np.zeros(farthest + 1)
        pairs = np.array(
            [int((known[: bins - apart] & known[apart:]).sum()) for apart in range(min(farthest + 1, bins))]
        )
        pairs = np.pad(pairs, (0, farthest + 1 - len(pairs)))
        for first, second, values in self.pixels(chrom, 0, bins, farthest):
            both = known[first] & known[second]
            apart, values = (second - first)[both], values[both]
            absent = np.isnan(values)
            sums += np.bincount(apart, np.where(absent, 0.0, values), farthest + 1)
            pairs -= np.bincount(apart[absent], minlength=farthest + 1)
        return sums, pairs


@contextlib.contextmanager
def open_contact_map(
    path: str | Path, *, resolution: int | None = None, normalisation: str = "VC"
) -> Iterator[ContactMap]:
    """Open a .hic, .cool or .mcool file.

    Parameters
    ----------
    path
        The kind of file is told by its first bytes.
    resolution
        bp a bin. None: what is nearest to 5,000 of those in the file, by ratio, the finer of two; said in the log.
    normalisation
        As the file names it: VC, VC_SQRT, KR, SCALE, or other names; ICE is the column `weight` of cooler's `balance`.
        none: counts as they are; no bin is masked then.

    Yields
    ------
    ContactMap
        Valid inside the block.

    Raises
    ------
    InputError
        No such file, not a contact map, truncated, damaged; a resolution or normalisation that it lacks, with those
        that it has.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == "cool":
        from epinformer.inputs.cool import open_cool

        with open_cool(path, resolution, normalisation) as reader:
            yield _told_of(ContactMap(reader, normalisation))
    else:
        from epinformer.inputs.hic import open_hic

        with open_hic(path, resolution, normalisation) as reader:
            yield _told_of(ContactMap(reader, normalisation))


def chosen_resolution(path: Path, available: Iterable[int], asked: int | None) -> int:
    """The resolution that is asked for, or the nearest to 5,000 bp, said in the log.

    Raises
    ------
    InputError
        The file lacks it.
    """
    available = sorted(int(resolution) for resolution in available)
    shown = ", ".join(f"{resolution:,}" for resolution in available)
    if not available:
        raise InputError("has no resolution in bp", source=path, fix="Check how the file was made")
    if asked is None:
        nearest = min(available, key=lambda resolution: abs(math.log(resolution / RESOLUTION)))
        logger.info("%s: bins of %s bp are taken, of %s", path.name, f"{nearest:,}", shown)
        return nearest
    if asked not in available:
        raise InputError(
            f"has no bins of {asked:,} bp", source=path, fix=f"Set resolution to one that the file has: {shown}"
        )
    return asked


def refuse_normalisation(path: Path, asked: str, available: Iterable[str]) -> None:
    """Raise InputError with the normalisations that a file has."""
    listed = ", ".join([*available, NONE])
    raise InputError(
        f"has no normalisation {asked}", source=path, fix=f"Set normalisation to one that the file has: {listed}"
    )


def _told_of(contact_map: ContactMap) -> ContactMap:
    logger.info(
        "%s: contact map of %s chromosomes in bins of %s bp, normalisation %s",
        contact_map.path.name,
        f"{len(contact_map.chromosomes):,}",
        f"{contact_map.resolution:,}",
        contact_map.normalisation,
    )
    return contact_map


def _kind(path: Path) -> str:
    try:
        with path.open("rb") as file:
            magic = file.read(8)
    except FileNotFoundError as error:
        raise InputError("there is no such file", source=path, fix="Check its path") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=path, fix="Check the file") from error
    if magic == _HDF5:
        return "cool"
    if magic[:4] == _HIC:
        return "hic"
    raise InputError(
        "is empty" if not magic else "is no contact map",
        source=path,
        fix="Give a .hic, .cool or .mcool file; tables of bins are set as bedpe or average",
    )


def _runs(rows: np.ndarray) -> Iterator[slice]:
    """Slices of ascending rows that lie near each other."""
    ends = [*(np.flatnonzero(np.diff(rows) > _GAP) + 1).tolist(), len(rows)]
    start = 0
    for end in ends:
        if end > start:
            yield slice(start, end)
        start = end
