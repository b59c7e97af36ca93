from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from epinformer.errors import ModelError
from epinformer.interpretation.attribution_file import Explained, read_attributions
from epinformer.interpretation.attribution_layout import TABLE, TILES
from epinformer.interpretation.attribution_writer import AttributionWriter
from tests.explained_world import ABOUT, explained


def test_shorter_chunks_are_padded_at_the_right(tmp_path: Path) -> None:
    with AttributionWriter(tmp_path / "a.h5", ABOUT, 9) as writer:
        writer.append(explained([("chr1", 5, 11)], 6))
    found = read_attributions(tmp_path / "a.h5")
    assert found.codes.shape == (1, 9) and found.codes[0, 6:].tolist() == [5, 5, 5]
    assert not found.hypothetical[0, :, 6:].any()


def test_sequences_begin_where_their_interval_does(tmp_path: Path) -> None:
    whole = explained([("chr1", 5, 9)], 8)
    middle = whole._replace(codes=np.roll(whole.codes, 2, axis=1), hypothetical=np.roll(whole.hypothetical, 2, axis=2))
    with AttributionWriter(tmp_path / "a.h5", ABOUT, 8) as writer:
        with pytest.raises(ValueError, match="not those of its interval"):
            writer.append(middle)
        writer.append(whole)
    found = read_attributions(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.codes, whole.codes)
    np.testing.assert_array_equal(found.actual[0, :4], [
        whole.hypothetical[0, code, place] if code < 4 else 0 for place, code in enumerate(whole.codes[0, :4])
    ])  # fmt: skip


def test_names_of_every_kind(tmp_path: Path) -> None:
    names = ["a/b", "名" * 200, 'x\0"\n', "ä" * 128, "b" * 255 + "ä", "$"]
    places = [("chr1", row, row + 4) for row in range(len(names))]
    with AttributionWriter(tmp_path / "a.h5", ABOUT._replace(target=None, models=()), 4) as writer:
        writer.append(explained(places, 4, names=names))
    found = read_attributions(tmp_path / "a.h5")
    assert found.table["name"].tolist() == ["a/b", "名" * 85, 'x\ufffd"\n', "ä" * 128, "b" * 255, "$"]
    assert found.about.target is None and found.about.models == ()


def test_columns_are_stored_by_name(tmp_path: Path) -> None:
    chunk = explained([("chr1", 0, 4)], 4)
    mixed = chunk._replace(table=chunk.table[chunk.table.columns[::-1]].assign(more=1, start=np.int32(0)))
    with AttributionWriter(tmp_path / "a.h5", ABOUT, 4) as writer:
        writer.append(mixed)
    assert read_attributions(tmp_path / "a.h5").table.equals(
        chunk.table.astype({"gene_id": "str", "gene_name": "str", "name": "str", "kind": "str", "chrom": "str"})
    )


@pytest.mark.parametrize("where", ["hypothetical", "prediction"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, where: str, value: float) -> None:
    chunk = explained([("chr1", 0, 4), ("chr2", 0, 4)], 4)
    if where == "hypothetical":
        chunk.hypothetical[1, 2, 3] = value
    else:
        chunk.table.loc[1, "prediction"] = value
    told = r"no finite numbers \(1 affected; first: chr2:0-4\)"
    with pytest.raises(ModelError, match=told), AttributionWriter(tmp_path / "a.h5", ABOUT, 4) as writer:
        writer.append(chunk)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    whole = explained([("chr1", 5, 9)], 8)
    with AttributionWriter(tmp_path / "a.h5", ABOUT, 8) as writer:
        for wrong in (
            whole._replace(table=pd.concat([whole.table] * 2)),
            whole._replace(hypothetical=whole.hypothetical[:, :, :7]),
            explained([("chr1", 5, 9)], 9),
            whole._replace(table=whole.table.assign(end=10)),
            whole._replace(codes=np.array([[0, 1, 5, 2, 3, 5, 5, 5]], np.uint8)),
        ):
            with pytest.raises(ValueError):
                writer.append(wrong)
        writer.append(whole)
    assert len(read_attributions(tmp_path / "a.h5").table) == 1


def test_chunks_are_bounded_whatever_the_length(tmp_path: Path) -> None:
    for length in (1, 256, 2_000, 100_000):
        with AttributionWriter(tmp_path / "a.h5", ABOUT, length):
            pass
        with h5py.File(tmp_path / "a.h5") as file:
            datasets = [file[name] for name in ("codes", "hypothetical", "actual")]
            datasets += [file[f"{group}/{name}"] for group, of in (("table", TABLE), ("tiles", TILES)) for name in of]
            for dataset in datasets:
                assert np.prod(dataset.chunks) * dataset.dtype.itemsize <= max(1 << 18, 16 * length)
                assert dataset.compression == "gzip" and dataset.maxshape[0] is None


def test_memory_does_not_grow_with_what_was_appended(tmp_path: Path) -> None:
    length = 256
    chunk = explained([("chr1", start, start + length) for start in range(16)], length)
    tracemalloc.start()
    try:
        with AttributionWriter(tmp_path / "a.h5", ABOUT, length) as writer:
            held = []
            for number in range(24):
                writer.append(chunk)
                if number in (3, 23):
                    gc.collect()
                    held.append(tracemalloc.get_traced_memory()[0])
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    of_chunk = chunk.hypothetical.nbytes
    assert held[1] - held[0] < 2 * of_chunk  # of 20 chunks
    assert peak < 8 * of_chunk


def test_an_error_of_the_block_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), AttributionWriter(tmp_path / "a.h5", ABOUT, 8) as writer:
        writer.append(explained([("chr1", 5, 9)], 8))
        raise ZeroDivisionError


@pytest.mark.parametrize("limit", [100, 20_000, 150_000])
def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path, limit: int) -> None:
    """HDF5 crashes as the process ends if a write failed, so this must be another process."""
    code = f"""
import errno, resource, sys
sys.dont_write_bytecode = True
from epinformer.interpretation.attribution_writer import AttributionWriter
from tests.explained_world import ABOUT, explained
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    with AttributionWriter(sys.argv[1], ABOUT, 100) as writer:
        for number in range(10):
            writer.append(explained([("chr1", start, start + 100) for start in range(20)], 100, seed=number))
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.h5")], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("EFBIG\n", "", 0)


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), AttributionWriter(tmp_path / "no" / "a.h5", ABOUT, 8):
        pass


def test_nothing_of_what_is_given_is_changed(tmp_path: Path) -> None:
    chunk = explained([("chr1", 5, 9), ("chr1", 7, 15)], 8)
    before = Explained(chunk.table.copy(), chunk.codes.copy(), chunk.hypothetical.copy(), chunk.tiles.copy())
    with AttributionWriter(tmp_path / "a.h5", ABOUT, 10) as writer:
        writer.append(chunk)
    assert chunk.table.equals(before.table) and chunk.tiles.equals(before.tiles)
    np.testing.assert_array_equal(chunk.codes, before.codes)
    np.testing.assert_array_equal(chunk.hypothetical, before.hypothetical)
