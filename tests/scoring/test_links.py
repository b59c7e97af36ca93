from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pandas as pd
import pytest

from epinformer.dataset.limits import PairLimits
from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError, InputError, LeakageError, ModelError
from epinformer.prepare import pairs as pairs_module
from epinformer.scoring import links as module
from epinformer.scoring.links import SCORES, link_tables, links
from epinformer.scoring.predict import predict

MODEL_SCORES = ["attention_raw", "attention", "attention_abc", "knockout", "gradient_x_input"]


def power(distance: float) -> float:
    return float(np.exp(5.9594510043736655 - 1.024238616787792 * np.log(max(abs(distance), 5000) + 1)))


def shares(dataset: Dataset, gene: int) -> dict[int, float]:
    """Activity x power law of each element within 5 Mb, over its sum."""
    products = {}
    for number, element in dataset.elements.iterrows():
        distance = (element.start + element.end) // 2 - dataset.genes.tss[gene]
        if element.chrom == dataset.genes.chrom[gene] and abs(distance) <= 5_000_000:
            products[number] = element.activity * power(distance)
    total = sum(products.values())
    return {number: product / total for number, product in products.items()}


def test_without_models(plain: Dataset) -> None:
    table = links([], plain)
    assert table.columns.tolist() == [
        *("gene_id", "gene_name", "chrom", "tss", "strand", "element_id", "start", "end", "distance", "activity"),
        *("contact", "abc", "powerlaw_contact", "powerlaw_abc", "neg_distance"),
    ]
    assert len(table) == len(plain.pairs)
    for row in (0, 40, len(table) - 1):
        pair, link = plain.pairs.iloc[row], table.iloc[row]
        gene, element = plain.genes.iloc[int(pair.gene_index)], plain.elements.iloc[int(pair.element_index)]
        assert (link.gene_id, link.tss, link.element_id) == (gene.gene_id, gene.tss, element.element_id)
        assert (link.start, link.end, link.distance) == (element.start, element.end, pair.distance)
        assert (link.activity, link.contact, link.abc) == (element.activity, pair.contact, pair.abc_score)
        assert link.neg_distance == -abs(pair.distance)
        assert link.powerlaw_contact == pytest.approx(power(pair.distance))
        total = sum(
            plain.elements.activity[e] * power((plain.elements.start[e] + plain.elements.end[e]) // 2 - gene.tss)
            for e in plain.elements.index[plain.elements.chrom == gene.chrom]
        )
        assert link.powerlaw_abc == pytest.approx(element.activity * power(pair.distance) / total)


def test_optional_columns(plain: Dataset) -> None:
    promoter = np.arange(len(plain.pairs)) % 3 == 0
    more = dataclasses.replace(
        plain,
        elements=plain.elements.assign(**{"class": pd.array(["genic", "promoter"] * 30, dtype="str")}),
        pairs=plain.pairs.assign(abc_contact=0.5, self_promoter=promoter),
    )
    table = links([], more)
    assert table["class"].tolist() == [("genic", "promoter")[e % 2] for e in plain.pairs.element_index]
    assert (table.abc_contact == 0.5).all() and table.self_promoter.tolist() == promoter.astype(float).tolist()
    bare = dataclasses.replace(
        plain,
        elements=plain.elements.drop(columns="activity"),
        pairs=plain.pairs.drop(columns=["abc_score", "contact"]),
    )
    assert [name for name in SCORES if name in links([], bare)] == ["neg_distance"]


def test_without_places_the_gene_s_pairs_are_its_candidates(plain: Dataset) -> None:
    nowhere = dataclasses.replace(
        plain, elements=plain.elements.assign(start=pd.array([pd.NA] * 60, dtype="Int64"), end=pd.NA)
    )
    table = links([], nowhere)
    products = plain.elements.activity.to_numpy()[plain.pairs.element_index] * [power(d) for d in plain.pairs.distance]
    expected = products / pd.Series(products).groupby(plain.pairs.gene_index).transform("sum")
    np.testing.assert_allclose(table.powerlaw_abc, expected)
    with pytest.raises(DatasetError, match="does not say where its elements lie"):
        links([], nowhere, window=1000)


@pytest.mark.parametrize("chunk", [10, 1_000_000])
def test_window_is_all_elements_within_it(plain: Dataset, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "_CHUNK_PAIRS", chunk)
    genes = ["GENE2", "GENE20", "GENE27"]
    tables = list(link_tables([], plain, genes=genes, window=60_000))
    assert len(tables) == (3 if chunk == 10 else 2)
    table = pd.concat(tables, ignore_index=True)
    expected = []
    for gene in (2, 20, 27):
        share = shares(plain, gene)
        rows = []
        for number, element in plain.elements.iterrows():
            offset = (element.start + element.end) // 2 - plain.genes.tss[gene]
            if element.chrom == plain.genes.chrom[gene] and abs(offset) <= 60_000:
                sign = -1 if plain.genes.strand[gene] == "-" else 1
                rows.append((f"GENE{gene}", element.element_id, sign * offset, share[number]))
        expected += sorted(rows, key=lambda row: abs(row[2]))
    assert len(table) == len(expected) > 60
    assert list(zip(table.gene_name, table.element_id, table.distance, strict=True)) == [row[:3] for row in expected]
    np.testing.assert_allclose(table.powerlaw_abc, [row[3] for row in expected])
    of_pairs = {(p.gene_index, p.element_index): p.abc_score for p in plain.pairs.itertuples()}
    gene = table.gene_name.str.removeprefix("GENE").astype(int)
    element = pd.Index(plain.elements.element_id).get_indexer(table.element_id)
    known = [of_pairs.get(pair, np.nan) for pair in zip(gene, element, strict=True)]
    np.testing.assert_array_equal(table.abc, known)
    assert 0 < np.isfinite(known).sum() < len(known)


def test_windows_that_cannot_be(plain: Dataset) -> None:
    for window in (0, -5, 5_000_001):
        with pytest.raises(InputError, match=f"a window of {window:,} bp is not possible"):
            links([], plain, window=window)
    assert len(links([], plain, genes=["GENE0"], window=1)) == 0


def of_two_folds(signals_model) -> list:
    return [signals_model(seed=1, fold=1), signals_model(seed=2, fold=11), signals_model(seed=3, fold=11)]


def test_each_gene_by_the_models_that_held_it_out(signals_model, plain: Dataset) -> None:
    models = of_two_folds(signals_model)
    done: list[tuple[int, int]] = []
    table = links(models, plain, progress=lambda *step: done.append(step))
    assert done[-1][0] == done[-1][1] and done == sorted(done)
    first = plain.pairs.gene_index.to_numpy() < 15
    assert table.fold.tolist() == ["1" if one else "11" for one in first]
    assert table.models.tolist() == [1 if one else 2 for one in first] and table.held_out.all()
    alone = [links([model], plain, allow_leakage=True) for model in models]
    for name in ("attention_raw", "knockout", "gradient_x_input"):
        np.testing.assert_allclose(table[name][first], alone[0][name][first], atol=1e-6)
        both = (alone[1][name] + alone[2][name])[~first] / 2
        np.testing.assert_allclose(table[name][~first], both, atol=1e-6)
    np.testing.assert_allclose(table.groupby("gene_id").attention.sum(), 1)
    np.testing.assert_allclose(
        table.attention, table.attention_raw / table.groupby("gene_id").attention_raw.transform("sum")
    )
    np.testing.assert_allclose(table.attention_abc, table.attention * plain.pairs.abc_score)
    assert not alone[0].held_out[~first].any()
    attention = predict(models, plain, attention=True).attention
    assert attention is not None
    np.testing.assert_allclose(table.attention_raw, attention.filter(like="attention_layer").mean(axis=1), rtol=1e-5)


def test_learned_genes_are_refused(signals_model, plain: Dataset) -> None:
    with pytest.raises(LeakageError, match=r"15 affected; first: ENSG00000000015 on chr22"):
        links([signals_model(fold=1)], plain)
    assert len(links([signals_model(fold=1)], plain, genes=["GENE1", "GENE4"])) > 0


def test_beyond_the_models_limits_only_their_scores_are_missing(signals_model, plain: Dataset) -> None:
    model = signals_model(limits=PairLimits(2_000, 20_000, 4))
    genes = [f"GENE{i}" for i in range(15, 30)]
    table = links([model], plain, genes=genes)
    assert len(table) == (plain.pairs.gene_index >= 15).sum()
    near = table.distance.abs().between(2_001, 20_000)
    rank = near.groupby(table.gene_id).cumsum()
    seen = near & (rank <= 4)
    assert 0 < seen.sum() < len(table)
    for name in MODEL_SCORES:
        assert table[name].notna().tolist() == seen.tolist()
    assert table.abc.notna().all() and table.powerlaw_abc.notna().all() and (table.models == 1).all()
    wide = links([model], plain, genes=genes, window=60_000)
    left, right = (t.dropna(subset="knockout").set_index(["gene_id", "element_id"]) for t in (table, wide))
    shared = left.index.intersection(right.index)
    assert len(shared) > 0
    np.testing.assert_array_equal(left.loc[shared, "knockout"], right.loc[shared, "knockout"])
    with pytest.raises(ModelError, match="different pairs"):
        links([model, signals_model()], plain, genes=genes)


def test_chunks_are_whole_genes_and_the_same(signals_model, plain: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    models = of_two_folds(signals_model)
    whole = links(models, plain)
    monkeypatch.setattr(module, "_CHUNK_PAIRS", 20)
    tables = list(link_tables(models, plain))
    assert len(tables) > 3
    owners = [set(table.gene_id) for table in tables]
    assert sum(map(len, owners)) == len(set().union(*owners))
    pd.testing.assert_frame_equal(pd.concat(tables, ignore_index=True), whole, atol=1e-6)
    assert all((table.dtypes == whole.dtypes).all() for table in tables)


def test_models_without_elements(reader, synthetic: Dataset) -> None:
    with pytest.raises(ModelError, match="looks at promoters alone and has no elements to link"):
        links([reader("promoter")], synthetic)


def test_genes_that_are_not_there(plain: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match=r"first: gene1O\).*nearest .*GENE1"):
        links([], plain, genes=["gene1O"])
    table = links([], plain, genes=["GENE0"])
    assert len(table) == 0 and "powerlaw_abc" in table
