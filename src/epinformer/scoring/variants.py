"""Put variants into the sequences of a dataset, and predict activity and expression with and without them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from epinformer.dataset.store import Dataset
from epinformer.errors import LeakageError, ModelError
from epinformer.inputs.chromosomes import other_style, reconciled
from epinformer.inputs.genome import Genome
from epinformer.inputs.text_rows import Problems
from epinformer.inputs.variants import VariantChunk, read_variants
from epinformer.model.checkpoint import LoadedModel
from epinformer.model.hardware import Precision, arithmetic, named_device
from epinformer.scoring.assignment import Assignment, assigned
from epinformer.scoring.checks import require_elements
from epinformer.scoring.held_out import held_out_genes
from epinformer.scoring.selection import gene_indices
from epinformer.scoring.variant_activity import ActivityScorer
from epinformer.scoring.variant_alleles import (
    MISMATCH,
    NOT_HELD_OUT,
    SCORED,
    Located,
    Places,
    edited,
    located,
    sequence_bases,
)
from epinformer.scoring.variant_expression import ExpressionScorer
from epinformer.scoring.variant_rows import Hits, PairsOfElements, Predicted, items_of, rows_of, table_of

logger = logging.getLogger(__name__)

PROMOTER_SIGNAL = 500
"""bp on both sides of a TSS whose reads are the promoter's signals."""

Mismatch = Literal["stop", "skip"]
_FIX = "Give a VCF of the dataset's assembly, or pass --mismatch skip to list these and go on"


class ScoredChunk(NamedTuple):
    """Some rows of a VCF and what was predicted of them.

    Attributes
    ----------
    chunk
        The rows and their alleles.
    table
        Effects, as `variants` describes them.
    allele
        (rows of the table,) int64: the allele of each, by its number in the chunk.
    with_activity
        Whether there are activity models.
    """

    chunk: VariantChunk
    table: pd.DataFrame
    allele: np.ndarray
    with_activity: bool


def variants(
    models: Sequence[LoadedModel],
    dataset: Dataset,
    vcf: str | Path,
    *,
    genome: Genome | None = None,
    genes: Sequence[str] | None = None,
    mismatch: Mismatch = "stop",
    device: str = "auto",
    precision: Precision = "32",
    allow_leakage: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Score the variants of a file, as one table; parameters, columns and errors are those of `variant_tables`."""
    chunks = variant_tables(
        models,
        dataset,
        vcf,
        genome=genome,
        genes=genes,
        mismatch=mismatch,
        device=device,
        precision=precision,
        allow_leakage=allow_leakage,
        progress=progress,
    )
    return pd.concat([scored.table for scored in chunks], ignore_index=True)


def variant_tables(
    models: Sequence[LoadedModel],
    dataset: Dataset,
    vcf: str | Path,
    *,
    genome: Genome | None = None,
    genes: Sequence[str] | None = None,
    mismatch: Mismatch = "stop",
    device: str = "auto",
    precision: Precision = "32",
    allow_leakage: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[ScoredChunk]:
    """Score the variants of a file, some rows at a time: memory does not grow with their number.

    The file is read twice; what is wrong with it is told before anything is computed.

    Parameters
    ----------
    models
        Expression models that look at elements (same target and limits), 256-bp activity models, or both. Each scores
        only chromosomes that it held out.
    dataset
        With sequence, and with the features that the models read.
    vcf
        As `epinformer.inputs.variants.read_variants` takes it.
    genome
        Where REF is compared also outside the dataset's sequences, and which gives the bases that come in where
        bases are deleted (`epinformer.scoring.variant_alleles.edited`).
    genes
        Ids (or unambiguous names) of the genes whose expression is predicted; all by default.
    mismatch
        What to do if REF is not what the dataset or the genome has: ``stop``, or ``skip`` and list.
    device, precision, allow_leakage
        As in `epinformer.scoring.predict.predict`.
    progress
        Called with (done, total), in alleles.

    Yields
    ------
    ScoredChunk
        At least one. A row of its table is an allele, an element that holds it and a gene that is paired with the
        element; or a gene whose promoter alone holds it, an element without a gene, or the allele alone. Columns:

        chrom, pos, id, ref, alt
            As in the file; pos is 1-based.
        status
            ``scored``, or why not: ``no element``, ``symbolic``, ``unknown bases``, ``reference mismatch``,
            ``needs the genome``, ``spans the sequence`` (the allele takes the whole sequence away), ``no held-out
            model``, ``no gene``.
        element_id, gene_id, gene_name, distance
            The pair; distance in bp, positive downstream in the gene's direction, of the element's midpoint, or
            without an element of what the allele changes.
        promoter
            Whether the gene's promoter holds the allele.
        activity_ref, activity_alt, activity_change
            log2(0.1 + activity) predicted for the element (else the promoter) with REF and with ALT, means over
            windows, strands and models (`epinformer.scoring.variant_activity.ActivityScorer`), and ALT - REF.
        expression_ref
            Predicted expression of the gene, in the unit of the models' target.
        effect_sequence
            Predicted change where the bases alone change, in all sequences of the gene that hold the allele.
        effect
            The same, and the signals of these sequences (`epinformer.scoring.variant_expression.ACTIVITY_COLUMNS`) are
            multiplied with 2^activity_change; those of a promoter only if the allele lies within 500 bp of the TSS,
            where they were measured. Missing without activity models.
        fold, models, activity_models, held_out
            The fold that tests the gene, how many models of each kind there are means of, and whether they had held
            out the chromosome (missing where they do not say).

    Raises
    ------
    LeakageError
        No model held out any of these genes or chromosomes, and ``allow_leakage`` is false.
    ModelError
        No model, models that cannot be used together, or that nothing of a variant reaches.
    DatasetError
        No sequence or no coordinates, another assembly, or a feature that is missing.
    InputError
        The file cannot be read, positions beyond a chromosome's end, REF that mismatch, or genes that the dataset
        lacks.
    """
    scorer = _Scorer(models, dataset, genome, genes, device, precision, allow_leakage)
    total = _survey(Path(vcf), scorer, mismatch)
    told: Counter[str] = Counter()
    done = 0
    for chunk in read_variants(vcf):
        scored = scorer.scored(chunk)
        # One word an allele: the first of its rows is scored if any is.
        status = scored.table["status"].to_numpy()
        order = np.lexsort((status != SCORED, scored.allele))
        first = order[np.unique(scored.allele[order], return_index=True)[1]]
        told.update(status[first].tolist())
        done += len(chunk.alleles)
        yield scored
        if progress is not None:
            progress(done, total)
    words = ", ".join(f"{number:,} {status}" for status, number in told.most_common())
    logger.info("%s alleles: %s", f"{total:,}", words or "none")


class _Scorer:
    """Scores the alleles of chunk after chunk."""

    def __init__(
        self,
        models: Sequence[LoadedModel],
        dataset: Dataset,
        genome: Genome | None,
        genes: Sequence[str] | None,
        device: str,
        precision: Precision,
        allow_leakage: bool,
    ) -> None:
        if not models:
            raise ModelError("no model was given")
        of_activity = [model for model in models if model.info.config.kind == "activity"]
        of_expression = [model for model in models if model.info.config.kind == "expression"]
        if not of_activity and all(model.info.config.sequence == "none" for model in of_expression):
            raise ModelError(
                "reads no sequence, so that a variant changes nothing for it",
                source=of_expression[0].path,
                fix="Give enhancer-activity models (`epinformer pretrain`), too: signals then follow the activity",
            )
        self.places = Places(dataset)
        self.chroms = set(self.places.table["chrom"])
        self.genome = genome
        self._wanted = np.zeros(dataset.n_genes, dtype=bool)
        self._wanted[gene_indices(dataset, genes)] = True
        place = named_device(device)
        self._activity = ActivityScorer(
            of_activity,
            dataset,
            device=place,
            dtype=arithmetic(precision, place),
            allow_leakage=allow_leakage,
        )
        self.dataset = dataset
        self._plan: Assignment | None = None
        self._expression: ExpressionScorer | None = None
        if of_expression:
            require_elements(of_expression, "does not see most variants", "Use a model of another variant")
            names = _held_out(of_expression, dataset, genes, allow_leakage)
            plan = assigned(
                of_expression, dataset, names, device=device, precision=precision, allow_leakage=allow_leakage
            )
            self._plan, self._expression = plan, ExpressionScorer(plan)
            self.dataset = plan.dataset
        if of_activity and not self._activity.any_held_out:
            raise LeakageError(
                "no model given held out any chromosome of the dataset",
                source=of_activity[0].path,
                fix="Give the models of all folds, or pass --allow-leakage, which the result will say",
            )
        # Without expression models no pair is looked at.
        self._pairs = PairsOfElements(self.dataset, self._wanted & bool(of_expression))
        self._provenance = pd.DataFrame(
            {"fold": pd.array([], "str"), "models": [], "held_out": pd.array([], "boolean")}
        )
        if self._plan is not None:
            self._provenance = self._plan.provenance().set_axis(self._plan.genes)

    def located(self, chunk: VariantChunk) -> Located:
        """Where the alleles of a chunk are; promoters of genes that are not asked for do not count."""
        found = located(self.in_style(chunk.alleles), self.places, self.dataset, self.genome)
        kept = found.sequence >= self.dataset.n_genes
        kept[~kept] = self._wanted[found.sequence[~kept]]
        return found._replace(allele=found.allele[kept], sequence=found.sequence[kept])

    def in_style(self, alleles: pd.DataFrame) -> pd.DataFrame:
        """Alleles with chromosomes named as in the dataset."""
        names = {name: other_style(name) for name in alleles["chrom"].unique() if name not in self.chroms}
        names = {name: other for name, other in names.items() if other in self.chroms}
        return alleles.assign(chrom=alleles["chrom"].replace(names).astype("str")) if names else alleles

    def scored(self, chunk: VariantChunk) -> ScoredChunk:
        """Predict the alleles of a chunk."""
        found = self.located(chunk)
        hits, codes = self._hits(chunk.alleles, found)
        rows = rows_of(hits, self.dataset, self._pairs, len(chunk.alleles))
        predicted = None
        if self._plan is not None and self._expression is not None:
            keys, items, unusable = items_of(hits, rows, self.dataset, self._plan.genes)
            predicted = Predicted(keys, self._expression(items, codes), unusable)
        table = table_of(chunk.alleles, found, hits, rows, self.dataset, predicted, self._provenance)
        return ScoredChunk(chunk, table, rows.allele, bool(self._activity.models))

    def _hits(self, alleles: pd.DataFrame, found: Located) -> tuple[Hits, list[np.ndarray]]:
        """The alleles in the sequences that hold them, their activities, and the changed sequences."""
        place = self.places.table.iloc[found.sequence]
        chrom, first, last = (place[name].to_numpy() for name in ("chrom", "start", "end"))
        start, end = (alleles[name].to_numpy(np.int64)[found.allele] for name in ("start", "end"))
        changes = zip(start.tolist(), end.tolist(), alleles["bases"].iloc[found.allele], strict=True)
        before = [sequence_bases(self.dataset, number) for number in found.sequence.tolist()]
        after = [
            edited(codes, name, begin, change, self.genome)
            for codes, name, begin, change in zip(before, chrom, first.tolist(), changes, strict=True)
        ]
        status = np.array([one.status for one in after], dtype=object)
        good = np.flatnonzero(status == SCORED)
        codes = [one.codes for one in after if one.codes is not None]
        middle = (start + end) // 2 - first
        activities = self._activity(
            chrom[good], found.sequence[good], [before[hit] for hit in good.tolist()], codes, middle[good]
        ).spread(good, len(status))
        factor = np.exp2(activities.after - activities.before)
        # A promoter's reads were counted around its TSS only.
        tss = (first + last) // 2
        uncounted = (np.maximum(end, start + 1) <= tss - PROMOTER_SIGNAL) | (start >= tss + PROMOTER_SIGNAL)
        factor[uncounted & (found.sequence < self.dataset.n_genes) & np.isfinite(factor)] = 1.0
        number = np.cumsum(status == SCORED) - 1
        return Hits(found.allele, found.sequence, status, number, activities, factor), codes


def _held_out(
    models: Sequence[LoadedModel], dataset: Dataset, genes: Sequence[str] | None, allow_leakage: bool
) -> Sequence[str] | None:
    """The genes asked for that some model held out; if there is none, or leakage is allowed, all that are asked for."""
    if allow_leakage:
        return genes
    indices = gene_indices(dataset, genes)
    masks = [np.ones(len(indices), bool) if held is None else held for held in held_out_genes(models, dataset, indices)]
    held = np.any(masks, axis=0)
    if not held.any() or held.all():
        return genes
    logger.warning(
        "no model given held out the chromosomes of %s of %s genes; these get no effects (status: %s)",
        f"{(~held).sum():,}",
        f"{len(held):,}",
        NOT_HELD_OUT,
    )
    return dataset.genes["gene_id"].iloc[indices[held]].tolist()


def _survey(path: Path, scorer: _Scorer, mismatch: Mismatch) -> int:
    """Read the whole file and refuse what is wrong with it; the number of its alleles."""
    total = nowhere = 0
    chroms: set[str] = set()
    problems, beyond = Problems(), Problems()
    for chunk in read_variants(path):
        total += len(chunk.alleles)
        nowhere += len(chunk.records) - chunk.alleles["record"].nunique()
        chroms.update(chunk.alleles["chrom"].unique())
        alleles = scorer.in_style(chunk.alleles)
        outside = _beyond(alleles, scorer.genome)
        wrong = (scorer.located(chunk).status == MISMATCH) & ~outside
        for found, mask, problem, fix in (
            (beyond, outside, "has positions beyond the ends of chromosomes", "Give the genome of the VCF's assembly"),
            (problems, wrong, "has reference alleles that are not what the dataset or the genome has there", _FIX),
        ):
            if mask.any():
                found.add(problem, _named(chunk.alleles.iloc[int(mask.argmax())]), fix, int(mask.sum()))
    reconciled(chroms, scorer.chroms, path)
    beyond.refuse(path)
    if mismatch == "stop":
        problems.refuse(path)
    if nowhere:
        logger.info("%s: %s rows have no alternative allele", path, f"{nowhere:,}")
    return total


def _beyond(alleles: pd.DataFrame, genome: Genome | None) -> np.ndarray:
    """Whether REF reaches beyond the end of its chromosome, bool (alleles,)."""
    ends = np.full(len(alleles), np.inf)
    if genome is not None:
        for chrom in alleles["chrom"].unique():
            span = genome.span(chrom)
            if span is not None and not span.is_locus:
                ends[(alleles["chrom"] == chrom).to_numpy()] = span.end
    beyond: np.ndarray = alleles["pos"].to_numpy(np.int64) - 1 + alleles["ref"].str.len().to_numpy(np.int64) > ends
    return beyond


def _named(allele: pd.Series) -> str:
    """An allele as a user finds it."""
    return f"{allele['chrom']}:{allele['pos']} {allele['ref']}>{allele['alt']}"
