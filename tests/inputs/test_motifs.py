from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs.motifs import Motif, read_meme, write_meme

HEAD = (
    "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n\n"
)
ROWS = "0.9 0.1 0.0 0\n 1e-1 .2 3.0E-1 0.4\n"
FIRST = (
    "MOTIF MA1.1 GATA1::TAL1\nletter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0\n" + ROWS + "URL http://x\n\n"
)
SECOND = "MOTIF two\nletter-probability matrix: alength= 4 w= 1 nsites= 20 E= 0\n0.333 0.333 0.333 0.000\n"
VALID = HEAD + FIRST + SECOND

# What MEME itself writes: separators, sites and log-odds that look like rows, its alphabet after other lines.
REPORT = """********************************************************************************
MEME - Motif discovery tool
********************************************************************************
MEME version 5.5.0 (Release date: Wed Sep 7 14:30:21 2022 -0700)

TRAINING SET
DATAFILE= a.fa
ALPHABET= ACGT
Sequence name            Weight Length  Sequence name            Weight Length
s1                       1.0000    500  s2                       1.0000    500

********************************************************************************
MOTIF AGA MEME-1\twidth =   3  sites =  17  llr = 184  E-value = 2.9e-012
********************************************************************************
--------------------------------------------------------------------------------
\tMotif AGA MEME-1 position-specific scoring matrix
--------------------------------------------------------------------------------
log-odds matrix: alength= 4 w= 3 n= 1000 bayes= 6 E= 2.9e-012
   100  -200   100  -200
   100  -200   100  -200
   100  -200   100  -200
--------------------------------------------------------------------------------
\tMotif AGA MEME-1 position-specific probability matrix
--------------------------------------------------------------------------------
letter-probability matrix: alength= 4 w= 3 nsites= 17 E= 2.9e-012
 1.000000  0.000000  0.000000  0.000000
 0.000000  0.000000  1.000000  0.000000
 1.000000  0.000000  0.000000  0.000000
--------------------------------------------------------------------------------
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "m.meme"
    path.write_text(text)
    return path


def test_identifiers_names_and_frequencies(tmp_path: Path) -> None:
    first, second = read_meme(written(tmp_path, VALID))
    assert (first.id, first.name, first.family) == ("MA1.1", "GATA1::TAL1", "")
    np.testing.assert_array_equal(first.frequencies, np.array([[0.9, 0.1, 0, 0], [0.1, 0.2, 0.3, 0.4]]).T)
    # Rounded columns are scaled, and a motif without a name is called by its identifier.
    assert (second.id, second.name) == ("two", "two")
    np.testing.assert_allclose(second.frequencies, np.array([[1, 1, 1, 0]]).T / 3, rtol=1e-15)


def test_a_report_of_meme(tmp_path: Path) -> None:
    (motif,) = read_meme(written(tmp_path, REPORT))
    assert (motif.id, motif.name) == ("AGA", "MEME-1")
    np.testing.assert_array_equal(motif.frequencies.argmax(axis=0), [0, 2, 0])


def test_the_same_in_other_wrappings(tmp_path: Path) -> None:
    packed, windows, bare = tmp_path / "m.meme.gz", tmp_path / "w.meme", tmp_path / "b.meme"
    packed.write_bytes(gzip.compress(VALID.encode()))
    windows.write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    # Everything after "matrix:" may be left out, as may alphabet, strands and background.
    bare.write_text(
        "MEME version 4\nMOTIF MA1.1 GATA1::TAL1\nletter-probability matrix:\n"
        + ROWS
        + 'ALPHABET "DNA" DNA-LIKE\nEND ALPHABET\nMOTIF two\nletter-probability matrix: w= 1\n\n0.333 0.333 0.333 0.000'
    )
    expected = read_meme(written(tmp_path, VALID))
    for path in (packed, windows, bare):
        motifs = read_meme(path)
        assert [motif[:2] for motif in motifs] == [motif[:2] for motif in expected]
        for motif, other in zip(motifs, expected, strict=True):
            np.testing.assert_array_equal(motif.frequencies, other.frequencies)


@pytest.mark.parametrize(
    ("old", "new", "problem", "line"),
    [
        ("w= 2", "w= 3", r"rows \(2\) are not as many", 11),
        ("w= 2", "w= 1", r"rows \(2\) are not as many", 11),
        ("w= 2", "w= two", r"rows \(2\) are not as many", 11),
        ("w= 2", "w= " + "9" * 5000, r"rows \(2\) are not as many", 11),
        (ROWS, "", r"rows \(0\) are not as many", 11),
        ("w= 2 nsites= 20 E= 0\n" + ROWS, "\n", "without rows", 11),
        ("0.9 0.1 0.0 0\n", "nan 0.1 0.0 0\n", r"rows \(0\) are not as many", 11),
        ("0.9 0.1 0.0 0\n", "0.9 0.1 0.0\n", "not four numbers", 12),
        ("0.9 0.1 0.0 0\n", "0.9 0.1 0.0 0 0\n", "not four numbers", 12),
        ("0.9 0.1 0.0 0\n", "0.9 0.1 0.0 inf\n", "not four numbers", 12),
        ("0.9 0.1 0.0 0\n", "0.9 0.1 0_0 0\n", "not four numbers", 12),
        ("0.9 0.1 0.0 0\n", "0.9 0.1 0.0 1e999\n", "do not sum to 1", 12),
        ("0.9 0.1 0.0 0\n", "1.1 -0.1 0.0 0\n", "negative", 12),
        ("0.9 0.1 0.0 0\n", "18 2 0 0\n", "do not sum to 1", 12),
        ("0.9 0.1 0.0 0\n", "0.9 0.08 0.0 0\n", "do not sum to 1", 12),
        ("alength= 4 w= 2", "alength= 20 w= 2", "other letters", 11),
        ("MOTIF MA1.1 GATA1::TAL1\n", "", "matrix without a MOTIF line", 10),
        ("MOTIF MA1.1 GATA1::TAL1\n", "MOTIF\n", "without an identifier", 10),
        ("MOTIF two\n", "MOTIF MA1.1\n", "two motifs of one identifier", 16),
        ("MOTIF two\n", "MOTIF one\nMOTIF two\n", "without a letter-probability matrix", 16),
        (SECOND, "MOTIF two\n", "without a letter-probability matrix", 16),
        ("ALPHABET= ACGT", "ALPHABET= ACDEFGHIKLMNPQRSTVWY", "another alphabet", 3),
        ("ALPHABET= ACGT", 'ALPHABET "RNA" RNA-LIKE', "another alphabet", 3),
    ],
)
def test_malformed(tmp_path: Path, old: str, new: str, problem: str, line: int) -> None:
    assert VALID.count(old) == 1
    with pytest.raises(InputError, match=problem) as error:
        read_meme(written(tmp_path, VALID.replace(old, new)))
    assert "m.meme: has " in str(error.value) and f"first: line {line}: " in str(error.value)


def test_other_files(tmp_path: Path) -> None:
    for text, problem in (
        ("", "not in MEME's text format"),
        (">MA0004.1 Arnt\nA [ 4 19 0 ]\n", "not in MEME's text format"),
        (HEAD, "holds no motifs"),
    ):
        with pytest.raises(InputError, match=problem):
            read_meme(written(tmp_path, text))
    with pytest.raises(InputError, match="no such file"):
        read_meme(tmp_path / "none.meme")
    cut = tmp_path / "cut.meme.gz"
    cut.write_bytes(gzip.compress(VALID.encode())[:-20])
    with pytest.raises(InputError, match="truncated"):
        read_meme(cut)
    binary = tmp_path / "b.meme"
    binary.write_bytes(b"MEME version 4\n\xff\xfe\x00")
    with pytest.raises(InputError, match="not text"):
        read_meme(binary)


@given(data=st.data())
def test_no_damage_ends_in_anything_else_than_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = VALID
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        piece = data.draw(st.one_of(st.text("\n .0159eE+-=²MOTIFw", max_size=8), st.text(max_size=4)))
        text = text[:start] + piece + text[end:]
    path = tmp_path_factory.mktemp("damaged") / "m.meme"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        motifs = read_meme(path)
    except InputError as error:
        assert error.source == str(path)
    else:
        # Where the damage leaves motifs they are whole.
        assert len({motif.id for motif in motifs}) == len(motifs) > 0
        for motif in motifs:
            assert motif.frequencies.shape[0] == 4 and (motif.frequencies >= 0).all()
            np.testing.assert_allclose(motif.frequencies.sum(axis=0), 1, rtol=1e-12)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    motifs = [
        Motif(f"pos_{width}", name, rng.dirichlet([0.3] * 4, width).T)
        for width, name in ((1, "pos_1"), (7, "A::B (var 2)"), (30, "same"), (31, "same"))
    ]
    path = tmp_path / "out.meme"
    write_meme(motifs, path)
    for motif, again in zip(motifs, read_meme(path), strict=True):
        assert motif[:2] == again[:2]
        np.testing.assert_allclose(again.frequencies, motif.frequencies, atol=3e-6)
    assert path.read_text().count("MOTIF pos_1\n") == 1
    for identifier in ("two words", ""):
        with pytest.raises(ValueError, match="one word"):
            write_meme([Motif(identifier, "x", motifs[0].frequencies)], path)
    assert len(read_meme(path)) == 4


@pytest.mark.real_data
def test_real_files(shared_data: Path) -> None:
    for name, count in (("jaspar_2024_consensus.meme", 182), ("JASPAR2022_CORE_non-redundant_pfms_meme.txt", 1956)):
        path = shared_data / "motifs" / name
        motifs = read_meme(path)
        # The oracle: every row of four numbers in the file, in order, and the widths of the headings.
        text = path.read_text()
        widths = [int(width) for width in re.findall(r"w= (\d+)", text)]
        assert len(motifs) == count and [motif.frequencies.shape[1] for motif in motifs] == widths
        expected = np.array([line.split() for line in text.splitlines() if line.startswith(" ")], dtype=float)
        np.testing.assert_allclose(np.concatenate([motif.frequencies.T for motif in motifs]), expected, atol=1e-5)
