"""Counts of small BAM files against one question to samtools a region."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs import reads as module
from epinformer.inputs.reads import count_reads

CHROMOSOMES = {"chr1": 1_000, "chr2": 500, "chrM": 200}
PASSED_OVER = 0x4 | 0x100 | 0x200 | 0x800


class Read(NamedTuple):
    """One alignment; its CIGAR says what of the reference it covers."""

    chrom: str
    start: int
    cigar: str = "50M"
    flag: int = 0


def write_bam(path: Path, reads: Sequence[Read], *, index: bool = True, chroms: dict[str, int] | None = None) -> Path:
    chroms = CHROMOSOMES if chroms is None else chroms
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": k, "LN": v} for k, v in chroms.items()]}
    names = list(chroms)
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for number, read in enumerate(sorted(reads, key=lambda read: (names.index(read.chrom), read.start))):
            row = pysam.AlignedSegment(bam.header)
            row.query_name = f"r{number}"
            row.flag = read.flag
            row.reference_id = names.index(read.chrom)
            row.reference_start = read.start
            row.cigarstring = read.cigar
            row.mapping_quality = 60
            length = row.infer_query_length() or 0
            row.query_sequence = "A" * length
            bam.write(row)
    if index:
        pysam.index(str(path))
    return path


def regions(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def asked(path: Path, table: pd.DataFrame) -> list[int]:
    """The number of reads over each region, by the index, one by one."""
    with pysam.AlignmentFile(str(path), "rb") as bam:
        return [
            bam.count(chrom, start, end, read_callback=lambda read: not read.flag & PASSED_OVER)
            for chrom, start, end in table[["chrom", "start", "end"]].itertuples(index=False)
        ]


def test_counts_by_hand(tmp_path: Path) -> None:
    path = write_bam(
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


reads_strategy = st.lists(
    st.builds(
        Read,
        chrom=st.sampled_from(["chr1", "chr2"]),
        start=st.integers(0, 99),
        cigar=st.sampled_from(["1M", "36M", "5M20N5M", "5M3D5M", "3S9M2I1M", "30I", "400M"]),
        flag=st.sampled_from([0, 0, 0, 16, 0x400, 0x100, 0x200, 0x800, 0x4, 0x63]),
    ),
    max_size=40,
)
regions_strategy = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "chrM"]), st.integers(0, 150), st.integers(1, 60)).map(
        lambda row: (row[0], row[1], row[1] + row[2])
    ),
    max_size=20,
)


@given(reads_strategy, regions_strategy, st.sampled_from([1, 3, 1 << 19]))
def test_any_reads_and_regions(reads: list[Read], rows: list[tuple[str, int, int]], chunk: int) -> None:
    reads = [*reads, Read("chr2", 50)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_READS", chunk)
        path = write_bam(Path(folder) / "a.bam", reads)
        table = regions(*rows)
        result = count_reads(path, table)
        assert result.counts.tolist() == asked(path, table)
        assert result.total == sum(not read.flag & PASSED_OVER for read in reads)


def test_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_READS", 2)
    path = write_bam(tmp_path / "a.bam", [Read("chr1", i) for i in range(5)] + [Read("chr2", 3)])
    seen: list[tuple[int, int]] = []
    count_reads(path, regions(("chr1", 0, 5)), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 6), (4, 6), (5, 6), (6, 6)]


def test_names_of_the_other_style(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_bam(
        tmp_path / "a.bam", [Read("1", 5), Read("MT", 5), Read("MT", 6)], chroms={"1": 900, "MT": 90, "chrEBV": 90}
    )
    with caplog.at_level(logging.INFO, logger="epinformer"):
        result = count_reads(path, regions(("chrM", 0, 90), ("chr1", 0, 90), ("chrEBV", 0, 90)))
    assert (result.counts.tolist(), result.total) == ([2, 1, 0], 3)
    assert "a.bam: 2 chromosome names are in another style (chrM is read as its MT)" in caplog.text


def test_an_exact_name_goes_first(tmp_path: Path) -> None:
    path = write_bam(tmp_path / "a.bam", [Read("1", 5), Read("chr1", 5), Read("chr1", 9)], chroms={"1": 90, "chr1": 90})
    assert count_reads(path, regions(("chr1", 0, 90), ("1", 0, 90))).counts.tolist() == [2, 1]


def test_a_csi_index_will_do(tmp_path: Path) -> None:
    path = write_bam(tmp_path / "a.bam", [Read("chr1", 5)], index=False)
    pysam.index("-c", str(path))
    assert not Path(f"{path}.bai").exists()
    assert count_reads(path, regions(("chr1", 0, 6))).counts.tolist() == [1]


def test_chromosomes_it_does_not_have(tmp_path: Path) -> None:
    path = write_bam(tmp_path / "a.bam", [Read("chr1", 5)])
    with pytest.raises(InputError) as caught:
        count_reads(path, regions(("chr1", 0, 6), ("chr7", 10, 20), ("chrUn_x", 1, 2)))
    assert str(caught.value) == (
        f"{path}: has no reads of chromosomes that hold regions: they are not in its header (2 affected; first: "
        "chr7:10-20). Use files of one assembly; its chromosomes are chr1, chr2, chrM."
    )


def test_no_index(tmp_path: Path) -> None:
    path = write_bam(tmp_path / "a.bam", [Read("chr1", 5)], index=False)
    with pytest.raises(InputError, match=r"a\.bam: has no index beside it\. Run `samtools index a\.bam`"):
        count_reads(path, regions(("chr1", 0, 6)))


def test_the_index_of_another_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_bam(tmp_path / "a.bam", [Read("chr1", i) for i in range(9)])
    other = write_bam(tmp_path / "b.bam", [Read("chr1", i) for i in range(7)])
    shutil.copy(f"{other}.bai", f"{path}.bai")
    with pytest.raises(
        InputError, match=r"a\.bam: has an index that is not its own: 7 reads on chr1 .*, 9 found\. Run"
    ):
        count_reads(path, regions(("chr1", 0, 6)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated(tmp_path: Path, share: float, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_bam(tmp_path / "a.bam", [Read("chr1", i % 900) for i in range(9_000)])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"a\.bam: is truncated, damaged or no BAM file: .*quickcheck"):
        count_reads(path, regions(("chr1", 0, 6)))
    assert capfd.readouterr() == ("", "")


def test_a_block_in_the_middle_is_lost(tmp_path: Path) -> None:
    path = write_bam(tmp_path / "a.bam", [Read("chr1", i % 900) for i in range(40_000)])
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"a\.bam: (is truncated, damaged|has an index that is not its own)"):
        count_reads(path, regions(("chr1", 0, 6)))


@pytest.mark.parametrize(
    "content", [b"chr1\t5\t9\n", b"\x1f\x8b\x08\x00", b"@SQ\tSN:chr1\tLN:90\nr\t0\tchr1\t5\t60\t2M\t*\t0\t0\tAA\t*\n"]
)
def test_no_bam(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bam").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.bam: .*no BAM file"):
        count_reads(tmp_path / "a.bam", regions(("chr1", 0, 6)))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.bam: there is no such file"):
        count_reads(tmp_path / "a.bam", regions(("chr1", 0, 6)))


def test_no_read_that_counts(tmp_path: Path) -> None:
    path = write_bam(tmp_path / "a.bam", [Read("chr1", 5, flag=0x100)])
    with pytest.raises(InputError, match=r"a\.bam: holds no mapped primary read"):
        count_reads(path, regions(("chr1", 0, 6)))
    assert pysam.get_verbosity() == 3
