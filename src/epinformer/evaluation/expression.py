"""Predicted against observed expression: pooled, by fold and by chromosome."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from epinformer.errors import InputError
from epinformer.evaluation.bootstrap import Interval, bootstrap, percentile_interval
from epinformer.evaluation.correlation import pearson, r_squared, spearman
from epinformer.inputs.chromosomes import other_style
from epinformer.inputs.tables import Column, read_headed

logger = logging.getLogger(__name__)

METRICS = {"pearson": pearson, "spearman": spearman, "r2": r_squared}
"""The metrics by name: observed (n,), predicted (n,), weights (b, n) to values (b,)."""
COLUMNS = ("gene_id", "chrom", "fold", "observed", "predicted")
DEFINITIONS = {
    "pearson": "Pearson correlation of observed and predicted",
    "spearman": "Spearman rank correlation, ties at their mean rank",
    "r2": "coefficient of determination, 1 - residual / total sum of squares of the predictions as they are; "
    "below 0 is worse than the mean, and a difference in scale lowers it",
    "interval": "95 % percentile bootstrap over whole chromosomes drawn with replacement",
    "null": "undefined: fewer than two genes, one side constant, values too large to square, "
    "or for an interval fewer than two chromosomes",
}
# R² this far below what a straight line through the predictions would reach: the scales differ.
_SCALE_GAP = 0.1
_FEW_CHROMOSOMES = 10
_BLANK = ("", "NA", "NaN", "nan", "None", "<NA>", ".")


class Metrics(NamedTuple):
    """Agreement over some genes; None where undefined."""

    n: int
    pearson: float | None
    spearman: float | None
    r2: float | None


class Evaluation(NamedTuple):
    """What `evaluate` found.

    Attributes
    ----------
    pooled
        Over all genes that have an observation.
    intervals
        95 % interval of each pooled metric, by name; None where undefined.
    per_fold, per_chromosome
        Keys in natural order (``"2"`` before ``"10"``). Genes of no fold are in the pooled metrics only.
    genes, without_observed
        Rows of the table, and those left out because nothing was observed.
    chromosomes
        Number of chromosomes among the evaluated genes.
    bootstraps, seed
        How the intervals were drawn.
    notes
        What a reader of the numbers must know.
    table
        The evaluated rows.
    """

    pooled: Metrics
    intervals: dict[str, Interval | None]
    per_fold: dict[str, Metrics]
    per_chromosome: dict[str, Metrics]
    genes: int
    without_observed: int
    chromosomes: int
    bootstraps: int
    seed: int
    notes: tuple[str, ...]
    table: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Everything but the table, ready for JSON: no NaN, no NumPy types."""
        return {
            "genes": self.genes,
            "without_observed": self.without_observed,
            "chromosomes": self.chromosomes,
            "pooled": self.pooled._asdict(),
            "interval_95": {name: list(pair) if pair else None for name, pair in self.intervals.items()},
            "per_fold": {name: metrics._asdict() for name, metrics in self.per_fold.items()},
            "per_chromosome": {name: metrics._asdict() for name, metrics in self.per_chromosome.items()},
            "bootstraps": self.bootstraps,
            "seed": self.seed,
            "notes": list(self.notes),
            "definitions": DEFINITIONS,
        }


def evaluate(
    predictions: pd.DataFrame | str | Path,
    *,
    bootstraps: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Compare predicted with observed expression.

    Parameters
    ----------
    predictions
        A table, or the path of one (tab-separated, gzipped or not), with the columns ``gene_id chrom fold observed
        predicted``; others are ignored. ``observed`` and ``fold`` may be missing in a row.
    bootstraps
        Resamples of chromosomes for the intervals.
    seed
        Seed of the resampling.
    progress
        Called with (resamples done, ``bootstraps``).

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        The file cannot be read or is empty, a column is missing, a gene occurs twice, a value is not a finite number,
        or no gene has an observed value.
    """
    source = None if isinstance(predictions, pd.DataFrame) else Path(predictions)
    whole = check_predictions(
        predictions if isinstance(predictions, pd.DataFrame) else _read(Path(predictions)), source
    )
    table = whole[whole["observed"].notna()].reset_index(drop=True)
    if table.empty:
        raise InputError(
            "no gene has an observed value", source=source, fix="Predict with a dataset that has expression"
        )
    chromosomes = int(table["chrom"].nunique())
    observed, predicted = table["observed"].to_numpy(), table["predicted"].to_numpy()
    pooled = measure(observed, predicted)
    draws = draw_metrics(table["chrom"], observed, [predicted], bootstraps=bootstraps, seed=seed, progress=progress)
    return Evaluation(
        pooled=pooled,
        intervals=intervals_of(draws if draws is None else draws[:, 0]),
        per_fold=measure_by(table["fold"], observed, predicted),
        per_chromosome=measure_by(table["chrom"], observed, predicted),
        genes=len(whole),
        without_observed=len(whole) - len(table),
        chromosomes=chromosomes,
        bootstraps=bootstraps,
        seed=seed,
        notes=notes_on(table, pooled),
        table=table,
    )


def measure(observed: NDArray[np.float64], predicted: NDArray[np.float64]) -> Metrics:
    """The metrics of some genes; both of shape (n,), finite."""
    values = {name: float(metric(observed, predicted)[0]) for name, metric in METRICS.items()}
    return Metrics(len(observed), **{name: value if np.isfinite(value) else None for name, value in values.items()})


def measure_by(groups: pd.Series, observed: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, Metrics]:
    """The metrics of each group of genes in natural order; genes whose group is missing are left out."""
    rows = {str(name): index for name, index in groups.groupby(groups.array).indices.items()}
    return {name: measure(observed[rows[name]], predicted[rows[name]]) for name in sorted(rows, key=_natural)}


def _natural(name: str) -> tuple[int, str]:
    bare = name.removeprefix("chr")
    return (int(bare), "") if bare.isdecimal() else (1 << 30, bare)


def draw_metrics(
    chroms: pd.Series,
    observed: NDArray[np.float64],
    predictions: Sequence[NDArray[np.float64]],
    *,
    bootstraps: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64] | None:
    """Every metric of every prediction when chromosomes are drawn with replacement, all from the same draws.

    Parameters
    ----------
    chroms
        The chromosome of each gene, (n,).
    observed
        Shape (n,).
    predictions
        Any number p of predictions of shape (n,).
    bootstraps, seed, progress
        As in `evaluate`.

    Returns
    -------
    ndarray, shape (bootstraps, p, number of `METRICS`), or None for fewer than two chromosomes
    """
    if chroms.nunique() < 2:
        return None

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        values = [metric(observed, predicted, weights) for predicted in predictions for metric in METRICS.values()]
        return np.stack(values, axis=1)

    values = bootstrap(chroms.to_numpy(dtype=str), statistic, bootstraps=bootstraps, seed=seed, progress=progress)
    return values.reshape(len(values), len(predictions), len(METRICS))


def intervals_of(draws: NDArray[np.float64] | None) -> dict[str, Interval | None]:
    """The 95 % interval of each metric out of draws of shape (bootstraps, number of `METRICS`)."""
    if draws is None:
        return dict.fromkeys(METRICS)
    return {name: percentile_interval(draws[:, column]) for column, name in enumerate(METRICS)}


def notes_on(table: pd.DataFrame, pooled: Metrics) -> tuple[str, ...]:
    """What a reader of the metrics of a checked table must know."""
    notes = []
    chromosomes = table["chrom"].nunique()
    if chromosomes == 1:
        notes.append("all genes are on one chromosome: a chromosome bootstrap has no interval")
    elif chromosomes < _FEW_CHROMOSOMES:
        notes.append(f"the intervals rest on only {chromosomes} chromosomes and are likely too narrow")
    if pooled.n < 2:
        notes.append("fewer than two genes: no metric is defined")
        return tuple(notes)
    constant = [column for column in ("observed", "predicted") if table[column].nunique() == 1]
    for column in constant:
        notes.append(f"{column} is the same for all genes: correlations are undefined")
    undefined = [name for name in METRICS if getattr(pooled, name) is None]
    if undefined and not constant:
        reach = " and ".join(
            f"{column} reaches {table[column].abs().max():.3g}" for column in ("observed", "predicted")
        )
        notes.append(f"{', '.join(undefined)} undefined: {reach}, whose squares no floating-point number holds")
    if pooled.pearson is not None and pooled.r2 is not None and pooled.pearson**2 - pooled.r2 > _SCALE_GAP:
        scale = {
            name: f"mean {table[name].mean():.3g}, sd {table[name].std():.3g}" for name in ("observed", "predicted")
        }
        notes.append(
            f"predicted ({scale['predicted']}) is shifted or stretched against observed ({scale['observed']}): R² is "
            f"{pooled.r2:.3f} as they are and would be {pooled.pearson**2:.3f} after a straight-line fit"
        )
    return tuple(notes)


def _read(path: Path) -> pd.DataFrame:
    """The needed columns of a predictions file; only ``observed`` may be blank."""
    return read_headed(
        path,
        [
            Column("gene_id", "text", ("gene_id",)),
            Column("chrom", "text", ("chrom",)),
            Column("fold", "text", ("fold",)),
            Column("observed", "float", ("observed",), blank=True),
            Column("predicted", "float", ("predicted",)),
        ],
    )


def check_predictions(table: pd.DataFrame, source: Path | None = None) -> pd.DataFrame:
    """The needed columns with their types, rows in the same order, or an error that names what is wrong.

    Raises
    ------
    InputError
        As `evaluate`, but for a table without any observed value.
    """
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise InputError(f"predictions lack the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
    table = table.loc[:, list(COLUMNS)].reset_index(drop=True)
    if table.empty:
        raise InputError("holds no rows", source=source)
    for column in ("gene_id", "chrom"):
        table[column] = _named(table[column])
        _refuse(table[column].isna(), table, f"{column} is missing in some rows", source)
    _refuse(table["gene_id"].duplicated(), table, "a gene occurs more than once", source, fix="Keep one row a gene")
    for column in ("observed", "predicted"):
        values = pd.to_numeric(table[column], errors="coerce").astype("float64")
        wrong = ~np.isfinite(values.to_numpy())
        if column == "observed":
            wrong &= table[column].notna().to_numpy(dtype=bool)
        _refuse(wrong, table, f"{column} is not a finite number in some rows", source)
        table[column] = values
    table["chrom"] = _one_style(table["chrom"], source)
    # A whole column with a gap comes as floats out of many a program.
    table["fold"] = _named(table["fold"]).str.removesuffix(".0")
    return table


def _one_style(chroms: pd.Series, source: Path | None) -> pd.Series:
    """Chromosome names, those that occur as "chr22" and as "22" under the first; a bootstrap must not see two."""
    names = set(chroms)
    twice = {
        name: f"{other_style(name)}" for name in names if not name.startswith("chr") and other_style(name) in names
    }
    if twice:
        first = min(twice, key=_natural)
        where = "predictions" if source is None else source
        logger.info("%s: %d chromosomes are named in two ways (%s is %s)", where, len(twice), first, twice[first])
    return chroms.replace(twice)


def _named(column: pd.Series) -> pd.Series:
    """A column as text, missing where it is blank."""
    text = column.astype("string").str.strip()
    return text.mask(text.isin(_BLANK))


def _refuse(
    wrong: ArrayLike, table: pd.DataFrame, problem: str, source: Path | None, *, fix: str | None = None
) -> None:
    """Raise for the rows marked wrong, showing the first."""
    marked = np.asarray(wrong, dtype=bool)
    if marked.any():
        row = int(marked.argmax())
        gene = table["gene_id"].iloc[row]
        first = f"row {row + 1}" if pd.isna(gene) else f"{gene}, row {row + 1}"
        raise InputError(problem, source=source, count=int(marked.sum()), first=first, fix=fix)
