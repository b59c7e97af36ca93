from __future__ import annotations

from pathlib import Path

import pytest

from epinformer.errors import InputError
from epinformer.inputs.contacts import read_pair_contacts


def write(folder: Path, text: str) -> Path:
    path = folder / "c.tsv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "gene_id\telement_id\tcontact\nG1\tchr1:5-9\t0.5\nG1\tchr1:7-9\t0\n",
        "contact,chrom,start,end,gene_id\n0.5,chr1,5,9,G1\n0,chr1,7,9,G1\n",
        "gene_id\tchr\tstart\tend\tcontact\nG1\tchr1\t5\t9\t0.5\nG1\tchr1\t7\t9\t0\n",
    ],
)
def test_elements_by_name_or_interval(tmp_path: Path, text: str) -> None:
    assert read_pair_contacts(write(tmp_path, text)).to_dict("list") == {
        "gene_id": ["G1", "G1"],
        "chrom": ["chr1", "chr1"],
        "element_id": ["chr1:5-9", "chr1:7-9"],
        "contact": [0.5, 0.0],
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "G2\tchr1:5-9\t-0.5",
            r"c\.tsv: has negative contacts \(1 affected; first: line 3: G2 chr1 chr1:5-9 -0\.5\)\. Give",
        ),
        ("G2\tchr1:5-9\tnan", r"column contact holds .* finite number \(1 affected; first: line 3: 'nan'\)"),
        ("G2\tchr1:5-9\t", r"column contact holds .* finite number \(1 affected; first: line 3: ''\)"),
        ("G1\tchr1:5-9\t2", r"c\.tsv: gives a pair twice \(1 affected; first: line 3: G1 chr1 chr1:5-9 2\.0\)\. Keep"),
    ],
)
def test_bad_contacts(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pair_contacts(write(tmp_path, f"gene_id\telement_id\tcontact\nG1\tchr1:5-9\t1\n{row}\n"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "gene_id\tchrom\tstart\tcontact",
            r"c\.tsv: does not say which element a contact is of\. Add the column element_id",
        ),
        ("gene\tstart\tend\tcontact", r"c\.tsv: lacks the column gene_id"),
    ],
)
def test_missing_columns(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pair_contacts(write(tmp_path, header + "\nchr1\t1\t2\t3\n"))
