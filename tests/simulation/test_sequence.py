from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from epinformer.simulation.sequence import chromosome_codes, letters, windows, write_record


def cpg(codes: np.ndarray) -> float:
    """CpG observed over expected."""
    both = ((codes[:-1] == 1) & (codes[1:] == 2)).sum()
    return float(both * len(codes) / ((codes == 1).sum() * (codes == 2).sum()))


@pytest.fixture(scope="module")
def chromosome() -> tuple[np.ndarray, pd.DataFrame]:
    centers = np.arange(10_000, 1_990_000, 20_000)
    kinds = np.resize(["promoter", "enhancer", "weak", "insulator"], len(centers))
    elements = pd.DataFrame({"center": centers, "kind": kinds})
    return chromosome_codes(2_000_500, elements, np.random.default_rng(0)), elements


def test_composition_is_that_of_a_genome(chromosome: tuple[np.ndarray, pd.DataFrame]) -> None:
    codes, elements = chromosome
    assert codes.shape == (2_000_500,) and codes.dtype == np.uint8 and codes.max() == 3
    assert 0.36 < np.isin(codes, [1, 2]).mean() < 0.46
    assert 0.15 < cpg(codes) < 0.35
    promoters = elements["center"][elements["kind"] == "promoter"]
    islands = np.concatenate([codes[center - 450 : center + 450] for center in promoters])
    assert np.isin(islands, [1, 2]).mean() > 0.58
    assert cpg(islands) > 0.75
    content = np.isin(codes[:2_000_000], [1, 2]).reshape(20, -1).mean(axis=1)
    assert content.std() > 0.015, "GC content varies along the chromosome"


def test_the_same_stream_gives_the_same_bases() -> None:
    elements = pd.DataFrame({"center": [5_000], "kind": ["enhancer"]})
    one, same, other = (chromosome_codes(9_000, elements, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_windows_beyond_the_ends_hold_no_bases() -> None:
    codes = np.array([0, 1, 2, 3], dtype=np.uint8)
    assert windows(codes, [-2, 0, 2], 4).tolist() == [[5, 5, 0, 1], [0, 1, 2, 3], [2, 3, 5, 5]]
    assert letters(codes) == "ACGT"


@pytest.mark.parametrize("length", [60, 61, 119, 1_200_000, 1_200_001])
def test_records_and_their_index_are_what_a_reader_expects(tmp_path: Path, length: int) -> None:
    path = tmp_path / "g.fa"
    codes = np.random.default_rng(0).integers(0, 4, length).astype(np.uint8)
    with path.open("wb") as handle:
        index = write_record(handle, "chr1", codes) + write_record(handle, "chr2", codes[::-1])
    pysam.faidx(str(path))
    assert index == Path(f"{path}.fai").read_text()
    with pysam.FastaFile(str(path)) as fasta:
        assert fasta.fetch("chr1") == letters(codes)
        assert fasta.fetch("chr2") == letters(codes[::-1])
