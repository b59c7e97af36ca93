"""`import_h5`: from the authors' HDF5 files to a dataset, streamed, with each distinct element stored once."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
import pandas as pd

from epinformer import __version__
from epinformer.dataset.manifest import MANIFEST_NAME, read_manifest
from epinformer.dataset.store import InputFile, Manifest, write_dataset
from epinformer.errors import ConfigError, InputError, OutputError
from epinformer.files import refuse_output, sha256
from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.inputs.expression import read_expression
from epinformer.inputs.gene_ids import match_genes
from epinformer.inputs.genes import lacking, read_half_life
from epinformer.inputs.regions import LAST_POSITION, refuse, refuse_duplicates
from epinformer.inputs.tables import Column, read_headed
from epinformer.prepare.h5_collect import Collected
from epinformer.prepare.h5_layout import Layout, read_blocks, read_layout
from epinformer.prepare.steps import Filters
from epinformer.settings import COLUMN_NAME

logger = logging.getLogger(__name__)

_COPY_BYTES = 4 * 2**20
# The authors' elements are more than 1,000 bp and, at most, some Mb away: the two units cannot be mistaken.
_NEAREST_BP = 1_000
_FARTHEST_KB = 10_000


class ExpressionTable(NamedTuple):
    """Where an assay's labels are: a CSV or TSV file, its column of gene ids, and its column of values."""

    path: str | Path
    id_column: str
    value_column: str


def import_h5(
    files: Sequence[str | Path],
    output: str | Path,
    *,
    assembly: str = "hg38",
    cell_type: str | None = None,
    genes: str | Path | None = None,
    promoters: str | Path | None = None,
    expression: Mapping[str, ExpressionTable] | None = None,
    without_half_life: Literal["drop", "keep"] = "drop",
    distance_unit: Literal["bp", "kb"] = "bp",
    max_distance: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Make a dataset of the authors' HDF5 files (see `epinformer.prepare.h5_layout`).

    The files are read once, a few genes at a time. An element slot without bases is no pair. Elements of the same
    chromosome, bases and activity are one element, whichever genes they are paired with; two such in one gene
    stay two. The layout has no coordinates: elements have no start and end, genes a chromosome, TSS and name only
    with ``genes``. Distances keep the sign they have (the authors' have none) and are rounded to whole bp.

    Parameters
    ----------
    files
        One or several HDF5 files; no gene may be in two.
    output
        The dataset's directory. It is written beside and renamed when complete; a failed run leaves nothing.
    assembly, cell_type
        Of the files, which do not say; the published ones are hg38.
    genes
        CSV or TSV with gene_id, chrom, TSS, perhaps ``Gene name`` and strand, and the eight half-life features: the
        authors' table of half-life features.
    promoters
        CSV or TSV with a gene id (gene_id, ENSID or symbol) and either promoter_activity or, as in the authors'
        GeneList.txt, ``DHS.RPM.TSS1Kb`` and ``H3K27ac.RPM.TSS1Kb``, whose geometric mean it is. Without it
        promoter_activity is NaN, since the layout does not hold it.
    expression
        Assay -> where its labels are; they become ``expression_<assay>``.
    without_half_life
        What becomes of genes that ``genes`` lacks, or for which it lacks a feature: dropped, or kept with NaN.
    distance_unit
        Unit of the files' distances. A wrong one is refused where the numbers give it away.
    max_distance
        Leave out pairs that are farther, in bp; the paper's models use 100,000.
    overwrite
        Replace a dataset that is there.
    progress
        Called with (genes done, genes).

    Returns
    -------
    Manifest
        What was written.

    Raises
    ------
    ConfigError
        An assay's name is no name for a column.
    InputError
        A file is missing, damaged or of another layout, a gene occurs twice, a signal is negative or not finite.
    OutputError
        The output exists, may not be replaced, holds an input, or cannot be written.
    """
    output = Path(output)
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("no HDF5 file is named")
    tables = [genes, promoters, *(source.path for source in (expression or {}).values())]
    named = [*paths, *(table for table in tables if table is not None)]
    refuse_output(output, overwrite=overwrite, marker=MANIFEST_NAME, inputs=named)
    _check_assays(expression or {})
    layouts = [read_layout(path) for path in paths]
    _refuse_repeated_genes(layouts)
    for layout in layouts:
        _check_unit(layout, distance_unit)
    filters = Filters()
    table, words = _gene_table(layouts, genes, without_half_life, filters)
    table, promoter_words = _with_promoters(table, promoters)
    table, label_words = _with_expression(table, expression or {})
    words |= promoter_words | label_words
    with _spool(output) as promoter_bases, _spool(output) as element_bases:
        collected = Collected(
            table, promoter_bases, element_bases, 1000.0 if distance_unit == "kb" else 1.0, max_distance
        )
        done, total = 0, sum(len(layout.gene_ids) for layout in layouts)
        for layout in layouts:
            for block in read_blocks(layout):
                collected.add(layout, block)
                if progress is not None:
                    progress(done + block.first + len(block.codes), total)
            done += len(layout.gene_ids)
        elements, pairs = collected.tables()
        collected.say(filters)
        manifest = Manifest(
            assembly=assembly,
            cell_type=cell_type,
            package_version=__version__,
            config={
                "import_h5": {
                    "distance_unit": distance_unit,
                    "max_distance": max_distance,
                    "without_half_life": without_half_life,
                }
            },
            inputs=_inputs(paths, genes, promoters, expression or {}),
            filters=filters.steps,
            transforms=words | collected.words(distance_unit),
        )
        write_dataset(
            output, manifest, table, elements, pairs, _copied(promoter_bases, element_bases), overwrite=overwrite
        )
    return read_manifest(output)


def _check_assays(expression: Mapping[str, ExpressionTable]) -> None:
    """Refuse an assay after which no column can be named."""
    for assay in expression:
        if not re.fullmatch(COLUMN_NAME, assay):
            near = re.sub(r"[^a-z0-9_]", "_", assay.lower())
            suggestion = f"Name it {near}" if re.fullmatch(COLUMN_NAME, near) else "Begin it with a letter"
            raise ConfigError(
                f"the assay {assay!r} is no name for a column: lower-case letters, digits and _, a letter first",
                fix=suggestion,
            )


def _refuse_repeated_genes(layouts: list[Layout]) -> None:
    """Refuse a gene that occurs twice, in one file or in two."""
    seen: dict[str, Path] = {}
    repeated = []
    for layout in layouts:
        for gene_id in layout.gene_ids:
            if gene_id in seen:
                repeated.append((gene_id, seen[gene_id], layout.path))
            seen[gene_id] = layout.path
    if repeated:
        gene_id, before, path = repeated[0]
        where = "twice in this file" if before == path else f"also in {before}"
        raise InputError(
            "names genes that occur twice",
            source=path,
            count=len(repeated),
            first=f"{gene_id}, {where}",
            fix="Name each file once, and keep one row a gene",
        )


def _check_unit(layout: Layout, unit: str) -> None:
    """Refuse distances that cannot be of the unit."""
    if unit == "bp" and 0 < layout.farthest < _NEAREST_BP:
        raise InputError(
            f"has no distance above {layout.farthest:g}; in bp they are at least {_NEAREST_BP:,}",
            source=layout.path,
            fix="Pass --distance-unit kb if they are in kb",
        )
    if unit == "kb" and layout.farthest > _FARTHEST_KB:
        raise InputError(
            f"has a distance of {layout.farthest:,.0f}, too far in kb",
            source=layout.path,
            fix="Pass --distance-unit bp if they are in bp",
        )


def _gene_table(
    layouts: list[Layout], path: str | Path | None, without_half_life: str, filters: Filters
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Genes in the files' order, with place, name and half-life features where there is a table of them."""
    ids = pd.Series([gene_id for layout in layouts for gene_id in layout.gene_ids], dtype="str")
    table = pd.DataFrame({"gene_id": ids, "gene_name": ids})
    if path is None:
        logger.info("without a gene table the genes have no chromosome, TSS, name and half-life features")
        nothing = [pd.NA] * len(ids)
        table["chrom"] = pd.array(nothing, dtype="str")
        table["tss"] = pd.array(nothing, dtype="Int64")
        return table.assign(strand="."), {}
    half_life, columns = read_half_life(path)
    places = read_headed(
        path,
        (
            Column("gene_id", "text", ("gene_id",)),
            Column("chrom", "text", ("chrom", "chr")),
            Column("tss", "int", ("TSS", "tss")),
            Column("strand", "text", ("strand",), optional=True),
        ),
    )
    outside = (places["tss"] < 0) | (places["tss"] > LAST_POSITION)
    refuse(places, outside, path, "has a TSS on no chromosome", f"Positions go from 0 to {LAST_POSITION:,}")
    rows = match_genes(half_life.join(places.set_index("gene_id")), table, path).rows.reset_index(drop=True)
    if "gene_name" in rows:
        table["gene_name"] = rows["gene_name"].where(rows["gene_name"].fillna("") != "", ids).astype("str")
    table["chrom"] = rows["chrom"].astype("str")
    table["tss"] = rows["tss"].astype("Int64")
    table["strand"] = rows["strand"].fillna(".") if "strand" in rows else "."
    features = list(HALF_LIFE_FEATURES)
    table[features] = rows[features]
    lacks = lacking(rows[features])
    if without_half_life == "drop":
        table = table[filters.keep("genes", "without half-life features", ~lacks)].reset_index(drop=True)
        if table.empty:
            raise InputError(
                "has the half-life features of none of the genes", source=path, count=len(ids), first=ids[0]
            )
    elif lacks.any():
        logger.info("%s of %s genes lack half-life features and are kept", f"{lacks.sum():,}", f"{len(ids):,}")
    return table, {feature: f"column {columns[feature]} as given" for feature in features}


def _with_promoters(genes: pd.DataFrame, path: str | Path | None) -> tuple[pd.DataFrame, dict[str, str]]:
    """Genes with promoter_activity."""
    if path is None:
        logger.warning(
            "the layout does not hold the promoters' activity, so it is NaN; name a table of it for models that need it"
        )
        return genes.assign(promoter_activity=np.nan), {}
    ids = Column("gene_id", "text", ("gene_id", "ENSID", "symbol"))
    signals = {"promoter_dnase_rpm": "DHS.RPM.TSS1Kb", "promoter_h3k27ac_rpm": "H3K27ac.RPM.TSS1Kb"}
    given = Column("promoter_activity", "float", ("promoter_activity", "PromoterActivity"), blank=True, optional=True)
    table = read_headed(path, (ids, given))
    if "promoter_activity" in table:
        words = {"promoter_activity": "column of the table of promoters as given"}
    else:
        table = read_headed(path, (ids, *(Column(name, "float", (at,), blank=True) for name, at in signals.items())))
        words = {name: f"column {at} as given" for name, at in signals.items()}
        words["promoter_activity"] = "sqrt(promoter_dnase_rpm * promoter_h3k27ac_rpm)"
    refuse_duplicates(table, ["gene_id"], path, "gives the promoter of a gene twice", "Keep one row a gene")
    numbers = table.drop(columns="gene_id")
    negative = (numbers < 0).any(axis=1)
    if negative.any():
        raise InputError(
            "has negative signals", source=path, count=int(negative.sum()), first=table["gene_id"][negative].iloc[0]
        )
    if "promoter_activity" not in table:
        table["promoter_activity"] = np.sqrt(numbers.prod(axis=1, skipna=False))
    rows = match_genes(table.set_index("gene_id"), genes, path).rows
    lacks = rows["promoter_activity"].isna()
    if lacks.any():
        logger.warning(
            "%s: %s of %s genes have no promoter activity (first: %s)",
            path,
            f"{lacks.sum():,}",
            f"{len(genes):,}",
            lacks.index[lacks][0],
        )
    return genes.assign(**{name: rows[name].to_numpy(np.float64) for name in words}), words


def _with_expression(
    genes: pd.DataFrame, expression: Mapping[str, ExpressionTable]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Genes with expression_<assay>, NaN where an assay has no label."""
    words = {}
    for assay, source in expression.items():
        labels = read_expression(source.path, id_column=source.id_column, value_column=source.value_column)
        values = match_genes(labels.to_frame(), genes, source.path).rows["value"].to_numpy(np.float64)
        genes = genes.assign(**{f"expression_{assay}": values})
        words[f"expression_{assay}"] = f"column {source.value_column} as given"
        lacks = int(np.isnan(values).sum())
        if lacks:
            logger.info("%s of %s genes have no %s expression and are kept", f"{lacks:,}", f"{len(genes):,}", assay)
    return genes, words


def _inputs(
    files: list[Path],
    genes: str | Path | None,
    promoters: str | Path | None,
    expression: Mapping[str, ExpressionTable],
) -> dict[str, InputFile]:
    named: dict[str, str | Path | None] = {f"h5[{number}]": path for number, path in enumerate(files)}
    named |= {"genes": genes, "promoters": promoters}
    named |= {f"expression.{assay}": source.path for assay, source in expression.items()}
    return {
        name: InputFile(path=str(path), sha256=sha256(path), bytes=Path(path).stat().st_size)
        for name, path in named.items()
        if path is not None
    }


@contextlib.contextmanager
def _spool(output: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file on the output's disk that has no name, so that nothing is left even of a killed run."""
    try:
        with tempfile.TemporaryFile(dir=output.absolute().parent) as handle:
            yield handle
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS):
            raise
        raise OutputError(
            f"cannot be written: {error.strerror}", source=output, fix="Free some space or name another output"
        ) from error


def _copied(*files: IO[bytes]) -> Iterator[np.ndarray]:
    """Yield the bytes of files as uint8 codes, a few MB at a time."""
    for file in files:
        file.seek(0)
        while content := file.read(_COPY_BYTES):
            yield np.frombuffer(content, dtype=np.uint8)
