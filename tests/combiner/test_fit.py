from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from epinformer.combiner.fit import Trained, train_combiner
from epinformer.combiner.settings import CombinerConfig
from epinformer.errors import ConfigError, InputError, LeakageError
from epinformer.evaluation.crispr import benchmark_crispr

from .conftest import CHROMS, Screen


def trained(screen: Screen, config: CombinerConfig, **options: object) -> Trained:
    return train_combiner(*screen.write(), config, **({"bootstraps": 20} | options))  # type: ignore[arg-type]


def precision(table: pd.DataFrame) -> float:
    return float(average_precision_score(table["regulated"], table["calibrated"].fillna(-1)))


def test_members_are_logistic_regressions_of_the_other_chromosomes(screen: Screen) -> None:
    config = CombinerConfig.model_validate(
        {"features": [{"column": "neg_distance", "log": 100}, "activity"], "penalty": 1e-6}
    )
    result = trained(screen, config)
    regulated = (screen.tested["Regulated"] == "TRUE").to_numpy()
    x = np.column_stack([-np.log10(1 - screen.links["neg_distance"] / 100), screen.links["activity"]])
    for chrom in CHROMS:
        own = (screen.tested["chrom"] == chrom).to_numpy()
        # Hardly any penalty, so that it does not matter that these are not standardised.
        oracle = LogisticRegression(C=1e6, tol=1e-10, max_iter=10_000).fit(x[~own], regulated[~own])
        np.testing.assert_allclose(
            result.held_out["calibrated"][own], oracle.predict_proba(x[own])[:, 1], rtol=1e-3, atol=1e-6
        )
    assert [member.without for member in result.combiner.members] == [None, "1", "2", "10", "X"]
    assert [member.pairs for member in result.combiner.members] == [288, *[216] * 4]


def test_it_is_judged_by_what_it_has_not_seen(screen: Screen, config: CombinerConfig) -> None:
    result = trained(screen, config)
    table = result.held_out
    value = result.strata["all"].scores["calibrated"].values["average_precision"]
    assert value == pytest.approx(precision(table))
    assert value > precision(table.assign(calibrated=screen.links["activity"] + 10)) + 0.05
    near = table[table["distance"] <= 100_000]
    assert result.strata["within 100 kb"].scores["calibrated"].values["average_precision"] == pytest.approx(
        precision(near)
    )
    brier = ((table["calibrated"] - table["regulated"]) ** 2).mean()
    assert result.calibration.brier == pytest.approx(brier) and brier < 0.8 * result.calibration.brier_of_share
    assert result.combiner.held_out["calibration"]["brier"] == pytest.approx(brier)  # type: ignore[index,call-overload]


def test_the_benchmark_of_calibrated_links_gives_the_same(screen: Screen, config: CombinerConfig) -> None:
    result = trained(screen, config)
    _, crispr = screen.write()
    result.combiner.scored(screen.links).to_parquet(screen.folder / "calibrated.parquet", index=False)
    benchmark = benchmark_crispr(screen.folder / "calibrated.parquet", crispr, bootstraps=20)
    assert benchmark.strata["all"].scores["calibrated"] == result.strata["all"].scores["calibrated"]


def test_a_feature_that_knows_its_own_chromosome_s_labels_is_of_no_use(screen: Screen, config: CombinerConfig) -> None:
    """One column a chromosome, which there is the label and elsewhere nothing."""
    regulated = (screen.tested["Regulated"] == "TRUE").to_numpy(float)
    leaks = {f"leak_{chrom}": np.where(screen.tested["chrom"] == chrom, regulated, 0.0) for chrom in CHROMS}
    wide = CombinerConfig(features=(*config.features, *CombinerConfig.model_validate({"features": [*leaks]}).features))
    honest, leaky = trained(screen, config), trained(screen._replace(links=screen.links.assign(**leaks)), wide)
    found, without = (each.strata["all"].scores["calibrated"].values["average_precision"] for each in (leaky, honest))
    assert found is not None and without is not None and found < without + 0.01
    # The member that has seen all pairs has learned it: where it is used, it would look perfect.
    everything = leaky.combiner.members[0].probability(screen.links.assign(**leaks))
    assert average_precision_score(regulated, everything) > 0.999


def test_no_label_of_a_chromosome_reaches_its_own_probabilities(screen: Screen, config: CombinerConfig) -> None:
    before = trained(screen, config).held_out
    own = screen.tested["chrom"] == "chr2"
    turned = screen.tested["Regulated"].map({"TRUE": "FALSE", "FALSE": "TRUE"}).where(own, screen.tested["Regulated"])
    after = trained(screen._replace(tested=screen.tested.assign(Regulated=turned)), config).held_out
    assert before["calibrated"][own].to_numpy().tobytes() == after["calibrated"][own].to_numpy().tobytes()
    assert (before["calibrated"][~own] != after["calibrated"][~own]).all()


def test_no_value_of_a_chromosome_reaches_the_member_without_it(screen: Screen, config: CombinerConfig) -> None:
    own = screen.links["chrom"] == "chr2"
    other = screen.links.assign(activity=screen.links["activity"].where(~own, 1e3), attention=1.0)
    other["attention"] = screen.links["attention"].where(~own)
    one, two = trained(screen, config).combiner, trained(screen._replace(links=other), config).combiner
    names = [member.without for member in one.members]
    assert one.members[names.index("2")] == two.members[names.index("2")]
    assert one.members[0] != two.members[0]


def test_the_same_input_gives_the_same_file(screen: Screen, config: CombinerConfig) -> None:
    assert trained(screen, config).combiner == trained(screen, config).combiner


def test_missing_scores_are_at_the_bottom_with_a_weight_of_their_own(screen: Screen, config: CombinerConfig) -> None:
    combiner = trained(screen, config).combiner
    terms = {term.column: term for term in combiner.members[0].terms}
    assert terms["attention"].floor == screen.links["attention"].min() and terms["attention"].missing != 0
    assert terms["activity"].missing == 0
    # A score that says by its absence what the label is.
    regulated = screen.tested["Regulated"] == "TRUE"
    gone = screen.links.assign(attention=np.where(regulated, np.nan, 0.5))
    result = trained(screen._replace(links=gone), config)
    assert precision(result.held_out) > 0.999


def test_a_column_that_never_changes_has_no_weight(screen: Screen, config: CombinerConfig) -> None:
    # Values whose mean is not exactly the value.
    constant = screen._replace(links=screen.links.assign(attention=0.1 + 0.2))
    combiner = trained(constant, config).combiner
    term = combiner.members[1].terms[2]
    assert (term.column, term.scale) == ("attention", 1.0) and abs(term.weight) < 1e-9


def test_the_link_that_shares_most_bases_is_learned_from(screen: Screen, config: CombinerConfig) -> None:
    shifted = screen.links.assign(
        start=screen.links["start"] + 400, end=screen.links["end"] + 400, activity=-5.0, neg_distance=-1e6
    )
    both = pd.concat([shifted, screen.links], ignore_index=True)
    one, two = trained(screen, config).combiner, trained(screen._replace(links=both), config).combiner
    assert one.members == two.members


def test_pairs_without_a_link_are_counted_and_at_the_bottom(screen: Screen, config: CombinerConfig) -> None:
    fewer = screen._replace(links=screen.links.iloc[20:])
    result = trained(fewer, config)
    assert (result.combiner.trained_on.tested, result.combiner.trained_on.without_link) == (288, 20)
    assert result.strata["all"].scores["calibrated"].missing == 20 and result.strata["all"].pairs == 288
    assert result.held_out["calibrated"].isna().sum() == 20 == result.held_out["calibrated_without"].isna().sum()


def test_optional_columns_may_be_absent_or_empty_and_others_not(
    screen: Screen, config: CombinerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert trained(screen._replace(links=screen.links.drop(columns="attention")), config).combiner.columns == [
        "neg_distance",
        "activity",
    ]
    assert "done without: attention" in caplog.text
    # A value, but of no tested pair.
    far = screen.links.iloc[[0]].assign(start=5_000, end=5_500, attention=0.5)
    lonely = pd.concat([screen.links.assign(attention=np.nan), far], ignore_index=True)
    assert trained(screen._replace(links=lonely), config).combiner.columns == ["neg_distance", "activity"]
    assert "no tested pair has a value of attention" in caplog.text
    with pytest.raises(InputError, match="lacks columns that the combiner is to read: activity"):
        trained(screen._replace(links=screen.links.drop(columns="activity")), config)


def test_one_chromosome_leaves_nothing_to_learn_from(screen: Screen, config: CombinerConfig) -> None:
    alone = screen._replace(tested=screen.tested[screen.tested["chrom"] == "chr2"])
    with pytest.raises(InputError, match="has pairs with links on chromosome 2 alone"):
        trained(alone, config)


def test_regulated_pairs_on_one_chromosome_alone(screen: Screen, config: CombinerConfig) -> None:
    few = screen.tested["Regulated"].where(screen.tested["chrom"] == "chrX", "FALSE")
    with pytest.raises(InputError, match="leaves no regulated pair to learn from without chromosome X"):
        trained(screen._replace(tested=screen.tested.assign(Regulated=few)), config)
    with pytest.raises(InputError, match="leaves no regulated pair to learn from \\("):
        trained(screen._replace(tested=screen.tested.assign(Regulated="FALSE")), config)
    with pytest.raises(InputError, match="leaves only regulated pairs to learn from"):
        trained(screen._replace(tested=screen.tested.assign(Regulated="TRUE")), config)


def test_in_sample_links_are_refused(screen: Screen, config: CombinerConfig) -> None:
    """Whoever gives links the probabilities of a member that has seen them, or hides it, is not judged by the pairs."""
    combiner = trained(screen, config).combiner
    _, crispr = screen.write()
    honest = combiner.scored(screen.links)
    seen = honest.assign(calibrated=combiner.members[0].probability(screen.links))

    def judged(table: pd.DataFrame, name: str, **options: object) -> None:
        path = screen.folder / name
        table.to_parquet(path) if name.endswith("parquet") else table.to_csv(path, sep="\t", index=False)
        benchmark_crispr(path, crispr, bootstraps=5, **options)  # type: ignore[arg-type]

    for name in ("links.tsv", "links.tsv.gz", "links.parquet"):
        judged(honest, name)
        with pytest.raises(LeakageError, match="may have been trained on the pairs to judge it by"):
            judged(seen.drop(columns="calibrated_without"), name)
        with pytest.raises(LeakageError, match="288 affected.*does not say what was seen"):
            judged(seen.assign(calibrated_without=pd.Series(None, index=seen.index, dtype="str")), name)
        with pytest.raises(LeakageError, match="72 affected.*was learned without 1"):
            judged(seen.assign(calibrated_without=seen["chrom"].replace("chr2", "chr1")), name)
        # Other scores can be judged all the same.
        judged(seen.drop(columns="calibrated_without"), name, scores=["activity"])
    # Where nothing was tested nothing can have been seen.
    untested = honest.iloc[[0]].assign(chrom="chr5", calibrated_without="chr1", gene_id="other")
    judged(pd.concat([honest, untested], ignore_index=True), "links.tsv")


def test_a_combiner_cannot_read_a_combiner(screen: Screen) -> None:
    (screen.folder / "c.yaml").write_text("features: [calibrated]")
    from epinformer.combiner.settings import load_combiner_config

    with pytest.raises(ConfigError, match="has learned from the pairs"):
        load_combiner_config(screen.folder / "c.yaml")
