from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.dataset import folds

CHROMOSOMES = [str(i) for i in range(1, 23)] + ["X", "Y"]


def test_every_chromosome_is_tested_once_and_never_validated_in_the_same_fold() -> None:
    tested = [name for fold in folds.paper_folds() for name in fold.test]
    assert sorted(tested) == sorted(CHROMOSOMES)
    for fold in folds.paper_folds():
        assert len(fold.test) == len(fold.validation) == 2
        assert not fold.test & fold.validation


def test_folds_are_numbered_from_one_in_order() -> None:
    assert [fold.number for fold in folds.paper_folds()] == list(range(1, 13))


def test_the_rule_of_the_paper_at_its_ends() -> None:
    by_number = {fold.number: fold for fold in folds.paper_folds()}
    assert by_number[1] == (1, {"2", "12"}, {"1", "11"})
    assert by_number[10] == (10, {"11", "21"}, {"10", "20"})
    assert by_number[11] == (11, {"22", "X"}, {"3", "21"})
    assert by_number[12] == (12, {"1", "Y"}, {"2", "22"})


def test_names_with_and_without_chr_are_the_same() -> None:
    fold = folds.paper_folds()[10]
    assert list(fold.split(["chr22", "22", "chrX", "X", "chr3", "21", "1", "chrM"])) == (
        ["test"] * 4 + ["validation"] * 2 + ["train"] * 2
    )
    assert list(folds.test_fold(["chr1", "1", "chrY", "2"])) == [12, 12, 12, 1]


def test_chromosomes_of_no_fold_are_missing() -> None:
    numbers = folds.test_fold(["chrM", "chr22", "chr1_KI270706v1_random", "KI270728.1", "chr23"])
    assert numbers.dtype == "Int64"
    assert list(pd.isna(numbers)) == [True, False, True, True, True]
    assert list(folds.test_fold([])) == []
    assert list(pd.isna(folds.test_fold(["chrM"]))) == [True]


def test_a_frame_with_any_index_takes_the_result() -> None:
    table = pd.DataFrame({"chrom": ["chr22", "chr2"]}, index=[7, 3])
    table["fold"] = folds.test_fold(table["chrom"])
    assert list(table["fold"]) == [11, 1]


@pytest.mark.real_data
def test_the_rule_gives_the_authors_split_of_every_gene(shared_data: Path) -> None:
    table = pd.read_csv(
        shared_data / "k562" / "leave_chrom_out_crossvalidation_split_18377genes.csv.gz", dtype={"chrom": str}
    )
    assert len(table) == 18_377
    for fold in folds.paper_folds():
        theirs = table[f"fold_{fold.number}"].replace("valid", "validation")
        assert np.array_equal(fold.split(table["chrom"]), theirs.to_numpy(dtype=object))
        assert np.array_equal(folds.test_fold(table["chrom"]) == fold.number, theirs == "test")
