"""Bases by position, against naive text and samtools' own reader."""

from __future__ import annotations

import gzip
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.bases import NO_BASE, encode
from epinformer.errors import InputError
from epinformer.inputs import fasta as fasta_module
from epinformer.inputs.genome import Span, open_genome

WRITERS: dict[str, Callable[[Path, str], Path]] = {}


def _plain(folder: Path, text: str) -> Path:
    path = folder / "genome.fa"
    path.write_text(text)
    return path


def _gzip(folder: Path, text: str) -> Path:
    path = folder / "genome.fa.gz"
    with gzip.open(path, "wt") as handle:
        handle.write(text)
    return path


def _bgzip(folder: Path, text: str) -> Path:
    plain = folder / "plain.fa"
    plain.write_text(text)
    path = folder / "genome.fa.gz"
    pysam.tabix_compress(str(plain), str(path), force=True)
    plain.unlink()
    return path


WRITERS = {"plain": _plain, "gzip": _gzip, "bgzip": _bgzip}


def naive(sequence: str) -> list[int]:
    return ["ACGT".find(letter) % 5 for letter in sequence.upper()]


def wrapped(records: dict[str, str], width: int = 10) -> str:
    lines = []
    for header, sequence in records.items():
        lines += [f">{header}", *(sequence[i : i + width] for i in range(0, len(sequence), width))]
    return "\n".join(lines) + "\n"


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large, so that it is read through its index."""
    monkeypatch.setattr(fasta_module, "IN_MEMORY", 0)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("length", [1, 4, 5, 8])
def test_lines_that_end_with_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, large: bool, length: int
) -> None:
    monkeypatch.setattr(fasta_module, "IN_MEMORY", 0 if large else 64_000_000)
    records = {"chr1": "ACGTTGCA"[:length], "chr2": "TTTTGGGG"[:length]}
    with open_genome(WRITERS[kind](tmp_path, wrapped(records, 4))) as genome:
        for name, sequence in records.items():
            assert genome.codes(name, 0, length).tolist() == naive(sequence)


@given(text=st.binary(max_size=200))
def test_encode(text: bytes) -> None:
    letters = [byte for byte in text if byte not in b" \t\r\n\v\f"]
    expected = [{65: 0, 67: 1, 71: 2, 84: 3, 97: 0, 99: 1, 103: 2, 116: 3}.get(byte, 4) for byte in letters]
    codes = encode(text)
    assert codes.tolist() == expected and codes.dtype == np.uint8


sequences = st.text("ACGTNacgtnRYSWKMBDHV", min_size=1, max_size=60)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
@given(data=st.data())
def test_whole_chromosomes(
    tmp_path_factory: pytest.TempPathFactory, kind: str, large: bool, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("genome")
    chromosomes = data.draw(
        st.dictionaries(st.sampled_from(["chr1", "chr2", "chrX", "HLA*01:01"]), sequences, min_size=1)
    )
    path = WRITERS[kind](folder, wrapped(chromosomes, data.draw(st.integers(1, 70))))
    chrom = data.draw(st.sampled_from(sorted(chromosomes)))
    start = data.draw(st.integers(-80, 80))
    end = data.draw(st.integers(start, 150))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasta_module, "IN_MEMORY", 0 if large else 64_000_000)
        with open_genome(path) as genome:
            codes = genome.codes(chrom, start, end)
            spans = genome.spans
    expected = naive(chromosomes[chrom])
    assert spans == {name: Span(0, len(sequence), False) for name, sequence in chromosomes.items()}
    assert codes.dtype == np.uint8
    assert codes.tolist() == [expected[i] if 0 <= i < len(expected) else NO_BASE for i in range(start, end)]
    assert (folder / f"{path.name}.fai").exists() is (large and kind != "gzip")


@pytest.mark.parametrize("kind", ["plain", "bgzip"])
def test_several_blocks_against_samtools(tmp_path: Path, indexed: None, kind: str) -> None:
    rng = np.random.default_rng(0)
    records = {f"chr{i}": "".join(rng.choice(list("ACGTN"), 90_000)) for i in (1, 2, 3)}
    path = WRITERS[kind](tmp_path, wrapped(records, 61))
    with open_genome(path) as genome, pysam.FastaFile(str(path)) as reference:
        for _ in range(50):
            chrom = f"chr{rng.integers(1, 4)}"
            start = int(rng.integers(0, 89_000))
            end = start + int(rng.integers(0, 1000))
            assert genome.codes(chrom, start, end).tolist() == naive(reference.fetch(chrom, start, end))


LOCUS_HEADERS = {
    "samtools": "chr22:1001-1030",
    "commas": "chr22:1,001-1,030",
    "forward strand": "chr22:1001-1030(+)",
    "UCSC": "hg38_dna range=chr22:1001-1030 5'pad=0 3'pad=0 strand=+ repeatMasking=none",
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("style", LOCUS_HEADERS)
def test_locus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, style: str, large: bool) -> None:
    monkeypatch.setattr(fasta_module, "IN_MEMORY", 0 if large else 64_000_000)
    sequence = "ACGTNNACGTACTTGCATGCAAATTTCCCG"
    with open_genome(WRITERS[kind](tmp_path, wrapped({LOCUS_HEADERS[style]: sequence}))) as genome:
        assert genome.spans == {"chr22": Span(1000, 1030, True)}
        assert genome.codes("chr22", 1000, 1030).tolist() == naive(sequence)
        assert genome.codes("chr22", 1007, 1013).tolist() == naive(sequence[7:13])
        assert genome.codes("chr22", 1030, 1030).tolist() == []
        for start, end in [(999, 1001), (1029, 1031), (0, 10)]:
            with pytest.raises(InputError, match=rf"first: chr22:{start}-{end} .* has 1000-1030"):
                genome.codes("chr22", start, end)


def test_locus_by_the_caller(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _plain(tmp_path, wrapped({"contig7": "ACGTACGT"}))
    with open_genome(path, chrom="chr3", start=500) as genome:
        assert genome.spans == {"chr3": Span(500, 508, True)}
        assert genome.codes("chr3", 502, 504).tolist() == [2, 3]
    with open_genome(path, chrom="chr3") as genome:
        assert genome.spans == {"chr3": Span(0, 8, False)}
    with open_genome(path, start=7) as genome:
        assert genome.spans == {"contig7": Span(7, 15, True)}
    assert not caplog.records
    path = _plain(tmp_path, wrapped({"chr3:11-18": "ACGTACGT"}))
    with open_genome(path, start=11) as genome:
        assert genome.spans == {"chr3": Span(11, 19, True)}
    assert "11 is taken instead" in caplog.text
    with pytest.raises(InputError, match="start is -1"):
        open_genome(path, start=-1)


def test_two_loci_of_a_chromosome(tmp_path: Path) -> None:
    records = {"chr1:21-25": "ACGTA", "chr1:11-15": "CCCCC", "chr2": "GG"}
    with open_genome(_plain(tmp_path, wrapped(records))) as genome:
        assert genome.spans == {"chr1": Span(10, 25, True), "chr2": Span(0, 2, False)}
        assert genome.codes("chr1", 10, 15).tolist() == [1] * 5
        assert genome.codes("chr1", 22, 24).tolist() == [2, 3]
        assert genome.contains("chr1", [10, 14, 20], [15, 21, 25]).tolist() == [True, False, True]
        with pytest.raises(InputError, match="has 10-15, 20-25"):
            genome.codes("chr1", 14, 21)


def test_contains_and_available(tmp_path: Path) -> None:
    with open_genome(_plain(tmp_path, wrapped({"chr1:11-20": "A" * 10, "chr2": "C" * 10}))) as genome:
        chrom = pd.Series(["chr1", "chr1", "chr2", "chr2", "2", "chr9", "chr1", None], dtype="str")
        start = pd.Series([10, 9, 0, -1, 3, 3, 15, 11])
        end = pd.Series([20, 12, 10, 5, 11, 4, 14, 12])
        assert genome.contains(chrom, start, end).tolist() == [True, False, True] + [False] * 5
        assert genome.available(chrom, start, end).tolist() == [True, False, True, True, True, False, False, False]
        assert genome.contains("chr2", 0, np.array([[3], [11]])).tolist() == [[True], [False]]
        assert bool(genome.contains("chr1", 12, 14)) and not bool(genome.contains("chr3", 1, 2))
        assert genome.span("1") == Span(10, 20, True) and genome.span("chr3") is None


@pytest.mark.parametrize(("held", "asked"), [("chr1", "1"), ("1", "chr1"), ("MT", "chrM"), ("chrM", "MT")])
def test_other_style(tmp_path: Path, caplog: pytest.LogCaptureFixture, held: str, asked: str) -> None:
    caplog.set_level(logging.INFO, logger="epinformer")
    with open_genome(_plain(tmp_path, wrapped({held: "ACGT"}))) as genome:
        for _ in range(3):
            assert genome.codes(asked, 1, 3).tolist() == [1, 2]
    assert caplog.text.count(f"{asked} is read as its {held}") == 1


def test_exact_name_wins(tmp_path: Path) -> None:
    with open_genome(_plain(tmp_path, wrapped({"chr1": "AAAA", "1": "CCCC"}))) as genome:
        assert genome.codes("1", 0, 1).tolist() == [1] and genome.codes("chr1", 0, 1).tolist() == [0]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("large", [False, True])
def test_line_ends_and_no_final_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newline: str, large: bool) -> None:
    monkeypatch.setattr(fasta_module, "IN_MEMORY", 0 if large else 64_000_000)
    path = tmp_path / "a.fa"
    path.write_bytes(newline.join([">chr1 first", "ACGT", "ACGT", "A", ">chr2", "TT"]).encode())
    with open_genome(path) as genome:
        assert genome.codes("chr1", -1, 10).tolist() == [5, 0, 1, 2, 3, 0, 1, 2, 3, 0, 5]
        assert genome.codes("chr2", 0, 2).tolist() == [3, 3]


def test_chunks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = {"chr1": "ACGTTGCA" * 20, "chr2": "TTTGA" * 30, "chr3": "C"}
    path = _plain(tmp_path, wrapped(records, 7))
    for size in (1, 13, 64, 1000):
        monkeypatch.setattr(fasta_module, "_CHUNK", size)
        with open_genome(path) as genome:
            for name, sequence in records.items():
                assert genome.codes(name, 0, len(sequence)).tolist() == naive(sequence)


# The index


def test_small_file_gets_no_index(tmp_path: Path) -> None:
    with open_genome(_bgzip(tmp_path, wrapped({"chr1": "ACGT"}))):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["genome.fa.gz"]


def test_index_is_made_once_and_said(tmp_path: Path, indexed: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="epinformer")
    path = _bgzip(tmp_path, wrapped({"chr1": "ACGT"}))
    for _ in range(2):
        open_genome(path).close()
    assert caplog.text.count("genome.fa.gz.fai is written beside it") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["genome.fa.gz", "genome.fa.gz.fai", "genome.fa.gz.gzi"]


def test_read_only_folder(
    tmp_path: Path, indexed: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = _bgzip(tmp_path, wrapped({"chr1": "ACGT"}))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with open_genome(path) as genome:
        assert genome.codes("chr1", 0, 4).tolist() == [0, 1, 2, 3]
    assert "not writable: it is read whole" in caplog.text
    assert [p.name for p in tmp_path.iterdir()] == ["genome.fa.gz"]


def test_disk_that_refuses_the_index(tmp_path: Path, indexed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(30, os.strerror(30), str(self))

    path = _plain(tmp_path, wrapped({"chr1": "ACGT"}))
    monkeypatch.setattr(Path, "touch", refuse)
    with open_genome(path) as genome:
        assert genome.codes("chr1", 0, 2).tolist() == [0, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["genome.fa"]


def test_large_gzip_is_said(tmp_path: Path, indexed: None, caplog: pytest.LogCaptureFixture) -> None:
    with open_genome(_gzip(tmp_path, wrapped({"chr1": "ACGT"}))) as genome:
        assert genome.codes("chr1", 0, 1).tolist() == [0]
    assert "bgzip" in caplog.text


@pytest.mark.parametrize("kind", ["plain", "bgzip"])
def test_index_of_another_file(tmp_path: Path, indexed: None, kind: str) -> None:
    open_genome(WRITERS[kind](tmp_path, wrapped({"chr1": "ACGTACGT", "chr2": "ACGT"}))).close()
    path = WRITERS[kind](tmp_path, wrapped({"chr1": "ACGTACGTAAAAACCCCCGGGG", "chr2": "ACGT"}))
    with pytest.raises(InputError, match="index"):
        open_genome(path)


@pytest.mark.parametrize("content", [b"", b"chr1\t4\n", b"chr1\t4\t6\t0\t5\n", b"chr1\tx\t6\t4\t5\n", b"\xff\xfe\n"])
def test_damaged_index(tmp_path: Path, indexed: None, content: bytes) -> None:
    path = _plain(tmp_path, wrapped({"chr1": "ACGT"}))
    (tmp_path / "genome.fa.fai").write_bytes(content)
    with pytest.raises(InputError, match=r"genome\.fa"):
        open_genome(path)


def test_damaged_block_index(tmp_path: Path, indexed: None) -> None:
    path = _bgzip(tmp_path, wrapped({"chr1": "ACGT"}))
    open_genome(path).close()
    (tmp_path / "genome.fa.gz.gzi").write_bytes(b"\x05\x00\x00")
    with pytest.raises(InputError, match="gzi"):
        open_genome(path)


def test_file_shortened_behind_its_index(tmp_path: Path, indexed: None) -> None:
    path = _plain(tmp_path, wrapped({"chr1": "ACGT" * 100_000}))
    with open_genome(path) as genome:
        os.truncate(path, 200_000)
        with pytest.raises(InputError, match=r"(at|within) chr1:300000-300400"):
            genome.codes("chr1", 300_000, 300_400)
    with pytest.raises(InputError, match="shorter than its index says"):
        open_genome(path)


# Bad input


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t100\t200\n", "FASTA"),
        ('{"a": 1}\n', "FASTA"),
        (">chr1\nAC\n>chr1\nGT\n", "same record twice|index does not list"),
        (">chr1\nAC\n>chr2\nGG\n>chr1\nGT\n", "same record twice|index does not list"),
        (">chr1\n>chr2\nACGT\n", "without bases|index does not list|cannot be indexed"),
        (">chr1\nACGT\n>chr2\n", "without bases|index does not list|cannot be indexed"),
        (">chr1:1-4\nACGT\n>chr1:4-7\nACGT\n", "overlap on chr1 .*chr1:4-7"),
        (">chr1\nACGT\n>chr1:2-3\nAC\n", "overlap on chr1"),
        (">chr1:11-15\nACGT\n", r"range chr1:11-15 \(1-based inclusive, 5 bp\) does not fit its 4 bases"),
        (">chr1:10-14\nACGT\n", "0-based position of its first base"),
        (">chr1:0-3\nACGT\n", "does not fit"),
        (">x range=chr1:11-19\nACGT\n", "does not fit its 4 bases"),
        (">x range=chr1:11-14 strand=-\nACGT\n", "reverse strand"),
        (">chr1:11-14(-)\nACGT\n", "reverse strand"),
    ],
)
def test_bad_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, large: bool, text: str, message: str
) -> None:
    monkeypatch.setattr(fasta_module, "IN_MEMORY", 0 if large else 64_000_000)
    path = WRITERS[kind](tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        open_genome(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", WRITERS)
def test_empty(tmp_path: Path, kind: str) -> None:
    for text in ("", "\n\n"):
        with pytest.raises(InputError, match="is empty"):
            open_genome(WRITERS[kind](tmp_path, text))


def test_missing_and_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_genome(tmp_path / "no.fa")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        open_genome(tmp_path)


@pytest.mark.parametrize("keep", [12, 30, 200, -1, -9])
@pytest.mark.parametrize("kind", ["gzip", "bgzip"])
def test_truncated_gzip(tmp_path: Path, kind: str, keep: int) -> None:
    sequence = "".join(np.random.default_rng(0).choice(list("ACGT"), 5000))
    path = WRITERS[kind](tmp_path, wrapped({"chr1": sequence}))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="truncated"):
        open_genome(path)


def test_damaged_gzip(tmp_path: Path) -> None:
    path = _gzip(tmp_path, wrapped({"chr1": "ACGGTCA" * 500}))
    damaged = bytearray(path.read_bytes())
    damaged[-6] ^= 0xFF  # the checksum
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="damaged gzip"):
        open_genome(path)
    path.write_bytes(damaged[:40] + b"\xff" * 20 + damaged[60:])
    with pytest.raises(InputError, match="damaged gzip"):
        open_genome(path)


def test_sequence_of_strange_characters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"record chr1 holds characters that are no letters \(3 affected; first: '1'"):
        open_genome(_plain(tmp_path, ">chr1\nACGT 123\n"))
    with pytest.raises(InputError, match=r"record without a name .*line 3"):
        open_genome(_plain(tmp_path, ">chr1\nACGT\n>\nAC\n"))


def test_questions_that_cannot_be_answered(tmp_path: Path) -> None:
    path = _plain(tmp_path, wrapped({f"chr{i}": "ACGT" for i in range(1, 12)}))
    with open_genome(path) as genome:
        with pytest.raises(InputError, match=r"has no chromosome chr77\. It has chr1, .* and 3 more"):
            genome.codes("chr77", 0, 1)
        with pytest.raises(InputError, match="start is above end"):
            genome.codes("chr1", 3, 2)
    with pytest.raises(InputError, match="several records"):
        open_genome(path, chrom="chr1")


# Real bases


@pytest.mark.real_data
def test_real_locus(shared_data: Path) -> None:
    path = shared_data / "k562_chr22" / "chr22_hg38_37200001-40600000.fa.gz"
    text = "".join(gzip.decompress(path.read_bytes()).decode().splitlines()[1:]).upper()
    with open_genome(path) as genome:
        assert genome.spans == {"chr22": Span(37_200_000, 40_600_000, True)}
        assert "".join("ACGT"[code] for code in genome.codes("chr22", 37_200_000, 37_200_010)) == "CTCTGGGGCC"
        assert "".join("ACGT"[code] for code in genome.codes("22", 37_234_567, 37_234_587)) == "ACCTGGTCCACTGAGACCTC"
        codes = genome.codes("chr22", 37_200_000, 40_600_000)
    np.testing.assert_array_equal(np.frombuffer(b"ACGT", np.uint8)[codes], np.frombuffer(text.encode(), np.uint8))
