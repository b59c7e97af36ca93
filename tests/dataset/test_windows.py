"""Windows of 256 bp: stored in a dataset, or cut out of its elements."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.bases import NO_BASE
from epinformer.dataset.store import Dataset, Manifest, open_dataset, write_dataset
from epinformer.dataset.windows import element_windows, encoder_windows
from epinformer.errors import ConfigError, DatasetError

RNG = np.random.default_rng(3)


def window_table(n: int = 4) -> pd.DataFrame:
    start = np.arange(n) * 100
    return pd.DataFrame(
        {
            "chrom": pd.Series([f"chr{1 + i % 2}" for i in range(n)], dtype="str"),
            "start": start,
            "end": start + 256,
            "dnase_rpm": RNG.random(n),
            "activity": RNG.random(n),
        }
    )


def write(
    path: Path,
    lengths: list[int],
    *,
    windows: pd.DataFrame | None = None,
    codes: list[np.ndarray] | None = None,
    sequence: bool = True,
    without: tuple[str, ...] = (),
    **columns: Any,
) -> Dataset:
    """One gene, elements of these lengths on chr1 every 5 kb, the first at 1,000, and perhaps windows."""
    genes = pd.DataFrame({"gene_id": ["g"], "gene_name": ["G"], "chrom": ["chr1"], "tss": [9], "strand": ["+"]})
    start = 1_000 + 5_000 * np.arange(len(lengths))
    elements = pd.DataFrame(
        {
            "element_id": [f"e{i}" for i in range(len(lengths))],
            "chrom": ["chr1"] * len(lengths),
            "start": start,
            "end": start + np.array(lengths),
            "dnase_rpm": np.arange(len(lengths)) * 2.0,
            "activity": np.arange(len(lengths)) + 0.5,
        }
    ).assign(**columns)
    elements = elements.drop(columns=list(without))
    stream = None
    if sequence:
        elements["sequence_length"] = lengths
        rng = np.random.default_rng(1)
        stream = [rng.integers(0, 5, 2_000 + sum(lengths), dtype=np.uint8)]
    pairs = pd.DataFrame({"gene_index": [0], "element_index": [0], "distance": [1]})
    write_dataset(
        path, Manifest(assembly="toy", package_version="0"), genes, elements, pairs, stream,
        windows=windows, window_codes=codes,
    )  # fmt: skip
    return open_dataset(path)


def stored(path: Path, n: int = 4) -> Dataset:
    return write(path, [300], windows=window_table(n), codes=[np.arange(n * 256, dtype=np.int64).astype(np.uint8) % 6])


# What is stored


def test_stored_windows_come_back(tmp_path: Path) -> None:
    table = window_table()
    codes = RNG.integers(0, 6, (4, 256), dtype=np.uint8)
    dataset = write(
        tmp_path / "a.dataset", [300], windows=table.iloc[::-1], codes=[codes[:1].ravel(), codes[1:].ravel()]
    )
    assert dataset.windows is not None and dataset.window_codes is not None
    pd.testing.assert_frame_equal(dataset.windows, table.iloc[::-1].reset_index(drop=True))
    assert np.array_equal(dataset.window_codes, codes)
    assert not dataset.window_codes.flags.writeable
    assert isinstance(dataset.window_codes.base, np.memmap)
    assert dataset.manifest.rows["windows"] == 4


def test_without_windows_nothing_is_there(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a.dataset", [300])
    assert dataset.windows is None and dataset.window_codes is None
    assert "windows" not in dataset.manifest.rows
    assert not list(dataset.path.glob("windows*"))


def test_no_windows_are_windows_too(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a.dataset", [300], windows=window_table(0), codes=[])
    assert dataset.window_codes is not None and dataset.window_codes.shape == (0, 256)


def test_without_sequence_there_may_be_windows(tmp_path: Path) -> None:
    dataset = write(
        tmp_path / "a.dataset", [300], windows=window_table(), codes=[np.zeros(1024, np.uint8)], sequence=False
    )
    assert dataset.codes is None and len(encoder_windows(dataset).table) == 4


def test_content_hash_covers_windows(tmp_path: Path) -> None:
    table = window_table()
    zeros, ones = [np.zeros(1024, np.uint8)], [np.ones(1024, np.uint8)]
    hashes = {
        write(tmp_path / "none.dataset", [300]).content_hash(),
        write(tmp_path / "a.dataset", [300], windows=table, codes=zeros).content_hash(),
        write(tmp_path / "b.dataset", [300], windows=table, codes=ones).content_hash(),
        write(tmp_path / "c.dataset", [300], windows=table.assign(activity=1.0), codes=zeros).content_hash(),
    }
    assert len(hashes) == 4
    assert write(tmp_path / "d.dataset", [300], windows=table, codes=zeros).content_hash() in hashes


def test_a_dataset_with_windows_can_be_replaced(tmp_path: Path) -> None:
    dataset = stored(tmp_path / "a.dataset")
    genes, elements, pairs = dataset.genes, dataset.elements, dataset.pairs
    write_dataset(dataset.path, dataset.manifest, genes, elements, pairs, [np.zeros(2_300, np.uint8)], overwrite=True)
    assert open_dataset(dataset.path).windows is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="activity"), r"windows\.parquet: columns are missing \(1 affected; first: acti"),
        (lambda t: t.assign(end=t["end"] + (t.index == 2)), r"windows are not 256 bp long \(1 affected; .* row 2: 200"),
        (lambda t: t.assign(start=t["start"] - 100, end=t["end"] - 100), r"start is negative .* row 0: -100"),
        (lambda t: t.assign(start=t["start"].astype("Int64").mask(t.index == 1)), r"start or end is missing .* row 1"),
        (lambda t: t.assign(start=t["start"] * 1.0), r"start is not of an integer type"),
        (lambda t: t.assign(activity=t["activity"].mask(t.index == 3)), r"activity is missing \(1 affected; .* row 3"),
        (lambda t: t.assign(activity=-1.0), r"activity is negative \(4 affected"),
        (lambda t: t.assign(dnase_rpm=np.inf), r"dnase_rpm is infinite"),
        (lambda t: t.assign(activity="x"), r"activity is not of a number type"),
        (lambda t: t.assign(chrom=t["chrom"].mask(t.index == 0)), r"chrom is missing \(1 affected"),
    ],
)  # fmt: skip
def test_windows_that_break_the_contract(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        write(tmp_path / "a.dataset", [300], windows=change(window_table()), codes=[np.zeros(1024, np.uint8)])
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([np.zeros(1023, np.uint8)], r"windows has 1,023 bases, their table needs 1,024"),
        ([np.zeros(1025, np.uint8)], r"windows has more bases, their table needs 1,024"),
        ([np.full(1024, 6, np.uint8)], r"windows holds codes above 5 \(1,024 affected"),
        ([np.zeros((4, 256), np.uint8)], r"a chunk of windows is not a flat uint8 array"),
        (None, r"windows and their codes go together: one is missing"),
    ],
)
def test_codes_that_do_not_fit(tmp_path: Path, codes: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        write(tmp_path / "a.dataset", [300], windows=window_table(), codes=codes)
    assert not os.listdir(tmp_path)


def _rows(path: Path, number: int | None) -> None:
    told = json.loads((path / "dataset.json").read_text())
    told["rows"].pop("windows")
    if number is not None:
        told["rows"]["windows"] = number
    (path / "dataset.json").write_text(json.dumps(told))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no table": (lambda p: (p / "windows.parquet").unlink(), r"windows\.parquet: is missing\. Prepare"),
    "no codes": (lambda p: (p / "windows.npy").unlink(), r"windows\.npy: is missing\. Prepare"),
    "text": (lambda p: (p / "windows.parquet").write_text("x"), r"windows\.parquet: is damaged"),
    "cut": (lambda p: os.truncate(p / "windows.npy", 900), r"windows\.npy: is damaged"),
    "flat": (
        lambda p: np.save(p / "windows.npy", np.zeros(1024, np.uint8)),
        r"windows\.npy: is damaged: it should be 4 x 256 uint8 codes, as windows\.parquet says",
    ),
    "other number": (lambda p: _rows(p, 5), r"holds 4 windows, but dataset\.json says 5"),
    "strangers": (lambda p: _rows(p, None), r"windows\.parquet: is there, but dataset\.json knows of no windows"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage(tmp_path: Path, name: str) -> None:
    damage, message = DAMAGE[name]
    path = stored(tmp_path / "a.dataset").path
    damage(path)
    with pytest.raises(DatasetError, match=message):
        open_dataset(path)


# Those of elements


def by_hand(dataset: Dataset, windows: int, stride: int) -> list[tuple[int, int, list[int]]]:
    """(element, first base, codes) one by one, of letters on the chromosome."""
    assert dataset.codes is not None
    found = []
    for element, row in dataset.elements.iterrows():
        at = dataset.sequence_offsets[dataset.n_genes + int(element)]  # type: ignore[call-overload]
        bases = {row["start"] + i: int(dataset.codes[at + i]) for i in range(row["end"] - row["start"])}
        middle = (row["start"] + row["end"]) // 2
        for step in range(-(windows // 2), windows // 2 + 1):
            first = middle + step * stride - 128
            codes = [bases.get(position, NO_BASE) for position in range(first, first + 256)]
            if NO_BASE not in codes or (step == 0 and len(bases) < 256):
                found.append((int(element), first, codes))  # type: ignore[call-overload]
    return found


def same(dataset: Dataset, windows: int, stride: int) -> None:
    result = element_windows(dataset, windows, stride)
    expected = by_hand(dataset, windows, stride)
    assert result.table["start"].tolist() == [first for _, first, _ in expected]
    assert result.table["end"].tolist() == [first + 256 for _, first, _ in expected]
    assert result.codes.tolist() == [codes for _, _, codes in expected]
    assert result.codes.dtype == np.uint8
    activity = dataset.elements["activity"].to_numpy()
    assert result.table["activity"].tolist() == [activity[element] for element, _, _ in expected]


def test_windows_of_elements(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a.dataset", [2_000, 256, 255, 1, 567, 568, 569, 100])
    same(dataset, 3, 156)
    table = element_windows(dataset).table
    assert list(table) == ["chrom", "start", "end", "dnase_rpm", "activity"]
    # 568 bp hold 256 + 2 x 156 exactly; with 567 the left one begins a base too early.
    assert table["activity"].value_counts(sort=False).to_dict() == {
        0.5: 3, 1.5: 1, 2.5: 1, 3.5: 1, 4.5: 2, 5.5: 3, 6.5: 3, 7.5: 1,
    }  # fmt: skip


@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=6), st.integers(0, 4), st.integers(1, 400))
def test_windows_of_any_elements(tmp_path_factory: Any, lengths: list[int], sides: int, stride: int) -> None:
    path = tmp_path_factory.mktemp("any") / "a.dataset"
    same(write(path, lengths), 2 * sides + 1, stride)
    shutil.rmtree(path)


def test_elements_without_activity_chromosome_or_coordinates(tmp_path: Path) -> None:
    unknown = pd.array([pd.NA] * 3, dtype="Int64")
    dataset = write(
        tmp_path / "a.dataset", [300, 600, 600], start=unknown, end=unknown,
        activity=[np.nan, 1.0, 2.0], chrom=pd.array(["chr1", None, "chr2"], dtype="str"),
    )  # fmt: skip
    result = element_windows(dataset)
    assert result.table["activity"].tolist() == [2.0] * 3 and set(result.table["chrom"]) == {"chr2"}
    assert result.table["start"].isna().all() and result.table.index.tolist() == [0, 1, 2]
    assert dataset.codes is not None
    assert np.array_equal(result.codes[1], dataset.codes[2_900:3_500][172:428])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sequence": False},
            r"a\.dataset: has no windows to pretrain on, and no sequence to make them of\. Prepare it",
        ),
        ({"without": ("activity",)}, r"no activity of its elements to make them of"),
        ({"activity": np.nan}, r"has no element with a chromosome and an activity"),
    ],
)
def test_nothing_to_make_windows_of(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        encoder_windows(write(tmp_path / "a.dataset", [300], **options))


@pytest.mark.parametrize(("windows", "stride"), [(2, 156), (0, 156), (-1, 156), (3, 0)])
def test_settings_out_of_range(tmp_path: Path, windows: int, stride: int) -> None:
    with pytest.raises(ConfigError, match=r"it must be (odd|1 or more)"):
        element_windows(write(tmp_path / "a.dataset", [300]), windows, stride)


def test_which_windows_are_taken_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="epinformer"):
        own = stored(tmp_path / "a.dataset")
        assert encoder_windows(own).table is own.windows and encoder_windows(own).codes is own.window_codes
        other = write(tmp_path / "b.dataset", [600, 600])
        assert len(encoder_windows(other, windows=1).table) == 2
    assert "a.dataset: 4 windows at peaks" in caplog.text
    assert "b.dataset has no windows at peaks" in caplog.text
    assert "2 windows of its 2 elements are taken, each with its element's activity" in caplog.text
