"""Open every input of a configuration far enough to compare it with the others, which takes seconds."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.config import PrepareConfig
from epinformer.errors import EpinformerError, InputError
from epinformer.inputs.annotation import genes_of, read_annotation
from epinformer.inputs.bin_pairs import open_average
from epinformer.inputs.chromosomes import in_style, read_lengths, reconciled
from epinformer.inputs.contact_maps import open_contact_map
from epinformer.inputs.contacts import pair_contact_columns
from epinformer.inputs.expression import read_expression, read_symbols
from epinformer.inputs.genes import read_half_life
from epinformer.inputs.genome import open_genome
from epinformer.inputs.peaks import read_peaks
from epinformer.inputs.reads import chromosome_lengths, read_barcodes, read_format
from epinformer.inputs.regions import read_counts, read_regions
from epinformer.inputs.textfile import open_text, told
from epinformer.inputs.tracks import track_lengths
from epinformer.prepare.element_regions import PROMOTER_FLANK, tss_windows
from epinformer.prepare.genes import Genes
from epinformer.prepare.quantiles import read_quantile_reference
from epinformer.settings import CountedReplicate, ReadsReplicate, TrackReplicate

# Of files whose rows may be many millions, so many of the first ones are looked at.
HEAD_ROWS = 100_000


class Opened(NamedTuple):
    """What an input holds, as far as it was looked at.

    Attributes
    ----------
    setting, path
        Where the configuration names it, and the file.
    what
        Kind and size in words, or what is wrong with it.
    regions
        chrom, start, end (0-based half-open), or None.
    lengths
        Chromosome -> bp, or None.
    gene_ids, gene_names
        Gene ids, and their symbols in the same order where the file has them, or None.
    partial
        Whether ``regions`` are not all chromosomes' worth: a locus, or the first rows of a large file.
    failed
        Whether it cannot be read.
    """

    setting: str
    path: Path
    what: str
    regions: pd.DataFrame | None = None
    lengths: dict[str, int] | None = None
    gene_ids: pd.Index | None = None
    gene_names: pd.Index | None = None
    partial: bool = False
    failed: bool = False


_Open = Callable[[Path], Opened]


def opened_inputs(config: PrepareConfig, genes: Genes, *, read_again: bool) -> Iterator[Opened]:
    """Open the inputs one after the other, the gene table first; what cannot be read is told and not raised.

    Chromosomes are named in the style of the gene table. ``read_again``: all files but counted tables will be read, and
    spoken of in the log, once more.
    """
    table = genes.table
    windows = tss_windows(table, PROMOTER_FLANK, {})
    names = pd.Index(table["gene_name"]) if "gene_name" in table else None
    yield Opened("genes.table", genes.path, f"{len(table):,} genes", windows, None, pd.Index(table["gene_id"]), names)
    for setting, name, opens in _openers(config):
        path = config.path(name)
        with silent_readers() if read_again and opens is not _counts else contextlib.nullcontext():
            try:
                item = _in_style(opens(path)._replace(setting=setting, path=path), genes)
            except EpinformerError as error:
                item = Opened(setting, path, str(error), failed=True)
        yield item


@contextlib.contextmanager
def silent_readers() -> Iterator[None]:
    """Keep what readers say of their files out of the log."""
    log = logging.getLogger("epinformer.inputs")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _in_style(item: Opened, genes: Genes) -> Opened:
    """An input with its chromosome names in the style of the gene table."""
    if item.regions is not None:
        item = item._replace(regions=in_style(item.regions, genes.table, item.path))
    if item.lengths is not None:
        names = reconciled(item.lengths, genes.table["chrom"].unique(), item.path)
        item = item._replace(lengths={names[chrom]: length for chrom, length in item.lengths.items()})
    return item


def _openers(config: PrepareConfig) -> Iterator[tuple[str, str, _Open]]:
    """(setting, file name, how it is opened) of every input but the gene table."""
    if config.chrom_sizes is not None:
        yield "chrom_sizes", config.chrom_sizes, _lengths
    if config.genome is not None:
        place = config.genome
        yield "genome.fasta", place.fasta, partial(_genome, chrom=place.chrom, start=place.start)
    if config.elements is not None:
        settings = config.elements
        for name, file, opens in (
            ("table", settings.table, _regions),
            ("peaks", settings.peaks, _peaks),
            ("blocklist", settings.blocklist, _regions),
            ("include", settings.include, _regions),
            ("tested", settings.tested, _regions),
        ):
            if file is not None:
                yield f"elements.{name}", file, opens
    for signal, replicates in config.signals.items():
        for number, replicate in enumerate(replicates):
            yield from _signal_openers(f"signals.{signal}[{number}]", replicate)
    yield from _gene_openers(config)
    if config.activity.quantile_reference is not None:
        yield "activity.quantile_reference", config.activity.quantile_reference, _reference(config)
    if config.contact is not None:
        contact = config.contact
        if contact.map is not None:
            yield (
                "contact.map",
                contact.map,
                partial(_map, resolution=contact.resolution, normalisation=contact.normalisation),
            )
        for name, file, opens in (
            ("table", contact.table, _pair_contacts),
            ("bedpe", contact.bedpe, _head),
            ("average", contact.average, _average),
        ):
            if file is not None:
                yield f"contact.{name}", file, opens
    if config.encoder_windows is not None:
        yield "encoder_windows.peaks", config.encoder_windows.peaks, _peaks
        for signal, experiments in (config.encoder_windows.reads or {}).items():
            for number, experiment in enumerate(experiments):
                yield from _signal_openers(f"encoder_windows.reads.{signal}[{number}]", experiment)


def _signal_openers(
    setting: str, replicate: CountedReplicate | ReadsReplicate | TrackReplicate
) -> Iterator[tuple[str, str, _Open]]:
    if isinstance(replicate, CountedReplicate):
        yield f"{setting}.elements", replicate.elements, _counts
        yield f"{setting}.promoters", replicate.promoters, _counts
    elif isinstance(replicate, TrackReplicate):
        yield f"{setting}.track", replicate.track, _track
    else:
        yield f"{setting}.reads", replicate.reads, _reads
        if replicate.barcodes is not None:
            yield f"{setting}.barcodes", replicate.barcodes, _barcodes


def _gene_openers(config: PrepareConfig) -> Iterator[tuple[str, str, _Open]]:
    """The tables of genes."""
    if config.half_life is not None and config.half_life.table is not None:
        half_life = config.half_life
        yield (
            "half_life.table",
            config.half_life.table,
            partial(_half_life, id_column=half_life.id, name_column=half_life.name),
        )
    # An annotation that is also the gene table has been read.
    annotation = None if config.half_life is None else config.half_life.annotation
    if annotation is not None and config.path(annotation) != config.path(config.genes.table):
        yield "half_life.annotation", annotation, partial(_annotation, gene_types=config.genes.gene_types)
    for assay, source in config.expression.items():
        if source.tracks is not None:
            for kind, opens in (("plus", _track), ("minus", _track), ("both", _track), ("ctss", _head)):
                for number, file in enumerate(getattr(source.tracks, kind)):
                    yield f"expression.{assay}.tracks.{kind}[{number}]", file, opens
        if source.table is not None and source.id is not None and source.value is not None:
            yield (
                f"expression.{assay}.table",
                source.table,
                partial(_expression, id_column=source.id, value_column=source.value, name_column=source.name),
            )


def _found(what: str, **content: object) -> Opened:
    return Opened("", Path(), what, **content)  # type: ignore[arg-type]


def _lengths(path: Path) -> Opened:
    lengths = read_lengths(path)
    return _found(f"{len(lengths):,} chromosomes", lengths=lengths)


def _genome(path: Path, chrom: str | None, start: int | None) -> Opened:
    with open_genome(path, chrom=chrom, start=start) as genome:
        spans = genome.spans
    covered = pd.DataFrame(
        {
            "chrom": pd.array(list(spans), dtype="str"),
            "start": [span.start for span in spans.values()],
            "end": [span.end for span in spans.values()],
        }
    )
    if any(span.is_locus for span in spans.values()):
        whole = {name: span.end for name, span in spans.items() if not span.is_locus}
        place = ", ".join(f"{name}:{span.start:,}-{span.end:,}" for name, span in list(spans.items())[:3])
        return _found(f"bases of {place}", regions=covered, lengths=whole, partial=True)
    lengths = {name: span.end for name, span in spans.items()}
    return _found(f"{len(spans):,} sequences, {sum(lengths.values()):,} bases", lengths=lengths)


def _regions(path: Path) -> Opened:
    regions = read_regions(path)
    return _found(f"{len(regions):,} regions", regions=regions)


def _peaks(path: Path) -> Opened:
    peaks = read_peaks(path)
    return _found(f"{len(peaks):,} peaks", regions=peaks)


def _counts(path: Path) -> Opened:
    counts = read_counts(path)
    return _found(f"{len(counts):,} regions with {counts['count'].sum():,.10g} reads", regions=counts)


def _reads(path: Path) -> Opened:
    kind = read_format(path)
    lengths = chromosome_lengths(path)
    if lengths is not None:
        return _found(f"{kind.upper()}, {len(lengths):,} chromosomes", lengths=lengths)
    return _head(path)._replace(what=f"{kind}, the first rows looked at")


def _track(path: Path) -> Opened:
    lengths = track_lengths(path)
    return _found(f"bigWig, {len(lengths):,} chromosomes", lengths=lengths)


def _barcodes(path: Path) -> Opened:
    return _found(f"{len(read_barcodes(path)):,} barcodes")


def _half_life(path: Path, id_column: str, name_column: str) -> Opened:
    table, _ = read_half_life(path, id_column=id_column, name_column=name_column)
    names = pd.Index(table["gene_name"]) if "gene_name" in table else None
    return _found(f"{len(table):,} genes", gene_ids=table.index, gene_names=names)


def _annotation(path: Path, gene_types: list[str] | None) -> Opened:
    genes = genes_of(read_annotation(path, gene_types=gene_types))
    return _found(
        f"{len(genes):,} genes",
        regions=genes[["chrom", "start", "end"]],
        gene_ids=pd.Index(genes["gene_id"]),
        gene_names=pd.Index(genes["gene_name"]),
    )


def _expression(path: Path, id_column: str, value_column: str, name_column: str | None) -> Opened:
    labels = read_expression(path, id_column=id_column, value_column=value_column)
    names = None
    if name_column is not None:
        names = pd.Index(read_symbols(path, id_column=id_column, name_column=name_column))
    return _found(f"{len(labels):,} genes", gene_ids=labels.index, gene_names=names)


def _reference(config: PrepareConfig) -> _Open:
    def opens(path: Path) -> Opened:
        apart = config.activity.separate_promoters
        table = read_quantile_reference(path, [config.accessibility], separate_promoters=apart)
        return _found(f"{len(table):,} quantiles")

    return opens


def _map(path: Path, resolution: int | None, normalisation: str) -> Opened:
    with open_contact_map(path, resolution=resolution, normalisation=normalisation) as contacts:
        lengths = dict(contacts.chromosomes)
        what = f"contacts at {contacts.resolution:,} bp, normalisation {contacts.normalisation}"
    return _found(f"{what}, {len(lengths):,} chromosomes", lengths=lengths)


def _pair_contacts(path: Path) -> Opened:
    return _found(f"columns {', '.join(pair_contact_columns(path))}")


def _average(path: Path) -> Opened:
    if not path.is_dir():
        return _head(path)
    # Of a folder, files are read when their chromosome is asked for.
    return _found(f"a folder of {len(open_average(path, 0).chromosomes):,} chromosomes")


def _head(path: Path) -> Opened:
    """The first rows of a file of intervals."""
    rows = []
    with told(path), open_text(path) as lines:
        for line in islice(lines, HEAD_ROWS):
            fields = line.split("\t" if "\t" in line else None, 3)
            if len(fields) > 2 and fields[1].isdecimal() and fields[2].strip().isdecimal():
                rows.append((fields[0], int(fields[1]), int(fields[2])))
    if not rows:
        raise InputError("holds no intervals", source=path, fix="Give chrom, start, end separated by tabs")
    table = pd.DataFrame(rows, columns=["chrom", "start", "end"]).astype({"start": np.int64, "end": np.int64})
    return _found("intervals, the first rows looked at", regions=table, partial=True)
