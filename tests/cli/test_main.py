from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

import epinformer
from epinformer.cli import main as module
from epinformer.errors import InputError

COMMAND = [sys.executable, "-m", "epinformer"]
SUBCOMMANDS = (
    *("demo", "simulate", "fetch", "check", "prepare", "inspect", "make-qnorm-reference", "pretrain", "train"),
    *("crossval", "import-checkpoint", "import-h5", "predict", "evaluate"),
    *("links", "knockout", "variants", "explain", "motifs", "benchmark-crispr"),
)
HEAVY = (
    "torch",
    "lightning",
    "sklearn",
    "pandas",
    "numpy",
    "pyarrow",
    "scipy",
    "matplotlib",
    "pydantic",
    "pysam",
    "h5py",
    "safetensors",
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let `evaluate` raise what it is given."""

    def breaks_with(error: BaseException) -> None:
        def raising(*arguments: object, **options: object) -> NoReturn:
            raise error

        monkeypatch.setattr("epinformer.evaluation.expression.evaluate", raising)

    return breaks_with


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ()])
def test_help_names_every_command_and_shows_the_flow(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    text = done.stdout + done.stderr
    assert done.returncode == (0 if arguments else 2)
    for name in SUBCOMMANDS:
        assert f"\n  {name} " in text
    assert "epinformer crossval --data k562.dataset -o run" in text


def test_start_up_imports_nothing_heavy() -> None:
    code = f"import sys, epinformer.cli.main; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_command_has_help_with_examples(name: str) -> None:
    result = CliRunner().invoke(module.app, [name, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"epinformer {name} " in result.output


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"epinformer {epinformer.__version__}\n", "")


@pytest.mark.parametrize("arguments", [("nonsense",), ("evaluate",), ("evaluate", "a", "--nonsense")])
def test_wrong_usage_is_two(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert done.stdout == ""


def test_an_expected_error_is_one_line_on_stderr(tmp_path: Path) -> None:
    done = run("evaluate", str(tmp_path / "none.tsv"))
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {tmp_path / 'none.tsv'}: there is no such file")


def test_a_traceback_only_when_asked_for(tmp_path: Path) -> None:
    done = run("--verbose", "evaluate", str(tmp_path / "none.tsv"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_long_and_bracketed_messages_are_shown_as_they_are(broken: Callable) -> None:
    broken(InputError("has [bold]odd[/bold] :smile: rows " + "word " * 100))
    result = CliRunner().invoke(module.app, ["evaluate", "a.tsv"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "[bold]odd[/bold] :smile: rows" in result.stderr


def test_an_error_of_the_system_is_told_without_traceback(broken: Callable) -> None:
    broken(PermissionError(errno.EACCES, "Permission denied", "secret.tsv"))
    result = CliRunner().invoke(module.app, ["evaluate", "a.tsv"])
    assert (result.exit_code, result.stderr) == (1, "error: secret.tsv: Permission denied\n")


def test_ctrl_c_is_130(broken: Callable) -> None:
    broken(KeyboardInterrupt())
    result = CliRunner().invoke(module.app, ["evaluate", "a.tsv"])
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_ctrl_c_in_a_running_command(tmp_path: Path) -> None:
    """The command waits for a pipe's content, and has begun to wait once the pipe can be opened for writing."""
    pipe = tmp_path / "predictions.tsv"
    os.mkfifo(pipe)
    # A shell's background jobs ignore the signal, and their children would, too: the child takes it up again itself,
    # since code between fork and exec can wait for ever on a lock of one of this process's threads.
    heeds = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('epinformer', run_name='__main__')"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", heeds, "evaluate", str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        writer = opened_by_reader(pipe, running)
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=60)
        os.close(writer)
    finally:
        running.kill()
        running.wait()
    assert (running.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr


def opened_by_reader(pipe: Path, reader: subprocess.Popen[str]) -> int:
    """The writing end of a pipe, once the process has opened it for reading."""
    deadline = time.monotonic() + 200
    while reader.poll() is None:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    raise AssertionError(f"ended before it read: {reader.communicate()[1]}")


def test_a_bug_keeps_its_traceback(broken: Callable) -> None:
    broken(ZeroDivisionError())
    result = CliRunner().invoke(module.app, ["evaluate", "a.tsv"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_reader_that_leaves_is_no_error(predictions: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [*COMMAND, "evaluate", str(predictions), "--bootstraps", "1"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["evaluate", "--version"])
def test_a_full_disk_behind_stdout_is_told(command: str, predictions: Path) -> None:
    arguments = [command, str(predictions), "--bootstraps", "1"] if command == "evaluate" else [command]
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: stdout: cannot be written: No space left on device. Redirect stdout")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_a_closed_stdout_is_told_before_the_work(command: str, tmp_path: Path) -> None:
    """The input is not there either, which is not what the message says: nothing was read yet."""
    done = closed_stdout(command, str(tmp_path / "none"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: stdout: is closed, and the results go there. Redirect stdout")
    assert done.stderr.count("\n") == 1


def test_a_closed_stdout_is_no_error_with_output(
    predictions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # matplotlib says on stderr that it cannot keep what it finds out about fonts, or that this takes it a while.
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True, capture_output=True)
    done = closed_stdout("--quiet", "evaluate", str(predictions), "--bootstraps", "1", "-o", str(tmp_path / "e"))
    assert (done.returncode, done.stderr) == (0, "")


def closed_stdout(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run with ``>&-``, which no option of `subprocess` does."""
    command = ["sh", "-c", '"$@" >&-', "sh", *COMMAND, *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize(
    ("options", "level"), [((), logging.INFO), (("--quiet",), logging.WARNING), (("--verbose",), logging.DEBUG)]
)
def test_quiet_and_verbose_set_the_level(tmp_path: Path, options: tuple[str, ...], level: int) -> None:
    CliRunner().invoke(module.app, [*options, "evaluate", str(tmp_path / "none.tsv")])
    assert logging.getLogger("epinformer").level == level


def test_the_public_names_are_there_and_others_are_not() -> None:
    assert {"Batch", "EPInformer", "open_dataset"} <= set(dir(epinformer))
    assert callable(epinformer.open_dataset)
    assert epinformer.EPInformer.__module__.startswith("epinformer.model")
    with pytest.raises(AttributeError, match="nonsense"):
        _ = epinformer.nonsense
