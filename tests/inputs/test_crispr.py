from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.inputs.crispr import read_crispr

ROWS = [
    ("chr1", 100, 200, "A", "ENSG01.3", 1150, 1000, "TRUE", "TRUE", -0.5, "K562", 0.9),
    ("chr1", 300, 400, "A", "ENSG01.3", 1150, 800, "FALSE", "TRUE", 0.1, "K562", 0.7),
    ("chr2", 100, 200, "B", "ENSG02.1", 9150, 9000, "FALSE", "overlaps potential promoter", 0.0, "K562", 0.9),
    ("chr2", 500, 500, "B", "ENSG02.1", 9150, 8650, "FALSE", "TRUE", -0.1, "K562", 0.9),
]
COLUMNS = [
    *("chrom", "chromStart", "chromEnd", "measuredGeneSymbol", "measuredGeneEnsemblId", "startTSS", "distanceToTSS"),
    *("Regulated", "ValidConnection", "EffectSize", "CellType", "PowerAtEffectSize25"),
]


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=COLUMNS).assign(**columns)


def written(folder: Path, data: pd.DataFrame) -> Path:
    path = folder / "crispr.tsv"
    data.to_csv(path, sep="\t", index=False)
    return path


def test_valid_pairs_and_their_outcomes_are_apart(tmp_path: Path) -> None:
    read = read_crispr(written(tmp_path, table()))
    assert (read.rows, read.invalid, read.other_cell_types, read.cell_type) == (4, 1, 0, "K562")
    assert read.pairs.index.tolist() == [2, 3, 5]
    assert read.pairs["gene"].tolist() == ["ENSG01", "ENSG01", "ENSG02"]
    assert read.pairs["gene_name"].tolist() == ["A", "A", "B"]
    # A single base that is written as a point.
    assert read.pairs["end"].tolist() == [200, 400, 501]
    assert read.pairs["distance"].tolist() == [1000, 800, 8650]
    assert read.outcomes["regulated"].tolist() == [True, False, False]
    assert read.outcomes["effect_size"].tolist() == [-0.5, 0.1, -0.1]
    assert read.outcomes["power"].tolist() == [0.9, 0.7, 0.9]
    assert not set(read.outcomes) & set(read.pairs)


@pytest.mark.parametrize("zipped", [False, True])
def test_the_table_of_fulco_2019(tmp_path: Path, zipped: bool) -> None:
    text = (
        "chr,start,end,Gene,gene_id,Distance,significant_enhancer,Fraction change in gene expr,Gene TSS,"
        "DHS (RPM),H3K27ac (RPM)\n"
        "chrX,10,20,GATA1,ENSG1,5.5,True,-0.4,21,1.5,2\nchrX,30,40,GATA1,ENSG1,14.5,False,,21,0,3\n"
    )
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    if not zipped:
        path = tmp_path / "t.csv"
        path.write_text(text)
    read = read_crispr(path)
    assert read.pairs["distance"].tolist() == [5.5, 14.5]
    assert read.pairs["dnase_rpm"].tolist() == [1.5, 0] and read.pairs["h3k27ac_rpm"].tolist() == [2, 3]
    assert read.outcomes["regulated"].tolist() == [True, False]
    assert np.isnan(read.outcomes["effect_size"].iloc[1]) and read.cell_type is None


def test_distance_is_computed_where_it_is_not_given(tmp_path: Path) -> None:
    read = read_crispr(written(tmp_path, table().drop(columns="distanceToTSS")))
    assert read.pairs["distance"].tolist() == [1000, 800, 8650]
    read = read_crispr(written(tmp_path, table(distanceToTSS=[-7, None, 5, None], startTSS=[1, 350, 1, None])))
    assert read.pairs["distance"].fillna(-1).tolist() == [7, 0, -1]
    read = read_crispr(written(tmp_path, table().drop(columns=["distanceToTSS", "startTSS"])))
    assert read.pairs["distance"].isna().all()


@pytest.mark.parametrize("flags", [["1", "0", "0", "0"], ["true", "false", "False", "False"]])
def test_ways_to_write_a_label(tmp_path: Path, flags: list[str]) -> None:
    read = read_crispr(written(tmp_path, table(Regulated=flags)))
    assert read.outcomes["regulated"].tolist() == [True, False, False]


def test_genes_by_symbol_only_and_a_column_of_blanks(tmp_path: Path) -> None:
    for data in (table().drop(columns="measuredGeneEnsemblId"), table(measuredGeneEnsemblId="NA")):
        pairs = read_crispr(written(tmp_path, data)).pairs
        assert pairs["gene"].tolist() == ["A", "A", "B"] and "gene_id" not in pairs


def test_one_cell_type_of_several(tmp_path: Path) -> None:
    path = written(tmp_path, table(CellType=["K562", "WTC11", "K562", "K562"]))
    read = read_crispr(path, cell_type="K562")
    assert (len(read.pairs), read.other_cell_types, read.invalid) == (2, 1, 1)
    with pytest.raises(InputError, match=r"crispr.tsv: has pairs of 2 cell types \(K562, WTC11\).*--cell-type"):
        read_crispr(path)
    with pytest.raises(InputError, match="no pairs of the cell type HCT116; it has K562, WTC11"):
        read_crispr(path, cell_type="HCT116")
    with pytest.raises(InputError, match="does not say which cell type"):
        read_crispr(written(tmp_path, table().drop(columns="CellType")), cell_type="K562")


@pytest.mark.parametrize("value", ["maybe", "", "0.5", "2"])
def test_labels_that_are_not_boolean(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match="neither TRUE nor FALSE.*1 affected; first: line 3: chr1 300 400"):
        read_crispr(written(tmp_path, table(Regulated=["TRUE", value, "FALSE", "FALSE"])))


def test_what_a_table_may_not_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tests a pair twice.*1 affected; first: line 3"):
        read_crispr(written(tmp_path, table(chromStart=[100, 100, 1, 1], chromEnd=[200, 200, 9, 9])))
    with pytest.raises(InputError, match="which gene some rows are of.*1 affected; first: line 3"):
        genes = table(measuredGeneSymbol=["A", "", "B", "B"], measuredGeneEnsemblId=["E1", "NA", "E2", "E2"])
        read_crispr(written(tmp_path, genes))
    with pytest.raises(InputError, match="which gene some rows are of"):
        read_crispr(written(tmp_path, table().drop(columns=["measuredGeneSymbol", "measuredGeneEnsemblId"])))
    with pytest.raises(InputError, match="no pair whose ValidConnection is TRUE.*overlaps a gene"):
        read_crispr(written(tmp_path, table(ValidConnection="overlaps a gene")))
    with pytest.raises(InputError, match="lacks the column Regulated or significant_enhancer"):
        read_crispr(written(tmp_path, table().drop(columns="Regulated")))
    with pytest.raises(InputError, match="starts that are not below ends"):
        read_crispr(written(tmp_path, table(chromEnd=50)))


@pytest.mark.real_data
def test_the_real_tables(shared_data: Path) -> None:
    training = read_crispr(shared_data / "crispr/EPCrisprBenchmark_combined_data.training_K562.GRCh38.tsv.gz")
    assert (len(training.pairs), training.outcomes["regulated"].sum()) == (10_356, 471)
    fulco = read_crispr(shared_data / "crispr/EPCrisprBenchmark_Fulco2019_K562_GRCh38.tsv.gz")
    assert (fulco.rows, len(fulco.pairs), fulco.outcomes["regulated"].sum()) == (5_091, 3_852, 101)
    paper = read_crispr(shared_data / "crispr/fulco2019_774pairs_hg19.csv.gz")
    assert (len(paper.pairs), paper.outcomes["regulated"].sum(), paper.pairs["gene"].nunique()) == (774, 107, 45)
