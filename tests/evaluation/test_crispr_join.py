from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import ConfigError, InputError
from epinformer.evaluation.crispr_join import Joined, ScoreRule, join_links, score_rules
from epinformer.inputs.links import Links

WAYS = {"max": np.nanmax, "min": np.nanmin, "sum": np.nansum, "mean": np.nanmean}


def pairs_of(rows: list[tuple[str, int, int, str]], **columns: object) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "gene"])
    return table.assign(gene_id=table["gene"], **columns)


def links_of(rows: list[tuple[str, int, int, str, float]], **columns: object) -> Links:
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "gene_id", "score"])
    return Links(table.assign(**columns), ("score",))


def join(pairs: pd.DataFrame, links: Links, rule: ScoreRule | None = None) -> Joined:
    return join_links(pairs, links, {"score": rule or ScoreRule("max")}, "links.tsv")


def random_tables(seed: int) -> tuple[pd.DataFrame, Links]:
    generator = np.random.default_rng(seed)

    def intervals(n: int) -> dict[str, object]:
        start = generator.integers(0, 400, n)
        return {
            "chrom": generator.choice(["chr1", "chr2"], n),
            "start": start,
            "end": start + generator.integers(1, 60, n),
        }

    genes = np.array(["ENSG1", "ENSG2", "ENSG3", "ENSG4"])
    pairs = pd.DataFrame(intervals(80)).assign(gene=generator.choice(genes[:3], 80))
    table = pd.DataFrame(intervals(120)).assign(
        gene_id=generator.choice(genes[1:], 120), score=generator.normal(size=120)
    )
    table.loc[generator.random(120) < 0.2, "score"] = np.nan
    return pairs.assign(gene_id=pairs["gene"]), Links(table, ("score",))


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("seed", range(4))
def test_the_join_is_that_of_comparing_all_with_all(seed: int, way: str, lower: bool) -> None:
    pairs, links = random_tables(seed)
    joined = join_links(pairs, links, {"score": ScoreRule(way, lower)}, "links.tsv")  # type: ignore[arg-type]
    table = links.table
    for row, pair in enumerate(pairs.itertuples()):
        hit = table[
            (table["gene_id"] == pair.gene_id)
            & (table["chrom"] == pair.chrom)
            & (table["end"] > pair.start)
            & (table["start"] < pair.end)
        ]
        assert joined.links[row] == len(hit)
        assert joined.gene_found[row] == (pair.gene_id in set(table["gene_id"]))
        value = WAYS[way](hit["score"]) if hit["score"].notna().any() else np.nan
        np.testing.assert_allclose(joined.scores["score"].iloc[row], -value if lower else value)


def test_touching_is_not_overlapping() -> None:
    pairs = pairs_of([("chr1", 100, 200, "A")] * 3)
    links = links_of([("chr1", 200, 300, "A", 1), ("chr1", 50, 100, "A", 2), ("chr1", 199, 201, "A", 3)])
    assert join(pairs, links).links.tolist() == [1, 1, 1]


def test_a_distance_is_its_size_and_the_smallest_counts() -> None:
    links = links_of([("chr1", 100, 200, "A", -50), ("chr1", 150, 250, "A", 80)])
    joined = join(pairs_of([("chr1", 100, 300, "A")]), links, ScoreRule("min", lower=True, distance=True))
    assert joined.scores["score"].tolist() == [-50]
    assert joined.loci["score"].tolist() == [-50, -80]


def test_defaults_by_name_and_what_is_named() -> None:
    rules = score_rules(["abc", "distanceToTSS", "FDR"], {"abc": "sum"}, ["FDR"])
    assert rules == {
        "abc": ScoreRule("sum"),
        "distanceToTSS": ScoreRule("min", lower=True, distance=True),
        "FDR": ScoreRule("min", lower=True),
    }
    assert score_rules(["abc"])["abc"] == ScoreRule("max")
    assert rules["abc"].words() == "sum of overlapping links"
    for given in ({"aggregate": {"other": "max"}}, {"lower": ["other"]}):
        with pytest.raises(ConfigError, match="there is no score other.*The links have abc"):
            score_rules(["abc"], **given)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="abc cannot be aggregated by 'median'.*max, min, sum, mean"):
        score_rules(["abc"], {"abc": "median"})


def test_ids_match_without_version_and_symbols_where_ids_do_not() -> None:
    pairs = pairs_of([("chr1", 100, 200, name) for name in ("ENSG1", "ENSG2", "ENSG3")])
    pairs["gene_id"] = ["ENSG1.7", "ENSG2", None]
    pairs["gene_name"] = ["A", "B", "C"]
    links = links_of([("chr1", 100, 200, gene, 1) for gene in ("ENSG1.2", "ENSG9.1", "ENSG8")])
    links.table["gene_name"] = ["old A", "B", "C"]
    joined = join(pairs, links)
    assert joined.genes == "3 of 3 tested genes (1 by id and 2 by symbol)"
    assert joined.scores["score"].tolist() == [1, 1, 1]
    assert joined.loci["gene"].tolist() == ["ENSG1", "ENSG2", "ENSG3"]


def test_a_symbol_of_two_genes_is_none() -> None:
    pairs = pairs_of([("chr1", 100, 200, "A"), ("chr1", 100, 200, "B")]).drop(columns="gene_id")
    pairs["gene_name"] = pairs["gene"]
    links = links_of([("chr1", 100, 200, gene, 1) for gene in ("ENSG1", "ENSG2", "ENSG3")])
    links.table["gene_name"] = ["A", "A", "B"]
    joined = join(pairs, links)
    assert joined.gene_found.tolist() == [False, True]
    assert joined.scores["score"].isna().tolist() == [True, False]


def test_chromosomes_of_the_other_style(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        joined = join(pairs_of([("chr1", 100, 200, "A")]), links_of([("1", 150, 160, "A", 1)]))
    assert joined.links.tolist() == [1] and "(1 as chr1)" in caplog.text


def test_links_of_other_genes() -> None:
    pairs = pairs_of([("chr1", 100, 200, "KLF1")]).drop(columns="gene_id").assign(gene_name="KLF1")
    with pytest.raises(
        InputError, match="links.tsv: has none of the tested genes.*KLF1 is tested.*have ENSG5.*or in both"
    ):
        join(pairs, links_of([("chr1", 100, 200, "ENSG5", 1)]))


def test_another_build_is_known_by_its_tss() -> None:
    genes = ["A", "B", "C", "D"]
    pairs = pairs_of([("chr1", 100, 200, gene) for gene in genes], tss=[0, 50_000, 100_000, np.nan])
    links = [("chr1", 100, 200, gene, 1.0) for gene in genes]
    with pytest.raises(InputError, match=r"TSS of 2 of 3 tested genes.*another genome build \(first: B at 80,000"):
        join(pairs, links_of(links, tss=[0, 80_000, 130_000, 5]))
    # One gene of three is an annotation's own choice.
    assert join(pairs, links_of(links, tss=[0, 50_400, 130_000, 5])).links.tolist() == [1, 1, 1, 1]


def test_another_build_is_known_by_nothing_overlapping() -> None:
    pairs = pairs_of([("chr1", 100, 200, "A"), ("chr1", 300, 400, "A")])
    with pytest.raises(InputError, match="no tested region overlaps.*2 affected; first: A with chr1:100-200.*build"):
        join(pairs, links_of([("chr1", 5_000, 5_100, "A", 1)]))


def test_the_input_is_not_changed() -> None:
    pairs, links = random_tables(0)
    before = pairs.copy(), links.table.copy()
    join(pairs, links)
    pd.testing.assert_frame_equal(pairs, before[0])
    pd.testing.assert_frame_equal(links.table, before[1])
