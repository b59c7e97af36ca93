from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.prepare.activity import activity, activity_signals, activity_words, promoter_counts, rpm


def test_rpm() -> None:
    assert rpm(np.array([0, 3]), 2_000_000).tolist() == [0.0, 1.5]


@pytest.mark.parametrize(
    ("names", "accessibility", "value", "words"),
    [
        (["dnase", "h3k27ac"], "dnase", math.sqrt(6), "sqrt(dnase_rpm * h3k27ac_rpm)"),
        (["atac", "h3k27ac"], "atac", math.sqrt(15), "sqrt(atac_rpm * h3k27ac_rpm)"),
        (["dnase"], "dnase", 2.0, "dnase_rpm"),
        (["atac", "ctcf"], "atac", 5.0, "atac_rpm"),
        (["dnase", "atac", "ctcf"], "dnase", 2.0, "dnase_rpm"),
    ],
)
def test_activity(names: list[str], accessibility: str, value: float, words: str) -> None:
    values = {"dnase": 2.0, "atac": 5.0, "h3k27ac": 3.0, "ctcf": 99.0}
    signals = {name: np.array([values[name]]) for name in names}
    assert activity(signals, accessibility) == pytest.approx([value])
    assert activity_words(names, accessibility) == words
    assert activity_words(names, accessibility, suffix="normalized") == words.replace("rpm", "normalized")
    assert activity_words(names, accessibility, "promoter_").count("promoter_") == len(
        activity_signals(names, accessibility)
    )


def test_activity_is_made_of() -> None:
    assert activity_signals(["ctcf", "h3k27ac", "dnase"], "dnase") == ["dnase", "h3k27ac"]
    assert activity_signals({"atac": 1, "ctcf": 2}, "atac") == ["atac"]


BODIES = pd.DataFrame(
    {
        "gene_id": ["A", "B"],
        "chrom": ["chr1", "chr1"],
        "start": [1_000, 5_000],
        "end": [3_000, 9_000],
        "tss": [1_000, 8_999],
        "strand": ["+", "-"],
    }
)


@pytest.mark.parametrize("minus_centre", [8_999, 9_000])
def test_windows_of_gene_bodies_are_found_by_their_centre(minus_centre: int) -> None:
    counts = pd.DataFrame(
        {"chrom": "chr1", "start": [minus_centre - 500, 500], "end": [minus_centre + 500, 1_500], "count": [7.0, 9.0]}
    )
    assert promoter_counts(counts, BODIES, "strand", "counts.bed", "genes.bed").tolist() == [9.0, 7.0]


def test_windows_elsewhere_are_refused() -> None:
    counts = pd.DataFrame({"chrom": "chr1", "start": [500, 8_000], "end": [1_500, 9_000], "count": [7.0, 9.0]})
    with pytest.raises(InputError, match=r"counts\.bed: has other rows than genes\.bed: 1 missing, 1 of its own"):
        promoter_counts(counts, BODIES, "strand", "counts.bed", "genes.bed")
