"""Compare the inputs of a configuration with each other before anything long runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epinformer.assemblies import assembly_lengths, assembly_of, same_assembly
from epinformer.config import PrepareConfig
from epinformer.errors import InputError
from epinformer.inputs.chromosomes import other_style
from epinformer.inputs.gene_names import bare_ids
from epinformer.inputs.regions import region_names
from epinformer.prepare.candidates import overlapping
from epinformer.prepare.genes import Genes, gene_list
from epinformer.prepare.opening import Opened, opened_inputs
from epinformer.prepare.provenance import require_files

logger = logging.getLogger(__name__)

# Of one assembly, too, files differ in it: UCSC's hg19 has another mitochondrial sequence than all others.
_MITOCHONDRION = ("chrM", "MT", "M")


class Check(NamedTuple):
    """What was found.

    Attributes
    ----------
    inputs
        Every input, opened.
    overlaps
        setting, other, rows, found: how many of an input's rows (regions, or genes) another one has something for:
        regions that overlap, a chromosome that reaches so far, the same gene.
    problems
        What `prepare` would stop at, or would do wrong; each names the file and what to do.
    remarks
        What may be meant.
    """

    inputs: list[Opened]
    overlaps: pd.DataFrame
    problems: list[str]
    remarks: list[str]

    def counted(self) -> dict[Path, pd.DataFrame]:
        """File -> table (chrom, start, end, count), in the style of the gene table, of the signals' counted tables."""
        tables = {item.path: item.regions for item in self.inputs if item.regions is not None}
        return {path: table for path, table in tables.items() if "count" in table}


def check(config: PrepareConfig, genes: Genes | None = None, *, read_again: bool = False) -> Check:
    """Open every input and compare assemblies, chromosome names, positions and gene ids.

    Parameters
    ----------
    config
        What `prepare` is to read.
    genes
        Its gene list, if that has been read.
    read_again
        Whether the files, but for counted tables, will be read once more, so that the log need not speak of them now.

    Raises
    ------
    InputError
        A file is not there, or the gene table, which all others are compared with, cannot be read.
    """
    require_files(config)
    genes = gene_list(config) if genes is None else genes
    found = list(opened_inputs(config, genes, read_again=read_again))
    problems = [item.what for item in found if item.failed]
    remarks: list[str] = []
    known = _agreed_lengths(config, found, problems)
    # Where what lies outside the genome is to be dropped, it may be there.
    drops = config.genome is not None and config.genome.outside == "drop"
    for item in found:
        _check_positions(item, known, remarks if drops else problems)
    overlaps = _overlaps(found)
    _judge(found, overlaps, problems, remarks)
    return Check(found, overlaps, problems, remarks)


def require_sound(result: Check) -> None:
    """Log what was remarked, and raise InputError if there are problems; all of them are listed."""
    for remark in result.remarks:
        logger.warning("%s", remark)
    if len(result.problems) == 1:
        raise InputError(result.problems[0])
    if result.problems:
        listed = "".join(f"\n  - {problem}" for problem in result.problems)
        raise InputError(f"{len(result.problems)} things are wrong with the inputs:{listed}\nMend all of them")


def _agreed_lengths(config: PrepareConfig, found: list[Opened], problems: list[str]) -> dict[str, int]:
    """Chromosome -> bp, of the assembly if it is known and else of the first file that tells; contradictions added."""
    known: dict[str, int] = {}
    told_by = {}
    for chrom, length in (assembly_lengths(config.assembly) or {}).items():
        for name in (chrom, other_style(chrom)):
            if name is not None:
                known[name], told_by[name] = length, config.assembly
    for item in found:
        lengths = item.lengths or {}
        told = {chrom: length for chrom, length in lengths.items() if chrom not in _MITOCHONDRION}
        wrong = [chrom for chrom, length in told.items() if known.get(chrom, length) != length]
        if wrong:
            problems.append(_other_build(config, item, wrong[0], len(wrong), known, told_by))
            continue
        for chrom, length in told.items():
            known.setdefault(chrom, length)
            told_by.setdefault(chrom, item.path.name)
    return known


def _other_build(
    config: PrepareConfig, item: Opened, chrom: str, count: int, known: dict[str, int], told_by: dict[str, str]
) -> str:
    lengths = item.lengths or {}
    assembly = assembly_of(lengths)
    named = (
        f" (its lengths are those of {assembly})" if assembly and not same_assembly(assembly, config.assembly) else ""
    )
    return str(
        InputError(
            f"is of another assembly{named}",
            source=item.path,
            count=count,
            first=f"{chrom} has {lengths[chrom]:,} bp here and {known[chrom]:,} in {told_by[chrom]}",
            fix="Use files of one assembly, and name it in `assembly:`",
        )
    )


def _check_positions(item: Opened, known: dict[str, int], found: list[str]) -> None:
    """Add to what is found if regions begin beyond the end of their chromosome; ends may overhang."""
    if item.regions is None:
        return
    ends = item.regions["chrom"].map(known).fillna(np.inf).to_numpy(np.float64)
    beyond = item.regions["start"].to_numpy() >= ends
    if beyond.any():
        row = int(beyond.argmax())
        chrom = item.regions["chrom"].iloc[row]
        found.append(
            str(
                InputError(
                    "has positions beyond the ends of their chromosomes, so it is of another assembly",
                    source=item.path,
                    count=int(beyond.sum()),
                    first=f"{region_names(item.regions.iloc[[row]]).iloc[0]}, but {chrom} has {known[chrom]:,} bp",
                    fix="Use files of one assembly",
                )
            )
        )


def _overlaps(found: list[Opened]) -> pd.DataFrame:
    """Rows of each input that each other one has something for."""
    rows = []
    for one in found:
        for other in found:
            if one is other:
                continue
            counted = _shared(one, other)
            if counted is not None:
                rows.append((one.setting, other.setting, *counted))
    return pd.DataFrame(rows, columns=["setting", "other", "rows", "found"])


def _shared(one: Opened, other: Opened) -> tuple[int, int] | None:
    """Number of rows, and how many of them the other input has something for; None if they cannot be compared."""
    if one.gene_ids is not None and other.gene_ids is not None:
        ids, others = bare_ids(one.gene_ids.to_series()), bare_ids(other.gene_ids.to_series())
        found = ids.isin(others).to_numpy(copy=True)
        for own in (one.gene_names, one.gene_ids):
            for names in (other.gene_names, other.gene_ids):
                if own is not None and names is not None:
                    found |= own.isin(names[names != ""])
        return len(ids), int(found.sum())
    if one.regions is None:
        return None
    if other.regions is not None:
        return len(one.regions), int(overlapping(one.regions, other.regions).sum())
    if other.lengths is not None:
        ends = one.regions["chrom"].map(other.lengths).fillna(-1).to_numpy(np.float64)
        return len(one.regions), int((one.regions["start"].to_numpy() < ends).sum())
    return None


def _judge(found: list[Opened], overlaps: pd.DataFrame, problems: list[str], remarks: list[str]) -> None:
    """Add what follows for the genes: files that have nothing for them are problems, what some lack is remarked."""
    files = {item.setting: item for item in found}
    table = files["genes.table"]
    chroms = pd.Series(dtype="str") if table.regions is None else table.regions["chrom"]
    genes = overlaps[overlaps["setting"] == "genes.table"]
    for name, shared in zip(genes["other"], genes["found"], strict=True):
        other = files[name]
        if other.gene_ids is not None:
            if not shared:
                problems.append(_no_genes(table, other))
            continue
        there = list(other.lengths or {}) if other.regions is None else other.regions["chrom"].unique()
        alone = chroms[~chroms.isin(there)]
        if len(alone) == len(chroms) and not (other.partial and other.lengths is None):
            # A blocklist need not know the chromosomes of a small genome.
            found_there = remarks if name in ("elements.blocklist", "elements.include") else problems
            found_there.append(_no_chromosome(table, other, str(there[0]) if len(there) else "nothing"))
        elif len(alone) and other.regions is None:
            absent = ", ".join(alone.unique()[:5])
            if name.startswith("signals.") and name.endswith(".reads"):
                problems.append(_no_reads(other, absent, len(alone)))
            else:
                remarks.append(f"{other.path.name}: lacks {absent}, where {len(alone):,} of {len(chroms):,} genes are")


def _no_chromosome(genes: Opened, other: Opened, first: str) -> str:
    own = "" if genes.regions is None else genes.regions["chrom"].iloc[0]
    return str(
        InputError(
            f"shares no chromosome with {genes.path.name}",
            source=other.path,
            first=f"{first} here, {own} there",
            fix="Use one assembly and one style of chromosome names",
        )
    )


def _no_reads(reads: Opened, absent: str, genes: int) -> str:
    return str(
        InputError(
            "lacks chromosomes of genes in its header, so nothing is known of their promoters",
            source=reads.path,
            count=genes,
            first=absent,
            fix="Use files of one assembly, or leave these genes out",
        )
    )


def _no_genes(genes: Opened, other: Opened) -> str:
    ids, others = genes.gene_ids, other.gene_ids
    return str(
        InputError(
            "has none of the genes",
            source=other.path,
            count=0 if ids is None else len(ids),
            first=f"{'' if ids is None else ids[0]} is not found; the file has {'' if others is None else others[0]}",
            fix="Use the same kind of gene id in both, or name another id column",
        )
    )
