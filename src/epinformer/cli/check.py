"""`epinformer check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from epinformer.cli.console import result_stream

if TYPE_CHECKING:
    from epinformer.prepare.check import Check


def check(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The configuration of `epinformer prepare`.")],
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder that the configured paths are relative to, instead of its `root`."),
    ] = None,
) -> None:
    """Open every input of a configuration and compare it with the others, in seconds.

    Shows what each file holds and how much of it the others have something for: regions that overlap, chromosomes that
    reach so far, the same gene ids. Files of another assembly, by the lengths of their chromosomes or by positions
    beyond them, names of chromosomes in two styles, and tables without any of the genes are problems, and with any of
    them the exit code is 1. `epinformer prepare` checks all this first.

    \b
    Examples:
      epinformer check config.yaml
      epinformer check examples/k562_chr22/config.yaml --root ../shared/data
    """
    from epinformer.config import load_config
    from epinformer.prepare.check import check as run
    from epinformer.prepare.check import require_sound

    result_stream()
    result = run(load_config(config, root))
    typer.echo("\n".join(_lines(result)))
    require_sound(result)


def _lines(result: Check) -> list[str]:
    """One block an input: what it is, and how many of its rows each other input has something for."""
    lines = []
    for item in result.inputs:
        lines += [f"{item.setting}  {item.path.name}", f"    {'FAILED' if item.failed else item.what}"]
        own = result.overlaps[result.overlaps["setting"] == item.setting]
        numbers = list(zip(own["other"].tolist(), own["rows"].tolist(), own["found"].tolist(), strict=True))
        partly = [(other, rows, found) for other, rows, found in numbers if 0 < found < rows]
        for words, others in (
            ("all of it in", [other for other, rows, found in numbers if found == rows]),
            ("nothing in", [other for other, rows, found in numbers if found == 0 < rows]),
        ):
            if others:
                lines.append(f"    {words} {', '.join(others)}")
        width = max((len(other) for other, _, _ in partly), default=0)
        lines += [
            f"    {found:>11,} of {rows:,} in {other:<{width}}  {found / rows:.1%}" for other, rows, found in partly
        ]
    return lines
