from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.inputs.contact_maps import open_contact_map
from epinformer.prepare.contact import MapContacts, joined_contacts, map_contacts, open_contacts, powerlaw_contact
from epinformer.settings import ContactConfig
from epinformer.simulation.simulate import simulate
from tests.contact_files import random_counts, write_cool


def test_powerlaw_is_flat_below_5_kb() -> None:
    near = math.exp(5.9594510043736655 - 1.024238616787792 * math.log(5_001))
    far = math.exp(5.9594510043736655 - 1.024238616787792 * math.log(80_001))
    assert powerlaw_contact(np.array([0, -4_999, 5_000, -80_000, 80_000])) == pytest.approx(
        [near, near, near, far, far]
    )


def test_powerlaw_of_another_fit() -> None:
    expected = [math.exp(5.3 - 0.87 * math.log(5_001)), math.exp(5.3 - 0.87 * math.log(80_001))]
    assert powerlaw_contact(np.array([17.5, 80_000]), gamma=0.87, scale=5.3) == pytest.approx(expected)


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


BIN = 5_000
MAP_LENGTHS = {"1": 103_000, "2": 52_000}
COUNTS = random_counts(MAP_LENGTHS, BIN)
FACTORS = np.random.default_rng(1).uniform(0.5, 2.0, 32)
FACTORS[[3, 25]] = np.nan
# TSS in bins 0, 20 (the last, of 3 kb) and 1; midpoints in bins 1, 3 (masked), 19, 0, 4 (masked) and 8.
MAP_GENES = pd.DataFrame(
    {"gene_id": list("ABC"), "chrom": ["chr1", "chr1", "chr2"], "tss": [4_999, 102_999, 5_000], "strand": "+"}
)
MAP_ELEMENTS = pd.DataFrame(
    {
        "chrom": ["chr1"] * 3 + ["chr2"] * 3,
        "start": [4_900, 17_000, 99_000, 0, 21_000, 44_800],
        "end": [5_101, 18_000, 99_901, 9_998, 23_000, 45_199],
    }
)
MAP_ELEMENTS["element_id"] = [f"{c}:{s}-{e}" for c, s, e in zip(*MAP_ELEMENTS.to_dict("list").values(), strict=True)]
MAP_PAIRS = pd.DataFrame({"gene_index": [0, 0, 0, 1, 1, 2, 2, 2], "element_index": [0, 1, 2, 0, 2, 3, 4, 5]})
PAIR_BINS = [("1", 0, 1), ("1", 0, 3), ("1", 0, 19), ("1", 20, 1), ("1", 20, 19), ("2", 1, 0), ("2", 1, 4), ("2", 1, 8)]


@pytest.fixture
def map_path(tmp_path: Path) -> Path:
    return write_cool(tmp_path / "a.cool", COUNTS, MAP_LENGTHS, BIN, {"weight": FACTORS})


def balanced(chrom: str) -> np.ndarray:
    own = FACTORS[:21] if chrom == "1" else FACTORS[21:]
    return COUNTS[chrom] * own[:, None] * own


def test_contact_of_a_map_by_the_bins_of_tss_and_midpoint(map_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = ContactConfig(map="a.cool", normalisation="ICE", missing=0.5)
    with caplog.at_level(logging.INFO), open_contacts(settings, map_path.parent.joinpath, 100_000) as source:
        assert source.words == "a.cool, ICE, bins of 5,000 bp"
        values = map_contacts(MAP_PAIRS, MAP_GENES, MAP_ELEMENTS, source, settings.missing)
    expected = [balanced(chrom)[one, other] for chrom, one, other in PAIR_BINS]
    assert np.isnan(expected).tolist() == [False, True, False, False, False, False, True, False]
    assert values == pytest.approx(np.nan_to_num(expected, nan=0.5))
    assert (
        "a.cool has the contact of 6 of 8 pairs; the other 2, whose bins are masked or not in the map, are set to 0.5"
        in (caplog.text)
    )


def test_missing_contacts_are_what_the_map_has_at_that_distance(map_path: Path) -> None:
    with open_contact_map(map_path, normalisation="ICE") as opened:
        values = map_contacts(MAP_PAIRS, MAP_GENES, MAP_ELEMENTS, MapContacts(opened), "expected")
    diagonals = [np.concatenate([np.diagonal(balanced(chrom), 3) for chrom in ("1", "2")])]
    assert values[[1, 6]] == pytest.approx([np.nanmean(diagonals)] * 2)


def test_a_distance_that_the_map_does_not_have_takes_the_one_before(map_path: Path) -> None:
    pairs = pd.DataFrame({"gene_index": [0, 0], "element_index": [0, 1]})
    elements = pd.DataFrame({"chrom": ["chr1"] * 2, "start": [4_900, 499_000], "end": [5_101, 499_400]})
    with open_contact_map(map_path, normalisation="none") as opened:
        values = map_contacts(pairs, MAP_GENES, elements, MapContacts(opened), "expected")
    assert values.tolist() == [COUNTS["1"][0, 1], COUNTS["1"][0, 20]]


def test_missing_contacts_of_a_map_without_a_value_for_them(map_path: Path) -> None:
    message = (
        r"a\.cool: has no contact for some pairs, .* \(2 affected; first: A with chr1:17000-18000\)\. Set contact\.mis"
    )
    with open_contact_map(map_path, normalisation="ICE") as opened, pytest.raises(InputError, match=message):
        map_contacts(MAP_PAIRS, MAP_GENES, MAP_ELEMENTS, MapContacts(opened), None)


def test_chromosomes_that_a_map_lacks(map_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    genes = MAP_GENES.assign(chrom=["chr1", "chr1", "chrX"])
    with open_contact_map(map_path, normalisation="none") as opened:
        source = MapContacts(opened)
        assert np.isnan(source.contact("chrX", np.array([0, 1]), np.array([5, 6]))).all()
        values = map_contacts(MAP_PAIRS, genes, MAP_ELEMENTS, source, 9.0)
        assert "a.cool lacks chrX, where 3 of 8 pairs are" in caplog.text
        assert values[5:].tolist() == [9, 9, 9]
        assert values[:5].tolist() == [COUNTS["1"][one, other] for _, one, other in PAIR_BINS[:5]]
        with pytest.raises(
            InputError, match=r"none of the pairs \(8 affected; first: A with chr1:4900-5101; .* has 1, 2\)"
        ):
            map_contacts(MAP_PAIRS, genes.assign(chrom="chrX"), MAP_ELEMENTS, source, 9.0)


def test_tables_of_bins_are_contacts_too(tmp_path: Path) -> None:
    (tmp_path / "a.bedpe").write_text("chr1\t0\t5000\tchr1\t5000\t10000\t2.5\nchr1\t0\t5000\tchr1\t95000\t100000\t1\n")
    (tmp_path / "a.bed").write_text("chr1\t0\t5000\t2.5\nchr1\t0\t95000\t1\n")
    for settings in (ContactConfig(bedpe="a.bedpe", missing=0), ContactConfig(average="a.bed", missing=0)):
        with open_contacts(settings, tmp_path.joinpath, 100_000) as source:
            assert source.words == f"{source.map.path.name}, bins of 5,000 bp"
            values = map_contacts(MAP_PAIRS[:3], MAP_GENES, MAP_ELEMENTS, source, settings.missing)
            assert values.tolist() == [2.5, 0, 1]


def test_the_map_of_a_simulation_has_the_contacts_of_its_pair_table(tmp_path: Path) -> None:
    simulate(tmp_path / "simulated", genes=48)
    table = pd.read_csv(tmp_path / "simulated" / "contacts.tsv", sep="\t")
    genes = pd.read_csv(tmp_path / "simulated" / "truth" / "genes.tsv", sep="\t")
    elements = (
        table["element_id"].str.extract(r"(?P<chrom>.+):(?P<start>\d+)-(?P<end>\d+)").astype({"start": int, "end": int})
    )
    gene_index = pd.Index(genes["gene_id"]).get_indexer(table["gene_id"])
    pairs = pd.DataFrame({"gene_index": gene_index, "element_index": np.arange(len(table))})
    settings = ContactConfig(map="contacts.cool", normalisation="none")
    with open_contacts(settings, (tmp_path / "simulated").joinpath, 100_000) as source:
        values = map_contacts(pairs, genes, elements, source, None)
    assert len(table) > 300
    assert values.tolist() == table["contact"].tolist()


@pytest.mark.real_data
def test_bins_of_the_abc_pipeline(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "abc_chr22" / "test_pred_df.tsv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    table = pd.read_csv(path, sep="\t")
    assert len(table) == 5_000
    (tmp_path / "a.bed").write_text("chr22\t0\t5000\t1\n")
    with open_contacts(ContactConfig(average="a.bed"), tmp_path.joinpath, 100_000) as source:
        middle = (table["start"] + table["end"]).to_numpy() // 2
        assert source.bins_of(middle).tolist() == table["enh_bin"].tolist()
        assert source.bins_of(table["TargetGeneTSS"].to_numpy()).tolist() == table["tss_bin"].tolist()
