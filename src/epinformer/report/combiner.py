"""A trained combiner in words."""

from __future__ import annotations

from epinformer.combiner.fit import Trained
from epinformer.evaluation.bootstrap import Interval


def summary(trained: Trained) -> str:
    """How it does on pairs it has not seen, how far its probabilities hold, and the weights, as plain text."""
    combiner = trained.combiner
    whole, tables = combiner.members[0], combiner.trained_on
    lines = [
        f"learned from {whole.pairs:,} of {tables.tested:,} tested pairs ({whole.regulated:,} regulated); "
        f"{tables.without_link:,} overlap no link",
        f"{len(combiner.members) - 1} chromosomes left out in turn; average precision of the pairs left out:",
    ]
    width = 2 + max(len(name) for name in trained.strata["all"].scores)
    for title, stratum in trained.strata.items():
        lines.append(f"{title}: {stratum.regulated:,} of {stratum.pairs:,} regulated")
        for name, each in stratum.scores.items():
            value, interval = each.values["average_precision"], each.intervals["average_precision"]
            lines.append(f"  {name:<{width}}{_bounded(value, interval)}")
    found = trained.calibration
    lines += [
        f"Brier score {found.brier:.4f}, of the overall share {found.brier_of_share:.4f}",
        "  probability       pairs   mean   regulated",
    ]
    for row in found.table.itertuples():
        lines.append(f"  {row.low:.2f} to {row.high:.2f}{row.rows:>11,}  {row.probability:.3f}       {row.share:.3f}")
    lines.append("weights of standardised features (and of a missing value):")
    width = 2 + max(len(term.column) for term in whole.terms)
    for term in sorted(whole.terms, key=lambda term: -abs(term.weight)):
        missing = f"  ({term.missing:+.3f})" if term.missing else ""
        lines.append(f"  {term.column:<{width}}{term.weight:+.3f}{missing}")
    return "\n".join(lines)


def _bounded(value: float | None, interval: Interval | None) -> str:
    number = "-" if value is None else f"{value:.3f}"
    return number + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")
