from __future__ import annotations

import logging
from pathlib import Path

import pytest

from epinformer.dataset.store import HALF_LIFE_FEATURES
from epinformer.errors import InputError
from epinformer.inputs.genes import lacking, read_genes, read_half_life

LINES = "chr1\t100\t201\tG1\t0\t+\nchr2\t100\t201\tG2\t0\t-\textra\n"


def write(folder: Path, text: str, name: str = "genes.bed") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(("tss", "positions"), [("center", [150, 150]), ("strand", [100, 200])])
def test_genes(tmp_path: Path, tss: str, positions: list[int]) -> None:
    genes = read_genes(write(tmp_path, LINES.replace("\textra", "")), tss)
    assert genes.to_dict("list") == {
        "gene_id": ["G1", "G2"],
        "chrom": ["chr1", "chr2"],
        "start": [100, 100],
        "end": [201, 201],
        "tss": positions,
        "strand": ["+", "-"],
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "chr1\t1\t2\tG1\t0\t-",
            r"genes\.bed: names a gene twice \(1 affected; first: line 2: chr1 1 2 G1 -\)\. Keep one",
        ),
        (
            "chr1\t1\t2\tG2\t0\t.",
            r"has strands that are neither \+ nor - \(1 affected; first: line 2: chr1 1 2 G2 \.\)",
        ),
        ("chr1\t2\t2\tG2\t0\t+", r"has starts that are not below ends \(1 affected; first: line 2"),
        ("chr1\t1\t2\t\t0\t+", r"has genes without an id \(1 affected; first: line 2"),
        ("chr1\t1\t2\tG2\t+", r"do not have 6 fields like its first one \(1 affected; first: line 2: 5 fields"),
    ],
)
def test_bad_genes(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_genes(write(tmp_path, f"chr1\t100\t201\tG1\t0\t+\n{row}\n"))


def test_genes_need_six_columns(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"rows of 4 columns and needs 6 \(1 affected; .*gene_id \(4\), strand \(6\)\."
    ):
        read_genes(write(tmp_path, "chr1\t1\t2\tG1\n"))


@pytest.mark.parametrize("tss", ["center", "strand"])
def test_gene_bodies_need_the_strand(tmp_path: Path, tss: str, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, "chr1\t100\t5100\tG1\t0\t+\nchr1\t100\t5101\tG2\t0\t-\n")
    if tss == "strand":
        assert read_genes(path, "strand")["tss"].tolist() == [100, 5_100]
        assert not caplog.text
        return
    message = r"genes\.bed: has intervals longer than 5,000 bp.*\(1 affected; first: line 2: .* G2 -\)\. .*tss: strand"
    with pytest.raises(InputError, match=message):
        read_genes(path)


def test_short_intervals_of_unequal_length_are_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "chr1\t0\t700\tG0\t0\t+\n" + "".join(f"chr1\t{i}00\t{i + 10}00\tG{i}\t0\t+\n" for i in (1, 2, 3))
    with caplog.at_level(logging.WARNING):
        read_genes(write(tmp_path, text))
    assert "genes.bed: 1 of 4 intervals are not of 1,000 bp (first: G0)" in caplog.text


def half_life(folder: Path, suffix: str = "", **changes: str) -> Path:
    names = [feature + (suffix if "LEN" in feature else "") for feature in HALF_LIFE_FEATURES]
    values = {name: str(i / 4) for i, name in enumerate(names)} | changes
    header = ",".join(["gene_id", "Gene name", *values])
    return write(
        folder, f'{header}\nG1,"A, b",{",".join(values.values())}\nG2,,{",".join("1" * len(values))}\n', "h.csv"
    )


@pytest.mark.parametrize("suffix", ["", "_log10zscore"])
def test_half_life(tmp_path: Path, suffix: str) -> None:
    table, columns = read_half_life(half_life(tmp_path, suffix))
    assert table.loc["G1"].tolist() == ["A, b", *(i / 4 for i in range(8))]
    assert columns["CDSLEN"] == "CDSLEN" + suffix and columns["CDSGC"] == "CDSGC"


def test_the_suffix_is_preferred(tmp_path: Path) -> None:
    table, columns = read_half_life(half_life(tmp_path, UTR5LEN_log10zscore="-3"))
    assert table.loc["G1", "UTR5LEN"] == -3 and columns["UTR5LEN"] == "UTR5LEN_log10zscore"


def test_blank_features_are_lacking(tmp_path: Path) -> None:
    table, _ = read_half_life(half_life(tmp_path, CDSGC="NA"))
    assert lacking(table[list(HALF_LIFE_FEATURES)]).tolist() == [True, False]


def test_lengths_in_bases_are_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read_half_life(half_life(tmp_path, CDSLEN="1500"))
    assert "h.csv: CDSLEN reach 1,500, which is no z-score" in caplog.text


def test_half_life_twice(tmp_path: Path) -> None:
    path = half_life(tmp_path)
    path.write_text(path.read_text().replace("G2", "G1"))
    with pytest.raises(InputError, match=r"h\.csv: gives the features of a gene twice \(1 affected; first: line 3"):
        read_half_life(path)
