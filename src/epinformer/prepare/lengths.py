"""Lengths of the chromosomes: of a table, the genome, or the headers of reads and tracks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from epinformer.config import PrepareConfig
from epinformer.inputs.chromosomes import read_lengths, reconciled
from epinformer.inputs.genome import Genome
from epinformer.inputs.reads import chromosome_lengths
from epinformer.inputs.tracks import track_lengths
from epinformer.settings import ReadsReplicate, TrackReplicate


def known_lengths(config: PrepareConfig, genome: Genome | None, chroms: Iterable[str]) -> dict[str, int]:
    """Chromosome -> length in bp, from the first source that tells; empty if none does.

    Sources are `chrom_sizes`, the genome's whole chromosomes, and the headers of the signals' BAM, CRAM and bigWig
    files. A locus of a genome tells no length.

    Parameters
    ----------
    config
        Names the files.
    genome
        Opened, or None.
    chroms
        Chromosome names, whose style the result has.

    Raises
    ------
    InputError
        A file cannot be read, or names chromosomes in two styles.
    """
    chroms = list(chroms)
    for path, lengths in _told(config, genome):
        if lengths:
            names = reconciled(lengths, chroms, path)
            return {names[chrom]: length for chrom, length in lengths.items()}
    return {}


def _told(config: PrepareConfig, genome: Genome | None) -> Iterator[tuple[Path, dict[str, int] | None]]:
    """(file, lengths that it tells), the most trusted first."""
    if config.chrom_sizes is not None:
        path = config.path(config.chrom_sizes)
        yield path, read_lengths(path)
    if genome is not None and config.genome is not None:
        yield config.path(config.genome.fasta), whole_chromosomes(genome)
    for replicates in config.signals.values():
        for replicate in replicates:
            if isinstance(replicate, ReadsReplicate):
                path = config.path(replicate.reads)
                yield path, chromosome_lengths(path)
            elif isinstance(replicate, TrackReplicate):
                path = config.path(replicate.track)
                yield path, track_lengths(path)


def whole_chromosomes(genome: Genome) -> dict[str, int]:
    """Chromosome -> length in bp, of those that the genome has from end to end."""
    return {chrom: span.end for chrom, span in genome.spans.items() if not span.is_locus}
