from __future__ import annotations

import pickle

import pytest

from epinformer import errors
from epinformer.errors import EpinformerError, InputError


def test_a_full_message_names_file_count_first_and_fix() -> None:
    error = InputError(
        "starts are not below ends", source="peaks.bed", count=1200, first="chr1:5-4", fix="Drop these rows"
    )
    assert str(error) == "peaks.bed: starts are not below ends (1,200 affected; first: chr1:5-4). Drop these rows."


def test_a_bare_problem_is_a_sentence() -> None:
    assert str(EpinformerError("no gene is left")) == "no gene is left."


def test_stops_given_by_the_caller_are_not_doubled() -> None:
    assert str(EpinformerError("no gene is left.", fix="Loosen the filter.")) == "no gene is left. Loosen the filter."


@pytest.mark.parametrize("first", ["x" * 10_000, "word " * 10_000, "two\nlines\tand more"])
def test_the_first_offender_is_one_short_line(first: str) -> None:
    message = str(InputError("is odd", first=first))
    assert len(message) < 300
    assert "\n" not in message


def test_falsy_offenders_are_shown() -> None:
    assert "0 affected; first: 0" in str(InputError("is odd", count=0, first=0))


def test_parts_are_kept_for_callers() -> None:
    error = InputError("is odd", source="a.tsv", count=3, first="g1", fix="Mend it")
    assert (error.problem, error.source, error.count, error.first, error.fix) == ("is odd", "a.tsv", 3, "g1", "Mend it")


def test_every_error_is_caught_by_the_base_class() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(classes) == 9
    assert all(issubclass(value, EpinformerError) for value in classes)


def test_the_message_survives_another_process() -> None:
    error = InputError("is odd", source="a.tsv", count=3, fix="Mend it")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
