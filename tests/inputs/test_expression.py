from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pybigtools
import pytest

from epinformer.errors import InputError
from epinformer.inputs.expression import expression_from_tracks, read_expression, read_symbols, transformed
from epinformer.inputs.gene_ids import match_genes

GENES = pd.DataFrame(
    {"chrom": ["chr1", "chr1", "chr2", "chr1"], "tss": [1_000, 1_001, 100, 5_000], "strand": ["+", "-", "-", "+"]},
    index=[7, 8, 9, 11],
)


def write(folder: Path, text: str, name: str = "x.tsv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def track(folder: Path, name: str, *rows: tuple[str, int, int, float]) -> Path:
    path = folder / name
    pybigtools.open(str(path), "w").write({"chr1": 10_000, "chr2": 1_000}, iter(rows))
    return path


def test_expression(tmp_path: Path) -> None:
    path = write(tmp_path, "id\tother\trpkm\na\t0\t1.5\nb\t0\tNA\n")
    labels = read_expression(path, id_column="id", value_column="rpkm")
    assert labels["a"] == 1.5 and np.isnan(labels["b"])
    with pytest.raises(InputError, match=r"x\.tsv: lacks the column ENSID\. Add it, .* has id, other, rpkm"):
        read_expression(path, id_column="ENSID", value_column="rpkm")
    path.write_text("id,rpkm\na,1\na,2\na,3\n")
    with pytest.raises(InputError, match=r"gives the expression of a gene twice \(2 affected; first: line 3: a 2\.0\)"):
        read_expression(path, id_column="id", value_column="rpkm")


@pytest.mark.parametrize("separator", ["\t", ","])
def test_windows_line_ends(tmp_path: Path, separator: str) -> None:
    lines = ["gene_id,tpm,symbol", "ENSG01.1,2.5,AB", "ENSG02.3,,C", "ENSG03.1,7,DE"]
    path = write(tmp_path, "".join(line.replace(",", separator) + "\r\n" for line in lines))
    labels = read_expression(path, id_column="gene_id", value_column="tpm")
    assert labels.index.tolist() == ["ENSG01.1", "ENSG02.3", "ENSG03.1"]
    np.testing.assert_array_equal(labels, [2.5, np.nan, 7])
    # The last column and the last row have the carriage return next to them.
    names = read_symbols(path, id_column="gene_id", name_column="symbol")
    assert names.to_dict() == {"ENSG01.1": "AB", "ENSG02.3": "C", "ENSG03.1": "DE"}
    genes = pd.DataFrame({"gene_id": ["ENSG01", "E9"], "gene_name": ["AB", "DE"]})
    assert match_genes(labels.to_frame(), genes, path, names=names).rows["value"].tolist() == [2.5, 7]


def test_transforms() -> None:
    values = np.array([0.0, 0.9, np.nan, 9.9])
    np.testing.assert_array_equal(transformed(values, "none", False), values)
    np.testing.assert_allclose(transformed(values, "log10_0.1", False), [-1, 0, np.nan, 1], atol=1e-15)
    expected = [0, math.log10(1.9), math.nan, math.log10(10.9)]
    np.testing.assert_allclose(transformed(values, "log10_1", False), expected)
    # By hand: -1, 0 and 1 have mean 0 and mean square 2/3.
    third = math.sqrt(1.5)
    np.testing.assert_allclose(transformed(values, "log10_0.1", True), [-third, 0, np.nan, third], atol=1e-15)
    np.testing.assert_allclose(transformed(np.array([-3.0, -1.0]), "none", True), [-1, 1])


def test_values_without_transform() -> None:
    with pytest.raises(InputError, match=r"x\.tsv: has negative expression, .* \(2 affected; first: -1\).*transform:"):
        transformed(np.array([1.0, -1.0, -2.0]), "log10_1", False, source="x.tsv")
    for values in ([2.0, 2.0, np.nan], [np.nan], [3.0]):
        with pytest.raises(InputError, match=r"has the same expression for all genes"):
            transformed(np.array(values), "none", True)
    assert np.std(np.log10(np.full(60, 8.0))) > 0, "of equal numbers, but for rounding"
    with pytest.raises(InputError, match=r"has the same expression for all genes, .*\(60 affected\)"):
        transformed(np.full(60, 7.0), "log10_1", True)


@pytest.mark.real_data
def test_the_published_label_has_this_scale(shared_data: Path) -> None:
    path = shared_data / "k562" / "rna_expression_and_published_predictions.csv.gz"
    labels = read_expression(path, id_column="ENSID", value_column="actual").to_numpy()
    np.testing.assert_allclose(transformed(labels, "none", True), labels, atol=1e-6)


def test_tracks_of_strands(tmp_path: Path) -> None:
    # One base at each side of the edges of [TSS - 192, TSS + 192), which are 808 and 1192 of the first gene.
    edges = [
        ("chr1", 807, 808, 100.0),
        ("chr1", 808, 809, 1.0),
        ("chr1", 1_191, 1_192, 2.0),
        ("chr1", 1_192, 1_193, 8.0),
    ]
    plus = track(tmp_path, "plus.bw", *edges, ("chr2", 0, 1_000, 50.0))
    minus = track(tmp_path, "minus.bw", *((c, s, e, -3 * v) for c, s, e, v in edges), ("chr2", 50, 60, -1.0))
    given = {"plus": [plus], "minus": [minus], "both": []}
    # The second gene's bases begin and end one later; the third's begin before its chromosome.
    assert expression_from_tracks(given, GENES).tolist() == [3, 30, 10, 0]
    assert expression_from_tracks({"both": [plus]}, GENES).tolist() == [3, 10, 292 * 50, 0]
    assert expression_from_tracks({"both": [plus]}, GENES, width=1).tolist() == [0, 0, 50, 0]
    odd = track(tmp_path, "odd.bw", ("chr1", 998, 999, 1.0), ("chr1", 999, 1_000, 2.0), ("chr1", 1_001, 1_003, 4.0))
    assert expression_from_tracks({"both": [odd]}, GENES[:1], width=3).tolist() == [6]


def test_minus_tracks_may_be_positive(tmp_path: Path) -> None:
    paths = [track(tmp_path, f"{sign}.bw", ("chr1", 990, 1_000, sign * 2.0)) for sign in (1, -1)]
    assert expression_from_tracks({"plus": [paths[0]], "minus": paths}, GENES).tolist() == [20, 20, 0, 0]


def test_replicates_are_averaged(tmp_path: Path) -> None:
    paths = [track(tmp_path, f"{n}.bw", ("chr1", 990, 1_000, float(n))) for n in (1, 2, 6)]
    assert expression_from_tracks({"both": paths}, GENES).tolist() == [30, 30, 0, 0]


def test_tracks_of_the_wrong_sign(tmp_path: Path) -> None:
    good = track(tmp_path, "good.bw", ("chr1", 990, 1_000, 1.0))
    bad = track(tmp_path, "bad.bw", ("chr1", 990, 1_000, -1.0), ("chr2", 90, 100, 1.0))
    with pytest.raises(InputError, match=r"bad\.bw: has values that are negative, NaN or infinite \(1 affected"):
        expression_from_tracks({"plus": [bad], "minus": [good]}, GENES)
    with pytest.raises(InputError, match=r"bad\.bw: holds values of both signs, .* \(1 affected\)\. Give one"):
        expression_from_tracks({"plus": [good], "minus": [bad]}, GENES)
