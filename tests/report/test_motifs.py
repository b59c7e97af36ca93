from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from epinformer.errors import OutputError
from epinformer.inputs.motifs import read_meme
from epinformer.report.motif_figures import pattern_logo
from epinformer.report.motif_tables import HITS, SEQLETS
from epinformer.report.motifs import summary, write_motifs
from tests.motif_world import MOTIFS, ODD, attributions, enriched, found, nothing

TABLES = ["hits.bed", "matches.tsv", "motifs.tsv", "seqlets.bed"]
ABOUT = {"q": 0.02, "database": ODD, "sequences": 4, "against_sequences": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("motifs") / "out"
    write_motifs(found(enrichment=enriched(), about=ABOUT), attributions(), path, figures=2)
    return path


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


def test_the_folder_holds_tables_logos_figures_and_a_page(folder: Path) -> None:
    names = ["figures", *TABLES, "enrichment.tsv", "logos", "modisco.h5", "motifs.html", "motifs.json", "patterns.meme"]
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(names)
    assert sorted(entry.name for entry in (folder / "logos").iterdir()) == ["neg_0.png", "pos_0.png", "pos_1.png"]
    drawn = ["0001_chr2_first", "0002_b_odd_b_name_of_x", "enrichment", "motifs"]
    assert sorted(entry.name for entry in (folder / "figures").iterdir()) == sorted(
        f"{name}.{suffix}" for name in drawn for suffix in ("pdf", "png")
    )
    for picture in folder.rglob("*.png"):
        assert (matplotlib.image.imread(picture)[..., :3] < 0.99).any(axis=-1).mean() > 0.003
    for picture in folder.rglob("*.pdf"):
        assert picture.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", [*TABLES, "enrichment.tsv"])
def test_every_line_has_the_same_fields(folder: Path, name: str) -> None:
    lines = rows(folder / name)
    assert len(lines) > 2
    assert {len(line) for line in lines} == {len(lines[0])}


def test_beds_are_those_of_other_tools(folder: Path) -> None:
    for name, columns in (("hits.bed", HITS), ("seqlets.bed", SEQLETS)):
        header, *lines = rows(folder / name)
        assert tuple(header) == columns and header[0].startswith("#")
        for line in lines:
            assert line[0].startswith("chr") and int(line[1]) < int(line[2])
            assert 0 <= int(line[4]) <= 1000 and line[5] in "+-."
            assert not any(re.search(r"\s", field) or not field for field in line)
        places = [(line[0], int(line[1])) for line in lines]
        assert places == sorted(places)


def test_patterns_are_motifs_that_can_be_read(folder: Path) -> None:
    motifs = read_meme(folder / "patterns.meme")
    assert [(motif.id, motif.name) for motif in motifs] == [
        ("pos_0", "GATA1"),
        ("pos_1", "pos_1"),
        ("neg_0", "_".join(ODD.split())),
    ]
    np.testing.assert_allclose(motifs[0].frequencies[:, 1:-1], MOTIFS[0].frequencies, atol=1e-6)


def test_the_page_says_it_and_escapes_what_users_wrote(folder: Path) -> None:
    page = (folder / "motifs.html").read_text("utf-8")
    assert "<b>odd" not in page and "&lt;b&gt;odd" in page
    text = re.sub(r"\s+", " ", page)
    assert "3 patterns from 6 seqlets in 4 sequences, by in-silico mutagenesis of the model model" in text
    assert "2 resemble known motifs, best: GATA1 (C4-GATA), &lt;b&gt;odd" in text
    # Logos in the table, the bars, the enrichment, two sequences.
    assert len(re.findall("<img", page)) == 3 + 1 + 1 + 2
    assert "no known motif" in page and "1 of 2 motifs differ between the 4 sequences here and the 8" in text
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_the_record_says_how_and_how_much(folder: Path) -> None:
    record = json.loads((folder / "motifs.json").read_text("utf-8"))
    assert record["settings"] == ABOUT and record["attributions"]["models"] == ["model"]
    numbers = ("patterns", "patterns_with_known_motif", "known_motifs", "sequences", "with_seqlets", "seqlets", "hits")
    assert [record[name] for name in numbers] == [3, 2, 3, 4, 4, 3, 4]


def test_tables_can_be_read_again(folder: Path) -> None:
    table = pd.read_csv(folder / "motifs.tsv", sep="\t")
    assert table["pattern"].tolist() == ["pos_0", "pos_1", "neg_0"] and table["seqlets"].tolist() == [3, 2, 1]
    assert len(pd.read_csv(folder / "matches.tsv", sep="\t")) == 9
    assert pd.read_csv(folder / "enrichment.tsv", sep="\t")["odds_ratio"].tolist() == [np.inf, 0.2]


def test_logos_turn_and_shift_the_known_motif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def noted(contributions: np.ndarray, motif: np.ndarray | None = None, offset: int = 0) -> Figure:
        drawn.append((contributions, motif, offset))
        return pattern_logo(contributions, motif, offset)

    monkeypatch.setattr("epinformer.report.motifs.pattern_logo", noted)
    write_motifs(found(), attributions(), tmp_path / "out", figures=0)
    (first, known, offset), (_, none, _), (last, turned, shifted) = drawn
    # Trimmed: without the positions that contribute nothing, except one on either side.
    assert first.shape == (4, 9) and last.shape == (4, 8) and (last <= 0).all()
    assert known is not None and turned is not None and none is None
    np.testing.assert_array_equal(known, MOTIFS[0].frequencies)
    assert ["ACGT"[base] for base in turned.argmax(axis=0)] == list("AGATAA")
    # The pattern's first column lies over column -3 of the motif: the motif begins at its fourth.
    assert (offset, shifted) == (1, 3)


def test_nothing_found_is_said_plainly(tmp_path: Path) -> None:
    result = nothing()._replace(enrichment=enriched(0), about=ABOUT)
    write_motifs(result, attributions(), tmp_path / "out", figures=1)
    page = (tmp_path / "out" / "motifs.html").read_text("utf-8")
    assert "No pattern was found in 4 sequences" in page
    assert "nothing is enriched" in page
    for name in [*TABLES, "enrichment.tsv"]:
        (header,) = rows(tmp_path / "out" / name)
        assert len(header) > 3
    with h5py.File(tmp_path / "out" / "modisco.h5") as file:
        assert not [name for group in file.values() for name in group]
    assert "No pattern was found" in summary(result, attributions())


def test_patterns_without_known_motif_or_hit_are_still_shown(tmp_path: Path) -> None:
    full = found()
    result = full._replace(matches=full.matches.assign(q=1.0), hits=full.hits.iloc[:0])
    write_motifs(result, attributions(), tmp_path / "out", figures=1)
    page = (tmp_path / "out" / "motifs.html").read_text("utf-8")
    assert "None resembles a known motif" in page and "No pattern resembles a known motif" in page
    assert not (tmp_path / "out" / "enrichment.tsv").exists()
    assert [line[3] for line in rows(tmp_path / "out" / "seqlets.bed")[1:]] == [".", ".", "."]


def test_a_folder_is_replaced_only_if_asked_to_and_ours(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_motifs(nothing(), attributions(), out, figures=1)
    with pytest.raises(OutputError, match="already exists"):
        write_motifs(nothing(), attributions(), out, figures=0)
    write_motifs(found(), attributions(), out, figures=0, overwrite=True)
    write_motifs(nothing(), attributions(), out, figures=0, overwrite=True)
    assert list((out / "logos").iterdir()) == []
    (out / "logos" / "mine.png").write_text("mine")
    with pytest.raises(OutputError, match=r"did not write.*first: logos/mine.png"):
        write_motifs(nothing(), attributions(), out, figures=0, overwrite=True)
    assert (out / "logos" / "mine.png").read_text() == "mine"


def test_the_summary_names_each_pattern() -> None:
    lines = summary(found(), attributions()).splitlines()
    assert re.match(r"pos_0 +3  AGATAAC +GATA1 \(MA1, C4-GATA\), q 1e-08", lines[-3])
    assert re.match(r"pos_1 +2  CCACGTG +none", lines[-2])
    assert lines[-1].startswith("neg_0") and len(lines) == 6
