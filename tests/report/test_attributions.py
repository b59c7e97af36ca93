from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pybigtools
import pytest

from epinformer.errors import InputError, ModelError, OutputError
from epinformer.interpretation.attribution_file import Explained, read_attributions
from epinformer.report.attributions import figure_name, sequence_figure, write_explained
from tests.explained_world import ABOUT, explained, joined

LENGTH = 30
SIZES = {"chr1": 1_000, "chr2": 500}
CHUNKS = (
    explained([("chr2", 100, 130), ("chr1", 0, 20)], LENGTH, seed=1),
    explained([("chr1", 15, 45)], LENGTH, seed=2, names=["../x/β y"], tiled=False),
    explained([("chr2", 3, 33)], LENGTH, seed=3, delta=0.25),
)


def write(folder: Path, chunks: tuple[Explained, ...] = CHUNKS, **how: object) -> int:
    return write_explained(iter(chunks), folder, ABOUT, **{"length": LENGTH, "chrom_sizes": SIZES, "figures": 0, **how})  # type: ignore[arg-type]


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_folder_has_everything(tmp_path: Path) -> None:
    assert write(tmp_path / "e", figures=3) == 4
    figures = ["0001_chr2_100-130", "0002_chr1_0-20", "0003_x_y"]
    assert contents(tmp_path / "e") == sorted(
        [
            *("attributions.bw", "attributions.h5", "explain.json", "regions.tsv", "tiles.tsv"),
            *(f"figures/{name}.{kind}" for name in figures for kind in ("png", "pdf")),
        ]
    )
    assert (tmp_path / "e" / "figures" / "0001_chr2_100-130.pdf").read_bytes()[:4] == b"%PDF"
    attributions = read_attributions(tmp_path / "e")
    assert attributions.table["name"].tolist() == joined(CHUNKS, "table")["name"].tolist()
    table = pd.read_csv(tmp_path / "e" / "regions.tsv", sep="\t")
    expected = joined(CHUNKS, "table").fillna(np.nan)
    pd.testing.assert_frame_equal(table.fillna(np.nan), expected, check_dtype=False, rtol=1e-6)
    tiles = pd.read_csv(tmp_path / "e" / "tiles.tsv", sep="\t")
    tiled = [chunk for chunk in CHUNKS if len(chunk.tiles)]
    pd.testing.assert_frame_equal(tiles, joined(tiled, "tiles"), check_dtype=False, rtol=1e-6)
    with pybigtools.open(str(tmp_path / "e" / "attributions.bw")) as track:
        assert dict(track.chroms()) == SIZES
        assert track.values("chr2", 100, 130, fillna=0) == pytest.approx(attributions.actual[0], rel=1e-6)
        assert track.values("chr2", 3, 33, fillna=0) == pytest.approx(attributions.actual[3], rel=1e-6)
    record = json.loads((tmp_path / "e" / "explain.json").read_text())
    assert record["models"] == ["fold_1", "fälle_2"] and record["method"] == "deeplift"
    assert (record["sequences"], record["bases"], record["tiles"]) == (4, 110, 6)
    assert record["largest_delta"] == 0.25 and record["format_version"] == 1


def test_without_windows_and_deltas(tmp_path: Path) -> None:
    chunk = explained([("chr1", 15, 45)], LENGTH, tiled=False, delta=np.nan, reference=np.nan)
    write(tmp_path / "e", (chunk,))
    assert contents(tmp_path / "e") == ["attributions.bw", "attributions.h5", "explain.json", "regions.tsv"]
    assert json.loads((tmp_path / "e" / "explain.json").read_text())["largest_delta"] is None


@pytest.mark.parametrize("figures", [0, 1, 2, 3, 9])
def test_the_first_sequences_are_drawn(tmp_path: Path, figures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(
        "epinformer.report.attributions._draw",
        lambda path, about, chunk, row: drawn.append((path.name, chunk.table["start"].iloc[row])),
    )
    write(tmp_path / "e", figures=figures)
    every = [("0001_chr2_100-130", 100), ("0002_chr1_0-20", 0), ("0003_x_y", 15), ("0004_chr2_3-33", 3)]
    assert drawn == every[:figures]


def test_chunks_are_let_go_one_by_one(tmp_path: Path) -> None:
    given: list[weakref.ref[np.ndarray]] = []

    def chunks() -> Iterator[Explained]:
        for number in range(6):
            chunk = explained([("chr1", number, number + LENGTH)], LENGTH, seed=number)
            given.append(weakref.ref(chunk.hypothetical))
            assert sum(array() is not None for array in given) <= 2
            yield chunk

    assert write_explained(chunks(), tmp_path / "e", ABOUT, length=LENGTH, chrom_sizes=SIZES, figures=2) == 6
    assert len(given) == 6


@pytest.mark.parametrize("error", [ModelError("x"), KeyboardInterrupt()])
def test_an_error_between_the_chunks_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def failing() -> Iterator[Explained]:
        yield CHUNKS[0]
        raise error

    with pytest.raises(type(error)):
        write_explained(failing(), tmp_path / "e", ABOUT, length=LENGTH, chrom_sizes=SIZES, figures=1)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_track_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "e", CHUNKS[:1])
    before = (tmp_path / "e" / "attributions.h5").read_bytes()

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("epinformer.report.attributions.write_bigwig", failing)
    with pytest.raises(OutputError, match=r"e: cannot be written: No space left on device"):
        write(tmp_path / "e", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["e"]
    assert (tmp_path / "e" / "attributions.h5").read_bytes() == before


def test_sequences_beyond_the_chromosomes_are_refused_as_they_come(tmp_path: Path) -> None:
    asked = []

    def chunks() -> Iterator[Explained]:
        for number, place in enumerate([("chr1", 0, 30), ("chr2", 480, 510), ("chr1", 5, 35)]):
            asked.append(number)
            yield explained([place], LENGTH)

    with pytest.raises(InputError, match=r"behind the end of their chromosome.*chr2:480-510"):
        write_explained(chunks(), tmp_path / "e", ABOUT, length=LENGTH, chrom_sizes=SIZES)
    assert asked == [0, 1] and list(tmp_path.iterdir()) == []


def test_nothing_explained_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was explained"):
        write(tmp_path / "e", ())
    assert list(tmp_path.iterdir()) == []


def test_what_may_be_replaced(tmp_path: Path) -> None:
    write(tmp_path / "e", figures=2)
    with pytest.raises(OutputError, match="already exists.*--overwrite"):
        write(tmp_path / "e")
    write(tmp_path / "e", overwrite=True)
    assert not list((tmp_path / "e" / "figures").iterdir())
    (tmp_path / "e" / "figures" / "mine.png").write_bytes(b"")
    with pytest.raises(OutputError, match=r"also holds what this program did not write.*figures/mine\.png"):
        write(tmp_path / "e", overwrite=True)
    with pytest.raises(OutputError, match="is or holds what is to be read"):
        write(tmp_path / "e", overwrite=True, inputs=[tmp_path / "e" / "attributions.h5"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("")
    with pytest.raises(OutputError, match=r"it holds no explain\.json"):
        write(tmp_path / "other", overwrite=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chr1:5-9", "0007_chr1_5-9"),
        ("../../etc/passwd", "0007_etc_passwd"),
        ("Énhancer β/2", "0007_Enhancer_2"),
        ("名前", "0007_region"),
        ("", "0007_region"),
        (".hidden.", "0007_hidden"),
        ("a\0b\nc\\d", "0007_a_b_c_d"),
        ("x" * 1_000, "0007_" + "x" * 60),
    ],
)
def test_names_of_figures_are_safe(name: str, expected: str) -> None:
    assert figure_name(7, name) == expected
    assert figure_name(8, name) != expected and figure_name(12_345, name).startswith("12345_")


@pytest.mark.parametrize(
    ("what", "columns", "title"),
    [
        ("activity", {}, "chr2:100-230 · predicted log2(0.1 + activity): −1.50"),
        ("expression", {"gene_id": "ENSG1"}, "chr2:100-230 · ENSG1 · predicted log2(0.1 + activity): −1.50"),
        (
            "expression",
            {"gene_id": "ENSG1", "gene_name": "KLF1", "name": "E $1$"},
            "E $1$ · chr2:100-230 · KLF1 · predicted log2(0.1 + activity): −1.50",
        ),
    ],
)
def test_titles_say_what_is_drawn(what: str, columns: dict[str, str], title: str) -> None:
    chunk = explained([("chr2", 100, 130)], LENGTH, prediction=-1.5, names=["chr2:100-230"], **{})
    row = chunk.table.assign(**columns).iloc[0]
    figure = sequence_figure(ABOUT._replace(what=what), row, chunk.codes[0], np.zeros(LENGTH, np.float32), chunk.tiles)
    assert figure.texts[0].get_text() == title


def test_only_a_targets_own_windows_are_drawn() -> None:
    chunk = explained([("chr2", 100, 130), ("chr2", 400, 430), ("chr1", 100, 130)], LENGTH, names=["same"] * 3)
    figure = sequence_figure(ABOUT, chunk.table.iloc[1], chunk.codes[1], np.ones(LENGTH, np.float32), chunk.tiles)
    assert figure.axes[0].get_xlim() == (400, 530) and len(figure.axes[0].patches) == 2
