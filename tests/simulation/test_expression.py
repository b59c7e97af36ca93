from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.prepare.pairs import make_pairs
from epinformer.simulation import expression
from epinformer.simulation.layout import World, lay_out
from epinformer.simulation.model import Model


@pytest.fixture(scope="module")
def world() -> World:
    return lay_out(200, 0)


@pytest.fixture(scope="module")
def made(world: World) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, expression.Terms]:
    rng = np.random.default_rng(0)
    pairs = expression.acting_pairs(world)
    pairs["contact"] = rng.uniform(0.01, 1, len(pairs))
    activity = rng.normal(2, 1.5, len(world.elements))
    half_life = expression.half_life_table(200, rng)
    promoter = world.genes["promoter"].to_numpy()
    return pairs, activity, half_life, expression.expression_terms(activity, promoter, pairs, half_life, Model(), rng)


def test_acting_pairs_are_those_that_prepare_makes(world: World) -> None:
    pairs = expression.acting_pairs(world)
    expected = make_pairs(world.genes, world.elements, max_elements=None).table
    found = pairs[pairs["acts"]]
    rows = zip(found["gene"], found["element"], found["offset"].abs(), strict=True)
    assert set(rows) == set(
        zip(expected["gene_index"], expected["element_index"], expected["distance"].abs(), strict=True)
    )
    assert len(found) == len(expected) < len(pairs)
    assert (pairs.loc[~pairs["acts"], "offset"].abs() <= 1_000).all()


def test_each_term_has_its_share_of_the_variance(made) -> None:
    terms = made[3]
    total = 0.6**2
    parts = (terms.promoter, terms.elements, terms.half_life, terms.noise)
    assert [part.var() / total for part in parts] == pytest.approx([0.22, 0.56, 0.10, 0.12])
    assert [part.mean() for part in parts] == pytest.approx([0] * 4, abs=1e-12)
    assert terms.log10_rpkm == pytest.approx(0.8 + sum(parts))
    assert terms.noiseless == pytest.approx(terms.log10_rpkm - terms.noise)


def test_the_element_term_is_the_stated_function_of_activity_and_contact(made) -> None:
    pairs, activity, _, terms = made
    sums = np.zeros(200)
    for gene, element, acts, contact in pairs[["gene", "element", "acts", "contact"]].itertuples(index=False):
        sums[gene] += 2 ** activity[element] * contact if acts else 0
    assert terms.activity_sum == pytest.approx(sums)
    level = np.log2(1 + sums / 4)
    assert terms.elements == pytest.approx(terms.slope * (level - level.mean()))


def test_an_effect_is_what_is_left_when_the_element_is_gone(made) -> None:
    pairs, activity, _, terms = made
    effects = expression.element_effects(pairs, activity, terms, Model())
    assert (effects[~pairs["acts"].to_numpy()] == 0).all() and (effects <= 0).all()
    for row in np.flatnonzero(pairs["acts"])[::97]:
        gene = pairs["gene"][row]
        others = pairs[pairs["acts"] & (pairs["gene"] == gene) & (pairs.index != row)]
        left = (2 ** activity[others["element"]] * others["contact"]).sum()
        expected = terms.slope * (np.log2(1 + left / 4) - np.log2(1 + terms.activity_sum[gene] / 4))
        assert effects[row] == pytest.approx(expected, abs=1e-9)
    same = expression.changed_activity(pairs, activity, activity[pairs["element"]], terms, Model())
    assert same == pytest.approx(0)


def test_half_life_features_look_like_human_ones(made) -> None:
    table = made[2]
    assert list(table.columns) == list(HALF_LIFE_FEATURES)
    assert table.iloc[:, :4].mean().abs().max() < 1e-9 and table.iloc[:, :4].std(ddof=0).to_numpy() == pytest.approx(1)
    assert ((table.iloc[:, 4:7] > 0) & (table.iloc[:, 4:7] < 1)).all().all()
    assert table["ORFEXONDENSITY"].min() >= 0


def test_labels() -> None:
    values = np.log10(np.array([0.0001, 1.0, 10.0, 250.0]))
    mean, sd = expression.label(values)
    expected = np.log10(np.array([0.1001, 1.1, 10.1, 250.1]))
    assert (mean, sd) == pytest.approx((expected.mean(), expected.std()))
    assert expression.z_scored(values, mean, sd) == pytest.approx((expected - mean) / sd)
    cage = expression.cage_label(np.full(2_000, 1.0), np.random.default_rng(0))
    assert np.median(cage) == pytest.approx(np.log10(201), abs=0.02)


def test_the_written_truth_adds_up(folder: Path) -> None:
    genes = pd.read_csv(folder / "truth" / "genes.tsv", sep="\t").set_index("gene_id")
    elements = pd.read_csv(folder / "truth" / "elements.tsv", sep="\t").set_index("element_id")
    links = pd.read_csv(folder / "truth" / "links.tsv", sep="\t")
    table = pd.read_csv(folder / "expression.csv").set_index("gene_id")
    added = 2 ** elements["log2_activity"].reindex(links["element_id"]).to_numpy() * links["contact"]
    sums = added.groupby(links["gene_id"]).sum().reindex(genes.index, fill_value=0)
    assert sums.to_numpy() == pytest.approx(genes["activity_sum"].to_numpy(), rel=1e-4)
    terms = genes[["promoter_term", "elements_term", "half_life_term", "noise_term"]].sum(axis=1)
    assert (0.8 + terms).to_numpy() == pytest.approx(genes["log10_rpkm"].to_numpy(), abs=1e-5)
    assert np.log10(table["RPKM"]).to_numpy() == pytest.approx(genes["log10_rpkm"].to_numpy(), abs=1e-3)
    assert (table["RNA"].mean(), table["RNA"].std(ddof=0)) == pytest.approx((0, 1), abs=1e-5)
    assert links["effect_size"].to_numpy() == pytest.approx(10 ** links["effect"].to_numpy() - 1, abs=1e-5)
