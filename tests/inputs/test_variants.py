from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs.variants import read_variants, read_vcf_header

HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def vcf(path: Path, *rows: str, head: str = HEAD) -> Path:
    path.write_bytes((head + "".join(f"{row}\n" for row in rows)).encode(errors="surrogateescape"))
    return path


def alleles(path: Path, chunk: int = 1_000) -> pd.DataFrame:
    return pd.concat([part.alleles for part in read_variants(path, chunk)], ignore_index=True)


def test_alleles_of_all_kinds(tmp_path: Path) -> None:
    path = vcf(
        tmp_path / "v.vcf",
        "chr2\t20\ts\tA\tg\t.\t.\t.\tGT\t0/1",
        "chr1\t5\t.\tca\tC,CTT,CAA,<DEL>,*,.\t.\t.\t.",
        "chr1\t9\tm\tACG\tATT,ACG\t.\t.\t.",
        "chr1\t9\tn\tN\tA,R\t.\t.\t.",
        "chr1\t30\tb\tT\tT[chr2:20[,]chr2:20]T,.T,T.\t.\t.\t.",
        "chr1\t31\tnone\tT\t.\t.\t.\t.",
    )
    found = alleles(path)
    first = found.iloc[0]
    assert (first.chrom, first.pos, first.id, first.ref, first.alt) == ("chr2", 20, "s", "A", "g")
    rows = [tuple(row) for row in found[["record", "kind", "start", "end", "bases"]].itertuples(index=False)]
    assert rows[0] == (0, "bases", 19, 20, "G")
    assert rows[1:4] == [(1, "bases", 5, 6, ""), (1, "bases", 5, 6, "TT"), (1, "bases", 5, 5, "A")]
    assert [row[1] for row in rows[4:6]] == ["symbolic", "symbolic"]
    assert rows[6:8] == [(2, "bases", 9, 11, "TT"), (2, "bases", 8, 11, "ACG")]
    assert [row[1] for row in rows[8:]] == ["unknown bases"] * 2 + ["symbolic"] * 4
    assert found.record.max() == 4


@given(
    st.text("ACGT", min_size=12, max_size=12),
    st.integers(0, 8),
    st.integers(1, 4),
    st.text("ACGT", min_size=1, max_size=5),
)
def test_what_changes_is_the_same_and_no_more(
    tmp_path_factory: pytest.TempPathFactory, text: str, start: int, size: int, alt: str
) -> None:
    ref = text[start : start + size]
    path = vcf(tmp_path_factory.mktemp("v") / "v.vcf", f"chr1\t{start + 1}\t.\t{ref}\t{alt}\t.\t.\t.")
    (row,) = alleles(path).itertuples()
    assert text[: row.start] + row.bases + text[row.end :] == text[:start] + alt + text[start + len(ref) :]
    if ref != alt:
        old = text[row.start : row.end]
        assert not (old and row.bases) or (old[0] != row.bases[0] and old[-1] != row.bases[-1])
    else:
        assert (row.start, row.end) == (start, start + len(ref))


def test_any_packing_and_chunks_give_the_same(tmp_path: Path) -> None:
    rows = [f"chr{1 + row % 3}\t{900 - row}\tv{row}\tA\tC,G\t.\t.\tX=\udce9" for row in range(50)]
    plain = vcf(tmp_path / "v.vcf", *rows)
    wanted = alleles(plain)
    assert len(wanted) == 100 and wanted.pos[0] == 900
    packed = tmp_path / "v.vcf.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    blocked = tmp_path / "b.vcf.bgz"
    pysam.tabix_compress(str(plain), str(blocked))
    windows = tmp_path / "w.vcf"
    windows.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    for path in (packed, blocked, windows):
        pd.testing.assert_frame_equal(alleles(path), wanted)
        assert read_vcf_header(path) == HEAD.splitlines()
        assert [line for part in read_variants(path) for line in part.records] == rows
    parts = list(read_variants(plain, 7))
    assert [len(part.records) for part in parts] == [7] * 7 + [1]
    assert [part.alleles.record.tolist() for part in parts[-2:]] == [[n // 2 for n in range(14)], [0, 0]]


def test_truncated_files(tmp_path: Path) -> None:
    plain = vcf(tmp_path / "v.vcf", *(f"chr1\t{row + 1}\t.\tA\tC\t.\t.\tN={row * 7919 % 1013}" for row in range(9_999)))
    blocked = tmp_path / "b.vcf.gz"
    pysam.tabix_compress(str(plain), str(blocked))
    for name, data in (("b.vcf.gz", blocked.read_bytes()), ("g.vcf.gz", gzip.compress(plain.read_bytes()))):
        for cut in (len(data) // 2, len(data) - 20):
            (tmp_path / name).write_bytes(data[:cut])
            with pytest.raises(InputError, match=f"{name}: is truncated"):
                list(read_variants(tmp_path / name))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("chr1\t0\t.\tA\tC\t.\t.\t.", "has positions below 1 .1 affected; first: line 4: 'chr1"),
        ("chr1\t-4\t.\tA\tC\t.\t.\t.", "has positions below 1"),
        ("chr1\t1e3\t.\tA\tC\t.\t.\t.", "no whole numbers"),
        ("chr1\t2147483648\t.\tA\tC\t.\t.\t.", "beyond any chromosome"),
        ("chr1\t1\t.\t\tC\t.\t.\t.", "reference alleles with other letters"),
        ("chr1\t1\t.\tA1\tC\t.\t.\t.", "reference alleles with other letters"),
        ("chr1\t1\t.\tA\tC,Z\t.\t.\t.", "alternative alleles with other letters"),
        ("chr1\t1\t.\tA\tC,\t.\t.\t.", "alternative alleles with other letters"),
        ("chr1 1 . A C . . .", "fewer than 8 columns"),
        ("\t1\t.\tA\tC\t.\t.\t.", "without a chromosome"),
    ],
)
def test_rows_that_cannot_be_meant(row: str, message: str, tmp_path: Path) -> None:
    good = "chr1\t7\t.\tA\tC\t.\t.\t."
    path = vcf(tmp_path / "v.vcf", good, row, good)
    with pytest.raises(InputError, match=message):
        list(read_variants(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no VCF"),
        (HEAD.encode(), "holds no variants"),
        (HEAD.encode() + b"\n\n", "holds no variants"),
        (b"##fileformat=VCFv4.2\nchr1\t1\n", "is no VCF: a line that begins with #CHROM is missing"),
        (b"#CHROM POS ID REF ALT QUAL FILTER INFO\n", "separated by tabs"),
        (bytes(range(256)) * 9, "is no VCF"),
        (gzip.compress(b"BCF\2\2abc"), "is BCF. Convert it"),
    ],
)
def test_files_that_are_no_vcf(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "v.vcf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_variants(path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_vcf_header(tmp_path / "missing.vcf")
