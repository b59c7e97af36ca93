"""Signals over regions, of experiments of any kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from epinformer.errors import InputError
from epinformer.prepare.signals import Measured, mean_of, measured


def test_replicates_have_equal_weight() -> None:
    mean = mean_of([Measured(np.array([4.0, 0.0]), "10 reads in a"), Measured(np.array([2.0, 1.0]), "99 reads in b")])
    assert mean.rpm.tolist() == [3.0, 0.5]
    assert (
        mean.words == "signal over the region / all of it (10 reads in a and 99 reads in b) * 1e6, mean of 2 replicates"
    )


def test_every_kind_of_text(world: Any) -> None:
    """Four tags, two of them in the region; two fragments, of which one ends in it and the other is no cell's."""
    tags = [("chr1", 90, "+"), ("chr1", 149, "-"), ("chr1", 500, "+"), ("chr2", 100, "+")]
    rows = "".join(f"{chrom}\t{start}\t{start + 20}\tN\t1000\t{strand}\n" for chrom, start, strand in tags)
    (world.folder / "a.tagAlign").write_text(rows)
    (world.folder / "f.tsv").write_text("chr1\t20\t120\tACGTACGTAC-1\t3\nchr1\t100\t140\tTTTTACGTAC-1\t1\n")
    (world.folder / "cells.txt").write_text("ACGTACGTAC-1\n")
    world.config["signals"] = {
        "dnase": ["a.tagAlign", {"reads": "a.tagAlign", "unit": "cut"}],
        "atac": [{"reads": "f.tsv", "unit": "cut", "barcodes": "cells.txt"}],
    }
    world.config["elements"] = "dnase.bedgraph"
    world.write()
    config = world.load()
    regions = pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [150]})
    seen: list[tuple[int, int]] = []
    found = measured(config, config.signals, regions, lambda done, total: seen.append((done, total)))
    assert [item.rpm.tolist() for item in found["dnase"]] == [[5e5], [0.0]], "the cuts are at 90 and at 168"
    assert [item.rpm.tolist() for item in found["atac"]] == [[5e5]], "of the cuts at 20 and 119 the second is inside"
    assert found["atac"][0].total.endswith("in f.tsv")
    shares = [done / total for done, total in seen]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_no_read_is_an_error(world: Any) -> None:
    (world.folder / "a.tagAlign").write_text("chr1\t100\t120\tN\t1000\t+\n")
    (world.folder / "f.tsv").write_text("chr1\t20\t120\tACGTACGTAC-1\t3\n")
    (world.folder / "cells.txt").write_text("GGGGACGTAC-1\n")
    world.config["signals"] = {"atac": [{"reads": "f.tsv", "barcodes": "cells.txt"}]}
    world.config["elements"] = "dnase.bedgraph"
    world.write()
    config = world.load()
    regions = pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [150]})
    with pytest.raises(InputError, match=r"f\.tsv: "):
        measured(config, config.signals, regions, lambda done, total: None)
