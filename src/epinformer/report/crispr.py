"""Links against CRISPR for people: a summary in words, and a folder with tables, pictures and a page."""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from epinformer.errors import InputError
from epinformer.evaluation.bootstrap import Interval
from epinformer.evaluation.crispr import CrisprBenchmark
from epinformer.evaluation.crispr_measure import Stratum
from epinformer.evaluation.crispr_protocols import NO_INFORMATION
from epinformer.files import atomic_file
from epinformer.report.crispr_figures import by_distance, pdf, precision_recall, values
from epinformer.report.crispr_locus import locus
from epinformer.report.crispr_page import crispr_page
from epinformer.report.evaluation import made_folder
from epinformer.report.html import png
from epinformer.report.tables import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More curves than these cannot be told apart, more panels do not fit a page.
_CURVES, _PANELS = 4, 3
_LOCI = 3


def summary(benchmark: CrisprBenchmark) -> str:
    """Every score on all valid pairs, by distance and as in the paper, and the notes, as a plain text table."""
    whole, joined = benchmark.strata["all"], benchmark.joined
    width = 2 + max(len(name) for name in (*whole.scores, NO_INFORMATION))
    near = benchmark.strata["within 100 kb"]
    lines = [
        f"{whole.regulated:,} of {whole.pairs:,} tested pairs are regulated; {whole.genes:,} genes",
        f"links: {joined.genes}; {(joined.links > 0).sum():,} tested pairs overlap a link",
        "",
        "all valid pairs: the ones to quote",
        f"{'':<{width}}{'missing':>8}  {'AP [95 %]':<23}{'P at 70 % recall':<18}{'AP within 100 kb [95 %]':<25}",
    ]
    for name in _by_precision(whole):
        each, close = whole.scores[name], near.scores[name]
        line = f"{name:<{width}}{each.missing:>8,}  {_bounded(each.values, each.intervals):<23}"
        line += f"{_number(each.values['precision_at_70_recall']):<18}{_bounded(close.values, close.intervals):<25}"
        lines.append(line)
    lines.append(_nothing(whole, near, width))
    if benchmark.paper is not None:
        paper = benchmark.paper
        lines += [
            "",
            f"as in the paper: {paper.regulated:,} of {paper.pairs:,} pairs, of the {paper.genes:,} genes with a "
            "regulated one within 100 kb, each score divided by its gene's sum",
        ]
        for name in _by_precision(paper):
            each = paper.scores[name]
            lines.append(f"{name:<{width}}{each.missing:>8,}  {_bounded(each.values, each.intervals)}")
    lines += [f"note: {note}" for note in benchmark.notes]
    return "\n".join(line.rstrip() for line in lines)


def to_json(benchmark: CrisprBenchmark) -> str:
    """The numbers as JSON text ending in a newline."""
    return json.dumps(benchmark.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def loci_of(benchmark: CrisprBenchmark, names: Sequence[str] | None = None) -> list[str]:
    """The genes to draw, as ``gene`` of the tested pairs.

    Parameters
    ----------
    benchmark
        The comparison.
    names
        Symbols or ids; by default the three genes of the links with the most regulated pairs.

    Raises
    ------
    InputError
        A gene was not tested.
    """
    pairs = benchmark.tested.pairs
    if names is None:
        regulated = benchmark.tested.outcomes["regulated"].to_numpy(bool)
        counts = pairs["gene"][regulated & benchmark.joined.gene_found].value_counts()
        return [str(gene) for gene in sorted(counts.index, key=lambda gene: (-counts[gene], gene))[:_LOCI]]
    known = dict(zip(pairs["gene"], pairs["gene"], strict=True))
    if "gene_name" in pairs:
        known |= dict(zip(pairs["gene_name"].dropna(), pairs["gene"][pairs["gene_name"].notna()], strict=True))
    absent = [name for name in names if name not in known]
    if absent:
        near = difflib.get_close_matches(absent[0], [str(name) for name in known], n=3)
        fix = f"Close to it: {', '.join(near)}" if near else "Name a gene of the CRISPR table"
        raise InputError("no pair of this gene was tested", count=len(absent), first=absent[0], fix=fix)
    return list(dict.fromkeys(known[name] for name in names))


def write_crispr(folder: str | Path, benchmark: CrisprBenchmark, *, genes: Sequence[str] | None = None) -> None:
    """Write ``metrics.json``, ``pairs.tsv``, ``figures/`` (PNG and PDF) and ``report.html`` into a folder.

    The folder is made if it is not there. Earlier files are replaced, all or, on a failure before the last is complete,
    none.

    Parameters
    ----------
    folder
        Where to.
    benchmark
        What `evaluation.crispr.benchmark_crispr` found.
    genes
        Whose loci to draw (`loci_of`).

    Raises
    ------
    InputError
        A gene was not tested.
    OutputError
        The folder cannot be made or written to.
    """
    folder = Path(folder)
    drawn = dict(_figures(benchmark, loci_of(benchmark, genes)))
    pictures = {name: png(figure) for name, figure in drawn.items()}
    page = crispr_page(benchmark, pictures)
    # Everything is written under temporary names before the first is renamed.
    with contextlib.ExitStack() as stack:
        stack.enter_context(made_folder(folder / "figures"))
        stack.enter_context(atomic_file(folder / "report.html")).write_text(page, encoding="utf-8")
        for name, figure in drawn.items():
            stack.enter_context(atomic_file(folder / "figures" / f"{name}.png")).write_bytes(pictures[name])
            stack.enter_context(atomic_file(folder / "figures" / f"{name}.pdf")).write_bytes(pdf(figure))
        stack.enter_context(atomic_file(folder / "metrics.json")).write_text(to_json(benchmark), encoding="utf-8")
        with stack.enter_context(atomic_file(folder / "pairs.tsv")).open("w", encoding="utf-8") as handle:
            write_table(benchmark.table(), handle)
    # Loci of an earlier benchmark are none of this one's.
    for old in (folder / "figures").glob("locus_*.*"):
        if old.suffix in (".png", ".pdf") and old.stem not in drawn:
            old.unlink()


def _figures(benchmark: CrisprBenchmark, genes: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    whole = benchmark.strata["all"]
    best = [name for name in _by_precision(whole) if name in benchmark.joined.scores]
    shown = [*best[:_CURVES], *benchmark.floors]
    yield "precision_recall", precision_recall(benchmark, shown)
    yield "by_distance", by_distance(benchmark, shown)
    order = [*best, *benchmark.floors]
    yield "all_valid_pairs", values(whole, order, whole.regulated / whole.pairs)
    if benchmark.paper is not None:
        nothing = benchmark.paper.scores[NO_INFORMATION].values["average_precision"]
        yield "as_in_the_paper", values(benchmark.paper, order, nothing)
    panels = [name for name in best if not benchmark.joined.rules[name].distance][:_PANELS]
    for gene in genes:
        yield f"locus_{_symbol(benchmark, gene)}", locus(benchmark, gene, panels)


def _symbol(benchmark: CrisprBenchmark, gene: str) -> str:
    """A gene's symbol if it has one, for a file's name."""
    pairs = benchmark.tested.pairs
    names = [] if "gene_name" not in pairs else pairs["gene_name"][pairs["gene"] == gene].dropna().tolist()
    symbol = str(names[0]) if names else gene
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in symbol)


def _by_precision(stratum: Stratum) -> list[str]:
    """The names of the scores, the best first."""
    values = {name: each.values["average_precision"] for name, each in stratum.scores.items()}
    return sorted(values, key=lambda name: -(values[name] or 0.0))


def _nothing(whole: Stratum, near: Stratum, width: int) -> str:
    shares = [f"{stratum.regulated / stratum.pairs:.3f}" if stratum.pairs else "-" for stratum in (whole, near)]
    return f"{'says nothing':<{width}}{'':>8}  {shares[0]:<23}{shares[0]:<18}{shares[1]:<25}"


def _bounded(values: dict[str, float | None], intervals: dict[str, Interval | None]) -> str:
    value, interval = values["average_precision"], intervals["average_precision"]
    return _number(value) + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
