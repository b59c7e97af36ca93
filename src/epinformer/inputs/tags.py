"""Count reads that are rows of text: tagAlign and other BED, and fragments with barcodes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from epinformer.errors import InputError
from epinformer.inputs.chromosomes import other_style, reconciled
from epinformer.inputs.counting import Overlaps, ReadFilter, Workers
from epinformer.inputs.text_rows import STRAND, Layout, Problems, RowParser, Rows, line_blocks, text_layout
from epinformer.inputs.textfile import told, unpacked

logger = logging.getLogger(__name__)


def count_tags(
    path: Path,
    overlaps: Overlaps,
    keep: ReadFilter,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Count the rows of a file over regions: tagAlign, BED of three columns or more, or fragments.

    Every row counts once, whatever its score or its number of reads and even if another row is the same: files of
    fragments have been deduplicated within each cell, and tags are what their maker kept.

    Parameters
    ----------
    path
        Plain or gzipped, in any order. Coordinates are 0-based half-open.
    overlaps
        Takes up what the rows cover.
    keep
        Which rows count, and where. Filters on what text does not have are refused. Files with four or five columns
        are fragments if barcodes are given.
    threads
        How many to use; None for what suits the machine's cores.
    progress
        Called with (bytes read, bytes of the file).

    Returns
    -------
    int
        How many rows of the whole file count; of cuts of fragments, how many cuts.

    Raises
    ------
    InputError
        The file cannot be read or is not text (`text_layout`); rows have other numbers of columns than the first,
        something else than whole numbers as positions, negative starts or no length, or a strand other than +, -
        and "."; a strand or a barcode is asked for and is not there; no barcode or no chromosome matches.
    """
    layout = text_layout(path)
    if keep.barcodes is not None and layout.width in (4, 5):
        layout = layout._replace(fragments=True)
    _refuse_filters(path, layout, keep)
    reader = _Reader(path, layout, overlaps, keep)
    found = _Piece()
    with told(path), path.open("rb") as raw, unpacked(path, raw) as content, Workers(threads) as workers:
        size = path.stat().st_size
        for piece in workers.ahead(reader.count, line_blocks(path, content)):
            found.join(piece)
            if progress is not None:
                progress(min(raw.tell(), size), size)
    found.problems.refuse(path)
    reader.refuse_strange(found)
    return found.total


@dataclass
class _Piece:
    """What was found in a part of the file."""

    total: int = 0
    chroms: dict[str, None] = field(default_factory=dict)
    barcodes: set[str] = field(default_factory=set)
    some_barcode: str | None = None
    problems: Problems = field(default_factory=Problems)

    def join(self, later: _Piece) -> None:
        self.total += later.total
        self.chroms |= later.chroms
        self.barcodes |= later.barcodes
        self.some_barcode = self.some_barcode or later.some_barcode
        self.problems.join(later.problems)


class _Reader:
    """Counts parts of one file; its methods run in several threads."""

    def __init__(self, path: Path, layout: Layout, overlaps: Overlaps, keep: ReadFilter) -> None:
        self._path = path
        self._layout = layout
        self._overlaps = overlaps
        self._keep = keep
        self._chroms = frozenset(overlaps.chroms)
        strands = frozenset({"+", "-"} if _needs_strand(layout, keep) else {"+", "-", "."})
        self._parser = RowParser(layout, keep.barcodes is not None, strands)

    def count(self, block: tuple[int, bytes]) -> _Piece:
        """Count the rows of a part, given with the number of its first line."""
        piece = _Piece()
        rows = self._parser.rows(*block, piece.problems)
        if len(rows.start):
            self._add(rows, piece)
        return piece

    def refuse_strange(self, found: _Piece) -> None:
        """Raise InputError if the file has nothing to do with the regions or the barcodes."""
        barcodes = self._keep.barcodes
        if barcodes is not None:
            if not found.barcodes:
                raise InputError(
                    "has no fragment of any of the barcodes",
                    source=self._path,
                    count=len(barcodes),
                    first=f"{min(barcodes, default='none')} is asked for, and the file has {found.some_barcode}",
                    fix="Give the barcodes of this file, with the same endings",
                )
            logger.info("%s: %d of %d barcodes have fragments", self._path.name, len(found.barcodes), len(barcodes))
        reconciled(found.chroms, self._chroms, self._path)
        seen = {self._own(name) for name in found.chroms}
        absent = [chrom for chrom in self._overlaps.chroms if chrom not in seen]
        if not absent:
            return
        regions = sum(self._overlaps.on(chrom) for chrom in absent)
        if len(absent) == len(self._chroms):
            raise InputError(
                "has no row on any chromosome that holds regions",
                source=self._path,
                count=regions,
                first=self._overlaps.first(absent[0]),
                fix=f"Use files of one assembly; its chromosomes are {', '.join(list(found.chroms)[:8])}",
            )
        # There is no header that would tell a chromosome without reads from one that was left out.
        logger.warning(
            "%s: no row on %s, which hold %s regions: these have 0 reads",
            self._path.name,
            ", ".join(absent[:8]) + (f" and {len(absent) - 8:,} more chromosomes" if len(absent) > 8 else ""),
            f"{regions:,}",
        )

    def _own(self, name: str) -> str | None:
        """The regions' name of the file's chromosome, or None if no region is on it."""
        if name in self._chroms:
            return name
        other = other_style(name)
        return other if other in self._chroms else None

    def _add(self, rows: Rows, piece: _Piece) -> None:
        chrom, names = rows.chrom
        start, end = rows.start, rows.end
        piece.chroms |= dict.fromkeys(names)
        if rows.barcode is not None and self._keep.barcodes is not None:
            barcode, cells = rows.barcode
            wanted = np.array([cell in self._keep.barcodes for cell in cells])
            piece.barcodes |= self._keep.barcodes.intersection(cells)
            piece.some_barcode = cells[0]
            kept = wanted[barcode]
            chrom, start, end = chrom[kept], start[kept], end[kept]
        if self._layout.fragments:
            if self._keep.unit == "cut":
                chrom = np.concatenate([chrom, chrom])
                start = np.concatenate([start, end - 1])
                end = start + 1
        else:
            minus = np.zeros(len(start), dtype=bool)
            if rows.strand is not None and "-" in rows.strand[1]:
                minus = rows.strand[0] == rows.strand[1].index("-")
            start, end = self._keep.covered(start, end, minus)
        piece.total += len(start)
        for number, name in enumerate(names):
            own = self._own(name)
            if own is not None:
                here = chrom == number
                self._overlaps.add(own, start[here], end[here])


def _needs_strand(layout: Layout, keep: ReadFilter) -> bool:
    """Whether what counts of a row depends on its strand."""
    return not layout.fragments and (keep.shift != "none" or keep.unit == "cut")


def _refuse_filters(path: Path, layout: Layout, keep: ReadFilter) -> None:
    """Raise InputError if the settings ask for what the file does not have."""
    problem = None
    if keep.min_mapping_quality > 0 or keep.require_flags or keep.exclude_flags:
        problem, fix = "has no mapping qualities and flags to filter by", "Leave these filters out, or give BAM"
    elif not keep.duplicates and not layout.fragments:
        problem, fix = "does not tell which reads are duplicates", "Leave them out beforehand, or give BAM"
    elif keep.barcodes is not None and not layout.fragments:
        problem, fix = "holds no fragments with barcodes", "Give chrom, start, end, barcode and count"
    elif keep.shift != "none" and layout.fragments:
        problem, fix = "holds fragments, which are shifted already", "Leave out `shift` for this file"
    elif _needs_strand(layout, keep) and layout.width <= STRAND:
        problem, fix = "has no strands, which a shift and cuts need", "Give BED of six columns, or leave them out"
    if problem is not None:
        raise InputError(problem, source=path, fix=fix)
