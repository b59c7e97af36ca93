"""The pairs of a dataset, with their distances, contacts and ABC scores."""

from __future__ import annotations

import contextlib
import logging

import numpy as np
import pandas as pd

from epinformer.config import PrepareConfig
from epinformer.inputs.contacts import read_pair_contacts
from epinformer.prepare.abc import abc_pairs, abc_sums
from epinformer.prepare.contact import (
    ContactSource,
    MapContacts,
    joined_contacts,
    map_contacts,
    open_contacts,
    powerlaw_contact,
)
from epinformer.prepare.contact_steps import abc_source
from epinformer.prepare.pairs import FARTHEST_TSS, make_pairs, other_tss_distances
from epinformer.prepare.steps import Filters

logger = logging.getLogger(__name__)


def paired(
    config: PrepareConfig,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    candidates: pd.DataFrame,
    rows: np.ndarray,
    tss: pd.DataFrame,
    filters: Filters,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Pair genes with the elements around them.

    Parameters
    ----------
    config
        Its `pairs`, `contact` and `abc`.
    genes, elements
        Those that stay: gene_id, chrom, tss, strand; element_id, chrom, start, end.
    candidates
        All elements, also those that a locus of a genome leaves out, since ABC's sum is over them: chrom, start, end as
        given, before long ones are cut, and activity.
    rows
        Which of the candidates each element is.
    tss
        chrom and tss of all genes, also of those that were dropped.
    filters
        Takes the steps.

    Returns
    -------
    pairs, transforms
        gene_index, element_index, distance and more, sorted by gene and |distance|; column -> how it was made.
    """
    settings = config.pairs
    made = make_pairs(
        genes,
        elements,
        min_distance=settings.min_distance,
        max_distance=settings.max_distance,
        max_elements=settings.max_elements,
    )
    pairs = made.table
    pairs["other_tss_distance"] = other_tss_distances(pairs, genes, elements, tss)
    if settings.max_elements is not None:
        filters.record("pairs", f"beyond a gene's {settings.max_elements} nearest elements", made.in_range, len(pairs))
    alone = len(genes) - pairs["gene_index"].nunique()
    logger.info(
        "%s pairs; %s of %s genes have no element in range and are kept, %s have more than are paired",
        f"{len(pairs):,}",
        f"{alone:,}",
        f"{len(genes):,}",
        f"{made.genes_capped:,}",
    )
    words = {
        "distance": "element midpoint - TSS in bp, positive downstream in the gene's direction",
        "other_tss_distance": "bp from the element's midpoint to the nearest TSS of the gene table that is not the "
        f"gene's own, at most {FARTHEST_TSS:,}",
    }
    with contextlib.ExitStack() as stack:
        source = abc = None
        if config.contact is not None and config.contact.is_map:
            reach = max(config.abc.window, settings.max_distance)
            source = stack.enter_context(open_contacts(config.contact, config.path, reach))
            abc = abc_source(source, config.contact, config.abc)
        words |= _add_contact(config, pairs, genes, elements, source)
        pairs["powerlaw_contact"] = powerlaw_contact(
            pairs["distance"].to_numpy(), gamma=config.abc.gamma, scale=config.abc.scale
        )
        words["powerlaw_contact"] = (
            f"exp({config.abc.scale:.7f} - {config.abc.gamma:.7f} * ln(max(|distance|, 5000) + 1))"
        )
        words |= _add_abc(config, pairs, genes, candidates, rows, abc)
    return pairs, words


def _add_contact(
    config: PrepareConfig,
    pairs: pd.DataFrame,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    source: MapContacts | None,
) -> dict[str, str]:
    """Add the column contact if the configuration has one, and tell how it was made."""
    settings = config.contact
    if settings is None:
        return {}
    if settings.constant is not None:
        pairs["contact"] = float(settings.constant)
        return {"contact": f"constant {settings.constant}"}
    if settings.table is not None:
        path = config.path(settings.table)
        # The settings let `expected` stand only beside a map.
        missing = settings.missing if isinstance(settings.missing, float) else None
        pairs["contact"] = joined_contacts(pairs, genes, elements, read_pair_contacts(path), missing, path)
        return {"contact": "column contact as given" + ("" if missing is None else f", {missing} where missing")}
    if source is None:
        return {}
    filled = "expected" if settings.missing is None else settings.missing
    pairs["contact"] = map_contacts(pairs, genes, elements, source, filled)
    told = "the map's mean at that distance" if filled == "expected" else f"{filled}"
    return {"contact": f"{source.words}: between the bins of TSS and element midpoint; {told} where there are no data"}


def _add_abc(
    config: PrepareConfig,
    pairs: pd.DataFrame,
    genes: pd.DataFrame,
    candidates: pd.DataFrame,
    rows: np.ndarray,
    source: ContactSource | None,
) -> dict[str, str]:
    """Add abc_contact, abc_score and self_promoter, and tell how they were made."""
    settings = config.abc
    activity = candidates["activity"].to_numpy(np.float64)
    sums = abc_sums(genes, candidates, activity, source, settings)
    pointing = pairs.assign(element_index=rows[pairs["element_index"].to_numpy()])
    scored = abc_pairs(pointing, genes, candidates, activity, sums, source, settings)
    of = "power-law contact" if source is None else f"contact of {source.words}"
    pairs["abc_contact"], pairs["abc_score"], pairs["self_promoter"] = scored
    scaled = " scaled by the power law of the reference," if settings.scale_powerlaw else ""
    steps = (
        ""
        if source is None
        else f",{scaled} with a pseudocount; the power law's where there are no data ({sums.missing:,} of "
        f"{sums.candidates:,} candidate pairs) and for {int(sums.weak.sum()):,} genes of weak contact"
    )
    return {
        "abc_contact": f"{of}{steps}",
        "abc_score": "activity * abc_contact / sum of it over all candidates less than "
        f"{settings.window:,} bp from the TSS; 1 for a gene's own promoter",
        "self_promoter": f"the element overlaps TSS ± {settings.tss_slop} bp of the gene",
    }
