from __future__ import annotations

import logging
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.inputs.annotation import genes_of, read_annotation
from epinformer.inputs.genome import open_genome
from epinformer.prepare.half_life import (
    LENGTHS,
    PUBLISHED_SCALE,
    half_life_features,
    length_z_scores,
    raw_features,
)
from tests.annotated import DIALECTS, Made, Spliced, runs, spliced, text_of

GENES = [
    Made("ENSG1", "2", "ONE", "protein_coding", "chr1", "+", [Spliced("T1", [(11, 80)], (10, 40))]),
    Made(
        "ENSG2",
        "1",
        "TWO",
        "protein_coding",
        "chr1",
        "-",
        # Two pieces of 5'UTR, three coding exons, a stop codon across two exons, three pieces of 3'UTR.
        [Spliced("T2", [(101, 110), (121, 140), (151, 170), (181, 200), (211, 230), (241, 250)], (13, 81))],
    ),
]


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def features(folder: Path, genes: list[Made], fasta: str, dialect: str = "gencode.gtf") -> pd.DataFrame:
    annotation = read_annotation(file(folder, f"genes.{dialect}", text_of(genes, dialect)))
    with open_genome(file(folder, "genome.fa", fasta)) as genome:
        return raw_features(annotation, genome, genes_of(annotation))


def sequence(length: int, seed: int, letters: str = "ACGTN") -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


def expected(gene: Made, transcript: Spliced, chromosome: str) -> list[float]:
    """The eight features, base by base along the spliced sequence."""
    if transcript.coding is None:
        return [np.nan] * 8
    bases = transcript.bases(gene.strand)
    coding, stop = transcript.coding_bases(gene.strand)
    first, last = transcript.coding
    regions = [bases[:first], coding + stop, bases[last:]]

    def short(positions: list[int]) -> int:
        return sum(end - start for start, end in runs(positions))

    def gc(positions: list[int]) -> float:
        letters = [chromosome[position - 1].upper() for position in positions]
        known = [letter for letter in letters if letter in "ACGT"]
        if not letters:
            return 0.0
        return sum(letter in "GC" for letter in known) / len(known) if known else np.nan

    utr5, cds, utr3 = short(regions[0]), short(coding), short(regions[2])
    if cds <= 0:
        return [np.nan] * 8
    intron = max(bases) - min(bases) - utr5 - cds - utr3
    return [utr5, cds, intron, utr3, *(gc(region) for region in regions), 1000 * len(runs(coding)) / cds]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_made_genes(tmp_path: Path, dialect: str) -> None:
    chromosome = sequence(300, 1)
    fasta = f">{'1' if dialect.startswith('ensembl') else 'chr1'}\n{chromosome}\n"
    found = features(tmp_path, GENES, fasta, dialect)
    assert list(found.columns) == list(HALF_LIFE_FEATURES)
    for values, gene in zip(found.to_numpy(), GENES, strict=True):
        np.testing.assert_allclose(values, expected(gene, gene.transcripts[0], chromosome), rtol=1e-12)
    # One exon of 70 bases: 10 of 5'UTR, 27 + 3 coding, 30 of 3'UTR; five bases are in no piece.
    assert found.iloc[0, :4].tolist() == [9, 26, 5, 29]
    assert found["ORFEXONDENSITY"].tolist() == [1000 / 26, 1000 * 4 / (65 - 4)]


@settings(max_examples=25)
@given(
    first=spliced("T1"), second=spliced("T2"), strands=st.tuples(*[st.sampled_from("+-")] * 2), seed=st.integers(0, 9)
)
def test_any_transcripts(
    tmp_path_factory: pytest.TempPathFactory, first: Spliced, second: Spliced, strands: tuple[str, str], seed: int
) -> None:
    chromosome = sequence(200, seed, "ACGTNacgtn")
    genes = [
        GENES[number]._replace(strand=strand, transcripts=[transcript])
        for number, (strand, transcript) in enumerate(zip(strands, (first, second), strict=True))
    ]
    for dialect in ("gencode.gtf", "refseq.gff3"):
        found = features(tmp_path_factory.getbasetemp(), genes, f">chr1\n{chromosome}\n", dialect)
        for values, gene in zip(found.to_numpy(), genes, strict=True):
            np.testing.assert_allclose(values, expected(gene, gene.transcripts[0], chromosome), rtol=1e-12)


def test_genes_that_lack_something(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By id without version: in the FASTA, outside it, without coding sequence, and not in the annotation."""
    silent = GENES[0]._replace(id="ENSG3", name="THREE", transcripts=[Spliced("T3", [(5, 9)])])
    annotation = read_annotation(file(tmp_path, "genes.gtf", text_of([*GENES, silent], "gencode.gtf")))
    genes = pd.DataFrame({"gene_id": ["ENSG2", "ENSG9", "ENSG3", "ENSG1"]})
    with (
        caplog.at_level(logging.INFO),
        open_genome(file(tmp_path, "locus.fa", f">chr1:101-300\n{sequence(200, 2)}\n")) as genome,
    ):
        found = raw_features(annotation, genome, genes)
    assert found.index.tolist() == genes["gene_id"].tolist()
    assert found.notna().all(axis=1).tolist() == [True, False, False, False]
    assert found.iloc[[1, 2]].isna().all(axis=None)
    assert found.loc["ENSG1", list(LENGTHS)].tolist() == [9, 26, 5, 29]
    assert found.loc["ENSG1", ["UTR5GC", "CDSGC", "UTR3GC"]].isna().all()
    assert (
        "genes.gtf: half-life features of 1 genes; 1 are not in it, 1 have no coding sequence, and of 1 the genome "
        "does not have the bases" in caplog.text
    )


def test_a_region_of_n_alone(tmp_path: Path) -> None:
    chromosome = "A" * 10 + "N" * 10 + "ACGT" * 20
    found = features(tmp_path, GENES[:1], f">chr1\n{chromosome}\n")
    assert found["UTR5GC"].isna().tolist() == [True] and found["CDSGC"].tolist() == [0.5]


def test_lengths_are_scaled(tmp_path: Path) -> None:
    annotation = read_annotation(file(tmp_path, "genes.gtf", text_of(GENES, "gencode.gtf")))
    genes = genes_of(annotation)
    with open_genome(file(tmp_path, "genome.fa", f">chr1\n{sequence(300, 1)}\n")) as genome:
        raw = raw_features(annotation, genome, genes)
        own = half_life_features(annotation, genome, genes)
        published = half_life_features(annotation, genome, genes, scale="published")
    others = [name for name in HALF_LIFE_FEATURES if name not in LENGTHS]
    for scaled in (own, published):
        pd.testing.assert_frame_equal(scaled[others], raw[others])
    # Of two values one is a standard deviation below the mean, and the other above.
    assert own[list(LENGTHS)].abs().to_numpy() == pytest.approx(1.0)
    mean, deviation = PUBLISHED_SCALE["CDSLEN"]
    assert published["CDSLEN"].iloc[0] == pytest.approx((np.log10(26.1) - mean) / deviation)


def test_z_scores_by_hand() -> None:
    logs = [-1.0, 1.0, 2.0]
    lengths = pd.Series([10**value - 0.1 for value in logs[:2]] + [np.nan, 10 ** logs[2] - 0.1])
    mean = 2 / 3
    deviation = ((1 + 2 / 3) ** 2 + (1 / 3) ** 2 + (4 / 3) ** 2) ** 0.5 / 3**0.5
    expected = [(value - mean) / deviation for value in logs]
    found = length_z_scores(lengths).to_numpy()
    assert found[[0, 1, 3]] == pytest.approx(expected) and np.isnan(found[2])
    assert (length_z_scores(pd.Series([19.0] * 3000)) == 0).all()


def published_lengths(shared_data: Path) -> pd.DataFrame:
    """The published table, with the lengths in bp that its z-scores come from."""
    table = pd.read_csv(shared_data / "k562" / "mRNA_halflife_features.csv.gz").set_index("gene_id")
    for name, (mean, deviation) in PUBLISHED_SCALE.items():
        table[name] = 10 ** (mean + deviation * table[f"{name}_log10zscore"]) - 0.1
    return table


@pytest.mark.real_data
def test_the_published_transformation(shared_data: Path) -> None:
    table = published_lengths(shared_data)
    assert len(table) == 18_377
    for name in LENGTHS:
        whole = table[name].round()
        # Whole numbers, at least to seven digits after the point, are no accident.
        assert (table[name] - whole).abs().max() < 1e-7
        assert (length_z_scores(whole) - table[f"{name}_log10zscore"]).abs().max() < 1e-12
        logs = np.log10(whole + 0.1)
        assert PUBLISHED_SCALE[name] == pytest.approx((logs.mean(), logs.std(ddof=0)), abs=1e-12)
    # ORFEXONDENSITY is a whole number of exons per kb of CDSLEN, rounded to two digits.
    exons = (table["ORFEXONDENSITY"] * table["CDSLEN"] / 1000).round()
    assert exons.min() == 1
    assert (1000 * exons / table["CDSLEN"] - table["ORFEXONDENSITY"]).abs().max() <= 0.005 + 1e-9


@pytest.mark.real_data
def test_a_real_gene(shared_data: Path, tmp_path: Path) -> None:
    """H1F0 is one exon; near its TSS its published lengths fit one place that begins with ATG and ends with a stop."""
    gene = published_lengths(shared_data).loc["ENSG00000189060"]
    utr5, cds, utr3 = (round(gene[name]) + 1 for name in ("UTR5LEN", "CDSLEN", "UTR3LEN"))
    length = utr5 + cds + 3 + utr3
    with open_genome(shared_data / "k562_chr22" / "chr22_hg38_37200001-40600000.fa.gz") as genome:
        first = 37_804_900
        bases = "".join("ACGT"[code] for code in genome.codes("chr22", first, first + 600 + length))
        places = [
            first + shift
            for shift in range(600)
            if bases[shift + utr5 :].startswith("ATG")
            and bases[shift + utr5 + cds : shift + utr5 + cds + 3] in ("TAA", "TAG", "TGA")
        ]
        assert places == [37_805_092]
        exon = (places[0] + 1, places[0] + length)
        made = Made(
            *("ENSG00000189060", "5", "H1F0", "protein_coding", "chr22", "+"),
            [Spliced("T", [exon], (utr5, utr5 + cds + 3))],
        )
        annotation = read_annotation(file(tmp_path, "genes.gtf", text_of([made], "gencode.gtf")))
        found = half_life_features(annotation, genome, genes_of(annotation), scale="published").iloc[0]
    for name in LENGTHS:
        assert found[name] == pytest.approx(gene[f"{name}_log10zscore"], abs=1e-12)
    for name in ("UTR5GC", "CDSGC", "UTR3GC"):
        assert found[name] == pytest.approx(gene[name], abs=0.0005 + 1e-9)
    assert found["ORFEXONDENSITY"] == pytest.approx(gene["ORFEXONDENSITY"], abs=0.005 + 1e-9)
