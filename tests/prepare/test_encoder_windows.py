"""Windows of small peaks, genomes and BAM files, computed by hand."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest

from epinformer.dataset.store import open_dataset
from epinformer.errors import ConfigError, InputError
from epinformer.prepare.build import prepare
from epinformer.prepare.encoder_windows import encoder_windows, windows_around
from epinformer.prepare.steps import Filters, Share

LENGTH = 60_000
CODES = {"A": 0, "C": 1, "G": 2, "T": 3, "N": 4}


def write_bam(path: Path, reads: list[tuple[str, int, int]], chroms: tuple[str, ...] = ("chr1", "chr2")) -> None:
    """(chrom, start, how many) of reads of 10 bp."""
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": name, "LN": LENGTH} for name in chroms]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for chrom, start, count in sorted(reads):
            for _ in range(count):
                row = pysam.AlignedSegment(bam.header)
                row.query_name, row.flag, row.mapping_quality = "r", 0, 60
                row.reference_id, row.reference_start, row.cigarstring = chroms.index(chrom), start, "10M"
                row.query_sequence = "ACGTACGTAC"
                bam.write(row)
    pysam.index(str(path))


def narrow(*peaks: tuple[str, int, int, int]) -> str:
    return "".join(f"{chrom}\t{start}\t{end}\t.\t0\t.\t1\t1\t1\t{offset}\n" for chrom, start, end, offset in peaks)


def steps(dataset: Any) -> list[tuple[str, int, int]]:
    return [(step.step, step.before, step.after) for step in dataset.manifest.filters if step.table == "windows"]


@pytest.fixture
def peaked(world: Any) -> Any:
    """The world with two peaks, four DNase reads and two replicates of H3K27ac."""
    # Summits 12,000 and 40,100: windows from 11,716 11,872 12,028 and 39,816 39,972 40,128.
    (world.folder / "p.narrowPeak").write_text(narrow(("chr1", 11_900, 12_400, 100), ("chr2", 40_000, 40_200, -1)))
    write_bam(world.folder / "dnase.bam", [("chr1", 11_990, 1), ("chr1", 12_100, 3), ("chr2", 9_000, 4)])
    write_bam(world.folder / "0.bam", [("chr1", 12_120, 1), ("chr1", 30_000, 1)])
    write_bam(world.folder / "1.bam", [("chr1", 12_000, 1), ("chr2", 40_090, 3)])
    world.config["encoder_windows"] = {
        "peaks": "p.narrowPeak",
        "reads": {"dnase": ["dnase.bam"], "h3k27ac": ["0.bam", "1.bam"]},
    }
    return world


def test_windows_and_their_activity(peaked: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="epinformer"):
        dataset = peaked.prepare()
    windows = dataset.windows
    assert list(windows) == ["chrom", "start", "end", "dnase_rpm", "h3k27ac_rpm", "activity"]
    assert windows["chrom"].tolist() == ["chr1"] * 3 + ["chr2"] * 3
    assert windows["start"].tolist() == [11_716, 11_872, 12_028, 39_816, 39_972, 40_128]
    assert (windows["end"] - windows["start"]).eq(256).all()
    # Of 8 DNase reads those at 11,990 lie over [11,872, 12,128) only, those at 12,100 also over [12,028, 12,284).
    assert windows["dnase_rpm"].tolist() == [0, 500_000, 375_000, 0, 0, 0]
    # The read at 12,120 ends at 12,130 and so is over both; that at 12,000 over the middle one.
    assert windows["h3k27ac_rpm"].tolist() == [0, 375_000, 250_000, 0, 375_000, 0]
    expected = [0, math.sqrt(5e5 * 3.75e5), math.sqrt(3.75e5 * 2.5e5), 0, 0, 0]
    assert windows["activity"].tolist() == pytest.approx(expected)
    for codes, (chrom, start, end) in zip(
        dataset.window_codes, windows[["chrom", "start", "end"]].itertuples(index=False), strict=True
    ):
        assert codes.tolist() == [CODES[base] for base in peaked.sequence[chrom][start:end].upper()]
    assert steps(dataset) == [("beyond the chromosome's ends", 6, 6), ("the same as another", 6, 6)]
    assert "6 windows, 4 of them with activity 0" in caplog.text


def test_manifest(peaked: Any) -> None:
    manifest = peaked.prepare().manifest
    assert manifest.rows["windows"] == 6
    assert {"windows.parquet", "windows.npy"} < set(manifest.files)
    assert manifest.inputs["encoder_windows.reads.h3k27ac[1].reads"].path == "1.bam"
    assert manifest.transforms["windows.h3k27ac_rpm"] == (
        "signal over the region / all of it (2 reads in 0.bam and 4 reads in 1.bam) * 1e6, mean of 2 replicates"
    )
    assert manifest.transforms["windows.activity"] == "sqrt(dnase_rpm * h3k27ac_rpm)"
    assert manifest.config["encoder_windows"]["stride"] == 156


def test_other_tables_are_as_without_windows(peaked: Any) -> None:
    with_windows = peaked.prepare()
    del peaked.config["encoder_windows"]
    peaked.output = peaked.folder / "plain.dataset"
    plain = peaked.prepare()
    assert plain.windows is None and plain.window_codes is None
    for name in ("genes.parquet", "elements.parquet", "pairs.parquet", "sequence.npy"):
        assert plain.manifest.files[name] == with_windows.manifest.files[name]
    assert plain.content_hash() != with_windows.content_hash()


def test_atac_alone_and_other_numbers(peaked: Any) -> None:
    peaked.config["encoder_windows"] |= {"windows": 1, "stride": 1, "reads": {"atac": ["1.bam"]}}
    windows = peaked.prepare().windows
    assert windows["start"].tolist() == [11_872, 39_972]
    assert windows["activity"].tolist() == windows["atac_rpm"].tolist() == [250_000, 750_000]


def test_windows_beyond_the_ends_and_repeated(peaked: Any) -> None:
    # The first window that fits begins at 0, the last ends at 60,000; 156 bp on, two summits share two windows.
    (peaked.folder / "p.narrowPeak").write_text(
        narrow(("chr1", 100, 200, 28), ("chr1", 59_700, 60_000, 172), ("chr2", 500, 800, 0), ("chr2", 500, 800, 156))
    )
    dataset = peaked.prepare()
    assert dataset.windows["start"].tolist() == [0, 156, 59_588, 59_744, 216, 372, 528, 684]
    assert steps(dataset) == [("beyond the chromosome's ends", 12, 10), ("the same as another", 10, 8)]


def test_styles_of_names(peaked: Any) -> None:
    plain = peaked.prepare()
    path = peaked.folder / "p.narrowPeak"
    path.write_text(path.read_text().replace("chr", ""))
    write_bam(peaked.folder / "0.bam", [("1", 12_120, 1), ("1", 30_000, 1)], ("1", "2"))
    peaked.output = peaked.folder / "mixed.dataset"
    mixed = peaked.prepare()
    assert mixed.windows.equals(plain.windows)
    assert np.array_equal(mixed.window_codes, plain.window_codes)


def test_peaks_of_another_assembly(peaked: Any) -> None:
    (peaked.folder / "p.narrowPeak").write_text(
        narrow(("chr1", 500, 800, -1), ("chr1", 59_900, 60_001, 0), ("chr9", 5, 9, 0))
    )
    message = (
        r"p\.narrowPeak: has peaks outside the genome \(2 affected; first: chr1:59900-60001, but chr1 of .* 60,000\)"
    )
    with pytest.raises(InputError, match=message):
        peaked.prepare()
    peaked.config["genome"]["outside"] = "drop"
    dataset = peaked.prepare()
    assert steps(dataset)[0] == ("outside the genome", 9, 3)
    assert dataset.windows["start"].tolist() == [366, 522, 678]
    assert not [path for path in peaked.folder.iterdir() if path.name.startswith(".tmp")]


def test_a_locus(peaked: Any) -> None:
    peaked.cut(4_000, 36_000)
    (peaked.folder / "p.narrowPeak").write_text(
        narrow(("chr1", 3_900, 4_500, 384), ("chr1", 35_700, 36_500, 172), ("chr2", 9_000, 9_100, 0))
    )
    dataset = peaked.prepare()
    # Summits 4,284 and 35,872: the first's left window begins at 4,000, the second's middle one ends at 36,000.
    assert dataset.windows["start"].tolist() == [4_000, 4_156, 4_312, 35_588, 35_744]
    assert steps(dataset) == [
        ("outside the genome", 9, 5),
        ("beyond the chromosome's ends", 5, 5),
        ("the same as another", 5, 5),
    ]


def test_a_locus_that_must_hold_all(peaked: Any) -> None:
    peaked.cut(4_000, 36_000, outside="error")
    keep = [i for i, (chrom, _, end) in enumerate(peaked.elements) if chrom == "chr1" and end <= 36_000]
    peaked.elements = [peaked.elements[i] for i in keep]
    peaked.dnase = [peaked.dnase[i] for i in keep]
    peaked.h3k27ac = [[counts[i] for i in keep] for counts in peaked.h3k27ac]
    peaked.genes = peaked.genes[:1]
    peaked.promoter_dnase = peaked.promoter_dnase[:1]
    peaked.promoter_h3k27ac = [counts[:1] for counts in peaked.promoter_h3k27ac]
    (peaked.folder / "p.narrowPeak").write_text(narrow(("chr1", 35_700, 36_500, 172)))
    message = (
        r"has windows outside the genome \(1 affected; first: chr1:35900-36156, but genome\.fa holds chr1:4000-36000"
    )
    with pytest.raises(InputError, match=message):
        peaked.prepare()
    (peaked.folder / "p.narrowPeak").write_text(narrow(("chr1", 34_700, 36_500, 172)))
    assert len(peaked.prepare().windows) == 3


def test_no_window_is_left(peaked: Any) -> None:
    peaked.config["genome"]["outside"] = "drop"
    peaked.config["encoder_windows"]["windows"] = 1
    (peaked.folder / "p.narrowPeak").write_text(narrow(("chr2", 59_000, 60_000, 999)))
    with pytest.raises(InputError, match=r"p\.narrowPeak: none of its windows is left after the filters\. Check"):
        peaked.prepare()
    assert peaked.nothing_left()


def test_a_bam_without_index_is_read_all_the_same(peaked: Any) -> None:
    indexed = peaked.prepare()
    (peaked.folder / "1.bam.bai").unlink()
    peaked.output = peaked.folder / "streamed.dataset"
    assert prepare(peaked.load(), peaked.output).rows == indexed.manifest.rows
    assert indexed.windows is not None
    assert indexed.windows.equals(open_dataset(peaked.output).windows)


def test_a_bam_that_is_not_there(peaked: Any) -> None:
    (peaked.folder / "1.bam").unlink()
    with pytest.raises(
        InputError, match=r"not there \(1 affected; first: 1\.bam \(encoder_windows\.reads\.h3k27ac\[1\]\.reads\)"
    ):
        peaked.prepare()


def test_progress(peaked: Any) -> None:
    peaked.write()
    seen: list[int] = []
    prepare(peaked.load(), peaked.output, progress=lambda done, total: seen.append(done))
    assert seen == sorted(seen) and seen[-1] == 100
    # Three BAM files in a fifth of the whole, before the bases of the windows and the rest.
    assert len({value for value in seen if 60 < value < 90}) > 2


def test_windows_that_are_not_asked_for(world: Any) -> None:
    world.write()
    with pytest.raises(ConfigError, match="encoder_windows: is missing"):
        encoder_windows(world.load(), None, [], Filters(), Share(None))  # type: ignore[arg-type]


def test_the_paper_s_windows_overlap_by_100_bp() -> None:
    table = windows_around(pd.DataFrame({"chrom": ["chr1"], "summit": [1_000]}), 3, 156)
    assert table.to_dict("list") == {
        "chrom": ["chr1"] * 3,
        "start": [716, 872, 1_028],
        "end": [972, 1_128, 1_284],
        "peak": [0, 0, 0],
    }
    assert windows_around(pd.DataFrame({"chrom": ["a", "b"], "summit": [500, 9]}), 5, 10)["start"].tolist() == [
        352, 362, 372, 382, 392, -139, -129, -119, -109, -99,
    ]  # fmt: skip
