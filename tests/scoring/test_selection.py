from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path

import pytest

from epinformer.dataset.store import Dataset
from epinformer.errors import InputError, ModelError
from epinformer.scoring.selection import gene_indices, model_paths, nearest, read_gene_list


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


def test_names_that_are_like_the_unknown_one_are_told(synthetic: Dataset) -> None:
    with pytest.raises(InputError, match=r"1 affected; first: gene12\).*; the nearest are GENE2, GENE1, GENE11\."):
        gene_indices(synthetic, ["GENE3", "gene12"])
    with pytest.raises(InputError, match=r"first: XYZ\)\. Give ids as they stand .* names that occur once\.$"):
        gene_indices(synthetic, ["XYZ"])
    with pytest.raises(InputError, match="no gene is asked for"):
        gene_indices(synthetic, [])
    assert nearest("KLF1", ["KLF1A", "BRCA2"]) == "; the nearest is KLF1A"


def test_ambiguous_names_are_told_with_their_ids(synthetic: Dataset) -> None:
    names = ["TWIN" if i in (2, 5) else f"GENE{i}" for i in range(12)]
    twins = dataclasses.replace(synthetic, genes=synthetic.genes.assign(gene_name=names))
    with pytest.raises(InputError, match=r"1 affected; first: TWIN is ENSG00000000002, ENSG00000000005\)\. Give ids"):
        gene_indices(twins, ["TWIN", "GENE1"])
    assert gene_indices(twins, ["ENSG00000000005", "GENE1"]).tolist() == [1, 5]


def test_a_run_stands_for_its_models(tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "rna.model"
    wanted = [run / "fold_1" / "seed_1.model", run / "fold_1" / "seed_2.model", run / "fold_x" / "seed_1.model"]
    for path in [*wanted, run / "fold_1" / "seed_1", model]:
        path.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    assert model_paths([model, run]) == [model, *wanted]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "run.json").write_text("{}")
    with pytest.raises(ModelError, match="new: is a run without a trained model"):
        model_paths([tmp_path / "new"])
