"""bigWig files, written with nothing lost on the way."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pybigtools

from epinformer.files import write_failure


def write_bigwig_file(path: Path, lengths: Mapping[str, int], intervals: Iterable[tuple[str, int, int, float]]) -> None:
    """Write a bigWig file.

    Parameters
    ----------
    path
        The file, which has no value of its own until this returns.
    lengths
        Chromosome -> bp.
    intervals
        At least one; chromosome, start, end (0-based half-open, inside the chromosome), value: by start, and the
        intervals of a chromosome together.

    Raises
    ------
    OSError
        The file cannot be written.
    BaseException
        What ``intervals`` raises.
    """
    every = iter(intervals)
    # The writer prints that it was given nothing, also where the first interval cannot be had.
    first = next(every)
    covered = 0
    failed: list[BaseException] = []

    def passing() -> Iterator[tuple[str, int, int, float]]:
        nonlocal covered
        # The writer asks for these, and hides what goes wrong in between.
        try:
            for interval in itertools.chain([first], every):
                covered += interval[2] - interval[1]
                yield interval
        except GeneratorExit:
            covered = -1  # nobody wanted the rest
            raise
        except BaseException as error:
            failed.append(error)

    try:
        pybigtools.open(str(path), "w").write(dict(lengths), passing())
    except BaseException as error:
        # Its threads may panic over a full disk, which is no Exception.
        if not failed and type(error).__name__ == "PanicException":
            raise write_failure(path) from error
        if not failed:
            raise
    if failed:
        raise failed[0]
    _refuse_incomplete(path, covered)


def _refuse_incomplete(path: Path, covered: int) -> None:
    """Raise OSError if a file does not have all that it was given: its writer only prints when a disk is full."""
    try:
        with pybigtools.open(str(path)) as reader:
            found = reader.info()["summary"]["basesCovered"]
    except (OSError, ValueError, KeyError, pybigtools.BBIReadError) as error:
        raise write_failure(path) from error
    if found != covered:
        raise write_failure(path)
