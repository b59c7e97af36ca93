"""Folds: which chromosomes a model is tested on, which it validates on, and which it learns from."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from epinformer.errors import ConfigError


class Fold(NamedTuple):
    """One division of the chromosomes.

    Attributes
    ----------
    name
        Text without blanks or slashes: ``"1"`` to ``"12"`` for the paper's folds.
    test, validation
        Chromosome names without ``chr``; every other chromosome is trained on.
    """

    name: str
    test: frozenset[str]
    validation: frozenset[str]

    def split(self, chroms: Iterable[str]) -> np.ndarray:
        """Say for each chromosome name, with or without ``chr``, what this fold uses it for.

        Returns
        -------
        ndarray of object, shape (n,)
            ``"train"``, ``"validation"`` or ``"test"``.
        """
        bare = bare_names(chroms)
        parts = np.full(len(bare), "train", dtype=object)
        parts[bare.isin(self.validation)] = "validation"
        parts[bare.isin(self.test)] = "test"
        return parts

    def seen(self, chroms: Iterable[str], *, validation: bool = True) -> np.ndarray:
        """Say for each chromosome whether a model of this fold has learned from it.

        Parameters
        ----------
        chroms
            Names with or without ``chr``.
        validation
            Whether chromosomes that chose the model's weights count, too.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        parts = self.split(chroms)
        seen: np.ndarray = (parts != "test") if validation else (parts == "train")
        return seen


@functools.cache
def paper_folds() -> tuple[Fold, ...]:
    """The twelve folds of the paper, in order.

    Fold i of 1 to 10 validates on chromosomes i and i + 10 and tests on i + 1 and i + 11; fold 11 validates on 3 and
    21 and tests on 22 and X; fold 12 validates on 2 and 22 and tests on 1 and Y. Each of the 24 chromosomes is tested
    in exactly one fold. Source: Methods of the EPInformer paper, after Karbalayghareh et al.
    """
    regular = [_fold(i, test=(i + 1, i + 11), validation=(i, i + 10)) for i in range(1, 11)]
    return (*regular, _fold(11, test=(22, "X"), validation=(3, 21)), _fold(12, test=(1, "Y"), validation=(2, 22)))


def chromosome_folds(chroms: Iterable[str]) -> tuple[Fold, ...]:
    """Leave one chromosome out: a fold for each chromosome, named after it, that validates on the next one.

    Parameters
    ----------
    chroms
        Names with or without ``chr``, repeats allowed. The last chromosome's fold validates on the first.

    Raises
    ------
    ConfigError
        There are fewer than three chromosomes, so that none would be left to learn from.
    """
    names = natural_order(set(bare_names(chroms)))
    if len(names) < 3:
        raise ConfigError(
            f"leaving one chromosome out needs three, and the genes lie on {len(names)}",
            fix="One is tested, one validated on, one learned from",
        )
    pairs = zip(names, [*names[1:], names[0]], strict=True)
    return tuple(Fold(name, frozenset([name]), frozenset([following])) for name, following in pairs)


def check_folds(folds: Sequence[Fold], source: str | None = None) -> None:
    """Refuse folds that cannot be meant.

    Raises
    ------
    ConfigError
        There is none, a name occurs twice or is no plain word, a fold tests nothing, a chromosome is both tested and
        validated on in one fold, or is tested in two.
    """
    if not folds:
        raise ConfigError("there is no fold", source=source, fix="Give at least one")
    tested: dict[str, str] = {}
    names: set[str] = set()
    for fold in folds:
        if fold.name in names:
            raise ConfigError(f"fold {fold.name} is there twice", source=source, fix="Give each fold its own name")
        names.add(fold.name)
        if not fold.name or not set(fold.name) <= _PLAIN:
            raise ConfigError(
                f"{fold.name!r} is no name for a fold", source=source, fix="Use letters, digits, dot, dash and _"
            )
        if not fold.test or not fold.validation:
            lacks = "tests no chromosome" if not fold.test else "validates on no chromosome"
            raise ConfigError(f"fold {fold.name} {lacks}", source=source, fix="Name at least one")
        both = fold.test & fold.validation
        if both:
            raise ConfigError(
                f"fold {fold.name} tests what it validates on",
                source=source,
                count=len(both),
                first=natural_order(both)[0],
                fix="Put each chromosome in one of the two",
            )
        for chrom in natural_order(fold.test):
            if chrom in tested:
                raise ConfigError(
                    f"chromosome {chrom} is tested in two folds, {tested[chrom]} and {fold.name}",
                    source=source,
                    fix="Test each chromosome once",
                )
            tested[chrom] = fold.name


def test_fold(chroms: Iterable[str], folds: Sequence[Fold] | None = None) -> ExtensionArray:
    """Name of the fold that tests each chromosome, named with or without ``chr``.

    Parameters
    ----------
    chroms
        Chromosome names.
    folds
        The paper's by default.

    Returns
    -------
    array of str, shape (n,)
        Missing for a chromosome of no fold (``chrM``, scaffolds).
    """
    names = {chrom: fold.name for fold in (paper_folds() if folds is None else folds) for chrom in fold.test}
    return bare_names(chroms).map(names).astype("str").array


def bare_names(chroms: Iterable[str]) -> pd.Series:
    """Chromosome names without ``chr``, under a fresh index."""
    return pd.Series(np.asarray(list(chroms), dtype=object)).map(
        lambda name: name.removeprefix("chr") if isinstance(name, str) else name
    )


def natural_order(names: Iterable[str]) -> list[str]:
    """Names in the order of people: ``"2"`` before ``"10"``, numbers before letters."""
    return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def _fold(number: int, test: tuple[int | str, ...], validation: tuple[int | str, ...]) -> Fold:
    return Fold(str(number), frozenset(map(str, test)), frozenset(map(str, validation)))
