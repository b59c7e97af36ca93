"""Explained sequences made up for tests of what is written of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from epinformer.interpretation.attribution_file import About, Explained
from epinformer.interpretation.attribution_layout import TILES

ABOUT = About("deeplift", "activity", "log2(0.1 + activity)", "hg38", ("fold_1", "fälle_2"), 20, 7)


def explained(
    places: Sequence[tuple[str, int, int]],
    length: int,
    *,
    seed: int = 0,
    names: Sequence[str] | None = None,
    tiled: bool = True,
    **columns: object,
) -> Explained:
    """A chunk of sequences at places (chrom, start, end), of random bases (some N) and attributions."""
    rng = np.random.default_rng(seed)
    n = len(places)
    chrom, start, end = (list(column) for column in zip(*places, strict=True))
    codes = rng.integers(0, 5, (n, length)).astype(np.uint8)
    hypothetical = rng.normal(size=(n, 4, length)).astype(np.float32)
    for row in range(n):
        codes[row, end[row] - start[row] :] = 5
    table = pd.DataFrame(
        {
            "name": names if names is not None else [f"{c}:{s}-{e}" for c, s, e in places],
            "kind": "element",
            "chrom": chrom,
            "start": start,
            "end": end,
            "target_start": start,
            "target_end": np.array(end) + 100,
            "gene_id": None,
            "gene_name": None,
            "score": np.nan,
            "prediction": rng.normal(size=n),
            "reference": rng.normal(size=n),
            "delta": rng.random(n) / 1e5,
            "models": 1,
            "held_out": pd.array([True] * n, dtype="boolean"),
        }
    ).assign(**columns)
    tiles = pd.DataFrame({name: pd.Series(dtype=object) for name in TILES})
    if tiled:
        tiles = pd.DataFrame(
            {
                "name": table["name"].repeat(2).to_numpy(),
                "chrom": table["chrom"].repeat(2).to_numpy(),
                "start": np.stack([start, np.array(start) + 100], axis=1).ravel(),
                "end": np.stack([end, np.array(end) + 100], axis=1).ravel(),
                "prediction": rng.normal(size=2 * n),
                "strongest": [True, False] * n,
            }
        )
    return Explained(table, codes, hypothetical, tiles)


def joined(chunks: Sequence[Explained], name: str) -> pd.DataFrame:
    """A table of all chunks."""
    return pd.concat([getattr(chunk, name) for chunk in chunks], ignore_index=True)
