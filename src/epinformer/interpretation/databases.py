"""Databases of known motifs that come with packages: JASPAR, without the internet."""

from __future__ import annotations

import logging
import warnings
from contextlib import closing

import numpy as np

from epinformer.errors import EpinformerError
from epinformer.inputs.motifs import Motif
from epinformer.interpretation.extra import needed

logger = logging.getLogger(__name__)


def jaspar(release: str = "JASPAR2024", collection: str = "CORE", tax_group: str = "vertebrates") -> tuple[Motif, ...]:
    """Motifs of a release of JASPAR, from the copy that the package pyjaspar holds.

    Of each motif the latest version is taken. Its counts become frequencies as they are, without a pseudocount: what
    compares or scans adds its own.

    Parameters
    ----------
    release
        E.g. ``JASPAR2024``.
    collection, tax_group
        What part of it, as JASPAR calls it.

    Returns
    -------
    tuple of Motif
        In JASPAR's order. ``id`` is the matrix with its version (``MA0035.5``), ``name`` as JASPAR has it
        (``GATA1::TAL1`` for a pair of factors; several motifs may share one), ``family`` that of the factor, or
        of each factor of a pair (``A::B``), empty where JASPAR has none.

    Raises
    ------
    EpinformerError
        pyjaspar is not installed, or has no such release, collection, group, or no motifs in both; what there is, is
        named.
    """
    package = needed("pyjaspar", "reading JASPAR")
    _check("release of JASPAR", release, list(package.jaspar_releases), "pyjaspar")
    database = package.jaspardb(release=release)
    with closing(database.conn) as connection, warnings.catch_warnings():
        collections = connection.execute("SELECT DISTINCT collection FROM matrix ORDER BY 1").fetchall()
        groups = connection.execute("SELECT DISTINCT val FROM matrix_annotation WHERE tag = 'tax_group' ORDER BY 1")
        _check("collection", collection, [name for (name,) in collections], release)
        _check("group of species", tax_group, [name for (name,) in groups], release)
        # That nothing was found is said below.
        warnings.simplefilter("ignore")
        found = database.fetch_motifs(collection=collection, tax_group=[tax_group])
    if not found:
        raise EpinformerError(f"has no motifs of {tax_group} in its collection {collection}", source=release)
    logger.info("%s %s, %s: %s motifs", release, collection, tax_group, f"{len(found):,}")
    motifs = []
    for matrix in found:
        counts = np.array([matrix.counts[base] for base in "ACGT"], dtype=np.float64)
        families = dict.fromkeys(family.strip() for family in matrix.tf_family)
        motifs.append(Motif(matrix.matrix_id, matrix.name, counts / counts.sum(axis=0), "::".join(families)))
    return tuple(motifs)


def _check(what: str, name: str, known: list[str], source: str) -> None:
    if name not in known:
        raise EpinformerError(f"has no {what} called {name!r}", source=source, fix=f"It has {', '.join(known)}")
