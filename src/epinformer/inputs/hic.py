"""Contact maps in Juicer's files, `.hic`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from epinformer.errors import InputError
from epinformer.inputs.contact_maps import NONE, Pixels, chosen_resolution, refuse_normalisation

# Rows are asked for together so far as they have about so many pixels; the first ones cannot have more.
_PIXELS = 1 << 21
_GROWTH = 8


@contextlib.contextmanager
def open_hic(path: Path, resolution: int | None, normalisation: str) -> Iterator[HicReader]:
    """Open one resolution of a .hic file.

    Raises
    ------
    InputError
        As `inputs.contact_maps.open_contact_map`.
    """
    hictkpy = imported_hictkpy()
    with contextlib.ExitStack() as stack:
        with _told(path):
            # hictkpy's files close themselves, but one of them only.
            file = hictkpy.MultiResFile(path)
            available = [int(bp) for bp in file.resolutions()]
            file.close()
            opened = stack.enter_context(hictkpy.File(path, chosen_resolution(path, available, resolution)))
            if normalisation != NONE and not opened.has_normalization(normalisation):
                refuse_normalisation(path, normalisation, opened.avail_normalizations())
            reader = HicReader(path, opened, normalisation)
        yield reader


def imported_hictkpy() -> Any:
    """The module hictkpy, without what it would do at every later fork of this process.

    For the sake of its logger it would warn of forks, and in the new process wait for a lock that nobody may be left to
    release, so that a process that loads training data could hang for ever. A forked process has no use for the logger.
    """
    register = os.register_at_fork

    def registered(**hooks: Any) -> None:
        # Its own are compiled functions; what it imports may have good ones.
        if not any(type(hook).__module__ == "nanobind" for hook in hooks.values()):
            register(**hooks)

    os.register_at_fork = registered
    try:
        import hictkpy
    finally:
        os.register_at_fork = register
    return hictkpy


class HicReader:
    """Pixels of one resolution (`inputs.contact_maps.PixelReader`)."""

    relative = False

    def __init__(self, path: Path, file: Any, normalisation: str) -> None:
        self.path = path
        self.resolution = int(file.resolution())
        self.chromosomes = {str(name): int(length) for name, length in file.chromosomes().items()}
        self._file = file
        self._normalisation = normalisation
        self._norms: np.ndarray | None = None
        counts = [-(-length // self.resolution) for length in self.chromosomes.values()]
        self._starts = dict(zip(self.chromosomes, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))

    def norms(self, chrom: str) -> np.ndarray:
        """What counts are divided by: Juicer's vector."""
        start = self._starts[chrom]
        bins = -(-self.chromosomes[chrom] // self.resolution)
        if self._normalisation == NONE:
            return np.ones(bins)
        if self._norms is None:
            with _told(self.path):
                self._norms = np.asarray(self._file.weights(self._normalisation), dtype=np.float64)
        return self._norms[start : start + bins]

    def counts(self, chrom: str, first: int, last: int, farthest: int) -> Iterator[Pixels]:
        """Pixels of rows, near the diagonal."""
        start = self._starts[chrom]
        bins = -(-self.chromosomes[chrom] // self.resolution)
        row, step = first, max(1, _PIXELS // min(farthest + 1, bins))
        while row < last:
            stop = min(row + step, last)
            rows = self._interval(chrom, row, stop)
            columns = self._interval(chrom, row, min(stop + farthest, bins))
            with _told(self.path):
                found = self._file.fetch(rows, columns, count_type=float, diagonal_band_width=farthest + 1)
                table = found.to_arrow()
                one, other, values = (np.asarray(table[name]) for name in ("bin1_id", "bin2_id", "count"))
            if len(values):
                step = max(1, int(step * min(_PIXELS / len(values), _GROWTH)))
            one, other = one - start, other - start
            key = one * bins + other
            if np.any(key[1:] <= key[:-1]):
                order = np.argsort(key)
                one, other, values = one[order], other[order], values[order]
            yield Pixels(one, other, values)
            row = stop

    def _interval(self, chrom: str, first: int, last: int) -> str:
        end = min(last * self.resolution, self.chromosomes[chrom])
        return f"{chrom}:{first * self.resolution}-{end}"


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what hictkpy says of a broken file into an `InputError`."""
    try:
        yield
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        raise InputError(
            f"is truncated or damaged: {' '.join(str(error).split())}", source=path, fix="Copy or download it again"
        ) from error
