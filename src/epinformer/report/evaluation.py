"""An evaluation for people: a summary in words, and a folder with the numbers and the picture."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from epinformer.errors import OutputError
from epinformer.evaluation.expression import Evaluation, Metrics
from epinformer.files import atomic_file
from epinformer.report.figures import scatter


def summary(evaluation: Evaluation, what: str = "genes") -> str:
    """A short table of the metrics, and the notes, as plain text; ``what`` names the rows."""
    left_out = f", {evaluation.without_observed:,} without an observed value left out"
    lines = [
        f"{evaluation.pooled.n:,} of {evaluation.genes:,} {what}"
        + (left_out if evaluation.without_observed else "")
        + f", {evaluation.chromosomes} chromosome{'s' if evaluation.chromosomes > 1 else ''}",
        "",
        f"{'':<12}{'n':>8}{'Pearson':>10}{'Spearman':>10}{'R²':>10}",
        _row("pooled", evaluation.pooled),
    ]
    for end, label in ((0, "95 % from"), (1, "       to")):
        if any(evaluation.intervals.values()):
            bounds = [None if pair is None else pair[end] for pair in evaluation.intervals.values()]
            lines.append(f"{label:<20}" + "".join(_number(bound) for bound in bounds))
    if len(evaluation.per_fold) > 1:
        lines += [_row(f"fold {name}", metrics) for name, metrics in evaluation.per_fold.items()]
    lines += [f"note: {note}" for note in evaluation.notes]
    return "\n".join(lines)


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> None:
    """Write ``metrics.json`` and ``scatter.png`` into a folder, which is made if it is not there.

    Earlier ones are replaced, both or, on any failure, neither.

    Raises
    ------
    OutputError
        The folder cannot be made or written to.
    """
    folder = Path(folder)
    table, pooled = evaluation.table, evaluation.pooled
    title = f"{pooled.n:,} genes: Pearson {_number(pooled.pearson).strip()}, "
    title += f"Spearman {_number(pooled.spearman).strip()}, R² {_number(pooled.r2).strip()}"
    figure = scatter(table["observed"], table["predicted"], title=title)
    # Both are written under temporary names before the first is renamed.
    with (
        made_folder(folder),
        atomic_file(folder / "metrics.json") as metrics,
        atomic_file(folder / "scatter.png") as picture,
    ):
        metrics.write_text(to_json(evaluation), encoding="utf-8")
        figure.savefig(picture)


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and its parents, and remove again those that were not there if the block fails."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot be made a folder: {error.strerror}", source=folder, fix="Name another"
            ) from error
        yield
    except BaseException:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def to_json(evaluation: Evaluation) -> str:
    """The evaluation as JSON text ending in a newline."""
    return json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _row(label: str, metrics: Metrics) -> str:
    return f"{label:<12}{metrics.n:>8,}" + "".join(_number(value) for value in metrics[1:])


def _number(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.3f}':>10}"
