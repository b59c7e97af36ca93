"""Contact of pairs: the power law of distance, the score it gives with activity, and measured contacts."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.chromosomes import reconciled
from epinformer.prepare.pairs import neighbours

logger = logging.getLogger(__name__)

# Fit of K562 Hi-C against distance in the ABC model's pipeline, release 1.0 (hic_gamma and hic_scale of its K562 run).
POWERLAW_GAMMA = 1.024238616787792
POWERLAW_SCALE = 5.9594510043736655
# Below this many bp the contact is taken as constant.
POWERLAW_FLOOR = 5_000
ABC_WINDOW = 5_000_000


def powerlaw_contact(distance: np.ndarray) -> np.ndarray:
    """Contact that is expected at a distance.

    exp(scale - gamma * ln(max(|distance|, 5000) + 1)), the power law of the activity-by-contact model (Fulco et al.,
    Nature Genetics 2019) with scale 5.9594510 and gamma 1.0242386.

    Parameters
    ----------
    distance
        bp (n,), of either sign.

    Returns
    -------
    ndarray
        float64 (n,), without unit.
    """
    far = np.maximum(np.abs(np.asarray(distance, dtype=np.float64)), POWERLAW_FLOOR)
    contact: np.ndarray = np.exp(POWERLAW_SCALE - POWERLAW_GAMMA * np.log(far + 1))
    return contact


def abc_scores(pairs: pd.DataFrame, element_activity: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Power-law ABC score of each pair: its activity x contact over the sum of that over the gene's candidates.

    The activity-by-contact model's own score treats promoters specially (a gene's own promoter, and its floor of
    contact); that is not done here: every candidate counts with its activity and the power law alone.

    Parameters
    ----------
    pairs
        gene_index, element_index, distance (bp).
    element_activity
        (number of elements,).
    denominators
        (number of genes,), as `abc_denominators` gives.

    Returns
    -------
    ndarray
        float64 (number of pairs,), in 0..1; 0 where all candidates of a gene are inactive.
    """
    gene = pairs["gene_index"].to_numpy()
    score = element_activity[pairs["element_index"].to_numpy()] * powerlaw_contact(pairs["distance"].to_numpy())
    total = denominators[gene]
    shares: np.ndarray = np.divide(score, total, out=np.zeros_like(score), where=total > 0)
    return shares


def abc_denominators(genes: pd.DataFrame, elements: pd.DataFrame, element_activity: np.ndarray) -> np.ndarray:
    """Sum of activity x power-law contact over all candidate elements within 5 Mb of each TSS.

    Parameters
    ----------
    genes
        chrom, tss (0-based), strand.
    elements
        chrom, start, end of all candidates, those at the TSS included.
    element_activity
        (number of elements,).

    Returns
    -------
    ndarray
        float64 (number of genes,), 0 for a gene without candidates.
    """
    sums = np.zeros(len(genes))
    for gene, element, offset in neighbours(genes, elements, ABC_WINDOW):
        sums += np.bincount(gene, weights=element_activity[element] * powerlaw_contact(offset), minlength=len(genes))
    return sums


def joined_contacts(
    pairs: pd.DataFrame,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    contacts: pd.DataFrame,
    missing: float | None,
    path: str | Path,
) -> np.ndarray:
    """Measured contact of each pair.

    Parameters
    ----------
    pairs
        gene_index, element_index.
    genes, elements
        With gene_id, and with element_id (the interval as given, before long ones are cut) and chrom.
    contacts
        gene_id, chrom, element_id, contact (`inputs.contacts.read_pair_contacts`). Rows of other pairs are passed over.
    missing
        The contact of pairs that the table lacks; how many is logged. None: no pair may lack it.
    path
        The table's file, for messages.

    Returns
    -------
    ndarray
        float64 (number of pairs,).

    Raises
    ------
    InputError
        The table has none of the pairs, or lacks some while `missing` is None.
    """
    names = reconciled(contacts["chrom"].unique(), elements["chrom"].unique(), path)
    element_id = contacts["element_id"]
    if any(name != other for name, other in names.items()):
        element_id = contacts["chrom"].map(names) + ":" + element_id.str.rpartition(":")[2]
    gene = pd.Index(genes["gene_id"]).get_indexer(contacts["gene_id"]).astype(np.int64)
    element = pd.Index(elements["element_id"]).get_indexer(element_id).astype(np.int64)
    known = (gene >= 0) & (element >= 0)
    keys = pd.Index(gene[known] * len(elements) + element[known])
    wanted = pairs["gene_index"].to_numpy(np.int64) * len(elements) + pairs["element_index"].to_numpy(np.int64)
    row = keys.get_indexer(wanted)
    absent = row < 0
    if len(pairs) and absent.all():
        raise InputError(
            "has none of the pairs",
            source=path,
            count=len(pairs),
            first=f"{_pair(pairs, genes, elements, 0)} is not found; the file has "
            f"{contacts['gene_id'].iloc[0]} with {contacts['element_id'].iloc[0]}",
            fix="Use the gene ids of the gene table and the intervals of the element table",
        )
    if absent.any() and missing is None:
        raise InputError(
            "lacks pairs",
            source=path,
            count=int(absent.sum()),
            first=_pair(pairs, genes, elements, int(absent.argmax())),
            fix="Add them, or set contact.missing to the contact that such pairs shall have",
        )
    values = np.full(len(pairs), 0.0 if missing is None else missing)
    values[~absent] = contacts["contact"].to_numpy(np.float64)[known][row[~absent]]
    filled = f"; the other {absent.sum():,} are set to {missing}" if absent.any() else ""
    logger.info(
        "%s has the contact of %s of %s pairs%s", Path(path).name, f"{(~absent).sum():,}", f"{len(pairs):,}", filled
    )
    return values


def _pair(pairs: pd.DataFrame, genes: pd.DataFrame, elements: pd.DataFrame, row: int) -> str:
    gene, element = pairs["gene_index"].iloc[row], pairs["element_index"].iloc[row]
    return f"{genes['gene_id'].iloc[gene]} with {elements['element_id'].iloc[element]}"
