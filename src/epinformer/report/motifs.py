"""Motifs for people and for the next tool: a summary in words, and a folder of tables, BED files, logos and a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from epinformer import __version__
from epinformer.files import atomic_directory
from epinformer.inputs.motifs import Motif, write_meme
from epinformer.interpretation.attribution_file import TILES
from epinformer.interpretation.discovery import Pattern, save_modisco
from epinformer.report.attributions import figure_name, sequence_figure
from epinformer.report.crispr_figures import pdf
from epinformer.report.crossval_page import plain
from epinformer.report.html import png
from epinformer.report.motif_figures import enrichment_dots, motif_bars, pattern_logo
from epinformer.report.motif_tables import (
    best_matches,
    enrichment_table,
    hits_bed,
    named_matches,
    named_seqlets,
    one_line,
    seqlets_bed,
    seqlets_per_motif,
    text_table,
)
from epinformer.report.motifs_page import lead, motifs_page, shown_of
from epinformer.report.tables import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from epinformer.interpretation.attribution_file import Attributions
    from epinformer.interpretation.motifs import MotifResult

MARKER = "motifs.json"
"""The file by which a folder is known to be one of ours."""


def summary(result: MotifResult, attributions: Attributions) -> str:
    """The patterns and what each resembles, as plain text."""
    lines = [one_line(lead(result, attributions.about, len(attributions.table)))]
    best = best_matches(result)
    if result.patterns:
        lines += ["", f"{'pattern':<10}{'seqlets':>9}  {'consensus':<24}best known motif"]
    for number, pattern in enumerate(result.patterns):
        said = "none"
        if number in best:
            match = best[number]
            more = [str(part) for part in (match["id"], match["said"]) if part not in ("", match["name"])]
            said = str(match["name"]) + (f" ({', '.join(more)})" if more else "") + f", q {match['q']:.2g}"
        lines.append(f"{pattern.name:<10}{len(pattern.seqlets):>9,}  {pattern.consensus:<24}{one_line(said)}")
    return "\n".join(lines)


def write_motifs(
    result: MotifResult,
    attributions: Attributions,
    folder: str | Path,
    *,
    about: Mapping[str, str] | None = None,
    figures: int = 10,
    overwrite: bool = False,
) -> None:
    """Write what was found into a folder: whole, or not at all.

    ``motifs.tsv`` (a row a pattern), ``matches.tsv`` (every pattern with every known motif), ``hits.bed`` and
    ``seqlets.bed`` (`motif_tables.HITS`, `motif_tables.SEQLETS`), ``patterns.meme``, ``modisco.h5`` (TF-MoDISco's),
    ``enrichment.tsv`` if two sets were compared, ``logos/`` (PNG), ``figures/`` (PNG and PDF), ``motifs.html`` and
    ``motifs.json``. Tables without rows have their headers.

    Parameters
    ----------
    result
        What `epinformer.interpretation.motifs.find_motifs` found.
    attributions
        Of what it was found.
    folder
        Where to.
    about
        More to say of how it was made, by its name: the files, the database.
    figures
        Of how many sequences, the first ones, the attributions are drawn.
    overwrite
        Replace a folder that was written so.

    Raises
    ------
    OutputError
        The folder may not be replaced or cannot be written to.
    """
    regions = attributions.table
    made = dict(about or {})
    seqlets = named_seqlets(result)
    hits = hits_bed(result, regions)
    called = seqlets_bed(seqlets, regions)
    enriched = enrichment_table(result)
    counts = {
        "sequences": len(regions),
        "with_seqlets": int(seqlets["row"].nunique()),
        "seqlets": len(called),
        "hits": len(hits),
    }
    tables = {
        "motifs.tsv": result.table,
        "matches.tsv": named_matches(result),
        "hits.bed": hits,
        "seqlets.bed": called,
        **({} if enriched is None else {"enrichment.tsv": enriched}),
    }
    with atomic_directory(folder, overwrite=overwrite, marker=MARKER) as temporary:
        for name in ("logos", "figures"):
            (temporary / name).mkdir()
        for name, table in tables.items():
            with (temporary / name).open("w", encoding="utf-8") as handle:
                write_table(text_table(table), handle)
        write_meme(_as_motifs(result), temporary / "patterns.meme")
        save_modisco(result.patterns, temporary / "modisco.h5")
        pictures, widths = {}, {}
        for pattern, logo in _logos(result):
            name = f"logos/{pattern.name}"
            pictures[name] = png(logo)
            widths[pattern.name] = logo.get_figwidth()
            (temporary / f"{name}.png").write_bytes(pictures[name])
        for name, figure in _figures(result, enriched):
            pictures[name] = _written(figure, temporary / "figures", name)
        drawn = [
            (said, _written(figure, temporary / "figures", name))
            for name, said, figure in _drawn(attributions, seqlets, figures)
        ]
        page = motifs_page(
            result, attributions.about, counts, pictures, drawn, enriched=enriched, widths=widths, made=made
        )
        (temporary / "motifs.html").write_text(page, encoding="utf-8")
        text = (
            json.dumps(_record(result, attributions, counts, made), indent=2, ensure_ascii=False, allow_nan=False)
            + "\n"
        )
        (temporary / MARKER).write_text(text, encoding="utf-8")


def _as_motifs(result: MotifResult) -> list[Motif]:
    """The patterns as motifs, called by the known one that each resembles best."""
    best = best_matches(result)
    called = {number: "_".join(str(match["name"]).split()) for number, match in best.items()}
    return [
        Motif(pattern.name, called.get(number, pattern.name), pattern.trimmed)
        for number, pattern in enumerate(result.patterns)
    ]


def _logos(result: MotifResult) -> Iterator[tuple[Pattern, Figure]]:
    """Every pattern with its figure: its contributions above the best known motif."""
    best = best_matches(result)
    for number, pattern in enumerate(result.patterns):
        contributions = pattern.contributions[:, pattern.kept]
        if number not in best:
            yield pattern, pattern_logo(contributions)
            continue
        match = best[number]
        frequencies = result.motifs[match["motif"]].frequencies
        if match["strand"] == "-":
            frequencies = frequencies[::-1, ::-1]
        yield pattern, pattern_logo(contributions, frequencies, offset=-match["offset"])


def _figures(result: MotifResult, enriched: pd.DataFrame | None) -> Iterator[tuple[str, Figure]]:
    motifs = seqlets_per_motif(result)
    if len(motifs):
        yield "motifs", motif_bars(motifs)
    if enriched is not None and len(enriched):
        yield "enrichment", enrichment_dots(shown_of(enriched), result.about["q"])


def _drawn(attributions: Attributions, seqlets: pd.DataFrame, most: int) -> Iterator[tuple[str, str, Figure]]:
    """Name of the file, what is shown in words, and figure of each of the first sequences."""
    tiles = pd.DataFrame(columns=list(TILES)) if attributions.tiles is None else attributions.tiles
    actual = attributions.actual
    for number in range(min(most, len(attributions.table))):
        row = attributions.table.iloc[number]
        own = seqlets[seqlets["row"] == number]
        own = own.assign(start=own["start"] + row["start"], end=own["end"] + row["start"])
        figure = sequence_figure(attributions.about, row, attributions.codes[number], actual[number], tiles, own)
        said = f"{row['name']}, {row['chrom']}:{row['start']:,}-{row['end']:,}"
        yield figure_name(number + 1, str(row["name"])), said, figure


def _written(figure: Figure, folder: Path, name: str) -> bytes:
    """Write a figure as PNG and PDF, and give the former."""
    picture = png(figure)
    (folder / f"{name}.png").write_bytes(picture)
    (folder / f"{name}.pdf").write_bytes(pdf(figure))
    return picture


def _record(
    result: MotifResult, attributions: Attributions, counts: dict[str, int], made: dict[str, str]
) -> dict[str, Any]:
    """What ``motifs.json`` says: how it was made, and how much was found."""
    record = {
        "package_version": __version__,
        "attributions": attributions.about._asdict(),
        "settings": {**made, **result.about},
        "patterns": len(result.patterns),
        "patterns_with_known_motif": len(best_matches(result)),
        "known_motifs": len(result.motifs),
        **counts,
    }
    return plain(record)
