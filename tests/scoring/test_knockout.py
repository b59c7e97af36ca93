from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.synthetic import synthetic_dataset
from epinformer.dataset.limits import PairLimits
from epinformer.dataset.store import Dataset, open_dataset, write_dataset
from epinformer.errors import DatasetError, InputError, LeakageError, ModelError
from epinformer.scoring.knockout import knockout, log2_per_unit
from epinformer.scoring.links import links
from epinformer.scoring.predict import predict
from epinformer.scoring.replacement import Silence, element_codes, silenced_elements

COLUMNS = [
    *("gene_id", "gene_name", "chrom", "tss", "strand", "knockout", "start", "end", "distance", "elements", "change"),
    *("before", "after", "difference", "log2_fold_change", "fold", "models", "held_out"),
]


@pytest.fixture(scope="module")
def one_chrom(plain: Dataset) -> Dataset:
    return dataclasses.replace(
        plain, genes=plain.genes.assign(chrom="chr22"), elements=plain.elements.assign(chrom="chr22")
    )


def without(dataset: Dataset, rows: list[int]) -> Dataset:
    return dataclasses.replace(dataset, pairs=dataset.pairs.drop(index=rows).reset_index(drop=True))


def predicted(model, dataset: Dataset, gene: int) -> float:
    return float(predict([model], dataset, genes=[f"ENSG{gene:011d}"]).table.predicted[0])


def test_each_alone_equals_a_dataset_without_it(signals_model, one_chrom: Dataset) -> None:
    model = signals_model()
    table = knockout([model], one_chrom, genes=["GENE0", "GENE3", "GENE9"])
    assert table.columns.tolist() == COLUMNS
    rows = one_chrom.pairs.index[one_chrom.pairs.gene_index.isin([3, 9])]
    assert len(table) == len(rows) > 10 and set(table.gene_name) == {"GENE3", "GENE9"}
    for row, found in zip(rows, table.itertuples(), strict=True):
        pair = one_chrom.pairs.loc[row]
        element = one_chrom.elements.iloc[int(pair.element_index)]
        assert (found.knockout, found.start, found.end) == (element.element_id, element.start, element.end)
        assert (found.distance, found.elements, found.change) == (pair.distance, 1, "removed")
        gene = int(pair.gene_index)
        assert found.before == pytest.approx(predicted(model, one_chrom, gene), abs=1e-6)
        assert found.after == pytest.approx(predicted(model, without(one_chrom, [row]), gene), abs=1e-6)
        assert found.difference == found.after - found.before
    of_links = links([model], one_chrom, genes=["GENE3", "GENE9"])
    np.testing.assert_allclose(of_links.knockout, -table.difference, atol=1e-6)


def test_with_sequence(reader, synthetic: Dataset) -> None:
    model = reader()
    table = knockout([model], synthetic, genes=["GENE4", "GENE7"])
    for gene in (4, 7):
        rows = synthetic.pairs.index[synthetic.pairs.gene_index == gene]
        after = [predicted(model, without(synthetic, [row]), gene) for row in rows]
        np.testing.assert_allclose(table.after[table.gene_name == f"GENE{gene}"], after, atol=1e-6)
        assert len(after) >= 3


def test_several_models_by_fold(signals_model, plain: Dataset) -> None:
    models = [signals_model(seed=1, fold=1), signals_model(seed=2, fold=11), signals_model(seed=3, fold=11)]
    done: list[tuple[int, int]] = []
    table = knockout(models, plain, progress=lambda *step: done.append(step))
    assert done[-1][0] == done[-1][1] and done == sorted(done) and len(table) == len(plain.pairs)
    first = plain.pairs.gene_index.to_numpy() < 15
    assert table.models.tolist() == [1 if one else 2 for one in first] and table.held_out.all()
    alone = [knockout([model], plain, allow_leakage=True) for model in models]
    for name in ("before", "after"):
        np.testing.assert_allclose(table[name][first], alone[0][name][first], atol=1e-6)
        np.testing.assert_allclose(table[name][~first], (alone[1][name] + alone[2][name])[~first] / 2, atol=1e-6)
    with pytest.raises(LeakageError, match="15 affected"):
        knockout(models[:1], plain)


def test_named_elements_go_together(signals_model, one_chrom: Dataset) -> None:
    model = signals_model()
    shared = one_chrom.pairs.groupby("element_index").gene_index.nunique()
    element = int(shared.idxmax())
    gene = int(one_chrom.pairs.gene_index[one_chrom.pairs.element_index == element].iloc[0])
    own = one_chrom.pairs[one_chrom.pairs.gene_index == gene]
    other = int(own.element_index[own.element_index != element].iloc[0])
    ids = one_chrom.elements.element_id[[element, other]].tolist()
    table = knockout([model], one_chrom, elements=ids)
    users = one_chrom.pairs[one_chrom.pairs.element_index.isin([element, other])]
    assert table.gene_id.tolist() == one_chrom.genes.gene_id[sorted(set(users.gene_index))].tolist()
    found = table[table.gene_name == f"GENE{gene}"].iloc[0]
    rows = own.index[own.element_index.isin([element, other])].tolist()
    assert found.after == pytest.approx(predicted(model, without(one_chrom, rows), gene), abs=1e-6)
    assert found.elements == 2 and set(found.knockout.split(";")) == set(ids)
    assert abs(found.distance) == own.distance[rows].abs().min()
    assert found.start == one_chrom.elements.start[[element, other]].min()


def rewritten(dataset: Dataset, folder: Path, gene: int, changed: dict[int, tuple[dict, np.ndarray | None]]) -> Dataset:
    """A dataset on disk of one gene whose elements are some others: number -> (columns, bases)."""
    rows = dataset.pairs[dataset.pairs.gene_index == gene].copy()
    elements = dataset.elements.iloc[rows.element_index].copy()
    chunks = [np.array(dataset.codes[2000 * gene : 2000 * gene + 2000])] if dataset.codes is not None else []
    for position, number in enumerate(rows.element_index):
        columns, bases = changed.get(int(number), ({}, None))
        for name, value in columns.items():
            elements.iloc[position, elements.columns.get_loc(name)] = value
        if dataset.codes is not None:
            chunks.append(np.array(element_codes(dataset, int(number)) if bases is None else bases))
            elements.iloc[position, elements.columns.get_loc("sequence_length")] = len(chunks[-1])
    middle = (elements.start.to_numpy() + elements.end.to_numpy()) // 2
    sign = -1 if dataset.genes.strand[gene] == "-" else 1
    moved = [int(number) in changed and "start" in changed[int(number)][0] for number in rows.element_index]
    rows["distance"] = np.where(moved, sign * (middle - dataset.genes.tss[gene]), rows.distance)
    rows = rows.assign(gene_index=0, element_index=np.arange(len(rows)))
    rows = rows.iloc[np.argsort(rows.distance.abs(), kind="stable")]
    # What is cut out of an element's middle has no place of its own in the format.
    if dataset.codes is not None:
        nowhere = pd.array([pd.NA] * len(elements), dtype="Int64")
        elements = elements.assign(start=nowhere, end=nowhere)
    sequences = chunks if dataset.codes is not None else None
    write_dataset(folder, dataset.manifest, dataset.genes.iloc[[gene]], elements, rows, sequences)
    return open_dataset(folder)


def test_regions_trim_and_remove(reader, synthetic: Dataset, tmp_path: Path) -> None:
    """Against a dataset that was written with what is left of the elements."""
    # Distances as the places say, so that trimming moves them alike.
    middle = ((synthetic.elements.start + synthetic.elements.end) // 2).to_numpy()[synthetic.pairs.element_index]
    offset = middle - synthetic.genes.tss.to_numpy()[synthetic.pairs.gene_index]
    sign = np.where(synthetic.genes.strand.to_numpy()[synthetic.pairs.gene_index] == "-", -1, 1)
    pairs = synthetic.pairs.assign(distance=(sign * offset).astype(np.int32))
    order = np.lexsort((pairs.distance.abs(), pairs.gene_index))
    dataset = dataclasses.replace(synthetic, pairs=pairs.iloc[order].reset_index(drop=True))
    model, gene = reader(), 5
    numbers = dataset.pairs.element_index[dataset.pairs.gene_index == gene].tolist()
    far = [n for n in numbers if abs(middle_of(dataset, n) - dataset.genes.tss[gene]) > 2_000]
    long = [n for n in far if dataset.elements.sequence_length[n] > 400]
    a, b, c = long[0], long[1], next(n for n in far if n not in long[:2])
    start, end = dataset.elements.start, dataset.elements.end
    regions = pd.DataFrame(
        [
            ("chr22", start[a] + 100, start[a] + 150, "both"),
            ("chr22", start[a] - 5, start[a] + 20, "both"),
            ("chr22", start[c], end[c], "both"),
            ("chr22", end[b] - 30, end[b] + 10, "b"),
            ("chr22", 5_000_000, 5_000_010, "nowhere"),
        ],
        columns=["chrom", "start", "end", "name"],
    )
    table = knockout([model], dataset, genes=["GENE5"], regions=regions).set_index("knockout")
    assert table.index.tolist() == ["both", "b"]
    assert table.change.tolist() == ["removed and trimmed", "trimmed"] and table.elements.tolist() == [2, 1]
    assert table.start.tolist() == [regions.start[:3].min(), end[b] - 30]

    def left(number: int, keep: np.ndarray) -> tuple[dict, np.ndarray]:
        row, bases = dataset.elements.iloc[number], element_codes(dataset, number)
        share = len(keep) / len(bases)
        columns = {name: row[name] * share for name in ("dnase_rpm", "h3k27ac_rpm", "activity")}
        return columns | {"start": row.start + keep[0], "end": row.start + keep[-1] + 1}, bases[keep]

    of_a = np.r_[20:100, 150 : end[a] - start[a]]
    gone = dataset.pairs.index[(dataset.pairs.gene_index == gene) & (dataset.pairs.element_index == c)].tolist()
    both = rewritten(without(dataset, gone), tmp_path / "both", gene, {a: left(a, of_a)})
    only_b = rewritten(dataset, tmp_path / "b", gene, {b: left(b, np.arange(end[b] - start[b] - 30))})
    assert table.after["both"] == pytest.approx(predicted(model, both, gene), abs=1e-6)
    assert table.after["b"] == pytest.approx(predicted(model, only_b, gene), abs=1e-6)
    assert abs(table.difference["b"]) > 1e-6


def middle_of(dataset: Dataset, element: int) -> int:
    return int(dataset.elements.start[element] + dataset.elements.end[element]) // 2


def test_silence_equals_a_dataset_with_silent_elements(reader, synthetic: Dataset, tmp_path: Path) -> None:
    model, gene, silence = reader("PE-Activity"), 4, Silence(0.2, 3)
    numbers = synthetic.pairs.element_index[synthetic.pairs.gene_index == gene].tolist()
    table = knockout([model], synthetic, genes=["GENE4"], silence=silence)
    assert table.change.tolist() == ["silenced"] * len(numbers)
    for place, number in enumerate(numbers):
        silent, codes = silenced_elements(synthetic, np.array([number]), silence)
        assert codes is not None
        columns = {name: silent[name].iloc[0] for name in ("dnase_rpm", "h3k27ac_rpm", "activity")}
        changed = rewritten(synthetic, tmp_path / str(number), gene, {number: (columns, codes[0])})
        assert table.after[place] == pytest.approx(predicted(model, changed, gene), abs=1e-6)
    ids = synthetic.elements.element_id[numbers[:2]].tolist()
    joint = knockout([model], synthetic, genes=["GENE4"], elements=ids, silence=silence)
    assert joint.elements.tolist() == [2] and joint.change.tolist() == ["silenced"]


def test_silence_and_regions_without_sequence(signals_model, one_chrom: Dataset, tmp_path: Path) -> None:
    model = signals_model()
    pair = one_chrom.pairs.iloc[40]
    gene, number = int(pair.gene_index), int(pair.element_index)
    element = one_chrom.elements.iloc[number]
    region = pd.DataFrame(
        {"chrom": ["chr22"], "start": [element.start - 9], "end": [element.start + 60], "name": ["r"]}
    )
    table = knockout([model], one_chrom, regions=region)
    assert table.gene_id.is_unique and set(table.change) == {"trimmed"}
    share = (element.end - element.start - 60) / (element.end - element.start)
    signals = {name: element[name] * share for name in ("dnase_rpm", "h3k27ac_rpm", "activity")}
    columns = signals | {"start": element.start + 60, "length": element["length"] - 60}
    changed = rewritten(one_chrom, tmp_path / "cut", gene, {number: (columns, None)})
    found = table.set_index("gene_name").loc[f"GENE{gene}"]
    assert found.after == pytest.approx(predicted(model, changed, gene), abs=1e-6)
    silent = knockout([model], one_chrom, regions=region, silence=Silence(0.0))
    assert set(silent.change) == {"silenced"} and not np.allclose(silent.after, table.after, atol=1e-6)


def test_regions_against_brute_force(signals_model, one_chrom: Dataset) -> None:
    """Which genes and elements each of many random regions changes."""
    random = np.random.default_rng(1)
    start = random.integers(0, 200_000, 80)
    end = start + random.integers(1, 6_000, 80)
    names = [f"r{i // 2 if i < 20 else i}" for i in range(80)]
    regions = pd.DataFrame({"chrom": ["chr22"] * 78 + ["chr1"] * 2, "start": start, "end": end, "name": names})
    genes = [f"GENE{i}" for i in range(10, 22)]
    table = knockout([signals_model()], one_chrom, genes=genes, regions=regions)
    expected = {}
    for region in regions.itertuples():
        for pair in one_chrom.pairs.itertuples():
            element = one_chrom.elements.iloc[pair.element_index]
            overlaps = region.chrom == "chr22" and element.start < region.end and element.end > region.start
            if overlaps and 10 <= pair.gene_index < 22:
                expected.setdefault((region.name, f"GENE{pair.gene_index}"), set()).add(pair.element_index)
    found = {(row.knockout, row.gene_name): row.elements for row in table.itertuples()}
    assert found == {key: len(value) for key, value in expected.items()} and len(found) > 30


def test_log2_fold_change(signals_model, one_chrom: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    model = signals_model()
    with caplog.at_level(logging.INFO):
        unknown = knockout([model], one_chrom, genes=["GENE3"])
    assert unknown.log2_fold_change.isna().all() and "nothing says that expression_rna is a log10" in caplog.text
    told = knockout([model], one_chrom, genes=["GENE3"], log10_sd=0.5)
    np.testing.assert_allclose(told.log2_fold_change, told.difference * 0.5 * math.log2(10))
    for sd in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="is no standard deviation"):
            knockout([model], one_chrom, genes=["GENE3"], log10_sd=sd)
    # A doubling of the quantity behind log10(x) is one.
    powers = {"expression_rna": 1.0, "expression_cage": 0.5}
    manifest = one_chrom.manifest.model_copy(update={"log10_per_unit": powers})
    logged = dataclasses.replace(one_chrom, manifest=manifest)
    per_unit = log2_per_unit(logged, "expression_rna", None)
    assert per_unit is not None and per_unit * (math.log10(20) - math.log10(10)) == pytest.approx(1)
    assert log2_per_unit(logged, "expression_cage", None) == pytest.approx(per_unit / 2)
    assert log2_per_unit(logged, "expression_raw", None) is None and log2_per_unit(logged, None, None) is None


def test_only_what_the_model_looks_at(signals_model, one_chrom: Dataset) -> None:
    model = signals_model(limits=PairLimits(1_000, 10_000, 3))
    table = knockout([model], one_chrom)
    assert (table.distance.abs() > 1_000).all() and (table.distance.abs() <= 10_000).all()
    assert table.groupby("gene_id").size().max() == 3
    outside = one_chrom.pairs[one_chrom.pairs.distance.abs() > 20_000].iloc[0]
    name = one_chrom.elements.element_id[int(outside.element_index)]
    with pytest.raises(InputError, match="none of the elements asked for is among those that the models look at"):
        knockout([model], one_chrom, genes=[f"GENE{int(outside.gene_index)}"], elements=[name])


def test_bad_input(signals_model, reader, one_chrom: Dataset, synthetic: Dataset) -> None:
    model = signals_model()
    with pytest.raises(InputError, match="no elements that the models look at"):
        knockout([model], one_chrom, genes=["GENE0"])
    with pytest.raises(InputError, match=r"no gene is asked for"):
        knockout([model], one_chrom, genes=[])
    with pytest.raises(InputError, match=r"all genes .*first: GENE99\).*nearest are GENE9, "):
        knockout([model], one_chrom, genes=["GENE99"])
    wrong = one_chrom.elements.element_id[3] + "9"
    with pytest.raises(
        InputError, match=rf"all elements .*first: {wrong}\).*nearest .*{one_chrom.elements.element_id[3]}"
    ):
        knockout([model], one_chrom, elements=[wrong])
    nowhere = pd.DataFrame({"chrom": ["chr22"], "start": [9_000_000], "end": [9_000_100], "name": ["far"]})
    with pytest.raises(InputError, match=r"no region overlaps an element .*1 affected; first: far"):
        knockout([model], one_chrom, regions=nowhere)
    with pytest.raises(InputError, match="both given"):
        knockout([model], one_chrom, regions=nowhere, elements=[wrong])
    with pytest.raises(ModelError, match="has no elements to knock out"):
        knockout([reader("promoter")], synthetic)
    hidden = one_chrom.elements.assign(start=pd.array([pd.NA] * 60, dtype="Int64"), end=pd.NA)
    with pytest.raises(DatasetError, match="where its elements lie"):
        knockout([model], dataclasses.replace(one_chrom, elements=hidden), regions=nowhere)


def test_regions_that_hit_nothing_are_counted(
    signals_model, one_chrom: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    element = one_chrom.elements.iloc[int(one_chrom.pairs.element_index[5])]
    regions = pd.DataFrame(
        {
            "chrom": "chr22",
            "start": [element.start, 7_000_000],
            "end": [element.end, 7_000_001],
            "name": ["hit", "miss"],
        }
    )
    with caplog.at_level(logging.WARNING):
        table = knockout([signals_model()], one_chrom, regions=regions)
    assert set(table.knockout) == {"hit"} and set(table.change) == {"removed"}
    assert "1 of 2 regions overlap no element" in caplog.text and "(first: miss)" in caplog.text


def test_many_genes_in_small_memory(signals_model, tmp_path: Path) -> None:
    dataset = synthetic_dataset(tmp_path / "d", genes=200, elements=400, pairs_per_gene=8, sequence=False)
    table = knockout([signals_model()], dataset, silence=Silence())
    assert len(table) == len(dataset.pairs) and np.isfinite(table[["before", "after"]]).all(axis=None)
