"""Expression and half-life features joined to genes that are named in other ways."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pybigtools
import pytest

from epinformer.config import PrepareConfig
from epinformer.errors import InputError
from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.prepare.gene_table import add_expression, add_half_life
from epinformer.prepare.steps import Filters

GENES = pd.DataFrame(
    {
        "gene_id": pd.array(["ENSG1.4", "ENSG2", "ENSG3.1", "ENSG4"], dtype="str"),
        "chrom": ["chr1"] * 4,
        "tss": [500, 1_500, 2_500, 3_500],
        "strand": ["+", "-", "+", "-"],
    },
    index=[2, 3, 5, 8],
)


def config(folder: Path, **settings: Any) -> PrepareConfig:
    signals = {"dnase": [{"elements": "e", "promoters": "p", "total_reads": 1}]}
    return PrepareConfig.model_validate(
        {"assembly": "toy", "root": folder, "genes": {"table": "genes.bed"}, "signals": signals} | settings
    )


def expression(folder: Path, **source: Any) -> tuple[pd.DataFrame, str]:
    genes = GENES.assign(gene_name=["A", "B", "C", "D"])
    genes, words, powers = add_expression(genes, config(folder, expression={"rna": source}), Filters())
    assert set(powers) == ({"expression_rna"} if source.get("transform", "none") != "none" else set())
    return genes, words["expression_rna"]


def test_how_much_a_unit_is(tmp_path: Path) -> None:
    (tmp_path / "rna.csv").write_text("id,tpm\nENSG1.4,0.9\nENSG2,99.9\n")
    source = {"table": "rna.csv", "id": "id", "value": "tpm", "transform": "log10_0.1"}
    assays = {"log": source, "z": source | {"z_score": True}, "raw": source | {"transform": "none"}}
    _, _, powers = add_expression(GENES, config(tmp_path, expression=assays), Filters())
    assert powers == {"expression_log": 1.0, "expression_z": 1.0}, "the logarithms are 0 and 2"


def test_a_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "rna.csv").write_bytes(b"id,tpm,symbol\r\nENSG1.2,0.9,X\r\nENSG2.5,9.9,Y\r\nENSG9,99.9,C\r\n")
    given = {"table": "rna.csv", "id": "id", "value": "tpm"}
    with caplog.at_level(logging.INFO):
        genes, words = expression(tmp_path, **given, name="symbol")
    np.testing.assert_array_equal(genes["expression_rna"], [0.9, 9.9, 99.9, np.nan])
    assert words == "column tpm as given" and genes.index.tolist() == [2, 3, 5, 8]
    assert "rna.csv: genes found: 2 by id without version, 1 by symbol" in caplog.text
    assert "rna.csv: 1 genes are not in it (ENSG4)" in caplog.text
    assert "1 of 4 genes have no rna expression and are kept" in caplog.text
    np.testing.assert_array_equal(expression(tmp_path, **given)[0]["expression_rna"], [0.9, 9.9, np.nan, np.nan])

    genes, words = expression(tmp_path, **given, name="symbol", transform="log10_0.1", z_score=True)
    # 0, 1 and 2 before: mean 1, mean square deviation 2/3. The gene without a value has no part in it.
    z = math.sqrt(1.5)
    np.testing.assert_allclose(genes["expression_rna"], [-z, 0, z, np.nan], atol=1e-15)
    assert words == (
        "z-score of log10(column tpm + 0.1) over 3 genes, whose mean is 1 and standard deviation (ddof 0) 0.816497"
    )


def test_negative_values_are_told_by_file(tmp_path: Path) -> None:
    (tmp_path / "rna.csv").write_text("id,tpm\nENSG1,-1\n")
    with pytest.raises(InputError, match=r"rna\.csv: has negative expression"):
        expression(tmp_path, table="rna.csv", id="id", value="tpm", transform="log10_1")


def test_tracks(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 3.0), ("m", -5.0)):
        rows = [("chr1", 400, 1_600, value)]
        pybigtools.open(str(tmp_path / f"{name}.bw"), "w").write({"chr1": 10_000}, iter(rows))
    genes, words = expression(tmp_path, tracks={"plus": ["a.bw", "b.bw"], "minus": ["m.bw"]}, transform="log10_1")
    # From 400 on of [308, 692), and to 1600 of [1308, 1692).
    expected = [math.log10(1 + 2 * 292), math.log10(1 + 5 * 292), 0, 0]
    np.testing.assert_allclose(genes["expression_rna"], expected)
    assert words == (
        "log10(mean of sum over the bases [TSS - 192, TSS + 192) in tracks (plus: a.bw, b.bw; minus: m.bw) + 1)"
    )


def test_ctss(tmp_path: Path) -> None:
    for name, counts in (("a", (2, 8)), ("b", (4, 0))):
        rows = [("chr1", 499, counts[0], "+"), ("chr1", 1_500, counts[1], "-"), ("chr1", 1_500, 99, "+")]
        text = "".join(f"{chrom}\t{at}\t{at + 1}\tx\t{count}\t{strand}\n" for chrom, at, count, strand in rows)
        (tmp_path / f"{name}.ctss.bed").write_text(text)
    genes, words = expression(tmp_path, tracks={"ctss": ["a.ctss.bed", "b.ctss.bed"]})
    assert genes["expression_rna"].tolist() == [3, 4, 0, 0]
    assert words == "mean of sum over the bases [TSS - 192, TSS + 192) in tracks (ctss: a.ctss.bed, b.ctss.bed)"


def test_half_life_by_other_ids(tmp_path: Path) -> None:
    rows = [["id", "Gene name", *HALF_LIFE_FEATURES]]
    rows += [[name, label, *["0.5"] * 8] for name, label in (("ENSG1", "A"), ("ENSG2.1", ""), ("ENSG4.9", "D"))]
    (tmp_path / "h.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    settings = config(tmp_path, half_life={"table": "h.csv", "id": "id"})
    filters = Filters()
    genes, words = add_half_life(GENES, settings, None, None, filters)
    assert genes["gene_id"].tolist() == ["ENSG1.4", "ENSG2", "ENSG4"]
    assert genes["gene_name"].tolist() == ["A", "ENSG2", "D"]
    assert (genes[list(HALF_LIFE_FEATURES)] == 0.5).all(axis=None) and words["CDSGC"] == "column CDSGC as given"
    assert [(step.before, step.after) for step in filters.steps] == [(4, 3)]
    # Names that the gene list has stay.
    named, _ = add_half_life(GENES.assign(gene_name=["P", "Q", "R", "S"]), settings, None, None, Filters())
    assert named["gene_name"].tolist() == ["P", "Q", "S"]
    assert add_half_life(GENES, config(tmp_path), None, None, filters)[0]["gene_name"].tolist()[0] == "ENSG1.4"
    assert "gene_name" not in GENES
