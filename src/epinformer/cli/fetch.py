"""`epinformer fetch`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from epinformer.cli.console import progress, result_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from epinformer.fetch.download import Planned
    from epinformer.fetch.registry import Entry, Registry

_log = logging.getLogger(__name__)

# Wide enough that no row is folded where a program reads it.
_PIPED_WIDTH = 400
_UNKNOWN = "?"


def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Sets or single files; none lists them all."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Where the files go; made if not there.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Download again what is there and fails its check, or has none.")
    ] = False,
) -> None:
    """Download published inputs: reads, peaks, Hi-C, expression, genome, references.

    A download that was cut goes on where it stopped, by the same command. Each file is checked by its published
    length and checksum; where none is published its SHA-256 is recorded in fetched.json and checked from then on. A
    good file is never downloaded again.

    \b
    Examples:
      epinformer fetch
      epinformer fetch k562 reference -o data --dry-run
      epinformer fetch k562 reference -o data
      epinformer fetch ENCFF257HEE -o data
    """
    from epinformer.fetch.download import fetch_files, plan
    from epinformer.fetch.part import free_bytes, require_room
    from epinformer.fetch.registry import chosen, read_registry

    registry = read_registry()
    if not names:
        result_stream()
        _show(_sets(registry), _files(registry))
        return
    wanted = chosen(registry, names)
    if output is None:
        raise typer.BadParameter("say where the files go: -o FOLDER", param_hint="'-o'")
    if dry_run:
        result_stream()
        planned = plan(wanted, output)
        to_come = [row for row in planned if _to_come(row, overwrite)]
        _show(_plan(planned, overwrite))
        needed = sum((row.size or 0) - (row.here if row.found.state == "missing" else 0) for row in to_come)
        unknown = sum(row.size is None for row in to_come)
        more = f" and {_count(unknown)} of unknown length" if unknown else ""
        free = _bytes(free_bytes(output))
        typer.echo(f"{_count(len(to_come))} to download: {_bytes(needed)}{more}; {free} are free")
        require_room(output, needed, output)
        return
    outcomes = fetch_files(wanted, output, overwrite=overwrite, meter=progress)
    came = sum(outcome.received for outcome in outcomes)
    _log.info("%s: %s, %s downloaded", output, _count(len(outcomes)), _bytes(came))


def _to_come(row: Planned, overwrite: bool) -> bool:
    return row.found.state == "missing" or (overwrite and row.found.state in ("bad", "unchecked"))


def _sets(registry: Registry) -> Table:
    table = _table("Sets", ["name", "what"], ["files", "size"])
    for name, members in registry.sets.items():
        entries = [registry.files[member] for member in members.files]
        table.add_row(name, members.what, str(len(entries)), _size(entries))
    return table


def _files(registry: Registry) -> Table:
    table = _table("Files", ["name", "what", "file", "checksum"], ["size"])
    for name, entry in registry.files.items():
        kinds = [kind for kind, value in (("md5", entry.md5), ("sha256", entry.sha256)) if value is not None]
        table.add_row(name, entry.what, entry.file, ", ".join(kinds) or "-", _size([entry]))
    return table


def _plan(planned: Sequence[Planned], overwrite: bool) -> Table:
    table = _table("Plan", ["name", "file", "now", "then"], ["there", "size"])
    for row in planned:
        then = "download" if _to_come(row, overwrite) else "error" if row.found.state == "bad" else "keep"
        state = "partial" if row.found.state == "missing" and row.here else row.found.state
        now = state if state in ("missing", "partial") else f"{state}: {row.found.words}"
        size = _UNKNOWN if row.size is None else _bytes(row.size)
        table.add_row(row.name, row.entry.file, now, then, _bytes(row.here), size)
    return table


def _size(entries: Sequence[Entry]) -> str:
    """Length of files together; those that nobody published are missing from it."""
    known = [entry.size for entry in entries if entry.size is not None]
    if not known:
        return _UNKNOWN
    return _bytes(sum(known)) + (f" + {_UNKNOWN}" if len(known) < len(entries) else "")


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files:,} files"


def _bytes(count: int) -> str:
    size, units = float(count), ["B", "kB", "MB", "GB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:,.0f} B" if units[0] == "B" else f"{size:,.1f} {units[0]}"


def _table(title: str, text: list[str], numbers: list[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in text:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _show(*tables: Table) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        for table in tables:
            console.print(table)
        return
    console = Console(highlight=False, markup=False, emoji=False, width=_PIPED_WIDTH, no_color=True)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    # Tables pad every line to their width.
    typer.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))
