from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from epinformer.errors import InputError
from epinformer.evaluation.crispr import CrisprBenchmark, benchmark_crispr
from epinformer.evaluation.crispr_protocols import ACTIVITY_FLOOR, DISTANCE_FLOOR, NO_INFORMATION


def screen(genes: int = 30, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tested pairs, and links of which some are missing."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(genes):
        tss = 1_000_000 * (number + 1)
        for distance in generator.choice([3_000, 8_000, 20_000, 45_000, 90_000, 150_000, 400_000], 5, replace=False):
            start = tss + int(distance) + 2 * int(generator.integers(0, 400))
            rows.append(("chr1", start, start + 500, f"G{number}", f"ENSG{number:03}.1", tss, tss + 1))
    names = ["chrom", "chromStart", "chromEnd", "measuredGeneSymbol", "measuredGeneEnsemblId", "startTSS", "endTSS"]
    tested = pd.DataFrame(rows, columns=names)
    distance = tested["chromStart"] + 250 - tested["startTSS"]
    activity = generator.lognormal(size=len(tested))
    score = activity / distance
    regulated = score > np.quantile(score, 0.8)
    tested = tested.assign(
        distanceToTSS=distance,
        EffectSize=np.where(regulated, -0.4, 0.02),
        Significant=pd.Series(regulated).map({True: "TRUE", False: "FALSE"}),
        Regulated=pd.Series(regulated).map({True: "TRUE", False: "FALSE"}),
        PowerAtEffectSize25=0.9,
        ValidConnection="TRUE",
        CellType="K562",
    )
    tested["DHS.RPM"] = activity
    tested["H3K27ac.RPM.expandedRegion"] = activity
    links = pd.DataFrame(
        {
            "gene_id": tested["measuredGeneEnsemblId"].str.removesuffix(".1"),
            "gene_name": tested["measuredGeneSymbol"],
            "chrom": "chr1",
            "start": tested["chromStart"] + 100,
            "end": tested["chromEnd"] + 100,
            "tss": tested["startTSS"],
            "strand": "+",
            "noisy": score * generator.lognormal(sigma=1, size=len(tested)),
            "distance": distance,
        }
    )
    # A gene, an element, and one score of a third link are not there.
    links = links[(links["gene_name"] != "G3") & (links.index != 100)]
    links.loc[links.index == 50, "noisy"] = np.nan
    return tested, links


def run(folder: Path, tested: pd.DataFrame, links: pd.DataFrame, **options: object) -> CrisprBenchmark:
    tested.to_csv(folder / "crispr.tsv", sep="\t", index=False)
    links.to_csv(folder / "links.tsv", sep="\t", index=False)
    return benchmark_crispr(
        folder / "links.tsv",
        folder / "crispr.tsv",
        **({"bootstraps": 30} | options),  # type: ignore[arg-type]
    )


def test_every_score_beside_the_floors(tmp_path: Path) -> None:
    tested, links = screen()
    result = run(tmp_path, tested, links)
    whole = result.strata["all"]
    assert list(whole.scores) == ["noisy", "distance", DISTANCE_FLOOR, ACTIVITY_FLOOR]
    regulated = (tested["Regulated"] == "TRUE").to_numpy()
    assert (whole.pairs, whole.regulated, whole.genes) == (150, regulated.sum(), 30)
    # What an outer join by hand says, missing pairs below all others.
    by_hand = links["noisy"].reindex(tested.index).fillna(-1.0)
    value = whole.scores["noisy"].values["average_precision"]
    assert value == pytest.approx(average_precision_score(regulated, by_hand))
    assert whole.scores["noisy"].missing == 7 and whole.scores["distance"].missing == 6
    assert whole.scores[DISTANCE_FLOOR].missing == 0
    near = (tested["distanceToTSS"] <= 100_000).to_numpy()
    assert result.strata["within 100 kb"].pairs == near.sum()
    value = result.strata["within 100 kb"].scores[DISTANCE_FLOOR].values["average_precision"]
    assert value == pytest.approx(average_precision_score(regulated[near], -tested["distanceToTSS"][near]))
    bins = [result.strata[name].pairs for name in ("0-10 kb", "10-100 kb", "beyond 100 kb")]
    assert sum(bins) == 150 and bins[0] + bins[1] == near.sum()


def test_missing_pairs_are_counted_and_said(tmp_path: Path) -> None:
    result = run(tmp_path, *screen())
    text = "\n".join(result.notes)
    assert "5 of 150 tested pairs" in text and "are of genes that the links lack" in text
    assert "1 of 150 tested pairs" in text and "overlap no link of their gene" in text
    assert "overlap links that have no noisy" in text
    numbers = result.to_dict()
    assert numbers["links"]["pairs_of_missing_genes"] == 5 and numbers["links"]["pairs_without_link"] == 6


def test_shuffled_labels_change_no_score(tmp_path: Path) -> None:
    tested, links = screen()
    result = run(tmp_path, tested, links)
    order = np.random.default_rng(3).permutation(len(tested))
    outcomes = ["Regulated", "Significant", "EffectSize"]
    other = run(tmp_path, tested.assign(**{name: tested[name].to_numpy()[order] for name in outcomes}), links)
    assert result.scores.to_numpy().tobytes() == other.scores.to_numpy().tobytes()
    assert not result.tested.outcomes.equals(other.tested.outcomes)
    columns = ["chrom", "start", "end", "gene_id", "distance", "links", *result.scores]
    pd.testing.assert_frame_equal(result.table()[columns], other.table()[columns])


def test_the_two_protocols_are_side_by_side(tmp_path: Path) -> None:
    tested, links = screen()
    result = run(tmp_path, tested, links)
    paper = result.paper
    assert paper is not None
    regulated = tested["Regulated"] == "TRUE"
    near = tested["distanceToTSS"] <= 100_000
    genes = set(tested["measuredGeneSymbol"][regulated & near])
    chosen = near & tested["measuredGeneSymbol"].isin(genes)
    assert (paper.pairs, paper.regulated, paper.genes) == (chosen.sum(), (regulated & chosen).sum(), len(genes))
    size = tested[chosen].groupby("measuredGeneSymbol")["chrom"].transform("size")
    expected = average_precision_score(regulated[chosen], 1 / size)
    assert paper.scores[NO_INFORMATION].values["average_precision"] == pytest.approx(expected)
    # It knows nothing of the pairs, and is far above what nothing is worth.
    assert expected > paper.regulated / paper.pairs or paper.regulated == paper.pairs
    assert ("noisy", NO_INFORMATION) in paper.differences


def test_without_a_near_regulated_pair_there_is_no_paper(tmp_path: Path) -> None:
    tested, links = screen()
    result = run(tmp_path, tested.assign(distanceToTSS=tested["distanceToTSS"] + 100_000), links)
    assert result.paper is None and result.to_dict()["as_in_the_paper"] is None
    assert result.strata["within 100 kb"].pairs == 0


def test_json_has_no_nan_and_says_what_was_done(tmp_path: Path) -> None:
    numbers = run(tmp_path, *screen(), aggregate={"noisy": "sum"}).to_dict()
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert numbers["links"]["scores"]["noisy"] == "sum of overlapping links"
    assert numbers["links"]["genes"] == "29 of 30 tested genes (29 by id)"
    assert numbers["tested"]["pairs"] == 150
    assert set(numbers["all_valid_pairs"]) == {"all", "within 100 kb", "0-10 kb", "10-100 kb", "beyond 100 kb"}


def test_progress_goes_up_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    run(tmp_path, *screen(), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (180, 180) and [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_scores_of_models_that_saw_the_gene_are_said(tmp_path: Path) -> None:
    tested, links = screen()
    told = "links of tested genes have scores of models that learned from the gene's chromosome"
    honest = links.assign(held_out=True)
    assert told not in "\n".join(run(tmp_path, tested, honest).notes)
    # One gene of a model that learned from it, one of a model that does not say, and one that was not tested.
    seen = honest.astype({"held_out": "boolean"})
    seen.loc[seen["gene_name"] == "G1", "held_out"] = False
    seen.loc[seen["gene_name"] == "G2", "held_out"] = pd.NA
    other = seen.iloc[[0]].assign(gene_name="other", gene_id="other", held_out=False)
    seen = pd.concat([seen, other], ignore_index=True)
    result = run(tmp_path, tested, seen)
    assert f"10 of 144 {told}" in "\n".join(result.notes) and "held_out" not in result.scores
    seen.to_parquet(tmp_path / "links.parquet")
    packed = benchmark_crispr(tmp_path / "links.parquet", tmp_path / "crispr.tsv", bootstraps=2)
    assert packed.notes == result.notes


def test_a_score_that_is_the_wrong_way_round_is_said(tmp_path: Path) -> None:
    tested, links = screen()
    links = links.assign(effect=-links["noisy"])
    text = "\n".join(run(tmp_path, tested, links).notes)
    assert "effect puts regulated pairs lower than chance would" in text and "noisy puts" not in text
    right = run(tmp_path, tested, links, lower=["effect"])
    assert "than chance" not in "\n".join(right.notes)
    values = right.strata["all"].scores
    assert values["effect"].values == values["noisy"].values


def test_weak_tests_and_few_genes_are_said(tmp_path: Path) -> None:
    tested, links = screen(genes=6)
    text = "\n".join(run(tmp_path, tested.assign(PowerAtEffectSize25=0.5), links).notes)
    assert "24 of 24 pairs that count as not regulated were tested with less than 80 % power" in text
    assert "genes have a regulated pair; the intervals are likely too narrow" in text


@pytest.mark.parametrize(("label", "words"), [("FALSE", "no regulated pair"), ("TRUE", "only regulated pairs")])
def test_one_kind_of_pairs_only(tmp_path: Path, label: str, words: str) -> None:
    tested, links = screen()
    with pytest.raises(InputError, match=rf"crispr.tsv: has {words} \(150 affected\)"):
        run(tmp_path, tested.assign(Regulated=label), links)


@pytest.mark.real_data
def test_the_floors_of_the_k562_training_set(shared_data: Path) -> None:
    from benchmarks.crispr import training_floors

    strata = training_floors(shared_data, 2)
    assert (strata["all"].pairs, strata["all"].regulated) == (10_356, 471)
    values = {
        (name, floor): strata[name].scores[floor].values["average_precision"]
        for name in ("all", "within 100 kb")
        for floor in (DISTANCE_FLOOR, ACTIVITY_FLOOR)
    }
    assert list(values.values()) == pytest.approx([0.438, 0.519, 0.505, 0.598], abs=0.001)


@pytest.mark.real_data
def test_the_published_comparison(shared_data: Path) -> None:
    from benchmarks.crispr import paper_protocol

    for only_737, pairs, expected in ((False, 774, (0.711, 0.746, 0.502)), (True, 737, (0.695, 0.736, 0.489))):
        stratum = paper_protocol(shared_data, only_737, 2)
        assert stratum.pairs == pairs
        values = [stratum.scores[name].values["average_precision"] for name in ("ABC", DISTANCE_FLOOR, NO_INFORMATION)]
        assert values == pytest.approx(expected, abs=0.001)


@pytest.mark.real_data
def test_links_of_another_program_and_another_build(shared_data: Path) -> None:
    folder = shared_data / "crispr"
    links = folder / "ABC_K562_Fulco2019Genes_GRCh38.tsv.gz"
    result = benchmark_crispr(links, folder / "EPCrisprBenchmark_Fulco2019_K562_GRCh38.tsv.gz", bootstraps=2)
    whole = result.strata["all"]
    assert (whole.pairs, whole.regulated, whole.scores["powerlaw.Score"].missing) == (3_852, 101, 494)
    assert result.joined.genes == "54 of 54 tested genes (54 by symbol)"
    assert whole.scores["powerlaw.Score"].values["average_precision"] == pytest.approx(0.595, abs=0.001)
    with pytest.raises(InputError, match="another genome build"):
        benchmark_crispr(links, folder / "fulco2019_774pairs_hg19.csv.gz", scores=["powerlaw.Score"], bootstraps=2)
