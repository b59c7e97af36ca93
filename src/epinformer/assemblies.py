"""Assemblies that are known by the lengths of their chromosomes."""

from __future__ import annotations

from collections.abc import Mapping

# Lengths in bp of chromosomes 1, 2, ..., X, Y, as the assemblies' own reports give them.
_LENGTHS = {
    "hg19": (
        *(249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022, 141213431),
        *(135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753, 81195210, 78077248),
        *(59128983, 63025520, 48129895, 51304566, 155270560, 59373566),
    ),
    "hg38": (
        *(248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636, 138394717),
        *(133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345, 83257441, 80373285),
        *(58617616, 64444167, 46709983, 50818468, 156040895, 57227415),
    ),
    "hs1": (
        *(248387328, 242696752, 201105948, 193574945, 182045439, 172126628, 160567428, 146259331, 150617247),
        *(134758134, 135127769, 133324548, 113566686, 101161492, 99753195, 96330374, 84276897, 80542538),
        *(61707364, 66210255, 45090682, 51324926, 154259566, 62460029),
    ),
    "mm10": (
        *(195471971, 182113224, 160039680, 156508116, 151834684, 149736546, 145441459, 129401213, 124595110),
        *(130694993, 122082543, 120129022, 120421639, 124902244, 104043685, 98207768, 94987271, 90702639),
        *(61431566, 171031299, 91744698),
    ),
    "mm39": (
        *(195154279, 181755017, 159745316, 156860686, 151758149, 149588044, 144995196, 130127694, 124359700),
        *(130530862, 121973369, 120092757, 120883175, 125139656, 104073951, 98008968, 95294699, 90720763),
        *(61420004, 169476592, 91455967),
    ),
}

# Two names for one sequence of the chromosomes.
_OTHER_NAMES = {
    "grch38": "hg38",
    "grch37": "hg19",
    "grcm38": "mm10",
    "grcm39": "mm39",
    "chm13": "hs1",
    "t2t-chm13": "hs1",
    "t2t-chm13v2.0": "hs1",
}


def same_assembly(one: str, other: str) -> bool:
    """Whether two names are of one assembly: ``hg38`` and ``GRCh38`` are."""
    return _canonical(one) == _canonical(other)


def assembly_lengths(name: str) -> dict[str, int] | None:
    """Chromosome (`chr1`) -> length in bp of an assembly; None for one that is not known."""
    lengths = _LENGTHS.get(_canonical(name))
    if lengths is None:
        return None
    names = [*(str(number) for number in range(1, len(lengths) - 1)), "X", "Y"]
    return {f"chr{chrom}": length for chrom, length in zip(names, lengths, strict=True)}


def assembly_of(lengths: Mapping[str, int]) -> str | None:
    """The known assembly whose chromosomes have these lengths, or None.

    Parameters
    ----------
    lengths
        Chromosome ("chr1" or "1") -> bp; those that no known assembly has (scaffolds, chrM) say nothing.
    """
    prefixed = {chrom if chrom.startswith("chr") else f"chr{chrom}": length for chrom, length in lengths.items()}
    for name in _LENGTHS:
        known = assembly_lengths(name) or {}
        shared = [chrom for chrom in prefixed if chrom in known]
        if shared and all(prefixed[chrom] == known[chrom] for chrom in shared):
            return name
    return None


def _canonical(name: str) -> str:
    return _OTHER_NAMES.get(name.lower(), name.lower())
