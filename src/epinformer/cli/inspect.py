"""`epinformer inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from epinformer.cli.console import result_stream

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Wide enough that no row is folded where a program reads it.
_PIPED_WIDTH = 400
_TABLES = ("genes", "elements", "pairs", "windows")


def inspect(
    dataset: Annotated[Path, typer.Argument(help="Directory written by `epinformer prepare` or `import-h5`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show what is in a dataset.

    Rows before and after every filter, inputs, elements per gene, distances, signals, columns with their missing
    values, chromosomes, and how much sequence there is.

    \b
    Examples:
      epinformer inspect k562.dataset
      epinformer inspect k562.dataset --json | jq .elements_per_gene
    """
    import json

    from epinformer.dataset.store import open_dataset
    from epinformer.dataset.summary import summarise

    result_stream()
    summary = summarise(open_dataset(dataset))
    if as_json:
        typer.echo(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show(summary)


def _show(summary: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        _show_all(console, summary)
        return
    console = Console(highlight=False, markup=False, emoji=False, width=_PIPED_WIDTH, no_color=True)
    with console.capture() as capture:
        _show_all(console, summary)
    # Tables pad every line to their width.
    typer.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _show_all(console: Console, summary: dict[str, Any]) -> None:
    _show_overview(console, summary)
    _show_origin(console, summary)
    _show_numbers(console, summary)


def _show_overview(console: Console, summary: dict[str, Any]) -> None:
    rows = summary["rows"]
    counts, distance, sequence = summary["elements_per_gene"], summary["distance"], summary["sequence"]
    lines = {
        "assembly": summary["assembly"],
        "cell type": summary["cell_type"] or "not said",
        "made by": f"epinformer {summary['package_version']} (format {summary['format_version']})",
        "content": summary["content_hash"][:12],
        "rows": ", ".join(f"{rows[name]:,} {name}" for name in _TABLES if name in rows),
        "elements per gene": f"mean {_text(counts['mean'])}, median {_text(counts['median'])}, "
        f"max {counts['max']:,}; {counts['genes_without']:,} genes have none",
        "elements unused": f"{counts['elements_unused']:,} are in no pair",
        "|distance|": f"{_text(distance['min'])} to {_text(distance['max'])} bp, median {_text(distance['median'])}; "
        f"{100 * distance['downstream']:.1f} % downstream"
        if rows["pairs"]
        else "no pairs",
        "sequence": f"{sequence['bases']:,} bases, {sequence['bytes'] / 1e6:,.1f} MB"
        if sequence is not None
        else "none",
    }
    console.print(summary["path"], soft_wrap=True)
    width = max(map(len, lines))
    for name, value in lines.items():
        console.print(f"  {name:<{width}}  {value}", soft_wrap=True)


def _show_origin(console: Console, summary: dict[str, Any]) -> None:
    filters = _table("Filters", ["table", "step"], ["before", "after", "dropped"])
    for step in summary["filters"]:
        dropped = step["before"] - step["after"]
        filters.add_row(step["table"], step["step"], f"{step['before']:,}", f"{step['after']:,}", f"{dropped:,}")
    inputs = _table("Inputs", ["input", "file", "sha256"], ["bytes"])
    for name, file in summary["inputs"].items():
        inputs.add_row(name, file["path"], file["sha256"][:12], f"{file['bytes']:,}")
    _print(console, filters, inputs)


def _show_numbers(console: Console, summary: dict[str, Any]) -> None:
    tables = []
    for name in summary["columns"]:
        table = _table(
            f"Columns of {name}", ["column"], ["missing", "min", "median", "mean", "max", "zeros"], ["transform"]
        )
        for column in summary["columns"][name]:
            numbers = summary["signals"][name].get(column["name"])
            shown = ["", "", "", "", ""]
            if numbers is not None:
                shown = [_text(numbers[key]) for key in ("min", "median", "mean", "max", "zeros")]
            table.add_row(column["name"], f"{column['missing']:,}", *shown, column["transform"] or "")
        tables.append(table)
    counted = [name for name in _TABLES if name != "pairs" and name in summary["rows"]]
    chromosomes = _table("Chromosomes", ["chromosome"], counted)
    for name, numbers in summary["chromosomes"].items():
        chromosomes.add_row(name, *(f"{numbers[table]:,}" for table in counted))
    _print(console, *tables, chromosomes)


def _table(title: str, text: list[str], numbers: list[str], more: list[str] | None = None) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in text:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in more or []:
        table.add_column(name, overflow="fold")
    return table


def _print(console: Console, *tables: Table) -> None:
    for table in tables:
        if table.row_count:
            console.print()
            console.print(table)


def _text(number: float | None) -> str:
    """Write a number as a person reads it."""
    if number is None:
        return "-"
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:,.1f}" if abs(number) >= 1000 else f"{number:.4g}"
