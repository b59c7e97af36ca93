"""Errors for bad input. The command line shows their message and no traceback."""

from __future__ import annotations

import textwrap
from pathlib import Path


class EpinformerError(Exception):
    """Bad input or a refused operation, told so that the user can mend it.

    Parameters
    ----------
    problem
        What is wrong, as a clause without a full stop ("starts are not below ends").
    source
        The file, directory or setting at fault.
    count
        How many rows (or items) are affected.
    first
        The first offender, as the user would find it in the file.
    fix
        What to do about it, as a sentence without a full stop.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | Path | None = None,
        count: int | None = None,
        first: object = None,
        fix: str | None = None,
    ) -> None:
        self.problem = problem.rstrip(".")
        self.source = None if source is None else str(source)
        self.count = count
        self.first = first
        self.fix = None if fix is None else fix.rstrip(".")
        super().__init__(self._message())

    def _message(self) -> str:
        details = []
        if self.count is not None:
            details.append(f"{self.count:,} affected")
        if self.first is not None:
            # One line, however long or broken the offender is: a mistaken binary file has "lines" of megabytes.
            details.append(f"first: {textwrap.shorten(str(self.first), 200, placeholder='...')}")
        message = f"{self.source}: {self.problem}" if self.source else self.problem
        if details:
            message += f" ({'; '.join(details)})"
        if self.fix:
            message += f". {self.fix}"
        return message + "."


class ConfigError(EpinformerError):
    """A setting that is missing, misspelt or out of range."""


class InputError(EpinformerError):
    """A user's file that cannot be read or contradicts another."""


class DatasetError(EpinformerError):
    """A dataset directory that is damaged or lacks what is asked of it."""


class ModelError(EpinformerError):
    """A checkpoint that cannot be read, or a model that does not fit its data."""


class OutputError(EpinformerError):
    """A result that cannot be written."""


class TrainingError(EpinformerError):
    """Training that cannot go on."""


class LeakageError(EpinformerError):
    """A model that would be judged on what it has learned from."""


class FetchError(EpinformerError):
    """A published file that cannot be downloaded, or is not what was published."""
