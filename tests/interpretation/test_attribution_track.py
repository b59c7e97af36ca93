from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import pybigtools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.interpretation.attribution_file import Explained, read_attributions
from epinformer.interpretation.attribution_track import write_bigwig
from epinformer.interpretation.attribution_writer import AttributionWriter
from tests.explained_world import ABOUT, explained

LENGTH = 8
SIZES = {"chr2": 60, "chr10": 50, "chr1": 40, "chrUn": 9}


def write(path: Path, *chunks: Explained) -> Path:
    with AttributionWriter(path, ABOUT, LENGTH) as writer:
        for chunk in chunks:
            writer.append(chunk)
    return path


def brute_force(source: Path) -> dict[tuple[str, int], float]:
    """The mean at every base, base by base."""
    found = read_attributions(source)
    values: dict[tuple[str, int], list[float]] = {}
    for row in range(len(found.table)):
        chrom, start, end = found.table.loc[row, ["chrom", "start", "end"]]
        for place in range(start, end):
            values.setdefault((chrom, place), []).append(float(found.actual[row, place - start]))
    return {place: float(np.mean(of)) for place, of in values.items()}


def of_track(path: Path) -> dict[tuple[str, int], float]:
    with pybigtools.open(str(path)) as reader:
        return {
            (chrom, place): value
            for chrom in reader.chroms()
            for start, end, value in reader.records(chrom)
            for place in range(start, end)
        }


@st.composite
def places(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    chrom = st.sampled_from(["chr1", "chr10", "chr2"])
    return [
        (name, start, min(start + draw(st.integers(1, LENGTH)), SIZES[name]))
        for name in draw(st.lists(chrom, min_size=1, max_size=12))
        for start in [draw(st.integers(0, SIZES[name] - 1))]
    ]


@settings(max_examples=30)
@given(places(), st.integers(0, 2**31), st.integers(1, 3))
def test_is_the_mean_over_the_sequences_that_hold_a_base(
    where: list[tuple[str, int, int]], seed: int, rows: int
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("epinformer.interpretation.attribution_track._ROWS", rows)
        patch.setattr("epinformer.interpretation.attribution_file._PLACES", rows)
        source = write(Path(name) / "a.h5", explained(where, LENGTH, seed=seed))
        write_bigwig(source, Path(name) / "a.bw", SIZES)
        expected, found = brute_force(source), of_track(Path(name) / "a.bw")
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[place] for place in expected], list(expected.values()), rtol=1e-6, atol=1e-7)


def test_equal_neighbours_share_an_interval_and_chromosomes_are_in_the_order_of_letters(tmp_path: Path) -> None:
    chunk = explained([("chr2", 10, 18), ("chr10", 0, 4), ("chr2", 14, 22), ("chr1", 5, 9)], LENGTH)
    flat = chunk._replace(
        codes=np.where(chunk.codes == 5, 5, 1).astype(np.uint8), hypothetical=np.ones((4, 4, 8), "f4")
    )
    flat.hypothetical[0, :, 4:] = 2.0
    flat.hypothetical[2] = 4.0
    write_bigwig(write(tmp_path / "a.h5", flat), tmp_path / "a.bw", SIZES)
    with pybigtools.open(str(tmp_path / "a.bw")) as reader:
        assert dict(reader.chroms()) == {"chr1": 40, "chr10": 50, "chr2": 60}
        assert list(reader.chroms()) == ["chr1", "chr10", "chr2"]
        assert list(reader.records("chr2")) == [(10, 14, 1.0), (14, 18, 3.0), (18, 22, 4.0)]
        assert list(reader.records("chr1")) == [(5, 9, 1.0)]


def test_an_n_counts_as_zero_and_padding_not_at_all(tmp_path: Path) -> None:
    chunk = explained([("chr1", 0, 3), ("chr1", 1, 4)], LENGTH)
    chunk.codes[:, :3] = [[4, 0, 0], [0, 4, 4]]
    chunk.hypothetical[:] = 2.0
    write_bigwig(write(tmp_path / "a.h5", chunk), tmp_path / "a.bw", SIZES)
    assert of_track(tmp_path / "a.bw") == {("chr1", 0): 0.0, ("chr1", 1): 2.0, ("chr1", 2): 1.0, ("chr1", 3): 0.0}


def test_few_rows_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequences that each overlap the next: no more bases wait than one sequence has."""
    from epinformer.interpretation import attribution_track

    waiting = []
    intervals = attribution_track._intervals

    def watched(begin: int, sums: np.ndarray, counts: np.ndarray) -> object:
        waiting.append(len(sums))
        return intervals(begin, sums, counts)

    monkeypatch.setattr(attribution_track, "_intervals", watched)
    where = [("chr1", start, start + LENGTH) for start in np.random.default_rng(0).permutation(2_000).tolist()]
    write_bigwig(write(tmp_path / "a.h5", explained(where, LENGTH)), tmp_path / "a.bw", {"chr1": 3_000})
    assert max(waiting) <= LENGTH
    assert len(of_track(tmp_path / "a.bw")) == 2_000 + LENGTH - 1


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (
            ("chr1", 35, 43),
            r"that end behind the end of their chromosome \(1 affected; first: chr1:35-43\)",
        ),
        (("chr3", 0, 8), "on chromosomes whose lengths are not known"),
        (("1", 0, 8), "on chromosomes whose lengths are not known"),
    ],
)
def test_a_sequence_beyond_the_chromosomes_is_refused(tmp_path: Path, place: tuple[str, int, int], told: str) -> None:
    source = write(tmp_path / "a.h5", explained([("chr1", 0, 8), place], LENGTH))
    with pytest.raises(InputError, match=rf"a\.h5: has sequences {told}.*Give the lengths of the assembly"):
        write_bigwig(source, tmp_path / "a.bw", SIZES)
    assert not (tmp_path / "a.bw").exists()


@pytest.mark.parametrize(
    ("name", "at", "value", "told"),
    [
        ("actual", (1, 2), np.nan, "attributions that are no finite numbers"),
        ("table/start", 1, -5, "intervals that do not fit their bases.*row 1"),
        ("table/end", 0, 30, "intervals that do not fit their bases.*row 0"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, at: object, value: float, told: str) -> None:
    source = write(tmp_path / "a.h5", explained([("chr1", 0, 8), ("chr1", 9, 12)], LENGTH))
    with h5py.File(source, "r+") as file:
        file[name][at] = value
    with pytest.raises(InputError, match=told):
        write_bigwig(source, tmp_path / "a.bw", SIZES)
