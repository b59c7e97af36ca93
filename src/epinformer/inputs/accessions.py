"""Chromosomes as RefSeq names them: "NC_000001.11" is chr1 of man."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from epinformer.inputs.chromosomes import other_style

logger = logging.getLogger(__name__)

_ACCESSION = re.compile(r"NC_(\d{6})\.\d+")
# Man (GRCh37, GRCh38) and mouse (GRCm38, GRCm39): the first accession, and the chromosomes in order.
_SERIES = ((1, [*range(1, 23), "X", "Y"]), (67, [*range(1, 20), "X", "Y"]))
_MITOCHONDRIA = {12_920: "MT", 5_089: "MT"}


def chromosome_names(names: Iterable[str], told: Mapping[str, str], source: str | Path) -> dict[str, str]:
    """Every name -> itself, or the chromosome ("chr1") that it is RefSeq's accession of. Said in the log.

    Parameters
    ----------
    names
        The names that the file `source` uses.
    told
        What the file itself says about accessions, "NC_000001.11" -> "1". Of man and mouse they are known.
    """
    result = {name: _named(name, told) for name in names}
    changed = sorted(name for name, other in result.items() if other != name)
    if changed:
        logger.info(
            "%s: %d RefSeq accessions are read as chromosomes (%s as %s)",
            Path(source).name,
            len(changed),
            changed[0],
            result[changed[0]],
        )
    return result


def _named(name: str, told: Mapping[str, str]) -> str:
    match = _ACCESSION.fullmatch(name)
    if match is None:
        return name
    number = int(match[1])
    known = [str(series[number - first]) for first, series in _SERIES if 0 <= number - first < len(series)]
    bare = told.get(name) or _MITOCHONDRIA.get(number) or (known[0] if known else "")
    # "2L" has no other style that is known, and still is a chromosome.
    return (other_style(bare) or f"chr{bare}") if bare else name
