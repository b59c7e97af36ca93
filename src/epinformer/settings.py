"""What all settings share, and the settings of one input each, of which `epinformer.config` is made."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from epinformer.yamlfile import suggestion

# Signals that can carry the activity alone, the preferred one first, and the mark that is multiplied in.
ACCESSIBILITY = ("dnase", "atac")
ACETYLATION = "h3k27ac"

COLUMN_NAME = r"^[a-z][a-z0-9_]*$"
"""What a signal or an assay may be called, since columns are named after it."""

# Fit of K562 Hi-C against distance in the ABC model's pipeline, release 1.0 (hic_gamma and hic_scale of its K562 run).
POWERLAW_GAMMA = 1.024238616787792
POWERLAW_SCALE = 5.9594510043736655

STRONGEST = 150_000
"""How many merged peaks the ABC model keeps."""

FLANK = 250
"""How far a candidate reaches on both sides of a summit, in bp, in the ABC model."""

# The longest chromosomes have some Gb, and distances are 32-bit integers on disk.
FARTHEST = 1_000_000_000
LAST_POSITION = 2**31 - 1
_LAST_FLAG = 2**12 - 1
_MOST_WINDOWS = 999

_Replicates = TypeVar("_Replicates")
Name = Annotated[str, StringConstraints(pattern=COLUMN_NAME)]
File = Annotated[str, StringConstraints(min_length=1)]
_Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_TRACKS = (".bw", ".bigwig")


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def set_among(self, *names: str) -> list[str]:
        """Which of these settings have another value than by default, in this order."""
        fields = type(self).model_fields
        return [name for name in names if getattr(self, name) != fields[name].get_default(call_default_factory=True)]


class GenomeConfig(Settings):
    """The reference sequence, whole or an extracted locus."""

    fasta: File
    chrom: str | None = Field(default=None, coerce_numbers_to_str=True)
    start: Annotated[int, Field(ge=0, le=LAST_POSITION)] | None = None
    outside: Literal["error", "drop"] = "error"

    @model_validator(mode="after")
    def _locus_is_whole(self) -> GenomeConfig:
        if (self.chrom is None) != (self.start is None):
            raise ValueError("chrom and start say together where the locus lies; give both or neither")
        return self


class GenesConfig(Settings):
    """The gene table (BED, GTF or GFF3), and what happens to genes that lack features or labels.

    `tss` says where the TSS of a BED's interval is; `gene_types` which genes of a GTF or GFF3 are taken (null: all);
    `tss_table` moves the TSS of the genes that it lists.
    """

    table: File
    tss: Literal["center", "strand"] = "center"
    gene_types: Annotated[list[str], Field(min_length=1)] | None = ["protein_coding"]
    tss_table: File | None = None
    without_half_life: Literal["drop", "keep"] = "drop"
    without_expression: Literal["keep", "drop"] = "keep"


class ElementsConfig(Settings):
    """Candidate elements: a table of them, or made around the summits of peaks, given or called.

    `elements: FILE` is short for `elements: {table: FILE}`. Around peaks: the `strongest` ones by reads, summit ±
    `flank` bp, none that overlaps the `blocklist`, with TSS ± `flank` of every gene (`promoters`) and the regions of
    `include`, overlapping ones merged. Without `table` and `peaks`, peaks are called with MACS on the reads of the
    accessibility signal. `tested` lists regions that become elements as they are, where they overlap none of the
    others; every signal must then be reads or tracks.
    """

    table: File | None = None
    peaks: File | None = None
    strongest: Annotated[int, Field(gt=0)] = STRONGEST
    flank: Annotated[int, Field(gt=0, le=FARTHEST)] = FLANK
    blocklist: File | None = None
    promoters: bool = True
    include: File | None = None
    tested: File | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ElementsConfig:
        if self.table is not None:
            around_peaks = self.set_among("peaks", "strongest", "flank", "blocklist", "promoters", "include")
            if around_peaks:
                raise ValueError(f"{around_peaks[0]} goes with peaks; elements of a table are taken as they are")
        return self


class CountedReplicate(Settings):
    """One experiment, counted over the elements and over the genes' TSS windows."""

    elements: File
    promoters: File
    total_reads: float = Field(gt=0, allow_inf_nan=False)


class ReadsReplicate(Settings):
    """One experiment's aligned reads: BAM, CRAM, tagAlign or other BED, or fragments of single cells.

    `FILE` is short for `{reads: FILE}`. `unit: cut` counts the 5' end of a read (both ends of a fragment) instead of
    the whole; `shift: tn5` moves reads by +4 and -5 bp on the strands; `barcodes` lists the cells that count.
    """

    reads: File
    min_mapping_quality: Annotated[int, Field(ge=0, le=255)] = 0
    duplicates: Literal["keep", "drop"] = "keep"
    require_flags: Annotated[int, Field(ge=0, le=_LAST_FLAG)] = 0
    exclude_flags: Annotated[int, Field(ge=0, le=_LAST_FLAG)] = 0
    shift: Literal["none", "tn5"] = "none"
    unit: Literal["read", "cut"] = "read"
    barcodes: File | None = None


class TrackReplicate(Settings):
    """One experiment's bigWig; `FILE.bigWig` or `FILE.bw` is short for `{track: FILE}`."""

    track: File


def _replicate_kind(value: object) -> str:
    """The class of settings that a replicate is meant for, as pydantic's tag."""
    if isinstance(value, BaseModel):
        return f"<{type(value).__name__}>"
    if isinstance(value, Mapping):
        if "reads" in value:
            return "<ReadsReplicate>"
        if "track" in value:
            return "<TrackReplicate>"
    return "<CountedReplicate>"


Raw = Annotated[
    Annotated[ReadsReplicate, Tag("<ReadsReplicate>")] | Annotated[TrackReplicate, Tag("<TrackReplicate>")],
    Discriminator(_replicate_kind),
]
"""An experiment whose signal over any region can be asked for."""

Replicate = Annotated[
    Annotated[CountedReplicate, Tag("<CountedReplicate>")]
    | Annotated[ReadsReplicate, Tag("<ReadsReplicate>")]
    | Annotated[TrackReplicate, Tag("<TrackReplicate>")],
    Discriminator(_replicate_kind),
]


def spelled_out(signals: object) -> object:
    """Signals with `FILE` in the place of a replicate written as `{reads: FILE}` or `{track: FILE}`."""
    if not isinstance(signals, Mapping):
        return signals
    return {
        name: [_spelled_out(item) for item in items] if isinstance(items, list) else items
        for name, items in signals.items()
    }


def _spelled_out(item: object) -> object:
    if not isinstance(item, str):
        return item
    return {"track" if PurePath(item).suffix.lower() in _TRACKS else "reads": item}


def with_accessibility(signals: dict[str, list[_Replicates]]) -> dict[str, list[_Replicates]]:
    """Signals, of which one is the accessibility and each has a replicate."""
    if not any(name in signals for name in ACCESSIBILITY):
        near = suggestion(signals, ACCESSIBILITY)
        raise ValueError(f"needs dnase or atac, the accessibility that activity is made of{near}")
    for name, replicates in signals.items():
        if not replicates:
            raise ValueError(f"{name} has no replicate; list at least one")
    return signals


def accessibility(signals: Container[str]) -> str:
    """The signal that activity is made of: `dnase`, or `atac` where there is no DNase."""
    return next(name for name in ACCESSIBILITY if name in signals)


class ActivityConfig(Settings):
    """How RPM become activity: `quantile_reference` names a table that `make-qnorm-reference` or ABC gives."""

    quantile_reference: File | None = None
    separate_promoters: bool = True

    @model_validator(mode="after")
    def _has_a_reference(self) -> ActivityConfig:
        if self.quantile_reference is None and self.set_among("separate_promoters"):
            raise ValueError("separate_promoters goes with quantile_reference")
        return self


class HalfLifeConfig(Settings):
    """The mRNA half-life features: a table of them, or an annotation (GTF, GFF3) to compute them from.

    Computed lengths are z-scores of their logarithms: on the scale of the published table, which the published weights
    take, or over the dataset's own genes.
    """

    table: File | None = None
    id: str = "gene_id"
    name: str = "Gene name"
    annotation: File | None = None
    scale: Literal["published", "genes"] = "published"

    @model_validator(mode="after")
    def _one_source(self) -> HalfLifeConfig:
        if (self.table is None) == (self.annotation is None):
            raise ValueError("give either table or annotation")
        alone = self.set_among("id", "name") if self.table is None else self.set_among("scale")
        if alone:
            raise ValueError(f"{alone[0]} goes with {'table' if self.table is None else 'annotation'}")
        return self


class TracksConfig(Settings):
    """Files of an assay of transcripts along the genome, of which several of one kind are averaged.

    `plus` and `minus` are bigWig files of the strands, `both` of the two together, and `ctss` BED files of
    transcription start sites with their strand, as FANTOM5 publishes CAGE.
    """

    plus: list[File] = []
    minus: list[File] = []
    both: list[File] = []
    ctss: list[File] = []

    @model_validator(mode="after")
    def _one_kind(self) -> TracksConfig:
        kinds = [bool(self.plus or self.minus), bool(self.both), bool(self.ctss)]
        if sum(kinds) != 1 or bool(self.plus) != bool(self.minus):
            raise ValueError(
                "needs plus and minus, or both, or ctss: files of the strands, of both together, or of sites"
            )
        return self


class ExpressionConfig(Settings):
    """One assay's expression label: a column of a table, or tracks summed over `width` bp centred on the TSS."""

    table: File | None = None
    id: str | None = None
    value: str | None = None
    name: str | None = None
    tracks: TracksConfig | None = None
    width: Annotated[int, Field(gt=0, le=FARTHEST)] = 384
    transform: Literal["none", "log10_0.1", "log10_1"] = "none"
    z_score: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> ExpressionConfig:
        if (self.table is None) == (self.tracks is None):
            raise ValueError("give either table or tracks")
        if self.table is not None and (self.id is None or self.value is None):
            raise ValueError("a table needs id and value, its columns of gene ids and of expression")
        columns = self.set_among("id", "value", "name")
        if self.tracks is not None and columns:
            raise ValueError(f"{columns[0]} goes with table, not with tracks")
        if self.table is not None and self.set_among("width"):
            raise ValueError("width goes with tracks, not with a table")
        return self


class ContactConfig(Settings):
    """Contact of the pairs: of a table of pairs, of one map, or one constant.

    `map` is a .hic, .cool or .mcool file, `bedpe` a table of pairs of bins, `average` ABC's average Hi-C. `missing` is
    the contact of pairs that the table or the map says nothing of: a number, or for maps `expected`, what the map has
    on average at that distance, which is what they take by default. A table must have all pairs by default.
    """

    table: File | None = None
    map: File | None = None
    bedpe: File | None = None
    average: File | None = None
    constant: _Share | None = None
    missing: _Share | Literal["expected"] | None = None
    resolution: Annotated[int, Field(gt=0, le=FARTHEST)] | None = None
    normalisation: File = "VC"

    @model_validator(mode="after")
    def _one_source(self) -> ContactConfig:
        if len(self.set_among("table", "map", "bedpe", "average", "constant")) != 1:
            raise ValueError("give one of table, map, bedpe, average and constant")
        if self.constant is not None and self.missing is not None:
            raise ValueError("missing goes with a table or a map, not with constant")
        if self.table is not None and self.missing == "expected":
            raise ValueError("missing: expected goes with maps; for a table give a number")
        alone = self.set_among("resolution", "normalisation")
        if self.map is None and alone:
            raise ValueError(f"{alone[0]} goes with map")
        return self

    @property
    def is_map(self) -> bool:
        """Whether contact can be asked for at any two positions."""
        return self.map is not None or self.bedpe is not None or self.average is not None


class AbcConfig(Settings):
    """The activity-by-contact score. The defaults are those of the ABC pipeline, release 1.

    Contact is divided by the mean sum of a row (`scale_rows`), the diagonal is set to `diagonal` percent of the larger
    neighbour, rows whose normalisation is below `min_norm` are missing, and what is missing follows the power law of
    distance (`gamma`, `scale`). It is then scaled by the power law of `reference_gamma` over that one
    (`scale_powerlaw`), and what the power law gives at `pseudocount_distance`, or farther, is added. Genes whose
    contact with their own promoter is below `weak_gene` follow the power law alone.
    """

    window: Annotated[int, Field(gt=0, le=FARTHEST)] = 5_000_000
    gamma: _Share = POWERLAW_GAMMA
    scale: Annotated[float, Field(allow_inf_nan=False)] = POWERLAW_SCALE
    reference_gamma: _Share = 0.87
    scale_rows: bool = True
    diagonal: _Share | None = 100.0
    min_norm: _Share = 0.25
    scale_powerlaw: bool = True
    pseudocount_distance: Annotated[int, Field(ge=0, le=FARTHEST)] = 5_000
    weak_gene: _Share = 0.01
    tss_slop: Annotated[int, Field(ge=0, le=FARTHEST)] = 500


class PairsConfig(Settings):
    """Which pairs are made: min_distance < |element midpoint - TSS| <= max_distance, the nearest max_elements."""

    min_distance: Annotated[int, Field(ge=0)] | None = 1000
    max_distance: int = Field(default=100_000, gt=0, le=FARTHEST)
    max_elements: Annotated[int, Field(gt=0)] | None = 60

    @model_validator(mode="after")
    def _range_is_open(self) -> PairsConfig:
        if self.min_distance is not None and self.min_distance >= self.max_distance:
            raise ValueError("min_distance must be below max_distance")
        return self


class EncoderWindowsConfig(Settings):
    """Windows for pretraining the encoder: at every peak's summit and, `stride` bp apart, on both sides of it.

    `reads` are the experiments that give their activity; by default those of `signals`.
    """

    peaks: File
    windows: Annotated[int, Field(gt=0, le=_MOST_WINDOWS)] = 3
    stride: Annotated[int, Field(gt=0, le=FARTHEST)] = 156
    reads: dict[Name, list[Raw]] | None = None

    @field_validator("windows")
    @classmethod
    def _one_at_the_summit(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(
                f"must be odd, one at the summit and as many on each side; give {value - 1} or {value + 1}"
            )
        return value

    @field_validator("reads", mode="before")
    @classmethod
    def _spelled_out(cls, value: object) -> object:
        return spelled_out(value)

    @field_validator("reads")
    @classmethod
    def _reads_carry_activity(cls, value: dict[str, list[Any]] | None) -> dict[str, list[Any]] | None:
        return None if value is None else with_accessibility(value)
