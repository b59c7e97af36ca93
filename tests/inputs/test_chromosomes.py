from __future__ import annotations

import logging

import pytest

from epinformer.errors import InputError
from epinformer.inputs.chromosomes import other_style, reconciled


@pytest.mark.parametrize(
    ("name", "other"),
    [("chr1", "1"), ("22", "chr22"), ("X", "chrX"), ("chrM", "MT"), ("MT", "chrM"), ("2L", "chr2L"), ("chrIV", "IV"),
     ("KI270728.1", None), ("chrUn_KI270302v1", None), ("scaffold_1", None)],
)  # fmt: skip
def test_other_style(name: str, other: str | None) -> None:
    assert other_style(name) == other


def test_names_take_the_reference_style_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        names = reconciled(["1", "MT", "KI1.1", "7"], ["chr1", "chr2"], "folder/a.bed")
    # Also a chromosome that the reference lacks, so that one table does not end with two styles.
    assert names == {"1": "chr1", "MT": "chrM", "KI1.1": "KI1.1", "7": "chr7"}
    assert "a.bed: 3 chromosome names are read in the other files' style (1 as chr1)" in caplog.text
    assert reconciled(["chr1", "chrX"], ["1", "2"], "a") == {"chr1": "1", "chrX": "X"}


@pytest.mark.parametrize("reference", [["chr1"], ["scaffold_1"], []])
def test_nothing_to_do(reference: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert reconciled(["chr1", "chr2_alt"], reference, "a") == {"chr1": "chr1", "chr2_alt": "chr2_alt"}
    assert not caplog.text


def test_scaffolds_say_nothing_about_style() -> None:
    assert reconciled(["1"], ["scaffold_1"], "a") == {"1": "1"}


def test_both_styles_in_one_file() -> None:
    message = r"a\.bed: names chromosomes in two styles \(2 affected; first: 1 beside chr1\)\. Use one"
    with pytest.raises(InputError, match=message):
        reconciled(["1", "chr1", "chr3", "chrX", "X"], ["chr1"], "a.bed")


def test_both_styles_for_different_chromosomes() -> None:
    with pytest.raises(InputError, match=r"two styles \(1 affected; first: chr22 beside 20\)"):
        reconciled(["21", "20", "chr22"], ["chr21", "chr22"], "a.bed")
    # A scaffold has one name only and is of no style.
    assert reconciled(["chr1", "KI270728.1"], ["chr1"], "a.bed")["KI270728.1"] == "KI270728.1"
