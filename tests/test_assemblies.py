from __future__ import annotations

from pathlib import Path

import pytest

from epinformer.assemblies import assembly_lengths, assembly_of, same_assembly


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("hg38", "GRCh38", True), ("hg19", "grch37", True), ("hg19", "hg38", False), ("toy", "TOY", True)],
)
def test_names(one: str, other: str, same: bool) -> None:
    assert same_assembly(one, other) is same


def test_lengths_of_an_assembly() -> None:
    lengths = assembly_lengths("GRCh38")
    assert lengths is not None
    assert list(lengths)[-3:] == ["chr22", "chrX", "chrY"]
    assert (lengths["chr1"], lengths["chr22"]) == (248_956_422, 50_818_468)
    mouse = assembly_lengths("mm10")
    assert mouse is not None and list(mouse)[-3:] == ["chr19", "chrX", "chrY"]
    assert assembly_lengths("toy") is None


@pytest.mark.real_data
def test_the_real_file_agrees(shared_data: Path) -> None:
    """The sizes file of GRCh38 that stands beside the reference outputs."""
    path = shared_data / "abc_chr22" / "GRCh38_EBV.no_alt.chrom.sizes.tsv"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    sizes = dict(line.split() for line in path.read_text().splitlines())
    known = assembly_lengths("hg38") or {}
    assert {name: int(sizes[name]) for name in known} == known


@pytest.mark.parametrize(
    ("lengths", "name"),
    [
        ({"chr22": 50_818_468}, "hg38"),
        ({"22": 51_304_566, "GL000192.1": 547_496}, "hg19"),
        ({"chr1": 195_471_971, "chrM": 16_299}, "mm10"),
        ({"chr1": 1_000_000}, None),
        ({"chr1": 248_956_422, "chr2": 5}, None),
        ({"chrM": 16_569}, None),
        ({}, None),
    ],
)
def test_an_assembly_by_its_lengths(lengths: dict[str, int], name: str | None) -> None:
    assert assembly_of(lengths) == name
