"""Chromosome names: "chr1" against "1", reconciled when there is only one way to read them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.tables import Column, read_bed

logger = logging.getLogger(__name__)

# Names that both styles have; scaffolds ("KI270728.1") are named too differently to be guessed.
_REGULAR = re.compile(r"^(\d+[A-Za-z]?|[XYZWUM]|MT|[IVX]+)$")


def read_lengths(path: str | Path) -> dict[str, int]:
    """Chromosome -> length in bp, of a file of two columns (`chrom.sizes`, or a FASTA index, whose first two they are).

    Raises
    ------
    InputError
        The file cannot be read (`inputs.tables.read_bed`), a length is not positive, or a chromosome occurs twice.
    """
    table = read_bed(path, (Column("chrom", "text", 0), Column("length", "int", 1)))
    for bad, problem, fix in (
        (table["length"] <= 0, "has lengths that are not positive", "Correct these rows"),
        (table["chrom"].duplicated(), "names a chromosome twice", "Keep one row a chromosome"),
    ):
        if bad.any():
            row = int(bad.to_numpy().argmax())
            first = f"line {table.index[row]:,}: {table['chrom'].iloc[row]} {table['length'].iloc[row]}"
            raise InputError(problem, source=path, count=int(bad.sum()), first=first, fix=fix)
    return {str(chrom): int(length) for chrom, length in zip(table["chrom"], table["length"], strict=True)}


def other_style(name: str) -> str | None:
    """The name in the other style ("chr1" for "1", "1" for "chr1", "MT" for "chrM"), or None if it has none."""
    if name.startswith("chr") and _REGULAR.match(name[3:]):
        return "MT" if name == "chrM" else name[3:]
    if _REGULAR.match(name):
        return "chrM" if name in ("M", "MT") else f"chr{name}"
    return None


def reconciled(names: Iterable[str], reference: Iterable[str], source: str | Path) -> dict[str, str]:
    """Names of one file -> names in the style of another.

    Parameters
    ----------
    names
        The chromosome names of the file `source`.
    reference
        The names whose style is kept.

    Returns
    -------
    dict
        Every name -> itself, or the other style's name where the reference is of that style. Said in the log.

    Raises
    ------
    InputError
        The file names chromosomes in both styles.
    """
    names = sorted(set(names))
    known = set(reference)
    regular = [name for name in names if other_style(name) is not None]
    with_prefix = [name for name in regular if name.startswith("chr")]
    without = [name for name in regular if not name.startswith("chr")]
    if with_prefix and without:
        # Which chromosomes of the other files these are is then a guess, and the wrong one loses them silently.
        fewer, more = sorted((with_prefix, without), key=len)
        raise InputError(
            "names chromosomes in two styles",
            source=source,
            count=len(fewer),
            first=f"{fewer[0]} beside {more[0]}",
            fix="Use one style throughout",
        )
    prefixed = _prefixed(known)
    result = {}
    for name in names:
        other = other_style(name)
        convert = other is not None and name not in known and prefixed is (not name.startswith("chr"))
        result[name] = other if convert and other is not None else name
    changed = [name for name in names if result[name] != name]
    if changed:
        logger.info(
            "%s: %d chromosome names are read in the other files' style (%s as %s)",
            Path(source).name,
            len(changed),
            changed[0],
            result[changed[0]],
        )
    return result


def in_style(table: pd.DataFrame, reference: pd.DataFrame, source: str | Path) -> pd.DataFrame:
    """A table with its column chrom in the style of the other's; ``source`` is the file it is from.

    Raises
    ------
    InputError
        As `reconciled`.
    """
    names = reconciled(table["chrom"].unique(), reference["chrom"].unique(), source)
    if all(name == other for name, other in names.items()):
        return table
    return table.assign(chrom=table["chrom"].map(names).astype("str"))


def _prefixed(names: set[str]) -> bool | None:
    """Whether most regular names carry "chr"; None where there are no regular names."""
    regular = [name for name in names if other_style(name) is not None]
    if not regular:
        return None
    return 2 * sum(name.startswith("chr") for name in regular) >= len(regular)
