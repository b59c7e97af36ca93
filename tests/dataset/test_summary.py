"""The numbers of a summary, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from epinformer.dataset.store import FilterStep, InputFile, Manifest, open_dataset, write_dataset
from epinformer.dataset.summary import summarise


def make(path: Path, *, empty: bool = False, sequence: bool = True) -> Path:
    genes = pd.DataFrame(
        {
            "gene_id": ["a", "b", "c"],
            "gene_name": ["A", "B", None],
            "chrom": ["chr10", "chr2", "chr2"],
            "tss": [5000, 100, 9000],
            "strand": ["+", "-", "+"],
            "promoter_activity": [0.0, 1.0, 5.0],
            "expression_rna": [0.5, np.nan, np.nan],
        }
    )
    elements = pd.DataFrame(
        {
            "element_id": ["e0", "e1"],
            "chrom": ["chr2", "chr10"],
            "start": [100, 200],
            "end": [400, 300],
            "activity": [2.0, 0.0],
        }
    )
    pairs = pd.DataFrame(
        {
            "gene_index": [0, 1, 1],
            "element_index": [1, 1, 1],
            "distance": [2000, -1500, 4000],
            "contact": [0.0, 1.0, 2.0],
        }
    )
    if empty:
        genes, elements, pairs = genes.iloc[:0], elements.iloc[:0], pairs.iloc[:0]
    if sequence:
        elements = elements.assign(sequence_length=elements["end"] - elements["start"])
    total = 2000 * len(genes) + int((elements["end"] - elements["start"]).sum())
    manifest = Manifest(
        assembly="hg38",
        package_version="1.2.3",
        inputs={"genome": InputFile(path="x.fa", sha256="0123456789abcdef" * 4, bytes=1234)},
        filters=[FilterStep(table="genes", step="no half-life features", before=5, after=3)],
        transforms={"activity": "sqrt(dnase_rpm * h3k27ac_rpm)"},
    )
    write_dataset(path, manifest, genes, elements, pairs, [np.zeros(total, np.uint8)] if sequence else None)
    return path


def test_numbers(tmp_path: Path) -> None:
    dataset = open_dataset(make(tmp_path / "a.dataset"))
    summary = summarise(dataset)
    assert summary["rows"] == {"genes": 3, "elements": 2, "pairs": 3, "sequence_bases": 6400}
    assert summary["elements_per_gene"] == {
        "mean": 1.0,
        "median": 1.0,
        "max": 2,
        "genes_without": 1,
        "elements_unused": 1,
    }
    assert summary["distance"] == {"min": 1500, "median": 2000.0, "max": 4000, "downstream": 0.666667}
    assert summary["signals"]["genes"] == {
        "promoter_activity": {"min": 0.0, "median": 1.0, "mean": 2.0, "max": 5.0, "zeros": 1},
        "expression_rna": {"min": 0.5, "median": 0.5, "mean": 0.5, "max": 0.5, "zeros": 0},
    }
    assert set(summary["signals"]["elements"]) == {"activity"} and set(summary["signals"]["pairs"]) == {"contact"}
    columns = {column["name"]: column for column in summary["columns"]["genes"]}
    assert columns["expression_rna"] == {"name": "expression_rna", "type": "float64", "missing": 2, "transform": None}
    assert columns["gene_name"]["missing"] == 1
    assert summary["columns"]["elements"][4]["transform"] == "sqrt(dnase_rpm * h3k27ac_rpm)"
    assert list(summary["chromosomes"].items()) == [
        ("chr2", {"genes": 2, "elements": 1}),
        ("chr10", {"genes": 1, "elements": 1}),
    ]
    assert summary["sequence"] == {
        "bases": 6400,
        "bytes": 6400,
        "promoter_length": 2000,
        "element_length_median": 200.0,
    }
    assert summary["filters"] == [{"table": "genes", "step": "no half-life features", "before": 5, "after": 3}]
    assert summary["inputs"]["genome"] == {"path": "x.fa", "sha256": "0123456789abcdef" * 4, "bytes": 1234}
    assert summary["content_hash"] == dataset.content_hash() and summary["path"] == str(dataset.path)


def test_nothing_is_json_too(tmp_path: Path) -> None:
    for sequence in (False, True):
        path = make(tmp_path / f"{sequence}.dataset", empty=True, sequence=sequence)
        summary = summarise(open_dataset(path))
        json.dumps(summary, allow_nan=False)
        assert summary["elements_per_gene"]["mean"] is None and summary["distance"]["median"] is None
        assert summary["signals"]["elements"]["activity"]["max"] is None
        assert (summary["sequence"] is not None) is sequence


def test_windows(tmp_path: Path) -> None:
    parts = open_dataset(make(tmp_path / "a.dataset"))
    windows = pd.DataFrame({"chrom": ["chr3", "chr2", "chr2"], "start": [5, 9, 10], "dnase_rpm": [0.0, 1.0, 2.0]})
    windows = windows.assign(end=windows["start"] + 256, activity=windows["dnase_rpm"])
    manifest = parts.manifest.model_copy(update={"transforms": {"activity": "of elements", "windows.activity": "of w"}})
    write_dataset(
        tmp_path / "b.dataset", manifest, parts.genes, parts.elements, parts.pairs, [np.array(parts.codes)],
        windows=windows, window_codes=[np.zeros(768, np.uint8)],
    )  # fmt: skip
    summary = summarise(open_dataset(tmp_path / "b.dataset"))
    assert summary["rows"]["windows"] == 3
    assert summary["signals"]["windows"] == {
        name: {"min": 0.0, "median": 1.0, "mean": 1.0, "max": 2.0, "zeros": 1} for name in ("dnase_rpm", "activity")
    }
    transforms = {column["name"]: column["transform"] for column in summary["columns"]["windows"]}
    assert (transforms["activity"], transforms["dnase_rpm"]) == ("of w", None)
    assert summary["columns"]["elements"][4]["transform"] == "of elements"
    assert list(summary["chromosomes"].items()) == [
        ("chr2", {"genes": 2, "elements": 1, "windows": 2}),
        ("chr3", {"genes": 0, "elements": 0, "windows": 1}),
        ("chr10", {"genes": 1, "elements": 1, "windows": 0}),
    ]
