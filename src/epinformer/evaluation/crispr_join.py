"""Links joined with CRISPR-tested pairs: the same gene, and an element that overlaps the tested region.

Nothing here is told which pairs are regulated.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer.errors import ConfigError, InputError
from epinformer.inputs.chromosomes import reconciled
from epinformer.inputs.gene_names import bare_ids
from epinformer.inputs.links import Links
from epinformer.prepare.overlaps import Intervals

logger = logging.getLogger(__name__)

Aggregate = Literal["max", "min", "sum", "mean"]
# Transcription start sites of one gene differ between annotations, those of two builds differ in nearly all genes.
_SAME_TSS, _FEW_GENES = 10_000, 3


class ScoreRule(NamedTuple):
    """How a score is read.

    Attributes
    ----------
    aggregate
        Of several links that one tested region overlaps: the largest, the smallest, the sum or the mean.
    lower
        Whether a lower value means a likelier link.
    distance
        Whether it is a distance, of which the sign does not count.
    """

    aggregate: Aggregate
    lower: bool = False
    distance: bool = False

    def words(self) -> str:
        """The rule in words."""
        text = f"{'|value|, ' if self.distance else ''}{self.aggregate} of overlapping links"
        return f"{text}, lower is likelier" if self.lower else text


class Joined(NamedTuple):
    """Scores of tested pairs.

    Attributes
    ----------
    scores
        A row a tested pair with its index, a column a score: higher is likelier (a score that was the other way round
        has its sign changed); NaN where no link of the gene overlaps the region or none has the score.
    rules
        How each was read.
    links
        How many links of the gene overlap the tested region, (n,).
    gene_found
        Whether the links have the gene at all, (n,).
    genes
        How the genes were matched, in words.
    loci
        The links of tested genes, with ``gene`` as the tested pairs have it, held_out if the links say, and scores as
        in ``scores``.
    """

    scores: pd.DataFrame
    rules: dict[str, ScoreRule]
    links: NDArray[np.int64]
    gene_found: NDArray[np.bool_]
    genes: str
    loci: pd.DataFrame


class Overlaps(NamedTuple):
    """Tested regions and the links that they overlap.

    Attributes
    ----------
    tested, link
        Row of the tested pair and row of ``table``, of each overlap, (k,) each, ascending.
    table
        The links of tested genes with ``gene`` as the tested pairs have it, chromosomes named as these name them.
    found
        Whether the links have the tested pair's gene at all, (n,).
    genes
        How the genes were matched, in words.
    """

    tested: NDArray[np.int64]
    link: NDArray[np.int64]
    table: pd.DataFrame
    found: NDArray[np.bool_]
    genes: str


def score_rules(
    scores: Sequence[str], aggregate: Mapping[str, str] | None = None, lower: Collection[str] = ()
) -> dict[str, ScoreRule]:
    """The rule of each score.

    By default the largest of several overlapping links counts, as befits probabilities and shares; of a score with
    "distance" in its name it is the smallest absolute value, and lower is likelier.

    Parameters
    ----------
    scores
        Names.
    aggregate
        Score to max, min, sum or mean, where the default is not meant.
    lower
        Scores of which a lower value is likelier; the smallest of several links counts then, unless ``aggregate`` says
        otherwise.

    Raises
    ------
    ConfigError
        A score is not among the names, or there is no such way to aggregate.
    """
    given = dict(aggregate or {})
    for name in (*given, *lower):
        if name not in scores:
            raise ConfigError(f"there is no score {name}", fix=f"The links have {', '.join(scores)}")
    for name, way in given.items():
        if way not in get_args(Aggregate):
            raise ConfigError(f"{name} cannot be aggregated by {way!r}", fix=f"Use {', '.join(get_args(Aggregate))}")
    rules = {}
    for name in scores:
        distance = "distance" in name.lower()
        falling = distance or name in lower
        way = given.get(name, "min" if falling else "max")
        rules[name] = ScoreRule(cast(Aggregate, way), falling, distance)
    return rules


def join_links(pairs: pd.DataFrame, links: Links, rules: Mapping[str, ScoreRule], source: str | Path) -> Joined:
    """Give every tested pair the scores of the links of its gene whose elements overlap the tested region.

    Gene ids are compared without version; a gene that is not found by its id, or has none, is looked up by its symbol
    if that names one gene only. Half-open intervals overlap if they share a base.

    Parameters
    ----------
    pairs
        Tested pairs as `inputs.crispr.read_crispr` gives them.
    links
        Scored links.
    rules
        Score to rule, of all scores that are wanted.
    source
        The links' file, for messages.

    Raises
    ------
    InputError
        No tested gene is among the links, no tested region overlaps a link of its gene, or the genes lie elsewhere:
        another build.
    """
    overlaps = overlapping_links(pairs, links, source)
    table, tested, found = overlaps.table, overlaps.tested, overlaps.link
    values = {name: _oriented(table[name].to_numpy(np.float64), rule) for name, rule in rules.items()}
    scores = {
        name: _aggregated(value[found], tested, len(pairs), rules[name].aggregate, rules[name].lower)
        for name, value in values.items()
    }
    overlapping = np.bincount(tested, minlength=len(pairs))
    logger.info(
        "%s: %s; %s of %s tested pairs overlap a link",
        Path(source).name,
        overlaps.genes,
        f"{(overlapping > 0).sum():,}",
        f"{len(pairs):,}",
    )
    kept = [name for name in ("chrom", "start", "end", "tss", "strand", "gene", "held_out") if name in table]
    loci = table[kept].assign(**values)
    return Joined(
        pd.DataFrame(scores, index=pairs.index), dict(rules), overlapping, overlaps.found, overlaps.genes, loci
    )


def overlapping_links(pairs: pd.DataFrame, links: Links, source: str | Path) -> Overlaps:
    """Which links of its gene each tested region overlaps; parameters and errors are those of `join_links`."""
    table = links.table
    tested_gene, link_gene, words = _genes(pairs, table, source)
    chosen = np.flatnonzero(np.isin(link_gene, np.unique(tested_gene[tested_gene >= 0])))
    table, link_gene = table.iloc[chosen], link_gene[chosen]
    _refuse_other_build(pairs, tested_gene, table, link_gene, source)
    names = reconciled(table["chrom"].unique(), pairs["chrom"].unique(), source)
    table = table.assign(chrom=table["chrom"].map(names))
    order = np.lexsort((table["start"].to_numpy(), link_gene))
    table, link_gene = table.iloc[order], link_gene[order]
    tested, found = _overlaps(pairs, tested_gene, table, link_gene)
    if not tested.size:
        raise InputError(
            f"has {words}, but no tested region overlaps a link of its gene",
            source=source,
            count=len(pairs),
            first=_told(pairs, 0),
            fix="Take links and tested pairs of the same genome build, both with 0-based starts",
        )
    gene_names = pd.Series(pairs["gene"].to_numpy(), index=tested_gene)
    gene_names = gene_names[~gene_names.index.duplicated()]
    table = table.assign(gene=gene_names.reindex(link_gene).to_numpy())
    return Overlaps(tested, found, table, tested_gene >= 0, words)


def _oriented(values: NDArray[np.float64], rule: ScoreRule) -> NDArray[np.float64]:
    """Values of which higher is likelier."""
    values = np.abs(values) if rule.distance else values
    return -values if rule.lower else values


def _aggregated(
    values: NDArray[np.float64], tested: NDArray[np.int64], pairs: int, way: Aggregate, lower: bool
) -> NDArray[np.float64]:
    """One value a tested pair, (pairs,), of oriented values of its links; links without a value do not count."""
    known = ~np.isnan(values)
    values, tested = values[known], tested[known]
    result = np.full(pairs, np.nan)
    if not values.size:
        return result
    # The links of a pair follow each other.
    starts = np.flatnonzero(np.append(True, tested[1:] != tested[:-1]))
    at = tested[starts]
    if way in ("sum", "mean"):
        sums = np.add.reduceat(values, starts)
        result[at] = sums / np.diff(np.append(starts, values.size)) if way == "mean" else sums
    else:
        # Turned round with the score: its smallest value is the largest of the oriented.
        result[at] = (np.maximum if (way == "max") is not lower else np.minimum).reduceat(values, starts)
    return result


def _genes(
    pairs: pd.DataFrame, table: pd.DataFrame, source: str | Path
) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """A number for the gene of each tested pair (-1: not among the links) and of each link; how they were matched."""
    naming = [name for name in ("gene_id", "gene_name") if name in table]
    group = table.groupby(naming, sort=False, dropna=False).ngroup().to_numpy(np.int64)
    genes = table.loc[~table.duplicated(naming), naming]
    identity = bare_ids(genes["gene_id"]) if "gene_id" in genes else pd.Series(pd.NA, index=genes.index, dtype="str")
    key = identity.fillna(genes["gene_name"]) if "gene_name" in genes else identity
    number, _ = pd.factorize(key)
    by_id = _lookup(identity, number)
    by_name = _lookup(genes["gene_name"], number) if "gene_name" in genes else {}
    found = np.full(len(pairs), -1, dtype=np.int64)
    counts = {}
    for column, known in (("gene_id", by_id), ("gene_name", by_name)):
        if column in pairs:
            names = bare_ids(pairs[column]) if column == "gene_id" else pairs[column]
            new = (found < 0) & names.isin(list(known)).to_numpy()
            found[new] = names[new].map(known).to_numpy(np.int64)
            counts[column] = pairs["gene"][new].nunique()
    total = pairs["gene"].nunique()
    if not (found >= 0).any():
        raise InputError(
            "has none of the tested genes",
            source=source,
            count=total,
            first=f"{_named(pairs)} is tested; the links have {_named(genes)}",
            fix="Name the genes in both by Ensembl id, or in both by symbol",
        )
    ways = " and ".join(
        f"{count:,} by {'id' if column == 'gene_id' else 'symbol'}" for column, count in counts.items() if count
    )
    return found, number[group].astype(np.int64), f"{sum(counts.values()):,} of {total:,} tested genes ({ways})"


def _lookup(names: pd.Series, numbers: NDArray[np.int64]) -> dict[str, int]:
    """Name to number, of names that stand for one gene only."""
    table = pd.DataFrame({"name": names.to_numpy(), "number": numbers}).dropna().drop_duplicates()
    table = table[~table["name"].duplicated(keep=False)]
    return dict(zip(table["name"], table["number"], strict=True))


def _named(table: pd.DataFrame) -> str:
    """The first gene as the table names it."""
    return " ".join(str(table[name].iloc[0]) for name in ("gene_id", "gene_name") if name in table)


def _overlaps(
    pairs: pd.DataFrame, tested_gene: NDArray[np.int64], table: pd.DataFrame, link_gene: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of tested pairs, ascending, and of links of their genes that overlap them."""
    chroms, names = pd.factorize(pd.concat([pairs["chrom"], table["chrom"]], ignore_index=True))
    # Only what is of one gene and on one chromosome can overlap.
    of_pairs, of_links = tested_gene * len(names) + chroms[: len(pairs)], link_gene * len(names) + chroms[len(pairs) :]
    known = np.flatnonzero(tested_gene >= 0)
    places = ["start", "end"]
    tested, link = Intervals(table[places].assign(chrom=of_links)).overlapping(
        pairs[places].assign(chrom=of_pairs).iloc[known]
    )
    order = np.argsort(tested, kind="stable")
    return known[tested[order]], link[order]


def _refuse_other_build(
    pairs: pd.DataFrame,
    tested_gene: NDArray[np.int64],
    table: pd.DataFrame,
    link_gene: NDArray[np.int64],
    source: str | Path,
) -> None:
    """Compare where both say that the genes start, if both do."""
    if "tss" not in pairs or "tss" not in table:
        return
    tested = pd.Series(pairs["tss"].to_numpy(), index=tested_gene)
    tested = tested[tested.index >= 0].groupby(level=0).median()
    linked = pd.Series(table["tss"].to_numpy(np.float64), index=link_gene).groupby(level=0).median()
    apart = (tested - linked.reindex(tested.index)).abs().dropna()
    elsewhere = apart[apart > _SAME_TSS]
    if len(apart) >= _FEW_GENES and 2 * len(elsewhere) > len(apart):
        gene = elsewhere.index[0]
        row = int((tested_gene == gene).argmax())
        raise InputError(
            f"has the TSS of {len(elsewhere):,} of {len(apart):,} tested genes more than 10 kb from where the tested "
            "pairs have it: another genome build",
            source=source,
            first=f"{pairs['gene'].iloc[row]} at {linked[gene]:,.0f}, tested at {tested[gene]:,.0f}",
            fix="Take links and tested pairs of the same build",
        )


def _told(pairs: pd.DataFrame, row: int) -> str:
    pair = pairs.iloc[row]
    return f"{pair['gene']} with {pair['chrom']}:{pair['start']}-{pair['end']}"
