"""What the tests of several commands share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command sets up logging for the process; the next test must not notice."""
    logger = logging.getLogger("epinformer")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture(autouse=True)
def _any_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Help is wrapped to the width of the terminal, which may be that of whoever runs the tests."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """A small table as `epinformer predict` writes it."""
    path = tmp_path / "predictions.tsv"
    rows = [f"g{i}\tchr{1 + i % 3}\t{100 * i}\t+\t{1 + i % 3}\t{i % 7}\t{i % 5}" for i in range(30)]
    path.write_text("gene_id\tchrom\ttss\tstrand\tfold\tobserved\tpredicted\n" + "\n".join(rows) + "\n")
    return path
