from __future__ import annotations

import io

import numpy as np
import pandas as pd

from epinformer.report.motif_tables import (
    HITS,
    SEQLETS,
    best_matches,
    enrichment_table,
    families_of,
    hits_bed,
    named_matches,
    named_seqlets,
    seqlets_bed,
    seqlets_per_motif,
    text_table,
)
from tests.motif_world import MOTIFS, ODD, attributions, enriched, found, nothing

PLAIN = "<b>odd</b>_'name'_of_&_$x$"


def test_hits_are_on_the_genome_sorted_and_there_once() -> None:
    bed = hits_bed(found(), attributions().table)
    assert tuple(bed.columns) == HITS
    assert [tuple(row) for row in bed.itertuples(index=False)] == [
        ("chr10", 52, 59, "MAX", 1000, "+", 0.0, 0.0, "MA3", "short"),
        ("chr2", 1021, 1028, "GATA1", 600, "+", 1e-6, 1e-4, "MA1", "chr2_first"),
        ("chr2", 1023, 1029, PLAIN, 500, "-", 1e-5, 1e-3, "MA2", "chr2_first"),
        ("chr2", 1053, 1059, PLAIN, 405, "-", 9e-5, 0.5, "MA2", PLAIN),
    ]


def test_a_site_read_on_both_strands_is_two_hits() -> None:
    hits = found().hits.iloc[[0, 0]].assign(strand=["+", "-"])
    assert len(hits_bed(found(hits=hits), attributions().table)) == 2


def test_a_hit_without_a_name_is_called_by_its_id() -> None:
    hits = found().hits.iloc[:3].assign(name=["", " \t", None])
    assert set(hits_bed(found(hits=hits), attributions().table)["name"]) == {"MA1", "MA2"}


def test_seqlets_are_named_by_their_most_significant_hit_and_their_pattern() -> None:
    seqlets = named_seqlets(found())
    assert seqlets["name"].tolist() == ["GATA1", "GATA1", ODD, "", "GATA1"]
    assert seqlets["motif"].tolist() == ["MA1", "MA1", "MA2", "", "MA1"]
    assert seqlets["strand"].tolist() == ["+", "+", "-", ".", "+"]
    assert seqlets["pattern"].tolist() == ["pos_0", "pos_0", "neg_0", "", ""]
    pd.testing.assert_frame_equal(seqlets[list(found().seqlets)], found().seqlets)


def test_an_instance_is_where_the_kept_part_of_the_pattern_lies_on_its_strand() -> None:
    pattern = found().patterns[0]
    # Of 20 bases the pattern keeps 2 to 11.
    wide = {name: np.pad(getattr(pattern, name), ((0, 0), (0, 7))) for name in ("frequencies", "contributions")}
    seqlets = pd.DataFrame({"row": [0, 1], "start": [10, 10], "end": [30, 30], "strand": ["+", "-"]})
    called = [(0, 12, 21), (0, 19, 28), (1, 12, 21), (1, 19, 28), (0, 18, 24), (0, 17, 24), (1, 24, 25)]
    table = pd.DataFrame(called, columns=["row", "start", "end"]).assign(sign=1, attribution=1.0, p=0.01)
    result = found(patterns=(pattern._replace(seqlets=seqlets, **wide),), seqlets=table, hits=found().hits.iloc[:0])
    assert named_seqlets(result)["pattern"].tolist() == ["pos_0", "", "", "pos_0", "pos_0", "pos_0", "pos_0"]


def test_a_more_significant_hit_names_a_seqlet_wherever_it_stands_in_the_table() -> None:
    hits = found().hits.assign(p=[1e-6, 1e-7, 1e-6, 1e-6, 1e-5, 0.0])
    assert named_seqlets(found(hits=hits.iloc[::-1]))["name"].tolist()[0] == ODD


def test_seqlets_on_the_genome_keep_the_strongest_of_the_same() -> None:
    bed = seqlets_bed(named_seqlets(found()), attributions().table)
    assert tuple(bed.columns) == SEQLETS
    assert [tuple(row) for row in bed.itertuples(index=False)] == [
        ("chr10", 51, 54, ".", 200, ".", 0.2, 0.01, ".", ".", "short"),
        ("chr2", 1022, 1029, "GATA1", 700, "+", 0.9, 1e-7, "pos_0", "MA1", PLAIN),
        ("chr2", 1048, 1056, PLAIN, 300, "-", -0.4, 1e-3, "neg_0", "MA2", PLAIN),
    ]


def test_only_significant_matches_name_a_pattern() -> None:
    best = best_matches(found())
    assert {number: match["id"] for number, match in best.items()} == {0: "MA1", 2: "MA2"}
    counts = seqlets_per_motif(found())
    assert counts[["id", "sign", "seqlets", "patterns"]].to_numpy().tolist() == [
        ["MA1", 1, 3, "pos_0"],
        ["MA2", -1, 1, "neg_0"],
    ]


def test_a_family_that_more_of_the_motifs_have_is_the_one_named() -> None:
    families = ["Zinc", "Ets::Fox", "Ets"]
    matches = found().matches.iloc[:3].assign(q=[0.001, 0.01, 0.019], family=families)
    best = best_matches(found(matches=matches))
    assert best[0]["said"] == "2 of 3 that fit are Ets"
    assert best_matches(found(matches=matches.assign(family=["Ets::Zinc", "Ets", "Ets"])))[0]["said"] == "Ets::Zinc"
    assert best_matches(found(matches=matches.assign(family=["", "Ets", ""])))[0]["said"] == "1 of 3 that fit are Ets"
    assert best_matches(found(matches=matches.assign(family="")))[0]["said"] == ""
    assert families_of(matches) == [("Ets", 2), ("Zinc", 1), ("Fox", 1)]


def test_seqlets_of_patterns_alike_are_added_for_each_sign() -> None:
    matches = found().matches
    same = matches[matches["pattern"] == 0]
    alike = pd.concat([same.assign(pattern=number) for number in range(3)], ignore_index=True)
    counts = seqlets_per_motif(found(matches=alike))
    assert counts[["name", "sign", "seqlets", "patterns"]].to_numpy().tolist() == [
        ["GATA1", 1, 5, "pos_0, pos_1"],
        ["GATA1", -1, 1, "neg_0"],
    ]


def test_matches_have_the_names_of_patterns() -> None:
    table = named_matches(found())
    assert table["pattern"].tolist() == [name for name in ("pos_0", "pos_1", "neg_0") for _ in range(3)]
    assert table["id"].tolist()[:3] == ["MA1", "MA2", "MA3"]


def test_enrichment_has_families_and_shares() -> None:
    assert enrichment_table(found()) is None
    about = {"q": 0.02, "sequences": 4, "against_sequences": 8}
    table = enrichment_table(found(enrichment=enriched(), about=about))
    assert table is not None
    assert table["family"].tolist() == ["C4-GATA", MOTIFS[1].family]
    assert table["share_first"].tolist() == [0.75, 0.25] and table["share_second"].tolist() == [0.0, 0.5]


def test_text_breaks_no_line_and_no_field() -> None:
    table = pd.DataFrame({"n": [1, 2], "x": [0.5, np.nan], "name": [ODD, "a\r\x0b\u2028\x00b"], "none": [None, "c"]})
    text = text_table(table).to_csv(sep="\t", index=False)
    lines = text.split("\n")
    assert lines[1:3] == ["1\t0.5\t<b>odd</b> 'name' of & $x$\t", "2\t\ta b\tc"]
    assert '"' not in text
    pd.testing.assert_frame_equal(
        pd.read_csv(io.StringIO(text), sep="\t")[["n", "x"]], table[["n", "x"]], check_dtype=False
    )


def test_nothing_found_is_empty_tables_with_headers() -> None:
    result, regions = nothing(), attributions().table
    assert tuple(hits_bed(result, regions).columns) == HITS
    assert tuple(seqlets_bed(named_seqlets(result), regions).columns) == SEQLETS
    for table in (hits_bed(result, regions), named_seqlets(result), named_matches(result), seqlets_per_motif(result)):
        assert len(table) == 0
    assert best_matches(result) == {}
