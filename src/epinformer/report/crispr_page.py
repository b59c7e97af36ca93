"""The page of a comparison with CRISPR-tested pairs, out of what was already computed."""

from __future__ import annotations

from collections.abc import Mapping

from epinformer import __version__
from epinformer.evaluation.bootstrap import Interval
from epinformer.evaluation.crispr import CrisprBenchmark
from epinformer.evaluation.crispr_measure import Difference, Stratum
from epinformer.evaluation.crispr_protocols import NO_INFORMATION, STRATA
from epinformer.report.html import Block, Bullets, Card, Facts, Picture, Section, Table, Text, embed, page

_READING = (
    "Tested pair: a region was silenced by CRISPR interference and the expression of a gene measured. It is regulated "
    "if the expression fell significantly.",
    "Scores of a pair: those of the links of its gene whose elements overlap the tested region. Pairs that overlap no "
    "link are counted at the bottom of a score, not left out. No label is used until the scores stand.",
    "Average precision: the area under the steps of precision against recall, 1 at best; a score that says nothing has "
    "the share of regulated pairs.",
    "Precision at 70 % recall: of the pairs called when 70 % of the regulated ones are called, the share that is "
    "regulated.",
    "Floors: what is known from the tested region alone, without any model. Links whose score is not above them add "
    "nothing.",
    "95 % interval: genes were drawn with replacement {drawn}, as the pairs of a gene are not independent; a "
    "difference is taken on the same draws.",
)
_PAPER = (
    "The published comparison keeps only genes that have a regulated pair within 100 kb, and divides each score by its "
    "sum over the gene's tested pairs. Both know the labels: such a gene has at least one regulated pair, so with few "
    "tested ones each is likely to be it. “{nothing}” knows only how many pairs a gene has. A score is as good as it "
    "is above that; these values compare with published ones and with nothing else."
)


def crispr_page(benchmark: CrisprBenchmark, pictures: Mapping[str, bytes]) -> str:
    """Lay out the page.

    Parameters
    ----------
    benchmark
        The numbers.
    pictures
        PNG images by name: ``precision_recall by_distance all_valid_pairs``, ``as_in_the_paper`` if there is one, and
        ``locus_<gene>`` of any number of genes.

    Returns
    -------
    str
        HTML.
    """
    images = {name: embed(picture) for name, picture in pictures.items()}
    whole = benchmark.strata["all"]
    cell_type = benchmark.tested.cell_type
    return page(
        "Links against CRISPR",
        [
            Section("All valid pairs", _all_pairs(benchmark, images)),
            Section("To bear in mind", _caveats(benchmark)),
            Section("By distance", _by_distance(benchmark, images)),
            Section("At a locus", _loci(images)),
            Section("As in the paper", _paper(benchmark, images)),
            Section("Data", _data(benchmark)),
            Section("How to read this", _reading(benchmark)),
        ],
        subtitle=" · ".join(
            [
                *([cell_type] if cell_type else []),
                f"{whole.regulated:,} of {whole.pairs:,} tested pairs regulated",
                f"{whole.genes:,} genes",
            ]
        ),
        cards=_cards(benchmark),
        lead=_verdict(benchmark),
        footer=f"Made by epinformer {__version__}. The numbers are in metrics.json, the pairs in pairs.tsv, beside it.",
    )


def _best(benchmark: CrisprBenchmark, names: list[str], stratum: str = "all") -> str:
    values = {name: benchmark.strata[stratum].scores[name].values["average_precision"] or 0.0 for name in names}
    return max(values, key=lambda name: values[name])


def _verdict(benchmark: CrisprBenchmark) -> str:
    """What the paired difference of the best score to the best floor says, in a sentence."""
    best = _best(benchmark, [str(name) for name in benchmark.joined.scores])
    floor = _best(benchmark, [str(name) for name in benchmark.floors])
    difference = _minus(benchmark.strata["all"], best, floor)
    value, interval = difference.values["average_precision"], difference.intervals["average_precision"]
    if value is None or interval is None:
        return ""
    word = "above" if interval.low > 0 else "below" if interval.high < 0 else "not told apart from"
    return f"On all valid pairs the best score, {best}, is {word} the best floor, {floor.removeprefix('floor: ')}."


def _cards(benchmark: CrisprBenchmark) -> list[Card]:
    cards = []
    for stratum, label in (("all", "all valid pairs"), ("within 100 kb", "within 100 kb")):
        of = benchmark.strata[stratum]
        best = _best(benchmark, [str(name) for name in benchmark.joined.scores], stratum)
        floor = _best(benchmark, [str(name) for name in benchmark.floors], stratum)
        each, least = of.scores[best], of.scores[floor]
        detail = f"{_span(each.intervals['average_precision'])}\n{of.regulated:,} of {of.pairs:,} pairs"
        cards.append(Card(f"{best}, {label}", _number(each.values["average_precision"]), detail))
        cards.append(
            Card(
                f"{floor}, {label}",
                _number(least.values["average_precision"]),
                _span(least.intervals["average_precision"]),
            )
        )
    return cards


def _all_pairs(benchmark: CrisprBenchmark, images: Mapping[str, str]) -> list[Block]:
    whole = benchmark.strata["all"]
    floors = [str(name) for name in benchmark.floors]
    rows = []
    for name in _sorted(whole):
        each = whole.scores[name]
        above = [_differs(_minus(whole, name, floor)) if name != floor else "" for floor in floors]
        rows.append([name, f"{each.missing:,}", *_measured(whole, name), *above])
    rows.append(_nothing(whole, 2 + len(floors)))
    header = ["", "missing", "average precision", "precision at 70 % recall"]
    header += [f"AP above {floor.removeprefix('floor: ')}" for floor in floors]
    return [
        Picture(
            images["precision_recall"],
            "Precision against recall of the best scores and the floors, on all valid pairs and within 100 kb.",
            "A curve ends where the score has no value for the remaining pairs; the vertical line is 70 % recall.",
            width=46,
        ),
        Picture(
            images["all_valid_pairs"],
            f"Average precision with 95 % interval: {_listed(whole)}.",
            f"Average precision over {whole.pairs:,} pairs, with 95 % intervals; dotted: a score that says nothing.",
        ),
        Table(header, rows, "95 % intervals in brackets; differences on the same pairs and draws."),
    ]


def _by_distance(benchmark: CrisprBenchmark, images: Mapping[str, str]) -> list[Block]:
    names = list(STRATA)[1:]
    rows = []
    for name in _sorted(benchmark.strata["all"]):
        rows.append([name, *(_measured(benchmark.strata[stratum], name)[0] for stratum in names)])
    shares = [_share(benchmark.strata[stratum]) for stratum in names]
    rows.append(["a score that says nothing", *shares])
    sizes = [f"{benchmark.strata[name].regulated:,} of {benchmark.strata[name].pairs:,}" for name in names]
    header = ["", *(f"{name}: {size}" for name, size in zip(names, sizes, strict=True))]
    return [
        Picture(
            images["by_distance"],
            "Average precision of the best scores and the floors in bins of distance.",
            "The dotted line is a score that says nothing: the share of regulated pairs.",
            width=44,
        ),
        Table(header, rows, "Average precision by distance of region and TSS, and how many pairs are regulated."),
    ]


def _loci(images: Mapping[str, str]) -> list[Block]:
    blocks: list[Block] = []
    for name, image in images.items():
        if name.startswith("locus_"):
            gene = name.removeprefix("locus_")
            text = f"{gene}: measured effects and the scores of its links along the chromosome."
            caption = (
                f"{gene}. Top: the measured effect of silencing each region. Below: the scores of the gene's links; "
                "regulated regions are shaded, the dotted line is the TSS, a triangle marks a score beyond the panel."
            )
            blocks.append(Picture(image, text, caption, width=46))
    return blocks


def _paper(benchmark: CrisprBenchmark, images: Mapping[str, str]) -> list[Block]:
    paper = benchmark.paper
    if paper is None:
        return [Text("No gene has a regulated pair within 100 kb.")]
    rows = []
    for name in _sorted(paper):
        each = paper.scores[name]
        above = "" if name == NO_INFORMATION else _differs(_minus(paper, name, NO_INFORMATION))
        rows.append([name, f"{each.missing:,}", *_measured(paper, name), above])
    return [
        Text(_PAPER.format(nothing=NO_INFORMATION)),
        Picture(
            images["as_in_the_paper"],
            f"Average precision as in the paper: {_listed(paper)}.",
            f"{paper.regulated:,} of {paper.pairs:,} pairs of {paper.genes:,} genes. Dotted: {NO_INFORMATION}.",
        ),
        Table(
            ["", "missing", "average precision", "precision at 70 % recall", f"AP above {NO_INFORMATION}"],
            rows,
            "Scores divided by their sum over the gene's tested pairs.",
        ),
    ]


def _data(benchmark: CrisprBenchmark) -> list[Block]:
    tested, joined = benchmark.tested, benchmark.joined
    facts = [
        ("Rows of the CRISPR table", f"{tested.rows:,}"),
        ("Left out, not valid", f"{tested.invalid:,}"),
        *([("Left out, other cell types", f"{tested.other_cell_types:,}")] if tested.other_cell_types else []),
        ("Genes in the links", joined.genes),
        ("Pairs with an overlapping link", f"{(joined.links > 0).sum():,} of {len(joined.links):,}"),
        ("Pairs with several", f"{(joined.links > 1).sum():,}"),
        *((f"Score {name}", rule.words()) for name, rule in joined.rules.items()),
    ]
    return [Facts(facts)]


def _caveats(benchmark: CrisprBenchmark) -> list[Block]:
    return [Bullets([f"{note[:1].upper()}{note[1:]}." for note in benchmark.notes])] if benchmark.notes else []


def _reading(benchmark: CrisprBenchmark) -> list[Block]:
    drawn = f"{benchmark.bootstraps:,} times (seed {benchmark.seed})"
    return [Bullets([line.format(drawn=drawn) for line in _READING])]


def _sorted(stratum: Stratum) -> list[str]:
    return sorted(stratum.scores, key=lambda name: -(stratum.scores[name].values["average_precision"] or 0.0))


def _minus(stratum: Stratum, first: str, second: str) -> Difference:
    """The difference of two scores, in whichever order it is stored."""
    if (first, second) in stratum.differences:
        return stratum.differences[first, second]
    stored = stratum.differences[second, first]
    return Difference(
        {name: None if value is None else -value for name, value in stored.values.items()},
        {name: Interval(-pair.high, -pair.low) if pair else None for name, pair in stored.intervals.items()},
    )


def _measured(stratum: Stratum, name: str) -> list[str]:
    """Every metric with its interval below it."""
    each = stratum.scores[name]
    spans = {
        key: f"\n[{_number(pair.low)}, {_number(pair.high)}]" if pair else "" for key, pair in each.intervals.items()
    }
    return [_number(value) + spans[key] for key, value in each.values.items()]


def _nothing(stratum: Stratum, blanks: int) -> list[str]:
    share = _share(stratum)
    return ["a score that says nothing", "", share, share, *[""] * (blanks - 2)]


def _share(stratum: Stratum) -> str:
    return _number(stratum.regulated / stratum.pairs if stratum.pairs else None)


def _differs(difference: Difference) -> str:
    value, interval = difference.values["average_precision"], difference.intervals["average_precision"]
    return _signed(value) + (f"\n[{_signed(interval.low)}, {_signed(interval.high)}]" if interval else "")


def _listed(stratum: Stratum) -> str:
    return ", ".join(f"{name} {_number(stratum.scores[name].values['average_precision'])}" for name in _sorted(stratum))


def _span(interval: Interval | None) -> str:
    return f"{_number(interval.low)} to {_number(interval.high)}" if interval else "no interval"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")
