"""The K562 tables: what is counted and computed from them is known."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.config import load_config
from epinformer.dataset.limits import PairLimits, limited
from epinformer.dataset.store import Dataset, open_dataset
from epinformer.dataset.windows import encoder_windows
from epinformer.model.config import published_config
from epinformer.prepare.build import prepare
from epinformer.prepare.pairs import make_pairs

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def genomewide(shared_data: Path, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    output = tmp_path_factory.mktemp("k562") / "k562.dataset"
    prepare(load_config(project / "examples" / "k562_genomewide" / "config.yaml", shared_data), output)
    return open_dataset(output)


@pytest.fixture(scope="module")
def chr22(shared_data: Path, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    output = tmp_path_factory.mktemp("k562_chr22") / "chr22.dataset"
    prepare(load_config(project / "examples" / "k562_chr22" / "config.yaml", shared_data), output)
    return open_dataset(output)


def test_genomewide_numbers(genomewide: Dataset) -> None:
    assert (genomewide.n_genes, genomewide.n_elements, len(genomewide.pairs)) == (18_377, 116_669, 320_815)
    in_range = limited(genomewide, PairLimits(1_000, 100_000, None))
    assert len(in_range.pairs) == 305_747  # the paper: 305,746
    capped = limited(genomewide, published_config("PE-Activity").limits)
    counts = np.diff(capped.pair_offsets)
    assert (counts == 0).sum() == 826
    assert counts.max() == 60 and (np.diff(in_range.pair_offsets) > 60).sum() == 105
    made = make_pairs(genomewide.genes, genomewide.elements)
    assert made.genes_capped == 105 and len(made.table) == len(capped.pairs) == 303_814
    for column in ("gene_index", "element_index", "distance"):
        np.testing.assert_array_equal(made.table[column], capped.pairs[column])
    spans = genomewide.elements["element_id"].str.extract(r":(\d+)-(\d+)$").astype(int)
    assert (spans[1] - spans[0] > 2_000).sum() == 2_183
    assert (genomewide.elements["end"] - genomewide.elements["start"]).max() == 2_000


def test_a_gene_of_the_minus_strand_from_the_raw_lines(genomewide: Dataset, shared_data: Path) -> None:
    folder = shared_data / "k562"

    def lines(name: str) -> list[list[str]]:
        with gzip.open(folder / name, "rt") as handle:
            return [line.split() for line in handle]

    # NOC2L: chr1 958755 959755 on the minus strand.
    window = next(row for row in lines("GeneList.TSS1kb.bed.gz") if row[3] == "ENSG00000188976")
    assert window[:3] == ["chr1", "958755", "959755"] and window[5] == "-"
    gene = genomewide.genes.set_index("gene_id").loc["ENSG00000188976"]
    assert (gene["gene_name"], gene["tss"], gene["strand"]) == ("NOC2L", 959_255, "-")

    totals = {"ENCFF232RQF": 70_700_000, "ENCFF600THN": 10_700_000, "ENCFF704LGA": 4_270_000}
    h3k27ac = np.zeros(116_669)
    for name, total in totals.items():
        rows = lines(f"Enhancers.H3K27ac.{name}.bam.CountReads.bedgraph.gz")
        h3k27ac += np.array([int(row[3]) for row in rows]) / total * 1e6 / 3
    rows = lines("Enhancers.DHS.ENCFF257HEE.bam.CountReads.bedgraph.gz")
    near = {}
    for i, (chrom, start, end, count) in enumerate(rows):
        offset = (int(start) + int(end)) // 2 - 959_255
        if chrom == "chr1" and abs(offset) <= 100_000:
            near[f"{chrom}:{start}-{end}"] = (-offset, (int(count) / 195.864788 * h3k27ac[i]) ** 0.5)
    row = int(np.flatnonzero(genomewide.genes["gene_id"] == "ENSG00000188976")[0])
    pairs = genomewide.pairs[genomewide.pairs["gene_index"] == row]
    elements = genomewide.elements.iloc[pairs["element_index"]]
    assert len(pairs) == len(near)
    for name, distance, activity in zip(elements["element_id"], pairs["distance"], elements["activity"], strict=True):
        assert (distance, activity) == (near[name][0], pytest.approx(near[name][1], rel=1e-12))


def test_chr22_genes_and_promoter_activity(chr22: Dataset, shared_data: Path) -> None:
    reference = pd.read_csv(shared_data / "k562_chr22" / "authors_code_predictions.csv").set_index("gene")
    genes = chr22.genes.set_index("gene_id")
    assert len(genes) == 60 and set(genes.index) == set(reference.index)
    reference = reference.loc[genes.index]
    assert genes["promoter_activity"].to_numpy() == pytest.approx(reference["PA"].to_numpy(), rel=1e-5)
    assert genes["expression_rna"].to_numpy() == pytest.approx(reference["rna"].to_numpy(), rel=1e-12)
    assert chr22.manifest.rows == {"genes": 60, "elements": 419, "pairs": 1_485, "sequence_bases": 428_029}
    assert set(chr22.pairs["contact"]) == {0.0}
    # The locus has no N, and no promoter reaches beyond it.
    assert chr22.codes is not None and chr22.codes.max() == 3


def test_chr22_scores_are_the_genome_wide_ones(genomewide: Dataset, chr22: Dataset) -> None:
    def scores(dataset: Dataset) -> pd.Series:
        genes = dataset.genes["gene_id"].to_numpy()[dataset.pairs["gene_index"]]
        elements = dataset.elements["element_id"].to_numpy()[dataset.pairs["element_index"]]
        return pd.Series(dataset.pairs["abc_score"].to_numpy(), index=pd.MultiIndex.from_arrays([genes, elements]))

    locus = scores(chr22)
    assert locus.to_numpy() == pytest.approx(scores(genomewide).loc[locus.index].to_numpy(), rel=1e-12)


def test_chr22_encoder_windows_are_of_the_locus(chr22: Dataset, shared_data: Path) -> None:
    """Windows cut out of the elements, against the letters of the FASTA, whose first is chr22:37,200,000."""
    fasta = next((shared_data / "k562_chr22").glob("*.fa.gz"))
    with gzip.open(fasta, "rt") as handle:
        letters = "".join(line.strip() for line in handle if not line.startswith(">")).upper()
    table, codes = encoder_windows(chr22)
    assert codes.shape == (len(table), 256)
    for start, own in zip(table["start"] - 37_200_000, codes, strict=True):
        assert "".join("ACGTN"[code] for code in own) == letters[start : start + 256]
    # Of an element of 568 bp or more three, of others as many as fit around the midpoint; none is below 256 bp.
    lengths = chr22.elements["sequence_length"]
    assert lengths.min() >= 256
    assert len(table) == len(chr22.elements) + 2 * (lengths >= 568).sum() + (lengths == 567).sum()
    shared = table.merge(chr22.elements, on=["chrom", "activity"], suffixes=("", "_element"))
    within = (shared["start"] >= shared["start_element"]) & (shared["end"] <= shared["end_element"])
    assert within.sum() >= len(table)
