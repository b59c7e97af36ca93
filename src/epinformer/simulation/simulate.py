"""`simulate`: a made-up world, written as the files that a laboratory would have, and the truth behind them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer import __version__
from epinformer.errors import ConfigError
from epinformer.files import atomic_directory, refuse_output
from epinformer.simulation import expression
from epinformer.simulation.contact import CoolWriter, at_pairs, expected_contacts
from epinformer.simulation.crispr import screen
from epinformer.simulation.layout import World, lay_out
from epinformer.simulation.model import CORE, EXPERIMENTS, Model, stream
from epinformer.simulation.motifs import (
    MOTIFS,
    Hits,
    find_sites,
    sequence_activity,
    sequence_opening,
    summed_strength,
)
from epinformer.simulation.peaks import call_peaks
from epinformer.simulation.sequence import chromosome_codes, windows, write_record
from epinformer.simulation.signals import draw_reads, read_anchors
from epinformer.simulation.tables import (
    ASSEMBLY,
    write_configurations,
    write_counts,
    write_genes,
    write_pairs,
    write_table,
    write_variants,
)
from epinformer.simulation.tracks import Counts, write_experiment
from epinformer.simulation.truth import variant_effects, write_truth
from epinformer.simulation.variants import PER_GENE, draw_variants

logger = logging.getLogger(__name__)

MARKER = "simulation.json"
FORMAT_VERSION = 1
FEWEST_GENES, MOST_GENES = 48, 100_000


class Simulation(NamedTuple):
    """What was written.

    Attributes
    ----------
    folder, config
        The directory, and the configuration in it that `epinformer prepare` reads.
    genes, elements, pairs, variants
        Number of rows; pairs are those within the reach of the model.
    bases
        Of the genome.
    reads
        Experiment -> mapped reads.
    ceiling
        Pearson of the noiseless and the observed RNA label, which no model can be expected to exceed.
    """

    folder: Path
    config: Path
    genes: int
    elements: int
    pairs: int
    variants: int
    bases: int
    reads: dict[str, int]
    ceiling: float


class _Genome(NamedTuple):
    """What the sequence and the contact map say of elements and pairs."""

    sites: pd.DataFrame
    contact: np.ndarray
    contact_reads: np.ndarray
    variants: pd.DataFrame


def simulate(
    output: str | Path,
    *,
    genes: int = 300,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Simulation:
    """Write simulated data of one cell type.

    `docs/simulation.md` states the model and lists the files. The same arguments give the same bytes with the same
    versions of the libraries. Chromosomes are made one at a time, so memory grows with the longest of them.

    Parameters
    ----------
    output
        The directory to make; it is there whole or not at all.
    genes
        Number of genes, 48 to 100,000. Chromosomes get longer with it: about 1 Mb each at 300 genes.
    seed
        0 or more; another seed is another world.
    overwrite
        Replace an earlier simulation.
    progress
        Called with (done, total).

    Raises
    ------
    ConfigError
        The number of genes or the seed is out of range.
    OutputError
        The output exists, may not be replaced, or cannot be written.
    """
    if not FEWEST_GENES <= genes <= MOST_GENES:
        raise ConfigError(
            f"{genes:,} genes cannot be simulated",
            source="genes",
            fix=f"Give {FEWEST_GENES:,} to {MOST_GENES:,}: every chromosome needs some",
        )
    if seed < 0:
        raise ConfigError(f"{seed} is no seed", source="seed", fix="Give a whole number, 0 or more")
    refuse_output(output, overwrite=overwrite, marker=MARKER)
    with atomic_directory(output, overwrite=overwrite, marker=MARKER) as folder:
        (folder / "truth").mkdir()
        written = _write(folder, genes, seed, Model(), progress)
    return written._replace(folder=Path(output), config=Path(output) / "config.yaml")


def _write(
    folder: Path, genes: int, seed: int, model: Model, progress: Callable[[int, int], None] | None
) -> Simulation:
    world = lay_out(genes, seed)
    total = len(world.lengths) * (1 + len(EXPERIMENTS))
    done = 0

    def report() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    pairs = expression.acting_pairs(world)
    genome = _write_genome(folder, world, pairs, seed, model, report)
    pairs = pairs.assign(contact=genome.contact)
    write_pairs(folder / "contacts.tsv", world, pairs, {"contact": genome.contact_reads})

    sites = genome.sites
    strength = summed_strength(
        sites["element"].to_numpy(), sites["motif"].to_numpy(), sites["strength"].to_numpy(), len(world.elements)
    )
    from_sequence = sequence_activity(strength, model)
    activity = from_sequence + model.hidden_sd * stream(seed, "hidden").standard_normal(len(from_sequence))
    reads = draw_reads(world, activity, sequence_opening(strength, model), model, seed)
    anchors = read_anchors(world, genome.sites, model)
    counts = [write_experiment(folder, world, anchors, item, seed, report) for item in reads]
    for item, counted in zip(EXPERIMENTS, counts, strict=True):
        write_counts(folder, world, item.name, counted)
    _write_peaks(folder, world, counts, model, seed)

    half_life = expression.half_life_table(len(world.genes), stream(seed, "half-life"))
    promoter = world.genes["promoter"].to_numpy()
    terms = expression.expression_terms(activity, promoter, pairs, half_life, model, stream(seed, "expression"))
    labels = _labels(terms, seed)
    write_genes(folder, world, half_life, labels[["RNA", "CAGE", "RPKM"]])
    effects = expression.element_effects(pairs, activity, terms, model)
    write_table(folder / "crispr.tsv", screen(world, pairs, effects, stream(seed, "crispr")))
    variants = variant_effects(genome.variants, world, pairs, activity, terms, model)
    write_variants(folder, world, variants)
    write_configurations(folder, [item.total for item in counts])

    write_truth(folder / "truth", world, genome.sites, from_sequence, activity, terms, labels)
    acting = pairs["acts"].to_numpy()
    write_pairs(
        folder / "truth" / "links.tsv",
        world,
        pairs[acting],
        {
            "contact": pairs["contact"].to_numpy()[acting].round(6),
            "effect": effects[acting].round(6),
            "effect_size": (10 ** effects[acting] - 1).round(6),
        },
    )
    write_table(folder / "truth" / "variants.tsv", variants.drop(columns="position"))
    ceiling = float(np.corrcoef(labels["RNA"], labels["noiseless"])[0, 1])
    measured = _measured_activity(counts)
    _write_record(folder / MARKER, world, seed, model, pairs, counts, terms, ceiling, from_sequence, measured)
    logger.info("the RNA label's noise ceiling is a Pearson correlation of %.3f", ceiling)
    return Simulation(
        folder=folder,
        config=folder / "config.yaml",
        genes=len(world.genes),
        elements=len(world.elements),
        pairs=int(acting.sum()),
        variants=len(variants),
        bases=sum(world.lengths.values()),
        reads={item.name: counted.total for item, counted in zip(EXPERIMENTS, counts, strict=True)},
        ceiling=ceiling,
    )


def _write_genome(
    folder: Path, world: World, pairs: pd.DataFrame, seed: int, model: Model, report: Callable[[], None]
) -> _Genome:
    """Write `genome.fa`, its index and `contacts.cool`, one chromosome at a time."""
    contact, contact_reads = np.zeros(len(pairs)), np.zeros(len(pairs), dtype=np.int64)
    middle = ((world.elements["start"] + world.elements["end"]) // 2).to_numpy()
    tss = world.genes["tss"].to_numpy()
    gene_chrom = world.genes["chrom"].to_numpy()[pairs["gene"]]
    sites, variants, index = [], [], []
    with (
        (folder / "genome.fa").open("wb") as fasta,
        CoolWriter(folder / "contacts.cool", world.lengths, ASSEMBLY) as cool,
    ):
        for number, (chrom, length) in enumerate(world.lengths.items()):
            genes = world.genes[world.genes["chrom"] == chrom]
            elements = world.elements[world.elements["chrom"] == chrom]
            codes = chromosome_codes(length, elements, stream(seed, "bases", number))
            index.append(write_record(fasta, chrom, codes))
            first = elements["center"].to_numpy() - CORE // 2
            hits = find_sites(windows(codes, first))
            sites.append(_site_table(hits, elements))
            drawing = stream(seed, "variants", number)
            drawn = draw_variants(codes, elements, hits, PER_GENE * len(genes), model, drawing)
            variants.append(drawn.assign(chrom=chrom))
            rng = stream(seed, "contacts", number)
            expected = expected_contacts(length, genes, elements, model, rng)
            counted = rng.poisson(model.contact_depth * expected).astype(np.int32)
            cool.add(chrom, counted)
            here = gene_chrom == chrom
            places = middle[pairs["element"][here]], tss[pairs["gene"][here]]
            contact[here], contact_reads[here] = at_pairs(expected, *places), at_pairs(counted, *places)
            report()
    (folder / "genome.fa.fai").write_text("".join(index), encoding="ascii")
    return _Genome(pd.concat(sites, ignore_index=True), contact, contact_reads, pd.concat(variants, ignore_index=True))


def _site_table(hits: Hits, elements: pd.DataFrame) -> pd.DataFrame:
    """Motif sites of a chromosome's elements on the chromosome: element (row), motif (number), start, end..."""
    start = elements["center"].to_numpy()[hits.window] - CORE // 2 + hits.position
    width = np.array([len(motif.consensus) for motif in MOTIFS])
    return pd.DataFrame(
        {
            "element": elements.index.to_numpy()[hits.window],
            "motif": hits.motif,
            "start": start,
            "end": start + width[hits.motif],
            "strength": hits.strength,
            "strand": np.where(hits.minus, "-", "+"),
        }
    )


def _write_peaks(folder: Path, world: World, counts: list[Counts], model: Model, seed: int) -> None:
    for signal in ("dnase", "h3k27ac"):
        of_signal = [
            (item, counted) for item, counted in zip(EXPERIMENTS, counts, strict=True) if item.signal == signal
        ]
        together = sum((counted.elements for _, counted in of_signal), start=np.zeros(len(world.elements), np.int64))
        background = model.background * sum(item.depth for item, _ in of_signal)
        peaks = call_peaks(world, together, background, signal, stream(seed, f"peaks {signal}"))
        write_table(folder / f"{signal}.narrowPeak", peaks, header=False)


def _labels(terms: expression.Terms, seed: int) -> pd.DataFrame:
    mean, sd = expression.label(terms.log10_rpkm)
    return pd.DataFrame(
        {
            "RNA": expression.z_scored(terms.log10_rpkm, mean, sd),
            "CAGE": expression.cage_label(terms.log10_rpkm, stream(seed, "cage")),
            "RPKM": 10**terms.log10_rpkm,
            "noiseless": expression.z_scored(terms.noiseless, mean, sd),
        }
    )


def _measured_activity(counts: list[Counts]) -> np.ndarray:
    """sqrt(DNase RPM x mean H3K27ac RPM) of each element, as `prepare` computes it."""
    rpm = {}
    for signal in ("dnase", "h3k27ac"):
        of_signal = [
            counted.elements * (1e6 / counted.total)
            for item, counted in zip(EXPERIMENTS, counts, strict=True)
            if item.signal == signal
        ]
        rpm[signal] = np.mean(of_signal, axis=0)
    activity: np.ndarray = np.sqrt(rpm["dnase"] * rpm["h3k27ac"])
    return activity


def _write_record(
    path: Path,
    world: World,
    seed: int,
    model: Model,
    pairs: pd.DataFrame,
    counts: list[Counts],
    terms: expression.Terms,
    ceiling: float,
    from_sequence: np.ndarray,
    measured: np.ndarray,
) -> None:
    """Write `simulation.json`: all that the world was made with, and how well it can be predicted."""
    acting = pairs["acts"]
    per_gene = np.bincount(pairs["gene"][acting], minlength=len(world.genes))
    mean, sd = expression.label(terms.log10_rpkm)
    record = {
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "assembly": ASSEMBLY,
        "genes": len(world.genes),
        "seed": seed,
        "model": model._asdict(),
        "motifs": {item.name: {"consensus": item.consensus, "weight": item.weight} for item in MOTIFS},
        "half_life_effects": expression.HALF_LIFE_EFFECTS,
        "chromosomes": world.lengths,
        "elements": {str(kind): int(count) for kind, count in world.elements["kind"].value_counts(sort=False).items()},
        "pairs": int(acting.sum()),
        "elements_per_gene": {"mean": float(per_gene.mean()), "genes_without": int((per_gene == 0).sum())},
        "reads": {item.name: counted.total for item, counted in zip(EXPERIMENTS, counts, strict=True)},
        "expression": {"label_mean": mean, "label_sd": sd, "log10_per_log2_sum": terms.slope},
        "noise_ceiling": {
            "expression_pearson": ceiling,
            "element_activity_pearson": float(np.corrcoef(from_sequence, np.log2(0.1 + measured))[0, 1]),
        },
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
