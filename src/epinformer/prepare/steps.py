"""A record of what each filter keeps, and progress over steps of known share."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from epinformer.dataset.store import FilterStep

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


class Filters:
    """Filter steps in the order they were applied; each is logged."""

    def __init__(self) -> None:
        self.steps: list[FilterStep] = []

    def record(self, table: str, step: str, before: int, after: int) -> None:
        """Note that `after` of `before` rows of a table were kept, the others being `step`."""
        self.steps.append(FilterStep(table=table, step=step, before=before, after=after))
        logger.info("kept %s of %s %s: %s %s", f"{after:,}", f"{before:,}", table, f"{before - after:,}", step)

    def keep(self, table: str, step: str, kept: np.ndarray) -> np.ndarray:
        """Record a boolean mask of kept rows, and give it back."""
        self.record(table, step, len(kept), int(kept.sum()))
        return kept


class Share:
    """Reports progress of consecutive steps, each with its share of the whole, in percent."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._from = 0.0
        self._to = 0.0

    def step(self, share: float) -> None:
        """Finish the current step and begin one that is this share (0..1) of the whole."""
        self._from = self._to
        self._to = min(1.0, self._from + share)
        self.report(0, 1)

    def report(self, done: int, total: int) -> None:
        """How far the current step is."""
        if self._progress is not None:
            part = done / total if total else 1.0
            self._progress(round(100 * (self._from + (self._to - self._from) * part)), 100)
