from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from epinformer.config import PrepareConfig, load_config
from epinformer.errors import ConfigError

REPLICATE = {"elements": "e.bed", "promoters": "p.bed", "total_reads": 1000}


def minimal(**changes: Any) -> dict[str, Any]:
    return {"assembly": "hg38", "genes": {"table": "genes.bed"}, "signals": {"dnase": [dict(REPLICATE)]}} | changes


def load(folder: Path, values: object, root: Path | None = None) -> PrepareConfig:
    path = folder / "config.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return load_config(path, root)


def test_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, minimal())
    assert config.root == tmp_path.resolve()
    assert (config.genome, config.elements, config.half_life, config.contact, config.expression) == (None,) * 4 + ({},)
    assert (config.genes.tss, config.genes.without_half_life, config.genes.without_expression) == (
        "center",
        "drop",
        "keep",
    )
    assert (config.pairs.min_distance, config.pairs.max_distance, config.pairs.max_elements) == (1_000, 100_000, 60)
    assert config.accessibility == "dnase"


def test_nothing_can_be_changed_or_added(tmp_path: Path) -> None:
    config = load(tmp_path, minimal())
    with pytest.raises(ValidationError):
        config.assembly = "hg19"


def test_root_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "configs").mkdir()
    config = load(tmp_path / "configs", minimal(root="../data"))
    assert config.path("genes.bed") == tmp_path.resolve() / "data" / "genes.bed"
    assert config.path("/abs/genes.bed") == Path("/abs/genes.bed")


def test_root_given_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path, minimal(root="../nowhere"), Path("other")).root == tmp_path.resolve() / "other"


@pytest.mark.parametrize(("values", "root", "named"), [({"root": "no"}, None, "root"), ({}, Path("no"), "--root")])
def test_root_that_is_not_there(tmp_path: Path, values: dict[str, str], root: Path | None, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"config\.yaml: {named}: there is no folder .*no\. Name the folder"):
        load(tmp_path, minimal(**values), root)


def test_files_are_listed_by_setting(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        minimal(elements="regions.bed", contact={"table": "c.tsv", "missing": 0}, genome={"fasta": "g.fa"},
                expression={"rna": {"table": "r.csv", "id": "i", "value": "v"}}),
    )  # fmt: skip
    assert config.files() == {
        "genome.fasta": "g.fa",
        "genes.table": "genes.bed",
        "elements.table": "regions.bed",
        "signals.dnase[0].elements": "e.bed",
        "signals.dnase[0].promoters": "p.bed",
        "expression.rna.table": "r.csv",
        "contact.table": "c.tsv",
    }


WINDOWS = {"peaks": "p.narrowPeak", "reads": {"dnase": ["d.bam"], "h3k27ac": ["0.bam", "1.bam"]}}
GENOME = {"fasta": "g.fa"}


def test_encoder_windows(tmp_path: Path) -> None:
    config = load(tmp_path, minimal(genome=GENOME, encoder_windows=WINDOWS))
    assert config.encoder_windows is not None
    assert (config.encoder_windows.windows, config.encoder_windows.stride) == (3, 156)
    assert list(config.files().items())[-4:] == [
        ("encoder_windows.peaks", "p.narrowPeak"),
        ("encoder_windows.reads.dnase[0].reads", "d.bam"),
        ("encoder_windows.reads.h3k27ac[0].reads", "0.bam"),
        ("encoder_windows.reads.h3k27ac[1].reads", "1.bam"),
    ]


RAW = {"dnase": ["d.bam", "d.bigWig"], "ctcf": [{"reads": "c.bed.gz", "min_mapping_quality": 30, "barcodes": "b.txt"}]}


def test_raw_signals(tmp_path: Path) -> None:
    config = load(tmp_path, minimal(signals=RAW, elements={"peaks": "p.narrowPeak", "blocklist": "b.bed"}))
    assert [type(item).__name__ for item in config.signals["dnase"]] == ["ReadsReplicate", "TrackReplicate"]
    assert config.elements is not None and (config.elements.strongest, config.elements.flank) == (150_000, 250)
    assert config.files() == {
        "genes.table": "genes.bed",
        "elements.peaks": "p.narrowPeak",
        "elements.blocklist": "b.bed",
        "signals.dnase[0].reads": "d.bam",
        "signals.dnase[1].track": "d.bigWig",
        "signals.ctcf[0].reads": "c.bed.gz",
        "signals.ctcf[0].barcodes": "b.txt",
    }


def test_numbers_that_yaml_takes_for_text(tmp_path: Path) -> None:
    text = yaml.safe_dump(minimal()).replace("1000", "4.27e6") + "genome: {fasta: g.fa, chrom: 22, start: 0}\n"
    config = load(tmp_path, text)
    assert config.signals["dnase"][0].total_reads == 4_270_000
    assert config.genome is not None and config.genome.chrom == "22"


def test_recorded_settings_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert load(tmp_path / "a", minimal()).recorded() == load(tmp_path / "b", minimal()).recorded()


def with_replicate(**changes: Any) -> dict[str, Any]:
    return minimal(signals={"dnase": [dict(REPLICATE), REPLICATE | changes]})


BAD = {
    "missing": (
        minimal(signals={"dnase": [{"elements": "e", "promoters": "p"}]}),
        r"config\.yaml: signals\.dnase\[0\]\.total_reads: is missing; add it\.",
    ),
    "misspelt": (minimal(assembley="hg38"), r"assembley: is not a setting; did you mean assembly\?"),
    "misspelt deep": (
        with_replicate(total_read=3),
        r"signals\.dnase\[1\]\.total_read: is not a setting; did you mean total_reads\?",
    ),
    "unknown": (
        minimal(genes={"table": "g", "zzz": 1}),
        r"genes\.zzz: is not a setting; known here: table, tss, gene_types, tss_table, without",
    ),
    "unknown in an assay": (
        minimal(expression={"rna": {"table": "t", "id": "i", "value": "v", "vlaue": "v"}}),
        r"expression\.rna\.vlaue: is not a setting; did you mean value\?",
    ),
    "negative total": (
        with_replicate(total_reads=-5),
        r"signals\.dnase\[1\]\.total_reads: input should be greater than 0, not -5",
    ),
    "infinite total": (
        with_replicate(total_reads=float("inf")),
        r"signals\.dnase\[1\]\.total_reads: input should be a finite",
    ),
    "choice": (
        minimal(genes={"table": "g", "tss": "middle"}),
        r"genes\.tss: input should be 'center' or 'strand', not 'middle'",
    ),
    "no accessibility": (minimal(signals={"h3k27ac": [REPLICATE]}), r"signals: needs dnase or atac"),
    "accessibility in capitals": (
        minimal(signals={"DNase": [REPLICATE]}),
        r"signals\.DNase: is no name for columns; use lower",
    ),
    "no replicates": (minimal(signals={"dnase": []}), r"signals: dnase has no replicate; list at least one"),
    "locus": (minimal(genome={"fasta": "g", "chrom": "chr1"}), r"genome: chrom and start say together"),
    "negative locus": (
        minimal(genome={"fasta": "g", "chrom": "1", "start": -1}),
        r"genome\.start: input should be greater",
    ),
    "two contacts": (
        minimal(contact={"table": "c", "constant": 0}),
        r"contact: give one of table, map, bedpe, average and constant",
    ),
    "no contact": (minimal(contact={}), r"contact: give one of table, map, bedpe, average and constant"),
    "missing of a constant": (
        minimal(contact={"constant": 1, "missing": 1}),
        r"contact: missing goes with a table or a map",
    ),
    "expected of a table": (minimal(contact={"table": "c", "missing": "expected"}), r"contact: missing: expected goes"),
    "resolution of a table": (minimal(contact={"table": "c", "resolution": 5}), r"contact: resolution goes with map"),
    "misspelt reads": (
        minimal(signals={"dnase": [{"reads": "d.bam", "min_maping_quality": 1}]}),
        r"signals\.dnase\[0\]\.min_maping_quality: is not a setting; did you mean min_mapping_quality\?",
    ),
    "peaks with counts": (minimal(elements={"peaks": "p.bed"}), r"elements: made around peaks, .* signals\.dnase\[0\]"),
    "table with peaks": (
        minimal(elements={"table": "e.bed", "flank": 9}),
        r"elements: flank goes with peaks; elements of a table are taken as they are",
    ),
    "windows of counts": (
        minimal(genome={"fasta": "g.fa"}, encoder_windows={"peaks": "p.bed"}),
        r"encoder_windows\.reads: is missing, and signals\.dnase\[0\] is counted already",
    ),
    "two half lives": (minimal(half_life={}), r"half_life: give either table or annotation"),
    "half life without bases": (minimal(half_life={"annotation": "a.gtf"}), r"half_life\.annotation: needs the bases"),
    "expression without column": (
        minimal(expression={"rna": {"table": "t"}}),
        r"expression\.rna: a table needs id and value",
    ),
    "column of tracks": (
        minimal(expression={"cage": {"tracks": {"both": ["t.bw"]}, "id": "gene_id"}}),
        r"expression\.cage: id goes with table, not with tracks",
    ),
    "width of a table": (
        minimal(expression={"rna": {"table": "t", "id": "i", "value": "v", "width": 9}}),
        r"expression\.rna: width goes with tracks, not with a table",
    ),
    "classes without a reference": (
        minimal(activity={"separate_promoters": False}),
        r"activity: separate_promoters goes with quantile_reference",
    ),
    "steps without a map": (
        minimal(contact={"bedpe": "c"}, abc={"diagonal": None}),
        r"abc\.diagonal: goes with contact\.map\.$",
    ),
    "steps without contact": (
        minimal(contact={"table": "c"}, abc={"weak_gene": 0}),
        r"abc\.weak_gene: goes with contact\.map, contact\.bedpe or contact\.average",
    ),
    "one strand": (
        minimal(expression={"cage": {"tracks": {"plus": ["t.bw"]}}}),
        r"expression\.cage\.tracks: needs plus and minus, or both, or ctss",
    ),
    "NaN contact": (minimal(contact={"constant": float("nan")}), r"contact\.constant: input should be"),
    "no range": (
        minimal(pairs={"min_distance": 9, "max_distance": 9}),
        r"pairs: min_distance must be below max_distance",
    ),
    "farther than any chromosome": (
        minimal(pairs={"max_distance": 2**31}),
        r"pairs\.max_distance: input should be less than or equal to 1000000000, not 2147483648",
    ),
    "start beyond any chromosome": (
        minimal(genome={"fasta": "a", "chrom": "chr1", "start": 2**31}),
        r"genome\.start: input should be less than or equal to 2147483647",
    ),
    "no elements": (minimal(pairs={"max_elements": 0}), r"pairs\.max_elements: input should be greater than 0, not 0"),
    "windows without a genome": (
        minimal(encoder_windows=WINDOWS),
        r"config\.yaml: encoder_windows: needs the bases of a genome; add `genome: \{fasta: FILE\}`",
    ),
    "an even number of windows": (
        minimal(genome=GENOME, encoder_windows=WINDOWS | {"windows": 4}),
        r"encoder_windows\.windows: must be odd, .* give 3 or 5",
    ),
    "no window": (
        minimal(genome=GENOME, encoder_windows=WINDOWS | {"windows": 0}),
        r"encoder_windows\.windows: input should be greater than 0, not 0",
    ),
    "no stride": (
        minimal(genome=GENOME, encoder_windows=WINDOWS | {"stride": 0}),
        r"encoder_windows\.stride: input should be greater than 0, not 0",
    ),
    "reads of no accessibility": (
        minimal(genome=GENOME, encoder_windows=WINDOWS | {"reads": {"h3k27ac": ["0.bam"]}}),
        r"encoder_windows\.reads: needs dnase or atac",
    ),
    "reads of no replicate": (
        minimal(genome=GENOME, encoder_windows=WINDOWS | {"reads": {"dnase": []}}),
        r"encoder_windows\.reads: dnase has no replicate",
    ),
    "reads that are no list": (
        minimal(genome=GENOME, encoder_windows=WINDOWS | {"reads": {"dnase": "d.bam"}}),
        r"encoder_windows\.reads\.dnase: input should be a valid list, not 'd\.bam'",
    ),
    "misspelt windows": (
        minimal(genome=GENOME, encoder_windows=WINDOWS | {"peak": "p"}),
        r"encoder_windows\.peak: is not a setting; did you mean peaks\?",
    ),
    "empty": ("", r"config\.yaml: holds no settings\. Write `assembly:`"),
    "list": ("- a\n- b\n", r"config\.yaml: holds no settings"),
    "no YAML": ("a: [1, 2\nb: 3\n", r"config\.yaml: is not valid YAML: .* \(line \d, column \d\)\. Mend"),
    "tab": ("a:\n\tb: 3\n", r"is not valid YAML: .*\(line 2, column 1\)"),
    "twice": (
        "assembly: a\ngenes:\n  table: x\nassembly: b\n",
        r"is not valid YAML: the key `assembly` is given twice \(line 4, column 1\)",
    ),
    "twice deep": ("genes:\n  table: x\n  table: y\n", r"the key `table` is given twice \(line 3, column 3\)"),
    "an object": (
        "a: !!python/object/apply:os.system ['true']\n",
        r"is not valid YAML: could not determine a constructor",
    ),
    "a number as key": (minimal() | {7: "x"}, r"\[7\]: keys should be strings"),
    "odd key": ("{[1, 2]: 3}\n", r"is not valid YAML: found unhashable key"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_settings(tmp_path: Path, name: str) -> None:
    values, message = BAD[name]
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, values)


def test_all_problems_are_listed(tmp_path: Path) -> None:
    values = with_replicate(total_reads="many")
    values["genes"] = {}
    values["pear"] = 1
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, values)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("config.yaml: 3 settings are wrong:")
    assert lines[1] == "  - genes.table: is missing; add it"
    assert lines[2].startswith("  - signals.dnase[1].total_reads: input should be a valid number")
    assert lines[3] == "  - pear: is not a setting; did you mean pairs?"


def test_merge_keys_are_no_repetition(tmp_path: Path) -> None:
    text = "base: &base {table: a, tss: strand}\n"
    merged = "assembly: x\ngenes:\n  <<: {table: a, tss: strand}\n  table: b\n"
    config = load(tmp_path, merged + "signals: {dnase: [{elements: e, promoters: p, total_reads: 1}]}\n")
    assert (config.genes.table, config.genes.tss) == ("b", "strand")
    with pytest.raises(ConfigError, match="base: is not a setting"):
        load(tmp_path, text + merged)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file"):
        load_config(tmp_path / "none.yaml")


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"c\.yaml: cannot be read"):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("example", ["k562_chr22", "k562_genomewide"])
def test_examples_load(project: Path, tmp_path: Path, example: str) -> None:
    config = load_config(project / "examples" / example / "config.yaml", tmp_path)
    assert (config.genome is None) == (example == "k562_genomewide")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"contact": {"table": "c"}, "half_life": {"table": "h"}, "elements": "e.bed"},
        {
            "genome": {"fasta": "g.fa"},
            "signals": {"dnase": ["d.bam", "d.bw", {"reads": "f.tsv", "barcodes": "b.txt", "unit": "cut"}]},
            "elements": {"peaks": "p.bed", "strongest": 9},
            "half_life": {"annotation": "a.gtf", "scale": "genes"},
            "expression": {"cage": {"tracks": {"ctss": ["c.bed"]}, "width": 9}},
            "contact": {"map": "m.cool", "normalisation": "ICE"},
            "abc": {"diagonal": None},
            "encoder_windows": {"peaks": "p.bed"},
        },
    ],
)
def test_what_is_recorded_is_a_configuration_again(changes: dict[str, Any]) -> None:
    config = PrepareConfig.model_validate(minimal(**changes))
    assert PrepareConfig.model_validate(config.recorded()) == config
