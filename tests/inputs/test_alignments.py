"""Counts of small BAM and CRAM files against one question to htslib a region, samtools, bedtools, and by hand."""

from __future__ import annotations

import gzip
import itertools
import logging
import shutil
import struct
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs import bam as bam_module
from epinformer.inputs.reads import ReadFilter, chromosome_lengths, count_reads, read_format

CHROMOSOMES = {"chr1": 1_000, "chr2": 500, "chrM": 200}
PASSED_OVER = 0x4 | 0x100 | 0x200 | 0x800


class Read(NamedTuple):
    """One alignment; its CIGAR says what of the reference it covers."""

    chrom: str
    start: int
    cigar: str = "50M"
    flag: int = 0
    quality: int = 60


def write(
    path: Path,
    reads: Sequence[Read],
    *,
    index: bool = True,
    chroms: dict[str, int] | None = None,
    order: str = "coordinate",
    fasta: Path | None = None,
) -> Path:
    """A BAM file, or CRAM of the bases of a FASTA file."""
    chroms = CHROMOSOMES if chroms is None else chroms
    header = {"HD": {"VN": "1.6", "SO": order}, "SQ": [{"SN": k, "LN": v} for k, v in chroms.items()]}
    names = list(chroms)
    if order == "coordinate":
        reads = sorted(reads, key=lambda read: (names.index(read.chrom), read.start))
    with pysam.AlignmentFile(
        str(path), "wc" if fasta else "wb", header=header, reference_filename=str(fasta) if fasta else None
    ) as file:
        for number, read in enumerate(reads):
            row = pysam.AlignedSegment(file.header)
            row.query_name = f"r{number}"
            row.flag = read.flag
            row.reference_id = names.index(read.chrom)
            row.reference_start = read.start
            row.cigarstring = read.cigar
            row.mapping_quality = read.quality
            row.query_sequence = "A" * (row.infer_query_length() or 0)
            row.set_tag("XX", "x" * (number % 5))
            file.write(row)
    if index:
        pysam.index(str(path))
    return path


def reblocked(path: Path, size: int) -> None:
    """Compress a BAM file again in blocks of ``size`` bytes, so that records span several."""
    content = gzip.decompress(path.read_bytes())
    blocks = []
    for piece in [content[first : first + size] for first in range(0, len(content), size)] + [b""]:
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        packed = packer.compress(piece) + packer.flush()
        head = struct.pack("<4BI2BH2B2H", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(packed) + 25)
        blocks.append(head + packed + struct.pack("<2I", zlib.crc32(piece), len(piece)))
    # htslib knows the end of a file by this very block.
    blocks[-1] = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
    path.write_bytes(b"".join(blocks))


def regions(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def asked(path: Path, table: pd.DataFrame) -> list[int]:
    """The number of reads over each region, by the index, one by one."""
    with pysam.AlignmentFile(str(path), "rb") as file:
        return [
            file.count(chrom, start, end, read_callback=lambda read: not read.flag & PASSED_OVER)
            for chrom, start, end in table[["chrom", "start", "end"]].itertuples(index=False)
        ]


def covered(read: Read, keep: ReadFilter) -> tuple[int, int] | None:
    """What counts of a read, in words of one read; None if it does not count."""
    dropped = PASSED_OVER | keep.exclude_flags | (0 if keep.duplicates else 0x400)
    if read.flag & dropped or read.flag & keep.require_flags != keep.require_flags:
        return None
    if read.quality < keep.min_mapping_quality:
        return None
    row = pysam.AlignedSegment()
    row.cigarstring = read.cigar
    spanned = sum(length for operation, length in row.cigartuples or [] if operation in (0, 2, 3, 7, 8))
    start, end = read.start, read.start + max(1, spanned)
    minus = bool(read.flag & 16)
    if keep.shift == "tn5":
        start, end = (start - 5, end - 5) if minus else (start + 4, end + 4)
    if keep.unit == "cut":
        return (end - 1, end) if minus else (start, start + 1)
    return start, end


def by_hand(reads: Sequence[Read], table: pd.DataFrame, keep: ReadFilter) -> tuple[list[int], int]:
    pieces = [(read.chrom, piece) for read in reads if (piece := covered(read, keep)) is not None]
    counts = [
        sum(own == chrom and start < last and end > first for own, (start, end) in pieces)
        for chrom, first, last in table.itertuples(index=False)
    ]
    return counts, len(pieces)


def test_counts_by_hand(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.bam",
        [
            Read("chr1", 0),
            Read("chr1", 100, "10M30N10M"),  # spliced: 100 to 150
            Read("chr1", 200, "10M5D10M", flag=16),  # with a deletion: 200 to 225
            Read("chr1", 300, "5S10M5I10M5S"),  # 300 to 320
            Read("chr1", 950),  # to the chromosome's last base
            Read("chr1", 960, flag=0x400),  # a duplicate
            Read("chr1", 970, flag=0x1 | 0x2 | 0x80),  # a mate
            *(Read("chr1", 960, flag=flag) for flag in (0x100, 0x200, 0x800, 0x4)),
            Read("chr2", 0, "500M"),
        ],
    )
    table = regions(
        ("chr2", 499, 500),
        ("chr1", 0, 1),
        ("chr1", 49, 50),
        ("chr1", 50, 51),
        ("chr1", 115, 120),  # within the intron
        ("chr1", 150, 200),
        ("chr1", 211, 214),  # within the deletion
        ("chr1", 319, 320),
        ("chr1", 320, 950),
        ("chr1", 999, 1_000),
        ("chr1", 0, 1_000),
        ("chr1", 0, 1_000),
        ("chrM", 0, 200),
        ("chr1", 990, 5_000),
    )
    result = count_reads(path, table)
    assert result.counts.tolist() == [1, 1, 1, 0, 1, 0, 1, 1, 0, 3, 7, 7, 0, 3]
    assert result.counts.tolist() == asked(path, table)
    assert result.counts.dtype == "int64"
    assert result.total == 8
    assert count_reads(path, regions()).counts.tolist() == []


def test_cuts_and_shifts_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bam", [Read("chr1", 100), Read("chr1", 100, flag=16), Read("chr1", 0, "3M", flag=16)])
    table = regions(("chr1", 100, 101), ("chr1", 104, 105), ("chr1", 144, 145), ("chr1", 149, 150), ("chr1", 0, 90))

    def counts(keep: ReadFilter) -> list[int]:
        result = count_reads(path, table, keep=keep)
        # What is moved off the chromosome is still a read of the file.
        assert result.total == 3
        return result.counts.tolist()

    assert counts(ReadFilter()) == [2, 2, 2, 2, 1]
    assert counts(ReadFilter(unit="cut")) == [1, 0, 0, 1, 1]
    assert counts(ReadFilter(shift="tn5")) == [1, 2, 2, 1, 0]  # + 104 to 154, - 95 to 145, and -5 to -2
    assert counts(ReadFilter(shift="tn5", unit="cut")) == [0, 1, 1, 0, 0]


reads_strategy = st.lists(
    st.builds(
        Read,
        chrom=st.sampled_from(["chr1", "chr2"]),
        start=st.integers(0, 99),
        cigar=st.sampled_from(["1M", "36M", "5M20N5M", "5M3D5M", "3S9M2I1M", "30I", "5=1X5=", "2H8M3P2M", "400M"]),
        flag=st.sampled_from([0, 0, 0, 16, 0x400, 0x410, 0x100, 0x200, 0x800, 0x4, 0x63, 0x93]),
        quality=st.sampled_from([0, 29, 30, 255]),
    ),
    max_size=40,
)
regions_strategy = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "chrM"]), st.integers(0, 150), st.integers(1, 60)).map(
        lambda row: (row[0], row[1], row[1] + row[2])
    ),
    max_size=20,
)
filter_strategy = st.builds(
    ReadFilter,
    min_mapping_quality=st.sampled_from([0, 1, 30]),
    duplicates=st.booleans(),
    require_flags=st.sampled_from([0, 0, 0x1, 0x2 | 0x40]),
    exclude_flags=st.sampled_from([0, 0, 0x10, 0x80 | 0x400]),
    shift=st.sampled_from(["none", "tn5"]),
    unit=st.sampled_from(["read", "cut"]),
    barcodes=st.none(),
)


@given(
    reads_strategy,
    regions_strategy,
    filter_strategy,
    st.booleans(),
    st.sampled_from([1_200, 1 << 20]),
    st.sampled_from([30, 1_000, None]),
)
def test_any_reads_regions_and_filters(
    reads: list[Read],
    rows: list[tuple[str, int, int]],
    keep: ReadFilter,
    is_sorted: bool,
    read_bytes: int,
    block: int | None,
) -> None:
    # One that every filter keeps.
    reads = [*reads, Read("chr2", 50, flag=0x1 | 0x2 | 0x40, quality=60)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if block is not None:
            patch.setattr(bam_module, "_READ_BYTES", read_bytes)
        path = Path(folder) / "a.bam"
        write(path, reads, order="coordinate" if is_sorted else "unknown", index=is_sorted and block is None)
        if block is not None:
            reblocked(path, block)
        table = regions(*rows)
        result = count_reads(path, table, keep=keep, threads=2)
        counts, total = by_hand(reads, table, keep)
        assert (result.counts.tolist(), result.total) == (counts, total)
        if is_sorted and block is None and keep == ReadFilter():
            assert counts == asked(path, table)


def random_reads(number: int, seed: int, cigars: Sequence[str]) -> list[Read]:
    rng = np.random.default_rng(seed)
    flags = [0, 16, 0x400, 0x100, 0x63, 0x93, 0x200, 0x800, 0x410]
    return [
        Read(
            str(rng.choice(["chr1", "chr2"])),
            int(rng.integers(0, 400)),
            str(rng.choice(cigars)),
            int(rng.choice(flags)),
            int(rng.choice([0, 10, 30, 60])),
        )
        for _ in range(number)
    ]


FILTERS = [
    ReadFilter(min_mapping_quality=quality, duplicates=duplicates, require_flags=require, exclude_flags=exclude)
    for quality, duplicates, require, exclude in itertools.product([0, 30], [True, False], [0, 0x2], [0, 0x10])
]
TABLE = regions(("chr2", 0, 500), ("chr1", 100, 101), ("chr1", 300, 350), ("chr1", 300, 340), ("chr1", 460, 900))


def flag_options(keep: ReadFilter) -> list[str]:
    excluded = PASSED_OVER | keep.exclude_flags | (0 if keep.duplicates else 0x400)
    return ["-q", str(keep.min_mapping_quality), "-f", str(keep.require_flags), "-F", str(excluded)]


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("samtools") is None, reason="samtools is not on PATH")
def test_samtools_counts_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bam", random_reads(500, 1, ["30M", "10M40N10M", "10M5D10M", "5S20M"]))
    for keep in FILTERS:
        view = ["samtools", "view", "-c", *flag_options(keep), str(path)]
        result = count_reads(path, TABLE, keep=keep)
        assert result.total == int(run(*view))
        # Its regions are 1-based and closed.
        expected = [
            int(run(*view, f"{chrom}:{start + 1}-{end}")) for chrom, start, end in TABLE.itertuples(index=False)
        ]
        assert result.counts.tolist() == expected


@pytest.mark.skipif(
    shutil.which("samtools") is None or shutil.which("bedtools") is None, reason="samtools or bedtools is not on PATH"
)
def test_bedtools_counts_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bam", random_reads(500, 2, ["30M", "10M40N10M", "10M5D10M", "5S20M"]))
    TABLE.to_csv(tmp_path / "regions.bed", sep="\t", header=False, index=False)
    kept = tmp_path / "kept.bam"
    for keep in FILTERS:
        run("samtools", "view", "-b", "-o", str(kept), *flag_options(keep), str(path))
        rows = run("bedtools", "coverage", "-counts", "-a", str(tmp_path / "regions.bed"), "-b", str(kept)).splitlines()
        assert count_reads(path, TABLE, keep=keep).counts.tolist() == [int(row.split("\t")[3]) for row in rows]


def test_the_order_does_not_matter_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reads = random_reads(300, 3, ["30M"])
    path = write(tmp_path / "a.bam", reads)
    with caplog.at_level(logging.INFO, logger="epinformer"):
        result = count_reads(path, TABLE)
    assert "it is read from end to end" not in caplog.text
    other = write(tmp_path / "b.bam", reads, order="queryname", index=False)
    with caplog.at_level(logging.INFO, logger="epinformer"):
        assert count_reads(other, TABLE).counts.tolist() == result.counts.tolist()
    assert "b.bam: is not sorted by coordinate and has no index; it is read from end to end" in caplog.text


def test_progress_ends_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bam_module, "_READ_BYTES", 100)
    path = write(tmp_path / "a.bam", random_reads(100, 4, ["30M"]))
    reblocked(path, 60)
    seen: list[tuple[int, int]] = []
    count_reads(path, TABLE, progress=lambda done, total: seen.append((done, total)))
    size = path.stat().st_size
    assert len(seen) > 5 and seen == sorted(seen) and seen[-1] == (size, size)
    assert {total for _, total in seen} == {size}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_leaves_no_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    monkeypatch.setattr(bam_module, "_READ_BYTES", 100)
    path = write(tmp_path / "a.bam", random_reads(2_000, 5, ["30M"]))
    reblocked(path, 60)
    before = threading.active_count()

    def stop(done: int, total: int) -> None:
        assert threading.active_count() > before
        raise error

    with pytest.raises(error):
        count_reads(path, TABLE, progress=stop, threads=2)
    assert threading.active_count() == before


def test_names_of_the_other_style(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(
        tmp_path / "a.bam", [Read("1", 5), Read("MT", 5), Read("MT", 6)], chroms={"1": 900, "MT": 90, "chrEBV": 90}
    )
    with caplog.at_level(logging.INFO, logger="epinformer"):
        result = count_reads(path, regions(("chrM", 0, 90), ("chr1", 0, 90), ("chrEBV", 0, 90), ("1", 0, 90)))
    assert (result.counts.tolist(), result.total) == ([2, 1, 0, 1], 3)
    assert "a.bam: 2 chromosome names are in another style (chrM is read as its MT)" in caplog.text


def test_an_exact_name_goes_first(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bam", [Read("1", 5), Read("chr1", 5), Read("chr1", 9)], chroms={"1": 90, "chr1": 90})
    assert count_reads(path, regions(("chr1", 0, 90), ("1", 0, 90))).counts.tolist() == [2, 1]


def test_a_csi_index_will_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bam", [Read("chr1", 5)], index=False)
    pysam.index("-c", str(path))
    assert not Path(f"{path}.bai").exists()
    assert count_reads(path, regions(("chr1", 0, 6))).counts.tolist() == [1]


def test_chromosomes_it_does_not_have(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bam", [Read("chr1", 5)])
    with pytest.raises(InputError) as caught:
        count_reads(path, regions(("chr1", 0, 6), ("chr7", 10, 20), ("chrUn_x", 1, 2)))
    assert str(caught.value) == (
        f"{path}: has no reads of chromosomes that hold regions: they are not in its header (2 affected; first: "
        "chr7:10-20). Use files of one assembly; its chromosomes are chr1, chr2, chrM."
    )


def test_the_index_of_another_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.bam", [Read("chr1", i) for i in range(9)])
    other = write(tmp_path / "b.bam", [Read("chr1", i) for i in range(7)])
    shutil.copy(f"{other}.bai", f"{path}.bai")
    with pytest.raises(
        InputError, match=r"a\.bam: has an index that is not its own: 7 reads on chr1 .*, 9 found\. Run"
    ):
        count_reads(path, regions(("chr1", 0, 6)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["bam", "cram"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_truncated(tmp_path: Path, kind: str, share: float, capfd: pytest.CaptureFixture[str]) -> None:
    fasta = write_fasta(tmp_path / "a.fa") if kind == "cram" else None
    path = write(tmp_path / f"a.{kind}", [Read("chr1", i % 900) for i in range(9_000)], fasta=fasta)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=rf"a\.{kind}: is truncated, damaged or no BAM or CRAM file: .*quickcheck"):
        count_reads(path, regions(("chr1", 0, 6)))
    assert capfd.readouterr() == ("", "")


def test_a_block_in_the_middle_is_lost(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bam", [Read("chr1", i % 900) for i in range(40_000)])
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"a\.bam: is truncated, damaged"):
        count_reads(path, regions(("chr1", 0, 6)))


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (0, 12, "a (last )?record (of|that is)"),
        (0, -4, "a record of 4,294,967,292 bytes"),
        (0, 1 << 29, "a record of 536,870,912 bytes"),
        (0, 5_000, "the last record is not whole"),
        (4, 3, "a read on a chromosome that the header does not name"),
        (16, 9_000, "a record that is too short for its CIGAR"),
    ],
)
def test_a_record_that_cannot_be(tmp_path: Path, offset: int, value: int, problem: str) -> None:
    path = write(tmp_path / "a.bam", [Read("chr1", 5)] * 3, index=False)
    content = bytearray(gzip.decompress(path.read_bytes()))
    size = struct.unpack_from("<i", content, len(content) - 4 - record_size(content))[0]
    content[len(content) - 4 - size + offset : len(content) - size + offset] = struct.pack("<i", value)
    path.write_bytes(gzip.compress(bytes(content)))
    reblocked(path, 60_000)
    with pytest.raises(InputError, match=f"truncated, damaged or no BAM or CRAM file: {problem}"):
        count_reads(path, regions(("chr1", 0, 6)))


def record_size(content: bytearray) -> int:
    """Size of the last of three equal records at the end of a BAM file, less their count."""
    for size in range(32, 200):
        at = len(content) - 4 - size
        if struct.unpack_from("<2i", content, at) == (size, 0):
            return size
    raise AssertionError


def write_fasta(path: Path) -> Path:
    """The reference that reads of nothing but A are of."""
    path.write_text("".join(f">{chrom}\n{'A' * length}\n" for chrom, length in CHROMOSOMES.items()))
    pysam.faidx(str(path))
    return path


@pytest.mark.parametrize("is_sorted", [True, False])
def test_cram_needs_no_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_sorted: bool) -> None:
    fasta = write_fasta(tmp_path / "a.fa")
    reads = random_reads(400, 6, ["30M", "10M40N10M", "10M5D10M", "5S20M", "10M3I10M"])
    order = "coordinate" if is_sorted else "unknown"
    path = write(tmp_path / "a.cram", reads, index=is_sorted, order=order, fasta=fasta)
    fasta.unlink()
    Path(f"{fasta}.fai").unlink()
    # Nowhere to get it from.
    monkeypatch.setenv("REF_PATH", str(tmp_path / "nowhere" / "%s"))
    monkeypatch.setenv("REF_CACHE", str(tmp_path / "nowhere" / "%s"))
    with pysam.AlignmentFile(str(path)) as file, pytest.raises(OSError):
        pysam.set_verbosity(0)
        next(file)
    pysam.set_verbosity(3)
    for keep in (*FILTERS, ReadFilter(shift="tn5", unit="cut")):
        result = count_reads(path, TABLE, keep=keep)
        assert (result.counts.tolist(), result.total) == by_hand(reads, TABLE, keep)
    assert read_format(path) == "cram"
    assert chromosome_lengths(path) == CHROMOSOMES
    seen: list[tuple[int, int]] = []
    count_reads(path, TABLE, progress=lambda done, total: seen.append((done, total)))
    assert seen and all(0 < done <= total == 1_700 for done, total in seen)


def test_barcodes_of_alignments(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bam", [Read("chr1", 5)])
    with pytest.raises(InputError, match=r"a\.bam: holds reads, of which no barcodes are read"):
        count_reads(path, regions(("chr1", 0, 6)), keep=ReadFilter(barcodes=frozenset({"ACGT"})))


def test_no_read_that_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bam", [Read("chr1", 5, flag=0x100), Read("chr1", 5, quality=9)])
    with pytest.raises(InputError) as caught:
        count_reads(
            path,
            regions(("chr1", 0, 6)),
            keep=ReadFilter(min_mapping_quality=10, duplicates=False, exclude_flags=0x2, unit="cut", shift="tn5"),
        )
    assert str(caught.value) == (
        f"{path}: holds no read to count (mapped primary reads, mapping quality at least 10, no marked duplicates, "
        "flags 0x2 excluded, 5' ends, moved by +4 and -5 bp). Check filters and file."
    )
    assert pysam.get_verbosity() == 3
