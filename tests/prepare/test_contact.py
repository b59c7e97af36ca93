from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.prepare import pairs as pairs_module
from epinformer.prepare.contact import abc_denominators, abc_scores, joined_contacts, powerlaw_contact
from epinformer.prepare.pairs import make_pairs


def test_powerlaw_is_flat_below_5_kb() -> None:
    near = math.exp(5.9594510043736655 - 1.024238616787792 * math.log(5_001))
    far = math.exp(5.9594510043736655 - 1.024238616787792 * math.log(80_001))
    assert powerlaw_contact(np.array([0, -4_999, 5_000, -80_000, 80_000])) == pytest.approx(
        [near, near, near, far, far]
    )


@pytest.mark.real_data
def test_powerlaw_is_that_of_the_abc_pipeline(shared_data: Path) -> None:
    folder = shared_data / "abc_chr22" / "K562_chr22" / "Predictions"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    tables = sorted(folder.glob("EnhancerPredictionsFull*.tsv"))
    table = pd.read_csv(tables[0], sep="\t")
    # The table is rounded to six decimals.
    expected = pytest.approx(table["powerlaw_contact"].to_numpy(), rel=0, abs=5.1e-7)
    assert powerlaw_contact(table["distance"].to_numpy()) == expected


def test_abc_equals_a_sum_over_all_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "_CHUNK_PAIRS", 37)
    rng = np.random.default_rng(0)
    genes = pd.DataFrame({"chrom": rng.choice(["a", "b"], 20), "tss": rng.integers(0, 20_000_000, 20), "strand": "+"})
    start = rng.integers(0, 20_000_000, 200)
    elements = pd.DataFrame({"chrom": rng.choice(["a", "b"], 200), "start": start, "end": start + 501})
    # A candidate exactly 5 Mb away counts, one base further does not.
    elements.loc[:1, ["chrom", "start", "end"]] = [["a", 7_000_000, 7_000_001], ["a", 7_000_001, 7_000_002]]
    genes.loc[0, ["chrom", "tss"]] = ["a", 2_000_000]
    act = rng.random(200)
    act[:2] = 100
    pairs = make_pairs(genes, elements, min_distance=None, max_distance=5_000_000, max_elements=None).table
    scores = abc_scores(pairs, act, abc_denominators(genes, elements, act))

    middle = ((elements["start"] + elements["end"]) // 2).tolist()
    products: list[dict[int, float]] = []
    for gene in genes.itertuples():
        products.append({})
        for e, chrom in enumerate(elements["chrom"]):
            distance = abs(middle[e] - gene.tss)
            if chrom == gene.chrom and distance <= 5_000_000:
                power = math.exp(5.9594510043736655 - 1.024238616787792 * math.log(max(distance, 5_000) + 1))
                products[-1][e] = act[e] * power
    assert 0 in products[0] and 1 not in products[0]
    expected = [
        products[g][e] / sum(products[g].values())
        for g, e in zip(pairs["gene_index"], pairs["element_index"], strict=True)
    ]
    assert len(expected) > 500
    assert scores == pytest.approx(expected)
    # All candidates of a gene are its pairs here, so its scores add up to one.
    sums = np.bincount(pairs["gene_index"], scores, minlength=20)
    assert sums[np.unique(pairs["gene_index"])] == pytest.approx(1)


def test_inactive_candidates_score_zero() -> None:
    genes = pd.DataFrame({"chrom": ["a"], "tss": [0], "strand": ["+"]})
    elements = pd.DataFrame({"chrom": ["a"], "start": [3_000], "end": [3_001]})
    pairs = make_pairs(genes, elements).table
    assert abc_scores(pairs, np.zeros(1), abc_denominators(genes, elements, np.zeros(1))).tolist() == [0.0]


GENES = pd.DataFrame({"gene_id": ["A", "B"], "chrom": ["chr1", "chr1"]})
ELEMENTS = pd.DataFrame({"element_id": ["chr1:1-9", "chr1:20-29"], "chrom": ["chr1", "chr1"]})
PAIRS = pd.DataFrame({"gene_index": [0, 0, 1], "element_index": [1, 0, 1]}, dtype=np.int32)


def contacts(*rows: tuple[str, str, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["gene_id", "element_id", "contact"])
    return table.assign(chrom=table["element_id"].str.partition(":")[0])


def test_contacts_join_and_the_missing_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    table = contacts(("B", "1:20-29", 3.0), ("A", "1:20-29", 2.0), ("Z", "1:1-9", 9.0), ("A", "1:2-9", 9.0))
    with caplog.at_level(logging.INFO):
        values = joined_contacts(PAIRS, GENES, ELEMENTS, table, 0.25, "c.tsv")
    assert values.tolist() == [2.0, 0.25, 3.0]
    assert "c.tsv has the contact of 2 of 3 pairs; the other 1 are set to 0.25" in caplog.text
    assert "1 chromosome names are read in the other files' style (1 as chr1)" in caplog.text


def test_missing_contacts_without_a_value_for_them() -> None:
    with pytest.raises(InputError, match=r"c\.tsv: lacks pairs \(1 affected; first: B with chr1:20-29\). .*missing"):
        joined_contacts(
            PAIRS, GENES, ELEMENTS, contacts(("A", "chr1:1-9", 1.0), ("A", "chr1:20-29", 1.0)), None, "c.tsv"
        )


def test_contacts_of_other_genes() -> None:
    with pytest.raises(InputError, match=r"has none of the pairs \(3 affected; first: A with chr1:20-29 .* A\.2 with"):
        joined_contacts(PAIRS, GENES, ELEMENTS, contacts(("A.2", "chr1:20-29", 1.0)), 0.0, "c.tsv")
