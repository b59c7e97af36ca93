"""The files of rows: what a laboratory has, the truth behind it, and the configuration that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import yaml

from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.simulation.layout import World
from epinformer.simulation.model import EXPERIMENTS
from epinformer.simulation.tracks import Counts, promoter_windows
from epinformer.simulation.writing import explained

ASSEMBLY = "simulated"

ENCODER_WINDOWS: dict[str, Any] = {
    "peaks": "h3k27ac.narrowPeak",
    "windows": 3,
    "stride": 156,
    "reads": {
        signal: [f"{item.name}.bam" for item in EXPERIMENTS if item.signal == signal] for signal in ("dnase", "h3k27ac")
    },
}
"""The section `encoder_windows` of the configuration: what the sequence encoder is pretrained on."""


def write_table(path: Path, table: pd.DataFrame, *, header: bool = True, sep: str = "\t") -> None:
    """Write rows of text; floats as they are shortest."""
    table.to_csv(path, sep=sep, index=False, header=header, lineterminator="\n")


def write_genes(folder: Path, world: World, half_life: pd.DataFrame, expression: pd.DataFrame) -> None:
    """Write `genes.bed`, `half_life.csv` and `expression.csv`.

    Parameters
    ----------
    folder
        Where to.
    world
        Its genes.
    half_life
        The eight features (genes,).
    expression
        RNA, CAGE and RPKM (genes,).
    """
    genes = world.genes
    windows = promoter_windows(genes).assign(gene_id=genes["gene_id"], score=0, strand=genes["strand"])
    write_table(folder / "genes.bed", windows, header=False)
    lengths = {name: f"{name}_log10zscore" for name in HALF_LIFE_FEATURES[:4]}
    features = half_life.round(6).rename(columns=lengths)
    names = {"chrom": genes["chrom"], "TSS": genes["tss"], "gene_id": genes["gene_id"], "Gene name": genes["gene_name"]}
    write_table(folder / "half_life.csv", pd.concat([pd.DataFrame(names), features], axis=1), sep=",")
    table = pd.concat([genes[["gene_id", "gene_name"]], expression.round(6)], axis=1)
    write_table(folder / "expression.csv", table, sep=",")


def write_counts(folder: Path, world: World, name: str, counts: Counts) -> None:
    """Write `<experiment>.elements.bedgraph` and `<experiment>.promoters.bedgraph`."""
    regions = {"elements": world.elements, "promoters": promoter_windows(world.genes)}
    for what, values in (("elements", counts.elements), ("promoters", counts.promoters)):
        table = regions[what][["chrom", "start", "end"]].assign(count=values)
        write_table(folder / f"{name}.{what}.bedgraph", table, header=False)


def write_pairs(path: Path, world: World, pairs: pd.DataFrame, columns: dict[str, np.ndarray]) -> None:
    """Write rows of gene_id, element_id and more columns, one a pair."""
    table = pd.DataFrame(
        {
            "gene_id": world.genes["gene_id"].to_numpy()[pairs["gene"]],
            "element_id": world.elements["element_id"].to_numpy()[pairs["element"]],
            **columns,
        }
    )
    write_table(path, table)


def write_variants(folder: Path, world: World, variants: pd.DataFrame) -> None:
    """Write `variants.vcf.gz` and its index.

    Parameters
    ----------
    folder
        Where to.
    world
        Its chromosome lengths.
    variants
        chrom, position (0-based), name, ref, alt, in the order of the chromosomes and of positions.
    """
    plain = folder / "variants.vcf"
    lines = ["##fileformat=VCFv4.2", f"##reference={ASSEMBLY}"]
    lines += [f"##contig=<ID={chrom},length={length}>" for chrom, length in world.lengths.items()]
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    with plain.open("w", encoding="ascii") as handle:
        handle.write("\n".join(lines) + "\n")
        columns = [variants[name] for name in ("chrom", "position", "name", "ref", "alt")]
        for chrom, position, name, ref, alt in zip(*columns, strict=True):
            handle.write(f"{chrom}\t{position + 1}\t{name}\t{ref}\t{alt}\t.\tPASS\t.\n")
    with explained(plain):
        pysam.tabix_compress(str(plain), f"{plain}.gz", force=True)
        plain.unlink()
        pysam.tabix_index(f"{plain}.gz", preset="vcf", force=True)


def configuration(totals: Sequence[int]) -> dict[str, Any]:
    """Settings of `epinformer prepare` for the simulated files, given the reads of each experiment."""
    signals: dict[str, list[dict[str, Any]]] = {}
    for experiment, total in zip(EXPERIMENTS, totals, strict=True):
        replicate = {
            "elements": f"{experiment.name}.elements.bedgraph",
            "promoters": f"{experiment.name}.promoters.bedgraph",
            "total_reads": int(total),
        }
        signals.setdefault(experiment.signal, []).append(replicate)
    return _settings(signals, contact={"table": "contacts.tsv"})


def raw_configuration() -> dict[str, Any]:
    """Settings of `epinformer prepare` that start from reads, peaks and the contact map instead of counted tables."""
    reads = {signal: list(files) for signal, files in ENCODER_WINDOWS["reads"].items()}
    windows = {name: value for name, value in ENCODER_WINDOWS.items() if name != "reads"}
    contact = {"map": "contacts.cool", "normalisation": "none"}
    return _settings(reads, elements={"peaks": "dnase.narrowPeak"}, contact=contact, encoder_windows=windows)


def _settings(signals: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """The sections that all configurations share, and others."""
    return {
        "assembly": ASSEMBLY,
        "cell_type": "simulated",
        "genome": {"fasta": "genome.fa"},
        "genes": {"table": "genes.bed", "tss": "center"},
        "signals": signals,
        "half_life": {"table": "half_life.csv", "id": "gene_id"},
        "expression": {
            "rna": {"table": "expression.csv", "id": "gene_id", "value": "RNA"},
            "cage": {"table": "expression.csv", "id": "gene_id", "value": "CAGE"},
        },
        "pairs": {"min_distance": 1000, "max_distance": 100_000, "max_elements": 60},
        **sections,
    }


def write_configurations(folder: Path, totals: Sequence[int]) -> None:
    """Write `config.yaml`, which reads counted tables, and `config_raw.yaml`, which reads what they were counted of."""
    counted = {**configuration(totals), "encoder_windows": ENCODER_WINDOWS}
    for name, settings in (("config.yaml", counted), ("config_raw.yaml", raw_configuration())):
        text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=False)
        note = "# Simulated data; docs/simulation.md says how it is made.\n"
        (folder / name).write_text(note + text, encoding="utf-8")
