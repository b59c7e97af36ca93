from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.dataset import folds
from epinformer.dataset.folds import Fold
from epinformer.errors import ConfigError

CHROMOSOMES = [str(i) for i in range(1, 23)] + ["X", "Y"]


def test_every_chromosome_is_tested_once_and_never_validated_in_the_same_fold() -> None:
    tested = [name for fold in folds.paper_folds() for name in fold.test]
    assert sorted(tested) == sorted(CHROMOSOMES)
    for fold in folds.paper_folds():
        assert len(fold.test) == len(fold.validation) == 2
        assert not fold.test & fold.validation


def test_folds_are_numbered_from_one_in_order() -> None:
    assert [fold.name for fold in folds.paper_folds()] == [str(i) for i in range(1, 13)]


def test_the_rule_of_the_paper_at_its_ends() -> None:
    by_name = {fold.name: fold for fold in folds.paper_folds()}
    assert by_name["1"] == ("1", {"2", "12"}, {"1", "11"})
    assert by_name["10"] == ("10", {"11", "21"}, {"10", "20"})
    assert by_name["11"] == ("11", {"22", "X"}, {"3", "21"})
    assert by_name["12"] == ("12", {"1", "Y"}, {"2", "22"})


def test_names_with_and_without_chr_are_the_same() -> None:
    fold = folds.paper_folds()[10]
    assert list(fold.split(["chr22", "22", "chrX", "X", "chr3", "21", "1", "chrM"])) == (
        ["test"] * 4 + ["validation"] * 2 + ["train"] * 2
    )
    assert list(folds.test_fold(["chr1", "1", "chrY", "2"])) == ["12", "12", "12", "1"]


def test_chromosomes_of_no_fold_are_missing() -> None:
    numbers = folds.test_fold(["chrM", "chr22", "chr1_KI270706v1_random", "KI270728.1", "chr23"])
    assert numbers.dtype == "str"
    assert list(pd.isna(numbers)) == [True, False, True, True, True]
    assert list(folds.test_fold([])) == []
    assert list(pd.isna(folds.test_fold(["chrM"]))) == [True]


def test_a_frame_with_any_index_takes_the_result() -> None:
    table = pd.DataFrame({"chrom": ["chr22", "chr2"]}, index=[7, 3])
    table["fold"] = folds.test_fold(table["chrom"])
    assert list(table["fold"]) == ["11", "1"]


@pytest.mark.real_data
def test_the_rule_gives_the_authors_split_of_every_gene(shared_data: Path) -> None:
    table = pd.read_csv(
        shared_data / "k562" / "leave_chrom_out_crossvalidation_split_18377genes.csv.gz", dtype={"chrom": str}
    )
    assert len(table) == 18_377
    for fold in folds.paper_folds():
        theirs = table[f"fold_{fold.name}"].replace("valid", "validation")
        assert np.array_equal(fold.split(table["chrom"]), theirs.to_numpy(dtype=object))
        assert np.array_equal(folds.test_fold(table["chrom"]) == fold.name, theirs == "test")


def test_a_chromosome_is_left_out_at_a_time() -> None:
    made = folds.chromosome_folds(["chr2", "chr10", "X", "chr2", "10"])
    assert [(fold.name, set(fold.test), set(fold.validation)) for fold in made] == [
        ("2", {"2"}, {"10"}),
        ("10", {"10"}, {"X"}),
        ("X", {"X"}, {"2"}),
    ]
    folds.check_folds(made)
    with pytest.raises(ConfigError, match="needs three, and the genes lie on 2"):
        folds.chromosome_folds(["1", "chr1", "2"])


def test_what_a_fold_has_seen() -> None:
    fold = folds.paper_folds()[10]
    chroms = ["chr22", "X", "3", "chr1", "M"]
    assert list(fold.seen(chroms)) == [False, False, True, True, True]
    assert list(fold.seen(chroms, validation=False)) == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "no fold"),
        ([("a", "1", "2"), ("a", "3", "4")], "fold a is there twice"),
        ([("a/b", "1", "2")], "no name for a fold"),
        ([("", "1", "2")], "no name for a fold"),
        ([("a", "", "2")], "fold a tests no chromosome"),
        ([("a", "1", "")], "fold a validates on no chromosome"),
        ([("a", "12", "2")], r"tests what it validates on \(1 affected; first: 2\)"),
        ([("a", "12", "3"), ("b", "2", "4")], "chromosome 2 is tested in two folds, a and b"),
    ],
)
def test_folds_that_cannot_be_meant(made: list[tuple[str, str, str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        folds.check_folds([Fold(name, frozenset(test), frozenset(validation)) for name, test, validation in made])


def test_the_folds_of_the_paper_can_be_meant() -> None:
    folds.check_folds(folds.paper_folds())
