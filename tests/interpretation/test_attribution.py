from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from epinformer.bases import COMPLEMENT, NO_BASE
from epinformer.dataset.limits import limited
from epinformer.errors import DatasetError, InputError, LeakageError, ModelError
from epinformer.inputs.genome import open_genome
from epinformer.interpretation import activity as activity_module
from epinformer.interpretation import attribution as attribution_module
from epinformer.interpretation.activity import strand_difference
from epinformer.interpretation.attribution import Explanation, default_method, explain, kind_of
from epinformer.interpretation.attribution_file import Explained
from epinformer.interpretation.choosing import Wanted
from epinformer.interpretation.explained import Settings
from epinformer.interpretation.mutagenesis import Mutants
from epinformer.model.activity import ActivityModel
from epinformer.model.checkpoint import LoadedModel
from epinformer.scoring.predict import predict
from tests.variant_world import ELEMENTS, World, activity_model, expression_model, make_world

ISM = Settings("ism", device="cpu")
DEEPLIFT = Settings("deeplift", references=3, device="cpu")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return activity_model()


def whole(explanation: Explanation) -> Explained:
    """All chunks as one, of windows of one length."""
    chunks = list(explanation.chunks)
    return Explained(
        pd.concat([chunk.table for chunk in chunks], ignore_index=True),
        np.concatenate([chunk.codes for chunk in chunks]),
        np.concatenate([chunk.hypothetical for chunk in chunks]),
        pd.concat([chunk.tiles for chunk in chunks], ignore_index=True),
    )


def bed(folder: Path, rows: Sequence[tuple[str, int, int]]) -> Path:
    path = folder / "regions.bed"
    path.write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in rows))
    return path


def both_strands(model: LoadedModel, window: np.ndarray) -> float:
    strands = torch.from_numpy(np.stack([window, COMPLEMENT[window[::-1]]]).copy())
    with torch.inference_mode():
        return float(model.model(strands.flatten(), torch.full((2,), 256)).double().mean())  # type: ignore[operator]


def test_the_strongest_window_of_each_element_by_hand(world: World, model: LoadedModel) -> None:
    genes = Wanted(genes=["GENE4"], part="elements")
    found = whole(explain([model], genes, ISM, dataset=world.dataset))
    assert (found.table.chrom == "chr22").all() and len(found.table) > 3
    for row, (_, entry) in enumerate(found.table.iterrows()):
        bases = world.genome["chr22"][entry.target_start : entry.target_end]
        begins = sorted({*range(0, len(bases) - 255, 256), len(bases) - 256}) if len(bases) > 256 else [0]
        tiles = found.tiles[found.tiles["name"] == entry["name"]]
        if len(bases) < 256:
            begin = 128 - len(bases) // 2
            window = np.full(256, NO_BASE, np.uint8)
            window[begin : begin + len(bases)] = bases
            values = [both_strands(model, window)]
            assert (entry.start, entry.end) == (entry.target_start, entry.target_end)
        else:
            values = [both_strands(model, bases[begin : begin + 256]) for begin in begins]
            best = begins[int(np.argmax(values))]
            assert (entry.start, entry.end) == (entry.target_start + best, entry.target_start + best + 256)
            window = bases[best : best + 256]
        assert tiles.prediction.tolist() == pytest.approx(values, abs=1e-5)
        assert entry.prediction == pytest.approx(max(values), abs=1e-5)
        real = found.codes[row] != NO_BASE
        assert found.codes[row][real].tolist() == bases[entry.start - entry.target_start :][: real.sum()].tolist()
        # One position by brute force: predictions with each base, less their mean.
        position = int(real.sum()) // 3
        at = position + int((window != NO_BASE).argmax())
        predicted = []
        for base in range(4):
            mutated = window.copy()
            mutated[at] = base
            predicted.append(both_strands(model, mutated))
        wanted = np.array(predicted) - np.mean(predicted)
        assert found.hypothetical[row, :, position] == pytest.approx(wanted, abs=1e-5)
        assert not found.hypothetical[row][:, ~real].any()


def test_expression_by_elements_and_promoter(world: World) -> None:
    model = expression_model("PE-Activity")
    dataset = limited(world.dataset, model.info.config.limits)
    explanation = explain([model], Wanted(genes=["GENE3"]), ISM, dataset=world.dataset)
    chunks = list(explanation.chunks)
    assert explanation.about.what == "expression" and explanation.about.method == "ism" and explanation.length == 2_000
    assert [chunk.table["kind"].iloc[0] for chunk in chunks][:2] == ["promoter", "element"]
    assert len(chunks) == explanation.number == 1 + np.diff(dataset.pair_offsets)[3]
    before = float(predict([model], world.dataset, genes=["GENE3"]).table["predicted"].iloc[0])
    assert dataset.codes is not None
    for chunk in (chunks[0], chunks[2]):
        entry = chunk.table.iloc[0]
        start, end = int(entry.start), int(entry.end)
        assert entry.prediction == pytest.approx(before, abs=2e-6) and entry.gene_name == "GENE3"
        bases = world.genome["chr22"][start:end]
        assert chunk.codes[0, : end - start].tolist() == bases.tolist()
        if entry.kind == "promoter":  # the TSS is at 700, and 300 bases of the promoter lie before the chromosome
            assert (start, end, entry.target_start, entry.target_end) == (0, 1_700, -300, 1_700)
            offset = 3 * 2_000 + 300
        else:
            number = ELEMENTS.index((start, end)) + len(ELEMENTS)
            offset = int(dataset.sequence_offsets[dataset.n_genes + number])
        at = (end - start) // 2
        predicted = []
        for base in range(4):
            codes = dataset.codes.copy()
            codes[offset + at] = base
            changed = dataclasses.replace(world.dataset, codes=codes)
            predicted.append(float(predict([model], changed, genes=["GENE3"]).table["predicted"].iloc[0]))
        wanted = np.array(predicted) - np.mean(predicted)
        assert chunk.hypothetical[0, :, at] == pytest.approx(wanted, abs=3e-6)
        assert np.abs(wanted).max() > 1e-6


def test_contributions_add_up_and_are_the_same_in_any_order(world: World, model: LoadedModel, tmp_path: Path) -> None:
    rows = [("chr22", 1_900, 2_500), ("chr22", 5_500, 7_500), ("chr22", 100, 400)]
    with open_genome(world.fasta) as genome:
        one = whole(explain([model], Wanted(regions=bed(tmp_path, rows)), DEEPLIFT, genome=genome))
        other = whole(explain([model], Wanted(regions=bed(tmp_path, rows[::-1])), DEEPLIFT, genome=genome))
    assert (one.table.delta < 1e-5).all() and one.table.reference.notna().all()
    own = np.minimum(one.codes, 3)[:, None].astype(np.int64)
    total = np.take_along_axis(one.hypothetical, own, 1)[:, 0].sum(1)
    assert total == pytest.approx((one.table.prediction - one.table.reference).to_numpy(), abs=1e-5)
    assert one.hypothetical == pytest.approx(other.hypothetical[::-1], abs=1e-6)
    assert np.abs(one.hypothetical).max() > 1e-3


@pytest.mark.parametrize("settings", [ISM, DEEPLIFT])
def test_strands_agree(world: World, model: LoadedModel, settings: Settings) -> None:
    windows = world.genome["chr22"][: 2 * 256].reshape(2, 256)
    assert strand_difference([model], windows, settings) < 1e-3


def test_a_difference_between_the_strands_is_noticed(
    world: World, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_strand(network: ActivityModel, codes: np.ndarray, **_: object) -> Mutants:
        mutants = np.zeros((len(codes), 4, 256))
        for base in range(4):
            changed = codes.copy()
            changed[:, 100] = base
            with torch.inference_mode():
                mutants[:, base, 100] = network(torch.from_numpy(changed).flatten(), torch.full((len(codes),), 256))
        return Mutants(np.zeros(len(codes)), mutants)

    monkeypatch.setattr(activity_module, "activity_mutants", one_strand)
    windows = world.genome["chr22"][: 2 * 256].reshape(2, 256)
    assert strand_difference([model], windows, ISM) > 0.1


def test_each_region_by_the_models_that_held_it_out(world: World, tmp_path: Path) -> None:
    models = [activity_model(0, 11), activity_model(1, 11), activity_model(2, 1)]  # fold 11 tests 22, fold 1 tests 2
    rows = [("chr22", 1_900, 2_500), ("chr2", 1_900, 2_500), ("chr22", 5_500, 7_500)]
    wanted = Wanted(regions=bed(tmp_path, rows))
    found = whole(explain(models, wanted, ISM, dataset=world.dataset))
    assert found.table.models.tolist() == [2, 1, 2] and found.table.held_out.tolist() == [True] * 3
    assert found.table.chrom.tolist() == ["chr22", "chr2", "chr22"]
    assert found.tiles["name"].drop_duplicates().tolist() == found.table["name"].tolist()
    alone = [whole(explain([one], wanted, ISM._replace(allow_leakage=True), dataset=world.dataset)) for one in models]
    assert alone[0].table.held_out.tolist() == [True, False, True]
    # The strongest window is that of the mean, so scores are compared where both chose the same.
    same = alone[2].table.start[1] == found.table.start[1]
    assert same and found.hypothetical[1] == pytest.approx(alone[2].hypothetical[1], abs=1e-6)
    for row in (0, 2):
        if alone[0].table.start[row] == alone[1].table.start[row]:
            mean = (alone[0].hypothetical[row] + alone[1].hypothetical[row]) / 2
            assert found.hypothetical[row] == pytest.approx(mean, abs=1e-6)
    with pytest.raises(
        LeakageError, match=r"of these regions.*1 affected; first: chr2:1900-2500 on chr2.*Choose other"
    ):
        explain(models[:2], wanted, ISM, dataset=world.dataset)
    unknown = whole(explain([activity_model(0, None)], wanted, ISM, dataset=world.dataset))
    assert unknown.table.held_out.isna().all()


def test_without_a_whole_window_no_strands_are_compared(world: World, model: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "links.tsv").write_text("chrom\tstart\tend\tgene_id\tabc\nchr22\t2800\t2960\tENSG00000000003\t1\n")
    short = explain([model], Wanted(links=tmp_path / "links.tsv"), ISM, dataset=world.dataset)
    assert short.about.strand_difference is None and whole(short).table["end"].tolist() == [2_960]
    assert explain([model], Wanted(genes=["GENE3"]), ISM, dataset=world.dataset).about.strand_difference is not None


def test_what_cannot_be_explained(
    world: World, model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expression = expression_model("PE-Activity")
    with pytest.raises(ModelError, match="some of the models predict activity and some expression"):
        kind_of([model, expression])
    with pytest.raises(ModelError, match="no model"):
        kind_of([])
    config = expression.info.config.model_copy(update={"sequence": "none"})
    blind = expression._replace(info=expression.info.model_copy(update={"config": config}))
    with pytest.raises(ModelError, match="reads no sequence, so there are no bases to explain"):
        explain([blind], Wanted(genes=["GENE3"]), ISM, dataset=world.dataset)
    with pytest.raises(InputError, match="expression models are explained on a dataset"):
        explain([expression], Wanted(), ISM)
    promoter = expression_model("promoter")
    with pytest.raises(ModelError, match="looks at promoters alone and has no elements to explain"):
        explain([promoter], Wanted(genes=["GENE3"]), ISM, dataset=world.dataset)
    assert len(list(explain([promoter], Wanted(genes=["GENE3"], part="promoter"), ISM, dataset=world.dataset).chunks))
    other = world.dataset.manifest.model_copy(update={"assembly": "hg19"})
    with pytest.raises(DatasetError, match="is of assembly hg19, but the model was trained on hg38"):
        explain([model], Wanted(genes=["GENE3"]), ISM, dataset=dataclasses.replace(world.dataset, manifest=other))
    (tmp_path / "hg19.fa").write_text(">chr22\nACGT\n")
    nowhere = model._replace(info=model.info.model_copy(update={"assembly": None}))
    with open_genome(tmp_path / "hg19.fa") as genome:
        monkeypatch.setattr(attribution_module, "assembly_of", lambda _: "hg19")
        for one, message in (
            (model, "hg19.fa: is of assembly hg19, but the model was trained on hg38"),
            (nowhere, "hg19.fa: is of assembly hg19, but world.dataset of hg38"),
        ):
            with pytest.raises(DatasetError, match=message):
                explain([one], Wanted(genes=["GENE3"]), ISM, dataset=world.dataset, genome=genome)
    assert (default_method("activity"), default_method("expression")) == ("deeplift", "ism")


def test_a_model_that_gives_nan_is_refused(world: World) -> None:
    broken = activity_model()
    with torch.no_grad():
        broken.model.output.bias.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(ModelError, match="predictions that are not finite"):
        list(explain([broken], Wanted(genes=["GENE3"], part="elements"), ISM, dataset=world.dataset).chunks)


def test_deeplift_of_expression_says_that_it_is_no_exact_rule(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = expression_model("PE-Activity")
    monkeypatch.setattr(logging.getLogger("epinformer"), "propagate", True)
    with caplog.at_level(logging.WARNING, logger="epinformer"):
        wanted = Wanted(genes=["GENE3"], part="promoter")
        (chunk,) = explain([model], wanted, DEEPLIFT, dataset=world.dataset).chunks
    assert "attention and LayerNorm have no exact DeepLIFT rule" in caplog.text
    difference = float(chunk.table.prediction.iloc[0] - chunk.table.reference.iloc[0])
    own = np.minimum(chunk.codes, 3)[:, None].astype(np.int64)
    total = float(np.take_along_axis(chunk.hypothetical, own, 1).sum())
    assert abs(total - difference) <= float(chunk.table.delta.iloc[0]) + 1e-6
