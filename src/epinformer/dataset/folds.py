"""The paper's twelve folds: which chromosomes each tests and validates on."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray


class Fold(NamedTuple):
    """One of the twelve divisions of the human chromosomes.

    Attributes
    ----------
    number
        1 to 12.
    test, validation
        Chromosome names without ``chr``; every other chromosome is trained on.
    """

    number: int
    test: frozenset[str]
    validation: frozenset[str]

    def split(self, chroms: Iterable[str]) -> np.ndarray:
        """Say for each chromosome name, with or without ``chr``, what this fold uses it for.

        Returns
        -------
        ndarray of object, shape (n,)
            ``"train"``, ``"validation"`` or ``"test"``.
        """
        bare = _bare(chroms)
        parts = np.full(len(bare), "train", dtype=object)
        parts[bare.isin(self.validation)] = "validation"
        parts[bare.isin(self.test)] = "test"
        return parts


@functools.cache
def paper_folds() -> tuple[Fold, ...]:
    """The twelve folds of the paper, in order.

    Fold i of 1 to 10 validates on chromosomes i and i + 10 and tests on i + 1 and i + 11; fold 11 validates on 3 and
    21 and tests on 22 and X; fold 12 validates on 2 and 22 and tests on 1 and Y. Each of the 24 chromosomes is tested
    in exactly one fold. Source: Methods of the EPInformer paper, after Karbalayghareh et al.
    """
    regular = [_fold(i, test=(i + 1, i + 11), validation=(i, i + 10)) for i in range(1, 11)]
    return (*regular, _fold(11, test=(22, "X"), validation=(3, 21)), _fold(12, test=(1, "Y"), validation=(2, 22)))


def _fold(number: int, test: tuple[int | str, ...], validation: tuple[int | str, ...]) -> Fold:
    return Fold(number, frozenset(map(str, test)), frozenset(map(str, validation)))


def test_fold(chroms: Iterable[str]) -> ExtensionArray:
    """Number of the fold that tests each chromosome, named with or without ``chr``.

    Returns
    -------
    array of Int64, shape (n,)
        Missing (``pd.NA``) for a chromosome of no fold (``chrM``, scaffolds).
    """
    number = {name: fold.number for fold in paper_folds() for name in fold.test}
    return _bare(chroms).map(number).astype("Int64").array


def _bare(chroms: Iterable[str]) -> pd.Series:
    """Chromosome names without ``chr``, under a fresh index."""
    return pd.Series(np.asarray(list(chroms), dtype=object)).map(
        lambda name: name.removeprefix("chr") if isinstance(name, str) else name
    )
