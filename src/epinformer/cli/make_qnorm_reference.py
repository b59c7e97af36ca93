"""`epinformer make-qnorm-reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def make_qnorm_reference(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Dataset written by `epinformer prepare`.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Table to write, tab-separated.")],
) -> None:
    """Write the distribution of a dataset's signals, to normalise other datasets to.

    A row for each of 118 quantiles of all elements, of promoters, and of others, with the RPM of each signal. Name the
    file as `activity: {quantile_reference: FILE}` in another dataset's configuration, and its signals are quantile
    normalised to this one's. The layout is that of the ABC model's own reference, which works in its place here.

    \b
    Examples:
      epinformer make-qnorm-reference k562.dataset -o k562.qnorm.tsv
    """
    from epinformer.prepare.quantiles import make_qnorm_reference as make
    from epinformer.report.tables import refuse_targets

    refuse_targets([output], [dataset])
    make(dataset, output)
