"""A combiner: logistic regressions on scores of links, each learned without one chromosome, saved as plain numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from epinformer import __version__
from epinformer.combiner.settings import CombinerConfig
from epinformer.dataset.folds import bare_names
from epinformer.errors import InputError, ModelError
from epinformer.files import atomic_directory
from epinformer.inputs.links import CALIBRATED, WITHOUT
from epinformer.jsonfile import read_record

FORMAT_VERSION = 1
COMBINER_NAME = "combiner.json"
HELD_OUT_NAME = "held_out.tsv"

_AGAIN = "Train the combiner again with `epinformer train-combiner`"
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Term(_Plain):
    """What one column adds to the log odds: weight * (t - center) / scale, t being its transformed value.

    Where the value is missing, t is ``floor``, the lowest of the pairs learned from, and ``missing`` is added.
    """

    column: str
    log: _Scale | None
    floor: _Number
    center: _Number
    scale: _Scale
    weight: _Number
    missing: _Number

    def apply(self, values: np.ndarray) -> np.ndarray:
        """What values (n,) add, float64 (n,)."""
        unknown = np.isnan(values)
        shown = np.where(unknown, self.floor, transformed(values, self.log))
        added: np.ndarray = self.weight * ((shown - self.center) / self.scale) + self.missing * unknown
        return added


class Member(_Plain):
    """A logistic regression, and which pairs it was learned from.

    Attributes
    ----------
    without
        The chromosome, named without ``chr``, whose pairs it has not seen; None: it has seen all.
    pairs, regulated
        How many it has seen.
    intercept, terms
        The log odds are the intercept and what every term adds.
    """

    without: str | None
    pairs: int
    regulated: int
    intercept: _Number
    terms: tuple[Term, ...]

    def probability(self, table: pd.DataFrame) -> np.ndarray:
        """The probability of each link to be regulated, float64 (n,), of a table with all its columns."""
        odds = np.full(len(table), self.intercept)
        # Column by column, so that a link has the same value to the last bit in whichever table it is.
        for term in self.terms:
            odds += term.apply(table[term.column].to_numpy(np.float64, na_value=np.nan))
        # exp of what is negative, so that it cannot overflow.
        small = np.exp(-np.abs(odds))
        value: np.ndarray = np.where(odds >= 0, 1.0, small) / (1.0 + small)
        return value


class TrainingTables(_Plain):
    """The tables a combiner was learned from, by name and SHA-256, and how many of the tested pairs it could use."""

    links: str
    links_sha256: str
    crispr: str
    crispr_sha256: str
    cell_type: str | None
    tested: int
    without_link: int


class Combiner(_Plain):
    """Everything about a combiner: the content of ``combiner.json``.

    Attributes
    ----------
    members
        One that has seen all pairs, and for each chromosome with pairs one that has not seen those.
    config
        What it was told.
    trained_on
        The tables.
    held_out
        How the members did on the pairs that they had not seen, as plain values.
    """

    format_version: int = FORMAT_VERSION
    config: CombinerConfig
    members: Annotated[tuple[Member, ...], Field(min_length=1)]
    trained_on: TrainingTables
    held_out: dict[str, JsonValue] = Field(default_factory=dict)
    package_version: str = __version__

    @model_validator(mode="after")
    def _one_of_each(self) -> Combiner:
        names = [member.without for member in self.members]
        if len(set(names)) < len(names) or None not in names:
            raise ValueError("needs one member that has seen all pairs, and one for each chromosome left out")
        return self

    @property
    def columns(self) -> list[str]:
        """The columns that it reads."""
        return [term.column for term in self.members[0].terms]

    def scored(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of links with two more columns.

        Parameters
        ----------
        table
            chrom, and all of `columns`.

        Returns
        -------
        DataFrame
            calibrated: the probability that silencing the element lowers the gene's expression, as tested pairs like
            those learned from do. calibrated_without: the chromosome whose pairs the member that gave it has not seen,
            which is always the link's own.

        Raises
        ------
        InputError
            The table lacks columns.
        """
        lacking = [name for name in self.columns if name not in table]
        if lacking:
            raise InputError(
                f"the links lack what the combiner reads: {', '.join(lacking)}",
                fix="Score them with the models and from a dataset with the signals that it was trained with, "
                "or train it on such links",
            )
        members = {member.without: member for member in self.members}
        chroms = bare_names(table["chrom"])
        values = np.full(len(table), np.nan)
        for chrom, rows in chroms.groupby(chroms).indices.items():
            # No member left out a chromosome without pairs: the one that has seen all has seen none of it.
            member = members.get(str(chrom), members[None])
            values[rows] = member.probability(table.iloc[rows])
        scored = table.copy()
        scored[CALIBRATED] = values
        scored[WITHOUT] = table["chrom"]
        return scored


def transformed(values: np.ndarray, log: float | None) -> np.ndarray:
    """sign(x) * log10(1 + |x| / log) of values (n,), or the values themselves; NaN stays."""
    if log is None:
        return values
    result: np.ndarray = np.sign(values) * np.log10(1.0 + np.abs(values) / log)
    return result


def with_calibrated(tables: Iterable[pd.DataFrame], combiner: Combiner) -> Iterator[pd.DataFrame]:
    """Tables of links with the columns of `Combiner.scored`."""
    return (combiner.scored(table) for table in tables)


def save_combiner(
    path: str | Path, combiner: Combiner, held_out: pd.DataFrame | None = None, *, overwrite: bool = False
) -> None:
    """Write a combiner's directory, whole or not at all.

    Parameters
    ----------
    path
        The directory to make.
    combiner
        Its numbers are written with all their digits.
    held_out
        What its members say of the pairs that they have not seen: ``held_out.tsv``.
    overwrite
        Replace a combiner that is already there.

    Raises
    ------
    OutputError
        ``path`` exists, or cannot be written.
    """
    with atomic_directory(path, overwrite=overwrite, marker=COMBINER_NAME) as folder:
        text = json.dumps(combiner.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / COMBINER_NAME).write_text(text + "\n", encoding="utf-8")
        if held_out is not None:
            held_out.to_csv(folder / HELD_OUT_NAME, sep="\t", index=False)


def load_combiner(path: str | Path) -> Combiner:
    """Read a combiner's directory; nothing in it is executed.

    Raises
    ------
    ModelError
        The directory or its file is missing, damaged or of a newer format.
    """
    try:
        return read_record(
            Path(path) / COMBINER_NAME,
            Combiner,
            newest=FORMAT_VERSION,
            error=ModelError,
            fix=_AGAIN,
            upgrade="Upgrade epinformer",
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(f"is no combiner: it holds no {COMBINER_NAME}", source=path, fix=_AGAIN) from error
