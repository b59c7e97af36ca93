"""The page of motifs, out of what was already found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from epinformer import __version__
from epinformer.report.html import Block, Bullets, Card, Facts, Picture, Section, Table, Text, embed, page
from epinformer.report.motif_tables import best_matches, families_of, seqlets_per_motif, significant_matches

if TYPE_CHECKING:
    from epinformer.interpretation.attribution_file import About
    from epinformer.interpretation.motifs import MotifResult

SHOWN = 20
"""Rows of the table of enrichment, and dots of its figure."""
# Letters' heights of the page, an inch of a logo.
_INCH = 4.0
# So many families, and names of other motifs, are said of a pattern.
_FAMILIES, _OTHERS = 3, 6
# A space at which no line ends.
_FIXED = "\N{NO-BREAK SPACE}"
_METHODS = {"ism": "in-silico mutagenesis", "deeplift": "DeepLIFT"}
_WHAT = {"activity": "predicted activity", "expression": "predicted expression"}
_SETTINGS = {
    "q": "Motifs match with a q below",
    "threshold": "Seqlets have a p below",
    "min_seqlets": "Fewest seqlets that are grouped",
    "max_seqlets": "Most seqlets that are grouped",
    "sequences": "Sequences",
    "against_sequences": "Sequences compared with",
}
_READING = (
    "Attribution: how much a base adds to the prediction, or takes from it. It says what the model reads, not what "
    "binds: a site that is bound and that the model does not use has none.",
    "Pattern: short stretches of high attribution (seqlets) that look alike, as TF-MoDISco groups them; pos_ patterns "
    "raise the prediction, neg_ patterns lower it.",
    "Called seqlets: stretches whose attribution stands out, found in each sequence on its own. Most belong to no "
    "pattern: it takes many alike to make one.",
    "Logo of a pattern: the mean attribution of each base over its seqlets. Below it stands the best known motif, in "
    "bits, turned and shifted as it was matched; the pattern may say more or less than that.",
    "Motifs of one family look alike, so the name is that of the family's member in the database that fits best, and "
    "not a claim which of them binds. Others that fit are listed, and which is expressed in the cells decides.",
    "q of a match: the false discovery rate (Benjamini and Hochberg) over the motifs of the database, for one pattern.",
    "Hit: a place in a seqlet where a motif of the database fits the sequence (FIMO); its q is over all places that "
    "were scanned for that motif. A seqlet has the name of its most significant hit.",
)
_ENRICHED = (
    "Odds ratio: how much the odds that a sequence has a hit differ between the sets; p by Fisher's exact test, "
    "two-sided, and q over all motifs. Sets that differ in length or composition differ in hits for that alone."
)


def motifs_page(
    result: MotifResult,
    about: About,
    counts: Mapping[str, int],
    pictures: Mapping[str, bytes],
    regions: Sequence[tuple[str, bytes]],
    *,
    enriched: pd.DataFrame | None = None,
    widths: Mapping[str, float],
    made: Mapping[str, str],
) -> str:
    """Lay out the page.

    Parameters
    ----------
    result
        What was found.
    about
        How the sequences were explained.
    counts
        Numbers of ``sequences seqlets hits`` and of ``with_seqlets``, the sequences that have one.
    pictures
        PNG images by name: ``logos/<pattern>`` of each pattern, ``motifs`` and ``enrichment`` if there is something to
        show.
    regions
        What sequences are in words, and PNG images of their attributions.
    enriched
        The enrichment with family, share_first and share_second, or None if nothing was compared.
    widths
        Width of each pattern's logo in inches, by the pattern's name.
    made
        More to say of how it was made.

    Returns
    -------
    str
        HTML.
    """
    images = {name: embed(picture) for name, picture in pictures.items()}
    named = len(best_matches(result))
    return page(
        "Motifs",
        [
            Section("Patterns", _patterns(result, images, widths)),
            Section("Seqlets per motif", _bars(result, images)),
            Section("Regions", _regions(regions)),
            Section("Enrichment", _enrichment(result, enriched, images)),
            Section("How to read this", [Bullets([*_READING, *([] if enriched is None else [_ENRICHED])])]),
            Section("Settings", [Facts(_settings(result, about, made))]),
        ],
        subtitle=" · ".join([_WHAT[about.what], _METHODS[about.method], *([about.assembly] if about.assembly else [])]),
        cards=[
            Card("patterns", f"{len(result.patterns):,}", _signs(result)),
            Card("with a known motif", f"{named:,}", f"q < {result.about['q']:g}\n{len(result.motifs):,} motifs known"),
            Card(
                "seqlets called",
                f"{counts['seqlets']:,}",
                f"in {counts['with_seqlets']:,} of {counts['sequences']:,} sequences",
            ),
            Card("motif hits", f"{counts['hits']:,}", "places of motifs in seqlets"),
        ],
        lead=lead(result, about, counts["sequences"]),
        footer=f"Made by epinformer {__version__}. Tables, BED files and logos are beside this page.",
    )


def lead(result: MotifResult, about: About, sequences: int) -> str:
    """What was found, in two or three sentences."""
    said = f"{_METHODS[about.method]} of {_models(about)} ({_WHAT[about.what]})"
    where = f"in {_counted(sequences, 'sequence')}, by {said}"
    if not result.patterns:
        return f"No pattern was found {where}."
    seqlets = sum(len(pattern.seqlets) for pattern in result.patterns)
    text = f"{_counted(len(result.patterns), 'pattern')} from {_counted(seqlets, 'seqlet')} {where}."
    motifs = seqlets_per_motif(result).drop_duplicates("id")
    if not len(motifs):
        return f"{text} None resembles a known motif (q < {result.about['q']:g})."
    names = [row["name"] + (f" ({row['family']})" if row["family"] else "") for _, row in motifs.iterrows()]
    named = len(best_matches(result))
    text += f" {named:,} resemble{'s a' if named == 1 else ''} known motif{'' if named == 1 else 's'}, best: "
    return text + f"{', '.join(names[:8])}{' and others' if len(names) > 8 else ''}."


def _patterns(result: MotifResult, images: Mapping[str, str], widths: Mapping[str, float]) -> list[Block]:
    if not result.patterns:
        return [Text("No pattern was found: no group of seqlets is large and alike enough.")]
    best = best_matches(result)
    rows: list[Sequence[str | Picture]] = []
    for number, pattern in enumerate(result.patterns):
        effect = "raises" if pattern.sign > 0 else "lowers"
        seqlets = _counted(len(pattern.seqlets), "seqlet").replace(" ", _FIXED)
        row: list[str | Picture] = [f"{pattern.name}\n{seqlets}\n{effect}"]
        alt = f"Logo of {pattern.name}, {pattern.consensus}"
        named = ["no known motif", "", ""]
        if number in best:
            match = best[number]
            alt += f", above {match['name']}"
            fitting = significant_matches(result, number)
            called = dict.fromkeys((str(match["name"]), str(match["id"]), f"q {_q(match['q'])}"))
            named = ["\n".join(called), str(match["family"]), _others(fitting)]
        width = round(_INCH * widths[pattern.name])
        rows.append([*row, Picture(images[f"logos/{pattern.name}"], alt, width=width), *named])
    header = ["pattern", "mean attribution, and the best known motif", "best known motif", "family", "others that fit"]
    caption = (
        "Above: the mean attribution of each base over the pattern's seqlets, where it is large. Below: the known "
        "motif, turned and shifted as it was matched, in bits."
    )
    return [Table(header, rows, caption, words=len(header))]


def _others(fitting: pd.DataFrame) -> str:
    """The families of the motifs that fit a pattern, and the names of the best of them after the first."""
    names = list(dict.fromkeys(str(name) for name in fitting["name"]))[1:]
    if not names:
        return ""
    families = [f"{count:,} {family}" for family, count in families_of(fitting)[:_FAMILIES]]
    more = f" and {len(names) - _OTHERS:,} more" if len(names) > _OTHERS else ""
    said = f"{', '.join(names[:_OTHERS])}{more}"
    return f"{said}\nof all {len(fitting):,}: {', '.join(families)}" if families else said


def _bars(result: MotifResult, images: Mapping[str, str]) -> list[Block]:
    counts = seqlets_per_motif(result)
    if "motifs" not in images:
        return [Text("No pattern resembles a known motif.")] if result.patterns else []
    told = ", ".join(f"{row['name']} {row['seqlets']:,}" for _, row in counts.head(SHOWN).iterrows())
    unnamed = len(result.patterns) - len(best_matches(result))
    caption = "Seqlets of the patterns that resemble a known motif best."
    if unnamed:
        caption += f" {_counted(unnamed, 'pattern')} without one {'is' if unnamed == 1 else 'are'} not shown."
    return [Picture(images["motifs"], f"Number of seqlets by motif: {told}.", caption, width=42)]


def _regions(regions: Sequence[tuple[str, bytes]]) -> list[Block]:
    if not regions:
        return []
    said = "The first sequences. Coloured stretches are called seqlets, with the name of their most significant hit."
    alt = "{}: attributions of the bases as letters, with the names of the seqlets."
    return [Text(said, "aside"), *(Picture(embed(image), alt.format(name), width=60) for name, image in regions)]


def _enrichment(result: MotifResult, enriched: pd.DataFrame | None, images: Mapping[str, str]) -> list[Block]:
    if enriched is None:
        return []
    if not len(enriched):
        return [Text("No motif has a hit in either set, so nothing is enriched.")]
    significant = int((enriched["q"] < result.about["q"]).sum())
    first, second = result.about["sequences"], result.about["against_sequences"]
    blocks: list[Block] = [
        Text(
            f"{significant:,} of {len(enriched):,} motifs differ between the {first:,} sequences here and the "
            f"{second:,} compared with (q < {result.about['q']:g})."
        )
    ]
    if "enrichment" in images:
        told = "Log2 odds ratio of a hit, by motif; the table has the numbers."
        blocks.append(Picture(images["enrichment"], told, "The area of a dot: the share of sequences hit.", width=42))
    shown = shown_of(enriched)
    rows = [
        [
            str(row["name"]),
            str(row["family"]),
            f"{row['first']:,} ({row['share_first']:.0%})",
            f"{row['second']:,} ({row['share_second']:.0%})",
            f"{row['log2_odds_ratio']:+.2f}".replace("-", "−"),
            _q(row["q"]),
        ]
        for _, row in shown.iterrows()
    ]
    header = ["motif", "family", "here", "against", "log2 odds ratio", "q"]
    caption = "The best motif of each family, those with the lowest p; enrichment.tsv has all motifs."
    return [*blocks, Table(header, rows, caption, words=2)]


def shown_of(enriched: pd.DataFrame) -> pd.DataFrame:
    """The rows of the enrichment that are shown: the best of each family, as its motifs share their hits."""
    families = enriched["family"].where(enriched["family"] != "", enriched["id"])
    return enriched[~families.duplicated()].head(SHOWN)


def _settings(result: MotifResult, about: About, made: Mapping[str, str]) -> list[tuple[str, str]]:
    facts = [
        ("Attributions of", _WHAT[about.what] + (f", {about.target}" if about.target else "")),
        ("Method", _METHODS[about.method]),
        ("Models", ", ".join(about.models)),
    ]
    if about.method == "deeplift":
        facts.append(("References", f"{about.references:,} dinucleotide shuffles, seed {about.seed}"))
    if about.assembly:
        facts.append(("Assembly", about.assembly))
    settings = {**made, **result.about}
    return [*facts, *((_SETTINGS.get(key, key.replace("_", " ")), _said(value)) for key, value in settings.items())]


def _signs(result: MotifResult) -> str:
    up = sum(pattern.sign > 0 for pattern in result.patterns)
    return f"{up:,} raise the prediction, {len(result.patterns) - up:,} lower it"


def _models(about: About) -> str:
    if len(about.models) == 1:
        return f"the model {about.models[0]}"
    return f"{len(about.models):,} models"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _q(value: float) -> str:
    return "< 1e-300" if value < 1e-300 else f"{value:.2g}".replace("-", "−") if value >= 1e-4 else f"{value:.0e}"


def _said(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
