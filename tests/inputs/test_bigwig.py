"""The format against files that the tests put together byte by byte, of every kind of block."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.errors import InputError
from epinformer.inputs import tracks
from epinformer.inputs.bigwig import open_bigwig

CHROMOSOMES = {"chr1": 1_000, "chr2": 300}
Block = tuple[str, int, list[tuple[int, int, float]]]  # chromosome, kind, intervals
BLOCKS: list[Block] = [
    ("chr1", 1, [(0, 10, 1.5), (10, 17, 0.25), (40, 41, 3)]),
    ("chr1", 2, [(50, 55, 1), (60, 65, 2), (100, 105, 4)]),
    ("chr1", 3, [(200, 210, 1), (220, 230, 2), (240, 250, 8)]),
    ("chr1", 1, [(900, 1_000, 0.5)]),
    ("chr2", 3, [(0, 1, 7), (1, 2, 6)]),
]


def packed(order: str, kind: int, chrom: int, rows: list[tuple[int, int, float]]) -> bytes:
    """A block: bedGraph (1), variable step (2) or fixed step (3)."""
    span = rows[0][1] - rows[0][0] if kind > 1 else 0
    step = rows[1][0] - rows[0][0] if kind == 3 and len(rows) > 1 else 0
    data = struct.pack(order + "5IBxH", chrom, rows[0][0], rows[-1][1], step, span, kind, len(rows))
    for start, end, value in rows:
        fields = {1: ("IIf", (start, end, value)), 2: ("If", (start, value)), 3: ("f", (value,))}[kind]
        data += struct.pack(order + fields[0], *fields[1])
    return data


def write(path: Path, blocks: list[Block], *, order: str = "<", compressed: bool = True, per_node: int = 100) -> Path:
    """A bigWig without zoom levels: header, chromosomes, blocks, an index of one or two levels, signature."""
    numbers = {name: number for number, name in enumerate(CHROMOSOMES)}
    chromosomes = struct.pack(order + "4I2Q", 0x78CA8C91, 2, 6, 8, len(numbers), 0) + struct.pack(order + "BxH", 1, 2)
    for name, length in CHROMOSOMES.items():
        chromosomes += struct.pack(order + "6s2I", name.encode(), numbers[name], length)
    data, items, at = b"", [], 64 + len(chromosomes)
    for chrom, kind, rows in blocks:
        block = packed(order, kind, numbers[chrom], rows)
        block = zlib.compress(block) if compressed else block
        place = (numbers[chrom], rows[0][0], numbers[chrom], rows[-1][1])
        items.append(struct.pack(order + "4I2Q", *place, at + len(data), len(block)))
        data += block
    at += len(data)
    index = struct.pack(order + "2IQ4IQ2I", 0x2468ACE0, 256, len(items), 0, 0, 1, 300, at, 1, 0)
    leaves = [items[first : first + per_node] for first in range(0, len(items), per_node)] or [[]]
    nodes = [struct.pack(order + "BxH", 1, len(leaf)) + b"".join(leaf) for leaf in leaves]
    if len(nodes) > 1:
        offset = at + len(index) + 4 + 24 * len(nodes)
        root = struct.pack(order + "BxH", 0, len(nodes))
        for node in nodes:
            root += struct.pack(order + "4IQ", 0, 0, 1, 300, offset)
            offset += len(node)
        nodes = [root, *nodes]
    header = (0x888FFC26, 4, 0, 64, 64 + len(chromosomes), at, 0, 0, 0, 0, 4096 if compressed else 0, 0)
    signature = struct.pack(order + "I", header[0])
    path.write_bytes(
        struct.pack(order + "IHHQQQHHQQIQ", *header) + chromosomes + data + index + b"".join(nodes) + signature
    )
    return path


def read(path: Path) -> list[tuple[str, int, int, float]]:
    with open_bigwig(path) as track:
        rows = []
        for chrom, blocks in track.blocks.items():
            if len(blocks):
                start, end, value = track.intervals(chrom, blocks)
                rows += [(chrom, *row) for row in zip(start.tolist(), end.tolist(), value.tolist(), strict=True)]
        return rows


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("per_node", [2, 100])
def test_every_kind_of_block(tmp_path: Path, order: str, compressed: bool, per_node: int) -> None:
    path = write(tmp_path / "a.bw", BLOCKS, order=order, compressed=compressed, per_node=per_node)
    assert read(path) == [(chrom, *row) for chrom, _, rows in BLOCKS for row in rows]
    with open_bigwig(path) as track:
        assert track.lengths == CHROMOSOMES
        assert track.blocks["chr2"][:, :2].tolist() == [[0, 2]]


def test_no_blocks(tmp_path: Path) -> None:
    regions = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [10]})
    result = tracks.track_sums(write(tmp_path / "a.bw", []), regions)
    assert result.sums.tolist() == [0] and result.total == 0


@st.composite
def chromosome(draw: st.DrawFn) -> list[tuple[int, int, float]]:
    """Intervals that do not overlap, with gaps and without."""
    cuts = sorted(draw(st.lists(st.integers(0, 300), max_size=16, unique=True)))
    value = st.floats(0, 1e6, width=32)
    return [(a, b, draw(value)) for a, b in pairwise(cuts) if draw(st.booleans())]


@given(
    rows=st.tuples(chromosome(), chromosome()),
    places=st.lists(
        st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(-5, 299), st.integers(1, 320)), max_size=9
    ),
    size=st.integers(1, 4),
    together=st.integers(1, 3),
)
def test_sums_are_those_of_bases(
    tmp_path_factory: pytest.TempPathFactory,
    rows: tuple[list[tuple[int, int, float]], ...],
    places: list[tuple[str, int, int]],
    size: int,
    together: int,
) -> None:
    bases = {name: np.zeros(2_000) for name in CHROMOSOMES}
    blocks: list[Block] = []
    for name, intervals in zip(CHROMOSOMES, rows, strict=True):
        blocks += [(name, 1, intervals[first : first + size]) for first in range(0, len(intervals), size)]
        for start, end, value in intervals:
            bases[name][start:end] = value
    path = write(tmp_path_factory.mktemp("bw") / "a.bw", blocks, per_node=2)
    regions = pd.DataFrame([(c, s, s + n) for c, s, n in places], columns=["chrom", "start", "end"])
    expected = [bases[chrom][max(start, 0) : max(end, 0)].sum() for chrom, start, end in regions.to_numpy()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracks, "_BLOCKS", together)
        result = tracks.track_sums(path, regions)
        touched = tracks.track_sums(path, regions, total=False)
    np.testing.assert_allclose(result.sums, expected, rtol=1e-13)
    np.testing.assert_allclose(result.total, sum(values.sum() for values in bases.values()), rtol=1e-13)
    np.testing.assert_array_equal(touched.sums, result.sums)


def test_every_cut_is_told(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.bw", BLOCKS, per_node=2).read_bytes()
    cut = tmp_path / "cut.bw"
    for size in range(len(whole)):
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.bw: is (empty|no bigWig file|truncated)"):
            read(cut)


@given(st.lists(st.tuples(st.integers(4, 10_000), st.integers(1, 255)), min_size=1, max_size=3))
def test_damage_is_told_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    path = write(tmp_path_factory.mktemp("bw") / "a.bw", BLOCKS, per_node=2)
    data = bytearray(path.read_bytes())
    for at, change in changes:
        data[4 + (at - 4) % (len(data) - 8)] ^= change
    path.write_bytes(data)
    try:
        read(path)
    except InputError as error:
        assert str(path) in str(error)


def test_damaged_blocks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bw", BLOCKS)
    with open_bigwig(path) as track:
        offset = int(track.blocks["chr1"][0, 2])
    data = bytearray(path.read_bytes())
    data[offset + 5] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.bw: is truncated or damaged: a block of chr1 at byte \d+ cannot be unp"):
        read(path)


@pytest.mark.parametrize(
    "rows", [[(0, 10, 1), (5, 15, 1)], [(20, 30, 1), (0, 10, 1)], [(20, 10, 1)], [(0, 10, 1), (0, 10, 1)]]
)
def test_intervals_out_of_order(tmp_path: Path, rows: list[tuple[int, int, float]]) -> None:
    path = write(tmp_path / "a.bw", [("chr1", 1, rows)])
    with pytest.raises(
        InputError, match=r"a\.bw: has intervals that overlap or are out of order \(1 affected; first: c"
    ):
        read(path)


@pytest.mark.parametrize("together", [1, 128])
def test_blocks_that_overlap(tmp_path: Path, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.bw", [("chr1", 1, [(0, 10, 1)]), ("chr1", 1, [(9, 20, 1)])])
    monkeypatch.setattr(tracks, "_BLOCKS", together)
    with pytest.raises(InputError, match=r"a\.bw: has intervals that overlap or .* \(1 affected; first: chr1:9"):
        tracks.track_sums(path, pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [10]}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"chr1\t0\t10\t1\n", "is no bigWig file"),
        (b"ab", "is no bigWig file"),
        (struct.pack("<I", 0x8789F2EB) + bytes(100), "is a bigBed file, which has regions and no signal"),
        (struct.pack("<I", 0x888FFC26) + bytes(100), "is truncated: it does not end with the signature"),
        (struct.pack("<I", 0x888FFC26) * 30, "is truncated or damaged"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.bw"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"x\.bw: {message}"):
        read(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.bw: there is no such file"):
        read(tmp_path / "no.bw")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        read(tmp_path)


def test_an_index_in_circles(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bw", BLOCKS, per_node=2)
    data = bytearray(path.read_bytes())
    (index,) = struct.unpack_from("<Q", data, 24)
    # The root's first child is the root.
    struct.pack_into("<Q", data, index + 48 + 4 + 16, index + 48)
    path.write_bytes(data)
    with pytest.raises(InputError, match="its index runs in circles"):
        read(path)
