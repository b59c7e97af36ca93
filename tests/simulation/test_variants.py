from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from epinformer.bases import encode
from epinformer.simulation.model import Model
from epinformer.simulation.motifs import MOTIFS, find_sites, sequence_activity
from epinformer.simulation.variants import draw_variants


def activity(core: np.ndarray) -> float:
    return float(sequence_activity(find_sites(core[None, :]).total(1), Model())[0])


@pytest.fixture(scope="module")
def truth(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "truth" / "variants.tsv", sep="\t", keep_default_na=False)


def test_the_vcf_is_indexed_sorted_and_of_the_genome(
    folder: Path, genome: dict[str, np.ndarray], truth: pd.DataFrame
) -> None:
    with pysam.VariantFile(str(folder / "variants.vcf.gz")) as vcf:
        records = [(r.chrom, r.pos, r.id, r.ref, r.alts) for r in vcf]
        assert [r.id for r in vcf.fetch("chr5")] == truth["name"][truth["chrom"] == "chr5"].tolist()
        assert {name: vcf.header.contigs[name].length for name in vcf.header.contigs} == {
            name: len(codes) for name, codes in genome.items()
        }
    rows = zip(truth["chrom"], truth["pos"], truth["name"], truth["ref"], [(a,) for a in truth["alt"]], strict=True)
    assert records == list(rows)
    for chrom, pos, _, ref, (alt,) in records:
        assert np.array_equal(genome[chrom][pos - 1 : pos - 1 + len(ref)], encode(ref.encode()))
        assert ref != alt and min(len(ref), len(alt)) == 1
        # Left-aligned: an indel cannot be moved further.
        assert len(ref) == len(alt) or ref[-1] != alt[-1]
    assert {len(ref) - len(alt) for _, _, _, ref, (alt,) in records} >= {0} and (truth["ref"].str.len() > 1).any()
    assert (truth["alt"].str.len() > 1).any()


def test_the_change_of_activity_is_that_of_the_changed_bases(
    folder: Path, genome: dict[str, np.ndarray], truth: pd.DataFrame
) -> None:
    elements = pd.read_csv(folder / "truth" / "elements.tsv", sep="\t").set_index("element_id")
    inside = truth[truth["element_id"] != ""]
    assert len(inside) > 40
    for row in inside.itertuples():
        start = int(elements.loc[row.element_id, "center"]) - 128
        codes = genome[row.chrom]
        changed = np.concatenate([codes[: row.pos - 1], encode(row.alt.encode()), codes[row.pos - 1 + len(row.ref) :]])
        before, after = activity(codes[start : start + 256]), activity(changed[start : start + 256])
        assert before == pytest.approx(elements.loc[row.element_id, "log2_activity_sequence"], abs=1e-5)
        assert row.log2_activity_change == pytest.approx(after - before, abs=1e-5)
    outside = truth[truth["element_id"] == ""]
    assert (outside[["log2_activity_change", "effect"]] == 0).all().all() and set(outside["motif"]) == {""}


def test_some_break_a_motif_and_effects_follow_the_links(folder: Path, truth: pd.DataFrame) -> None:
    hit = truth[truth["motif"] != ""]
    assert 0.25 < len(hit) / len(truth) < 0.65
    assert (hit["log2_activity_change"] < -0.3).mean() > 0.3
    assert ((truth["effect"] != 0) <= (truth["log2_activity_change"] != 0)).all()
    genes = pd.read_csv(folder / "truth" / "genes.tsv", sep="\t").set_index("gene_id")
    links = pd.read_csv(folder / "truth" / "links.tsv", sep="\t").set_index(["gene_id", "element_id"])
    elements = pd.read_csv(folder / "truth" / "elements.tsv", sep="\t").set_index("element_id")
    spread = genes["elements_term"].std(ddof=0) / np.log2(1 + genes["activity_sum"] / 4).std(ddof=0)
    checked = 0
    for row in truth[truth["effect"] != 0].itertuples():
        if row.element_id == genes.loc[row.gene_id, "promoter_element"]:
            continue
        before = genes.loc[row.gene_id, "activity_sum"]
        was = elements.loc[row.element_id, "log2_activity"]
        contact = links.loc[(row.gene_id, row.element_id), "contact"]
        after = before + contact * (2 ** (was + row.log2_activity_change) - 2**was)
        expected = spread * (np.log2(1 + after / 4) - np.log2(1 + before / 4))
        assert row.effect == pytest.approx(expected, abs=1e-4)
        checked += 1
    assert checked > 10


def test_no_elements_no_variants() -> None:
    elements = pd.DataFrame({"start": [], "end": [], "center": []}, dtype=int)
    codes = np.zeros(1_000, dtype=np.uint8)
    empty = find_sites(np.zeros((0, 256), dtype=np.uint8))
    table = draw_variants(codes, elements, empty, 5, Model(), np.random.default_rng(0))
    assert len(table) == 0 and table["element"].dtype == np.int64


def test_motif_sites_are_the_sequence_at_their_place(folder: Path, genome: dict[str, np.ndarray]) -> None:
    names = ["chrom", "start", "end", "name", "score", "strand"]
    sites = pd.read_csv(folder / "truth" / "motif_sites.bed", sep="\t", names=names)
    consensus = {motif.name: motif.consensus for motif in MOTIFS}
    gata = sites[(sites["name"] == "GATA1") & (sites["score"] == 1000)]
    assert len(gata) > 20 and set(gata["strand"]) == {"+", "-"}
    for row in gata.itertuples():
        text = "".join("ACGT"[code] for code in genome[row.chrom][row.start : row.end])
        if row.strand == "-":
            text = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
        assert text == "AGATAAG"
    assert (sites["end"] - sites["start"]).tolist() == [len(consensus[name]) for name in sites["name"]]
