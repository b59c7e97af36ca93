"""The reads' files against what other programs' libraries read from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pybigtools
import pysam
import pytest
import yaml

from epinformer.bases import encode
from epinformer.simulation.tracks import _bin

EXPERIMENTS = ("dnase", "h3k27ac.rep1", "h3k27ac.rep2")


def bedgraph(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", names=["chrom", "start", "end", "count"])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_counting_the_bam_gives_the_tables(folder: Path, name: str) -> None:
    tables = [bedgraph(folder / f"{name}.{what}.bedgraph") for what in ("elements", "promoters")]
    assert tables[1]["count"].sum() > 0
    with pysam.AlignmentFile(str(folder / f"{name}.bam")) as bam:
        for table in tables:
            counted = [bam.count(*row) for row in zip(table["chrom"], table["start"], table["end"], strict=True)]
            assert counted == table["count"].tolist()


def test_tables_are_of_the_elements_and_of_500_bp_around_each_tss(folder: Path) -> None:
    genes = pd.read_csv(folder / "genes.bed", sep="\t", names=["chrom", "start", "end", "id", "score", "strand"])
    truth = pd.read_csv(folder / "truth" / "genes.tsv", sep="\t")
    assert ((genes["start"] + genes["end"]) // 2 == truth["tss"]).all()
    assert (genes["end"] - genes["start"] == 1_000).all()
    elements = pd.read_csv(folder / "truth" / "elements.tsv", sep="\t")
    for name in EXPERIMENTS:
        for what, table in (("elements", elements), ("promoters", genes)):
            counts = bedgraph(folder / f"{name}.{what}.bedgraph")
            assert counts[["chrom", "start", "end"]].equals(table[["chrom", "start", "end"]])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_bam_is_sorted_and_its_reads_are_those_of_the_genome(
    folder: Path, genome: dict[str, np.ndarray], name: str
) -> None:
    settings = yaml.safe_load((folder / "config.yaml").read_text())["signals"]
    totals = {
        item["elements"].removesuffix(".elements.bedgraph"): item["total_reads"]
        for value in settings.values()
        for item in value
    }
    with pysam.AlignmentFile(str(folder / f"{name}.bam"), require_index=True) as bam:
        assert (bam.mapped, bam.unmapped) == (totals[name], 0)
        assert bam.header["HD"] == {"VN": "1.6", "SO": "coordinate"} and "PG" not in bam.header
        assert dict(zip(bam.references, bam.lengths, strict=True)) == {key: len(value) for key, value in genome.items()}
        before, names = (-1, -1), set()
        for number, read in enumerate(bam.fetch(until_eof=True)):
            place = (read.reference_id, read.reference_start)
            assert place >= before
            before = place
            if number % 500 == 0:
                assert read.cigarstring == "36M" and read.mapping_quality == 60
                assert read.flag in (0, 16) and set(read.query_qualities) == {37}
                bases = genome[read.reference_name][read.reference_start : read.reference_end]
                assert np.array_equal(encode(read.query_sequence.encode()), bases)
                names.add(read.query_name)
        assert number + 1 == totals[name] and len(names) == number // 500 + 1


def test_bins_are_those_of_the_format() -> None:
    starts = np.array(
        [0, 16_383, 16_384 - 36, 16_384 - 35, 131_072 - 10, 1_048_576 - 1, 8_388_608 - 5, 67_108_864 - 20]
    )
    header = pysam.AlignmentHeader.from_dict({"SQ": [{"SN": "c", "LN": 100_000_000}]})
    for start, found in zip(starts, _bin(starts), strict=True):
        read = pysam.AlignedSegment(header)
        read.query_sequence, read.cigarstring = "A" * 36, "36M"
        read.reference_id, read.reference_start = 0, int(start)
        assert read.bin == found


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_bigwig_is_coverage_in_reads_per_million(folder: Path, name: str) -> None:
    with (
        pysam.AlignmentFile(str(folder / f"{name}.bam")) as bam,
        pybigtools.open(str(folder / f"{name}.bw")) as track,
    ):
        assert dict(track.chroms()) == dict(zip(bam.references, bam.lengths, strict=True))
        for chrom, length in (("chr7", bam.get_reference_length("chr7")), ("chrX", bam.get_reference_length("chrX"))):
            for start, end in ((100_000, 100_600), (200_050, 203_050), (length - length % 50 - 100, length)):
                depth = np.sum(bam.count_coverage(chrom, start, end), axis=0) * 1e6 / bam.mapped
                expected = [depth[i : i + 50].mean() for i in range(0, len(depth), 50)]
                values = track.values(chrom, start, end, fillna=0)
                assert values[::50] == pytest.approx(expected, rel=1e-5, abs=1e-9)
