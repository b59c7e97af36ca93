"""The eight mRNA half-life features of genes, computed from their annotation and the genome's bases.

They are those of the table that the published models were trained with (Agarwal and Shendure 2020, Xpresso), down to
its way of measuring: the length of a 5'UTR, a CDS or a 3'UTR is the sum over its exon-wise pieces of last - first
position, one base less than each piece has; the stop codon is in neither CDS nor 3'UTR; INTRONLEN is what is left of
last - first position of the transcript. So a gene of a single exon with both UTRs has INTRONLEN 5 (its stop codon and
two of the three bases that the pieces are short of), and not 0, which on a log scale is far away.

    UTR5LEN, CDSLEN, INTRONLEN, UTR3LEN   as above, in bp, then z-scores of log10(x + 0.1)
    UTR5GC, CDSGC, UTR3GC                 share of G and C among the bases A, C, G and T of the spliced sequence, the
                                          stop codon included in the CDS; 0 where there is no UTR
    ORFEXONDENSITY                        coding exons per kb of CDSLEN

The published table rounds the shares to three digits and the density to two, and has 0 for the share of some UTRs that
were not looked up; that is not imitated.
"""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import pandas as pd

from epinformer.half_life import HALF_LIFE_FEATURES
from epinformer.inputs.annotation import Annotation, chosen_transcripts
from epinformer.inputs.gene_ids import match_genes
from epinformer.inputs.genome import Genome
from epinformer.inputs.segments import ordered, summed_lengths

logger = logging.getLogger(__name__)

LENGTHS = ("UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN")
"""The features that are lengths, in bp, before they are z-scored."""

PUBLISHED_SCALE = {
    "UTR5LEN": (2.1164725476886055, 0.7023122386257609),
    "CDSLEN": (3.1221738161453445, 0.3202298842622234),
    "INTRONLEN": (4.128012211033564, 1.0447096130234106),
    "UTR3LEN": (2.7283809844654323, 0.8638573022367165),
}
"""Mean and standard deviation of log10(x + 0.1) over the 18,377 genes of the published table.

The table gives only the z-scores; these are the values, with 0.1, for which all of its lengths come out whole.
"""

_PSEUDOCOUNT = 0.1
_UTR5, _CDS, _UTR3 = range(3)
# Codes are A 0, C 1, G 2, T 3, another letter 4, no base 5.
_CODES = 6
_GC = [1, 2]


def half_life_features(
    annotation: Annotation, genome: Genome, genes: pd.DataFrame, *, scale: Literal["genes", "published"] = "genes"
) -> pd.DataFrame:
    """The half-life features of genes as the models take them.

    Parameters
    ----------
    annotation
        Transcripts; a gene's features are those of the one that `inputs.annotation.chosen_transcripts` chooses.
    genome
        The bases, for the shares of G and C.
    genes
        gene_id, and gene_name where there is one. A TSS that was moved changes nothing.
    scale
        What mean and standard deviation the log10 lengths are z-scored with: those over the given genes, or those of
        the published table (`PUBLISHED_SCALE`), so that a gene has the same features whatever the others are.

    Returns
    -------
    DataFrame
        float64, `half_life.HALF_LIFE_FEATURES`, indexed by gene_id in the genes' order. All NaN for a gene that the
        annotation lacks, or whose transcript has no coding sequence; the shares are NaN where the genome does not
        hold the whole transcript, or all bases are N.

    Raises
    ------
    InputError
        The annotation has none of the genes, or the genome's file is damaged.
    """
    features = raw_features(annotation, genome, genes)
    for name in LENGTHS:
        features[name] = length_z_scores(features[name], None if scale == "genes" else PUBLISHED_SCALE[name])
    return features


def raw_features(annotation: Annotation, genome: Genome, genes: pd.DataFrame) -> pd.DataFrame:
    """The half-life features with lengths in bp; all else as `half_life_features`."""
    chosen = chosen_transcripts(annotation).reset_index(drop=True)
    table = pd.DataFrame({"row": np.arange(len(chosen))}, index=pd.Index(chosen["gene_id"]))
    named = genes if "gene_name" in genes else genes.assign(gene_name=genes["gene_id"])
    symbols = pd.Series(chosen["gene_name"].array, index=table.index)
    row = match_genes(table, named, annotation.path, names=symbols).rows["row"].to_numpy(np.float64)
    present = ~np.isnan(row)
    wanted, position = np.unique(row[present].astype(np.int64), return_inverse=True)
    values = _measured(chosen.iloc[wanted], annotation, genome)
    features = np.full((len(genes), len(HALF_LIFE_FEATURES)), np.nan)
    features[present] = values[position]
    without_cds = np.isnan(features[:, 0])
    outside = ~without_cds & np.isnan(features).any(axis=1)
    logger.info(
        "%s: half-life features of %s genes; %s are not in it, %s have no coding sequence, and of %s the genome does "
        "not have the bases",
        annotation.path.name,
        f"{len(genes) - without_cds.sum() - outside.sum():,}",
        f"{(~present).sum():,}",
        f"{(without_cds & present).sum():,}",
        f"{outside.sum():,}",
    )
    return pd.DataFrame(features, columns=list(HALF_LIFE_FEATURES), index=pd.Index(genes["gene_id"]))


def length_z_scores(lengths: pd.Series, scale: tuple[float, float] | None = None) -> pd.Series:
    """z-scores of log10(x + 0.1).

    Parameters
    ----------
    lengths
        bp; NaN stays NaN.
    scale
        Mean and standard deviation of log10(x + 0.1); by default those of the lengths themselves, the latter with the
        number of lengths as its divisor. Where all lengths are equal, the z-scores are 0.
    """
    logs = np.log10(lengths + _PSEUDOCOUNT)
    if scale is None and logs.nunique() == 1:
        # Their deviation is 0 save for rounding.
        return logs - logs.max()
    mean, deviation = (logs.mean(), logs.std(ddof=0)) if scale is None else scale
    return (logs - mean) / deviation


def _measured(transcripts: pd.DataFrame, annotation: Annotation, genome: Genome) -> np.ndarray:
    """Features of transcripts, lengths in bp, float64 (number of transcripts, 8)."""
    n = len(transcripts)
    plus = (transcripts["strand"] == "+").to_numpy()
    exons = _pieces_of(annotation.exons, transcripts)
    cds = _pieces_of(annotation.cds, transcripts)
    left, right = _untranslated(exons, cds, n)
    on_plus = [plus[pieces[:, 0]] for pieces in (left, right)]
    regions = [
        np.concatenate([left[on_plus[0]], right[~on_plus[1]]]),
        cds,
        np.concatenate([left[~on_plus[0]], right[on_plus[1]]]),
    ]
    coding = _without_stop(cds, plus, transcripts["stop"].to_numpy())
    utr5, cds_length, utr3 = (_short_lengths(pieces, n) for pieces in (regions[_UTR5], coding, regions[_UTR3]))
    whole = (transcripts["end"] - transcripts["start"]).to_numpy() - 1
    lengths = np.column_stack([utr5, cds_length, whole - utr5 - cds_length - utr3, utr3])
    density = 1000 * np.bincount(coding[:, 0], minlength=n) / np.where(cds_length > 0, cds_length, np.nan)
    features = np.column_stack([lengths, _gc_shares(regions, transcripts, genome), density])
    features[cds_length <= 0] = np.nan
    return features


def _pieces_of(table: pd.DataFrame, transcripts: pd.DataFrame) -> np.ndarray:
    """Row number of the transcript, start and end of the transcripts' pieces, int64 (m, 3), by row and position."""
    number = pd.Index(transcripts["transcript_id"]).get_indexer(table["transcript_id"])
    own = number >= 0
    return ordered(np.column_stack([number[own], table.loc[own, ["start", "end"]].to_numpy()]))


def _untranslated(exons: np.ndarray, cds: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """What of the exons lies left and right of the coding sequence with its stop codon; nothing where there is none."""
    first, last = np.full(n, -1), np.full(n, np.iinfo(np.int64).max)
    starts = np.flatnonzero(np.diff(cds[:, 0], prepend=-1))
    if len(starts):
        first[cds[starts, 0]] = np.minimum.reduceat(cds[:, 1], starts)
        last[cds[starts, 0]] = np.maximum.reduceat(cds[:, 2], starts)
    number, start, end = exons.T
    left = np.column_stack([number, start, np.minimum(end, first[number])])
    right = np.column_stack([number, np.maximum(start, last[number]), end])
    return left[left[:, 1] < left[:, 2]], right[right[:, 1] < right[:, 2]]


def _without_stop(cds: np.ndarray, plus: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """The coding pieces cut short at the 3' end by as many bases as the stop codon has."""
    number, start, end = cds.T
    length = end - start
    upto = np.cumsum(length)
    total = np.bincount(number, weights=length, minlength=len(plus)).astype(np.int64)
    before = upto - length - (np.cumsum(total) - total)[number]
    downstream = np.where(plus[number], total[number] - before - length, before)
    cut = np.clip(stop[number] - downstream, 0, length)
    short = np.column_stack([number, start + np.where(plus[number], 0, cut), end - np.where(plus[number], cut, 0)])
    return short[short[:, 1] < short[:, 2]]


def _short_lengths(pieces: np.ndarray, n: int) -> np.ndarray:
    """Sum of last - first position of each transcript's pieces, int64 (n,)."""
    return summed_lengths(pieces, n) - np.bincount(pieces[:, 0], minlength=n)


def _gc_shares(regions: list[np.ndarray], transcripts: pd.DataFrame, genome: Genome) -> np.ndarray:
    """Share of G and C in the three regions, float64 (n, 3): 0 where a region is empty, NaN where bases are lacking."""
    chrom = transcripts["chrom"].to_numpy(dtype=object)
    held = genome.contains(chrom, transcripts["start"].to_numpy(), transcripts["end"].to_numpy())
    shares = np.full((len(transcripts), len(regions)), np.nan)
    for column, pieces in enumerate(regions):
        counts = np.zeros((len(transcripts), _CODES), dtype=np.int64)
        for number, start, end in pieces[held[pieces[:, 0]]].tolist():
            counts[number] += np.bincount(genome.codes(chrom[number], start, end), minlength=_CODES)
        bases = counts[:, :4].sum(axis=1)
        gc = counts[:, _GC].sum(axis=1)
        empty = np.bincount(pieces[:, 0], minlength=len(transcripts)) == 0
        shares[:, column] = np.where(empty, 0.0, gc / np.where(bases > 0, bases, np.nan))
    shares[~held] = np.nan
    return shares
