from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer import files
from epinformer.config import load_config
from epinformer.dataset.store import open_dataset
from epinformer.errors import ConfigError, OutputError
from epinformer.prepare.build import prepare
from epinformer.simulation import simulate as module
from epinformer.simulation.simulate import Simulation, simulate
from epinformer.simulation.tables import ENCODER_WINDOWS


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the work where only the directory matters."""

    def write(folder: Path, genes: int, seed: int, *_: object) -> Simulation:
        (folder / "simulation.json").write_text(str(seed))
        (folder / "genome.fa").write_text("")
        (folder / "truth" / "links.tsv").write_text("")
        return Simulation(folder, folder, genes, 0, 0, 0, 0, {}, 1.0)

    monkeypatch.setattr(module, "_write", write)


def test_the_same_seed_gives_the_same_bytes_and_progress_is_told(simulation: Simulation, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    simulate(tmp_path / "again", genes=60, seed=3, progress=lambda done, total: seen.append((done, total)))
    first = hashes(simulation.folder)
    assert hashes(tmp_path / "again") == first
    assert set(first) == files._CONTENTS["simulation.json"], "what may be overwritten is what is written"
    assert seen == [(done, 96) for done in range(1, 97)]


def test_the_record_says_what_is_there(simulation: Simulation) -> None:
    record = json.loads((simulation.folder / "simulation.json").read_text())
    elements = pd.read_csv(simulation.folder / "truth" / "elements.tsv", sep="\t")
    assert (record["genes"], record["seed"], simulation.genes) == (60, 3, 60)
    assert sum(record["elements"].values()) == len(elements) == simulation.elements
    assert record["reads"] == simulation.reads and sum(record["chromosomes"].values()) == simulation.bases
    labels = pd.read_csv(simulation.folder / "expression.csv")["RNA"]
    noiseless = pd.read_csv(simulation.folder / "truth" / "genes.tsv", sep="\t")["RNA_noiseless"]
    ceiling = record["noise_ceiling"]
    assert ceiling["expression_pearson"] == pytest.approx(np.corrcoef(labels, noiseless)[0, 1], abs=1e-4)
    assert simulation.ceiling == ceiling["expression_pearson"] and 0.9 < simulation.ceiling < 0.97
    rpm = []
    for name in ("dnase", "h3k27ac.rep1", "h3k27ac.rep2"):
        table = pd.read_csv(simulation.folder / f"{name}.elements.bedgraph", sep="\t", header=None)
        rpm.append(table[3].to_numpy() * 1e6 / simulation.reads[name])
    measured = np.log2(0.1 + np.sqrt(rpm[0] * (rpm[1] + rpm[2]) / 2))
    found = np.corrcoef(measured, elements["log2_activity_sequence"])[0, 1]
    assert ceiling["element_activity_pearson"] == pytest.approx(found, abs=1e-4)
    assert 0.8 < found < 0.95


def test_prepare_reads_it_all(simulation: Simulation, tmp_path: Path) -> None:
    config = load_config(simulation.config)
    assert config.recorded()["encoder_windows"]["peaks"] == ENCODER_WINDOWS["peaks"]
    manifest = prepare(config, tmp_path / "d")
    dataset = open_dataset(tmp_path / "d")
    assert (manifest.rows["genes"], manifest.rows["elements"], manifest.rows["pairs"]) == (
        simulation.genes,
        simulation.elements,
        simulation.pairs,
    )
    links = pd.read_csv(simulation.folder / "truth" / "links.tsv", sep="\t").set_index(["gene_id", "element_id"])
    keys = pd.MultiIndex.from_arrays(
        [
            dataset.genes["gene_id"].to_numpy()[dataset.pairs["gene_index"]],
            dataset.elements["element_id"].to_numpy()[dataset.pairs["element_index"]],
        ]
    )
    contact = links["contact"].reindex(keys).to_numpy()
    assert not np.isnan(contact).any()
    assert np.corrcoef(np.log(contact), np.log(1 + dataset.pairs["contact"]))[0, 1] > 0.9
    truth = pd.read_csv(simulation.folder / "truth" / "elements.tsv", sep="\t")
    assert np.corrcoef(np.log2(0.1 + dataset.elements["activity"]), truth["log2_activity"])[0, 1] > 0.9
    # Mean activity x contact of a gene's pairs tells its expression, as the model says.
    gene = dataset.pairs["gene_index"].to_numpy()
    added = dataset.elements["activity"].to_numpy()[dataset.pairs["element_index"]] * dataset.pairs["contact"]
    sums = np.log2(1 + np.bincount(gene, added, minlength=len(dataset.genes)))
    assert np.corrcoef(sums, dataset.genes["expression_rna"])[0, 1] > 0.4


def test_other_seeds_are_other_worlds(simulation: Simulation) -> None:
    from epinformer.simulation.layout import lay_out

    assert simulation.bases == sum(lay_out(60, 3).lengths.values()) != sum(lay_out(60, 4).lengths.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genes": 47}, r"genes: 47 genes cannot be simulated\. Give 48 to 100,000"),
        ({"genes": 100_001}, "100,001 genes cannot"),
        ({"seed": -1}, "seed: -1 is no seed"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate(tmp_path / "s", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_there(tmp_path: Path, small: None) -> None:
    simulate(tmp_path / "s", seed=1)
    with pytest.raises(OutputError, match="already exists"):
        simulate(tmp_path / "s", seed=2)
    assert (tmp_path / "s" / "simulation.json").read_text() == "1"
    made = simulate(tmp_path / "s", seed=2, overwrite=True)
    assert (tmp_path / "s" / "simulation.json").read_text() == "2"
    assert (made.folder, made.config) == (tmp_path / "s", tmp_path / "s" / "config.yaml")
    (tmp_path / "s" / "truth" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"1 affected; first: truth/notes\.txt"):
        simulate(tmp_path / "s", seed=3, overwrite=True)
    shutil.rmtree(tmp_path / "s")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mine").write_text("")
    with pytest.raises(OutputError, match=r"holds no simulation\.json"):
        simulate(tmp_path / "s", overwrite=True)


def test_no_folder_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its folder does not exist"):
        simulate(tmp_path / "no" / "s")


@pytest.mark.parametrize("where", ["CoolWriter.add", "place_reads", "pysam.index", "tabix_index", "write_truth"])
def test_a_full_disk_at_any_step_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], where: str
) -> None:
    """Genomes are cut short, so that each case takes a second."""
    from epinformer.simulation import layout, tables, tracks

    monkeypatch.setattr(layout, "CHROMOSOMES", ("chr1", "chr2"))
    monkeypatch.setattr(layout, "_shares", lambda genes: [10, 10])

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def failed(*_: object, **__: object) -> None:
        monkeypatch.setattr(os, "fsync", full)
        raise OSError("error when writing")

    place, replacement = {
        "CoolWriter.add": ((module.CoolWriter, "add"), full),
        "place_reads": ((tracks, "place_reads"), full),
        "pysam.index": ((tracks.pysam, "index"), failed),
        "tabix_index": ((tables.pysam, "tabix_index"), failed),
        "write_truth": ((module, "write_truth"), full),
    }[where]
    monkeypatch.setattr(*place, replacement)
    with pytest.raises(OutputError, match=r"s: cannot be written: No space left on device\. Free some space"):
        simulate(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []
    capfd.readouterr()  # the bigWig writer prints what it swallows
