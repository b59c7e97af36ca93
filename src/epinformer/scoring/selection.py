"""Which genes and which models are asked for."""

from __future__ import annotations

import difflib
import gzip
import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.dataset.store import Dataset
from epinformer.errors import InputError, ModelError
from epinformer.training.run import RUN_NAME


def read_gene_list(genes: str) -> list[str]:
    """Gene ids from a comma-separated text, or from the first column of a file of that name.

    A file may be gzip-compressed, separated by tabs, commas or blanks, and may begin with the header ``gene_id``.

    Raises
    ------
    InputError
        There are none, or the file is missing or not text.
    """
    if os.path.isfile(genes):  # unlike Path.is_file, takes a text of any length
        try:
            opener = gzip.open if genes.endswith(".gz") else open
            with opener(genes, "rt", encoding="utf-8-sig") as handle:
                lines = [re.split(r"[\s,]", line.strip())[0].strip('"') for line in handle]
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            raise InputError("is not a text file", source=genes, fix="Give a file with one gene id a line") from error
        found = [line for line in lines if line and not line.startswith("#")]
        found = found[1:] if found[:1] == ["gene_id"] else found
    elif re.search(r"[/\\]|\.(txt|tsv|csv|list|gz)$", genes) and "," not in genes:
        raise InputError("does not exist", source=genes, fix="Check the path, or give gene ids separated by commas")
    else:
        found = [gene.strip() for gene in genes.split(",") if gene.strip()]
    if not found:
        raise InputError("names no genes", source=genes, fix="Give ids separated by commas or a file")
    return found


def gene_indices(dataset: Dataset, genes: Sequence[str] | None) -> np.ndarray:
    """Positions (G,) in ``dataset.genes``, ascending, of genes by id or by a name that occurs once; None means all.

    Raises
    ------
    InputError
        No genes, genes that the dataset lacks, or names that several of its genes have.
    """
    if genes is None:
        return np.arange(dataset.n_genes)
    if not len(genes):
        raise InputError("no gene is asked for", fix="Name at least one")
    by_id = pd.Index(dataset.genes["gene_id"])
    indices = by_id.get_indexer(pd.Index(genes))
    names = dataset.genes["gene_name"]
    repeated = set(names[names.duplicated(keep=False)])
    by_name = names[~names.isin(repeated)]
    lookup = dict(zip(by_name, by_name.index, strict=True))
    found = [lookup.get(gene, -1) if index < 0 else index for gene, index in zip(genes, indices, strict=True)]
    unknown = [gene for gene, index in zip(genes, found, strict=True) if index < 0]
    ambiguous = [gene for gene in unknown if gene in repeated]
    if ambiguous:
        ids = dataset.genes["gene_id"][names == ambiguous[0]].tolist()
        raise InputError(
            "has several genes of some of the names asked for",
            source=dataset.path,
            count=len(ambiguous),
            first=f"{ambiguous[0]} is {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}",
            fix="Give ids in place of these names",
        )
    if unknown:
        raise InputError(
            "does not hold all genes asked for",
            source=dataset.path,
            count=len(unknown),
            first=unknown[0],
            fix="Give ids as they stand in its genes.parquet, or names that occur once"
            + nearest(unknown[0], [*by_name, *by_id]),
        )
    return np.unique(found)


def nearest(wanted: str, known: Sequence[str]) -> str:
    """``; the nearest are GATA1, GATA2`` of the names that are like the wanted one in either case, or nothing."""
    spelled = {str(name).upper(): str(name) for name in reversed(known)}
    found = [spelled[name] for name in difflib.get_close_matches(wanted.upper(), spelled, n=3, cutoff=0.7)]
    if not found:
        return ""
    return f"; the nearest {'are' if len(found) > 1 else 'is'} {', '.join(found)}"


def model_paths(paths: Sequence[Path]) -> list[Path]:
    """Model directories of what is given: each is one, or a training run, which stands for all its models.

    Raises
    ------
    ModelError
        A run has no finished model.
    """
    found: list[Path] = []
    for path in paths:
        if not (path / RUN_NAME).is_file():
            found.append(path)
            continue
        models = sorted(path.glob("fold_*/seed_*.model")) or sorted(path.glob("fold_*/encoder.model"))
        if not models:
            raise ModelError(
                "is a run without a trained model", source=path, fix="Train it to the end with `epinformer crossval`"
            )
        found += models
    return found
