"""What a file of reads is, by its content, and what the kinds have in common."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pysam
import pytest

from epinformer.errors import InputError
from epinformer.inputs.reads import ReadFilter, chromosome_lengths, count_reads, read_barcodes, read_format

LENGTHS = {"chr1": 1_000, "chr2": 500}
TAGS = "chr1\t10\t60\tN\t60\t+\nchr2\t100\t150\tN\t60\t-\nchr1\t15\t65\tN\t60\t-\n"
FRAGMENTS = "chr1\t10\t60\tAAACGAAAGAAACGCC-1\t1\nchr1\t90\t91\tAAACGAAAGAAACGCC-1\t1\n"
TABLE = pd.DataFrame(
    [("chr2", 149, 150), ("chr1", 0, 11), ("chr1", 60, 70), ("chr1", 0, 11)], columns=["chrom", "start", "end"]
)


def write_alignments(path: Path, mode: str) -> Path:
    """The tags as BAM, SAM or CRAM."""
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": chrom, "LN": length} for chrom, length in LENGTHS.items()]}
    options = ["no_ref=1"] if mode == "wc" else []
    with pysam.AlignmentFile(str(path), mode, header=header, format_options=options) as file:
        for line in TAGS.splitlines():
            chrom, start, end, name, quality, strand = line.split("\t")
            row = pysam.AlignedSegment(file.header)
            row.query_name, row.flag, row.mapping_quality = name, 16 if strand == "-" else 0, int(quality)
            row.reference_id, row.reference_start = list(LENGTHS).index(chrom), int(start)
            row.query_sequence = "ACGTA" * 10
            row.cigarstring = f"{int(end) - int(start)}M"
            file.write(row)
    return path


@pytest.mark.parametrize("name", ["reads.bed", "reads.bam"])
@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (ReadFilter(), [1, 1, 1, 1]),
        (ReadFilter(shift="tn5"), [0, 1, 1, 1]),
        (ReadFilter(shift="tn5", unit="cut"), [0, 0, 0, 0]),
    ],
)
def test_the_kinds_say_the_same_whatever_their_name(
    tmp_path: Path, name: str, keep: ReadFilter, expected: list[int]
) -> None:
    path = tmp_path / name
    counts = {}
    for kind, write in {
        "bam": lambda: write_alignments(path, "wb"),
        "cram": lambda: write_alignments(path, "wc"),
        "tags": lambda: path.write_text(TAGS),
        "gzipped": lambda: path.write_bytes(gzip.compress(TAGS.encode())),
    }.items():
        write()
        assert read_format(path) == (kind if kind != "gzipped" else "tags")
        assert chromosome_lengths(path) == (LENGTHS if kind in ("bam", "cram") else None)
        result = count_reads(path, TABLE, keep=keep)
        counts[kind] = (result.counts.tolist(), result.total)
    assert counts == dict.fromkeys(counts, (expected, 3))


def test_fragments_are_known(tmp_path: Path) -> None:
    path = tmp_path / "fragments.tsv.gz"
    path.write_bytes(gzip.compress(FRAGMENTS.encode()))
    assert read_format(path) == "fragments"
    assert chromosome_lengths(path) is None


def test_several_files_of_one_table_at_once(tmp_path: Path) -> None:
    path = write_alignments(tmp_path / "a.bam", "wb")
    both = pd.concat([TABLE, TABLE.iloc[:2]], ignore_index=True)
    assert count_reads(path, both).counts.tolist() == [*count_reads(path, TABLE).counts, 1, 1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n\n", "holds no rows"),
        (b"\x1f\x8b\x08\x00", "is truncated: its compressed data end too early"),
        (gzip.compress(gzip.compress(TAGS.encode())), "is gzip inside gzip"),
        (b"\x26\xfc\x8f\x88" + bytes(2_000), "is neither BAM, CRAM nor text"),
        (b"CRAM" + bytes(100), "is truncated, damaged or no BAM or CRAM file"),
        (gzip.compress(b"BAM\x01" + bytes(100)), "is truncated, damaged or no BAM or CRAM file"),
    ],
)
def test_what_is_no_file_of_reads(
    tmp_path: Path, content: bytes, problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.bam"
    path.write_bytes(content)
    for call in (lambda: count_reads(path, TABLE), lambda: chromosome_lengths(path)):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value).startswith(f"{path}: {problem}")
    assert capfd.readouterr() == ("", "")


def test_sam_text(tmp_path: Path) -> None:
    path = write_alignments(tmp_path / "a.sam", "w")
    with pytest.raises(InputError, match=r"a\.sam: is SAM text\. Convert it with `samtools view -b`"):
        count_reads(path, TABLE)


def test_no_file(tmp_path: Path) -> None:
    for call in (read_format, chromosome_lengths, read_barcodes, lambda path: count_reads(path, TABLE)):
        with pytest.raises(InputError, match=r"a\.bam: there is no such file"):
            call(tmp_path / "a.bam")


def test_barcodes(tmp_path: Path) -> None:
    path = tmp_path / "barcodes.tsv.gz"
    path.write_bytes(gzip.compress(b"ACGT-1\r\nTTTT-1\r\n\r\n"))
    assert read_barcodes(path) == {"ACGT-1", "TTTT-1"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A\nC\nA\nA\n", r"names barcodes twice \(2 affected; first: line 3: A\)"),
        ("A\tone\nC\ttwo\n", r"has more than one column"),
        ("", r"is empty"),
    ],
)
def test_bad_barcodes(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "barcodes.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_barcodes(path)
