from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from epinformer.errors import EpinformerError
from epinformer.inputs.motifs import read_meme
from epinformer.interpretation.databases import jaspar


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the internet was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_release_of_2024(capfd: pytest.CaptureFixture[str]) -> None:
    motifs = jaspar()
    by_id = {motif.id: motif for motif in motifs}
    assert len(motifs) == len(by_id) == 879
    assert (by_id["MA0035.5"].name, by_id["MA0139.2"].name) == ("GATA1", "CTCF")
    assert by_id["MA0140.3"].name == "GATA1::TAL1"
    assert by_id["MA0035.5"].family == "C4-GATA-related"
    assert by_id["MA0074.1"].family == ("RXR-related receptors (NR2)::Thyroid hormone receptor-related factors (NR1)")
    # Names come twice, and that is normal.
    assert len({motif.name for motif in motifs}) < len(motifs)
    for motif in motifs:
        assert motif.frequencies.shape[0] == 4 and motif.frequencies.dtype == np.float64
        np.testing.assert_allclose(motif.frequencies.sum(axis=0), 1, rtol=1e-12)
    # No pseudocount: what was never seen is 0.
    assert (by_id["MA0139.2"].frequencies == 0).any()
    assert capfd.readouterr() == ("", "")


def test_other_parts() -> None:
    vertebrates, insects = jaspar("JASPAR2014"), jaspar("JASPAR2014", tax_group="insects")
    assert len(vertebrates) == 205 and len(insects) > 100
    assert {motif.id for motif in vertebrates}.isdisjoint(motif.id for motif in insects)
    # White space at the end of families, as this collection has it, is dropped.
    families = [motif.family for motif in jaspar("JASPAR2018")]
    assert "Interferon-regulatory factors" in families and families == [family.strip() for family in families]


def test_what_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EpinformerError, match=r"pyjaspar: has no release of JASPAR called 'JASPAR1999'.*JASPAR2024"):
        jaspar("JASPAR1999")
    with pytest.raises(EpinformerError, match=r"JASPAR2024: has no collection called .*It has CORE, UNVALIDATED"):
        jaspar(collection="x' OR '1'='1")
    with pytest.raises(EpinformerError, match=r"no group of species called 'people'.*It has .*vertebrates"):
        jaspar(tax_group="people")
    with pytest.raises(EpinformerError, match="JASPAR2018: has no motifs of fungi in its collection CNE"):
        jaspar("JASPAR2018", "CNE", "fungi")
    assert capfd.readouterr() == ("", "")


@pytest.mark.real_data
def test_the_same_motifs_as_in_the_published_file(shared_data: Path) -> None:
    published = read_meme(shared_data / "motifs" / "JASPAR2022_CORE_non-redundant_pfms_meme.txt")
    by_id = {motif.id: motif for motif in published}
    motifs = jaspar("JASPAR2022")
    assert len(motifs) > 800
    for motif in motifs:
        assert motif.name == by_id[motif.id].name
        np.testing.assert_allclose(motif.frequencies, by_id[motif.id].frequencies, atol=2e-6)
