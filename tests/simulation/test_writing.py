from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import numpy as np
import pysam
import pytest

from epinformer.files import write_failure
from epinformer.simulation.writing import BlockedGzip, explained


@pytest.mark.parametrize("size", [0, 1, 0xFF00, 0xFF00 + 1, 1_000_000])
def test_blocked_gzip_is_what_others_read(tmp_path: Path, size: int) -> None:
    # Random bytes do not compress: the worst case for the size of a block.
    data = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tobytes()
    path = tmp_path / "a.gz"
    with BlockedGzip(path) as handle:
        for first in range(0, size, 70_001):
            handle.write(data[first : first + 70_001])
    assert gzip.decompress(path.read_bytes()) == data
    with pysam.BGZFile(str(path), "rb", index=None) as reader:
        assert reader.read(size + 1) == data


def test_a_failed_blocked_gzip_has_no_end(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), BlockedGzip(tmp_path / "a.gz") as handle:
        handle.write(b"half")
        raise ZeroDivisionError
    assert (tmp_path / "a.gz").read_bytes() == b""


def test_errors_with_a_number_and_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), explained(tmp_path / "a"):
        (tmp_path / "nothing").read_text()
    with pytest.raises(ZeroDivisionError), explained(tmp_path / "a"):
        raise ZeroDivisionError


@pytest.mark.parametrize("raised", [OSError("closed badly"), pysam.SamtoolsError("failed to write index")])
def test_a_failure_without_a_number_gets_the_systems(
    tmp_path: Path, raised: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="Input/output error") as caught, explained(tmp_path / "a"):
        raise raised
    assert caught.value.errno == errno.EIO and caught.value.filename == str(tmp_path / "a")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught, explained(tmp_path / "a"):
        raise raised
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_the_reason_of_a_folder_that_is_gone(tmp_path: Path) -> None:
    assert write_failure(tmp_path / "no" / "a").errno == errno.ENOENT
