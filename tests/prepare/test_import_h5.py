from __future__ import annotations

import errno
import io
import logging
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epinformer.dataset.store import HALF_LIFE_FEATURES, Dataset, open_dataset
from epinformer.errors import ConfigError, InputError, OutputError
from epinformer.prepare import h5_layout
from epinformer.prepare.h5_layout import centred_spans, read_blocks, read_layout
from epinformer.prepare.import_h5 import ExpressionTable, import_h5

SLOTS = 3
EYE = np.concatenate([np.eye(4), np.full((1, 4), 0.25), np.zeros((1, 4))])


def content(n_genes: int, seed: int = 0, slots: int = SLOTS) -> dict[str, Any]:
    """Codes and signals of genes whose slots are filled from the left, with lengths of 1 to 2,000 bp."""
    generator = np.random.default_rng(seed)
    codes = np.full((n_genes, slots + 1, 2000), 5, dtype=np.uint8)
    codes[:, 0] = generator.integers(0, 4, (n_genes, 2000))
    signals = {name: np.zeros((n_genes, slots + 1)) for name in ("distance", "activity", "hic")}
    for gene in range(n_genes):
        for slot in range(1, 1 + gene % (slots + 1)):
            length = int(generator.integers(1, 2001))
            start = 1000 - length // 2
            codes[gene, slot, start : start + length] = generator.integers(0, 4, length)
            signals["distance"][gene, slot] = generator.integers(1001, 100_000)
            signals["activity"][gene, slot] = generator.uniform(0, 50)
            signals["hic"][gene, slot] = generator.uniform(0, 5)
    return {"ensid": [f"ENSG{gene + 1000 * seed:011d}" for gene in range(n_genes)], "codes": codes, **signals}


def write(path: Path, data: dict[str, Any], dtype: str = "f4", promoter_column: bool = True, **options: Any) -> Path:
    """Write an authors' file."""
    with h5py.File(path, "w") as file:
        file["ensid"] = np.array(data["ensid"], dtype="S15")
        dense = EYE[data["codes"]].astype(dtype)
        file.create_dataset("pe_code", data=dense, **options)
        for name in ("distance", "activity", "hic"):
            file[name] = data[name] if promoter_column else data[name][:, 1:, None]
    return path


@pytest.fixture
def h5(tmp_path: Path) -> Callable[..., Path]:
    def make(data: dict[str, Any], name: str = "k562.h5", **options: Any) -> Path:
        return write(tmp_path / name, data, **options)

    return make


def dense_of(dataset: Dataset, gene: int) -> tuple[np.ndarray, list[list[tuple]]]:
    """Codes (rows, 2000) of a gene as the model places them, and (distance, activity, contact) of its pairs."""
    offsets, codes = dataset.sequence_offsets, dataset.codes
    assert codes is not None
    rows = [codes[offsets[gene] : offsets[gene + 1]]]
    signals = []
    for pair in range(dataset.pair_offsets[gene], dataset.pair_offsets[gene + 1]):
        record = dataset.pairs.iloc[pair]
        element = int(record["element_index"])
        rows.append(codes[offsets[dataset.n_genes + element] : offsets[dataset.n_genes + element + 1]])
        signals.append([record["distance"], dataset.elements["activity"].iloc[element], record["contact"]])
    placed = np.full((len(rows), 2000), 5, dtype=np.uint8)
    for row, bases in enumerate(rows):
        start = 1000 - len(bases) // 2
        placed[row, start : start + len(bases)] = bases
    return placed, signals


def assert_same(dataset: Dataset, data: dict[str, Any]) -> None:
    """Every gene's placed sequences and signals are those of the file, in the order of distance."""
    assert dataset.genes["gene_id"].tolist() == data["ensid"]
    for gene in range(dataset.n_genes):
        present = [slot for slot in range(1, data["codes"].shape[1]) if (data["codes"][gene, slot] != 5).any()]
        present.sort(key=lambda slot: abs(data["distance"][gene, slot]))
        placed, signals = dense_of(dataset, gene)
        np.testing.assert_array_equal(placed, data["codes"][gene, [0, *present]])
        assert signals == [[data[name][gene, slot] for name in ("distance", "activity", "hic")] for slot in present]


@pytest.mark.parametrize("dtype", ["u1", "i8", "f2", "f4", "f8", "?"])
@pytest.mark.parametrize("promoter_column", [True, False])
def test_is_the_file(dtype: str, promoter_column: bool, h5: Callable[..., Path], tmp_path: Path) -> None:
    data = content(6)
    if dtype.startswith("f"):
        data["codes"][1, 0, 5:9] = 4
        data["codes"][2, 1, 1000] = 4
    data["codes"][3, 0, :100] = 5  # a promoter that begins before its chromosome
    manifest = import_h5([h5(data, dtype=dtype, promoter_column=promoter_column)], tmp_path / "d")
    dataset = open_dataset(tmp_path / "d")
    assert_same(dataset, data)
    assert manifest.rows == {"genes": 6, "elements": 7, "pairs": 7, "sequence_bases": len(dataset.codes)}
    assert manifest.assembly == "hg38"
    assert manifest.inputs["h5[0]"].path == str(tmp_path / "k562.h5")
    assert dataset.elements["start"].isna().all()
    assert dataset.elements["end"].isna().all()
    assert dataset.elements["element_id"].str.match(r"h5:[0-9a-f]{16}$").all()
    assert dataset.genes["promoter_activity"].isna().all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "k562.h5"]


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (1, 4, 2000, 4)},
        {"chunks": (5, 1, 300, 2), "compression": "gzip"},
        {"chunks": (7, 3, 63, 1), "shuffle": True, "compression": "lzf"},
    ],
)
@pytest.mark.parametrize("budget", [1, 40_000, 10**8])
def test_any_chunking_and_any_budget(
    options: dict[str, Any], budget: int, h5: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h5_layout, "_SLAB_BYTES", budget)
    monkeypatch.setattr(h5_layout, "_BLOCK_BASES", budget)
    data = content(11)
    import_h5([h5(data, **options)], tmp_path / "d")
    assert_same(open_dataset(tmp_path / "d"), data)


@given(
    st.lists(st.tuples(st.integers(0, 1999), st.integers(0, 1999), st.sampled_from([0, 3, 4])), min_size=1, max_size=8)
)
def test_centred_spans_are_the_shortest_that_hold_the_bases(ends: list[tuple[int, int, int]]) -> None:
    codes = np.full((len(ends), 2000), 5, dtype=np.uint8)
    for row, (a, b, code) in enumerate(ends):
        codes[row, min(a, b)] = codes[row, max(a, b)] = code
    offset, length = centred_spans(codes)
    for row, (a, b, _) in enumerate(ends):
        shortest = next(
            size for size in range(1, 2001) if 1000 - size // 2 <= min(a, b) and max(a, b) < 1000 - size // 2 + size
        )
        assert length[row] == shortest
        assert offset[row] == 1000 - shortest // 2


def test_no_bases_no_span() -> None:
    offset, length = centred_spans(np.full((2, 2000), 5, dtype=np.uint8))
    assert offset.tolist() == [1000, 1000]
    assert length.tolist() == [0, 0]


def test_elements_are_stored_once(h5: Callable[..., Path], tmp_path: Path) -> None:
    data = content(8)
    # Gene 3 has three elements. Gene 7 has the first of them; with another activity it is another element.
    for slot, activity in ((1, data["activity"][3, 1]), (2, 99.0)):
        data["codes"][7, slot] = data["codes"][3, 1]
        data["activity"][7, slot] = activity
    # Gene 2 has one element twice, at two distances: two elements.
    data["codes"][2, 2], data["activity"][2, 2] = data["codes"][2, 1], data["activity"][2, 1]
    import_h5([h5(data)], tmp_path / "d")
    dataset = open_dataset(tmp_path / "d")
    assert_same(dataset, data)
    assert len(dataset.pairs) == 12
    assert dataset.n_elements == 11
    twice = dataset.pairs["element_index"][dataset.pairs["gene_index"] == 2]
    assert twice.is_unique
    ids = dataset.elements["element_id"][twice].tolist()
    assert sorted([ids[0].partition(".")[0], ids[1].partition(".")[0]]) == [min(ids, key=len)] * 2


def test_same_bases_on_two_chromosomes_are_two_elements(h5: Callable[..., Path], tmp_path: Path) -> None:
    data = content(4)
    data["codes"][1, 1], data["activity"][1, 1] = data["codes"][2, 1], data["activity"][2, 1]
    table = gene_table(data["ensid"])
    import_h5([h5(data)], tmp_path / "one", genes=save(table, tmp_path))
    assert open_dataset(tmp_path / "one").n_elements == 5
    table.loc[1, "chrom"] = "7"
    import_h5([h5(data)], tmp_path / "two", genes=save(table, tmp_path))
    dataset = open_dataset(tmp_path / "two")
    assert dataset.n_elements == 6
    assert sorted(dataset.elements["chrom"].unique()) == ["22", "7"]


def test_unused_slots_need_not_be_at_the_end(h5: Callable[..., Path], tmp_path: Path, caplog: Any) -> None:
    data = content(4)
    data["codes"][3, 2] = 5  # its signals stay: the authors' model masks it
    with caplog.at_level(logging.INFO):
        import_h5([h5(data)], tmp_path / "d")
    assert_same(open_dataset(tmp_path / "d"), data)
    assert "1 slots have signals but no bases" in caplog.text


def test_sequence_off_centre_is_widened_and_stays_exact(h5: Callable[..., Path], tmp_path: Path, caplog: Any) -> None:
    data = content(2)
    data["codes"][1, 1] = 5
    data["codes"][1, 1, 1200:1300] = 2
    with caplog.at_level(logging.INFO):
        import_h5([h5(data)], tmp_path / "d")
    dataset = open_dataset(tmp_path / "d")
    assert_same(dataset, data)
    assert dataset.elements["sequence_length"].tolist() == [599]
    assert "1 elements are not centred" in caplog.text


def test_several_files(h5: Callable[..., Path], tmp_path: Path) -> None:
    one, two = content(3, seed=1), content(5, seed=2)
    calls: list[tuple[int, int]] = []
    import_h5(
        [h5(one, "a.h5"), h5(two, "b.h5")], tmp_path / "d", progress=lambda done, total: calls.append((done, total))
    )
    both = {name: [*one[name], *two[name]] for name in one}
    both = {name: values if name == "ensid" else np.array(values) for name, values in both.items()}
    assert_same(open_dataset(tmp_path / "d"), both)
    assert calls == [(3, 8), (8, 8)]


def test_gene_twice(h5: Callable[..., Path], tmp_path: Path) -> None:
    a, b = h5(content(3), "a.h5"), h5(content(4), "b.h5")
    with pytest.raises(InputError, match=r"b\.h5: .*3 affected; first: ENSG00000000000, also in .*a\.h5"):
        import_h5([a, b], tmp_path / "d")
    data = content(3)
    data["ensid"][2] = data["ensid"][0]
    with pytest.raises(InputError, match="twice in this file"):
        import_h5([h5(data)], tmp_path / "d")


def test_distances(h5: Callable[..., Path], tmp_path: Path, caplog: Any) -> None:
    data = content(4)
    data["distance"][3, 1:] = [-1500.4, 150_000, 1200]
    file = h5(data)
    with caplog.at_level(logging.INFO):
        manifest = import_h5([file], tmp_path / "all")
    pairs = open_dataset(tmp_path / "all").pairs
    assert pairs["distance"][pairs["gene_index"] == 3].tolist() == [1200, -1500, 150_000]
    assert "1 distances are not whole bp" in caplog.text
    assert "1 distances are negative" in caplog.text
    assert "1 pairs are farther than 100,000 bp" in caplog.text
    assert "signed as there" in manifest.transforms["distance"]
    manifest = import_h5([file], tmp_path / "near", max_distance=100_000)
    pairs = open_dataset(tmp_path / "near").pairs
    assert pairs["distance"][pairs["gene_index"] == 3].tolist() == [1200, -1500]
    step = manifest.filters[-1]
    assert (step.table, step.before, step.after) == ("pairs", 6, 5)
    expected = np.exp(5.9594510043736655 - 1.024238616787792 * np.log(np.maximum(np.abs(pairs["distance"]), 5000) + 1))
    np.testing.assert_allclose(pairs["powerlaw_contact"], expected)


def test_distances_in_kb(h5: Callable[..., Path], tmp_path: Path) -> None:
    data = content(5)
    inside = {**data, "distance": (data["distance"] / 1000).astype(np.float32)}
    file = h5(inside)
    with pytest.raises(InputError, match="--distance-unit kb"):
        import_h5([file], tmp_path / "d")
    import_h5([file], tmp_path / "d", distance_unit="kb")
    assert_same(open_dataset(tmp_path / "d"), data)
    with pytest.raises(InputError, match="--distance-unit bp"):
        import_h5([h5(data)], tmp_path / "e", distance_unit="kb")


def gene_table(gene_ids: list[str]) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    table = pd.DataFrame({"chrom": "22", "TSS": range(1000, 1000 + len(gene_ids)), "gene_id": gene_ids})
    table["Gene name"] = [f"NAME{row}" for row in range(len(gene_ids))]
    for feature in HALF_LIFE_FEATURES:
        suffix = "_log10zscore" if "LEN" in feature and "ORF" not in feature else ""
        table[feature + suffix] = generator.uniform(0, 1, len(gene_ids))
    return table


def save(table: pd.DataFrame, folder: Path, name: str = "table.csv") -> Path:
    table.to_csv(folder / name, index=False)
    return folder / name


def test_tables_of_genes_promoters_and_expression(h5: Callable[..., Path], tmp_path: Path) -> None:
    data = content(5)
    ids = data["ensid"]
    genes = gene_table(ids[::-1]).iloc[:-1]  # in another order and without the file's first gene
    promoters = pd.DataFrame({"symbol": ids, "DHS.RPM.TSS1Kb": range(5), "H3K27ac.RPM.TSS1Kb": 4.0})
    labels = pd.DataFrame({"ENSID": ids[2:], "actual": [0.5, -1.0, 2.0]})
    manifest = import_h5(
        [h5(data)],
        tmp_path / "d",
        cell_type="K562",
        assembly="hg19",
        genes=save(genes, tmp_path, "g.csv"),
        promoters=save(promoters, tmp_path, "p.csv"),
        expression={"rna": ExpressionTable(save(labels, tmp_path, "e.csv"), "ENSID", "actual")},
    )
    dataset = open_dataset(tmp_path / "d")
    assert_same(dataset, {name: values[1:] for name, values in data.items()})
    expected = genes.set_index("gene_id").loc[ids[1:]]
    assert dataset.genes["gene_name"].tolist() == expected["Gene name"].tolist()
    assert dataset.genes["tss"].tolist() == expected["TSS"].tolist()
    assert set(dataset.genes["chrom"]) == {"22"}
    assert dataset.genes["UTR5LEN"].tolist() == expected["UTR5LEN_log10zscore"].tolist()
    assert dataset.genes["ORFEXONDENSITY"].tolist() == expected["ORFEXONDENSITY"].tolist()
    np.testing.assert_allclose(dataset.genes["promoter_activity"], np.sqrt([4, 8, 12, 16]))
    assert dataset.genes["promoter_dnase_rpm"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(dataset.genes["expression_rna"], [np.nan, 0.5, -1.0, 2.0])
    assert (manifest.assembly, manifest.cell_type) == ("hg19", "K562")
    assert set(manifest.inputs) == {"h5[0]", "genes", "promoters", "expression.rna"}
    assert [(step.before, step.after) for step in manifest.filters] == [(5, 4)]


def test_promoters_without_bases_are_pointed_out(h5: Callable[..., Path], tmp_path: Path, caplog: Any) -> None:
    data = content(4)
    data["codes"][[1, 2], 0] = 5
    with caplog.at_level(logging.WARNING):
        import_h5([h5(data)], tmp_path / "d")
    assert f"2 of 4 genes have a promoter without a single base (first: {data['ensid'][1]})" in caplog.text
    assert_same(open_dataset(tmp_path / "d"), data)


@pytest.mark.parametrize(("assay", "fix"), [("RNA", "Name it rna"), ("x y", "Name it x_y"), ("5", "Begin it with")])
def test_assays_name_columns(assay: str, fix: str, h5: Callable[..., Path], tmp_path: Path) -> None:
    table = ExpressionTable(tmp_path / "none.csv", "gene_id", "value")
    with pytest.raises(ConfigError, match=f"'{assay}' is no name for a column.*{fix}"):
        import_h5([h5(content(2))], tmp_path / "d", expression={assay: table})


@pytest.mark.parametrize("tss", [-1, 2**31])
def test_a_tss_on_no_chromosome(tss: int, h5: Callable[..., Path], tmp_path: Path) -> None:
    data = content(2)
    table = gene_table(data["ensid"])
    table.loc[1, "TSS"] = tss
    with pytest.raises(InputError, match=r"table\.csv: has a TSS on no chromosome \(1 affected; first: line 3: "):
        import_h5([h5(data)], tmp_path / "d", genes=save(table, tmp_path))


def test_an_output_that_would_replace_an_input(h5: Callable[..., Path], tmp_path: Path) -> None:
    file = h5(content(2))
    for output in (file, tmp_path):
        with pytest.raises(OutputError, match=r"is or holds what is to be read \(1 affected; first: .*k562\.h5\)"):
            import_h5([file], output, overwrite=True)
    import_h5([file], tmp_path / "d")
    (tmp_path / "d" / "notes").write_text("mine")
    with pytest.raises(OutputError, match="first: notes"):
        import_h5([file], tmp_path / "d", overwrite=True)


def test_genes_without_half_life_can_be_kept(h5: Callable[..., Path], tmp_path: Path) -> None:
    data = content(4)
    table = save(gene_table(data["ensid"][1:]), tmp_path)
    import_h5([h5(data)], tmp_path / "d", genes=table, without_half_life="keep")
    dataset = open_dataset(tmp_path / "d")
    assert_same(dataset, data)
    assert dataset.genes["UTR5LEN"].isna().tolist() == [True, False, False, False]
    assert dataset.genes["tss"].isna().tolist() == [True, False, False, False]


def test_given_promoter_activity_and_what_is_wrong_with_it(
    h5: Callable[..., Path], tmp_path: Path, caplog: Any
) -> None:
    data = content(2)
    given_table = pd.DataFrame({"gene_id": data["ensid"], "promoter_activity": [1.5, 2.5]})
    file = h5(data)
    import_h5([file], tmp_path / "d", promoters=save(given_table, tmp_path))
    assert open_dataset(tmp_path / "d").genes["promoter_activity"].tolist() == [1.5, 2.5]
    with caplog.at_level(logging.WARNING):
        import_h5([file], tmp_path / "e", promoters=save(given_table.iloc[:1], tmp_path))
    assert "1 of 2 genes have no promoter activity" in caplog.text
    for change, message in (({"promoter_activity": -1.0}, "negative"), ({"gene_id": "ENSG9"}, "twice")):
        with pytest.raises(InputError, match=message):
            import_h5([file], tmp_path / "f", promoters=save(given_table.assign(**change), tmp_path))
    with pytest.raises(InputError, match="none of the genes"):
        import_h5([file], tmp_path / "f", genes=save(gene_table(["OTHER"]), tmp_path))


def edited(path: Path, change: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replaced(name: str, values: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((lambda file, name=name: file.pop(name), f"lacks datasets.*first: {name}") for name in h5_layout.SIGNALS),
        (lambda file: file.pop("ensid"), "lacks datasets.*ensid"),
        (lambda file: (file.pop("pe_code"), file.create_group("pe_code")), "lacks datasets.*pe_code"),
        (replaced("pe_code", np.zeros((4, 4, 1000, 4))), r"pe_code has the shape \(4, 4, 1000, 4\)"),
        (replaced("pe_code", np.zeros((4, 4, 2000))), "pe_code has the shape"),
        (replaced("pe_code", np.zeros((3, 4, 2000, 4))), "names 4 genes, pe_code has 3"),
        (replaced("pe_code", np.zeros((4, 4, 2000, 4), dtype="S1")), "not a number"),
        (replaced("distance", np.zeros((4, 7))), r"distance has the shape \(4, 7\), not \(4, 4\) or \(4, 3\)"),
        (replaced("activity", np.zeros((4, 4, 2))), "activity has the shape"),
        (replaced("hic", np.zeros((4, 4), dtype="S1")), "hic is of type"),
        (replaced("ensid", np.arange(4)), "ensid has the shape"),
        (replaced("ensid", np.array([b"a", b"\xff", b"c", b"d"])), "something else than text"),
        (replaced("ensid", np.array([b"a", b" ", b"c", b"d"])), "blank gene ids.*row 1"),
        (
            lambda file: (
                [file.pop(name) for name in ("ensid", "pe_code", *h5_layout.SIGNALS)]
                and [
                    file.create_dataset("ensid", shape=(0,), dtype="S5"),
                    file.create_dataset("pe_code", shape=(0, 4, 2000, 4), dtype="f4"),
                    *(file.create_dataset(name, shape=(0, 4), dtype="f4") for name in h5_layout.SIGNALS),
                ]
            ),
            "holds no genes",
        ),
        (lambda file: file["activity"].__setitem__((3, 2), -1), r"activity is negative.*ENSG00000000003, row 2: -1\.0"),
        (lambda file: file["hic"].__setitem__((3, 1), np.nan), "hic is negative or not finite.*row 1: nan"),
        (lambda file: file["distance"].__setitem__((3, 3), np.inf), "distance is not finite.*row 3: inf"),
        (lambda file: file["distance"].__setitem__((3, 3), 1e300), r"longer than any chromosome.*row 3: 1e\+300"),
        (
            lambda file: file["pe_code"].__setitem__((3, 2, 1000), [1, 1, 0, 0]),
            r"pe_code has positions.*1 affected; first: gene ENSG00000000003, row 2, position 1000: \[1\.0, 1\.0",
        ),
        (lambda file: file["pe_code"].__setitem__((0, 0, 0), [0.25, 0.25, 0.25, 0]), "row 0, position 0"),
        (lambda file: file["pe_code"].__setitem__((0, 0, 0), [np.nan, 1, 0, 0]), "row 0, position 0"),
        (lambda file: file["pe_code"].__setitem__((0, 0, 0), [0, -1, 1, 1]), "row 0, position 0"),
    ],
)
def test_bad_files(
    change: Callable[[h5py.File], object], message: str, h5: Callable[..., Path], tmp_path: Path
) -> None:
    file = edited(h5(content(4)), change)
    with pytest.raises(InputError, match=message) as caught:
        import_h5([file], tmp_path / "d")
    assert str(file) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_not_hdf5(h5: Callable[..., Path], tmp_path: Path) -> None:
    file = h5(content(4))
    whole = file.read_bytes()
    for bad, message in (
        (b"", "is empty"),
        (b"gene,x\n1,2\n", "is not HDF5"),
        (whole[: len(whole) // 2], "damaged or cannot be read.*truncated"),
    ):
        file.write_bytes(bad)
        with pytest.raises(InputError, match=message):
            import_h5([file], tmp_path / "d")
    with pytest.raises(InputError, match="no such file"):
        import_h5([tmp_path / "none.h5"], tmp_path / "d")
    with pytest.raises(InputError, match="is a folder"):
        import_h5([tmp_path], tmp_path / "d")
    with pytest.raises(InputError, match="no HDF5 file"):
        import_h5([], tmp_path / "d")


def test_damaged_chunk(h5: Callable[..., Path], tmp_path: Path) -> None:
    file = h5(content(4), chunks=(1, 4, 2000, 4), compression="gzip", fletcher32=True)
    with h5py.File(file) as opened:
        info = opened["pe_code"].id.get_chunk_info(2)
    damaged = bytearray(file.read_bytes())
    damaged[info.byte_offset + info.size // 2] ^= 0xFF
    file.write_bytes(damaged)
    with pytest.raises(InputError, match="damaged or cannot be read"):
        import_h5([file], tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_output_is_whole_or_not_there(h5: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = h5(content(4))
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="overwrite"):
        import_h5([file], tmp_path / "there")
    with pytest.raises(OutputError, match="folder does not exist"):
        import_h5([file], tmp_path / "no" / "d")

    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("epinformer.prepare.import_h5.tempfile.TemporaryFile", lambda **_: Full())
    with pytest.raises(OutputError, match="No space left"):
        import_h5([file], tmp_path / "d")
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "there"]


def test_memory_does_not_grow_with_the_file(
    h5: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h5_layout, "_SLAB_BYTES", 2**20)
    monkeypatch.setattr(h5_layout, "_BLOCK_BASES", 2**18)
    monkeypatch.setattr("epinformer.prepare.import_h5._COPY_BYTES", 2**18)
    peaks = []
    for n_genes in (50, 400):
        file = h5(content(n_genes), f"{n_genes}.h5", dtype="u1")
        tracemalloc.start()
        import_h5([file], tmp_path / str(n_genes))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    extra = 350 * (SLOTS + 1) * 2000 * 4
    assert peaks[1] - peaks[0] < extra / 10


def test_blocks_are_bounded(h5: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h5_layout, "_SLAB_BYTES", 8 * 2000 * 4)
    layout = read_layout(h5(content(9), dtype="u1"))
    assert [len(block.codes) for block in read_blocks(layout)] == [2, 2, 2, 2, 1]
    assert layout.slots == SLOTS


@pytest.mark.real_data
def test_authors_inputs_by_way_of_hdf5(shared_data: Path, tmp_path: Path) -> None:
    import torch

    from epinformer.dataset.batch import Batch
    from epinformer.model.epinformer import EPInformer

    published = shared_data / "published"
    inputs = np.load(published / "inputs.npz")
    file = tmp_path / "authors.h5"
    with h5py.File(file, "w") as handle:
        handle["ensid"] = inputs["genes"].astype("S15")
        handle["pe_code"] = inputs["pe_seq"].astype(np.float32)
        handle["distance"] = np.rint(inputs["distance_kb"][..., 0].astype(np.float64) * 1000)
        handle["activity"] = inputs["activity"]
        handle["hic"] = inputs["contact_raw"][..., 0]
    promoters = pd.DataFrame({"gene_id": inputs["genes"], "promoter_activity": inputs["rna_feat"][:, 8]})
    import_h5(
        [file],
        tmp_path / "d",
        genes=shared_data / "k562" / "mRNA_halflife_features.csv.gz",
        promoters=save(promoters, tmp_path),
    )
    dataset = open_dataset(tmp_path / "d")
    for tag, checkpoint in (
        ("PE_Activity_K562_CAGE_fold1", "fold_1_EPInformer_PE_Activity_CAGE_K562_checkpoint.pt"),
        ("PE_Activity_HiC_K562_CAGE_fold1", "fold_1_EPInformer_PE_Activity_HiC_CAGE_K562_checkpoint.pt"),
    ):
        model = EPInformer.from_published(published / checkpoint)
        batch = Batch.from_dataset(
            dataset,
            np.arange(4),
            pair_features=model.config.pair_features,
            gene_features=model.config.gene_features,
        )
        with torch.no_grad():
            prediction = model(batch).prediction.numpy()
        expected = np.load(published / f"outputs_{tag}.npz")["prediction"][:, 0]
        np.testing.assert_allclose(prediction, expected, rtol=1e-4, atol=1e-5)
