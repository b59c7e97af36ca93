from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.inputs.hic import imported_hictkpy
from epinformer.simulation.contact import DIAGONALS, CoolWriter, at_pairs, expected_contacts
from epinformer.simulation.model import Model
from epinformer.simulation.simulate import Simulation

hictkpy = imported_hictkpy()


def test_contact_falls_with_distance_and_loops_raise_it() -> None:
    genes = pd.DataFrame({"tss": [1_002_500]})
    elements = pd.DataFrame({"start": [1_052_000], "end": [1_053_000], "kind": ["enhancer"], "gene": [0]})
    model = Model(looped=1.0, contact_sd=0.01)
    contacts = expected_contacts(2_000_000, genes, elements, model, np.random.default_rng(0))
    assert contacts.shape == (400, DIAGONALS)
    assert contacts[:, 1].mean() == pytest.approx(1, rel=0.01)
    assert contacts[:200, 40].mean() == pytest.approx(40**-1.02, rel=0.01)
    # Bins 200 and 210 are looped, by 2 to 5; their neighbours by the root of that.
    fold = contacts[200, 10] / 10**-1.02
    assert 1.9 < fold < 5.2
    assert contacts[201, 9] * 9**1.02 == pytest.approx(fold**0.5, rel=0.05)
    assert contacts[202, 10] * 10**1.02 == pytest.approx(1, rel=0.05)


def test_a_pair_is_looked_up_in_either_order() -> None:
    contacts = np.arange(20 * DIAGONALS).reshape(20, DIAGONALS)
    assert at_pairs(contacts, np.array([4_999, 26_000]), np.array([26_000, 4_999])).tolist() == [5, 5]
    assert at_pairs(contacts, np.array([12_000]), np.array([14_000])).tolist() == [2 * DIAGONALS]


def test_a_reader_finds_the_counts_that_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lengths = {"chr1": 1_000_001, "chr2": 40_000}
    counts = {"chr1": rng.poisson(1.5, (201, DIAGONALS)), "chr2": rng.poisson(1.5, (8, DIAGONALS))}
    with CoolWriter(tmp_path / "a.cool", lengths, "toy") as cool:
        for chrom, values in counts.items():
            cool.add(chrom, values)
    file = hictkpy.File(tmp_path / "a.cool", 5_000)
    assert dict(file.chromosomes()) == lengths
    for chrom, values in counts.items():
        dense = file.fetch(chrom).to_numpy()
        bins = len(values)
        for apart in range(DIAGONALS):
            expected = values[: max(bins - apart, 0), apart]
            assert np.array_equal(np.diagonal(dense, apart), expected)
            assert np.array_equal(np.diagonal(dense, -apart), expected)
    assert file.fetch("chr1", "chr2").nnz() == 0
    assert file.attributes()["sum"] == file.fetch().sum()


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), CoolWriter(tmp_path / "a.cool", {"chr1": 10_000}, "toy"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_pair_table_has_the_reads_of_the_map(simulation: Simulation) -> None:
    folder = simulation.folder
    table = pd.read_csv(folder / "contacts.tsv", sep="\t")
    genes = pd.read_csv(folder / "truth" / "genes.tsv", sep="\t").set_index("gene_id")
    file = hictkpy.File(folder / "contacts.cool", 5_000)
    for row in table.sample(60, random_state=0).itertuples():
        chrom, _, span = row.element_id.partition(":")
        start, end = map(int, span.split("-"))
        one, other = sorted(((start + end) // 2, int(genes.loc[row.gene_id, "tss"])))
        length = file.chromosomes()[chrom]
        first = f"{chrom}:{one // 5_000 * 5_000}-{min(one // 5_000 * 5_000 + 5_000, length)}"
        second = f"{chrom}:{other // 5_000 * 5_000}-{min(other // 5_000 * 5_000 + 5_000, length)}"
        assert file.fetch(first, second).sum() == row.contact
