"""The regions that become elements, from each of their sources."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from epinformer.dataset.store import open_dataset
from epinformer.errors import InputError
from epinformer.prepare.element_regions import tss_windows
from epinformer.prepare.genes import gene_list

TAGS = "".join(f"chr1\t{start}\t{start + 36}\tN\t1000\t+\n" for start in (100, 25_100, 25_110, 35_200, 35_210, 35_220))


@pytest.fixture
def raw(world: Any) -> Any:
    """The small world with tags in the place of counted tables, and three peaks."""
    (world.folder / "dnase.tagAlign").write_text(TAGS)
    peaks = [("chr1", 25_000, 25_400, 150), ("chr1", 35_100, 35_500, 120), ("chr2", 1_000, 1_700, 300)]
    rows = [f"{chrom}\t{start}\t{end}\t.\t0\t.\t1\t1\t1\t{summit}\n" for chrom, start, end, summit in peaks]
    (world.folder / "dnase.narrowPeak").write_text("".join(rows))
    world.config["signals"] = {"dnase": ["dnase.tagAlign"]}
    world.config["elements"] = {"peaks": "dnase.narrowPeak", "promoters": False}
    return world


def ids(world: Any) -> list[str]:
    return world.prepare().elements["element_id"].tolist()


def test_around_the_summits(raw: Any) -> None:
    assert ids(raw) == ["chr1:24900-25400", "chr1:34970-35470", "chr2:1050-1550"]


def test_the_strongest(raw: Any) -> None:
    raw.config["elements"]["strongest"] = 2
    dataset = raw.prepare()
    assert dataset.elements["element_id"].tolist() == ["chr1:24900-25400", "chr1:34970-35470"]
    assert dataset.elements["dnase_rpm"].tolist() == [2e6 / 6, 3e6 / 6]
    assert [
        (step.step, step.before, step.after) for step in dataset.manifest.filters if step.table == "merged peaks"
    ] == [("beyond the strongest 2", 3, 2)]


def test_promoters_blocklist_and_include(raw: Any) -> None:
    raw.config["elements"] |= {"promoters": True, "blocklist": "block.bed", "include": "more.bed", "flank": 100}
    (raw.folder / "block.bed").write_text("1\t25200\t25201\n")
    (raw.folder / "more.bed").write_text("chr2\t1400\t2000\nchr2\t5000\t5100\n")
    assert ids(raw) == [
        "chr1:500-700",
        "chr1:19900-20100",
        "chr1:29900-30100",
        "chr1:35120-35320",
        "chr2:1200-2000",
        "chr2:5000-5100",
        "chr2:49900-50100",
    ]


def test_classes(raw: Any) -> None:
    raw.config["elements"]["promoters"] = True
    elements = raw.prepare().elements
    assert elements["class"].tolist().count("promoter") == 4
    assert "gene bodies not being known" in open_dataset(raw.output).manifest.transforms["class"]


def test_called_peaks(raw: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that stands in for MACS writes the peaks, whatever the reads are."""
    program = tmp_path / "bin" / "macs3"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport shutil, sys\n"
        "arguments = sys.argv\n"
        "folder = arguments[arguments.index('--outdir') + 1]\n"
        "name = arguments[arguments.index('-n') + 1]\n"
        "assert arguments[arguments.index('-g') + 1] == '108000'\n"
        f"shutil.copy({str(raw.folder / 'dnase.narrowPeak')!r}, f'{{folder}}/{{name}}_peaks.narrowPeak')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    del raw.config["elements"]["promoters"]
    del raw.config["elements"]["peaks"]
    raw.config["elements"] = {"promoters": False}
    assert ids(raw) == ["chr1:24900-25400", "chr1:34970-35470", "chr2:1050-1550"]


def test_no_program_to_call_peaks(raw: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    del raw.config["elements"]
    with pytest.raises(InputError, match=r"elements\.peaks"):
        raw.prepare()
    assert not raw.output.exists()


def test_peaks_cannot_be_called_on_fragments(raw: Any) -> None:
    rows = "".join(f"chr1\t{start}\t{start + 200}\tAAACGAAAGTTT-1\t1\n" for start in range(100, 900, 100))
    (raw.folder / "fragments.tsv").write_text(rows)
    raw.config["signals"] = {"atac": [{"reads": "fragments.tsv", "unit": "cut"}]}
    del raw.config["elements"]
    with pytest.raises(InputError, match=r"fragments\.tsv: holds fragments, on which peaks cannot be called here"):
        raw.prepare()


def test_empty_peaks(raw: Any) -> None:
    (raw.folder / "dnase.narrowPeak").write_text("")
    with pytest.raises(InputError, match=r"dnase\.narrowPeak: is empty"):
        raw.prepare()


def test_no_reads_at_all(raw: Any) -> None:
    (raw.folder / "dnase.tagAlign").write_text("chr1\t100\t136\tN\t0\t+\n")
    raw.config["signals"]["dnase"] = [{"reads": "dnase.tagAlign", "min_mapping_quality": 30}]
    with pytest.raises(InputError, match=r"dnase\.tagAlign: "):
        raw.prepare()
    assert not raw.output.exists()


def test_windows_end_where_chromosomes_do(raw: Any) -> None:
    raw.write()
    genes = gene_list(raw.load()).table
    windows = tss_windows(genes, 1_000, {"chr1": 20_500})
    assert windows["start"].tolist() == [19_000, 29_000, 0, 49_000]
    assert windows["end"].tolist() == [20_500, 29_001, 1_600, 51_000]
