"""Links as files: a table of all scores, one score for a genome browser, one row a gene."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import pandas as pd

from epinformer.errors import OutputError
from epinformer.report.tables import PARQUET, refuse_targets, require_table_name, write_table, write_tables
from epinformer.scoring.link_formats import Format, Ranking, browser_rows, gene_summary, ranked_by


def write_links(
    tables: Iterable[pd.DataFrame],
    target: Path | TextIO,
    *,
    kind: Format | None = None,
    score: str | None = None,
    threshold: float | None = None,
    summary: Path | None = None,
    inputs: Sequence[Path] = (),
) -> None:
    """Write links some genes at a time; names of files are refused before the first is asked for.

    Parameters
    ----------
    tables
        As `epinformer.scoring.links.link_tables` gives.
    target
        A stream, or a file: .tsv, .tsv.gz or .parquet for a table; any but .parquet for a browser's format, compressed
        if it ends in .gz.
    kind
        A browser's format (`epinformer.scoring.link_formats.browser_rows`); None for a table with all scores.
    score, threshold
        The ranking (`epinformer.scoring.link_formats.ranked_by`). A threshold leaves links out, of a table, too.
    summary
        A file for the genes' summary (`epinformer.scoring.link_formats.gene_summary`).
    inputs
        Files and directories that may not be overwritten.

    Raises
    ------
    InputError
        The links have no such score.
    OutputError
        A file's name says no kind of table, or another than is wanted, or it cannot be written.
    """
    files = [path for path in (target, summary) if isinstance(path, Path)]
    refuse_targets(files, inputs)
    for path in files:
        if kind is None or path is not target:
            require_table_name(path)
        elif path.suffix == PARQUET:
            raise OutputError(f"is a name for a table, not for {kind}", source=path, fix=f"End it in .{kind}")
    every = iter(tables)
    first = next(every)
    # A table of all scores needs no ranking, unless something asks for one.
    ranking = None
    if kind is not None or summary is not None or score is not None or threshold is not None:
        ranking = ranked_by(first, score, threshold)
    genes: list[pd.DataFrame] = []
    passing = _noted(itertools.chain([first], every), ranking if summary is not None else None, genes)
    if kind is not None and ranking is not None:
        rows = browser_rows(passing, ranking, kind)
        write_tables([rows], target, header=kind == "bedpe")
    else:
        write_tables((_kept(table, ranking) for table in passing), target)
    if summary is not None:
        write_table(pd.concat(genes, ignore_index=True), summary)


def _noted(
    tables: Iterable[pd.DataFrame], ranking: Ranking | None, genes: list[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """The tables, each summarised in passing if there is a ranking for that."""
    for table in tables:
        if ranking is not None:
            genes.append(gene_summary(table, ranking))
        yield table


def _kept(table: pd.DataFrame, ranking: Ranking | None) -> pd.DataFrame:
    return table if ranking is None or ranking.threshold is None else table[ranking.counts(table)]
