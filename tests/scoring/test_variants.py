from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from epinformer.bases import COMPLEMENT, NO_BASE
from epinformer.dataset.store import Dataset, open_dataset, write_dataset
from epinformer.errors import DatasetError, InputError, LeakageError, ModelError
from epinformer.inputs.genome import open_genome
from epinformer.model.checkpoint import LoadedModel
from epinformer.scoring import variants as module
from epinformer.scoring.predict import predict
from epinformer.scoring.variant_activity import ActivityScorer, window_begins
from epinformer.scoring.variants import variant_tables, variants
from tests.variant_world import (
    CHROMS,
    World,
    activity_model,
    expression_model,
    make_world,
    sequences_of,
    write_vcf,
)

COLUMNS = [
    *("chrom", "pos", "id", "ref", "alt", "status", "element_id", "gene_id", "gene_name", "distance", "promoter"),
    *("activity_ref", "activity_alt", "activity_change", "expression_ref", "effect_sequence", "effect"),
    *("fold", "models", "activity_models", "held_out"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def activity() -> LoadedModel:
    return activity_model()


def snv(world: World, chrom: str, position: int, step: int = 1) -> tuple[str, int, str, str]:
    """A row of a VCF (1-based) for a 0-based position."""
    ref = world.text(chrom, position, position + 1)
    return chrom, position + 1, ref, "ACGT"["ACGT".index(ref) - step]


def by_hand(model: LoadedModel, world: World, codes: np.ndarray, place: int) -> float:
    """log2(0.1 + activity) of the sequence with the definition of its windows written out."""
    if len(codes) <= 256:
        begin = 128 - len(codes) // 2
        padded = np.full(256, NO_BASE, dtype=np.uint8)
        padded[begin : begin + len(codes)] = codes
        windows = [padded]
    else:
        starts = sorted({*range(0, len(codes) - 255, 64), len(codes) - 256})
        starts = sorted(starts, key=lambda start: (abs(start + 128 - place), start))[:3]
        windows = [codes[start : start + 256] for start in starts]
    both = [strand for window in windows for strand in (window, COMPLEMENT[window[::-1]])]
    with torch.inference_mode():
        values = model.model(torch.from_numpy(np.concatenate(both)), torch.full((len(both),), 256))  # type: ignore[operator]
    return float(values.double().mean())


def rewritten(
    world: World, folder: Path, chrom: str, position: int, base: int, factors: dict[int, float] | None = None
) -> Dataset:
    """The dataset with another base in its genome, and signals of sequences (by number) multiplied."""
    genome = {name: codes.copy() for name, codes in world.genome.items()}
    genome[chrom][position] = base
    genes, elements = world.dataset.genes.copy(), world.dataset.elements.copy()
    for number, factor in (factors or {}).items():
        if number < len(genes):
            genes.loc[number, "promoter_activity"] *= factor
        else:
            elements.loc[number - len(genes), ["dnase_rpm", "h3k27ac_rpm", "activity"]] *= factor
    write_dataset(
        folder, world.dataset.manifest, genes, elements, world.dataset.pairs, sequences_of(genome, genes, elements)
    )
    return open_dataset(folder)


# In an element alone, in two that overlap and a promoter, in a short one, near a TSS, at the chromosome's ends.
@pytest.mark.parametrize("position", [1_950, 2_805, 4_620, 3_600, 20])
def test_snvs_equal_a_rewritten_dataset(world: World, activity: LoadedModel, tmp_path: Path, position: int) -> None:
    model = expression_model("PE-Activity")
    row = snv(world, "chr22", position)
    table = variants([model, activity], world.dataset, write_vcf(tmp_path / "v.vcf", [row]))
    assert table.columns.tolist() == COLUMNS and (table.status == "scored").all() and len(table)
    base = "ACGT".index(row[3])
    dataset, n_genes = world.dataset, world.dataset.n_genes
    places = [
        ("chr" in c, c, t - 1_000, t + 1_000) for c, t in zip(dataset.genes.chrom, dataset.genes.tss, strict=True)
    ]
    places += [(True, c, s, e) for c, s, e in dataset.elements[["chrom", "start", "end"]].itertuples(index=False)]
    changed = rewritten(world, tmp_path / "bases.dataset", "chr22", position, base)
    factors, changes = {}, {}
    for number, (_, chrom, start, end) in enumerate(places):
        if chrom == "chr22" and start <= position < end:
            a, b = dataset.sequence_offsets[number : number + 2]
            values = [by_hand(activity, world, np.array(d.codes[a:b]), position - start) for d in (dataset, changed)]
            changes[number] = values
            near = number >= n_genes or abs(position + 0.5 - dataset.genes.tss[number]) < 500
            factors[number] = 2 ** (values[1] - values[0]) if near else 1.0
    scaled = rewritten(world, tmp_path / "signals.dataset", "chr22", position, base, factors)
    before, bases, both = (predict([model], d, allow_leakage=True).table.predicted for d in (dataset, changed, scaled))
    assert np.abs(bases - before).max() > 1e-4
    affected = np.flatnonzero(np.abs(both - before) > 1e-5)
    assert set(dataset.genes.gene_id[affected]) <= set(table.gene_id.dropna())
    for found in table.itertuples():
        number = (
            n_genes + dataset.elements.index[dataset.elements.element_id == found.element_id][0]
            if isinstance(found.element_id, str)
            else dataset.genes.index[dataset.genes.gene_id == found.gene_id][0]
        )
        assert (found.activity_ref, found.activity_alt) == pytest.approx(changes[number], abs=1e-5)
        assert found.activity_change == pytest.approx(changes[number][1] - changes[number][0], abs=2e-6)
        if not isinstance(found.gene_id, str):
            continue
        gene = dataset.genes.index[dataset.genes.gene_id == found.gene_id][0]
        assert found.promoter == (gene in changes)
        assert found.expression_ref == pytest.approx(before[gene], abs=1e-6)
        assert found.effect_sequence == pytest.approx(bases[gene] - before[gene], abs=1e-6)
        assert found.effect == pytest.approx(both[gene] - before[gene], abs=1e-6)
        assert (found.fold, found.models, found.activity_models, found.held_out) == ("11", 1, 1, True)


def test_rows_are_all_elements_and_genes(world: World, activity: LoadedModel, tmp_path: Path) -> None:
    rows = [snv(world, "chr22", position) for position in (1_950, 3_600, 8_500, 2_700, 20)]
    path = write_vcf(tmp_path / "v.vcf", [*rows, ("chr3", 5, "A", "C")])
    table = variants([expression_model(), activity], world.dataset, path)
    dataset = world.dataset
    wanted = set()
    for number, (chrom, pos, _, _) in enumerate(rows):
        elements = dataset.elements[(dataset.elements.start < pos) & (dataset.elements.end >= pos)]
        elements = elements[elements.chrom == chrom]
        linked = set()
        for element in elements.index:
            pairs = dataset.pairs[dataset.pairs.distance.abs() > 1_000]  # those that the models look at
            genes = pairs.gene_index[pairs.element_index == element]
            names = dataset.genes.gene_id[genes].tolist()
            linked |= set(names)
            wanted |= {(f"v{number}", elements.element_id[element], gene) for gene in names or [None]}
        near = dataset.genes[(dataset.genes.chrom == chrom) & (dataset.genes.tss - 1_000 < pos)]
        near = near[near.tss + 1_000 >= pos]
        wanted |= {(f"v{number}", None, gene) for gene in near.gene_id if gene not in linked}
    wanted |= {("v3", None, None), ("v5", None, None)}
    found = table[["id", "element_id", "gene_id"]].astype(object).where(lambda x: x.notna(), None)
    assert set(found.itertuples(index=False, name=None)) == wanted and len(found) == len(wanted)
    nowhere = table[table.id.isin(["v3", "v5"])]
    assert (nowhere.status == "no element").all() and nowhere[COLUMNS[11:17]].isna().all(axis=None)
    assert nowhere.held_out.isna().all() and (nowhere.models == 0).all()
    paired = table[table.element_id.notna() & table.gene_id.notna()]
    for row in paired.itertuples():
        gene = dataset.genes.index[dataset.genes.gene_id == row.gene_id][0]
        element = dataset.elements.index[dataset.elements.element_id == row.element_id][0]
        own = dataset.pairs[(dataset.pairs.gene_index == gene) & (dataset.pairs.element_index == element)]
        assert row.distance == own.distance.iloc[0]


def test_the_same_allele_has_no_effect(world: World, activity: LoadedModel, tmp_path: Path) -> None:
    rows = [("chr22", pos + 1, text, text) for pos in (1_950, 4_620) for text in [world.text("chr22", pos, pos + 3)]]
    table = variants([expression_model(), activity], world.dataset, write_vcf(tmp_path / "v.vcf", rows))
    assert (table.status == "scored").all() and (table.activity_change == 0).all()
    genes = table[table.gene_id.notna()]
    assert len(genes) and genes[["effect", "effect_sequence"]].abs().max(axis=None) < 1e-6


def test_several_alleles_one_at_a_time_or_together(
    world: World, activity: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsorted, multi-allelic, chromosomes of the other style; the same whatever the chunks."""
    models = [expression_model(), activity]
    rows = [("22", *snv(world, "chr22", 4_620)[1:]), ("22", *snv(world, "chr22", 1_450)[1:])]
    ref = rows[0][2]
    rows.append(("22", 4_621, ref, ",".join(base for base in "ACGT" if base != ref)))
    rows += [("22", *snv(world, "chr22", position)[1:]) for position in (5_600, 2_900, 10)]
    path = write_vcf(tmp_path / "v.vcf", rows)
    done: list[tuple[int, int]] = []
    table = variants(models, world.dataset, path, progress=lambda *step: done.append(step))
    assert (
        done == [(8, 8)] and (table.chrom == "22").all() and table.id.unique().tolist() == [f"v{n}" for n in range(6)]
    )
    assert table[table.id == "v2"].alt.nunique() == 3
    # Shuffled sequences and other neighbours in the arithmetic change rounding alone.
    few = module.read_variants
    monkeypatch.setattr(module, "read_variants", lambda name: few(name, 2))
    again = variants(models, world.dataset, path)
    pd.testing.assert_frame_equal(again, table, rtol=0, atol=2e-6)
    parts = list(variant_tables(models, world.dataset, path))
    assert [len(part.chunk.records) for part in parts] == [2] * 3
    assert all((part.table.id == part.chunk.alleles.id.iloc[part.allele].to_numpy()).all() for part in parts)


def test_insertions_and_deletions(world: World, activity: LoadedModel, tmp_path: Path) -> None:
    models = [expression_model(), activity]
    anchor = world.text("chr22", 4_350, 4_351)
    deleted = world.text("chr22", 4_350, 4_358)
    short = world.text("chr22", 2_799, 2_961)
    rows = [
        ("chr22", 4_351, anchor, anchor + "ACGTAC"),
        ("chr22", 4_351, deleted, anchor),
        ("chr22", 2_800, short, short[0]),
    ]
    path = write_vcf(tmp_path / "v.vcf", rows)
    alone = variants(models, world.dataset, path)
    in_element = alone.element_id.notna()
    assert set(alone[in_element & (alone.id == "v0")].status) == {"scored"}
    assert set(alone[in_element & (alone.id == "v1")].status) == {"needs the genome"}
    assert set(alone[in_element & (alone.id == "v2")].status) == {"spans the sequence"}
    assert alone[alone.status != "scored"][COLUMNS[11:17]].isna().all(axis=None)
    with open_genome(world.fasta) as genome:
        table = variants(models, world.dataset, path, genome=genome)
    scored = table[(table.id == "v1") & table.element_id.notna()]
    assert (scored.status == "scored").all()
    pd.testing.assert_frame_equal(table[table.id == "v0"], alone[alone.id == "v0"], rtol=0, atol=2e-6)
    # The left part is the shorter one: bases come in there.
    changed = np.concatenate([world.genome["chr22"][:4_351], world.genome["chr22"][4_358:]])[4_293:4_993]
    for row in scored.itertuples():
        assert row.activity_alt == pytest.approx(by_hand(activity, world, changed, 4_354 - 4_300), abs=1e-5)


@settings(max_examples=8)
@given(st.integers(0, 6), st.integers(0, 1_000_000), st.integers(0, 1_000))
def test_activity_is_the_same_of_the_other_strand(steps: int, seed: int, at: int) -> None:
    """For sequences whose windows lie the same from both ends."""
    random = np.random.default_rng(seed)
    length = 256 + 64 * steps
    codes, place = random.integers(0, 4, length, dtype=np.uint8), at % length
    changed = codes.copy()
    changed[place] = (changed[place] + 1) % 4
    model = activity_model(3)
    distances = np.abs(np.arange(0, length - 255, 64) + 128 - place)
    if len(distances) > 3 and np.sort(distances)[2] == np.sort(distances)[3]:
        return  # windows at the same distance: one of the two is chosen
    dataset = dataclasses.make_dataclass("Tables", ["chroms", "manifest", "path"])(["chr22"], _Manifest(), Path("x"))
    scorer = ActivityScorer([model], dataset, device=torch.device("cpu"), dtype=torch.float32, allow_leakage=False)
    forward = scorer(np.array(["chr22"]), np.array([0]), [codes], [changed], np.array([place]))
    turned = [COMPLEMENT[part[::-1]] for part in (codes, changed)]
    backward = scorer(np.array(["chr22"]), np.array([0]), turned[:1], turned[1:], np.array([length - place]))
    assert backward.before[0] == pytest.approx(forward.before[0], abs=1e-5)
    assert backward.after[0] == pytest.approx(forward.after[0], abs=1e-5)


class _Manifest:
    assembly = "hg38"


def test_windows() -> None:
    assert window_begins(700, 350).tolist() == [128, 192, 256]
    assert window_begins(700, 0).tolist() == [0, 64, 128]
    assert window_begins(700, 699).tolist() == [320, 384, 444]
    assert window_begins(257, 100).tolist() == [0, 1]
    assert window_begins(256, 100).tolist() == [0] and window_begins(100, 3).tolist() == [-78]


def test_only_models_that_held_out_the_chromosome(world: World, tmp_path: Path, caplog) -> None:
    """Fold 1 tests chr2, fold 11 tests chr22."""
    path = write_vcf(tmp_path / "v.vcf", [snv(world, chrom, 4_620) for chrom in CHROMS])
    of_22 = [expression_model(seed=1), activity_model(1)]
    of_2 = [expression_model(seed=2, fold=1), activity_model(2, fold=1)]
    together = variants([*of_22, *of_2], world.dataset, path)
    assert (together.status == "scored").all() and together.held_out.all() and set(together.models) == {1}
    with caplog.at_level(logging.WARNING):
        alone = variants(of_22, world.dataset, path)
    assert "no model given held out the chromosomes of 3 of 6 genes" in caplog.text
    own = alone.chrom == "chr22"
    pd.testing.assert_frame_equal(alone[own], together[own], rtol=0, atol=2e-6)
    assert (alone[~own].status == "no held-out model").all() and alone[~own][COLUMNS[11:17]].isna().all(axis=None)
    leaked = variants(of_22, world.dataset, path, allow_leakage=True)
    assert (leaked.status == "scored").all() and leaked.held_out.tolist() == own.tolist()
    unknown = variants([activity_model(1, fold=None)], world.dataset, path)
    assert unknown.held_out.isna().all() and (unknown.status == "scored").all()
    with pytest.raises(LeakageError, match="no model given held out"):
        variants([expression_model(fold=5)], world.dataset, path)
    for models in ([activity_model(fold=5)], [*of_22[:1], activity_model(fold=5)]):
        with pytest.raises(LeakageError, match="no model given held out any chromosome"):
            variants(models, world.dataset, path)


def test_models_of_one_kind(world: World, activity: LoadedModel, signals_model, tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "v.vcf", [snv(world, "chr22", 4_620), snv(world, "chr22", 3_600)])
    both = variants([expression_model(), activity], world.dataset, path)
    expression = variants([expression_model()], world.dataset, path)
    same = [name for name in COLUMNS if not name.startswith("activity") and name != "effect"]
    pd.testing.assert_frame_equal(expression[same], both[same], rtol=0, atol=2e-6)
    assert expression[["effect", "activity_change"]].isna().all(axis=None)
    alone = variants([activity], world.dataset, path)
    assert alone[alone.element_id.notna()].gene_id.isna().all() and (alone.status == "scored").all()
    assert alone[alone.element_id.notna()].activity_change.iloc[0] == both.activity_change.iloc[0]
    # A model of signals alone: what the activity model says reaches it, the bases do not.
    signals = variants([signals_model(), activity], world.dataset, path)
    assert signals.effect_sequence.isna().all() and signals.effect.abs().max() > 0
    with pytest.raises(ModelError, match="reads no sequence, so that a variant changes nothing for it"):
        variants([signals_model()], world.dataset, path)
    with pytest.raises(ModelError, match="looks at promoters alone"):
        variants([expression_model("promoter")], world.dataset, path)
    with pytest.raises(ModelError, match="no model was given"):
        variants([], world.dataset, path)


def test_genes_that_are_asked_for(world: World, activity: LoadedModel, tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "v.vcf", [snv(world, "chr22", position) for position in (4_620, 3_600)])
    every = variants([expression_model(), activity], world.dataset, path)
    some = variants([expression_model(), activity], world.dataset, path, genes=["GENE4"])
    assert set(some.gene_name.dropna()) == {"GENE4"}
    wanted = every[every.gene_name == "GENE4"].reset_index(drop=True)
    pd.testing.assert_frame_equal(some[some.gene_id.notna()].reset_index(drop=True), wanted, rtol=0, atol=2e-6)
    with pytest.raises(InputError, match="does not hold all genes asked for"):
        variants([expression_model()], world.dataset, path, genes=["GENE99"])


def test_references_that_mismatch(world: World, activity: LoadedModel, tmp_path: Path) -> None:
    good = snv(world, "chr22", 4_620)
    bad = ("chr22", 4_630, "ACGT"["ACGT".index(world.text("chr22", 4_629, 4_630)) - 1], "N")
    bad = (*bad[:3], "ACGT"["ACGT".index(bad[2]) - 1])
    path = write_vcf(tmp_path / "v.vcf", [good, bad, bad])
    with pytest.raises(InputError, match=rf"2 affected; first: chr22:4630 {bad[2]}>{bad[3]}\).*--mismatch skip"):
        variants([activity], world.dataset, path)
    table = variants([activity], world.dataset, path, mismatch="skip")
    assert table[table.id == "v0"].status.unique().tolist() == ["scored"]
    assert table[table.id != "v0"].status.tolist() == ["reference mismatch"] * 2
    assert table[table.id != "v0"].element_id.isna().all()


def test_positions_beyond_the_chromosome(world: World, activity: LoadedModel, tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "v.vcf", [snv(world, "chr22", 4_620), ("chr22", 9_001, "A", "C")])
    with open_genome(world.fasta) as genome, pytest.raises(InputError, match="beyond the ends .*first: chr22:9001 A>C"):
        variants([activity], world.dataset, path, genome=genome)


def test_alleles_without_bases(world: World, activity: LoadedModel, tmp_path: Path) -> None:
    ref = world.text("chr22", 4_620, 4_621)
    path = write_vcf(tmp_path / "v.vcf", [("chr22", 4_621, ref, "<DEL>,*,N,."), ("chr22", 4_621, ref, ".")])
    table = variants([activity], world.dataset, path)
    assert table.alt.tolist() == ["<DEL>", "*", "N"]
    assert table.status.tolist() == ["symbolic", "symbolic", "unknown bases"]
    bare = write_vcf(tmp_path / "b.vcf", [("chr22", 4_621, ref, ".")])
    nowhere = write_vcf(
        tmp_path / "n.vcf", [("chr22", 2_700, world.text("chr22", 2_699, 2_700), "N"), ("chr9", 1, "A", "C")]
    )
    for models in ([activity], [expression_model()], [activity, expression_model()]):
        assert variants(models, world.dataset, bare).columns.tolist() == COLUMNS
        assert variants(models, world.dataset, nowhere).status.tolist() == ["unknown bases", "no element"]
    mixed = write_vcf(tmp_path / "m.vcf", [("22", 4_621, ref, "N"), ("chr22", 4_621, ref, "N")])
    with pytest.raises(InputError, match="names chromosomes in two styles"):
        variants([activity], world.dataset, mixed)


def test_datasets_and_models_that_do_not_fit(
    world: World, activity: LoadedModel, plain: Dataset, tmp_path: Path
) -> None:
    path = write_vcf(tmp_path / "v.vcf", [snv(world, "chr22", 4_620)])
    with pytest.raises(DatasetError, match="has no sequence"):
        variants([activity], plain, path)
    other = activity._replace(info=activity.info.model_copy(update={"assembly": "mm10"}))
    with pytest.raises(DatasetError, match="is of assembly hg38, but the model was trained on mm10"):
        variants([other], world.dataset, path)
