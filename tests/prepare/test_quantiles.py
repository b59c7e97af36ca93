from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import interp1d
from scipy.stats import rankdata

from epinformer.dataset.store import Manifest, open_dataset, write_dataset
from epinformer.errors import DatasetError, InputError, OutputError
from epinformer.prepare.candidates import element_classes
from epinformer.prepare.quantiles import (
    make_qnorm_reference,
    quantile_normalised,
    quantile_reference,
    read_quantile_reference,
)

TABLE = (
    "enh_class\tquantile\trank\tH3K27ac.RPM\tDHS.RPM\n"
    "any\t0.5\t10\t1\t2\nany\t0.9\t2\t7\t8\n"
    "promoter\t0.5\t5\t3\t4\npromoter\t0.8\t2\t6\t9\npromoter\t0.9\t1\t8\t20\n"
    "nonpromoter\t0.2\t8\t0.5\t1\nnonpromoter\t0.5\t5\t1\t1.5\nnonpromoter\t0.9\t1\t5\t10\n"
)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "reference.txt"
    path.write_text(TABLE)
    return path


def make_dataset(path: Path, **columns: object) -> Path:
    """A dataset without genes' signals, whose elements have these columns."""
    genes = pd.DataFrame({"gene_id": ["g"], "gene_name": ["G"], "chrom": "chr1", "tss": [10], "strand": "+"})
    elements = pd.DataFrame(columns)
    start = 100 * np.arange(1, len(elements) + 1)
    elements = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 50}).join(elements)
    elements.insert(0, "element_id", [f"e{i}" for i in range(len(elements))])
    pairs = pd.DataFrame({"gene_index": [0], "element_index": [0], "distance": [115]})
    manifest = Manifest(assembly="toy", package_version="0")
    write_dataset(path, manifest, genes, elements, pairs, None)
    return path


@pytest.fixture
def signals() -> pd.DataFrame:
    """RPM of 3,000 elements with ties and zeros, a sixth of them promoters, which are stronger."""
    rng = np.random.default_rng(3)
    is_promoter = np.arange(3_000) % 6 == 0
    counts = rng.negative_binomial(1, np.where(is_promoter, 0.002, 0.02))
    marks = rng.negative_binomial(2, np.where(is_promoter, 0.01, 0.05))
    classes = np.where(is_promoter, "promoter", np.where(np.arange(3_000) % 2, "genic", "intergenic"))
    return pd.DataFrame(
        {"class": classes, "dnase_rpm": counts / 40, "h3k27ac_rpm": marks / 30, "ctcf_rpm": marks * 1.0}
    )


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_against_scipy(reference: Path, apart: bool, n: int) -> None:
    table = read_quantile_reference(reference, ["dnase", "h3k27ac"], separate_promoters=apart)
    rng = np.random.default_rng(n)
    rpm, is_promoter = rng.integers(0, 9, n) / 7, rng.random(n) < 0.3
    raw = pd.read_csv(reference, sep="\t")
    expected = np.zeros(n)
    for name in ("promoter", "nonpromoter") if apart else ("any",):
        rows = raw[raw["enh_class"] == name]
        members = np.ones(n, dtype=bool) if not apart else is_promoter == (name == "promoter")
        if members.any():
            line = interp1d(rows["rank"], rows["DHS.RPM"], fill_value="extrapolate")
            share = rankdata(rpm[members]) / members.sum()
            expected[members] = np.maximum(line((1 - share) * members.sum()), 0)
    found = quantile_normalised(rpm, table, "dnase", is_promoter if apart else None)
    assert found == pytest.approx(expected, rel=1e-12)


def test_by_hand(reference: Path) -> None:
    table = read_quantile_reference(reference, ["h3k27ac"])
    # Of five others, from the strongest: ranks 0, 1, 2.5 (two are equal), 4; the lines go on beyond rank 1.
    rpm = np.array([7.0, 9.0, 3.0, 3.0, 1.0, 100.0])
    found = quantile_normalised(rpm, table, "h3k27ac", np.array([False] * 5 + [True]))
    assert found == pytest.approx([5.0, 6.0, 3.5, 3.5, 2.0, 10.0])


def test_many_weak_elements_are_not_negative(reference: Path) -> None:
    table = read_quantile_reference(reference, ["dnase"])
    found = quantile_normalised(np.arange(40.0), table, "dnase", np.zeros(40, dtype=bool))
    assert found.min() == 0.0 and (np.diff(found) >= 0).all() and found[-1] == pytest.approx(12.125)


def test_atac_takes_dnase_where_the_reference_has_no_other(reference: Path) -> None:
    table = read_quantile_reference(reference, ["atac"])
    assert table.loc[table["enh_class"] == "promoter", "atac"].tolist() == [20.0, 9.0, 4.0]
    reference.write_text(TABLE.replace("H3K27ac.RPM", "ATAC.RPM"))
    table = read_quantile_reference(reference, ["atac", "dnase"])
    assert table.loc[table["enh_class"] == "promoter", "atac"].tolist() == [8.0, 6.0, 3.0]
    assert table.loc[table["enh_class"] == "promoter", "dnase"].tolist() == [20.0, 9.0, 4.0]


def test_a_rank_given_twice_has_the_mean(reference: Path) -> None:
    reference.write_text(TABLE.replace("0.8\t2\t6", "0.8\t1\t6"))
    table = read_quantile_reference(reference, ["h3k27ac"])
    assert table.loc[table["enh_class"] == "promoter", "h3k27ac"].tolist() == [7.0, 3.0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("DHS.RPM", "DNase.RPM", r"lacks the column DHS\.RPM.*the file has enh_class, quantile"),
        ("\nnonpromoter", "\nother", r"has 0 ranks of the class nonpromoter.*first: any, other, promoter"),
        ("promoter\t0.8\t2\t6\t9\npromoter\t0.9\t1\t8\t20\nnon", "non", "has 1 ranks of the class promoter"),
        ("\t20\n", "\t-20\n", r"negative ranks or signals \(1 affected; first: line 6: promoter"),
        ("\t20\n", "\tNaN\n", r"dnase"),
    ],
)
def test_a_reference_that_is_none(reference: Path, old: str, new: str, message: str) -> None:
    reference.write_text(TABLE.replace(old, new))
    with pytest.raises(InputError, match=rf"reference\.txt: .*{message}"):
        read_quantile_reference(reference, ["dnase"])


def test_a_reference_without_classes(reference: Path) -> None:
    reference.write_text("".join(line for line in TABLE.splitlines(True) if "promoter" not in line))
    assert len(read_quantile_reference(reference, ["dnase"], separate_promoters=False)) == 2
    with pytest.raises(InputError, match=r"set activity\.separate_promoters"):
        read_quantile_reference(reference, ["dnase"])


def test_the_reference_of_a_dataset(tmp_path: Path, signals: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    path = make_dataset(tmp_path / "k.dataset", **signals)
    with caplog.at_level(logging.INFO):
        make_qnorm_reference(path, tmp_path / "qnorm.tsv")
    assert "qnorm.tsv: DHS.RPM, H3K27ac.RPM, ctcf.RPM of 3,000 elements" in caplog.text
    table = pd.read_csv(tmp_path / "qnorm.tsv", sep="\t")
    assert list(table) == ["enh_class", "quantile", "rank", "DHS.RPM", "H3K27ac.RPM", "ctcf.RPM"]
    assert table["enh_class"].value_counts().to_dict() == {"any": 118, "promoter": 118, "nonpromoter": 118}
    promoters = table[table["enh_class"] == "promoter"]
    # An element of quantile 0.99 has 5 of the 500 promoters above it.
    ordered = np.sort(signals.loc[signals["class"] == "promoter", "dnase_rpm"])[::-1]
    for quantile, above in ((0.01, 495), (0.5, 250), (0.99, 5), (0.996, 2), (1.0, 0)):
        row = promoters[np.isclose(promoters["quantile"], quantile)].iloc[0]
        assert (row["rank"], row["DHS.RPM"]) == (pytest.approx(above), pytest.approx(ordered[above], rel=1e-9))


@pytest.mark.parametrize("apart", [True, False])
def test_a_dataset_normalised_to_its_own_reference(tmp_path: Path, signals: pd.DataFrame, apart: bool) -> None:
    path = make_dataset(tmp_path / "k.dataset", **signals)
    make_qnorm_reference(path, tmp_path / "qnorm.tsv")
    table = read_quantile_reference(tmp_path / "qnorm.tsv", ["dnase", "ctcf"], separate_promoters=apart)
    is_promoter = (signals["class"] == "promoter").to_numpy() if apart else None
    for name in ("dnase", "ctcf"):
        rpm = signals[f"{name}_rpm"].to_numpy()
        found = quantile_normalised(rpm, table, name, is_promoter)
        # Between the reference's hundredths the distribution is a line; its steepest part is the top.
        strong = rpm > np.quantile(rpm, 0.02)
        assert (np.abs(found - rpm)[strong] / rpm[strong]).mean() < 0.01
        assert found.max() == pytest.approx(rpm.max(), rel=1e-6)
        assert np.corrcoef(found, rpm)[0, 1] > 0.9995


def test_normalising_to_another_gives_its_distribution(tmp_path: Path, signals: pd.DataFrame) -> None:
    """Another depth and another shape, ranks unchanged: all of it is undone."""
    path = make_dataset(tmp_path / "k.dataset", **signals)
    make_qnorm_reference(path, tmp_path / "qnorm.tsv")
    table = read_quantile_reference(tmp_path / "qnorm.tsv", ["dnase"])
    is_promoter = (signals["class"] == "promoter").to_numpy()
    rpm = signals["dnase_rpm"].to_numpy()
    same = quantile_normalised(rpm, table, "dnase", is_promoter)
    np.testing.assert_array_equal(quantile_normalised(np.sqrt(7 * rpm), table, "dnase", is_promoter), same)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"dnase_rpm": [1.0, 2.0]}, "have no classes.*Prepare the dataset"),
        ({"class": ["promoter", None], "dnase_rpm": [1.0, 2.0]}, "have no classes"),
        ({"class": ["promoter", "genic"], "activity": [1.0, 2.0]}, "have no signals"),
        ({"class": ["promoter", "promoter"], "dnase_rpm": [1.0, 2.0]}, "all of the elements are promoters"),
        ({"class": ["genic", "genic"], "dnase_rpm": [1.0, 2.0]}, "none of the elements are promoters"),
    ],
)
def test_datasets_that_give_no_reference(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    path = make_dataset(tmp_path / "k.dataset", **columns)
    with pytest.raises(DatasetError, match=rf"elements\.parquet: .*{message}"):
        quantile_reference(open_dataset(path))


def test_nothing_is_written_where_it_cannot_be(tmp_path: Path, signals: pd.DataFrame) -> None:
    path = make_dataset(tmp_path / "k.dataset", **signals)
    with pytest.raises(OutputError, match="its folder does not exist"):
        make_qnorm_reference(path, tmp_path / "nowhere" / "qnorm.tsv")


@pytest.mark.real_data
def test_k562_normalised_to_its_own_reference(shared_data: Path, tmp_path: Path) -> None:
    """116,669 real elements; those on ABC's promoter windows are the promoters."""
    counts, windows = (
        pd.read_csv(shared_data / "k562" / name, sep="\t", header=None, names=columns, usecols=range(len(columns)))
        for name, columns in (
            ("Enhancers.DHS.ENCFF257HEE.bam.CountReads.bedgraph.gz", ["chrom", "start", "end", "count"]),
            ("GeneList.TSS1kb.bed.gz", ["chrom", "start", "end"]),
        )
    )
    classes = element_classes(counts, windows, windows.iloc[:0])
    rpm = counts["count"].to_numpy() / 195.864788
    path = make_dataset(tmp_path / "k.dataset", **{"class": classes, "dnase_rpm": rpm})
    make_qnorm_reference(path, tmp_path / "qnorm.tsv")
    table = read_quantile_reference(tmp_path / "qnorm.tsv", ["dnase"])
    found = quantile_normalised(rpm, table, "dnase", classes == "promoter")
    away = np.abs(found - rpm) / rpm
    assert np.median(away) < 0.002 and np.quantile(away, 0.95) < 0.02
