from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.bases import NO_BASE, encode
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError
from epinformer.inputs.genome import Genome, open_genome
from epinformer.inputs.variants import read_variants
from epinformer.scoring.variant_alleles import (
    MISMATCH,
    NEEDS_GENOME,
    SCORED,
    SPANS,
    SYMBOLIC,
    UNKNOWN_BASES,
    Places,
    edited,
    located,
)
from tests.variant_world import LENGTH, World, make_world, write_vcf


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def genome(world: World) -> Genome:
    return open_genome(world.fasta)


def haplotype(world: World, start: int, end: int, bases: str) -> np.ndarray:
    """chr2 with [start, end) replaced, and 1,000 positions of no base on both sides."""
    codes, nothing = world.genome["chr2"], np.full(1_000, NO_BASE, dtype=np.uint8)
    return np.concatenate([nothing, codes[:start], encode(bases.encode()), codes[end:], nothing])


changes = st.tuples(st.integers(0, LENGTH - 60), st.integers(0, 50), st.text("ACGT", max_size=50))


@given(change=changes, first=st.integers(0, LENGTH - 300), length=st.integers(1, 250), shift=st.integers(-60, 250))
def test_a_sequence_with_an_allele_is_one_of_the_changed_chromosome(
    world: World, genome: Genome, change: tuple[int, int, str], first: int, length: int, shift: int
) -> None:
    """Of the haplotype it has as many bases, from the same first one, or up to the same last one."""
    start = min(max(first + shift, 0), LENGTH - 60)
    end, bases = start + change[1], change[2]
    held = (start < first + length and end > first) if end > start else first < start < first + length
    if not held:
        return
    codes = world.genome["chr2"][first : first + length]
    found = edited(codes, "chr2", first, (start, end, bases), genome)
    whole = haplotype(world, start, end, bases)
    left, right = start - first, first + length - end
    if len(bases) == end - start:
        wanted = whole[1_000 + first : 1_000 + first + length]
    elif left <= 0 and right <= 0:
        assert found.codes is None and found.status == SPANS
        return
    elif max(left, 0) >= max(right, 0):
        wanted = whole[1_000 + first : 1_000 + first + length]
    else:
        last = 1_000 + first + length + len(bases) - (end - start)
        wanted = whole[last - length : last]
    assert found.status == SCORED
    np.testing.assert_array_equal(found.codes, wanted)
    alone = edited(codes, "chr2", first, (start, end, bases), None)
    if alone.codes is None:
        assert alone.status == NEEDS_GENOME and len(bases) < end - start
    else:
        np.testing.assert_array_equal(alone.codes, wanted)


def test_beyond_the_chromosome_there_is_no_base(world: World, genome: Genome) -> None:
    codes = world.genome["chr2"][LENGTH - 100 :]
    found = edited(codes, "chr2", LENGTH - 100, (LENGTH - 20, LENGTH - 15, ""), genome)
    assert found.codes is not None and (found.codes[-5:] == NO_BASE).all() and (found.codes[:-5] != NO_BASE).all()


def test_a_locus_that_ends_is_no_end_of_a_chromosome(world: World, tmp_path: Path) -> None:
    path = tmp_path / "locus.fa"
    path.write_text(f">chr2:1-1000\n{world.text('chr2', 0, 1_000)}\n")
    with open_genome(path) as locus:
        codes = world.genome["chr2"][900:1_000]
        assert edited(codes, "chr2", 900, (990, 995, ""), locus).status == NEEDS_GENOME
        assert edited(codes, "chr2", 900, (910, 915, ""), locus).status == SCORED


@given(start=st.integers(0, LENGTH - 60), size=st.integers(0, 40), chrom=st.sampled_from(["chr2", "chr22", "chr3"]))
def test_what_holds_an_allele(world: World, start: int, size: int, chrom: str) -> None:
    """Against all sequences one by one."""
    places = Places(world.dataset)
    alleles = pd.DataFrame({"chrom": ["chr9", chrom], "start": [0, start], "end": [1, start + size]})
    wanted = [
        number
        for number, (name, first, last) in enumerate(places.table.itertuples(index=False))
        if name == chrom and ((first < start < last) if size == 0 else start < last and start + size > first)
    ]
    allele, sequence = places.holding(alleles)
    assert sequence.tolist() == wanted and (allele == 1).all()


def test_references_are_compared(world: World, genome: Genome, tmp_path: Path) -> None:
    inside, outside = world.text("chr2", 4_400, 4_403), world.text("chr2", 3_300, 3_302)
    other = "A" if inside[2] != "A" else "C"
    rows = [
        ("chr2", 4_401, inside.lower(), inside[0]),
        ("chr2", 4_401, inside[:2] + other, inside[0]),
        ("chr2", 3_301, outside, "G"),
        ("chr2", 3_301, outside[0] + ("A" if outside[1] != "A" else "C"), "G"),
        ("chr2", 4_401, inside, "<DEL>"),
        ("chr22", 6_005, "N", "A"),
        ("chr22", 6_005, "A", "C"),
    ]
    (chunk,) = read_variants(write_vcf(tmp_path / "v.vcf", rows))
    places = Places(world.dataset)
    assert (3_300, 3_302) not in {(start, end) for _, start, end in places.table.itertuples(index=False)}
    with_genome = located(chunk.alleles, places, world.dataset, genome)
    assert with_genome.status.tolist() == ["", MISMATCH, "", MISMATCH, SYMBOLIC, UNKNOWN_BASES, MISMATCH]
    without = located(chunk.alleles, places, world.dataset, None)
    # A promoter of the second gene holds 3,301, so its bases are known without a genome.
    held = set(places.holding(chunk.alleles)[0].tolist())
    assert (without.status[3] == MISMATCH) == (3 in held)
    assert set(with_genome.allele.tolist()) <= {0, 2}


def test_datasets_that_cannot_hold_variants(world: World, plain: Dataset) -> None:
    with pytest.raises(DatasetError, match="has no sequence, in which a variant could be put"):
        Places(plain)
    nowhere = dataclasses.replace(
        world.dataset, elements=world.dataset.elements.assign(start=pd.array([pd.NA] * 14, dtype="Int64"))
    )
    with pytest.raises(DatasetError, match="does not say where its genes and elements lie"):
        Places(nowhere)
