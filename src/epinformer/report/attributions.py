"""Attributions as a folder: numbers, a track, tables and figures."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from epinformer import __version__
from epinformer.errors import InputError
from epinformer.files import atomic_directory, refuse_output
from epinformer.interpretation.attribution_file import FILE_NAME, About, Explained, actual_scores
from epinformer.interpretation.attribution_track import require_inside, write_bigwig
from epinformer.interpretation.attribution_writer import AttributionWriter
from epinformer.report.attribution_figures import region_figure
from epinformer.report.crispr_figures import pdf
from epinformer.report.html import png
from epinformer.report.tables import write_tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKER = "explain.json"
"""The file that says of a folder that it holds attributions."""

_FORMAT_VERSION = 1
_LONGEST_NAME = 60


def write_explained(
    chunks: Iterable[Explained],
    folder: str | Path,
    about: About,
    *,
    length: int,
    chrom_sizes: Mapping[str, int],
    figures: int = 10,
    overwrite: bool = False,
    inputs: Iterable[str | Path] = (),
) -> int:
    """Write attributions as they come, some sequences at a time, whole or not at all.

    The folder has ``attributions.h5`` (`interpretation.attribution_file`), ``attributions.bw``, ``regions.tsv``,
    ``tiles.tsv`` if elements were tiled, ``explain.json`` and ``figures/`` with a PNG and a PDF of each of the first
    sequences.

    Parameters
    ----------
    chunks
        What was explained.
    folder
        The folder to make.
    about
        How.
    length
        Bases of the longest sequence.
    chrom_sizes
        Chromosome -> bp.
    figures
        How many sequences are drawn, the first ones.
    overwrite
        Replace a folder of attributions.
    inputs
        Files and directories that may not be overwritten.

    Returns
    -------
    int
        Number of sequences.

    Raises
    ------
    OutputError
        The folder may not be replaced, or cannot be written.
    InputError
        Nothing was explained, or a sequence is not on the chromosomes.
    ModelError
        An attribution is no finite number.
    """
    folder = Path(folder)
    refuse_output(folder, overwrite=overwrite, marker=MARKER, inputs=inputs)
    counts: Counter[str] = Counter()
    largest_delta = None
    with atomic_directory(folder, overwrite=overwrite, marker=MARKER) as temporary:
        (temporary / "figures").mkdir()
        with (
            AttributionWriter(temporary / FILE_NAME, about, length) as writer,
            (temporary / "regions.tsv").open("w", encoding="utf-8") as regions,
            (temporary / "tiles.tsv").open("w", encoding="utf-8") as tiles,
        ):
            for explained in chunks:
                table = explained.table
                # Now, since hours may have gone into them when the track is written.
                require_inside(table, chrom_sizes, None)
                writer.append(explained)
                write_tables([table], regions, header=not counts["sequences"])
                write_tables([explained.tiles], tiles, header=not counts["tiles"])
                for row in range(min(len(table), max(0, figures - counts["sequences"]))):
                    name = figure_name(counts["sequences"] + row + 1, str(table["name"].iloc[row]))
                    _draw(temporary / "figures" / name, about, explained, row)
                counts["sequences"] += len(table)
                counts["bases"] += int((table["end"] - table["start"]).sum())
                counts["tiles"] += len(explained.tiles)
                if table["delta"].notna().any():
                    largest_delta = max(largest_delta or 0.0, float(table["delta"].max()))
        if not counts["sequences"]:
            raise InputError("nothing was explained", fix="Choose other regions")
        if not counts["tiles"]:
            (temporary / "tiles.tsv").unlink()
        write_bigwig(temporary / FILE_NAME, temporary / "attributions.bw", chrom_sizes)
        record = {
            "format_version": _FORMAT_VERSION,
            "epinformer_version": __version__,
            **about._asdict(),
            **counts,
            "largest_delta": largest_delta,
        }
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (temporary / MARKER).write_text(text, encoding="utf-8")
    return counts["sequences"]


def sequence_figure(
    about: About,
    row: pd.Series,
    codes: NDArray[np.uint8],
    actual: NDArray[np.float32],
    tiles: pd.DataFrame,
    seqlets: pd.DataFrame | None = None,
) -> Figure:
    """Draw one explained sequence under the windows of its target, if those are known.

    Parameters
    ----------
    about
        How it was explained.
    row
        Its row of the table of `interpretation.attribution_file.Explained`.
    codes, actual
        (L,) of this sequence, which is at the left.
    tiles
        Windows, of other targets, too; may be empty.
    seqlets
        As `report.attribution_figures.attribution_logo` takes them.
    """
    own = (tiles["name"] == row["name"]) & (tiles["chrom"] == row["chrom"])
    own &= (tiles["start"] >= row["target_start"]) & (tiles["end"] <= row["target_end"])
    place = f"{row['chrom']}:{row['target_start']:,}-{row['target_end']:,}"
    gene = row["gene_name"] if pd.notna(row["gene_name"]) else row["gene_id"]
    parts = [
        *([] if str(row["name"]).replace(",", "") == place.replace(",", "") else [str(row["name"])]),
        place,
        *([str(gene)] if about.what == "expression" and pd.notna(gene) else []),
        f"predicted {about.target or about.what}: {row['prediction']:.2f}".replace("-", "−"),
    ]
    return region_figure(
        tiles[own],
        codes,
        actual,
        chrom=str(row["chrom"]),
        start=int(row["start"]),
        seqlets=seqlets,
        title=" · ".join(parts),
        target=about.target,
    )


def figure_name(number: int, name: str) -> str:
    """The name of a figure's file without its ending, of the sequence's number and what is plain in its name.

    The number makes it unlike all others; letters with accents lose them, and other signs become ``_``.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return f"{number:04d}_{re.sub(r'[^A-Za-z0-9.-]+', '_', plain)[:_LONGEST_NAME].strip('_.') or 'region'}"


def _draw(path: Path, about: About, explained: Explained, row: int) -> None:
    """Write a sequence's figure, in both formats."""
    codes = explained.codes[row]
    figure = sequence_figure(
        about, explained.table.iloc[row], codes, actual_scores(codes, explained.hypothetical[row]), explained.tiles
    )
    path.with_name(f"{path.name}.png").write_bytes(png(figure))
    path.with_name(f"{path.name}.pdf").write_bytes(pdf(figure))
