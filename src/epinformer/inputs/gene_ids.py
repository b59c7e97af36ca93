"""Which row of a table is which gene: by its id, by its id without version, or by its symbol."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.gene_names import bare_ids

logger = logging.getLogger(__name__)

# GENCODE's mark of the copy on chrY of a gene of the pseudoautosomal regions.
_Y_COPY = "_PAR_Y"
_SHOWN = 5


class Matched(NamedTuple):
    """A table's rows for genes.

    Attributes
    ----------
    rows
        In the genes' order, indexed by gene id; NaN where there is none.
    unmatched
        Ids of the genes without a row.
    how
        How many genes were found in which way, in words.
    """

    rows: pd.DataFrame
    unmatched: list[str]
    how: str


def match_genes(
    table: pd.DataFrame, genes: pd.DataFrame, path: str | Path, *, names: pd.Series | None = None
) -> Matched:
    """Find the row of each gene: that of the same id, else of the same id but for the version, else of the same symbol.

    Without their versions, and as symbols, ids must be unambiguous: one gene and one row have it, and that row is no
    other gene's by its id. Nothing is chosen among several. "ENSG00000182378.14_PAR_Y" is another gene than
    "ENSG00000182378.14" and matches by the whole id alone.

    Parameters
    ----------
    table
        Indexed by gene id, each once.
    genes
        gene_id, each once, and gene_name where symbols are known.
    path
        The table's file, for messages.
    names
        Symbols of the table's rows, blank or NaN where there is none. Without them its index is tried.

    Raises
    ------
    InputError
        The table has none of the genes, so their ids are of another kind.
    """
    ids, keys = genes["gene_id"].reset_index(drop=True), pd.Series(table.index.to_numpy(), dtype="str")
    place = pd.Series(pd.Index(keys).get_indexer(pd.Index(ids)))
    ways = {"id": int((place >= 0).sum())}
    place, ambiguous = _more(place, bare_ids(ids), bare_ids(keys))
    ways["id without version"] = int((place >= 0).sum()) - ways["id"]
    if "gene_name" in genes:
        symbols = keys if names is None else pd.Series(names.to_numpy(), dtype="str")
        place, more = _more(place, genes["gene_name"].reset_index(drop=True), symbols)
        ambiguous = ambiguous | more
        ways["symbol"] = int((place >= 0).sum()) - sum(ways.values())
    found = (place >= 0).to_numpy()
    if not found.any():
        raise InputError(
            "has none of the genes",
            source=path,
            count=len(ids),
            first=f"{ids.iloc[0]} is not found; the file has {keys.iloc[0]}",
            fix="Use the same kind of gene id in both, or name another id column",
        )
    how = ", ".join(f"{count:,} by {way}" for way, count in ways.items() if count)
    unmatched = ids[~found].tolist()
    _tell(Path(path).name, how, unmatched, ids[ambiguous & ~found], keys)
    rows = table.reset_index(drop=True).reindex(place.to_numpy())
    return Matched(rows.set_index(pd.Index(ids, name="gene_id")), unmatched, how)


def _more(place: pd.Series, wanted: pd.Series, offered: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Rows of the genes that had none, by a second name, and which of these genes have more than one to choose from."""
    wanted, offered = (names.where(names.fillna("") != "") for names in (wanted, offered))
    open_genes = (place < 0) & wanted.isin(offered.dropna())
    several = wanted.duplicated(keep=False) | wanted.isin(offered[offered.duplicated(keep=False)])
    sole = offered[~offered.duplicated(keep=False)].dropna()
    row = wanted.map(pd.Series(sole.index, index=sole.to_numpy())).fillna(-1).astype(np.int64)
    chosen = open_genes & ~several & ~row.isin(place[place >= 0])
    return place.where(~chosen, row), (open_genes & several).to_numpy()


def _tell(name: str, how: str, unmatched: list[str], ambiguous: pd.Series, keys: pd.Series) -> None:
    """Log how genes were found and which were not."""
    logger.info("%s: genes found: %s", name, how)
    if unmatched:
        logger.info("%s: %s genes are not in it (%s)", name, f"{len(unmatched):,}", _listed(unmatched))
        logger.debug("%s: the genes that are not in it: %s", name, ", ".join(unmatched))
    if len(ambiguous):
        logger.warning(
            "%s: %s genes could be of several rows, or share one, and get none (%s)",
            name,
            f"{len(ambiguous):,}",
            _listed(ambiguous.tolist()),
        )
    copies = keys[keys.str.endswith(_Y_COPY)]
    if len(copies):
        logger.info(
            "%s: %s rows are of copies on chrY, which only genes of these very ids get (%s)",
            name,
            f"{len(copies):,}",
            _listed(copies.tolist()),
        )


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
