"""Quantile normalisation: the signals of one experiment with the distribution that another one has."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.dataset.store import Dataset, open_dataset
from epinformer.errors import DatasetError, InputError
from epinformer.files import atomic_file
from epinformer.inputs.regions import refuse
from epinformer.inputs.tables import Column, read_headed

logger = logging.getLogger(__name__)

# What the ABC model calls the signals; it normalises ATAC to DNase where a reference has nothing else.
_COLUMNS = {"dnase": ("DHS.RPM",), "atac": ("ATAC.RPM", "DHS.RPM"), "h3k27ac": ("H3K27ac.RPM",)}
_EVERY, _PROMOTER, _OTHER = "any", "promoter", "nonpromoter"
# Hundredths, and the more finely the closer to the strongest element, where signals differ most.
_QUANTILES = np.concatenate(
    [np.arange(1, 100) / 100, np.arange(991, 1_000) / 1_000, np.arange(9_991, 10_000) / 10_000, [1.0]]
)


def read_quantile_reference(
    path: str | Path, signals: Sequence[str], *, separate_promoters: bool = True
) -> pd.DataFrame:
    """Read a reference distribution, of the ABC model or of `make_qnorm_reference`.

    Parameters
    ----------
    path
        Text with the columns enh_class (any, promoter, nonpromoter), rank, and one a signal: DHS.RPM for `dnase`,
        ATAC.RPM or else DHS.RPM for `atac`, H3K27ac.RPM for `h3k27ac`, NAME.RPM for any other.
    signals
        The signals that are wanted.
    separate_promoters
        Whether promoters and other elements have distributions of their own, else `any` is read.

    Returns
    -------
    DataFrame
        enh_class, rank (float64, 0 the strongest), and the signals' RPM (float64), by class and ascending rank; ranks
        that occur twice in a class are one row, with the mean of their signals.

    Raises
    ------
    InputError
        The file cannot be read, lacks a column or a class, has fewer than two ranks of a class, or negative numbers.
    """
    path = Path(path)
    named = {signal: _COLUMNS.get(signal, (f"{signal}.RPM",)) for signal in signals}
    columns = [Column("enh_class", "text", ("enh_class",)), Column("rank", "float", ("rank",))]
    columns += [Column(signal, "float", names) for signal, names in named.items()]
    table = read_headed(path, columns)
    numbers = table[["rank", *named]]
    refuse(table, (numbers < 0).any(axis=1), path, "has negative ranks or signals", "Make the reference again")
    for name in (_PROMOTER, _OTHER) if separate_promoters else (_EVERY,):
        ranks = table["rank"][table["enh_class"] == name].nunique()
        if ranks < 2:
            raise InputError(
                f"has {ranks} ranks of the class {name}, and a distribution needs two",
                source=path,
                first=", ".join(sorted(table["enh_class"].unique())),
                fix="Make it with `epinformer make-qnorm-reference`, or set activity.separate_promoters",
            )
    return table.groupby(["enh_class", "rank"], as_index=False)[list(named)].mean()


def quantile_normalised(
    rpm: np.ndarray, reference: pd.DataFrame, signal: str, is_promoter: np.ndarray | None
) -> np.ndarray:
    """Give a signal the distribution of a reference, as the activity-by-contact pipeline does (its release 1).

    An element of quantile q (average rank / n) among the n of its class has (1 - q) * n elements above it, and gets the
    reference's signal at that rank, linearly between the reference's ranks and on beyond them, but never below 0. Ranks
    are compared, not quantiles: of fewer elements than the reference has, all count as its strongest.

    Parameters
    ----------
    rpm
        (n,), the mean of replicates if there are several.
    reference
        As `read_quantile_reference` gives.
    signal
        Its column.
    is_promoter
        bool (n,): promoters and others are normalised apart. None: all together, with the class `any`.

    Returns
    -------
    ndarray
        float64 (n,), 0 or more.
    """
    rpm = np.asarray(rpm, dtype=np.float64)
    normalised = np.empty(len(rpm))
    everything = np.ones(len(rpm), dtype=bool)
    classes = {_EVERY: everything} if is_promoter is None else {_PROMOTER: is_promoter, _OTHER: ~is_promoter}
    for name, members in classes.items():
        if not members.any():
            continue
        rows = reference[reference["enh_class"] == name]
        above = members.sum() - pd.Series(rpm[members]).rank().to_numpy()
        normalised[members] = _on_lines(above, rows["rank"].to_numpy(), rows[signal].to_numpy()).clip(0)
    return normalised


def quantile_reference(dataset: Dataset) -> pd.DataFrame:
    """The distribution of a dataset's signals.

    Returns
    -------
    DataFrame
        enh_class (any, promoter, nonpromoter), quantile (0.01 to 1), rank ((1 - quantile) * n, not rounded), and one
        column a signal (DHS.RPM, ATAC.RPM, H3K27ac.RPM, NAME.RPM of others): the RPM that this share of the class's n
        elements does not exceed, linearly between elements. A class's strongest rows come last.

    Raises
    ------
    DatasetError
        The elements have no class or no signal, or none or all are promoters.
    """
    elements = dataset.elements
    source = dataset.path / "elements.parquet"
    signals = [name.removesuffix("_rpm") for name in elements.columns if name.endswith("_rpm")]
    if "class" not in elements or elements["class"].isna().any() or not signals:
        lacks = "signals" if not signals else "classes"
        raise DatasetError(
            f"the elements have no {lacks}, so there is no distribution of promoters and others",
            source=source,
            fix="Prepare the dataset with this version, from reads, tracks or counts",
        )
    is_promoter = (elements["class"] == _PROMOTER).to_numpy(bool)
    if is_promoter.all() or not is_promoter.any():
        raise DatasetError(
            f"{'all' if is_promoter.any() else 'none'} of the elements are promoters, and the reference has both kinds",
            source=source,
            fix="Use a dataset whose elements include those at the TSS",
        )
    tables = []
    for name, members in (
        (_EVERY, np.ones(len(elements), dtype=bool)),
        (_PROMOTER, is_promoter),
        (_OTHER, ~is_promoter),
    ):
        rows = elements[members]
        # So defined, a quantile q is the value of average rank q * n, which is how it is looked up.
        values = {
            _COLUMNS.get(signal, (f"{signal}.RPM",))[0]: np.quantile(
                rows[f"{signal}_rpm"].to_numpy(np.float64), _QUANTILES, method="interpolated_inverted_cdf"
            )
            for signal in signals
        }
        rank = (1 - _QUANTILES) * len(rows)
        tables.append(pd.DataFrame({"enh_class": name, "quantile": _QUANTILES, "rank": rank, **values}))
    return pd.concat(tables, ignore_index=True)


def make_qnorm_reference(dataset: str | Path, output: str | Path) -> None:
    """Write the distribution of a dataset's signals, for other datasets to be normalised to.

    Parameters
    ----------
    dataset
        A dataset's directory. Its `<signal>_rpm` are taken, which no normalisation has changed.
    output
        Tab-separated text in the layout of the ABC model's own reference; an existing file is replaced.

    Raises
    ------
    DatasetError
        The dataset cannot be opened or has no distribution (`quantile_reference`).
    OutputError
        The file cannot be written.
    """
    opened = open_dataset(dataset)
    table = quantile_reference(opened)
    with atomic_file(output) as temporary:
        table.to_csv(temporary, sep="\t", index=False, float_format="%.10g")
    logger.info(
        "wrote %s: %s of %s elements",
        output,
        ", ".join(name for name in table.columns if name.endswith(".RPM")),
        f"{opened.n_elements:,}",
    )


def _on_lines(x: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values at x on the lines through neighbouring points, the first and last of which go on for ever."""
    left = (np.searchsorted(known, x) - 1).clip(0, len(known) - 2)
    slope = (values[left + 1] - values[left]) / (known[left + 1] - known[left])
    on_line: np.ndarray = values[left] + (x - known[left]) * slope
    return on_line
