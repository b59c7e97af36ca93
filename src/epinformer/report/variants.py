"""Effects of variants as files: a table, and the VCF with them in its INFO column."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TextIO, cast

import numpy as np
import pandas as pd
import pysam

from epinformer.errors import OutputError
from epinformer.files import atomic_file
from epinformer.inputs.variants import read_vcf_header
from epinformer.report.tables import refuse_targets, require_table_name, write_tables
from epinformer.scoring.variants import ScoredChunk

_INFO = 7
FIELDS = {
    "EPI_STATUS": ("String", "What became of the allele: scored, or why it has no effect"),
    "EPI_ELEMENT": ("String", "The element that holds the allele and whose activity it changes most"),
    "EPI_ACTIVITY": ("Float", "Predicted change of that element's log2(0.1 + activity)"),
    "EPI_GENE": ("String", "The gene whose expression the allele changes most"),
    "EPI_EFFECT": ("Float", "Predicted change of that gene's expression, in the unit of the models' target"),
}
"""What is written of each alternative allele (Number=A), its type and description."""


def write_variants(
    chunks: Iterable[ScoredChunk],
    target: Path | TextIO,
    *,
    vcf: Path | None = None,
    source: Path,
    inputs: Sequence[Path] = (),
) -> None:
    """Write a table of effects, and the annotated VCF, some rows at a time.

    Parameters
    ----------
    chunks
        As `epinformer.scoring.variants.variant_tables` gives.
    target
        A stream, or a file: .tsv, .tsv.gz or .parquet.
    vcf
        The VCF to write, .vcf, or .vcf.gz or .vcf.bgz (bgzip); all rows of the source in their order.
    source
        The VCF that was read.
    inputs
        More files and directories that may not be overwritten.

    Raises
    ------
    OutputError
        A file's name says no kind of file, or it cannot be written.
    """
    refuse_targets([path for path in (target, vcf) if isinstance(path, Path)], [source, *inputs])
    if isinstance(target, Path):
        require_table_name(target)
    if vcf is None:
        write_tables((scored.table for scored in chunks), target)
        return
    if not vcf.name.endswith((".vcf", ".vcf.gz", ".vcf.bgz")):
        raise OutputError(
            "does not say by its name that it shall be a VCF", source=vcf, fix="End it in .vcf or .vcf.gz"
        )
    with atomic_file(vcf) as temporary, _opened(temporary) as handle:
        for line in annotated_header(read_vcf_header(source)):
            handle.write(_encoded(line))
        write_tables(_noting(chunks, handle), target)


def annotated_header(header: Sequence[str]) -> list[str]:
    """A VCF's header with lines for `FIELDS`, in place of earlier ones of these names."""
    kept = [line for line in header if not line.startswith(tuple(f"##INFO=<ID={name}," for name in FIELDS))]
    added = [f'##INFO=<ID={name},Number=A,Type={kind},Description="{words}">' for name, (kind, words) in FIELDS.items()]
    return [*kept[:-1], *added, kept[-1]]


def annotated_records(scored: ScoredChunk) -> Iterator[str]:
    """The rows of a chunk with `FIELDS` in their INFO column; rows without an alternative allele are as they were."""
    values = _fields(scored)
    record = scored.chunk.alleles["record"].to_numpy()
    edges = np.searchsorted(record, np.arange(len(scored.chunk.records) + 1))
    for number, line in enumerate(scored.chunk.records):
        own = slice(edges[number], edges[number + 1])
        if own.start == own.stop:
            yield line
            continue
        fields = line.split("\t")
        kept = [item for item in fields[_INFO].split(";") if item not in ("", ".") and item.split("=")[0] not in FIELDS]
        fields[_INFO] = ";".join([*kept, *(f"{name}={','.join(found[own])}" for name, found in values.items())])
        yield "\t".join(fields)


def _noting(chunks: Iterable[ScoredChunk], handle: IO[bytes]) -> Iterator[pd.DataFrame]:
    """The tables; in passing the annotated rows are written."""
    for scored in chunks:
        for line in annotated_records(scored):
            handle.write(_encoded(line))
        yield scored.table


def _fields(scored: ScoredChunk) -> dict[str, list[str]]:
    """Of each allele (A,) the values of `FIELDS`."""
    table, number = scored.table, len(scored.chunk.alleles)
    change = table["activity_change"].to_numpy()
    # With activity models the effect is that through both ways, else through the bases alone.
    effect = table["effect" if scored.with_activity else "effect_sequence"].to_numpy()
    status = _most(table["status"].to_numpy() == "scored", scored.allele, number)
    most_active = _most(np.where(table["element_id"].notna(), np.abs(change), np.nan), scored.allele, number)
    most_effect = _most(np.abs(effect), scored.allele, number)
    return {
        "EPI_STATUS": _words(table["status"], status),
        "EPI_ELEMENT": _words(table["element_id"], most_active),
        "EPI_ACTIVITY": _numbers(change, most_active),
        "EPI_GENE": _words(table["gene_id"], most_effect),
        "EPI_EFFECT": _numbers(effect, most_effect),
    }


def _most(size: np.ndarray, allele: np.ndarray, number: int) -> np.ndarray:
    """(number,) int64: of each allele the row with the largest value, or -1 if none of its rows has one."""
    rows = np.flatnonzero(~np.isnan(np.asarray(size, dtype=np.float64)))
    rows = rows[np.lexsort((rows, -np.asarray(size, dtype=np.float64)[rows], allele[rows]))]
    alleles, first = np.unique(allele[rows], return_index=True)
    found = np.full(number, -1)
    found[alleles] = rows[first]
    return found


def _words(values: pd.Series, rows: np.ndarray) -> list[str]:
    words = values.to_numpy(dtype=object)
    return ["." if row < 0 else _escaped(str(words[row])) for row in rows.tolist()]


def _numbers(values: np.ndarray, rows: np.ndarray) -> list[str]:
    return ["." if row < 0 else f"{values[row]:.6g}" for row in rows.tolist()]


def _escaped(word: str) -> str:
    """A word without what has a meaning in the INFO column (VCF 4.3, 1.2); blanks become underscores."""
    for sign in "%;=,\t":
        word = word.replace(sign, f"%{ord(sign):02X}")
    return word.replace(" ", "_")


def _encoded(line: str) -> bytes:
    return f"{line}\n".encode(errors="surrogateescape")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, in blocks of gzip if its name says so."""
    if path.name.endswith(".vcf"):
        with path.open("wb") as handle:
            yield handle
        return
    blocked = pysam.BGZFile(str(path), "wb", None)
    try:
        yield cast(IO[bytes], blocked)
    finally:
        blocked.close()
