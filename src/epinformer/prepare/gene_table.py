"""The genes of a dataset: half-life features and expression joined to the gene list."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from epinformer.config import PrepareConfig
from epinformer.errors import InputError
from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.inputs.annotation import Annotation, read_annotation
from epinformer.inputs.expression import (
    PSEUDOCOUNTS,
    expression_from_tracks,
    read_expression,
    read_symbols,
    transformed,
)
from epinformer.inputs.gene_ids import match_genes
from epinformer.inputs.genes import lacking, read_half_life
from epinformer.inputs.genome import Genome
from epinformer.prepare.half_life import LENGTHS, half_life_features
from epinformer.prepare.steps import Filters
from epinformer.settings import ExpressionConfig, HalfLifeConfig, TracksConfig

logger = logging.getLogger(__name__)


def add_half_life(
    genes: pd.DataFrame,
    config: PrepareConfig,
    annotation: Annotation | None,
    genome: Genome | None,
    filters: Filters,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Add gene_name and the half-life features, and drop the genes that lack any unless they are to be kept.

    Parameters
    ----------
    genes
        With gene_id, and gene_name where the gene list has names.
    config
        Its `half_life` and `genes.without_half_life`. Without `half_life` only gene_name is added. Genes without a name
        get that of the table of features, else their id.
    annotation
        What the genes are from, if that is an annotation.
    genome
        The bases, for features that are computed.
    filters
        Takes the step.

    Returns
    -------
    genes, transforms
        The table with the new columns, and column -> how it was made.
    """
    settings = config.half_life
    if settings is None:
        return _named(genes, None), {}
    if settings.table is not None:
        genes, transforms = _tabulated(genes, settings, config.path(settings.table))
    elif settings.annotation is not None and genome is not None:
        path = config.path(settings.annotation)
        if annotation is None or annotation.path != path:
            annotation = read_annotation(path, gene_types=config.genes.gene_types)
        genes, transforms = _computed(_named(genes, None), settings, annotation, genome)
    lacks = lacking(genes[list(HALF_LIFE_FEATURES)])
    if config.genes.without_half_life == "drop":
        genes = genes[filters.keep("genes", "without half-life features", ~lacks)]
        require_genes(genes, config)
    elif lacks.any():
        logger.info("%s of %s genes lack half-life features and are kept", f"{lacks.sum():,}", f"{len(genes):,}")
    return genes, transforms


def _tabulated(genes: pd.DataFrame, settings: HalfLifeConfig, path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Genes with the features of a table."""
    table, columns = read_half_life(path, id_column=settings.id, name_column=settings.name)
    found = match_genes(table, genes, path, names=table.get("gene_name"))
    genes = _named(genes, found.rows.get("gene_name"))
    for feature in HALF_LIFE_FEATURES:
        genes[feature] = found.rows[feature].to_numpy(np.float64)
    return genes, {feature: f"column {columns[feature]} as given" for feature in HALF_LIFE_FEATURES}


def _computed(
    genes: pd.DataFrame, settings: HalfLifeConfig, annotation: Annotation, genome: Genome
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Genes with the features of an annotation's transcripts."""
    features = half_life_features(annotation, genome, genes, scale=settings.scale)
    transforms = {}
    over = "on the published table's scale" if settings.scale == "published" else "over the genes"
    for feature in HALF_LIFE_FEATURES:
        genes[feature] = features[feature].to_numpy(np.float64)
        scale = f"z-score {over} of log10(x + 0.1), x " if feature in LENGTHS else ""
        transforms[feature] = f"{scale}computed from {annotation.path.name} and the genome"
    return genes, transforms


def _named(genes: pd.DataFrame, names: pd.Series | None) -> pd.DataFrame:
    """A copy of the genes with gene_name: their own, else of ``names`` in the same order, else the id."""
    if "gene_name" in genes:
        return genes.copy()
    if names is None:
        return genes.assign(gene_name=genes["gene_id"])
    text = names.fillna("").to_numpy(dtype=object)
    return genes.assign(gene_name=pd.array(np.where(text != "", text, genes["gene_id"].to_numpy(object)), dtype="str"))


def add_expression(
    genes: pd.DataFrame, config: PrepareConfig, filters: Filters
) -> tuple[pd.DataFrame, dict[str, str], dict[str, float]]:
    """Add expression_<assay> of each configured assay; genes without a label are kept or dropped as configured.

    A z-score is over the genes that are given and have a value.

    Returns
    -------
    genes, transforms, log10_per_unit
        The table with the new columns (float64, NaN where there is no label); column -> how it was made; and of the
        columns that are logarithms, how many powers of ten one unit is.

    Raises
    ------
    InputError
        A file cannot be read, has none of the genes, or values that have no logarithm.
    """
    transforms, log10_per_unit = {}, {}
    genes = genes.copy()
    for assay, source in config.expression.items():
        if source.tracks is not None:
            values, words = _from_tracks(genes, source.tracks, source.width, config)
        else:
            values, words = _from_table(genes, source, config)
        path = config.path(source.table) if source.table is not None else None
        labels = transformed(values, source.transform, source.z_score, source=path)
        genes[f"expression_{assay}"] = labels
        transforms[f"expression_{assay}"] = _in_words(words, source, values)
        if source.transform != "none":
            logs = transformed(values, source.transform, False)
            log10_per_unit[f"expression_{assay}"] = float(np.nanstd(logs)) if source.z_score else 1.0
    for assay in config.expression:
        lacks = genes[f"expression_{assay}"].isna().to_numpy()
        if config.genes.without_expression == "drop":
            genes = genes[filters.keep("genes", f"without {assay} expression", ~lacks)]
            require_genes(genes, config)
        elif lacks.any():
            logger.info(
                "%s of %s genes have no %s expression and are kept", f"{lacks.sum():,}", f"{len(genes):,}", assay
            )
    return genes, transforms, log10_per_unit


def _from_table(genes: pd.DataFrame, source: ExpressionConfig, config: PrepareConfig) -> tuple[np.ndarray, str]:
    """Each gene's value in a table, NaN where there is none, and what it is in words."""
    path, id_column, value_column = config.path(cast(str, source.table)), cast(str, source.id), cast(str, source.value)
    labels = read_expression(path, id_column=id_column, value_column=value_column)
    names = None if source.name is None else read_symbols(path, id_column=id_column, name_column=source.name)
    found = match_genes(labels.to_frame(), genes, path, names=names)
    return found.rows["value"].to_numpy(np.float64), f"column {value_column}"


def _from_tracks(
    genes: pd.DataFrame, tracks: TracksConfig, width: int, config: PrepareConfig
) -> tuple[np.ndarray, str]:
    """Each gene's sum of tracks around its TSS, and what it is in words."""
    given = {"plus": tracks.plus, "minus": tracks.minus, "both": tracks.both, "ctss": tracks.ctss}
    values = expression_from_tracks({name: [config.path(file) for file in given[name]] for name in given}, genes, width)
    files = "; ".join(f"{name}: {', '.join(Path(file).name for file in given[name])}" for name in given if given[name])
    mean = "mean of " if max(len(replicates) for replicates in given.values()) > 1 else ""
    left = width // 2
    return values, f"{mean}sum over the bases [TSS - {left}, TSS + {width - left}) in tracks ({files})"


def _in_words(words: str, source: ExpressionConfig, values: np.ndarray) -> str:
    if source.transform == "none" and not source.z_score:
        return f"{words} as given" if source.tracks is None else words
    if source.transform != "none":
        words = f"log10({words} + {PSEUDOCOUNTS[source.transform]:g})"
    if source.z_score:
        # So that a prediction can be put back on the scale of the measurement.
        scale = transformed(values, source.transform, False)
        words = (
            f"z-score of {words} over {np.isfinite(scale).sum():,} genes, whose mean is {np.nanmean(scale):.6g} and "
            f"standard deviation (ddof 0) {np.nanstd(scale):.6g}"
        )
    return words


def require_genes(genes: pd.DataFrame, config: PrepareConfig) -> None:
    """Raise InputError if no gene is left."""
    if not len(genes):
        raise InputError(
            "none of its genes is left after the filters",
            source=config.path(config.genes.table),
            fix="Check that the files are of the same assembly and use the same gene ids",
        )
