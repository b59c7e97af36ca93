from __future__ import annotations

from pathlib import Path

import pytest

from epinformer.errors import InputError
from epinformer.scoring.selection import read_gene_list


def test_gene_list(tmp_path: Path) -> None:
    assert read_gene_list("A, B,") == ["A", "B"]
    path = tmp_path / "genes.txt"
    path.write_text("# mine\nA\tfirst\n\nB\n")
    assert read_gene_list(str(path)) == ["A", "B"]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"genes\.txt: is not a text file"):
        read_gene_list(str(path))
    path.write_text("\n")
    with pytest.raises(InputError, match=r"genes\.txt: names no genes"):
        read_gene_list(str(path))
    with pytest.raises(InputError, match="names no genes"):
        read_gene_list(" , ")
