"""Motifs of binding sites: MEME's text format, read and written."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epinformer.errors import InputError
from epinformer.files import atomic_file
from epinformer.inputs.textfile import open_text, told

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_MATRIX = "letter-probability matrix:"
# The full report of MEME goes on after the name: "MOTIF AGATAAG MEME-1 width = 7 sites = 100".
_AFTER_NAME = re.compile(r"\bwidth\s*=.*")
_ROUNDING = 0.01


class Motif(NamedTuple):
    """A motif as frequencies of bases.

    Attributes
    ----------
    id
        Its name among all of a database, e.g. ``MA0035.5``.
    name
        What it is called, e.g. ``GATA1``; several motifs may be called the same.
    frequencies
        float64 (4, w): of A, C, G, T (rows) at each position; every column sums to 1.
    family
        Family of the factor that binds, empty where unknown.
    """

    id: str
    name: str
    frequencies: np.ndarray
    family: str = ""


def read_meme(path: str | Path) -> tuple[Motif, ...]:
    """Read the motifs of a file in MEME's text format, plain or gzipped: the minimal one, or MEME's full report.

    Of each motif its ``MOTIF`` line and its letter-probability matrix are read. The identifier is the first word of the
    ``MOTIF`` line, the name is what follows, or else the identifier. Log-odds matrices, background frequencies, numbers
    of sites and addresses are passed over. Columns are scaled to sum to 1, which rounded ones do to 0.01.

    Parameters
    ----------
    path
        The file. Its alphabet is ACGT.

    Returns
    -------
    tuple of Motif
        In the file's order.

    Raises
    ------
    InputError
        The file cannot be read, is not in MEME's format or holds no motifs; a motif has no matrix or a matrix no motif,
        another width than its ``w=`` says, or rows that are not four numbers from 0 that sum to 1; or two motifs have
        one identifier. The line is named.
    """
    path = Path(path)
    with told(path), open_text(path) as text:
        motifs = tuple(_motifs(_lines(text, path), path))
    if not motifs:
        raise InputError("holds no motifs", source=path, fix="Give a file with MOTIF lines and their matrices")
    logger.info("%s: %s motifs", path.name, f"{len(motifs):,}")
    return motifs


def write_meme(motifs: Sequence[Motif], path: str | Path) -> None:
    """Write motifs in MEME's minimal text format, frequencies with 6 decimals. Families have no place there.

    Raises
    ------
    ValueError
        An identifier is empty or has white space, which no reader would take.
    OutputError
        The file cannot be written.
    """
    lines = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", ""]
    lines += ["Background letter frequencies", "A 0.25 C 0.25 G 0.25 T 0.25", ""]
    for motif in motifs:
        if len(motif.id.split()) != 1:
            raise ValueError(f"an identifier of a motif is one word, not {motif.id!r}")
        lines.append(f"MOTIF {motif.id}" + ("" if motif.name == motif.id else f" {motif.name}"))
        lines.append(f"{_MATRIX} alength= 4 w= {motif.frequencies.shape[1]}")
        lines += [" ".join(f"{value:.6f}" for value in row) for row in motif.frequencies.T]
        lines.append("")
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _lines(text: Iterator[str], path: Path) -> list[tuple[int, str]]:
    """The lines after the one that names MEME's version, blank ones left out, with their numbers."""
    numbered = enumerate(text, start=1)
    # Without this line nothing of the file is kept: it may be any file, of any size.
    if not any(line.startswith("MEME version") for _, line in numbered):
        raise InputError(
            "is not in MEME's text format: it has no line 'MEME version'",
            source=path,
            fix="Give motifs in MEME format, e.g. what JASPAR offers as MEME",
        )
    return [(number, line.strip()) for number, line in numbered if line.strip()]


def _motifs(lines: list[tuple[int, str]], path: Path) -> Iterator[Motif]:
    """The motifs of a file, from its lines with their numbers."""
    heading: tuple[int, str] | None = None
    seen: set[str] = set()
    at = 0
    while at < len(lines):
        number, line = lines[at]
        at += 1
        if line.startswith("ALPHABET"):
            _check_alphabet(number, line, path)
        elif line.split()[0] == "MOTIF":
            _refuse_without_matrix(heading, path)
            heading = number, line
        elif line.startswith(_MATRIX):
            if heading is None:
                raise _malformed("has a matrix without a MOTIF line of its own before it", number, line, path)
            rows = []
            while at < len(lines) and _NUMBER.match(lines[at][1]):
                rows.append(_row(*lines[at], path))
                at += 1
            _check_shape(number, line, len(rows), path)
            identifier, name = _named(*heading, path)
            if identifier in seen:
                raise _malformed("has two motifs of one identifier", *heading, path, "Rename one of them")
            seen.add(identifier)
            heading = None
            frequencies = np.array(rows).T
            yield Motif(identifier, name, frequencies / frequencies.sum(axis=0))
    _refuse_without_matrix(heading, path)


def _named(number: int, line: str, path: Path) -> tuple[str, str]:
    """Identifier and name from a MOTIF line."""
    words = _AFTER_NAME.sub("", line).split()[1:]
    if not words:
        raise _malformed("has a MOTIF line without an identifier", number, line, path)
    return words[0], " ".join(words[1:]) or words[0]


def _row(number: int, line: str, path: Path) -> list[float]:
    """The frequencies of A, C, G and T at one position."""
    words = line.split()
    if len(words) != 4 or not all(_NUMBER.fullmatch(word) for word in words):
        raise _malformed("has rows of a matrix that are not four numbers", number, line, path)
    row = [float(word) for word in words]
    if min(row) < 0:
        raise _malformed("has negative frequencies", number, line, path)
    if not abs(sum(row) - 1) <= _ROUNDING:
        raise _malformed("has frequencies that do not sum to 1", number, line, path, "Give frequencies, not counts")
    return row


def _check_shape(number: int, line: str, rows: int, path: Path) -> None:
    """Refuse a matrix that is not as its heading says, or empty."""
    letters, width = (re.search(rf"\b{key}\s*=\s*(\S*)", line) for key in ("alength", "w"))
    if letters is not None and letters[1] != "4":
        raise _malformed("has a matrix of other letters than A, C, G and T", number, line, path)
    if width is not None and width[1].lstrip("0") != str(rows):
        raise _malformed(f"has a matrix whose rows ({rows}) are not as many as its w= says", number, line, path)
    if not rows:
        raise _malformed("has a matrix without rows", number, line, path)


def _check_alphabet(number: int, line: str, path: Path) -> None:
    """Refuse any other alphabet than that of DNA, given as its letters or by its name (ALPHABET "DNA" DNA-LIKE)."""
    letters = re.match(r"ALPHABET\s*=\s*(\S*)", line)
    if (letters[1].upper() != "ACGT") if letters else ("DNA" not in line.upper()):
        raise _malformed("has motifs of another alphabet than ACGT", number, line, path, "Give motifs of DNA")


def _refuse_without_matrix(heading: tuple[int, str] | None, path: Path) -> None:
    if heading is not None:
        raise _malformed("has a motif without a letter-probability matrix", *heading, path)


def _malformed(
    problem: str, number: int, line: str, path: Path, fix: str = "Correct or remove this motif"
) -> InputError:
    return InputError(problem, source=path, first=f"line {number:,}: {line}", fix=fix)
