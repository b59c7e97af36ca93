from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from epinformer.simulation.layout import World, lay_out
from epinformer.simulation.model import EXPERIMENTS, Model
from epinformer.simulation.motifs import NAMES
from epinformer.simulation.signals import count_overlapping, draw_reads, place_reads, read_anchors


@pytest.fixture(scope="module")
def world() -> World:
    return lay_out(48, 0)


def sites(world: World, names: list[str], offsets: list[int]) -> pd.DataFrame:
    center = int(world.elements["center"][0])
    return pd.DataFrame(
        {
            "element": 0,
            "motif": [NAMES.index(name) for name in names],
            "start": [center + offset for offset in offsets],
            "end": [center + offset + 10 for offset in offsets],
            "strength": 1.0,
        }
    )


def test_overlap_is_at_least_one_base_of_36() -> None:
    starts = np.array([64, 65, 100, 199, 200])
    regions = pd.DataFrame({"start": [100, 0, 300], "end": [200, 65, 400]})
    assert count_overlapping(starts, regions).tolist() == [3, 1, 0]


def test_overlap_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    starts = np.sort(rng.integers(0, 5_000, 800))
    low = rng.integers(0, 5_000, 100)
    regions = pd.DataFrame({"start": low, "end": low + rng.integers(1, 400, 100)})
    expected = [
        sum(start < end and start + 36 > first for start in starts)
        for first, end in zip(regions["start"], regions["end"], strict=True)
    ]
    assert count_overlapping(starts, regions).tolist() == expected


def test_reads_are_shared_among_sites_as_they_add_to_the_signal(world: World) -> None:
    table = read_anchors(world, sites(world, ["SPI1", "GFI1B", "CTCF"], [-50, 0, 50]), Model())
    mine = table[table["element"] == 0]
    assert len(table) == len(world.elements) + 3
    # In order of place: SPI1 adds 1.5, GFI1B nothing and CTCF 1.8 for DNase; the centre counts as 0.5.
    assert mine["h3k27ac"].tolist() == pytest.approx([0.75, 0.25, 0, 0])
    assert mine["dnase"].tolist() == pytest.approx(np.array([0.7 * 1.5, 0.5, 0, 1.8]) / 3.35)
    assert table.groupby("element")[["dnase", "h3k27ac"]].sum().to_numpy() == pytest.approx(1)


def test_reads_follow_activity_and_ctcf_opens_without_acetylation(world: World) -> None:
    count = len(world.elements)
    zero = np.zeros(count)
    low, high, open_ = (
        draw_reads(world, activity, opening, Model(), 0)
        for activity, opening in ((zero, zero), (zero + 3, zero), (zero, zero + 1.8))
    )
    assert [item.experiment for item in low] == list(EXPERIMENTS)
    fold = [b.elements.mean() / a.elements.mean() for a, b in zip(low, high, strict=True)]
    assert fold == pytest.approx([2**2.1, 8, 8], rel=0.15)
    fold = [b.elements.mean() / a.elements.mean() for a, b in zip(low, open_, strict=True)]
    assert fold == pytest.approx([2**1.8, 1, 1], rel=0.15)
    assert low[2].total == pytest.approx(low[1].total / 2, rel=0.05)
    for item in low:
        assert item.total == item.elements.sum() + sum(item.background.values())
        assert list(item.background) == list(world.lengths)


def test_reads_lie_on_the_chromosome_around_their_anchors(world: World) -> None:
    none = np.zeros(len(world.elements), dtype=np.int64)
    alone = none.copy()
    alone[0] = 4_000
    anchors = read_anchors(world, sites(world, ["SPI1"], [-50]), Model())
    center = int(world.elements["center"][0])
    drawn = draw_reads(world, none.astype(float), none.astype(float), Model(), 0)
    for item in drawn[:2]:
        reads = item._replace(elements=alone, background=dict.fromkeys(world.lengths, 0))
        placed = list(place_reads(world, anchors, reads, 0))
        assert [part.chrom for part in placed] == list(world.lengths)
        starts = placed[0].starts
        assert len(starts) == 4_000 and sum(len(part.starts) for part in placed[1:]) == 0
        assert (np.diff(starts) >= 0).all() and starts.min() >= 0
        assert 0.45 < placed[0].minus.mean() < 0.55
        shares = np.array([1.05, 0.5]) if item.experiment.signal == "dnase" else np.array([1.5, 0.5])
        expected = center + (shares * [-45, 0]).sum() / shares.sum() - 18
        assert starts.mean() == pytest.approx(expected, abs=8)


def test_background_reads_fill_the_chromosome_to_its_ends(world: World) -> None:
    none = np.zeros(len(world.elements), dtype=np.int64)
    item = draw_reads(world, none.astype(float), none.astype(float), Model(), 0)[0]
    reads = item._replace(elements=none, background=dict.fromkeys(world.lengths, 200_000))
    part = next(place_reads(world, read_anchors(world, sites(world, [], []), Model()), reads, 0))
    length = world.lengths["chr1"]
    assert len(part.starts) == 200_000
    assert 0 <= part.starts[0] < 50 and length - 36 - 50 < part.starts[-1] <= length - 36
    assert np.histogram(part.starts, 10)[0] == pytest.approx(20_000, rel=0.05)
