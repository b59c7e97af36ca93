from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from epinformer.dataset.store import Dataset
from epinformer.errors import DatasetError
from epinformer.scoring.context import with_context
from epinformer.scoring.links import link_tables


def context(dataset: Dataset, **options: object) -> pd.DataFrame:
    tables = link_tables([], dataset, **options)  # type: ignore[arg-type]
    return pd.concat(with_context(tables, dataset), ignore_index=True)


def test_every_column_by_counting(plain: Dataset) -> None:
    table = context(plain)
    genes, elements = plain.genes, plain.elements
    middle = (elements["start"] + elements["end"]) // 2
    some = np.random.default_rng(0).choice(len(table), 60, replace=False)
    for row in some:
        link = table.iloc[row]
        gene = genes[genes["gene_id"] == link.gene_id].iloc[0]
        own = elements.index[elements["element_id"] == link.element_id][0]
        tss = genes["tss"][genes["chrom"] == gene.chrom]
        low, high = sorted((gene.tss, middle[own]))
        assert link.tss_between == ((tss > low) & (tss < high)).sum()
        others = tss[tss != gene.tss]
        assert link.other_tss_distance == min((others - middle[own]).abs().min(), 1_000_000)
        assert link.genes_near == ((tss - gene.tss).abs() <= 100_000).sum()
        near = (elements["chrom"] == gene.chrom) & ((middle - middle[own]).abs() <= 5_000)
        assert link.elements_near == near.sum() - 1
        assert link.activity_near == pytest.approx(elements["activity"][near].sum())
        assert (link.dnase_rpm, link.promoter_activity) == (elements["dnase_rpm"][own], gene.promoter_activity)
    assert table["tss_between"].max() > 0 and table["elements_near"].max() > 0


def test_it_depends_on_the_dataset_and_not_on_the_table(plain: Dataset) -> None:
    whole = context(plain, window=300_000)
    part = context(plain, window=300_000, genes=["GENE20", "GENE2"])
    same = whole[whole["gene_name"].isin(["GENE2", "GENE20"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, same)
    assert next(iter(with_context([part.iloc[:0]], plain))).columns.tolist() == part.columns.tolist()


def test_without_places_or_activity(plain: Dataset) -> None:
    nowhere = dataclasses.replace(
        plain, elements=plain.elements.assign(start=pd.array([pd.NA] * 60, dtype="Int64"), end=pd.NA)
    )
    with pytest.raises(DatasetError, match="does not say where its elements and genes lie"):
        context(nowhere)
    bare = dataclasses.replace(plain, elements=plain.elements.drop(columns="activity"))
    assert "activity_near" not in context(bare) and "elements_near" in context(bare)
