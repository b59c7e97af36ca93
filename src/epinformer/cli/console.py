"""What the commands say while they work: messages and progress, all on stderr, so that stdout is results only."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from epinformer.errors import OutputError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

console = Console(stderr=True, highlight=False, emoji=False, markup=False)
_log = logging.getLogger(__name__)

OTHER_STDOUT = "Redirect stdout to a file or a pipe, or name a file with -o where the command has it"

# A bar that flashes up and goes says nothing.
_DELAY_S = 2.0
# Without a terminal a line now and then shows that the job lives.
_LINE_EVERY_S = 10.0


class _Messages(logging.Handler):
    """Log records as plain lines on stderr, in step with a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        try:
            console.print(prefix + self.format(record), soft_wrap=True)
        except Exception:
            self.handleError(record)


def setup_logging(level: int = logging.INFO) -> None:
    """Send the package's log messages of ``level`` and above to stderr."""
    logger = logging.getLogger("epinformer")
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _Messages)]
    logger.addHandler(_Messages())
    logger.setLevel(level)
    logger.propagate = False


def result_stream() -> TextIO:
    """Give stdout, for results; to be asked for before the work, so that none is done for nothing.

    Raises
    ------
    OutputError
        The caller closed stdout (``>&-``).
    """
    # What the type of `sys.stdout` does not say: Python has None where the descriptor is closed.
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise OutputError("is closed, and the results go there", source="stdout", fix=OTHER_STDOUT)
    return stream


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total) that shows how far the work is, once it has taken two seconds.

    On a terminal that is a bar, which goes when the work is done; elsewhere a line every ten seconds. ``--quiet`` shows
    neither.
    """
    meter = _Meter(description)
    try:
        yield meter
    finally:
        meter.close()


class _Meter:
    """The function that `progress` yields."""

    def __init__(self, description: str) -> None:
        self.description = description
        self.started = time.monotonic()
        self.spoken = self.started
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=done, total=total)
        elif now - self.started < _DELAY_S or done >= total or not _log.isEnabledFor(logging.INFO):
            return
        elif console.is_terminal:
            self._open(done, total)
        elif now - self.spoken >= _LINE_EVERY_S:
            self.spoken = now
            _log.info("%s: %s of %s", self.description, f"{done:,}", f"{total:,}")

    def _open(self, done: int, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.task = self.bar.add_task(self.description, completed=done, total=total)
        self.bar.start()

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
