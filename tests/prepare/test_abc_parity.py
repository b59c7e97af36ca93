"""Against the output of the ABC pipeline, release 1, for K562 on chr22, row by row.

What its tables print has six decimals, so that a number from them is known to 5e-7. A value that is computed from exact
numbers (counts, intervals) must lie within that of what is printed; one computed from a printed contact also within
1e-4 of it, relative.

What cannot be shown, and why:

- ABC.Score of DNase with Hi-C, from start to end: the sum over a gene's candidates needs the Hi-C contact of all of
  them (2,391,900 pairs of 517 genes), and only the pairs of the tables have theirs. The sum that the printed numerators
  and scores imply is checked instead: it is one number for each gene, and no less than its known part. The power-law
  score of the same table has the same activities and pairs, is computed from start to end, and agrees.
- Activity with H3K27ac of the 12,100 of 17,732 elements that no table lists. The quantile of each element counts the
  others, so that the 5,632 listed ones agree only if all counts and classes do.
- RPM of elements of the DNase run: no table prints them; those of its genes and of the ATAC run do.
- Which of several peaks of equal reads is the last to be kept: chr22 has fewer peaks than are kept.
- The reads themselves and the .hic are not here: counting, peak calling and contacts are compared elsewhere.
- Whether the comparisons for self-promoters are strict: no printed pair lies on the border.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epinformer.inputs.peaks import read_peaks
from epinformer.inputs.regions import read_counts, read_regions
from epinformer.prepare.abc import abc_contact, abc_pairs, abc_sums
from epinformer.prepare.activity import activity, rpm
from epinformer.prepare.candidates import candidate_regions, element_classes
from epinformer.prepare.contact import powerlaw_contact
from epinformer.prepare.quantiles import quantile_normalised, read_quantile_reference
from epinformer.settings import AbcConfig

pytestmark = pytest.mark.real_data

# Half a unit of the last decimal that the tables have. Scores may be off by a little more, since the pipeline itself
# reads activities back from a table of six decimals before it sums them.
PRINTED = 5.1e-7
# Reads of the whole files: the integers that all RPM of the gene and element tables agree with (checked below).
TOTALS = {"dnase": 379_428, "h3k27ac": 113_284, "atac": 2_590_038}
FULL = "Predictions/EnhancerPredictionsFull_threshold0.027_self_promoter.tsv"
VARIANTS = "Predictions/EnhancerPredictionsAllPutative.ForVariantOverlap.shrunk150bp.tsv.gz"


@pytest.fixture(scope="module")
def abc(shared_data: Path) -> Path:
    folder = shared_data / "abc_chr22"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is missing")
    return folder


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t").rename(columns={"chr": "chrom", "#chr": "chrom"})


def predictions(path: Path) -> pd.DataFrame:
    """Pairs as printed, with the element's whole interval: one table has it shortened."""
    pairs = table(path)
    return pairs.assign(**pairs["name"].str.extract(r":(?P<start>\d+)-(?P<end>\d+)$").astype(np.int64))


def off(found: np.ndarray | pd.Series, printed: np.ndarray | pd.Series) -> float:
    """The largest difference."""
    return float(np.abs(np.asarray(found, dtype=np.float64) - np.asarray(printed, dtype=np.float64)).max())


@pytest.fixture(scope="module")
def dnase(abc: Path) -> pd.DataFrame:
    """The 17,732 candidates of the DNase run, made of its counts."""
    folder = abc / "K562_chr22" / "Neighborhoods"
    counts = {
        "dnase": read_counts(folder / "Enhancers.DHS.ENCFF860XAE.chr22.sorted.se.bam.CountReads.bedgraph"),
        "h3k27ac": read_counts(folder / "Enhancers.H3K27ac.ENCFF790GFL.chr22.sorted.se.bam.CountReads.bedgraph"),
    }
    elements = counts["dnase"][["chrom", "start", "end"]].reset_index(drop=True)
    is_promoter = classes(abc, elements) == "promoter"
    reference = read_quantile_reference(abc / "EnhancersQNormRef.K562.txt", list(counts))
    signals = {
        name: quantile_normalised(rpm(rows["count"].to_numpy(), TOTALS[name]), reference, name, is_promoter)
        for name, rows in counts.items()
    }
    return elements.assign(**signals, activity=activity(signals, "dnase"))


@pytest.fixture(scope="module")
def atac(abc: Path) -> pd.DataFrame:
    """The 15,010 candidates of the ATAC run as printed, with the activity made of their counts as `made`."""
    elements = table(abc / "K562_chr22_tagAlign" / "Neighborhoods" / "EnhancerList.txt")
    reads = rpm(elements["ATAC.chr22.sorted.tagAlign.gz.readCount"].to_numpy(), TOTALS["atac"])
    reference = read_quantile_reference(abc / "EnhancersQNormRef.K562.txt", ["atac"])
    is_promoter = classes(abc, elements) == "promoter"
    signals = {"atac": quantile_normalised(reads, reference, "atac", is_promoter)}
    return elements.assign(rpm=reads, made=activity(signals, "atac"))


def classes(abc: Path, elements: pd.DataFrame) -> np.ndarray:
    genes = table(abc / "RefSeqCurated.170308.bed.CollapsedGeneBounds.chr22.hg38.bed")
    promoters = read_regions(abc / "K562_chr22" / "Neighborhoods" / "GeneList.TSS1kb.bed")
    return element_classes(elements, promoters, genes)


def test_candidate_regions_are_the_same(abc: Path) -> None:
    folder = abc / "K562_chr22" / "Peaks"
    peaks = read_peaks(folder / "macs2_peaks.narrowPeak.sorted")
    counts = read_counts(folder / "macs2_peaks.narrowPeak.sorted.ENCFF860XAE.chr22.sorted.se.bam.Counts.bed")
    assert len(peaks) == len(counts) == 26_612
    lengths = dict(pd.read_csv(abc / "GRCh38_EBV.no_alt.chrom.sizes.tsv", sep="\t", header=None).to_numpy().tolist())
    made = candidate_regions(
        peaks,
        counts["count"].to_numpy(),
        lengths,
        blocklist=read_regions(abc / "GRCh38_unified_blacklist.bed"),
        include=read_regions(abc / "RefSeqCurated.170308.bed.CollapsedGeneBounds.chr22.hg38.TSS500bp.bed"),
    )
    expected = read_regions(folder / "macs2_peaks.narrowPeak.sorted.candidateRegions.bed").reset_index(drop=True)
    assert len(expected) == 17_732
    pd.testing.assert_frame_equal(made, expected)


def test_classes_are_the_same(abc: Path, dnase: pd.DataFrame, atac: pd.DataFrame) -> None:
    listed = pd.read_csv(abc / "K562_chr22" / "Neighborhoods" / "EnhancerList.bed", sep="\t", header=None)
    name = dnase["chrom"] + ":" + dnase["start"].astype(str) + "-" + dnase["end"].astype(str)
    assert (classes(abc, dnase) + "|" + name == listed[3]).all() and len(listed) == 17_732
    assert (classes(abc, atac) == atac["class"]).all() and len(atac) == 15_010


def test_rpm_and_their_quantiles(abc: Path, atac: pd.DataFrame) -> None:
    genes = table(abc / "K562_chr22" / "Neighborhoods" / "GeneList.txt")
    columns = {"dnase": "DHS.ENCFF860XAE.chr22.sorted.se.bam", "h3k27ac": "H3K27ac.ENCFF790GFL.chr22.sorted.se.bam"}
    printed = []
    for name, column in columns.items():
        for where in ("", ".TSS1Kb"):
            reads = genes[f"{column}.readCount{where}"]
            printed.append((name, reads, genes[f"{column}.RPM{where}"], genes[f"{column}.RPM.quantile{where}"]))
    column = "ATAC.chr22.sorted.tagAlign.gz"
    printed.append(("atac", atac[f"{column}.readCount"], atac[f"{column}.RPM"], atac["ATAC.RPM.quantile"]))
    for name, reads, values, quantiles in printed:
        assert off(rpm(reads.to_numpy(), TOTALS[name]), values) < PRINTED
        assert off(reads.rank() / len(reads), quantiles) < PRINTED
        # No other total gives these: one read more or less is seen in the largest.
        for other in (TOTALS[name] - 1, TOTALS[name] + 1):
            assert off(rpm(reads.to_numpy(), other), values) > 2 * PRINTED


def test_activity_of_atac(atac: pd.DataFrame) -> None:
    assert off(atac["made"], atac["activity_base"]) < PRINTED
    assert off(atac["made"], atac["normalized_atac"]) < PRINTED
    assert off(atac["rpm"], atac["activity_base_no_qnorm"]) < PRINTED
    assert atac["activity_base"].min() > 4.9  # so that the printed decimals are far finer than 1e-4


def test_activity_of_dnase_and_h3k27ac(abc: Path, dnase: pd.DataFrame) -> None:
    listed = set()
    for path in (abc / "K562_chr22" / FULL, abc / "K562_chr22" / VARIANTS, abc / "test_pred_df.tsv"):
        pairs = predictions(path)
        made = dnase.merge(pairs, how="right", on=["chrom", "start", "end"], validate="one_to_many")
        assert off(made["activity"], made["activity_base"]) < PRINTED
        assert off(made["dnase"], made["normalized_dhs"]) < PRINTED
        assert made["activity_base"].min() > 4.3
        listed |= set(pairs["name"])
    assert len(listed) == 5_632


@pytest.mark.parametrize(("file", "rows"), [(FULL, 1_353), (VARIANTS, 2_748)])
def test_contact_of_dnase_with_hic(abc: Path, file: str, rows: int) -> None:
    pairs = predictions(abc / "K562_chr22" / file)
    assert len(pairs) == rows
    distance = ((pairs["start"] + pairs["end"]) / 2 - pairs["TargetGeneTSS"]).abs()
    assert off(distance, pairs["distance"]) == 0
    assert off(powerlaw_contact(distance), pairs["powerlaw_contact"]) < PRINTED
    made = abc_contact(pairs["hic_contact"].to_numpy(), distance.to_numpy(), AbcConfig())
    printed = pairs["hic_contact_pl_scaled_adj"].to_numpy()
    assert (np.abs(made - printed) <= 1e-4 * printed).all()
    numerator = pairs["activity_base"] * made
    assert (np.abs(numerator - pairs["ABC.Score.Numerator"]) <= 1e-4 * pairs["ABC.Score.Numerator"]).all()


@pytest.mark.parametrize(("file", "genes"), [(FULL, 22), (VARIANTS, 22)])
def test_genes_of_little_contact_take_the_power_law(abc: Path, file: str, genes: int) -> None:
    """Their own contact was replaced before it was printed, so what shows is that all of their pairs agree."""
    pairs = predictions(abc / "K562_chr22" / file)
    replaced = (pairs["hic_contact"] - pairs["powerlaw_contact"]).abs() < 2 * PRINTED
    whole = replaced.groupby(pairs["TargetGene"]).agg(["all", "any"])
    assert (whole["all"] == whole["any"]).all() and whole["all"].sum() == genes
    own = pairs[pairs["isSelfPromoter"]].groupby("TargetGene")["hic_contact"].sum()
    assert own.min() >= 0.01 and len(own) == 517


def scored(pairs: pd.DataFrame, candidates: pd.DataFrame, activity: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Power-law score and whether self-promoter of each printed pair, from all candidates."""
    genes = pairs[["TargetGene", "chrom", "TargetGeneTSS"]].drop_duplicates()
    assert genes["TargetGene"].is_unique
    genes = genes.rename(columns={"TargetGeneTSS": "tss"}).reset_index(drop=True)
    place = candidates.reset_index().set_index(["start", "end"])["index"]
    rows = pd.DataFrame(
        {
            "gene_index": pd.Index(genes["TargetGene"]).get_indexer(pd.Index(pairs["TargetGene"])),
            "element_index": place.loc[pd.MultiIndex.from_frame(pairs[["start", "end"]])].to_numpy(),
        }
    )
    values = activity.to_numpy()
    sums = abc_sums(genes, candidates, values, None, AbcConfig())
    made = abc_pairs(rows, genes, candidates, values, sums, None, AbcConfig())
    assert off(made.contact, pairs["powerlaw_contact"]) < PRINTED
    return made.score, made.self_promoter


def test_scores_of_atac_with_the_power_law(abc: Path, atac: pd.DataFrame) -> None:
    folder = abc / "K562_chr22_tagAlign" / "Predictions"
    pairs = predictions(folder / "EnhancerPredictionsFull_threshold0.013_self_promoter.tsv")
    assert len(pairs) == 3_793
    score, own = scored(pairs, atac, atac["made"])
    assert (own == pairs["isSelfPromoter"]).all() and own.sum() == 588
    assert off(score, pairs["ABC.Score"]) < PRINTED
    assert off(score, pairs["powerlaw.Score"]) < PRINTED
    # The least score is 0.013, so this is 1e-4 and better.
    assert (np.abs(score - pairs["ABC.Score"]) <= 1e-4 * pairs["ABC.Score"]).all()


@pytest.mark.parametrize(("file", "own_promoters"), [(FULL, 630), (VARIANTS, 630)])
def test_scores_of_dnase(abc: Path, dnase: pd.DataFrame, file: str, own_promoters: int) -> None:
    pairs = predictions(abc / "K562_chr22" / file)
    score, own = scored(pairs, dnase, dnase["activity"])
    assert (own == pairs["isSelfPromoter"]).all() and own.sum() == own_promoters
    assert off(score, pairs["powerlaw.Score"]) < PRINTED
    assert (pairs.loc[own, "ABC.Score"] == 1).all()

    # With Hi-C: from every printed row of a gene the same sum, which its known part does not exceed.
    others = pairs[~own]
    numerator, shown = others["ABC.Score.Numerator"], others["ABC.Score"]
    least, most = (numerator - PRINTED) / (shown + PRINTED), (numerator + PRINTED) / (shown - PRINTED)
    least, most = least.groupby(others["TargetGene"]).max(), most.groupby(others["TargetGene"]).min()
    known = pairs.groupby("TargetGene")["ABC.Score.Numerator"].sum()[least.index]
    assert (least <= most).all() and (most - least < 1e-4 * least).all()
    assert (known <= most).all() and (known > 0.02 * most).all()
