"""Lines of GTF and GFF3: which transcripts a file has, of which genes, and their exons and coding segments.

Both have nine columns separated by tabs, with 1-based closed positions, which stay so here: `inputs.annotation` makes
them 0-based half-open. In GTF a row names its transcript and its gene (`gene_id "G"; transcript_id "T";`); in GFF3 an
exon names its parent, the transcript, and that its own, the gene (`ID=T;Parent=G`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np

from epinformer.errors import InputError
from epinformer.inputs.regions import LAST_POSITION
from epinformer.inputs.segments import CODING, EXON, STOP

UNTAGGED = 9
"""`Transcript.choice` of a transcript that nobody has chosen."""

_SEGMENTS = {"exon": EXON, "CDS": CODING, "stop_codon": STOP}
# Rows of GFF3 that have a parent and are nobody's: of no use, and many.
_LEAVES = frozenset({"five_prime_UTR", "three_prime_UTR", "UTR", "start_codon", "intron", "Selenocysteine"})
_GTF_ATTRIBUTE = re.compile(r'([^\s;"]+)\s+(?:"([^"]*)"|([^\s;"]+))\s*(?:;|$)')
_GENE_NUMBER = re.compile(r"(?:^|,)GeneID:(\d+)")
_ID_MARK = re.compile(r"^(gene[:-]|transcript:|rna-)")
_PRINCIPAL = re.compile(r"appris_principal(?:_([1-5]))?")
_DEEPEST = 8


class Gene(NamedTuple):
    """A gene's id, symbol and type; the latter two are "" where the file does not say."""

    id: str
    name: str
    type: str


class Transcript:
    """A transcript.

    Attributes
    ----------
    id, chrom, strand
        As in the file.
    gene
        Key of its gene (GTF) or parent (GFF3); None until a row tells.
    line
        The first line that names it, 1-based.
    choice
        0 for MANE Select, 1 for Ensembl's canonical transcript and RefSeq Select, 2 to 6 for APPRIS principal 1 to 5,
        else `UNTAGGED`.
    open_end
        Its coding sequence is tagged as ending without a stop codon.
    wanted
        Its gene may be of a wanted type.
    """

    __slots__ = ("choice", "chrom", "gene", "id", "line", "open_end", "strand", "wanted")

    def __init__(self, id: str, gene: str | None, fields: Sequence[str], line: int, wanted: bool) -> None:
        self.id, self.gene, self.line, self.wanted = id, gene, line, wanted
        self.chrom, self.strand = fields[0], fields[6]
        self.choice, self.open_end = UNTAGGED, False

    def tag(self, tags: Iterable[str]) -> None:
        """Take in the tags of a row; RefSeq writes spaces where others write underscores."""
        for tag in tags:
            tag = tag.replace(" ", "_")
            if tag == "MANE_Select":
                self.choice = 0
            elif tag in ("Ensembl_canonical", "RefSeq_Select"):
                self.choice = min(self.choice, 1)
            elif tag in ("cds_end_NF", "mRNA_end_NF"):
                self.open_end = True
            elif match := _PRINCIPAL.fullmatch(tag):
                self.choice = min(self.choice, 1 + int(match[1] or 1))


class Lines(NamedTuple):
    """What the lines of a file say.

    ``segments`` is int32 (m, 4): number of the transcript, start, end (1-based closed), and `segments.EXON`,
    `CODING` or `STOP`, in the file's order; without those of genes that the file had told to be of another type.
    ``gene_of`` is each transcript's key in ``genes``, None where the file lacks the gene. ``chromosomes`` is what a
    GFF3 of RefSeq says about its accessions ("NC_000001.11" -> "1").
    """

    transcripts: list[Transcript]
    genes: dict[str, Gene]
    gene_of: list[str | None]
    segments: np.ndarray
    chromosomes: dict[str, str]
    is_gff3: bool


class _Wrong:
    """Rows with one problem: how many, the first, and what to do."""

    def __init__(self, first: str, fix: str) -> None:
        self.count, self.first, self.fix = 0, first, fix


class Reader(ABC):
    """Takes rows in, in any order; what is wrong with them is told at the end.

    Parameters
    ----------
    wanted
        The types of genes whose segments are kept; None for all. Where a file tells a gene's type only after its
        segments, they are kept too.
    """

    is_gff3: bool

    def __init__(self, wanted: frozenset[str] | None) -> None:
        self.wanted = wanted
        self.genes: dict[str, Gene] = {}
        self.transcripts: list[Transcript] = []
        self.numbers: dict[str, int] = {}
        self.chromosomes: dict[str, str] = {}
        self.wrong: dict[str, _Wrong] = {}
        self.cells = array("i")
        self.has_segments = False

    @abstractmethod
    def _describe(self, line: int, fields: list[str]) -> None:
        """Take in a row that is no segment."""

    @abstractmethod
    def _owners(self, line: int, fields: list[str]) -> Sequence[int]:
        """Numbers of the transcripts that a segment is of."""

    @abstractmethod
    def _root(self, key: str | None) -> str | None:
        """Key of the gene that a key leads to."""

    def take(self, line: int, fields: list[str]) -> None:
        """Take in a row."""
        if len(fields) != 9:
            self._blame("has rows that do not have nine columns", "Separate the columns by tabs", line, fields)
            return
        kind = _SEGMENTS.get(fields[2])
        if kind is None:
            self._describe(line, fields)
            return
        self.has_segments = True
        for number in self._owners(line, fields):
            transcript = self.transcripts[number]
            if not transcript.wanted:
                continue
            try:
                start, end = int(fields[3]), int(fields[4])
            except ValueError:
                start, end = 0, 0
            if not 0 < start <= end <= LAST_POSITION:
                self._blame(
                    "has starts and ends that are no intervals",
                    "Positions are 1-based with starts up to ends; correct these rows",
                    line,
                    fields,
                )
            elif fields[6] not in ("+", "-"):
                self._blame("has strands that are neither + nor -", "Correct or remove these rows", line, fields)
            elif fields[0] != transcript.chrom or fields[6] != transcript.strand:
                self._blame(
                    "has transcripts on two chromosomes or strands",
                    f"{transcript.id} starts on line {transcript.line:,}; give each place a transcript id of its own",
                    line,
                    fields,
                )
            else:
                self.cells.extend((number, start, end, kind))

    def _blame(self, problem: str, fix: str, line: int, fields: list[str]) -> None:
        """Count a row that is wrong."""
        if problem not in self.wrong:
            self.wrong[problem] = _Wrong(f"line {line:,}: {' '.join(fields).strip()}", fix)
        self.wrong[problem].count += 1

    def _number(self, key: str, gene: str | None, fields: list[str], line: int) -> int:
        """Number of a transcript, new if need be; its gene is set where it was unknown."""
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.transcripts)
            name = unquote(_ID_MARK.sub("", key)) if self.is_gff3 else key
            self.transcripts.append(Transcript(name, gene, fields, line, True))
        transcript = self.transcripts[number]
        transcript.gene = transcript.gene or gene
        root = self._root(transcript.gene)
        known = "" if root is None else self.genes[root].type
        transcript.wanted = self.wanted is None or not known or known in self.wanted
        return number

    def finished(self, path: Path) -> Lines:
        """What was taken in.

        Raises
        ------
        InputError
            There were no exons, or rows that lack the attribute that says where they belong, positions that are no
            intervals, strands that are neither + nor -, or a transcript on two chromosomes or strands.
        """
        for problem, wrong in self.wrong.items():
            raise InputError(problem, source=path, count=wrong.count, first=wrong.first, fix=wrong.fix)
        if not self.has_segments:
            raise InputError("has no exons", source=path, fix="Give the whole annotation, not only its genes")
        segments = np.frombuffer(self.cells, dtype=np.int32).reshape(-1, 4)
        gene_of = [self._root(self.transcripts[number].gene or key) for key, number in self.numbers.items()]
        return Lines(self.transcripts, self.genes, gene_of, segments, self.chromosomes, self.is_gff3)


class Gtf(Reader):
    """Reads GTF."""

    is_gff3 = False

    def _describe(self, line: int, fields: list[str]) -> None:
        if fields[2] in ("transcript", "mRNA"):
            self._transcript(line, fields)
        elif fields[2] == "gene":
            self._gene(line, fields, dict(reversed(_gtf_attributes(fields[8]))))

    def _owners(self, line: int, fields: list[str]) -> Sequence[int]:
        attributes = fields[8]
        at = attributes.find('transcript_id "')
        # "orig_transcript_id" is another attribute.
        if at == 0 or (at > 0 and attributes[at - 1] in "; "):
            number = self.numbers.get(attributes[at + 15 : attributes.find('"', at + 15)])
            if number is not None:
                return (number,)
        return self._transcript(line, fields)

    def _root(self, key: str | None) -> str | None:
        return key

    def _transcript(self, line: int, fields: list[str]) -> Sequence[int]:
        pairs = _gtf_attributes(fields[8])
        # Of a repeated attribute the first counts, save for tags.
        found = dict(reversed(pairs))
        gene = self._gene(line, fields, found)
        key = found.get("transcript_id")
        if not key:
            self._blame(_lacks("transcript_id"), "Add it to the rows of exons, CDS and transcripts", line, fields)
        if not key or gene is None:
            return ()
        number = self._number(key, gene, fields, line)
        self.transcripts[number].tag(value for name, value in pairs if name == "tag")
        return (number,)

    def _gene(self, line: int, fields: list[str], found: dict[str, str]) -> str | None:
        key = found.get("gene_id")
        if not key:
            self._blame(_lacks("gene_id"), "Add it to every row", line, fields)
            return None
        known = self.genes.get(key, Gene(key, "", ""))
        if not (known.name and known.type):
            name = found.get("gene_name") or found.get("gene") or known.name
            kind = found.get("gene_type") or found.get("gene_biotype") or known.type
            self.genes[key] = Gene(key, name, kind)
        return key


class Gff3(Reader):
    """Reads GFF3."""

    is_gff3 = True

    def _describe(self, line: int, fields: list[str]) -> None:
        kind = fields[2]
        if kind in _LEAVES:
            return
        found = _gff3_attributes(fields[8])
        if kind == "region":
            if found.get("genome") in ("chromosome", "mitochondrion"):
                self.chromosomes[fields[0]] = found.get("chromosome", "MT")
            return
        key, parent = found.get("ID"), found.get("Parent")
        if key is None:
            return
        if parent is not None:
            number = self._number(key, parent.partition(",")[0], fields, line)
            self.transcripts[number].tag(unquote(found.get("tag", "")).split(","))
        elif "gene" in kind or kind.endswith(("RNA", "transcript")):
            match = _GENE_NUMBER.search(found.get("Dbxref", ""))
            name = found.get("gene_name") or found.get("gene") or found.get("Name") or ""
            self.genes[key] = Gene(
                unquote(found.get("gene_id") or (match[1] if match else _ID_MARK.sub("", key))),
                unquote(name),
                found.get("gene_type") or found.get("gene_biotype") or found.get("biotype") or "",
            )

    def _owners(self, line: int, fields: list[str]) -> Sequence[int]:
        attributes = fields[8]
        at = attributes.find("Parent=")
        if at > 0 and attributes[at - 1] not in "; ":
            at = attributes.find(";Parent=") + 1 or -1
        if at < 0:
            self._blame(_lacks("Parent"), "Name the transcript of each exon and CDS", line, fields)
            return ()
        parent = attributes[at + 7 :].partition(";")[0].strip()
        number = self.numbers.get(parent)
        if number is not None:
            return (number,)
        # A gene without transcripts, whose exons or CDS are its own, is its own transcript.
        return [self._number(key, key if key in self.genes else None, fields, line) for key in parent.split(",")]

    def _root(self, key: str | None) -> str | None:
        for _ in range(_DEEPEST):
            if key is None or key in self.genes:
                return key
            number = self.numbers.get(key)
            key = None if number is None else self.transcripts[number].gene
        return None


def _lacks(attribute: str) -> str:
    return f"has rows without the attribute {attribute}"


def _gtf_attributes(text: str) -> list[tuple[str, str]]:
    return [(name, quoted or bare) for name, quoted, bare in _GTF_ATTRIBUTE.findall(text)]


def _gff3_attributes(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.strip().split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}
