from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from epinformer.errors import InputError
from epinformer.inputs import hic
from epinformer.inputs.contact_maps import open_contact_map
from epinformer.inputs.hic import open_hic
from tests.contact_files import LENGTHS, random_counts, write_hic

COUNTS = random_counts(LENGTHS, 5_000)


@pytest.mark.parametrize("pixels", [1, 30, 1 << 21])
def test_pieces_of_any_size_give_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: int) -> None:
    monkeypatch.setattr(hic, "_PIXELS", pixels)
    path = write_hic(tmp_path / "a.hic", COUNTS, LENGTHS, [5_000])
    with open_hic(path, None, "none") as reader:
        for chrom, first, last, farthest in (
            ("chr1", 0, 21, 21),
            ("chr1", 4, 9, 3),
            ("chr2", 10, 11, 0),
            ("chr3", 0, 1, 9),
        ):
            found = [
                pixel
                for piece in reader.counts(chrom, first, last, farthest)
                for pixel in zip(*(column.tolist() for column in piece), strict=True)
            ]
            matrix = COUNTS[chrom]
            expected = [
                (i, j, matrix[i, j])
                for i in range(first, last)
                for j in range(i, min(i + farthest + 1, len(matrix)))
                if matrix[i, j]
            ]
            assert found == expected


@pytest.mark.real_data
def test_a_chromosome_without_the_normalisation_is_masked(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "hic" / "straw_R_test.hic"
    if not path.is_file():
        pytest.skip(f"no {path}")
    # The index has one entry a normalisation and chromosome; that of KR on the 22nd is given another name.
    entry = b"KR\0" + struct.pack("<i", 22) + b"BP\0"
    content = path.read_bytes()
    assert content.count(entry) == 1
    changed = tmp_path / "a.hic"
    changed.write_bytes(content.replace(entry, b"XX" + entry[2:]))
    with open_contact_map(changed, normalisation="KR") as opened:
        assert np.isnan(opened.norms("22")).all()
        assert np.isnan(opened.values("22", np.arange(20), np.arange(20))).all()
        assert np.isfinite(opened.norms("21")).any()


@pytest.mark.real_data
def test_a_damaged_block_is_told(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "hic" / "straw_R_test.hic"
    if not path.is_file():
        pytest.skip(f"no {path}")
    content = bytearray(path.read_bytes())
    content[2_000:200_000] = bytes(198_000)
    damaged = tmp_path / "a.hic"
    damaged.write_bytes(content)
    with (
        pytest.raises(InputError, match=r"a\.hic: is truncated or damaged: "),
        open_contact_map(damaged, normalisation="none") as opened,
    ):
        for chrom in opened.chromosomes:
            opened.row_sums(chrom)


def test_a_fork_after_the_import_ends() -> None:
    """Its hooks would make a forked process wait; those of other modules stay."""
    script = (
        "import os, sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "from epinformer.inputs.hic import imported_hictkpy\n"
        "register = os.register_at_fork\n"
        "imported_hictkpy()\n"
        "assert os.register_at_fork is register\n"
        "import random\n"
        "state = random.getstate()\n"
        "process = os.fork()\n"
        "if not process:\n"
        "    os._exit(random.getstate() == state)\n"
        "sys.exit(os.waitpid(process, 0)[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=250)
    assert (done.returncode, done.stderr) == (0, "")
