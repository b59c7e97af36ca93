"""The `epinformer` command: its subcommands, and how errors end.

Only typer and rich are imported here and by the subcommands' modules; each imports the library when it runs.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from epinformer import __version__
from epinformer.cli.benchmark_crispr import benchmark_crispr
from epinformer.cli.check import check
from epinformer.cli.console import OTHER_STDOUT, console, setup_logging
from epinformer.cli.crossval import crossval
from epinformer.cli.demo import demo
from epinformer.cli.evaluate import evaluate
from epinformer.cli.explain import explain
from epinformer.cli.fetch import fetch
from epinformer.cli.import_checkpoint import import_checkpoint
from epinformer.cli.import_h5 import import_h5
from epinformer.cli.inspect import inspect
from epinformer.cli.knockout import knockout
from epinformer.cli.links import links
from epinformer.cli.make_qnorm_reference import make_qnorm_reference
from epinformer.cli.motifs import motifs
from epinformer.cli.predict import predict
from epinformer.cli.prepare import prepare
from epinformer.cli.pretrain import pretrain
from epinformer.cli.simulate import simulate
from epinformer.cli.train import train
from epinformer.cli.train_combiner import train_combiner
from epinformer.cli.variants import variants
from epinformer.errors import EpinformerError

_log = logging.getLogger(__name__)

# Files are written through `files.py`, which names them; without a name it was stdout.
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF})


class _Commands(TyperGroup):
    """All subcommands."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _errors_told():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _errors_told():
            result = super().invoke(ctx)
            if sys.stdout is not None:
                # Here rather than when Python ends, so that a full disk behind it is an error like any other.
                sys.stdout.flush()
            return result


@contextlib.contextmanager
def _errors_told() -> Iterator[None]:
    """What a user can mend ends as one line on stderr and exit code 1, not as a traceback."""
    try:
        yield
    except EpinformerError as error:
        message = str(error)
        cause: Exception = error
    except OSError as error:
        if error.errno is None or error.errno == errno.EPIPE:
            raise
        message = _told(error)
        cause = error
    except UnicodeEncodeError as error:
        # A name or a setting with bytes that are no text, or a result that stdout's encoding has no letters for.
        odd = error.object[max(0, error.start - 20) : error.end]
        message = f"text cannot be written as {error.encoding}: {odd!a}. Give names and settings as UTF-8."
        cause = error
    else:
        return
    _log.debug("", exc_info=cause)
    console.print(f"error: {message}", soft_wrap=True)
    raise typer.Exit(1)


def _told(error: OSError) -> str:
    """What the system refused, in words."""
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in _UNWRITABLE:
        return f"stdout: cannot be written: {error.strerror}. {OTHER_STDOUT}."
    return str(error.strerror)


app = typer.Typer(
    name="epinformer",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: it pipes, it wraps at the terminal's width, and rich's tables would double the start-up time.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"epinformer {__version__}")
        raise typer.Exit


@app.callback()
def epinformer(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="More on stderr, with tracebacks of errors.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Gene expression from promoter and enhancer sequence, activity and contact.

    \b
    The way from files to a result:
      fetch              names of published files    -> the files
      check, prepare     your assays and genome      -> a dataset
      pretrain           a dataset                   -> sequence encoders
      crossval, train    a dataset                   -> models, held-out predictions, a report
      predict            models and a dataset        -> predictions.tsv
      evaluate           predictions.tsv             -> metrics and a figure
      links, knockout    models and a dataset        -> scored enhancer-gene links, effects
      variants           a VCF, models, a dataset    -> effects of its alleles
      explain            models, sequences           -> which bases the models read
      motifs             explained sequences         -> motifs by name, their sites, a page
      benchmark-crispr   links, tested pairs         -> how far to trust each score
      train-combiner     links, tested pairs         -> a combiner, for calibrated links

    \b
    Without data of your own:
      epinformer demo -o demo

    \b
    With data:
      epinformer prepare config.yaml -o k562.dataset
      epinformer crossval --data k562.dataset -o run

    Results go to stdout or to -o, messages to stderr. `epinformer COMMAND --help` says more.
    """
    setup_logging(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


for _command in (
    demo,
    simulate,
    fetch,
    check,
    prepare,
    inspect,
    make_qnorm_reference,
    pretrain,
    train,
    crossval,
    import_checkpoint,
    import_h5,
    predict,
    evaluate,
    links,
    knockout,
    variants,
    explain,
    motifs,
    benchmark_crispr,
    train_combiner,
):
    app.command()(_command)


def main() -> None:
    """Run the command line; exit code 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C, 143 for a termination."""
    # A batch system's SIGTERM unwinds like any other end, so that temporary files are removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        app()
    finally:
        _flush()


def _flush() -> None:
    """Write what is left for stdout now, and be silent if that cannot be: it has been told, or its reader is gone."""
    if sys.stdout is None:  # closed by the caller
        return
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
