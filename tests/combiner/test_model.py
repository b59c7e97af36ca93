from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.combiner.fit import train_combiner
from epinformer.combiner.model import Combiner, load_combiner, save_combiner, transformed, with_calibrated
from epinformer.combiner.settings import CombinerConfig
from epinformer.errors import InputError, ModelError, OutputError

from .conftest import Screen


@pytest.fixture
def combiner(screen: Screen, config: CombinerConfig) -> Combiner:
    return train_combiner(*screen.write(), config, bootstraps=5).combiner


def by_hand(combiner: Combiner, link: pd.Series) -> float:
    """The probability of a link, written out."""
    bare = link.chrom.removeprefix("chr")
    names = [member.without for member in combiner.members]
    member = combiner.members[names.index(bare) if bare in names else names.index(None)]
    odds = member.intercept
    for term in member.terms:
        value = link[term.column]
        if np.isnan(value):
            value, missing = term.floor, term.missing
        else:
            value = value if term.log is None else np.sign(value) * np.log10(1 + abs(value) / term.log)
            missing = 0.0
        odds += term.weight * (value - term.center) / term.scale + missing
    return float(1 / (1 + np.exp(-odds)))


def test_each_link_by_the_member_without_its_chromosome(screen: Screen, combiner: Combiner) -> None:
    table = combiner.scored(screen.links)
    assert table.calibrated_without.tolist() == table.chrom.tolist()
    for row in (0, 1, 2, 3, 100, 287):
        assert table.calibrated[row] == pytest.approx(by_hand(combiner, screen.links.iloc[row]), rel=1e-12)
    assert "calibrated" not in screen.links


def test_chromosomes_without_pairs_get_the_member_that_has_seen_all(screen: Screen, combiner: Combiner) -> None:
    elsewhere = screen.links.assign(chrom="chr7")
    table = combiner.scored(elsewhere)
    assert table.calibrated[5] == pytest.approx(by_hand(combiner, elsewhere.iloc[5]), rel=1e-12)
    assert table.calibrated_without.eq("chr7").all()


def test_names_of_chromosomes_with_and_without_chr_are_the_same(screen: Screen, combiner: Combiner) -> None:
    bare = screen.links.assign(chrom=screen.links.chrom.str.removeprefix("chr"))
    assert combiner.scored(bare).calibrated.tolist() == combiner.scored(screen.links).calibrated.tolist()


def test_a_link_has_the_same_value_in_any_table(screen: Screen, combiner: Combiner) -> None:
    whole = combiner.scored(screen.links).calibrated
    parts = pd.concat(with_calibrated([screen.links.iloc[:7], screen.links.iloc[7:9], screen.links.iloc[9:]], combiner))
    assert parts.calibrated.to_numpy().tobytes() == whole.to_numpy().tobytes()
    assert len(combiner.scored(screen.links.iloc[:0])) == 0


def test_extreme_values_stay_probabilities(screen: Screen, combiner: Combiner) -> None:
    extreme = screen.links.assign(activity=np.where(np.arange(len(screen.links)) % 2, 1e6, -1e6))
    value = combiner.scored(extreme).calibrated
    assert value.between(0, 1).all() and value.iloc[1] > 0.999 > 0.001 > value.iloc[0]


def test_reload_is_the_same_to_the_bit(screen: Screen, combiner: Combiner, tmp_path: Path) -> None:
    save_combiner(tmp_path / "c", combiner)
    again = load_combiner(tmp_path / "c")
    assert again == combiner
    before, after = (each.scored(screen.links).calibrated.to_numpy() for each in (combiner, again))
    assert before.tobytes() == after.tobytes()
    save_combiner(tmp_path / "d", again)
    assert (tmp_path / "d" / "combiner.json").read_bytes() == (tmp_path / "c" / "combiner.json").read_bytes()


def test_links_that_lack_columns(screen: Screen, combiner: Combiner) -> None:
    with pytest.raises(InputError, match="lack what the combiner reads: activity, attention"):
        combiner.scored(screen.links.drop(columns=["activity", "attention"]))


def test_only_a_combiner_is_replaced(combiner: Combiner, tmp_path: Path) -> None:
    save_combiner(tmp_path / "c", combiner)
    with pytest.raises(OutputError, match="already exists"):
        save_combiner(tmp_path / "c", combiner)
    save_combiner(tmp_path / "c", combiner, pd.DataFrame({"a": [1]}), overwrite=True)
    assert (tmp_path / "c" / "held_out.tsv").read_text() == "a\n1\n"
    (tmp_path / "c" / "mine.txt").write_text("")
    with pytest.raises(OutputError, match="also holds what this program did not write"):
        save_combiner(tmp_path / "c", combiner, overwrite=True)


def test_damaged_combiners(combiner: Combiner, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no combiner"):
        load_combiner(tmp_path)
    save_combiner(tmp_path / "c", combiner)
    file = tmp_path / "c" / "combiner.json"
    content = json.loads(file.read_text())

    def refused(change: dict[str, object] | str, told: str) -> None:
        file.write_text(change if isinstance(change, str) else json.dumps(content | change))
        with pytest.raises(ModelError, match=told):
            load_combiner(tmp_path / "c")

    refused("{", "is damaged")
    refused({"format_version": 2}, "has format version 2")
    refused({"more": 1}, "fields are missing, unknown or of the wrong type")
    refused({"members": content["members"][1:]}, "needs one member that has seen all pairs")
    refused({"members": [content["members"][0]] * 2}, "needs one member that has seen all pairs")


def test_the_transform() -> None:
    values = np.array([-10.0, 0.0, 90.0, np.nan])
    np.testing.assert_allclose(transformed(values, 10.0), [-np.log10(2), 0.0, 1.0, np.nan])
    assert transformed(values, None) is values
