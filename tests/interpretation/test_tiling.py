"""Windows that tile sequences, and the strongest of each."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.padded import one_hot, padded_activity
from epinformer.bases import COMPLEMENT, NO_BASE
from epinformer.errors import InputError
from epinformer.inputs.genome import open_genome
from epinformer.inputs.regions import read_counts
from epinformer.interpretation.region_targets import region_targets
from epinformer.interpretation.targets import Targets, gene_targets
from epinformer.interpretation.tiling import left_aligned, strongest_windows, tile
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import import_checkpoint, load_model
from tests.variant_world import make_world

WINDOW = 256


def made_targets(*codes: np.ndarray, start: int = 1_000) -> Targets:
    """Sequences on one chromosome, the first base of each at ``start``."""
    ends = [start + len(bases) for bases in codes]
    return Targets(pd.DataFrame({"chrom": "chr1", "start": start, "end": ends}), codes.__getitem__)


def bases(seed: int, length: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, length, dtype=np.uint8)


def share_of_g(codes: np.ndarray) -> np.ndarray:
    return (codes == 2).sum(axis=1) / (codes < 5).sum(axis=1)


@given(length=st.integers(1, 3_000), stride=st.integers(1, WINDOW))
def test_windows_cover_a_sequence(length: int, stride: int) -> None:
    begins = tile(length, stride).tolist()
    if length <= WINDOW:
        # Centred as in the network: 128 - length // 2 empty positions come before the first base.
        assert begins == [-(WINDOW // 2 - length // 2)]
        return
    covered = np.zeros(length, dtype=int)
    for begin in begins:
        assert begin >= 0 and begin + WINDOW <= length
        covered[begin : begin + WINDOW] += 1
    assert covered.min() >= 1
    assert begins == sorted(set(begins))
    assert begins[-1] + WINDOW == length
    assert all(begin % stride == 0 for begin in begins[:-1])
    # None that could be there is missing.
    assert begins[:-1] == [begin for begin in range(0, length - WINDOW, stride)]


@pytest.mark.parametrize("stride", [0, -1, WINDOW + 1])
def test_strides_that_leave_gaps(stride: int) -> None:
    with pytest.raises(InputError, match="do not cover a sequence. Give a stride of 1 to 256 bp"):
        tile(1_000, stride)
    with pytest.raises(InputError, match="do not cover"):
        strongest_windows(share_of_g, made_targets(bases(0, 1_000)), [0], stride)


@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=5),
    stride=st.integers(20, WINDOW),
    seed=st.integers(0, 1_000),
    data=st.data(),
)
def test_strongest_windows_are_those_of_a_plain_loop(
    lengths: list[int], stride: int, seed: int, data: st.DataObject
) -> None:
    sequences = [bases(seed + number, length) for number, length in enumerate(lengths)]
    targets = made_targets(*sequences)
    rows = sorted(data.draw(st.sets(st.integers(0, len(lengths) - 1))))
    calls = []

    def predict(codes: np.ndarray) -> np.ndarray:
        calls.append(len(codes))
        return np.round(share_of_g(codes), 2)  # rounded, so that some are equal

    tiles, codes = strongest_windows(predict, targets, rows, stride)
    expected, strongest = [], []
    for row in rows:
        length = lengths[row]
        begins = sorted({*range(0, max(length - WINDOW, 0) + 1, stride), max(length - WINDOW, 0)})
        parts = [sequences[row][begin : begin + WINDOW] for begin in begins]
        values = [round((part == 2).mean(), 2) for part in parts]
        best = max(range(len(begins)), key=lambda at: (values[at], -at))
        for at, begin in enumerate(begins):
            end = 1_000 + begin + len(parts[at])
            expected.append((row, 1_000 + begin, end, values[at], at == best))
        before = 128 - len(parts[best]) // 2
        strongest.append(np.pad(parts[best], (before, WINDOW - before - len(parts[best])), constant_values=NO_BASE))
    assert list(tiles.table.itertuples(index=False, name=None)) == expected
    np.testing.assert_array_equal(codes, np.array(strongest, np.uint8).reshape(-1, WINDOW))
    assert codes.dtype == np.uint8 and tiles.table["target"].dtype == tiles.table["start"].dtype == np.int64
    assert calls == ([len(expected)] if rows else [])


def test_chunks_of_targets_are_as_all_of_them() -> None:
    targets = made_targets(*(bases(number, 200 + 97 * number) for number in range(9)))
    whole, codes = strongest_windows(share_of_g, targets, range(9), 100)
    parts = [strongest_windows(share_of_g, targets, range(first, min(first + 4, 9)), 100) for first in (0, 4, 8)]
    pd.testing.assert_frame_equal(whole.table, pd.concat([part.table for part, _ in parts], ignore_index=True))
    np.testing.assert_array_equal(codes, np.concatenate([own for _, own in parts]))


def test_of_equal_windows_the_first() -> None:
    codes = np.zeros(WINDOW * 4, dtype=np.uint8)
    codes[WINDOW : 3 * WINDOW] = 2
    tiles, _ = strongest_windows(share_of_g, made_targets(codes), [0])
    assert tiles.table["strongest"].tolist() == [False, True, False, False]


def test_sequences_that_begin_beyond_a_chromosome(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    targets = gene_targets(world.dataset, ["GENE0", "GENE3"], "promoter")
    # 300 of the 2,000 bp lie before the chromosome.
    assert targets.table["start"].tolist() == [-300, -300]
    tiles, codes = strongest_windows(share_of_g, targets, [0, 1])
    for row, chrom in enumerate(("chr2", "chr22")):
        own = tiles.table[tiles.table["target"] == row]
        assert own["start"].tolist() == [*range(0, 1_444, WINDOW), 1_444]
        assert (own["end"] - own["start"] == WINDOW).all()
        begin = int(own["start"][own["strongest"]].iloc[0])
        np.testing.assert_array_equal(codes[row], world.genome[chrom][begin : begin + WINDOW])


def test_few_bases_at_the_end_of_a_chromosome() -> None:
    codes = np.full(600, NO_BASE, dtype=np.uint8)
    codes[:101] = bases(0, 101)
    tiles, strongest = strongest_windows(share_of_g, made_targets(codes), [0])
    assert tiles.table[["start", "end"]].to_numpy().tolist() == [[1_000, 1_101]]
    np.testing.assert_array_equal(strongest[0], np.pad(codes[:101], (78, 77), constant_values=NO_BASE))


def test_windows_of_unknown_bases_are_no_candidates(caplog: pytest.LogCaptureFixture) -> None:
    unknown, known = np.full(WINDOW, 4, dtype=np.uint8), bases(1, WINDOW)
    nothing = np.full(300, NO_BASE, dtype=np.uint8)
    targets = made_targets(np.concatenate([known, unknown, known]), unknown, known, nothing)
    with caplog.at_level(logging.WARNING):
        tiles, codes = strongest_windows(lambda codes: (codes >= 4).mean(axis=1), targets, range(4))
    assert tiles.table["target"].tolist() == [0, 0, 2]
    assert tiles.table["start"].tolist() == [1_000, 1_512, 1_000]
    assert tiles.table["strongest"].tolist() == [True, False, True]
    np.testing.assert_array_equal(codes, np.stack([known, known]))
    # One of the first target, that of the second, and two of the fourth, which has no base at all.
    assert "4 of 7 windows have no A, C, G or T and are left out (first: chr1:1256-1512)" in caplog.text

    def never(codes: np.ndarray) -> np.ndarray:
        raise AssertionError

    nothing_left, no_codes = strongest_windows(never, targets, [1])
    assert nothing_left.table.empty and no_codes.shape == (0, WINDOW)


@given(first=st.lists(st.integers(0, 9), min_size=1, max_size=4), data=st.data())
def test_left_aligned_rows_begin_with_their_first_base(first: list[int], data: st.DataObject) -> None:
    counts = [data.draw(st.integers(1, 12 - begin)) for begin in first]
    codes = np.full((len(first), 12), NO_BASE, dtype=np.uint8)
    scores = np.zeros((len(first), 4, 12), dtype=np.float32)
    expected, moved = codes.copy(), scores.copy()
    for row, (begin, count) in enumerate(zip(first, counts, strict=True)):
        codes[row, begin : begin + count] = expected[row, :count] = bases(row, count)
        own = np.random.default_rng(row).normal(size=(4, count))
        scores[row, :, begin : begin + count] = moved[row, :, :count] = own
    aligned, aligned_scores = left_aligned(codes, scores)
    np.testing.assert_array_equal(aligned, expected)
    np.testing.assert_array_equal(aligned_scores, moved)
    np.testing.assert_array_equal(left_aligned(codes, scores[:, 0])[1], moved[:, 0])


@pytest.mark.real_data
def test_strongest_windows_of_real_elements_are_those_of_a_plain_loop(shared_data: Path, tmp_path: Path) -> None:
    """Every tenth K562 element of the locus, against the padded reference, a window at a time."""
    checkpoint = next((shared_data / "published").glob("fold_1_best_K562_seq2activity*.pt"))
    import_checkpoint(checkpoint, tmp_path / "activity.model")
    network = cast(ActivityModel, load_model(tmp_path / "activity.model").model)
    fasta = shared_data / "k562_chr22" / "chr22_hg38_37200001-40600000.fa.gz"
    path = shared_data / "k562" / "Enhancers.DHS.ENCFF257HEE.bam.CountReads.bedgraph.gz"
    elements = read_counts(path)
    with open_genome(fasta) as genome:
        inside = genome.contains(elements["chrom"].to_numpy(object), elements["start"], elements["end"])
        regions = elements[inside].iloc[::10].assign(name="element")
        targets = region_targets(regions, genome, None, path)
        # Two chunks, as a caller who streams gives them.
        with torch.inference_mode():
            parts = [
                strongest_windows(lambda codes: network.both_strands(torch.from_numpy(codes)).numpy(), targets, rows)
                for rows in (range(30), range(30, len(regions)))
            ]
            for row, region in enumerate(regions.itertuples()):
                codes = genome.codes("chr22", int(region.start), int(region.end))
                begins = list(range(0, len(codes) - WINDOW + 1, WINDOW))
                begins += [len(codes) - WINDOW] if len(codes) % WINDOW else []
                values = [plain_activity(network, codes[begin : begin + WINDOW]) for begin in begins]
                best = begins[int(np.argmax(values))]
                (tiles, strongest), at = parts[row >= 30], row % 30
                own = tiles.table[tiles.table["target"] == row]
                np.testing.assert_allclose(own["prediction"], values, rtol=0, atol=1e-5)
                assert (own["start"] - region.start).tolist() == begins
                assert own["start"][own["strongest"]].tolist() == [region.start + best]
                np.testing.assert_array_equal(strongest[at], codes[best : best + WINDOW])
    assert len(regions) == 42


def plain_activity(network: ActivityModel, codes: np.ndarray) -> float:
    """Mean of a window's and its reverse complement's prediction by the padded reference."""
    strands = np.stack([one_hot(codes, WINDOW), one_hot(COMPLEMENT[codes[::-1]], WINDOW)])
    return float(padded_activity(network, torch.from_numpy(strands)).mean())
