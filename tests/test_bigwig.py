from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pybigtools
import pytest

from epinformer import bigwig
from epinformer.bigwig import write_bigwig_file

INTERVALS = [("chr1", 0, 50, 1.0), ("chr1", 100, 130, -2.0), ("chr2", 5, 6, 0.5)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_bigwig_file(tmp_path / "a.bw", {"chr1": 1_000, "chr2": 10}, INTERVALS)
    return tmp_path / "a.bw"


def test_has_the_intervals(written: Path) -> None:
    with pybigtools.open(str(written)) as reader:
        found = [(chrom, *record) for chrom in reader.chroms() for record in reader.records(chrom)]
    assert found == INTERVALS


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("error", [ZeroDivisionError("x"), KeyboardInterrupt()])
def test_an_error_between_two_intervals_is_raised(tmp_path: Path, first: int, error: BaseException) -> None:
    def failing() -> Iterator[tuple[str, int, int, float]]:
        yield from INTERVALS[:first]
        raise error

    with pytest.raises(type(error)):
        write_bigwig_file(tmp_path / "a.bw", {"chr1": 1_000, "chr2": 10}, failing())


def test_a_file_that_was_not_finished_is_noticed(written: Path) -> None:
    bigwig._refuse_incomplete(written, 81)
    with pytest.raises(OSError, match="Input/output error"):
        bigwig._refuse_incomplete(written, 82)
    written.write_bytes(bytes(64))
    with pytest.raises(OSError, match="Input/output error"):
        bigwig._refuse_incomplete(written, 81)
    assert [path.name for path in written.parent.iterdir()] == ["a.bw"]
