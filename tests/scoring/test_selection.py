from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from epinformer.errors import InputError
from epinformer.scoring.selection import read_gene_list


@pytest.mark.parametrize(
    "text",
    ["# mine\nA\tfirst\n\nB\n", "gene_id\nA\nB\n", "\ufeffA,x\nB,y\n", '"A"\r\n"B"\r\n', "gene_id,name\nA,x\nB,y"],
)
@pytest.mark.parametrize("name", ["genes.txt", "genes.csv.gz"])
def test_gene_file(text: str, name: str, tmp_path: Path) -> None:
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert read_gene_list(str(tmp_path / name)) == ["A", "B"]


def test_genes_by_name() -> None:
    assert read_gene_list("A, B,") == ["A", "B"]
    assert read_gene_list("NKX2-5") == ["NKX2-5"]
    many = [f"ENSG{i:011d}" for i in range(500)]
    assert read_gene_list(",".join(many)) == many, "longer than a file's name can be"


def test_bad_gene_lists(tmp_path: Path) -> None:
    path = tmp_path / "genes.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"genes\.txt: is not a text file"):
        read_gene_list(str(path))
    path.write_text("\n")
    with pytest.raises(InputError, match=r"genes\.txt: names no genes"):
        read_gene_list(str(path))
    with pytest.raises(InputError, match="names no genes"):
        read_gene_list(" , ")
    for missing in ("missing.txt", "lists/genes"):
        with pytest.raises(InputError, match=f"{missing}: does not exist"):
            read_gene_list(missing)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"A\nB\n" * 99)[:-9])
    with pytest.raises(InputError, match=r"cut\.gz: is not a text file"):
        read_gene_list(str(tmp_path / "cut.gz"))
