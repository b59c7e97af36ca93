from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import ConfigError, InputError
from epinformer.inputs.motifs import Motif
from epinformer.interpretation.attribution_file import Attributions
from epinformer.interpretation.motifs import MotifResult, find_motifs
from tests.planted_world import PLANTED, ROWS, noise, world


def known(consensus: str, id_: str, name: str, family: str = "") -> Motif:
    frequencies = np.full((4, len(consensus)), 0.01)
    frequencies[["ACGT".index(letter) for letter in consensus], range(len(consensus))] = 0.97
    return Motif(id_, name, frequencies, family)


def others(number: int = 57) -> tuple[Motif, ...]:
    rng = np.random.default_rng(3)
    return tuple(
        Motif(f"R{which}", f"random{which}", rng.dirichlet(np.full(4, 0.3), int(rng.integers(7, 12))).T)
        for which in range(number)
    )


LAST = 140
RAISES, LOWERS = PLANTED[0][0], PLANTED[2][0]
DATABASE = (
    known(RAISES, "M1", "RAISER", "raisers"),
    known(RAISES[1:], "M2", "COUSIN", "raisers"),
    known(LOWERS, "M3", "LOWERER"),
    *others(),
)


@pytest.fixture(scope="module")
def found() -> MotifResult:
    """Of all sequences, against the last 140, of which none has the motif of M1 and 20 that of M3."""
    attributions = world().attributions
    steps: list[tuple[int, int]] = []
    result = find_motifs(
        attributions, DATABASE, against=last(attributions, LAST), progress=lambda *step: steps.append(step)
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return result


def last(attributions: Attributions, rows: int) -> Attributions:
    table = attributions.table.iloc[-rows:]
    return attributions._replace(
        table=table, codes=attributions.codes[-rows:], hypothetical=attributions.hypothetical[-rows:]
    )


def test_patterns_are_named(found: MotifResult) -> None:
    table = found.table
    assert table["pattern"].tolist() == ["pos_0", "pos_1", "neg_0", "neg_1"] and table["sign"].tolist() == [
        1,
        1,
        -1,
        -1,
    ]
    assert table["seqlets"].tolist() == [len(pattern.seqlets) for pattern in found.patterns]
    assert table["consensus"].tolist() == [pattern.consensus for pattern in found.patterns]
    of_sign = {sign: table[table["sign"] == sign] for sign in (1, -1)}
    (raiser,) = of_sign[1][of_sign[1]["match_1"].isin(["RAISER", "COUSIN"])].to_dict("records")
    assert {raiser["match_1"], raiser["match_2"]} == {"RAISER", "COUSIN"}
    assert {raiser["id_1"], raiser["id_2"]} == {"M1", "M2"} and raiser["family_1"] == "raisers"
    assert raiser["q_1"] < 1e-3 and raiser["matches"].split(";")[:2] == [raiser["match_1"], raiser["match_2"]]
    (lowerer,) = of_sign[-1][of_sign[-1]["match_1"] == "LOWERER"].to_dict("records")
    assert lowerer["id_1"] == "M3"
    significant = found.matches[found.matches["q"] < 0.02].groupby("pattern").size().reindex(range(4), fill_value=0)
    assert [len(names.split(";")) if names else 0 for names in table["matches"]] == significant.tolist()
    for place in (1, 2, 3):
        missing = table[[f"match_{place}", f"id_{place}", f"q_{place}"]].isna().to_numpy()
        assert (missing == (significant.to_numpy() < place)[:, None]).all()
    assert len(found.matches) == 4 * len(DATABASE) and found.motifs == DATABASE


def test_hits_are_known_motifs_in_seqlets(found: MotifResult) -> None:
    sites = world().sites
    for id_, motif in (("M1", RAISES), ("M3", LOWERS)):
        own, planted = found.hits[found.hits["id"] == id_], sites[sites["motif"] == motif]
        truth = set(zip(planted["row"], planted["start"], planted["strand"], strict=True))
        hits = set(zip(own["row"], own["start"], own["strand"], strict=True))
        assert len(hits & truth) > 0.9 * len(truth) and len(hits - truth) < 0.1 * len(truth)
    inside = found.hits.merge(found.seqlets, on="row", suffixes=("", "_seqlet"))
    shared = np.minimum(inside["end"], inside["end_seqlet"]) - np.maximum(inside["start"], inside["start_seqlet"])
    covered = (2 * shared >= inside["end"] - inside["start"]).groupby([inside["row"], inside["start"], inside["id"]])
    assert covered.any().all()


def test_enrichment_is_of_one_set_against_the_other(found: MotifResult) -> None:
    assert found.enrichment is not None
    enriched = found.enrichment.set_index("id")
    of_last = found.hits["row"] >= ROWS - LAST
    for id_ in ("M1", "M3"):
        own = found.hits["id"] == id_
        assert enriched.loc[id_, "first"] == found.hits[own]["row"].nunique()
        # Seqlets of the last alone are called among fewer bases, so a few may differ.
        assert enriched.loc[id_, "second"] == pytest.approx(found.hits[own & of_last]["row"].nunique(), abs=4)
    # M1 in 120 of 300 against 0 of 140, M3 in 120 of 300 against 20 of 140; some are missed.
    assert enriched.loc["M1", "q"] < 1e-6 and enriched.loc["M1", "log2_odds_ratio"] > 3
    assert enriched.loc["M3", "q"] < 1e-3 and enriched.loc["M3", "log2_odds_ratio"] > 1
    assert found.about == {
        "q": 0.02,
        "threshold": 0.01,
        "min_seqlets": 100,
        "max_seqlets": 20_000,
        "sequences": ROWS,
        "against_sequences": LAST,
    }


def test_nothing_that_recurs_is_a_result() -> None:
    result = find_motifs(noise(), DATABASE, min_seqlets=20)
    assert result.patterns == () and len(result.table) == 0 == len(result.matches)
    assert result.table.columns[[0, 3, 4, -1]].tolist() == ["pattern", "consensus", "match_1", "matches"]
    assert len(result.seqlets) > 100 and result.enrichment is None and "against_sequences" not in result.about


def test_a_pattern_like_no_known_motif_stays_in_the_table(found: MotifResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epinformer.interpretation.motifs.discover", lambda *_, **__: found.patterns[:1])
    result = find_motifs(world().attributions, others(), q=1e-12)
    (row,) = result.table.itertuples()
    assert (row.pattern, row.matches) == ("pos_0", "")
    assert pd.isna(row.match_1) and pd.isna(row.q_1) and len(result.matches) == len(others())


def test_too_few_seqlets_are_an_error() -> None:
    with pytest.raises(InputError, match="finding patterns needs 100 seqlets"):
        find_motifs(last(world().attributions, 30), DATABASE)


def test_attributions_of_nothing_are_an_error() -> None:
    attributions = world().attributions
    nothing = attributions._replace(hypothetical=np.zeros_like(attributions.hypothetical))
    with pytest.raises(InputError, match="there are 0 and 0"):
        find_motifs(nothing, DATABASE)


def test_no_known_motifs_are_an_error() -> None:
    with pytest.raises(InputError, match="there are no known motifs"):
        find_motifs(world().attributions, ())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"q": 0.0}, "q is 0"),
        ({"q": 1.5}, "q is 1.5"),
        ({"q": float("nan")}, "q is nan"),
        ({"min_seqlets": 0}, "at least 0"),
        ({"min_seqlets": 50, "max_seqlets": 40}, "at least 50 and at most 40"),
    ],
)
def test_settings_out_of_range_are_errors(settings: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find_motifs(world().attributions, DATABASE, **settings)  # type: ignore[arg-type]
