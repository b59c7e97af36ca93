from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from epinformer.errors import InputError
from epinformer.evaluation.expression import evaluate

HEADER = "gene_id\tchrom\ttss\tstrand\tfold\tobserved\tpredicted\n"


def table(genes: int = 60, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    chroms = generator.choice([f"chr{i}" for i in (*range(1, 23), "X")], genes)
    observed = generator.normal(size=genes)
    return pd.DataFrame(
        {
            "gene_id": [f"g{i}" for i in range(genes)],
            "chrom": chroms,
            "tss": 1,
            "strand": "+",
            "fold": pd.array([{"chrX": 11, "chr22": 11, "chr2": 1}.get(name, pd.NA) for name in chroms], "Int64"),
            "observed": observed,
            "predicted": observed + generator.normal(size=genes),
            "model_sd": 0.1,
        }
    )


def written(path: Path, text: str) -> Path:
    path.write_text(HEADER + text)
    return path


def test_metrics_are_those_of_scipy_over_the_right_genes() -> None:
    data = table(300)
    result = evaluate(data, bootstraps=20)

    def check(genes: pd.DataFrame, n: int, pearson: float, spearman: float, r2: float) -> None:
        x, y = genes["observed"], genes["predicted"]
        assert n == len(genes)
        assert pearson == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
        assert spearman == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
        assert r2 == pytest.approx(1 - ((x - y) ** 2).sum() / ((x - x.mean()) ** 2).sum())

    check(data, *result.pooled)
    assert list(result.per_fold) == ["1", "11"]
    for name, metrics in result.per_fold.items():
        check(data[data["fold"] == int(name)], *metrics)
    assert list(result.per_chromosome) == [f"chr{i}" for i in (*range(1, 23), "X")]
    for name, metrics in result.per_chromosome.items():
        check(data[data["chrom"] == name], *metrics)
    assert sum(metrics.n for metrics in result.per_chromosome.values()) == result.pooled.n == result.genes == 300


def test_file_and_frame_give_the_same(tmp_path: Path) -> None:
    data = table()
    plain, zipped = tmp_path / "p.tsv", tmp_path / "p.tsv.gz"
    data.to_csv(plain, sep="\t", index=False)
    data.to_csv(zipped, sep="\t", index=False)
    expected = evaluate(data, bootstraps=50).to_dict()
    assert evaluate(plain, bootstraps=50).to_dict() == expected
    assert evaluate(str(zipped), bootstraps=50).to_dict() == expected


def test_interval_is_that_of_drawing_chromosomes_one_by_one() -> None:
    data = table(200, seed=1)
    result = evaluate(data, bootstraps=2000)
    groups = [group for _, group in data.groupby("chrom")]
    generator = np.random.default_rng(9)
    drawn = []
    for _ in range(1000):
        sample = pd.concat([groups[i] for i in generator.integers(0, len(groups), len(groups))])
        drawn.append(np.corrcoef(sample["observed"], sample["predicted"])[0, 1])
    interval = result.intervals["pearson"]
    assert interval is not None
    assert result.pooled.pearson is not None
    assert interval.low < result.pooled.pearson < interval.high
    assert interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.015)


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert evaluate(table(), seed=3).intervals == evaluate(table(), seed=3).intervals
    assert evaluate(table(), seed=3).intervals != evaluate(table(), seed=4).intervals


def test_genes_without_observation_are_counted_and_left_out() -> None:
    data = table()
    whole = evaluate(data.iloc[5:], bootstraps=10)
    data.loc[:4, "observed"] = np.nan
    result = evaluate(data, bootstraps=10)
    assert (result.genes, result.without_observed, result.pooled) == (60, 5, whole.pooled)
    assert len(result.table) == 55


@pytest.mark.parametrize("blank", ["", "NA", "nan"])
def test_blanks_of_a_file_are_missing(tmp_path: Path, blank: str) -> None:
    path = written(tmp_path / "p.tsv", f"a\t1\t1\t+\t{blank}\t1\t2\nb\t2\t1\t+\t1\t{blank}\t2\nc\t1\t1\t+\t12\t3\t4\n")
    result = evaluate(path, bootstraps=10)
    assert (result.genes, result.without_observed, result.pooled.n) == (3, 1, 2)
    assert list(result.per_fold) == ["12"]


def test_folds_written_as_floats_are_the_same_folds() -> None:
    data = table()
    assert list(evaluate(data.assign(fold=data["fold"].astype(float)), bootstraps=10).per_fold) == ["1", "11"]


def test_one_chromosome_has_no_interval_and_says_so() -> None:
    result = evaluate(table().assign(chrom="chr22"))
    assert result.pooled.pearson is not None
    assert set(result.intervals.values()) == {None}
    assert any("one chromosome" in note for note in result.notes)


def test_few_chromosomes_are_said() -> None:
    data = table()
    result = evaluate(data.assign(chrom=np.where(data.index < 30, "chr1", "chr2")), bootstraps=200)
    assert result.intervals["pearson"] is not None
    assert any("only 2 chromosomes" in note for note in result.notes)


@pytest.mark.parametrize("column", ["observed", "predicted"])
def test_constant_values_are_null_and_said(column: str) -> None:
    result = evaluate(table().assign(**{column: 0.1}), bootstraps=10)
    assert (result.pooled.pearson, result.pooled.spearman) == (None, None)
    assert (result.pooled.r2 is None) == (column == "observed")
    assert result.intervals["pearson"] is None
    assert any(f"{column} is the same" in note for note in result.notes)


@pytest.mark.parametrize("column", ["observed", "predicted"])
@pytest.mark.parametrize("value", [1e308, -1e308, 1e160])
def test_too_large_to_square_is_null_and_said(column: str, value: float) -> None:
    data = table()
    data.loc[3, column] = value
    result = evaluate(data, bootstraps=10)
    assert (result.pooled.pearson, result.pooled.r2) == (None, None)
    assert result.pooled.spearman is not None
    note = next(note for note in result.notes if note.startswith("pearson, r2 undefined"))
    assert f"{column} reaches {abs(value):.3g}" in note


def test_a_chromosome_in_two_styles_is_one(caplog: pytest.LogCaptureFixture) -> None:
    data = table().assign(chrom=["chr22", "22"] * 30)
    with caplog.at_level(logging.INFO):
        result = evaluate(data)
    assert "1 chromosomes are named in two ways (22 is chr22)" in caplog.text
    assert result.chromosomes == 1
    assert list(result.per_chromosome) == ["chr22"]
    assert set(result.intervals.values()) == {None}
    assert list(evaluate(data.assign(chrom=["2", "X"] * 30), bootstraps=10).per_chromosome) == ["2", "X"]


def test_one_gene_is_null_and_said() -> None:
    result = evaluate(table(1))
    assert result.pooled == (1, None, None, None)
    assert any("fewer than two genes" in note for note in result.notes)


def test_another_scale_is_said() -> None:
    data = table()
    data["predicted"] = 0.5 * data["predicted"]
    assert not any("shifted or stretched" in note for note in evaluate(data, bootstraps=10).notes)
    other = evaluate(data.assign(predicted=10 + 5 * data["predicted"]), bootstraps=10)
    assert any("shifted or stretched" in note for note in other.notes)
    assert other.pooled.pearson == pytest.approx(evaluate(data, bootstraps=10).pooled.pearson)


def test_json_has_no_nan() -> None:
    for data in (table(), table(1), table().assign(predicted=1.0)):
        result = evaluate(data, bootstraps=10).to_dict()
        text = json.dumps(result, allow_nan=False)
        assert json.loads(text) == result
    assert result["pooled"]["pearson"] is None


def test_the_input_is_not_changed() -> None:
    data = table()
    before = data.copy()
    evaluate(data, bootstraps=10)
    pd.testing.assert_frame_equal(data, before)


class TestBadInput:
    def test_missing_column(self, tmp_path: Path) -> None:
        path = tmp_path / "p.tsv"
        path.write_text("gene_id\tchrom\tfold\tpredicted\na\t1\t1\t2\n")
        with pytest.raises(InputError, match=r"p\.tsv: lacks the column observed"):
            evaluate(path)
        with pytest.raises(InputError, match="observed, predicted"):
            evaluate(table().drop(columns=["observed", "predicted"]))

    @pytest.mark.parametrize("text", ["", HEADER])
    def test_empty_file(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "p.tsv").write_text(text)
        with pytest.raises(InputError, match=r"p\.tsv: (is empty|holds no rows)"):
            evaluate(tmp_path / "p.tsv")

    def test_empty_frame(self) -> None:
        with pytest.raises(InputError, match="holds no rows"):
            evaluate(table().head(0))

    def test_no_such_file_and_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such file"):
            evaluate(tmp_path / "p.tsv")
        with pytest.raises(InputError, match="directory"):
            evaluate(tmp_path)

    def test_truncated_gzip(self, tmp_path: Path) -> None:
        table(500).to_csv(tmp_path / "whole.tsv.gz", sep="\t")
        (tmp_path / "p.tsv.gz").write_bytes((tmp_path / "whole.tsv.gz").read_bytes()[:-200])
        with pytest.raises(InputError, match=r"p\.tsv\.gz: is truncated"):
            evaluate(tmp_path / "p.tsv.gz")

    def test_not_gzip_and_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "p.tsv.gz").write_text(HEADER)
        with pytest.raises(InputError, match="not gzip"):
            evaluate(tmp_path / "p.tsv.gz")
        (tmp_path / "p.tsv").write_bytes(gzip.compress(b"\xff\xfe\x00\x01" * 50))
        with pytest.raises(InputError, match=r"p\.tsv"):
            evaluate(tmp_path / "p.tsv")

    @pytest.mark.parametrize("column", ["observed", "predicted"])
    @pytest.mark.parametrize("value", ["high", "inf", "-inf"])
    def test_not_a_finite_number(self, tmp_path: Path, column: str, value: str) -> None:
        data = table().astype({column: object})
        data.loc[[7, 9], column] = value
        data.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
        with pytest.raises(InputError, match=f"{column}.*finite number.*2 affected; first: line 9"):
            evaluate(tmp_path / "p.tsv")
        with pytest.raises(InputError, match=f"{column}.*finite number.*2 affected; first: g7, row 8"):
            evaluate(data)

    def test_missing_prediction(self, tmp_path: Path) -> None:
        data = table()
        data.loc[3, "predicted"] = np.nan
        data.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
        for given in (data, tmp_path / "p.tsv"):
            with pytest.raises(InputError, match="predicted.*1 affected"):
                evaluate(given)

    def test_a_gene_twice(self) -> None:
        data = pd.concat([table(), table().iloc[[4, 8]]])
        with pytest.raises(InputError, match="more than once.*2 affected; first: g4, row 61"):
            evaluate(data)

    def test_a_gene_without_name_or_chromosome(self, tmp_path: Path) -> None:
        path = written(tmp_path / "p.tsv", "a\t1\t1\t+\t1\t1\t2\n\t1\t1\t+\t1\t1\t2\n")
        with pytest.raises(InputError, match="gene_id is missing.*1 affected; first: row 2"):
            evaluate(path)
        path = written(tmp_path / "p.tsv", "a\t\t1\t+\t1\t1\t2\n")
        with pytest.raises(InputError, match="chrom is missing.*1 affected; first: a, row 1"):
            evaluate(path)

    def test_nothing_observed(self) -> None:
        with pytest.raises(InputError, match="no gene has an observed value"):
            evaluate(table().assign(observed=np.nan))


@pytest.mark.real_data
def test_published_predictions_of_k562(shared_data: Path) -> None:
    """The pooled Pearson of 0.844 that the data's README measured."""
    predictions = pd.read_csv(shared_data / "k562" / "rna_expression_and_published_predictions.csv.gz")
    split = pd.read_csv(
        shared_data / "k562" / "leave_chrom_out_crossvalidation_split_18377genes.csv.gz", dtype={"chrom": str}
    )
    merged = predictions.merge(split[["ENSID", "chrom"]], on="ENSID").rename(
        columns={"ENSID": "gene_id", "actual": "observed", "Pred": "predicted", "fold_idx": "fold"}
    )
    result = evaluate(merged, bootstraps=50)
    assert result.pooled.n == 18_377
    assert result.pooled.pearson == pytest.approx(0.844, abs=5e-4)
    assert len(result.per_fold) == 12
