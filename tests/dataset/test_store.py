"""Datasets written, opened, damaged and interrupted."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.dataset.store import (
    FORMAT_VERSION,
    HALF_LIFE_FEATURES,
    SEQUENCE_LENGTH,
    Dataset,
    FilterStep,
    InputFile,
    Manifest,
    element_spans,
    open_dataset,
    write_dataset,
)
from epinformer.errors import DatasetError, OutputError


class Content(NamedTuple):
    """What `write_dataset` takes."""

    genes: pd.DataFrame
    elements: pd.DataFrame
    pairs: pd.DataFrame
    sequences: list[np.ndarray] | None


def manifest() -> Manifest:
    return Manifest(
        assembly="hg38",
        cell_type="K562",
        package_version="0.1.0",
        config={"pairs": {"max_distance": 100_000}, "root": Path("data")},
        inputs={"genome": InputFile(path="a.fa", sha256="ab" * 32, bytes=12)},
        filters=[FilterStep(table="genes", step="no half-life features", before=5, after=3)],
        transforms={"activity": "sqrt(dnase_rpm * h3k27ac_rpm)"},
    )


def content(pairs_per_gene: list[list[int]], lengths: list[int], *, sequence: bool = True, seed: int = 0) -> Content:
    """Gene g is paired with the elements of ``pairs_per_gene[g]``; element e is ``lengths[e]`` bp long."""
    rng = np.random.default_rng(seed)
    n_genes, n_elements = len(pairs_per_gene), len(lengths)
    genes = pd.DataFrame(
        {
            "gene_id": pd.Series([f"ENSG{i:03d}" for i in range(n_genes)], dtype="str"),
            "gene_name": pd.Series([f"G{i}" for i in range(n_genes)], dtype="str"),
            "chrom": pd.Series(["chr1"] * n_genes, dtype="str"),
            "tss": np.arange(n_genes) * 10_000,
            "strand": pd.Series(["+-"[i % 2] for i in range(n_genes)], dtype="str"),
            "promoter_activity": rng.random(n_genes),
            "expression_rna": rng.random(n_genes),
        }
    )
    for feature in HALF_LIFE_FEATURES:
        genes[feature] = rng.random(n_genes)
    start = np.arange(n_elements) * 5000
    elements = pd.DataFrame(
        {
            "element_id": pd.Series([f"e{i}" for i in range(n_elements)], dtype="str"),
            "chrom": pd.Series(["chr1"] * n_elements, dtype="str"),
            "start": start,
            "end": start + np.array(lengths, dtype=np.int64),
            "activity": rng.random(n_elements),
        }
    )
    rows = [(g, e, (-1) ** e * 500 * rank) for g, own in enumerate(pairs_per_gene) for rank, e in enumerate(own)]
    pairs = pd.DataFrame(rows, columns=["gene_index", "element_index", "distance"]).astype("int64")
    pairs["contact"] = rng.random(len(pairs))
    sequences = None
    if sequence:
        elements["sequence_length"] = np.array(lengths, dtype=np.int64)
        sequences = [rng.integers(0, 6, SEQUENCE_LENGTH, dtype=np.uint8) for _ in range(n_genes)]
        sequences += [rng.integers(0, 6, length, dtype=np.uint8) for length in lengths]
    return Content(genes, elements, pairs, sequences)


SMALL = ([[0, 2], [], [1, 0, 2]], [300, 2000, 1])


def written(path: Path, parts: Content | None = None) -> Dataset:
    write_dataset(path, manifest(), *(parts or content(*SMALL)))
    return open_dataset(path)


def test_round_trip(tmp_path: Path) -> None:
    parts = content(*SMALL)
    dataset = written(tmp_path / "a.dataset", parts)
    assert parts.sequences is not None and dataset.codes is not None
    pd.testing.assert_frame_equal(dataset.genes, parts.genes)
    pd.testing.assert_frame_equal(dataset.elements.astype({"sequence_length": "int64"}), parts.elements)
    pd.testing.assert_frame_equal(
        dataset.pairs.astype({"gene_index": "int64", "element_index": "int64", "distance": "int64"}), parts.pairs
    )
    assert {str(dataset.pairs[name].dtype) for name in ("gene_index", "element_index", "distance")} == {"int32"}
    assert dataset.pair_offsets.tolist() == [0, 2, 2, 5]
    assert dataset.sequence_offsets.tolist() == [0, 2000, 4000, 6000, 6300, 8300, 8301]
    for i, sequence in enumerate(parts.sequences):
        np.testing.assert_array_equal(
            dataset.codes[dataset.sequence_offsets[i] : dataset.sequence_offsets[i + 1]], sequence
        )
    assert (dataset.n_genes, dataset.n_elements, dataset.has_sequence) == (3, 3, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dataset"]


def test_manifest_is_plain_json(tmp_path: Path) -> None:
    dataset = written(tmp_path / "a.dataset")
    text = (dataset.path / "dataset.json").read_text()
    assert text.startswith('{\n  "format_version": 1,\n')
    told = json.loads(text)
    assert told["rows"] == {"genes": 3, "elements": 3, "pairs": 5, "sequence_bases": 8301}
    assert told["config"] == {"pairs": {"max_distance": 100_000}, "root": "data"}
    assert told["filters"] == [{"table": "genes", "step": "no half-life features", "before": 5, "after": 3}]
    assert set(told["files"]) == {"genes.parquet", "elements.parquet", "pairs.parquet", "sequence.npy"}
    assert dataset.manifest.inputs["genome"].bytes == 12


def test_hashes_are_of_the_files(tmp_path: Path) -> None:
    import hashlib

    dataset = written(tmp_path / "a.dataset")
    for name, told in dataset.manifest.files.items():
        assert told == hashlib.sha256((dataset.path / name).read_bytes()).hexdigest()


def test_content_hash_is_of_the_content(tmp_path: Path) -> None:
    first = written(tmp_path / "a.dataset")
    elsewhere = manifest().model_copy(update={"config": {"root": "/other"}, "package_version": "9"})
    write_dataset(tmp_path / "b.dataset", elsewhere, *content(*SMALL))
    assert open_dataset(tmp_path / "b.dataset").content_hash() == first.content_hash()
    assert written(tmp_path / "c.dataset", content(*SMALL, seed=1)).content_hash() != first.content_hash()


def test_sequence_is_mapped_and_read_only(tmp_path: Path) -> None:
    dataset = written(tmp_path / "a.dataset")
    assert dataset.codes is not None
    assert isinstance(dataset.codes.base, np.memmap) and type(dataset.codes) is np.ndarray
    assert not dataset.codes.flags.writeable
    raw = np.load(dataset.path / "sequence.npy", mmap_mode="r")
    assert raw.dtype == np.uint8 and raw.shape == (8301,)


def test_without_sequence(tmp_path: Path) -> None:
    dataset = written(tmp_path / "a.dataset", content(*SMALL, sequence=False))
    assert not dataset.has_sequence and dataset.codes is None
    assert dataset.manifest.rows["sequence_bases"] == 0
    assert not (dataset.path / "sequence.npy").exists()
    with pytest.raises(DatasetError, match="has no sequence"):
        _ = dataset.sequence_offsets


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("shape", [([], []), ([[], []], []), ([], [5]), ([[]], [5])])
def test_empty_tables(tmp_path: Path, shape: tuple[list[list[int]], list[int]], sequence: bool) -> None:
    dataset = written(tmp_path / "a.dataset", content(*shape, sequence=sequence))
    assert dataset.n_genes == len(shape[0]) and len(dataset.pairs) == 0
    assert dataset.pair_offsets.tolist() == [0] * (dataset.n_genes + 1)
    assert dataset.has_sequence is sequence
    if sequence:
        assert dataset.codes is not None and len(dataset.codes) == 2000 * dataset.n_genes + sum(shape[1])


def test_unknown_coordinates(tmp_path: Path) -> None:
    parts = content(*SMALL)
    parts.genes["tss"] = pd.array([5, None, None], dtype="Int64")
    parts.elements["start"] = pd.array([None, None, None], dtype="Int64")
    parts.elements["end"] = pd.array([None, None, None], dtype="Int64")
    dataset = written(tmp_path / "a.dataset", parts)
    assert dataset.elements["start"].isna().all() and dataset.genes["tss"].tolist()[0] == 5
    assert str(dataset.elements["end"].dtype) == "Int64"


def test_index_of_the_caller_is_ignored(tmp_path: Path) -> None:
    parts = content(*SMALL)
    parts.genes.index = pd.Index([9, 4, 4])
    parts.pairs.index = pd.Index(list("abcde"))
    dataset = written(tmp_path / "a.dataset", parts)
    assert dataset.genes.index.tolist() == [0, 1, 2] and dataset.pairs.index.tolist() == [0, 1, 2, 3, 4]


@st.composite
def ragged(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    lengths = draw(st.lists(st.integers(1, SEQUENCE_LENGTH), max_size=5))
    own = st.lists(st.integers(0, max(0, len(lengths) - 1)), max_size=4 if lengths else 0)
    return draw(st.lists(own, max_size=5)), lengths


@given(shape=ragged(), chunk=st.integers(1, 5000), sequence=st.booleans())
def test_ragged_round_trip(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[list[list[int]], list[int]], chunk: int, sequence: bool
) -> None:
    parts = content(*shape, sequence=sequence)
    flat = np.concatenate([np.zeros(0, np.uint8), *(parts.sequences or [])])
    pieces = [flat[i : i + chunk] for i in range(0, len(flat), chunk)] if sequence else None
    dataset = written(tmp_path_factory.mktemp("ragged") / "a.dataset", parts._replace(sequences=pieces))
    for gene, own in enumerate(shape[0]):
        rows = dataset.pairs.iloc[dataset.pair_offsets[gene] : dataset.pair_offsets[gene + 1]]
        assert rows["gene_index"].tolist() == [gene] * len(own)
        assert rows["element_index"].tolist() == own
    if sequence:
        assert dataset.codes is not None
        np.testing.assert_array_equal(dataset.codes, flat)


# What may not be written


def _set(table: str, column: str, row: int, value: Any) -> Callable[[Content], Content]:
    def change(parts: Content) -> Content:
        frame: pd.DataFrame = getattr(parts, table).copy()
        frame[column] = [value if i == row else old for i, old in enumerate(frame[column])]
        return Content(**(parts._asdict() | {table: frame}))

    return change


def _drop(table: str, column: str) -> Callable[[Content], Content]:
    return lambda parts: parts._replace(**{table: getattr(parts, table).drop(columns=column)})


def _sequences(change: Callable[[list[np.ndarray]], list[np.ndarray]]) -> Callable[[Content], Content]:
    return lambda parts: parts._replace(sequences=change(list(parts.sequences or [])))


def _double_column(parts: Content) -> Content:
    return parts._replace(pairs=pd.concat([parts.pairs, parts.pairs[["distance"]]], axis=1))


BROKEN = {
    "no gene_id": (_drop("genes", "gene_id"), r"genes\.parquet: columns are missing .*gene_id"),
    "no tss": (_drop("genes", "tss"), r"genes\.parquet: columns are missing .*tss"),
    "no start": (_drop("elements", "start"), r"elements\.parquet: columns are missing"),
    "no distance": (_drop("pairs", "distance"), r"pairs\.parquet: columns are missing"),
    "one half-life feature less": (_drop("genes", "CDSGC"), r"half-life .*1 affected; first: CDSGC"),
    "column twice": (_double_column, "column names must be distinct"),
    "gene twice": (_set("genes", "gene_id", 2, "ENSG000"), "more than once .*1 affected; first: row 2: ENSG000"),
    "element twice": (_set("elements", "element_id", 1, "e0"), "more than once .*row 1: e0"),
    "element without id": (_set("elements", "element_id", 1, None), "element_id is missing .*row 1"),
    "ids are numbers": (lambda p: p._replace(genes=p.genes.assign(gene_id=[1, 2, 3])), "gene_id is not text"),
    "strand": (_set("genes", "strand", 1, "x"), "strand .*row 1: x"),
    "tss below 0": (_set("genes", "tss", 1, -1), "tss is negative"),
    "tss not whole": (_set("genes", "tss", 1, 0.5), "tss is not of an integer type"),
    "empty interval": (_set("elements", "end", 1, 5000), "starts are not below ends .*row 1: e1"),
    "half an interval": (
        lambda p: p._replace(elements=p.elements.assign(end=pd.array([None, 7000, 10001], dtype="Int64"))),
        "only one of start and end .*row 0",
    ),
    "too long": (_set("elements", "end", 1, 7001), "longer than 2,000 bp .*element_spans"),
    "length not of interval": (_set("elements", "sequence_length", 1, 1999), "not end - start .*row 1: e1"),
    "length 0": (_set("elements", "sequence_length", 1, 0), "sequence_length is out of range"),
    "activity is text": (_set("elements", "activity", 0, "high"), "activity is not of a number type"),
    "activity infinite": (_set("elements", "activity", 2, np.inf), "activity is infinite .*row 2"),
    "activity negative": (
        _set("elements", "activity", 2, -0.5),
        "activity is negative .*1 affected; first: row 2: -0.5",
    ),
    "promoter activity negative": (
        _set("genes", "promoter_activity", 1, -1.0),
        "promoter_activity is negative .*row 1",
    ),
    "contact negative": (_set("pairs", "contact", 3, -1e-9), "contact is negative .*row 3"),
    "score negative": (
        lambda p: p._replace(pairs=p.pairs.assign(abc_score=-1)),
        "abc_score is negative .*5 affected; first: row 0: -1",
    ),
    "RPM negative": (lambda p: p._replace(elements=p.elements.assign(ctcf_rpm=[0, -2, 1])), "ctcf_rpm .*row 1: -2"),
    "gene out of range": (_set("pairs", "gene_index", 4, 3), "gene_index points outside the 3 genes .*row 4: 3"),
    "gene below 0": (_set("pairs", "gene_index", 0, -1), "gene_index points outside"),
    "element out of range": (_set("pairs", "element_index", 1, 3), "element_index points outside the 3 el.*row 1: 3"),
    "index not whole": (_set("pairs", "gene_index", 0, 0.5), "gene_index is not of type int32"),
    "distance missing": (
        lambda p: p._replace(pairs=p.pairs.assign(distance=pd.array([None, 0, 0, 0, 0], dtype="Int64"))),
        "distance is not of type int32",
    ),
    "distance too large": (_set("pairs", "distance", 4, 2**31), "distance does not fit 32 bits .*row 4"),
    "genes not sorted": (lambda p: p._replace(pairs=p.pairs.iloc[[2, 3, 4, 0, 1]]), "not sorted .*row 3: gene_index 0"),
    "distances not sorted": (lambda p: p._replace(pairs=p.pairs.iloc[[1, 0, 2, 3, 4]]), "not sorted .*row 1"),
    "sequence without lengths": (_drop("elements", "sequence_length"), "go together"),
    "lengths without sequence": (lambda p: p._replace(sequences=None), "go together"),
    "too few bases": (_sequences(lambda s: s[:-1]), "sequence has 8,300 bases, .* need 8,301"),
    "too many bases": (_sequences(lambda s: [*s, np.zeros(1, np.uint8)]), "sequence has more bases"),
    "code above 5": (_sequences(lambda s: [np.full(2000, 6, np.uint8), *s[1:]]), "codes above 5 .*2,000 affected"),
    "wrong type": (_sequences(lambda s: [s[0].astype(np.int64), *s[1:]]), "not a flat uint8 array .*chunk 0"),
    "wrong shape": (_sequences(lambda s: [s[0][None], *s[1:]]), "not a flat uint8 array"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_contract_is_not_written(tmp_path: Path, case: str) -> None:
    change, message = BROKEN[case]
    with pytest.raises(DatasetError, match=message):
        write_dataset(tmp_path / "a.dataset", manifest(), *change(content(*SMALL)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_config_that_is_not_json(tmp_path: Path, value: object) -> None:
    bad = manifest().model_copy(update={"config": {"x": value}})
    with pytest.raises(DatasetError, match="cannot be written as JSON"):
        write_dataset(tmp_path / "a.dataset", bad, *content(*SMALL))
    assert list(tmp_path.iterdir()) == []


def test_existing_output(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dataset").path
    with pytest.raises(OutputError, match="already exists"):
        write_dataset(path, manifest(), *content(*SMALL))
    write_dataset(path, manifest(), *content([[0]], [7]), overwrite=True)
    assert open_dataset(path).n_genes == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError):
        write_dataset(tmp_path / "mine", manifest(), *content(*SMALL), overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


# What may not be opened


def _truncate(name: str, keep: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        size = (path / name).stat().st_size
        os.truncate(path / name, int(size * keep))

    return damage


def _remove(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def _edit(**fields: object) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        told = json.loads((path / "dataset.json").read_text())
        (path / "dataset.json").write_text(json.dumps(told | fields))

    return damage


def _table(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        change(pd.read_parquet(path / name)).to_parquet(path / name, index=False)

    return damage


def _first_index(value: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda pairs: pairs.assign(element_index=np.array([value, *pairs["element_index"][1:]], dtype=np.int32))


def _save(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.save(path / "sequence.npy", array, allow_pickle=True)


DAMAGE = {
    "manifest gone": (lambda p: (p / "dataset.json").unlink(), "is no dataset: dataset.json is missing"),
    "manifest empty": (_truncate("dataset.json", 0), r"dataset\.json: is damaged"),
    "manifest cut": (_truncate("dataset.json", 0.5), r"dataset\.json: is damaged"),
    "manifest of NaN": (lambda p: (p / "dataset.json").write_text('{"a": NaN}'), "NaN is not JSON"),
    "manifest a list": (lambda p: (p / "dataset.json").write_text("[]"), "no format_version"),
    "manifest binary": (lambda p: (p / "dataset.json").write_bytes(b"\xff\xfe\x00"), "is damaged"),
    "manifest a directory": (
        lambda p: ((p / "dataset.json").unlink(), (p / "dataset.json").mkdir()),
        "dataset.json: cannot be read",
    ),
    "newer": (_edit(format_version=FORMAT_VERSION + 1), "has format version 2, .* up to 1.* Upgrade"),
    "version text": (_edit(format_version="1"), "no format_version"),
    "no assembly": (_edit(assembly=None), "first: assembly"),
    "rows": (_edit(rows={"genes": 4}), "holds 3 genes, but dataset.json says 4"),
    "sequence gone": (lambda p: (p / "sequence.npy").unlink(), r"sequence\.npy: is missing"),
    "sequence empty": (_truncate("sequence.npy", 0), r"sequence\.npy: is damaged"),
    "sequence cut": (_truncate("sequence.npy", 0.9), r"sequence\.npy: is damaged"),
    "sequence header cut": (_truncate("sequence.npy", 0.005), r"sequence\.npy: is damaged"),
    "sequence text": (lambda p: (p / "sequence.npy").write_text("ACGT"), r"sequence\.npy: is damaged"),
    "sequence shorter": (_save(np.zeros(8300, np.uint8)), "it should be 8,301 uint8 codes"),
    "sequence wide": (_save(np.zeros(8301, np.int64)), "it should be 8,301 uint8 codes"),
    "sequence pickled": (_save(np.array([{}] * 8301)), "is damaged"),
    "sequence unexpected": (
        _table("elements.parquet", lambda t: t.drop(columns="sequence_length")),
        r"sequence\.npy: is there, but",
    ),
    "index out of range": (_table("pairs.parquet", _first_index(3)), "element_index points outside .*row 0: 3"),
    "index negative": (_table("pairs.parquet", _first_index(-1)), "element_index points outside"),
    "not sorted": (_table("pairs.parquet", lambda t: t.iloc[::-1]), "not sorted"),
    "negative contact": (
        _table("pairs.parquet", lambda t: t.assign(contact=-t["contact"])),
        "contact is negative .*row 0",
    ),
    "column gone": (_table("genes.parquet", lambda t: t.drop(columns="tss")), "columns are missing .*tss"),
    "pair gone": (_table("pairs.parquet", lambda t: t.iloc[:-1]), "holds 4 pairs, but dataset.json says 5"),
}
for _name in ("genes", "elements", "pairs"):
    DAMAGE |= {
        f"{_name} gone": (_remove(f"{_name}.parquet"), rf"{_name}\.parquet: is missing"),
        f"{_name} empty": (_truncate(f"{_name}.parquet", 0), rf"{_name}\.parquet: is damaged"),
        f"{_name} cut": (_truncate(f"{_name}.parquet", 0.7), rf"{_name}\.parquet: is damaged"),
    }


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named(tmp_path: Path, case: str) -> None:
    path = written(tmp_path / "a.dataset").path
    damage, message = DAMAGE[case]
    damage(path)
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset(path)
    assert str(path) in str(caught.value)


def test_not_a_directory(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_dataset(tmp_path / "a.dataset")
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="is not a directory"):
        open_dataset(tmp_path / "file")


# Interrupted writes


def test_disk_full_while_streaming(tmp_path: Path) -> None:
    parts = content(*SMALL)

    def sequences() -> Iterator[np.ndarray]:
        yield np.zeros(2000, np.uint8)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match=r"a\.dataset: cannot be written: No space left"):
        write_dataset(tmp_path / "a.dataset", manifest(), *parts[:3], sequences())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["numpy.lib.format.write_array_header_1_0", "pandas.DataFrame.to_parquet"])
def test_disk_full_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    old = written(tmp_path / "a.dataset").content_hash()
    monkeypatch.setattr(target, full)
    with pytest.raises(OutputError, match="No space left"):
        write_dataset(tmp_path / "a.dataset", manifest(), *content(*SMALL, seed=1), overwrite=True)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.dataset"]
    assert open_dataset(tmp_path / "a.dataset").content_hash() == old


_WRITER = """
import sys, time
import numpy as np, pandas as pd
from epinformer.dataset.store import Manifest, write_dataset

def sequences():
    for _ in range(50):
        yield np.zeros(2000, np.uint8)
    print("writing", flush=True)
    if sys.argv[2] == "wait":
        time.sleep(600)
    for _ in range(50):
        yield np.zeros(2000, np.uint8)

names = [f"g{i}" for i in range(100)]
genes = pd.DataFrame({"gene_id": names, "gene_name": names, "chrom": "chr1", "tss": range(100), "strand": "+"})
elements = pd.DataFrame({"element_id": pd.Series(dtype="str"), "chrom": pd.Series(dtype="str")})
elements = elements.assign(start=np.zeros(0, int), end=np.zeros(0, int), sequence_length=np.zeros(0, int))
pairs = pd.DataFrame({name: np.zeros(0, int) for name in ("gene_index", "element_index", "distance")})
if sys.argv[2] == "limit":
    import resource
    sys.dont_write_bytecode = True  # the limit would cut compiled modules, too, and leave them so
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
write_dataset(sys.argv[1], Manifest(assembly="hg38", package_version="0"), genes, elements, pairs, sequences())
"""


def _writer(path: Path, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(path), mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_write_leaves_no_dataset(tmp_path: Path) -> None:
    path = tmp_path / "a.dataset"
    with _writer(path, "wait") as process:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1  # a hidden temporary directory, which the next write clears
    written(path)
    assert list(tmp_path.iterdir()) == [path]


def test_refused_write_of_the_system_leaves_nothing(tmp_path: Path) -> None:
    with _writer(tmp_path / "a.dataset", "limit") as process:
        errors = process.communicate()[1]
    assert "OutputError" in errors and "cannot be written: File too large" in errors
    assert list(tmp_path.iterdir()) == []


# Spans


@given(start=st.integers(0, 10**9), length=st.integers(1, 10_000))
def test_element_spans(start: int, length: int) -> None:
    first, last = (int(values[0]) for values in element_spans(np.array([start]), np.array([start + length])))
    if length <= 2000:
        assert (first, last) == (start, start + length)
    else:
        middle = (start + start + length) // 2
        assert (first, last) == (middle - 1000, middle + 1000)
    assert (first + last) // 2 == (start + start + length) // 2
    assert start <= first < last <= start + length


def test_element_spans_of_columns() -> None:
    table = pd.DataFrame({"start": [0, 100], "end": [2001, 2100]}, dtype="int32")
    first, last = element_spans(table["start"], table["end"])
    assert first.tolist() == [0, 100] and last.tolist() == [2000, 2100] and first.dtype == np.int64
