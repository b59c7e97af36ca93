from __future__ import annotations

import hashlib
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epinformer import files
from epinformer.dataset.store import HALF_LIFE_FEATURES
from epinformer.errors import InputError, OutputError
from epinformer.prepare import build, sequence
from epinformer.prepare.build import prepare

CODES = {"A": 0, "C": 1, "G": 2, "T": 3, "N": 4}


def steps(dataset: Any) -> list[tuple[str, str, int, int]]:
    return [(step.table, step.step, step.before, step.after) for step in dataset.manifest.filters]


def test_everything_at_once(world: Any) -> None:
    dataset = world.prepare()
    genes, elements, pairs = dataset.genes, dataset.elements, dataset.pairs
    assert list(genes) == [
        "gene_id", "gene_name", "chrom", "tss", "strand", *HALF_LIFE_FEATURES,
        "promoter_dnase_rpm", "promoter_h3k27ac_rpm", "promoter_activity", "expression_rna",
    ]  # fmt: skip
    assert genes["gene_id"].tolist() == ["G1", "G2", "G3", "G4"]
    assert genes["gene_name"].tolist() == ["nameG1", "nameG2", "nameG3", "nameG4"]
    assert genes["tss"].tolist() == [20_000, 30_000, 600, 50_000]
    assert genes.loc[2, list(HALF_LIFE_FEATURES)].tolist() == [2 + 0.25 * i for i in range(8)]
    assert genes["expression_rna"].tolist() == [-1.0, -0.5, 0.0, 0.5]
    # RPM: 100 of 2 M reads is 50; H3K27ac 8 of 1 M and 1 of 4 M average to 4.125.
    assert genes["promoter_dnase_rpm"].tolist() == [50, 25, 0, 12.5]
    assert genes["promoter_h3k27ac_rpm"].tolist() == [4.125, 2.125, 1.125, 0.625]
    assert genes["promoter_activity"].tolist() == pytest.approx([math.sqrt(50 * 4.125), math.sqrt(25 * 2.125), 0,
                                                                 math.sqrt(12.5 * 0.625)])  # fmt: skip
    assert elements["element_id"].tolist()[2] == "chr1:25000-29001"
    assert elements.loc[2, ["start", "end", "sequence_length"]].tolist() == [26_000, 28_000, 2_000]
    assert elements["dnase_rpm"].tolist() == [5, 10, 15, 20, 25, 30]
    assert elements["h3k27ac_rpm"].tolist() == [2.25, 0.25, 4.25, 6.25, 8.25, 10.25]
    assert elements["activity"].tolist() == pytest.approx(
        [math.sqrt(d * h) for d, h in zip(elements["dnase_rpm"], elements["h3k27ac_rpm"], strict=True)]
    )
    # Midpoints: 10,250 19,950 27,000 35,300 | 1,350 | 40,250. TSS: 20,000+ 30,000- 600+ | 50,000-.
    expected = [
        (0, 2, 7_000), (0, 0, -9_750), (0, 3, 15_300), (0, 5, 20_250),
        (1, 2, 3_000), (1, 3, -5_300), (1, 1, 10_050), (1, 5, -10_250), (1, 0, 19_750),
        (2, 0, 9_650), (2, 1, 19_350), (2, 2, 26_400), (2, 3, 34_700), (2, 5, 39_650),
        (3, 4, 48_650),
    ]  # fmt: skip
    assert list(pairs[["gene_index", "element_index", "distance"]].itertuples(index=False, name=None)) == expected
    # G4 has one candidate in all, so its share is everything.
    assert pairs["abc_score"].iloc[-1] == pytest.approx(1)
    assert "contact" not in pairs


def test_sequences_are_those_of_the_genome(world: Any) -> None:
    dataset = world.prepare()
    offsets = dataset.sequence_offsets
    intervals = [(chrom, tss - 1_000, tss + 1_000) for chrom, tss in zip(dataset.genes["chrom"], dataset.genes["tss"],
                                                                         strict=True)]  # fmt: skip
    intervals += list(dataset.elements[["chrom", "start", "end"]].itertuples(index=False, name=None))
    for i, (chrom, start, end) in enumerate(intervals):
        expected = [CODES[base] for base in world.sequence[chrom][max(start, 0) : end].upper()]
        # G3 lies 600 bp from the chromosome's start: 400 positions have no base.
        expected = [5] * max(-start, 0) + expected
        assert dataset.codes[offsets[i] : offsets[i + 1]].tolist() == expected


def test_manifest(world: Any) -> None:
    world.config["contact"] = {"constant": 0.5}
    dataset = world.prepare()
    manifest = dataset.manifest
    assert (manifest.assembly, manifest.cell_type) == ("toy", "K562")
    assert manifest.config["pairs"] == {"min_distance": 1000, "max_distance": 100000, "max_elements": 60}
    assert "root" not in manifest.config
    assert len(manifest.inputs) == 10
    file = manifest.inputs["signals.h3k27ac[1].promoters"]
    content = (world.folder / "h3k27ac.1.tss.bedgraph").read_bytes()
    assert (file.path, file.bytes) == ("h3k27ac.1.tss.bedgraph", len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert manifest.transforms["activity"] == "sqrt(dnase_rpm * h3k27ac_rpm)"
    assert manifest.transforms["UTR5LEN"] == "column UTR5LEN_log10zscore as given"
    assert set(dataset.pairs["contact"]) == {0.5}
    # Every column that was computed is explained.
    columns = {*dataset.genes.columns[5:], "element_id", *dataset.elements.columns[4:], *dataset.pairs.columns[2:]}
    assert columns == set(manifest.transforms)


def test_the_same_data_elsewhere_give_the_same_dataset(world: Any, tmp_path: Path) -> None:
    first = world.prepare()
    world.output = tmp_path / "again.dataset"
    second = world.prepare()
    assert (first.path / "dataset.json").read_bytes() == (second.path / "dataset.json").read_bytes()


def test_order_of_rows_may_differ_between_files(world: Any) -> None:
    plain = world.prepare()
    world.write()
    for name in ("h3k27ac.0.bedgraph", "dnase.tss.bedgraph", "h3k27ac.1.tss.bedgraph"):
        lines = (world.folder / name).read_text().splitlines(keepends=True)
        (world.folder / name).write_text("".join(reversed(lines)))
    world.output = world.folder / "reversed.dataset"
    shuffled = world.prepare(rewrite=False)
    assert shuffled.genes.equals(plain.genes) and shuffled.elements.equals(plain.elements)


def test_chromosome_styles_are_reconciled_and_said(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    plain = world.prepare()
    world.write()
    for name in ("dnase.bedgraph", "h3k27ac.1.tss.bedgraph", "genome.fa"):
        path = world.folder / name
        path.write_text(path.read_text().replace("chr", ""))
    world.output = world.folder / "mixed.dataset"
    with caplog.at_level(logging.INFO, logger="epinformer"):
        mixed = world.prepare(rewrite=False)
    assert mixed.elements.equals(plain.elements) and mixed.genes.equals(plain.genes)
    assert np.array_equal(mixed.codes, plain.codes)
    assert "dnase.bedgraph: 2 chromosome names are read in the other files' style (1 as chr1)" in caplog.text


def test_genes_that_share_a_tss_window(world: Any) -> None:
    world.genes[1][:3] = world.genes[0][:3]
    world.promoter_dnase[1] = world.promoter_dnase[0]
    dataset = world.prepare()
    assert dataset.genes["promoter_dnase_rpm"].tolist()[:2] == [50, 50]


def test_without_half_life_and_expression(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    world.half_life[0][4] = "NA"
    del world.half_life[2]
    del world.expression[3]
    with caplog.at_level(logging.INFO, logger="epinformer"):
        dataset = world.prepare()
    assert dataset.genes["gene_id"].tolist() == ["G2", "G4"]
    assert dataset.genes["expression_rna"].isna().tolist() == [False, True]
    assert steps(dataset)[0] == ("genes", "without half-life features", 4, 2)
    assert "kept 2 of 4 genes: 2 without half-life features" in caplog.text
    assert "1 of 2 genes have no rna expression and are kept" in caplog.text


def test_keep_without_half_life_drop_without_expression(world: Any) -> None:
    del world.half_life[2]
    world.expression[3][1] = "nan"
    world.config["genes"] |= {"without_half_life": "keep", "without_expression": "drop"}
    dataset = world.prepare()
    assert dataset.genes["gene_id"].tolist() == ["G1", "G2", "G3"]
    assert dataset.genes[list(HALF_LIFE_FEATURES)].isna().all(axis=1).tolist() == [False, False, True]
    assert dataset.genes["gene_name"].tolist() == ["nameG1", "nameG2", "G3"]
    assert ("genes", "without rna expression", 4, 3) in steps(dataset)


def test_a_gene_without_elements_is_kept(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    del world.elements[4]
    for counts in (world.dnase, *world.h3k27ac):
        del counts[4]
    with caplog.at_level(logging.INFO, logger="epinformer"):
        dataset = world.prepare()
    assert np.diff(dataset.pair_offsets).tolist() == [4, 5, 5, 0]
    assert "1 of 4 genes have no element in range and are kept" in caplog.text


def test_cap_is_recorded(world: Any) -> None:
    world.config["pairs"] = {"max_elements": 3}
    dataset = world.prepare()
    assert np.diff(dataset.pair_offsets).tolist() == [3, 3, 3, 1]
    assert steps(dataset)[-1] == ("pairs", "beyond a gene's 3 nearest elements", 15, 10)


def test_only_what_must_be_there(world: Any) -> None:
    for name in ("genome", "half_life", "expression"):
        del world.config[name]
    del world.config["signals"]["h3k27ac"]
    world.config["signals"]["atac"] = world.config["signals"].pop("dnase")
    dataset = world.prepare()
    assert not dataset.has_sequence
    assert list(dataset.genes)[5:] == ["promoter_atac_rpm", "promoter_activity"]
    assert dataset.elements["activity"].equals(dataset.elements["atac_rpm"].rename("activity"))
    assert dataset.genes["gene_name"].equals(dataset.genes["gene_id"].rename("gene_name"))


def test_elements_of_a_table_and_an_extra_signal(world: Any) -> None:
    world.config["elements"] = "regions.bed"
    world.config["signals"] = {"ctcf": world.config["signals"]["dnase"], **world.config["signals"]}
    world.table("regions.bed", list(reversed(world.elements)))
    dataset = world.prepare()
    assert dataset.elements["element_id"].iloc[0] == "chr1:40000-40500"
    assert dataset.elements["ctcf_rpm"].tolist() == [30, 25, 20, 15, 10, 5]
    assert "promoter_ctcf_rpm" in dataset.genes


def test_contact_table(world: Any) -> None:
    world.config["contact"] = {"table": "contacts.tsv", "missing": 0.0}
    rows = [["gene_id", "chr", "start", "end", "contact"], ["G1", "chr1", 25_000, 29_001, 7.5], ["G4", "chr2", 1_000,
            1_700, 2.5], ["G9", "chr2", 1_000, 1_700, 2.5]]  # fmt: skip
    world.table("contacts.tsv", rows)
    contact = world.prepare().pairs["contact"]
    assert contact.tolist() == [7.5] + [0.0] * 13 + [2.5]


def test_a_locus_keeps_what_lies_wholly_inside(world: Any) -> None:
    whole = world.prepare()
    # 16 kb around the TSS at 20,000 reach from 4,000 to 36,000, exactly the locus.
    world.cut(4_000, 36_000)
    world.output = world.folder / "locus.dataset"
    dataset = world.prepare()
    assert dataset.genes["gene_id"].tolist() == ["G1"]
    assert ("genes", "outside the genome", 4, 1) in steps(dataset)
    assert ("elements", "outside the genome", 6, 4) in steps(dataset)
    # The score's sum is over all candidates, so a locus gives the same score as the whole.
    scores = dict(zip(whole.pairs["element_index"][:4], whole.pairs["abc_score"][:4], strict=True))
    assert dataset.pairs["abc_score"].tolist() == [scores[e] for e in dataset.pairs["element_index"]]
    assert [CODES[b] for b in world.sequence["piece range=chr1:4001-36000"][15_000:17_000].upper()] == dataset.codes[
        :2_000
    ].tolist()


@pytest.mark.parametrize(("start", "end"), [(4_001, 36_000), (4_000, 35_999)])
def test_a_locus_one_base_short(world: Any, start: int, end: int) -> None:
    world.cut(start, end)
    with pytest.raises(InputError, match=r"genes\.bed: none of its genes is left after the filters"):
        world.prepare()
    assert world.nothing_left()


def test_progress_ends_at_the_total(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, "_REPORT_EVERY", 2)
    monkeypatch.setattr(files, "_HASHED_BYTES", 20_000)
    world.write()
    seen: list[tuple[int, int]] = []
    prepare(world.load(), world.output, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {100}
    done = [value for value, _ in seen]
    assert done == sorted(done) and done[-1] == 100 and len(set(done)) > 5
    # Hashing a genome takes a while, so it has its share.
    assert len([value for value in set(done) if value <= 10]) > 3


def test_output_that_exists(world: Any) -> None:
    world.prepare()
    with pytest.raises(OutputError, match="already exists.*--overwrite"):
        prepare(world.load(), world.output)
    world.config["cell_type"] = "other"
    assert prepare(world.load(), world.output, overwrite=True).cell_type == "other"


def test_output_that_is_refused_before_the_work(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.prepare()
    monkeypatch.setattr(build, "check", lambda *arguments: pytest.fail("the inputs must not be read"))
    (world.folder / "file").write_text("mine")
    (world.folder / "link").symlink_to("nowhere")
    (world.output / "notes.txt").write_text("mine")
    for name, message in (("file", "is not a dir"), ("link", "is not a dir"), ("out.dataset", r"first: notes\.txt")):
        with pytest.raises(OutputError, match=message):
            prepare(world.load(), world.folder / name, overwrite=True)
    with pytest.raises(OutputError, match=r"holds what is to be read \(10 affected; first: .*genome\.fa"):
        prepare(world.load(), world.folder, overwrite=True)


def test_genes_on_a_chromosome_without_elements(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    world.genes.append(["chr3", 49_500, 50_500, "G5", 0, "+"])
    world.promoter_dnase.append(1)
    for counts in world.promoter_h3k27ac:
        counts.append(1)
    world.half_life.append(["G5", "nameG5", *[0] * 8])
    world.sequence["chr3"] = world.sequence["chr2"]
    with caplog.at_level(logging.WARNING, logger="epinformer"):
        world.prepare()
    assert "dnase.bedgraph has no element on chr3, where 1 of 5 genes are" in caplog.text


def test_output_in_no_folder(world: Any) -> None:
    world.write()
    with pytest.raises(OutputError, match="its folder does not exist"):
        prepare(world.load(), world.folder / "no" / "out.dataset")


def test_a_failure_while_writing_leaves_the_old_dataset(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = (world.prepare().path / "dataset.json").read_bytes()

    def broken(*arguments: object) -> Any:
        yield np.zeros(2000, dtype=np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "sequence_stream", broken)
    with pytest.raises(KeyboardInterrupt):
        prepare(world.load(), world.output, overwrite=True)
    assert (world.output / "dataset.json").read_bytes() == old
    assert [path.name for path in world.folder.iterdir() if ".dataset" in path.name] == ["out.dataset"]
