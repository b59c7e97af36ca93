"""The genes of a dataset: half-life features and expression joined to the gene list."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from epinformer.config import PrepareConfig
from epinformer.errors import InputError
from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.inputs.expression import read_expression
from epinformer.inputs.genes import lacking, matched, read_half_life
from epinformer.prepare.steps import Filters

logger = logging.getLogger(__name__)


def add_half_life(genes: pd.DataFrame, config: PrepareConfig, filters: Filters) -> tuple[pd.DataFrame, dict[str, str]]:
    """Add gene_name and the half-life features, and drop the genes that lack any unless they are to be kept.

    Parameters
    ----------
    genes
        With gene_id.
    config
        Its `half_life` and `genes.without_half_life`. Without `half_life` only gene_name is added, the gene id.
    filters
        Takes the step.

    Returns
    -------
    genes, transforms
        The table with the new columns, and column -> how it was made.
    """
    genes = genes.assign(gene_name=genes["gene_id"])
    if config.half_life is None:
        return genes, {}
    path = config.path(config.half_life.table)
    table, columns = read_half_life(path, id_column=config.half_life.id, name_column=config.half_life.name)
    rows = matched(table, genes["gene_id"], path)
    if "gene_name" in rows:
        names = rows["gene_name"].to_numpy(dtype=object)
        named = rows["gene_name"].fillna("").ne("").to_numpy()
        genes["gene_name"] = pd.array(np.where(named, names, genes["gene_id"].to_numpy(dtype=object)), dtype="str")
    for feature in HALF_LIFE_FEATURES:
        genes[feature] = rows[feature].to_numpy(np.float64)
    lacks = lacking(genes[list(HALF_LIFE_FEATURES)])
    transforms = {feature: f"column {columns[feature]} as given" for feature in HALF_LIFE_FEATURES}
    if config.genes.without_half_life == "drop":
        genes = genes[filters.keep("genes", "without half-life features", ~lacks)]
        require_genes(genes, config)
    elif lacks.any():
        logger.info("%s of %s genes lack half-life features and are kept", f"{lacks.sum():,}", f"{len(genes):,}")
    return genes, transforms


def add_expression(genes: pd.DataFrame, config: PrepareConfig, filters: Filters) -> tuple[pd.DataFrame, dict[str, str]]:
    """Add expression_<assay> of each configured assay; genes without a label are kept or dropped as configured.

    Returns
    -------
    genes, transforms
        The table with the new columns (float64, NaN where there is no label), and column -> how it was made.
    """
    transforms = {}
    genes = genes.copy()
    for assay, source in config.expression.items():
        path = config.path(source.table)
        labels = read_expression(path, id_column=source.id, value_column=source.value)
        genes[f"expression_{assay}"] = matched(labels.to_frame(), genes["gene_id"], path)["value"].to_numpy(np.float64)
        transforms[f"expression_{assay}"] = f"column {source.value} as given"
    for assay in config.expression:
        lacks = genes[f"expression_{assay}"].isna().to_numpy()
        if config.genes.without_expression == "drop":
            genes = genes[filters.keep("genes", f"without {assay} expression", ~lacks)]
            require_genes(genes, config)
        elif lacks.any():
            logger.info(
                "%s of %s genes have no %s expression and are kept", f"{lacks.sum():,}", f"{len(genes):,}", assay
            )
    return genes, transforms


def require_genes(genes: pd.DataFrame, config: PrepareConfig) -> None:
    """Raise InputError if no gene is left."""
    if not len(genes):
        raise InputError(
            "none of its genes is left after the filters",
            source=config.path(config.genes.table),
            fix="Check that the files are of the same assembly and use the same gene ids",
        )
