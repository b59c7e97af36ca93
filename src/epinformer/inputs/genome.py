"""Read the bases of a genome, or of a locus cut out of one, from FASTA."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from epinformer.bases import NO_BASE, encode
from epinformer.errors import InputError
from epinformer.inputs.chromosomes import other_style
from epinformer.inputs.fasta import Fasta, Record, open_fasta

__all__ = ["NO_BASE", "Genome", "Span", "encode", "open_genome"]

logger = logging.getLogger(__name__)

_RANGE = r"(?P<chrom>[^\s:]+):(?P<start>[\d,]*\d)-(?P<end>[\d,]*\d)"
_NAME = re.compile(_RANGE + r"(?P<strand>\([+-]\))?")
_UCSC = re.compile(r"(?:^|\s)range=" + _RANGE + r"(?=\s|$)")
_REVERSE = re.compile(r"(?:^|\s)strand=-(?=\s|$)")
_SHOWN = 8


class Span(NamedTuple):
    """What a file holds of a chromosome, bp, 0-based half-open; ``is_locus`` when that may be only a part of it."""

    start: int
    end: int
    is_locus: bool


class _Part(NamedTuple):
    """A record of the file and where it lies."""

    record: int
    span: Span


class Genome:
    """Bases by position, from `open_genome`. A context manager; not to be shared between processes or threads.

    Attributes
    ----------
    path
        The FASTA file.
    spans
        Chromosome (as the file names it) -> `Span`. Of several loci on one chromosome it is the hull; `contains` knows
        the gaps. Use `span` to look a name up in either style ("chr1", "1").
    """

    def __init__(self, path: Path, fasta: Fasta, parts: dict[str, list[_Part]]) -> None:
        self.path = path
        self._fasta = fasta
        self._parts = parts
        self.spans = {
            chrom: Span(
                min(part.span.start for part in own),
                max(part.span.end for part in own),
                any(part.span.is_locus for part in own),
            )
            for chrom, own in parts.items()
        }
        self._names: dict[str, str | None] = {}
        self._told = False

    def span(self, chrom: str) -> Span | None:
        """Span of a chromosome named in either style, None if the file does not have it."""
        name = self._name(chrom)
        return None if name is None else self.spans[name]

    def contains(self, chrom: str | ArrayLike, start: ArrayLike, end: ArrayLike) -> np.ndarray:
        """Whether every base of [start, end) is in the file.

        Parameters
        ----------
        chrom
            A name for all, or an array of names.
        start, end
            Integers, bp, 0-based half-open.

        Returns
        -------
        np.ndarray
            bool, of the arguments' broadcast shape. False for an unknown chromosome and where start > end.
        """
        return self._inside(chrom, start, end, beyond_ends=False)

    def available(self, chrom: str | ArrayLike, start: ArrayLike, end: ArrayLike) -> np.ndarray:
        """Whether `codes` answers: the interval is inside a locus, or the whole chromosome is there.

        Differs from `contains` for intervals that reach beyond the ends of a whole chromosome, where `codes` fills in
        `NO_BASE`. Arguments and result as there.
        """
        return self._inside(chrom, start, end, beyond_ends=True)

    def codes(self, chrom: str, start: int, end: int) -> np.ndarray:
        """Codes of [start, end).

        Parameters
        ----------
        chrom
            Name in either style.
        start, end
            bp, 0-based half-open; may reach beyond the ends of a whole chromosome, not of a locus.

        Returns
        -------
        np.ndarray
            uint8 (end - start,), perhaps read-only: A 0, C 1, G 2, T 3, other letters 4, no base (beyond the
            chromosome's ends) 5.

        Raises
        ------
        InputError
            The file does not have the chromosome, the interval is not inside a locus, start is above end, or the file
            is damaged there.
        """
        start, end = int(start), int(end)
        name = self._name(chrom)
        if name is None:
            raise InputError(f"has no chromosome {chrom}", source=self.path, fix=f"It has {self._listed()}")
        if start > end:
            raise InputError("start is above end", source=self.path, first=f"{chrom}:{start}-{end} (0-based)")
        for record, span in self._parts[name]:
            if not span.is_locus:
                return self._padded(record, span, start, end)
            if span.start <= start and end <= span.end:
                return self._fasta.codes(record, start - span.start, end - span.start)
        held = ", ".join(f"{part.span.start}-{part.span.end}" for part in self._parts[name][:_SHOWN])
        raise InputError(
            "does not hold an interval that is asked of it",
            source=self.path,
            first=f"{chrom}:{start}-{end} (0-based half-open)",
            fix=f"Of {name} it has {held}: use a larger locus or the whole genome",
        )

    def close(self) -> None:
        """Close the file."""
        self._fasta.close()

    def __enter__(self) -> Genome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _padded(self, record: int, span: Span, start: int, end: int) -> np.ndarray:
        inner_start, inner_end = min(max(start, span.start), span.end), max(min(end, span.end), span.start)
        if (inner_start, inner_end) == (start, end):
            return self._fasta.codes(record, start, end)
        codes = np.full(end - start, NO_BASE, dtype=np.uint8)
        if inner_start < inner_end:
            codes[inner_start - start : inner_end - start] = self._fasta.codes(record, inner_start, inner_end)
        return codes

    def _inside(self, chrom: str | ArrayLike, start: ArrayLike, end: ArrayLike, *, beyond_ends: bool) -> np.ndarray:
        starts, ends = np.asarray(start, dtype=np.int64), np.asarray(end, dtype=np.int64)
        if isinstance(chrom, str):
            return self._inside_one(chrom, starts, ends, beyond_ends)
        names, first, last = np.broadcast_arrays(np.asarray(chrom, dtype=object), starts, ends)
        inside = np.zeros(names.shape, dtype=bool)
        groups, distinct = pd.factorize(names.ravel())
        for group, name in enumerate(distinct):
            own = (groups == group).reshape(names.shape)
            inside[own] = self._inside_one(str(name), first[own], last[own], beyond_ends)
        return inside

    def _inside_one(self, chrom: str, start: np.ndarray, end: np.ndarray, beyond_ends: bool) -> np.ndarray:
        name = self._name(chrom)
        ordered = np.asarray(start <= end)
        inside = np.zeros(ordered.shape, dtype=bool)
        for _, span in [] if name is None else self._parts[name]:
            anywhere = beyond_ends and not span.is_locus
            inside |= ordered if anywhere else ordered & (start >= span.start) & (end <= span.end)
        return inside

    def _name(self, chrom: str) -> str | None:
        """Own name of a chromosome in the file: the same, or that of the other style."""
        if chrom in self._names:
            return self._names[chrom]
        name: str | None = chrom if chrom in self._parts else None
        other = other_style(chrom)
        if name is None and other in self._parts:
            name = other
            if not self._told:
                logger.info("%s names chromosomes in another style: %s is read as its %s.", self.path, chrom, name)
                self._told = True
        self._names[chrom] = name
        return name

    def _listed(self) -> str:
        names = list(self._parts)
        return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def open_genome(fasta: str | Path, *, chrom: str | None = None, start: int | None = None) -> Genome:
    """Open a FASTA file: plain, bgzip or gzip; a whole genome, some chromosomes, or loci.

    A record is a locus when its name is ``chr22:37200001-40600000``, its description has the UCSC browser's
    ``range=chr22:37200001-40600000`` (both 1-based inclusive), or the caller says where it starts. Any other record is
    a whole chromosome of its name.

    Parameters
    ----------
    fasta
        The file. Large ones are read through an index, which is made if need be (see `inputs.fasta.open_fasta`).
    chrom
        Name of the file's only record, instead of the header's.
    start
        Position of its first base, bp, 0-based, instead of the header's.

    Raises
    ------
    InputError
        The file is missing, empty, unreadable, truncated or not FASTA; a header's range does not fit the length of its
        sequence, or says that it is the reverse strand; two records are of the same place; ``chrom`` or ``start`` is
        given for a file of several records.
    """
    path = Path(fasta)
    source = open_fasta(path)
    try:
        if (chrom is not None or start is not None) and len(source.records) > 1:
            raise InputError(
                "has several records, so that one chrom and start do not say where they lie",
                source=path,
                count=len(source.records),
                fix="Name records like chr22:37200001-40600000, or give a file of one record",
            )
        if start is not None and start < 0:
            raise InputError(f"start is {start}: it must be 0 or more", source=path)
        parts: dict[str, list[_Part]] = {}
        for number, record in enumerate(source.records):
            name, span = _placed(record, path, chrom, start)
            parts.setdefault(name, []).append(_Part(number, span))
        for name, own in parts.items():
            own.sort(key=lambda part: part.span)
            _check_disjoint(name, own, source.records, path)
    except BaseException:
        source.close()
        raise
    return Genome(path, source, parts)


def _placed(record: Record, path: Path, chrom: str | None, start: int | None) -> tuple[str, Span]:
    """Chromosome and span of a record: what the caller says, else its header."""
    name, span = _from_header(record, path, check_length=start is None)
    if start is not None:
        if span.is_locus and span.start != start:
            logger.warning(
                "%s: its header says that it starts at %d (0-based); %d is taken instead, as told.",
                path,
                span.start,
                start,
            )
        span = Span(start, start + record.length, True)
    return chrom or name, span


def _from_header(record: Record, path: Path, *, check_length: bool) -> tuple[str, Span]:
    match = _NAME.fullmatch(record.name) or _UCSC.search(record.description)
    if match is None:
        return record.name, Span(0, record.length, False)
    if match.groupdict().get("strand") == "(-)" or _REVERSE.search(record.description):
        raise InputError(
            "holds the reverse strand", source=path, first=record.name, fix="Extract the locus on the + strand"
        )
    first, last = (int(match[group].replace(",", "")) for group in ("start", "end"))
    if check_length and (first < 1 or last - first + 1 != record.length):
        # One base too few is how bedtools (0-based half-open) writes a name; it could also be a lost base.
        raise InputError(
            f"has a header whose range {match['chrom']}:{first}-{last} (1-based inclusive, {last - first + 1:,} bp) "
            f"does not fit its {record.length:,} bases",
            source=path,
            first=record.name,
            fix="Extract it again, or say where it lies: chrom, and start as the 0-based position of its first base",
        )
    return match["chrom"], Span(first - 1, first - 1 + record.length, True)


def _check_disjoint(chrom: str, parts: list[_Part], records: list[Record], path: Path) -> None:
    end = -1
    for part in parts:
        if part.span.start < end:
            whole = not any(part.span.is_locus for part in parts)
            problem = "has the same record twice" if whole else f"has records that overlap on {chrom}"
            raise InputError(problem, source=path, first=records[part.record].name, fix="Keep one of them")
        end = part.span.end
