"""Names of assemblies."""

from __future__ import annotations

# Two names for one sequence of the chromosomes.
_OTHER_NAMES = {"grch38": "hg38", "grch37": "hg19", "grcm38": "mm10", "grcm39": "mm39"}


def same_assembly(one: str, other: str) -> bool:
    """Whether two names are of one assembly: ``hg38`` and ``GRCh38`` are."""
    return _canonical(one) == _canonical(other)


def _canonical(name: str) -> str:
    return _OTHER_NAMES.get(name.lower(), name.lower())
