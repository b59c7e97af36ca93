"""A gene annotation: GTF or GFF3 of GENCODE, Ensembl or RefSeq, to transcripts, and to genes with one TSS each."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.errors import InputError
from epinformer.inputs.accessions import chromosome_names
from epinformer.inputs.chromosomes import other_style
from epinformer.inputs.gtf import Gene, Gff3, Gtf, Lines
from epinformer.inputs.segments import EXON, STOP, coding_with_stop, distinct, ordered, outside, summed_lengths
from epinformer.inputs.textfile import open_text, told

logger = logging.getLogger(__name__)

_ROW = re.compile(r"[^\t]+\t[^\t]*\t[^\t]+\t\d+\t\d+\t[^\t]*\t[-+.?]\t[^\t]*\t[^\t]+")
_GFF3_ATTRIBUTE = re.compile(r'\s*[^\s="]+=')
_SHOWN_TYPES = 12


class Annotation(NamedTuple):
    """Transcripts, their exons and coding sequences; positions in bp, 0-based half-open.

    Attributes
    ----------
    transcripts
        One row a transcript, in the file's order: transcript_id, gene_id, gene_name (the id where the file has none),
        gene_type ("" where the file has none), chrom, start, end (of its exons), strand; line (the first one that
        names it); place (a number for each gene and place that it is at); choice (`inputs.gtf.Transcript`);
        exon_length, cds_length (summed, bp); stop (how many of the last bases of its coding sequence are its stop
        codon).
    exons, cds
        transcript_id, start, end, in the transcripts' order and by position. The coding sequence includes its stop
        codon, as in GFF3 and unlike in GTF.
    path
        The file.
    """

    transcripts: pd.DataFrame
    exons: pd.DataFrame
    cds: pd.DataFrame
    path: Path


def is_annotation(path: str | Path) -> bool:
    """Whether a file is GTF or GFF3, by its first lines; a file without rows is neither.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    path = Path(path)
    with told(path), open_text(path) as handle:
        for line in handle:
            if line.startswith("##gff-version"):
                return True
            if not line.startswith(("#", "track ", "browser ")) and not line.isspace():
                return _ROW.fullmatch(line.rstrip("\n")) is not None
    return False


def read_annotation(path: str | Path, *, gene_types: Collection[str] | None = ("protein_coding",)) -> Annotation:
    """Read a GTF or GFF3 file, plain or gzipped, of GENCODE, Ensembl or RefSeq.

    A gene's id is `gene_id` as it stands, with its version where that is part of it; in the GFF3 of RefSeq it is the
    number in `Dbxref=GeneID:`. RefSeq's accessions become chromosome names ("NC_000001.11" is chr1) where the file's
    `region` rows say which they are, and for man and mouse; other names stay. A transcript with a coding sequence and
    no exons has that for its exons. Rows that the file repeats count once.

    The stop codon is part of the coding sequence here. Where the file has `stop_codon` rows they say where it is;
    a GTF without any is taken to have left it out, a GFF3 to have included it in every coding sequence, save those
    tagged as incomplete at the end.

    Parameters
    ----------
    path
        The file. Comments, and sequences at the end of a GFF3, are passed over.
    gene_types
        The types of the genes to keep (`gene_type`, `gene_biotype`, or a GFF3 gene's `biotype`); None for all.

    Raises
    ------
    InputError
        The file cannot be read, is empty, or is neither GTF nor GFF3; it has rows of other than nine columns, or that
        lack the attribute that says which gene or transcript they are of; positions that are no intervals, strands
        that are neither + nor -, a transcript on two chromosomes or strands, or a coding sequence outside its exons;
        or it has no gene of these types, or says of no gene what type it is.
    """
    path = Path(path)
    lines = _read_lines(path, gene_types)
    transcripts = _transcripts(lines, gene_types, path)
    n = len(transcripts)
    number = np.full(len(lines.transcripts), -1, dtype=np.int64)
    number[transcripts.index] = np.arange(n)
    segments = lines.segments.astype(np.int64)
    segments[:, 0] = number[segments[:, 0]]
    segments[:, 1] -= 1
    segments = segments[segments[:, 0] >= 0]
    single = distinct(segments)
    if len(single) < len(segments):
        logger.warning("%s: %s rows repeat others and count once", path.name, f"{len(segments) - len(single):,}")
    open_end = transcripts.pop("open_end").to_numpy()
    cds, stop = coding_with_stop(single, ~open_end if lines.is_gff3 else np.zeros(n, dtype=bool))
    exons = single[single[:, 3] == EXON, :3]
    exons = ordered(np.concatenate([exons, cds[~np.isin(cds[:, 0], exons[:, 0])]]))
    transcripts = transcripts.reset_index(drop=True)
    _check_inside(cds, exons, transcripts, path)
    # Exons are in order: the first of a transcript has its start.
    first = np.flatnonzero(np.diff(exons[:, 0], prepend=-1))
    transcripts = transcripts.assign(
        start=exons[first, 1],
        end=np.maximum.reduceat(exons[:, 2], first),
        exon_length=summed_lengths(exons, n),
        cds_length=summed_lengths(cds, n),
        stop=stop,
    )
    return Annotation(transcripts, _pieces(exons, transcripts), _pieces(cds, transcripts), path)


def chosen_transcripts(annotation: Annotation) -> pd.DataFrame:
    """One transcript a gene, which gives the gene's TSS.

    Of a gene's transcripts the first in this order is taken: MANE Select; Ensembl's canonical one or RefSeq Select;
    APPRIS principal, 1 before 5; the longest coding sequence (with its stop codon); the longest in all (exons); the
    lowest id.

    Before that comes the place, where one gene id has several: a chromosome before scaffolds, patches and alternative
    loci, and any chromosome before Y. A gene of Y that shares its name and type with one gene of X, as those of the
    pseudo-autosomal regions do, is that gene's copy and is left out. Both are counted in the log.

    Returns
    -------
    DataFrame
        Rows of `Annotation.transcripts`, in their order and with their index, with tss: the first base of the
        transcript on its strand, 0-based.
    """
    table = annotation.transcripts
    bare = {chrom: _bare(chrom) for chrom in table["chrom"].unique()}
    chrom = table["chrom"].map(bare)
    ranked = table.assign(
        scaffold=chrom == "", on_y=chrom == "Y", cds_length=-table["cds_length"], exon_length=-table["exon_length"]
    ).sort_values(["scaffold", "on_y", "choice", "cds_length", "exon_length", "transcript_id"], kind="stable")
    first = np.sort(ranked.drop_duplicates("gene_id").index.to_numpy())
    chosen, chrom = table.loc[first], chrom[first]
    several = int((table.drop_duplicates("place").groupby("gene_id").size() > 1).sum())
    if several:
        logger.info("%s: %s genes are at several places; one is taken", annotation.path.name, f"{several:,}")
    copies = _copies_on_y(chosen, chrom)
    if copies.any():
        logger.info(
            "%s: %s genes of Y are copies of genes of X and are left out (first: %s)",
            annotation.path.name,
            f"{copies.sum():,}",
            chosen["gene_id"][copies].iloc[0],
        )
    chosen = chosen[~copies]
    return chosen.assign(tss=chosen["start"].where(chosen["strand"] == "+", chosen["end"] - 1))


def genes_of(annotation: Annotation) -> pd.DataFrame:
    """The genes of an annotation, each with the TSS of its chosen transcript (`chosen_transcripts`).

    Returns
    -------
    DataFrame
        gene_id, gene_name, gene_type, chrom, start, end (the gene body: all its transcripts at that place, 0-based
        half-open), tss (0-based), strand, in the file's order, indexed by the line that first names the transcript.
    """
    chosen = chosen_transcripts(annotation)
    bodies = annotation.transcripts.groupby("place").agg({"start": "min", "end": "max"}).loc[chosen["place"]]
    genes = chosen.assign(start=bodies["start"].to_numpy(), end=bodies["end"].to_numpy()).set_index("line")
    return genes[["gene_id", "gene_name", "gene_type", "chrom", "start", "end", "tss", "strand"]]


def _read_lines(path: Path, gene_types: Collection[str] | None) -> Lines:
    with told(path), open_text(path) as handle:
        rows = _rows(handle)
        first = next(rows, None)
        if first is None:
            raise InputError("holds no rows", source=path, fix="Give a GTF or GFF3 file, plain or gzipped")
        line, fields = first
        text = "\t".join(fields).rstrip("\n")
        if not _ROW.fullmatch(text):
            raise InputError(
                "is neither GTF nor GFF3",
                source=path,
                first=f"line {line:,}: {text!r}",
                fix="Give nine columns separated by tabs: chromosome, source, feature, start, end, score, strand, "
                "frame, attributes",
            )
        kind = Gff3 if _GFF3_ATTRIBUTE.match(fields[8]) else Gtf
        reader = kind(None if gene_types is None else frozenset(gene_types))
        reader.take(line, fields)
        for line, fields in rows:
            reader.take(line, fields)
    return reader.finished(path)


def _rows(handle: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of the rows that come before any sequences."""
    for number, line in enumerate(handle, start=1):
        if line.startswith(("#", "track ", "browser ")):
            if line.startswith("##FASTA"):
                return
        elif line.startswith(">"):
            return
        elif not line.isspace():
            yield number, line.split("\t", 8)


def _transcripts(lines: Lines, gene_types: Collection[str] | None, path: Path) -> pd.DataFrame:
    """The transcripts that are wanted, indexed by their number in the lines; also open_end."""
    present = np.zeros(len(lines.transcripts), dtype=bool)
    present[lines.segments[lines.segments[:, 3] != STOP, 0]] = True
    rows, lost, untyped = [], [], []
    for number in np.flatnonzero(present):
        transcript, key = lines.transcripts[number], lines.gene_of[number]
        if key is None:
            lost.append(transcript)
            continue
        gene = lines.genes[key]
        if gene_types is not None and not gene.type:
            untyped.append(transcript)
        elif gene_types is None or gene.type in gene_types:
            place = (key, transcript.chrom, transcript.strand)
            rows.append((number, transcript, gene, place))
    for bad, problem, fix in (
        (lost, "has transcripts whose gene it does not have", "Give the whole annotation, with the rows of genes"),
        (
            [] if rows else untyped,
            "has transcripts without the attribute gene_type (or gene_biotype) of their gene",
            "Add it, or take all genes, whatever their type",
        ),
    ):
        if bad:
            raise InputError(problem, source=path, count=len(bad), first=f"line {bad[0].line:,}: {bad[0].id}", fix=fix)
    if not rows:
        raise InputError(
            f"has no gene of type {' or '.join(gene_types or ())} with exons",
            source=path,
            fix=f"Choose among its types: {_listed_types(lines.genes.values())}",
        )
    if untyped:
        logger.warning(
            "%s: %s transcripts are of genes without a type and are left out (first: %s on line %s)",
            path.name,
            f"{len(untyped):,}",
            untyped[0].id,
            f"{untyped[0].line:,}",
        )
    numbers, found, genes, places = zip(*rows, strict=True)
    chromosomes = chromosome_names({transcript.chrom for transcript in found}, lines.chromosomes, path)
    return pd.DataFrame(
        {
            "transcript_id": _text(transcript.id for transcript in found),
            "gene_id": _text(gene.id for gene in genes),
            "gene_name": _text(gene.name or gene.id for gene in genes),
            "gene_type": _text(gene.type for gene in genes),
            "chrom": _text(chromosomes[transcript.chrom] for transcript in found),
            "strand": _text(transcript.strand for transcript in found),
            "line": [transcript.line for transcript in found],
            "place": pd.factorize(pd.Series(places))[0],
            "choice": [transcript.choice for transcript in found],
            "open_end": [transcript.open_end for transcript in found],
        },
        index=np.array(numbers),
    )


def _text(values: Iterable[str]) -> pd.api.extensions.ExtensionArray:
    return pd.array(list(values), dtype="str")


def _listed_types(genes: Iterable[Gene]) -> str:
    """The types of genes and their numbers, the most frequent first."""
    counts = Counter(gene.type or "no type" for gene in genes).most_common()
    shown = ", ".join(f"{name} ({count:,})" for name, count in counts[:_SHOWN_TYPES])
    return shown + (", ..." if len(counts) > _SHOWN_TYPES else "")


def _pieces(pieces: np.ndarray, transcripts: pd.DataFrame) -> pd.DataFrame:
    ids = transcripts["transcript_id"].array[pieces[:, 0]]
    return pd.DataFrame({"transcript_id": ids, "start": pieces[:, 1], "end": pieces[:, 2]})


def _check_inside(cds: np.ndarray, exons: np.ndarray, transcripts: pd.DataFrame, path: Path) -> None:
    bad = outside(cds, exons)
    if bad.any():
        number, start, end = cds[int(bad.argmax())]
        transcript = transcripts.iloc[number]
        shown = f"{transcript['transcript_id']} at {transcript['chrom']}:{start + 1}-{end} (1-based)"
        raise InputError(
            "has coding sequence outside the exons of its transcript",
            source=path,
            count=int(bad.sum()),
            first=f"line {transcript['line']:,}: {shown}",
            fix="Correct these transcripts, or give the annotation as it was published",
        )


def _bare(chrom: str) -> str:
    """A chromosome's name without "chr"; "" for scaffolds and the like."""
    other = other_style(chrom)
    if other is None:
        return ""
    return other if chrom.startswith("chr") else chrom


def _copies_on_y(chosen: pd.DataFrame, chrom: pd.Series) -> np.ndarray:
    """Which genes of Y share their name and type with one gene of X, and with no other gene of either."""
    named = chosen["gene_name"].str.removesuffix("_PAR_Y") + " " + chosen["gene_type"]
    on_x, on_y = named[chrom == "X"], named[chrom == "Y"]
    single_x, single_y = (set(names[~names.duplicated(keep=False)]) for names in (on_x, on_y))
    copies: np.ndarray = ((chrom == "Y") & named.isin(single_x & single_y)).to_numpy()
    return copies
