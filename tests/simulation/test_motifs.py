from __future__ import annotations

import numpy as np
import pytest

from epinformer.bases import encode
from epinformer.simulation.model import Model
from epinformer.simulation.motifs import (
    MOTIFS,
    NAMES,
    draw_site,
    find_sites,
    frequencies,
    meme_text,
    sequence_activity,
    sequence_opening,
)

IUPAC = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC", "N": "ACGT"}


def complement(text: str) -> str:
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


def fits(text: str, consensus: str) -> bool:
    return all(base in IUPAC.get(letter, letter) for base, letter in zip(text, consensus, strict=True))


def sites(text: str) -> list[tuple[str, int, bool, float]]:
    hits = find_sites(encode(text.encode())[None, :])
    return [
        (NAMES[motif], int(position), bool(minus), float(strength))
        for motif, position, minus, strength in zip(hits.motif, hits.position, hits.minus, hits.strength, strict=True)
    ]


def test_a_consensus_on_either_strand_is_a_site_of_full_strength() -> None:
    text = "CCCCC" + "AGATAAG" + "CCCCC" + complement("GAGGAAGT") + "CCCCC"
    assert sites(text) == [("GATA1", 5, False, 1.0), ("SPI1", 17, True, 1.0)]


def test_a_palindrome_is_found_once_and_degenerate_letters_are_free() -> None:
    assert sites("AAAATGACTCAAAA") == [("JUN_FOS", 4, False, 1.0)]
    assert [name for name, *_ in sites("AAAATGAGTCAAAA")] == ["JUN_FOS"]


def test_a_mismatch_an_n_and_a_window_that_is_too_short() -> None:
    assert sites("CCCCAGCTAAGCCCC") == []
    assert sites("CCCCAGANAAGCCCC") == []
    assert sites("AGATA") == []


def test_all_exact_matches_are_found_in_random_windows() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (25, 256)).astype(np.uint8)
    hits = find_sites(codes)
    found = {tuple(map(int, row)) for row in zip(hits.window, hits.motif, hits.position, strict=True)}
    full = 0
    for window, row in enumerate(codes):
        text = "".join("ACGT"[code] for code in row)
        for number, motif in enumerate(MOTIFS):
            width = len(motif.consensus)
            for place in range(257 - width):
                part = text[place : place + width]
                if fits(part, motif.consensus) or fits(complement(part), motif.consensus):
                    assert (window, number, place) in found
                    full += 1
    assert full == (hits.strength > 0.999).sum() >= 5
    assert hits.strength.min() > 0
    order = np.lexsort((hits.position, hits.motif, hits.window))
    assert (order == np.arange(len(order))).all()


def test_strength_is_the_part_of_the_log_odds_above_three_quarters() -> None:
    # One mismatch in the 12 fixed letters of CTCF's 14 (three of them of two bases, one free).
    odds = np.log2(frequencies(MOTIFS[NAMES.index("CTCF")]) / 0.25)
    text = "CCACAAGATGGCAC"
    at = 6
    assert fits(text, "CCACNAGRKGGCRS")
    text = text[:at] + "C" + text[at + 1 :]
    total = sum(odds[i]["ACGT".index(base)] for i, base in enumerate(text))
    highest = odds.max(axis=1).sum()
    expected = (total - 0.75 * highest) / (0.25 * highest)
    found = {name: strength for name, _, _, strength in sites(text)}
    if expected <= 0:
        assert "CTCF" not in found
    else:
        assert found["CTCF"] == pytest.approx(expected, abs=1e-5)


def test_many_windows_are_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.random.default_rng(1).integers(0, 4, (50, 200)).astype(np.uint8)
    whole = find_sites(codes)
    monkeypatch.setattr("epinformer.simulation.motifs._CHUNK", 7)
    for one, other in zip(whole, find_sites(codes), strict=True):
        assert np.array_equal(one, other)


def test_total_adds_up_the_sites_of_a_window() -> None:
    codes = np.stack([encode(b"CCAGATAAGCCAGATAAGCC"), encode(b"CCCCCCCCCCCCCCCCCCCC")])
    total = find_sites(codes).total(2)
    assert total[0, NAMES.index("GATA1")] == pytest.approx(2)
    assert total.sum() == pytest.approx(2)


def test_activity_saturates_and_synergy_needs_both() -> None:
    model = Model()
    total = np.zeros((4, len(MOTIFS)))
    total[0, NAMES.index("GATA1")] = 1
    total[1, [NAMES.index("GATA1"), NAMES.index("KLF1")]] = 1
    total[2, NAMES.index("GFI1B")] = 2
    total[3, NAMES.index("SPI1")] = 1_000
    expected = [6 * (1 - np.exp(-1.3 / 6)), 6 * (1 - np.exp(-(1.3 + 1.1 + 0.8) / 6)), -3.0, 6.0]
    assert sequence_activity(total, model) == pytest.approx(expected)


def test_only_ctcf_opens_and_only_once() -> None:
    total = np.zeros((3, len(MOTIFS)))
    total[1, NAMES.index("CTCF")] = 0.5
    total[2, NAMES.index("CTCF")] = 3
    assert sequence_opening(total, Model()) == pytest.approx([0, 0.9, 1.8])
    assert sequence_activity(total, Model()) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize("motif", MOTIFS, ids=NAMES)
def test_a_drawn_site_fits_the_consensus_on_one_strand(motif) -> None:
    rng = np.random.default_rng(5)
    drawn = ["".join("ACGT"[code] for code in draw_site(motif, rng)) for _ in range(20)]
    assert all(fits(text, motif.consensus) or fits(complement(text), motif.consensus) for text in drawn)
    assert all(motif.name in [name for name, *_ in sites(text)] for text in drawn)


def test_meme_text_has_every_motif_with_rows_that_add_up_to_one() -> None:
    blocks = meme_text().split("MOTIF ")[1:]
    assert [block.split()[0] for block in blocks] == list(NAMES)
    for block, motif in zip(blocks, MOTIFS, strict=True):
        rows = [line.split() for line in block.splitlines()[2:] if line]
        assert len(rows) == len(motif.consensus)
        assert np.array(rows, dtype=float).sum(axis=1) == pytest.approx(1, abs=1e-5)
