"""Read the alleles of a VCF, some rows at a time, with the rows as they stand."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.regions import LAST_POSITION
from epinformer.inputs.text_rows import Problems
from epinformer.inputs.textfile import told, unpacked

FIXED_COLUMNS = 8
"""Of every VCF: CHROM POS ID REF ALT QUAL FILTER INFO."""

# Rows at a time: memory does not grow with the file, and there are enough to compute at once.
CHUNK_RECORDS = 2_048
_BASES = re.compile(r"[ACGT]+")
# Letters of the nucleic acid code that stand for one of several bases.
_LETTERS = re.compile(r"[ACGTUNRYSWKMBDHV]+")
_SYMBOLIC = re.compile(r"<.*>|\*|\..+|.+\.|.*[\[\]].*")
_CORRECT = "Correct or remove these rows"


class VariantChunk(NamedTuple):
    """Some rows of a VCF.

    Attributes
    ----------
    records
        The rows as they stand, without line ends.
    alleles
        A row an alternative allele, in the order of the file: record (number among ``records``), chrom, pos (1-based,
        as in the file), id, ref, alt (as in the file); kind (``bases``, ``unknown bases`` for letters such as N, or
        ``symbolic`` for ``<DEL>``, ``*`` and breakends); and what changes, once bases that REF and ALT share at their
        ends are left out: start, end (0-based half-open; the same where bases are only put in) and bases, which take
        the place of [start, end). If REF and ALT are the same, nothing is left out. Only ``bases`` say what changes.
    """

    records: list[str]
    alleles: pd.DataFrame


def read_vcf_header(path: str | Path) -> list[str]:
    """The lines of a VCF before its first row, without line ends; the last one begins with ``#CHROM``.

    Raises
    ------
    InputError
        The file cannot be read, or has no such header.
    """
    header, _ = _header(Path(path), _lines(Path(path)))
    return header


def read_variants(path: str | Path, chunk: int = CHUNK_RECORDS) -> Iterator[VariantChunk]:
    """Read a VCF, plain, gzip or bgzip; rows may be in any order, and neither an index nor contig lines are needed.

    Parameters
    ----------
    path
        The file.
    chunk
        Rows at a time.

    Yields
    ------
    VariantChunk
        Rows that cannot be read are left out until the end, where they are the error.

    Raises
    ------
    InputError
        The file cannot be read, is no VCF or has no rows; and after the last chunk, if rows are too short, positions
        are no whole numbers from 1 on, or alleles are neither letters of bases nor symbolic.
    """
    path = Path(path)
    lines = _lines(path)
    _, first = _header(path, lines)
    problems = Problems()
    records: list[str] = []
    rows: list[tuple[object, ...]] = []
    any_record = False
    for number, line in enumerate(lines, start=first + 1):
        if not line.strip():
            continue
        any_record = True
        text = line if line.isascii() else line.encode(errors="surrogateescape").decode(errors="replace")
        fields = text.split("\t", FIXED_COLUMNS)
        fault = _fault(fields)
        if fault is not None:
            shown = "\t".join(fields[:5])
            problems.add(fault[0], f"line {number:,}: {shown!r}", fault[1])
            continue
        rows += _alleles(len(records), fields)
        records.append(line)
        if len(records) == chunk:
            yield VariantChunk(records, _table(rows))
            records, rows = [], []
    if records:
        yield VariantChunk(records, _table(rows))
    if not any_record:
        raise InputError("holds no variants", source=path, fix="Check how the file was made")
    problems.refuse(path)


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends; bytes that are no UTF-8 come through as they are."""
    with told(path), path.open("rb") as raw:
        content = io.TextIOWrapper(unpacked(path, raw), encoding="utf-8-sig", errors="surrogateescape")
        with content:
            for line in content:
                yield line.rstrip("\r\n")


def _header(path: Path, lines: Iterator[str]) -> tuple[list[str], int]:
    """The header's lines and their number; ``lines`` goes on with the first row."""
    header = []
    for number, line in enumerate(lines, start=1):
        if number == 1 and line.startswith("BCF"):
            raise InputError("is BCF", source=path, fix="Convert it with `bcftools view -Oz`")
        if not line.startswith("#"):
            break
        header.append(line)
        if line.startswith("#CHROM"):
            if len(line.split("\t")) < FIXED_COLUMNS:
                raise InputError(
                    f"names fewer than {FIXED_COLUMNS} columns, separated by tabs, in its line #CHROM", source=path
                )
            return header, number
    raise InputError("is no VCF: a line that begins with #CHROM is missing", source=path, fix="Give a VCF")


def _fault(fields: list[str]) -> tuple[str, str] | None:
    """What is wrong with a row and what to do about it, or None."""
    if len(fields) < FIXED_COLUMNS:
        return f"has rows of fewer than {FIXED_COLUMNS} columns", "Separate columns by tabs"
    if not fields[0].strip():
        return "has rows without a chromosome", _CORRECT
    if not re.fullmatch(r"-?\d{1,18}", fields[1]):
        return "has positions that are no whole numbers", _CORRECT
    if int(fields[1]) < 1:
        return "has positions below 1", "Positions in a VCF are 1-based; correct or remove these rows"
    if int(fields[1]) + len(fields[3]) > LAST_POSITION:
        return "has positions beyond any chromosome", _CORRECT
    if not _LETTERS.fullmatch(fields[3].upper()):
        return "has reference alleles with other letters than those of bases", _CORRECT
    for alt in fields[4].split(","):
        if alt != "." and not _LETTERS.fullmatch(alt.upper()) and not _SYMBOLIC.fullmatch(alt):
            return "has alternative alleles with other letters than those of bases", _CORRECT
    return None


def _alleles(record: int, fields: list[str]) -> Iterator[tuple[object, ...]]:
    chrom, position, name, ref = fields[:4]
    for alt in fields[4].split(","):
        if alt == ".":
            continue
        start, old, new = int(position) - 1, ref.upper(), alt.upper()
        kind = "symbolic"
        if _LETTERS.fullmatch(new):
            kind = "bases" if _BASES.fullmatch(old) and _BASES.fullmatch(new) else "unknown bases"
        if kind == "bases" and old != new:
            start, old, new = _trimmed(start, old, new)
        yield record, chrom, int(position), name, ref, alt, kind, start, start + len(old), new


def _trimmed(start: int, old: str, new: str) -> tuple[int, str, str]:
    """What differs between two alleles that begin at ``start``: as far to the left as their letters allow."""
    shorter = min(len(old), len(new))
    same = next((size for size in range(shorter) if old[-1 - size] != new[-1 - size]), shorter)
    old, new = old[: len(old) - same], new[: len(new) - same]
    shorter = min(len(old), len(new))
    same = next((size for size in range(shorter) if old[size] != new[size]), shorter)
    return start + same, old[same:], new[same:]


def _table(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    names = ("record", "chrom", "pos", "id", "ref", "alt", "kind", "start", "end", "bases")
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    table = pd.DataFrame({name: np.array(column, dtype=object) for name, column in zip(names, columns, strict=True)})
    types = dict.fromkeys(("record", "pos", "start", "end"), "int64")
    return table.astype({**types, **dict.fromkeys(("chrom", "id", "ref", "alt", "kind"), "str")})
