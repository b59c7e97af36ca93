"""`epinformer motifs`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from epinformer.cli.console import progress

_log = logging.getLogger(__name__)


def motifs(
    explained: Annotated[
        Path, typer.Argument(metavar="EXPLAINED", help="Folder (or attributions.h5) written by `epinformer explain`.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder to make.")],
    known: Annotated[
        Path | None, typer.Option("--motifs", metavar="FILE", help="Known motifs in MEME format, in place of JASPAR.")
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            "--jaspar", metavar="RELEASE", help="Known motifs: CORE vertebrates of JASPAR. Default: JASPAR2024."
        ),
    ] = None,
    q: Annotated[
        float, typer.Option("--q", min=0, max=1, help="A pattern resembles known motifs with a q below this.")
    ] = 0.02,
    against: Annotated[
        Path | None,
        typer.Option(metavar="EXPLAINED", help="Other explained sequences: which motifs occur more often in which."),
    ] = None,
    min_seqlets: Annotated[
        int, typer.Option(min=1, metavar="N", help="Look for patterns only where there are so many seqlets of a sign.")
    ] = 100,
    max_seqlets: Annotated[
        int, typer.Option(min=1, metavar="N", help="Use so many seqlets of each sign, the strongest.")
    ] = 20_000,
    figures: Annotated[int, typer.Option(min=0, metavar="N", help="Draw the first N sequences.")] = 10,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder that this command wrote.")] = False,
) -> None:
    """Find the motifs in attributions, and name them.

    TF-MoDISco groups the stretches that a model reads into patterns, Tomtom compares these with known motifs, and FIMO
    finds the known motifs in the stretches of each sequence. Writes motifs.html to look at, motifs.tsv, matches.tsv,
    hits.bed, seqlets.bed, patterns.meme, modisco.h5, logos and figures. Needs the packages of pip install
    'epinformer[interpret]'.

    \b
    Examples:
      epinformer motifs explained -o motifs
      epinformer motifs explained --motifs HOCOMOCO.meme -o motifs
      epinformer motifs explained_linked --against explained_unlinked -o enriched
    """
    from epinformer.errors import ConfigError, InputError
    from epinformer.files import refuse_output
    from epinformer.inputs.motifs import read_meme
    from epinformer.interpretation.attribution_file import read_attributions
    from epinformer.interpretation.databases import jaspar
    from epinformer.interpretation.motifs import find_motifs
    from epinformer.report.motifs import MARKER, summary, write_motifs

    if known is not None and release is not None:
        raise ConfigError("--motifs and --jaspar are both given", fix="Give one of them")
    read = [path for path in (explained, known, against) if path is not None]
    refuse_output(output, overwrite=overwrite, marker=MARKER, inputs=read)
    attributions = read_attributions(explained)
    other = None if against is None else read_attributions(against)
    if other is not None and other.about.what != attributions.about.what:
        raise InputError(
            f"explains {other.about.what}, but {explained} explains {attributions.about.what}",
            source=against,
            fix="Compare sets that models of one kind explain",
        )
    release = release or "JASPAR2024"
    database = jaspar(release) if known is None else read_meme(known)
    about = {
        "attributions": str(explained),
        "known motifs": f"{release}, CORE vertebrates" if known is None else str(known),
    }
    if against is not None:
        about["compared with"] = str(against)
    with progress("steps of the search") as show:
        result = find_motifs(
            attributions,
            database,
            q=q,
            against=other,
            min_seqlets=min_seqlets,
            max_seqlets=max_seqlets,
            progress=show,
        )
    write_motifs(result, attributions, output, about=about, figures=figures, overwrite=overwrite)
    _log.info("%s", summary(result, attributions))
    _log.info("wrote %s", output / "motifs.html")
