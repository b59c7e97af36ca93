from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.interpretation.attribution_file import (
    FILE_NAME,
    Explained,
    actual_scores,
    attribution_rows,
    read_attributions,
)
from epinformer.interpretation.attribution_layout import TABLE, TILES
from epinformer.interpretation.attribution_writer import AttributionWriter
from tests.explained_world import ABOUT, explained, joined

LENGTH = 12
CHUNKS = (
    explained([("chr2", 100, 112), ("chr1", 0, 5)], LENGTH, seed=1, gene_id=["G1", None], gene_name="ß", score=0.5),
    explained([("chrX", 7, 8)], LENGTH, seed=2, tiled=False, held_out=pd.array([None], dtype="boolean")),
    explained([("chr1", 3, 15)], LENGTH, seed=3, held_out=False, reference=np.nan, delta=np.nan),
)


def write(path: Path, chunks: tuple[Explained, ...] = CHUNKS) -> Path:
    with AttributionWriter(path, ABOUT, LENGTH) as writer:
        for chunk in chunks:
            writer.append(chunk)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("file") / FILE_NAME)


def test_reads_what_was_written(file: Path) -> None:
    for path in (file, file.parent, str(file)):
        found = read_attributions(path)
        assert found.about == ABOUT
        pd.testing.assert_frame_equal(
            found.table, joined(CHUNKS, "table").astype({"gene_id": "str", "gene_name": "str"}), check_dtype=False
        )
        np.testing.assert_array_equal(found.codes, np.concatenate([chunk.codes for chunk in CHUNKS]))
        np.testing.assert_array_equal(found.hypothetical, np.concatenate([chunk.hypothetical for chunk in CHUNKS]))
        assert found.tiles is not None
        pd.testing.assert_frame_equal(
            found.tiles, joined([chunk for chunk in CHUNKS if len(chunk.tiles)], "tiles"), check_dtype=False
        )
    assert found.codes.dtype == np.uint8 and found.hypothetical.dtype == np.float32
    assert found.table["held_out"].tolist() == [True, True, pd.NA, False]
    assert found.table.dtypes.astype(str).tolist() == [
        {"text": "str", "flag": "boolean"}.get(kind, kind) for kind in TABLE.values()
    ]


def test_actual_is_of_the_base_that_is_there(file: Path) -> None:
    found = read_attributions(file)
    for row, codes in enumerate(found.codes):
        for position, code in enumerate(codes):
            expected = found.hypothetical[row, code, position] if code < 4 else 0.0
            assert found.actual[row, position] == expected
    one = actual_scores(found.codes[0], found.hypothetical[0])
    np.testing.assert_array_equal(one, found.actual[0])
    assert one.dtype == np.float32


def test_is_read_without_this_program(file: Path) -> None:
    with h5py.File(file) as plain:
        assert plain.attrs["format"] == b"epinformer attributions" and plain.attrs["format_version"] == 1
        assert plain.attrs["method"] == b"deeplift" and plain.attrs["models"][1].decode() == "fälle_2"
        assert plain["codes"].shape == (4, LENGTH) and plain["hypothetical"].shape == (4, 4, LENGTH)
        np.testing.assert_array_equal(plain["actual"][:], read_attributions(file).actual)
        assert set(plain["table"]) == set(TABLE) and set(plain["tiles"]) == set(TILES)
        assert plain["table/gene_name"].asstr()[:].tolist() == ["ß", "ß", "", ""]
        assert plain["table/held_out"][:].tolist() == [1, 1, -1, 0]
        assert h5py.check_string_dtype(plain["table/name"].dtype).encoding == "utf-8"


def test_the_same_attributions_are_the_same_bytes(file: Path, tmp_path: Path) -> None:
    assert write(tmp_path / "again.h5").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_some_rows_at_a_time_are_all(file: Path, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epinformer.interpretation.attribution_file._PART_BYTES", rows * 16 * LENGTH)
    parts, whole = list(attribution_rows(file)), read_attributions(file)
    assert [len(part.table) for part in parts] == [min(rows, 4 - first) for first in range(0, 4, rows)]
    for name in ("codes", "hypothetical", "actual"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    assert pd.concat([part.table for part in parts], ignore_index=True).equals(whole.table)
    assert {part.about for part in parts} == {ABOUT} and all(part.tiles is None for part in parts)


def change(name: str, values: object) -> Callable[[h5py.File], None]:
    """Put another dataset in the place of one."""

    def changed(file: h5py.File) -> None:
        del file[name]
        file[name] = values

    return changed


def set_value(name: str, at: object, value: object) -> Callable[[h5py.File], None]:
    def changed(file: h5py.File) -> None:
        file[name][at] = value

    return changed


def attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    def changed(file: h5py.File) -> None:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value

    return changed


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (attribute("format", None), "holds no attributions of epinformer.*Name what `epinformer explain` wrote"),
        (attribute("format", "something else"), "holds no attributions of epinformer"),
        (attribute("format_version", 2), "has format version 2, .* reads up to 1.*Update epinformer"),
        (attribute("format_version", None), "lacks a part of the format"),
        (attribute("method", "guess"), "unknown kind of attributions: guess of activity"),
        (attribute("models", None), "lacks a part of the format"),
        (attribute("seed", "x"), "lacks a part of the format"),
        (change("codes", np.zeros((3, LENGTH), np.uint8)), r"hypothetical is no dataset of the shape \(3, 4, 12\)"),
        (change("codes", np.zeros((4, LENGTH))), "codes is of the type float64"),
        (change("codes", np.zeros(4, np.uint8)), "codes is no dataset"),
        (change("codes", np.zeros((0, LENGTH), np.uint8)), "is no dataset of the shape"),
        (change("hypothetical", np.zeros((4, LENGTH, 4))), "hypothetical is no dataset of the shape"),
        (change("table/name", [1, 2, 3, 4]), "table/name is of the type int64"),
        (change("table/start", [1, 2, 3]), r"table/start is no dataset of the shape \(4,\)"),
        (change("tiles/end", [1, 2, 3]), r"tiles/end is no dataset of the shape \(6,\)"),
        (lambda file: file.__delitem__("tiles/name"), "lacks a part of the format.*Copy it again"),
        (lambda file: file.__delitem__("table"), "lacks a part of the format"),
        (lambda file: file.__delitem__("actual"), "lacks a part of the format"),
        (set_value("codes", (0, 1), 9), r"codes that are no bases \(1 affected; first: row 0: chr2:100-112\)"),
        (set_value("codes", (1, 0), 5), "intervals that do not fit their bases.*first: row 1: chr1:0-5"),
        (set_value("table/end", 3, 14), "intervals that do not fit their bases.*first: row 3"),
        (set_value("table/start", 0, -1), "intervals that do not fit their bases"),
        (
            set_value("hypothetical", (2, 1, 3), np.nan),
            "attributions that are no finite numbers.*first: row 2: chrX:7-8",
        ),
        (set_value("hypothetical", (2, 1, 3), np.inf), "attributions that are no finite numbers"),
        (set_value("table/prediction", 1, np.nan), "predictions that are no finite numbers"),
        (set_value("table/name", 1, b"\xff"), "lacks a part of the format: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_not_right_is_refused(
    file: Path, tmp_path: Path, damage: Callable[[h5py.File], None], told: str
) -> None:
    shutil.copy(file, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as changed:
        damage(changed)
    with pytest.raises(InputError, match=rf"a\.h5: .*{told}"):
        read_attributions(tmp_path / "a.h5")
    with pytest.raises(InputError, match=told):
        list(attribution_rows(tmp_path / "a.h5"))


def test_a_file_without_sequences_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no sequences"):
        read_attributions(write(tmp_path / "a.h5", ()))


def test_what_is_no_file_of_attributions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_attributions(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"has no attributions\.h5.*Name a folder that `epinformer explain` wrote"):
        read_attributions(tmp_path)
    for content in (b"", b"chr1\t1\t2\n" * 100):
        (tmp_path / "a.h5").write_bytes(content)
        with pytest.raises(InputError, match="is no HDF5 file|is truncated or damaged"):
            read_attributions(tmp_path / "a.h5")


def test_a_truncated_file_is_refused(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for size in np.linspace(0, len(whole) - 1, 20, dtype=int).tolist():
        (tmp_path / "a.h5").write_bytes(whole[:size])
        with pytest.raises(InputError):
            read_attributions(tmp_path / "a.h5")


def test_changed_bytes_are_refused_or_without_effect(file: Path, tmp_path: Path) -> None:
    whole, expected = file.read_bytes(), read_attributions(file)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        # The layout is in the first part, and nothing but a crash would be worse than a wrong result.
        for place in rng.integers(0, rng.choice([4_000, len(whole)]), 3).tolist():
            damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / "a.h5").write_bytes(damaged)
        try:
            found = read_attributions(tmp_path / "a.h5")
        except InputError:
            refused += 1
        else:
            assert found.table.equals(expected.table) and found.about == ABOUT
            np.testing.assert_array_equal(found.hypothetical, expected.hypothetical)
    assert refused > 50
