from __future__ import annotations

import io
import logging
import sys

import pytest
from rich.console import Console

from epinformer.cli import console as module
from epinformer.errors import OutputError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    # Whatever the tests themselves run in.
    environment = {"TERM": "xterm"}
    console = Console(file=stream, force_terminal=True, width=80, _environ=environment)
    monkeypatch.setattr(module, "console", console)
    return stream


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=False, width=80, markup=False, _environ={})
    monkeypatch.setattr(module, "console", console)
    return stream


def test_quick_work_shows_no_bar(clock: Clock, terminal: io.StringIO) -> None:
    module.setup_logging()
    with module.progress("counting") as show:
        for done in range(100):
            clock.now = done * 0.0199
            show(done, 100)
        clock.now = 2.5
        show(100, 100)
    assert terminal.getvalue() == ""


def test_slow_work_shows_a_bar_and_takes_it_away(clock: Clock, terminal: io.StringIO) -> None:
    module.setup_logging()
    with module.progress("counting") as show:
        show(1, 100)
        clock.now = 2.1
        show(30, 100)
        assert terminal.getvalue() != ""
        show(60, 100)
    text = terminal.getvalue()
    assert "counting" in text
    assert "60/100" in text
    assert text.endswith("\x1b[2K"), "the bar's line is erased"


def test_without_a_terminal_a_line_every_ten_seconds(clock: Clock, pipe: io.StringIO) -> None:
    module.setup_logging()
    with module.progress("counting") as show:
        for second in range(26):
            clock.now = float(second)
            show(second * 1000, 26_000)
    assert pipe.getvalue() == "counting: 10,000 of 26,000\ncounting: 20,000 of 26,000\n"


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_quiet_shows_neither(clock: Clock, kind: str, request: pytest.FixtureRequest) -> None:
    stream = request.getfixturevalue(kind)
    module.setup_logging(logging.WARNING)
    with module.progress("counting") as show:
        clock.now = 60.0
        show(1, 100)
    assert stream.getvalue() == ""


def test_the_bar_goes_when_the_work_fails(clock: Clock, terminal: io.StringIO) -> None:
    module.setup_logging()
    with pytest.raises(ZeroDivisionError), module.progress("counting") as show:
        clock.now = 3.0
        show(1, 100)
        raise ZeroDivisionError
    assert terminal.getvalue().endswith("\x1b[2K")


def test_results_go_to_stdout_if_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.result_stream() is sys.stdout
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="stdout: is closed.*Redirect stdout"):
        module.result_stream()


def test_messages_are_plain_lines(pipe: io.StringIO) -> None:
    for _ in range(2):
        module.setup_logging()
    log = logging.getLogger("epinformer.somewhere")
    log.debug("not shown")
    log.info("kept %d of %d [genes] %s", 1, 2, "x" * 100)
    log.warning("odd")
    assert pipe.getvalue() == "kept 1 of 2 [genes] " + "x" * 100 + "\nwarning: odd\n"
