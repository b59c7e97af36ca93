"""Explain what models predict, base by base."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from epinformer.assemblies import assembly_of, same_assembly
from epinformer.dataset.contract import WINDOW_LENGTH
from epinformer.dataset.store import SEQUENCE_LENGTH, Dataset
from epinformer.errors import DatasetError, InputError, ModelError
from epinformer.inputs.genome import Genome
from epinformer.interpretation.activity import STRIDE, explain_activity, strand_difference
from epinformer.interpretation.attribution_file import About, Explained
from epinformer.interpretation.choosing import Wanted, activity_targets, chromosome_lengths, expression_targets
from epinformer.interpretation.explained import Method, Settings
from epinformer.interpretation.expression import explain_expression, expression_dataset
from epinformer.interpretation.targets import Targets
from epinformer.model.checkpoint import LoadedModel
from epinformer.scoring.checks import common_target

logger = logging.getLogger(__name__)

# A sum of contributions may miss the difference that it explains by so much, absolute or relative to the difference.
_DELTA, _RELATIVE_DELTA = 1e-3, 0.01
# Windows whose two strands are compared, and how far they may differ, as a part of the largest score.
_COMPARED = 4
_STRAND_DIFFERENCE = 0.02

Kind = Literal["activity", "expression"]


def kind_of(models: Sequence[LoadedModel]) -> Kind:
    """What models predict: the activity of 256 bp, or the expression of genes.

    Raises
    ------
    ModelError
        No model, some of each, models of different targets, or one that reads no sequence.
    """
    kinds = {model.info.config.kind for model in models}
    if len(kinds) > 1:
        raise ModelError(
            "some of the models predict activity and some expression",
            source=models[0].path,
            fix="Explain models of one kind at a time",
        )
    common_target(models)
    for model in models:
        config = model.info.config
        if config.sequence == "none":
            raise ModelError(
                "reads no sequence, so there are no bases to explain",
                source=model.path,
                fix="Give a model that was trained with sequence, or the activity models of `epinformer pretrain`",
            )
        if config.kind == "activity" and config.sequence_length != WINDOW_LENGTH:
            raise ModelError(
                f"reads windows of {config.sequence_length:,} bp, not of {WINDOW_LENGTH}", source=model.path
            )
    return "activity" if kinds == {"activity"} else "expression"


class Explanation(NamedTuple):
    """What is explained, and how; the work is done as the chunks are asked for.

    Attributes
    ----------
    about
        How, and by which models.
    chunks
        The explained sequences, some at a time, in the order of the targets.
    number
        How many sequences there are.
    length
        Bases of the longest sequence that there can be.
    chrom_sizes
        Chromosome -> bp, for a track.
    """

    about: About
    chunks: Iterator[Explained]
    number: int
    length: int
    chrom_sizes: dict[str, int]


def explain(
    models: Sequence[LoadedModel],
    wanted: Wanted,
    settings: Settings,
    *,
    dataset: Dataset | None = None,
    genome: Genome | None = None,
    stride: int = STRIDE,
    progress: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Attribute predictions to bases, with the models that held out each sequence's chromosome.

    Activity models explain the strongest 256-bp window of each sequence (`explain_activity`), expression models the
    prediction of a gene with respect to the whole sequence (`explain_expression`). Memory does not grow with the number
    of bases.

    Parameters
    ----------
    models
        Of one kind and target.
    wanted
        Which sequences.
    settings
        How.
    dataset
        With sequence; not needed for activity models and regions of the genome.
    genome
        Bases of regions.
    stride
        bp between the windows of a sequence, for activity models.
    progress
        Called with (sequences done, sequences).

    Returns
    -------
    Explanation
        Scores are on the scale of the prediction.

    Raises
    ------
    ModelError
        As `kind_of`; a prediction that is not finite (while the chunks are asked for).
    DatasetError
        The dataset has no sequence, or what is read is of another assembly than the models.
    InputError
        There is nothing to explain, or a file is at fault.
    LeakageError
        No model held out the chromosomes of some sequences, and that is not allowed.
    EpinformerError
        DeepLIFT without the packages that it needs.
    """
    kind = kind_of(models)
    assembly = _assembly(models, dataset, genome)
    difference = None
    if kind == "activity":
        targets = activity_targets(wanted, dataset, genome)
        chunks = explain_activity(models, targets, settings, stride=stride, progress=progress)
        windows = _few_windows(targets)
        if len(windows):
            difference = strand_difference(models, windows, settings)
            if difference > _STRAND_DIFFERENCE:
                logger.warning("scores differ between the strands, by %.2g of the largest", difference)
    else:
        if dataset is None:
            raise InputError("expression models are explained on a dataset", fix="Give --data")
        dataset = expression_dataset(models, dataset)
        targets = expression_targets(wanted, dataset)
        if settings.method == "deeplift":
            logger.warning(
                "attention and LayerNorm have no exact DeepLIFT rule: what follows a sequence's embedding is "
                "attributed by integrated gradients, and delta says how exactly; --method ism needs no rule"
            )
        chunks = explain_expression(models, dataset, targets, settings, progress=progress)
    about = About(
        method=settings.method,
        what=kind,
        target=models[0].info.config.target,
        assembly=assembly,
        models=tuple(model.path.name if model.path is not None else "" for model in models),
        references=settings.references if settings.method == "deeplift" else 0,
        seed=settings.seed,
        strand_difference=difference,
    )
    return Explanation(
        about,
        _watched(chunks),
        len(targets.table),
        WINDOW_LENGTH if kind == "activity" else SEQUENCE_LENGTH,
        chromosome_lengths(targets, assembly, genome, dataset),
    )


def _assembly(models: Sequence[LoadedModel], dataset: Dataset | None, genome: Genome | None) -> str | None:
    """The assembly of what is read; where known, the genome's, the dataset's and the models' must be one."""
    read: list[tuple[str | None, Path]] = [] if dataset is None else [(dataset.manifest.assembly, dataset.path)]
    if genome is not None:
        whole = {chrom: span.end for chrom, span in genome.spans.items() if not span.is_locus}
        read.append((assembly_of(whole), genome.path))
    known = [(assembly, source) for assembly, source in read if assembly is not None]
    trained = [model.info.assembly for model in models if model.info.assembly is not None]
    for assembly, source in known:
        for other in trained:
            if not same_assembly(other, assembly):
                raise DatasetError(
                    f"is of assembly {assembly}, but the model was trained on {other}",
                    source=source,
                    fix="Give sequences of the model's assembly",
                )
        if not same_assembly(known[0][0], assembly):
            raise DatasetError(
                f"is of assembly {assembly}, but {known[0][1].name} of {known[0][0]}",
                source=source,
                fix="Give a genome and a dataset of one assembly",
            )
    return next(iter([assembly for assembly, _ in known] + trained), None)


def _few_windows(targets: Targets) -> np.ndarray:
    """The first windows of the first targets that are long enough, to compare the strands by; (n, 256)."""
    found: list[np.ndarray] = []
    for row in range(min(len(targets.table), 64)):
        codes = targets.read(row)
        if len(codes) >= WINDOW_LENGTH and len(found) < _COMPARED:
            found.append(codes[:WINDOW_LENGTH])
    return np.array(found, dtype=np.uint8).reshape(-1, WINDOW_LENGTH)


def default_method(kind: Kind) -> Method:
    """DeepLIFT where every layer has an exact rule, as in the paper; else mutagenesis."""
    return "deeplift" if kind == "activity" else "ism"


def _watched(chunks: Iterable[Explained]) -> Iterator[Explained]:
    """The same chunks; at the end it is said how many sums of contributions do not converge."""
    largest, wide, number = 0.0, 0, 0
    for chunk in chunks:
        delta = chunk.table["delta"].fillna(0.0)
        difference = (chunk.table["prediction"] - chunk.table["reference"]).abs().fillna(0.0)
        number += len(delta)
        largest = max(largest, float(delta.max()))
        wide += int((delta > (_RELATIVE_DELTA * difference).clip(lower=_DELTA)).sum())
        yield chunk
    if wide:
        logger.warning(
            "the contributions of %s of %s sequences do not add up to the difference that they explain, by up to %.2g; "
            "more exact: --method ism",
            f"{wide:,}",
            f"{number:,}",
            largest,
        )
