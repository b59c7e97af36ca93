"""Links as genome browsers read them, and as one row a gene.

A link goes from its element to the base of its gene's TSS. Coordinates are 0-based half-open, as in all these formats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from epinformer.errors import DatasetError, InputError
from epinformer.scoring.links import SCORES

Format = Literal["bedpe", "bed12", "biginteract", "longrange"]
FORMATS: tuple[Format, ...] = get_args(Format)
TOP_ELEMENTS = 5
RANKING = ("attention_abc", "abc", "powerlaw_abc")
"""The scores that rank links where none is named: the first that there is."""

_MOST = 1_000
_PLACE = ("chrom", "start", "end", "tss", "strand")


class Ranking(NamedTuple):
    """By which score links are ranked, and which of them count.

    Attributes
    ----------
    score
        A column of the table of links, of which more is more of a link.
    threshold
        The least score that counts; None: any that is not missing.
    """

    score: str
    threshold: float | None = None

    def counts(self, table: pd.DataFrame) -> np.ndarray:
        """Which links count, bool (n,)."""
        values = table[self.score].to_numpy(np.float64)
        counts: np.ndarray = ~np.isnan(values) if self.threshold is None else values >= self.threshold
        return counts


def ranked_by(table: pd.DataFrame, score: str | None, threshold: float | None) -> Ranking:
    """The ranking of a table's links: by ``score``, or by default the first of attention_abc, abc, powerlaw_abc it has.

    Raises
    ------
    InputError
        The table has no such score, or the threshold is no number.
    """
    if threshold is not None and math.isnan(threshold):
        raise InputError("a threshold of nan leaves out every link", fix="Give a number")
    known = [name for name in SCORES if name in table]
    if score is None:
        score = next((name for name in RANKING if name in table), None)
    if score not in known:
        raise InputError(
            f"links have no score {score}" if score else "links have no score to rank them by",
            fix=f"Name one with --score; there are {', '.join(known)}",
        )
    return Ranking(score, threshold)


def browser_rows(tables: Iterable[pd.DataFrame], ranking: Ranking, kind: Format) -> pd.DataFrame:
    """The links that count, in a browser's format, sorted by chromosome and start.

    Parameters
    ----------
    tables
        As `epinformer.scoring.links.link_tables` gives. All links that count are held.
    kind
        ``bedpe``
            chrom1 start1 end1 (element) chrom2 start2 end2 (TSS) name score strand1 strand2 (of the gene); the score as
            it is. Read by IGV and bedtools.
        ``bed12``
            One item from element to TSS with both as blocks, the element thick; score 0-1000. Read by IGV and UCSC.
        ``biginteract``
            The 18 columns of UCSC's interact format, source the element and target the TSS; score 0-1000, value the
            score as it is. `bedToBigBed -type=bed5+13` makes bigInteract of it.
        ``longrange``
            chrom start end chrom:start-end,score, each link once from either end. Read by the WashU browser after
            bgzip and tabix.

        A score of 0-1000 says where the link lies between the lowest and the highest one written.

    Raises
    ------
    DatasetError
        Elements or genes have no place.
    """
    wanted = [*_PLACE, "gene_id", "gene_name", "element_id", ranking.score]
    chosen = [table.loc[ranking.counts(table), wanted] for table in tables]
    links = pd.concat(chosen, ignore_index=True).rename(columns={ranking.score: "value"})
    if links[list(_PLACE[:4])].isna().any(axis=None):
        raise DatasetError("some elements or genes have no place, so no browser can show their links")
    names = links["gene_name"].where(links["gene_name"].notna() & links["gene_name"].ne(""), links["gene_id"])
    links = links.assign(
        gene=names,
        strand=links["strand"].where(links["strand"].isin(["+", "-"]), "."),
        start=links["start"].astype(np.int64),
        end=links["end"].astype(np.int64),
        tss=links["tss"].astype(np.int64),
        scaled=_scaled(links["value"].to_numpy(np.float64)),
    )
    rows = _MAKERS[kind](links)
    return rows.sort_values(list(rows.columns[:3]), kind="stable", ignore_index=True)


def _scaled(values: np.ndarray) -> np.ndarray:
    """0-1000 between the lowest and the highest, int64; 1000 if all are the same."""
    low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    share = (values - low) / (high - low) if high > low else np.ones_like(values)
    scaled: np.ndarray = np.rint(_MOST * share).astype(np.int64)
    return scaled


def _bedpe(links: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "#chrom1": links["chrom"],
            "start1": links["start"],
            "end1": links["end"],
            "chrom2": links["chrom"],
            "start2": links["tss"],
            "end2": links["tss"] + 1,
            "name": links["element_id"] + "|" + links["gene"],
            "score": links["value"],
            "strand1": ".",
            "strand2": links["strand"],
        }
    )


def _bed12(links: pd.DataFrame) -> pd.DataFrame:
    start, end, tss = (links[name].to_numpy() for name in ("start", "end", "tss"))
    low, high = np.minimum(start, tss), np.maximum(end, tss + 1)
    # Blocks may not overlap: an element at the TSS is one with it.
    one = (start <= tss) & (tss < end)
    upstream = end <= tss
    sizes = np.where(upstream, _listed(end - start, 1), _listed(1, end - start))
    starts = np.where(upstream, _listed(0, tss - start), _listed(0, start - tss))
    return pd.DataFrame(
        {
            "chrom": links["chrom"],
            "chromStart": low,
            "chromEnd": high,
            "name": links["element_id"] + "|" + links["gene"],
            "score": links["scaled"],
            "strand": links["strand"],
            "thickStart": start,
            "thickEnd": end,
            "itemRgb": "0,0,0",
            "blockCount": np.where(one, 1, 2),
            "blockSizes": np.where(one, _listed(high - low), sizes),
            "blockStarts": np.where(one, _listed(low - low), starts),
        }
    )


def _listed(*columns: np.ndarray | int) -> np.ndarray:
    """Numbers side by side, each with a comma behind it."""
    parts = np.broadcast_arrays(*columns)
    return np.array(["".join(f"{number}," for number in row) for row in zip(*parts, strict=True)], dtype=object)


def _interact(links: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "chrom": links["chrom"],
            "chromStart": np.minimum(links["start"], links["tss"]),
            "chromEnd": np.maximum(links["end"], links["tss"] + 1),
            "name": links["element_id"] + "/" + links["gene"],
            "score": links["scaled"],
            "value": links["value"],
            "exp": ".",
            "color": "0",
            "sourceChrom": links["chrom"],
            "sourceStart": links["start"],
            "sourceEnd": links["end"],
            "sourceName": links["element_id"],
            "sourceStrand": ".",
            "targetChrom": links["chrom"],
            "targetStart": links["tss"],
            "targetEnd": links["tss"] + 1,
            "targetName": links["gene"],
            "targetStrand": links["strand"],
        }
    )


def _longrange(links: pd.DataFrame) -> pd.DataFrame:
    values = pd.Series([f"{value:.7g}" for value in links["value"]], index=links.index, dtype="str")
    ends = {"element": (links["start"], links["end"]), "tss": (links["tss"], links["tss"] + 1)}
    sides = []
    for here, there in (("element", "tss"), ("tss", "element")):
        start, end = (side.astype("str") for side in ends[there])
        mate = links["chrom"] + ":" + start + "-" + end + "," + values
        columns = {"chrom": links["chrom"], "start": ends[here][0], "end": ends[here][1], "mate": mate}
        sides.append(pd.DataFrame(columns))
    return pd.concat(sides, ignore_index=True)


_MAKERS: dict[Format, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "bedpe": _bedpe,
    "bed12": _bed12,
    "biginteract": _interact,
    "longrange": _longrange,
}


def gene_summary(table: pd.DataFrame, ranking: Ranking) -> pd.DataFrame:
    """One row a gene of a table of links, in its order.

    Returns
    -------
    DataFrame
        gene_id, gene_name, chrom, tss, strand; elements (pairs of the gene), links (of them, those that count), score
        (its name), score_sum and score_max over the links, and top_elements: the `TOP_ELEMENTS` best links as
        ``element_id:score``, best first, joined by ``;``. A gene without pairs is in no table of links, and not here.
    """
    keys = ["gene_id", "gene_name", "chrom", "tss", "strand"]
    number, genes = pd.factorize(table["gene_id"])
    counts = ranking.counts(table)
    about = table[keys].iloc[pd.Series(number).drop_duplicates().index].reset_index(drop=True)
    values = table[ranking.score].to_numpy(np.float64)[counts]
    of_link = number[counts]
    order = np.lexsort((-values, of_link))
    best = pd.Series(values[order]).groupby(of_link[order])
    rank = best.cumcount().to_numpy()
    top = order[rank < TOP_ELEMENTS]
    named = table["element_id"].to_numpy(dtype=object)[counts][top] + np.array(
        [f":{value:.4g}" for value in values[top]], dtype=object
    )
    every = np.arange(len(genes))
    listed = pd.Series(named, dtype=object).groupby(of_link[top]).agg(";".join).reindex(every)
    return about.assign(
        elements=np.bincount(number, minlength=len(genes)),
        links=np.bincount(of_link, minlength=len(genes)),
        score=ranking.score,
        score_sum=np.bincount(of_link, weights=values, minlength=len(genes)),
        score_max=best.max().reindex(every).to_numpy(np.float64),
        top_elements=pd.array(listed.to_numpy(), dtype="str"),
    )
