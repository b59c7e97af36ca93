"""Whether motifs occur in more of one set of sequences than of another."""

from __future__ import annotations

import numpy as np
import pandas as pd


def enrichment(first: pd.DataFrame, n_first: int, second: pd.DataFrame, n_second: int) -> pd.DataFrame:
    """Compare two sets of sequences by how many of each have a hit of a motif; more hits in one count once.

    Motifs without a hit in either set are not tested: nothing could be said of them.

    Parameters
    ----------
    first, second
        Hits (`hits.find_hits`): row, id, name are used.
    n_first, n_second
        Sequences in each set, with and without hits.

    Returns
    -------
    DataFrame
        A row a motif, sorted by q, p, id: id, name; first, second (int64, sequences with a hit); odds_ratio (of having
        a hit in the first set against the second; infinite or NaN where a count is 0); log2_odds_ratio (with 0.5 added
        to each of the four counts, after Haldane, so that it is finite); p (Fisher's exact test, two-sided); q
        (Benjamini and Hochberg).

    Raises
    ------
    ValueError
        A set has more sequences with hits than sequences.
    """
    from scipy.stats import false_discovery_control, fisher_exact

    counts = [hits.groupby("id")["row"].nunique() for hits in (first, second)]
    for hits, n in ((first, n_first), (second, n_second)):
        if hits["row"].nunique() > n:
            raise ValueError(f"{hits['row'].nunique()} sequences have hits, and there are {n}")
    ids = counts[0].index.union(counts[1].index)
    names = pd.concat([first, second]).drop_duplicates("id").set_index("id")["name"]
    with_first, with_second = (count.reindex(ids, fill_value=0).to_numpy(dtype=np.int64) for count in counts)
    without_first, without_second = n_first - with_first, n_second - with_second
    # Many motifs share their counts, and a test takes a while.
    pairs, number = np.unique(np.stack([with_first, with_second]), axis=1, return_inverse=True)
    tests = [fisher_exact([[a, n_first - a], [c, n_second - c]]).pvalue for a, c in pairs.T]
    p = np.array(tests, dtype=np.float64)[number.ravel()]
    with np.errstate(divide="ignore", invalid="ignore"):
        odds_ratio = (with_first * without_second) / (without_first * with_second)
    haldane = ((with_first + 0.5) * (without_second + 0.5)) / ((without_first + 0.5) * (with_second + 0.5))
    table = pd.DataFrame(
        {
            "id": pd.array(ids.to_numpy(dtype=object), dtype="str"),
            "name": pd.array(names.reindex(ids).to_numpy(dtype=object), dtype="str"),
            "first": with_first,
            "second": with_second,
            "odds_ratio": odds_ratio,
            "log2_odds_ratio": np.log2(haldane),
            "p": p,
            "q": false_discovery_control(p),
        }
    )
    return table.sort_values(["q", "p", "id"], ignore_index=True)
