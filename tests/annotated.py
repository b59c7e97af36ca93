"""Made genes, base by base, and the same genes as GTF and GFF3 of GENCODE, Ensembl and RefSeq."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

DIALECTS = ("gencode.gtf", "ensembl.gtf", "refseq.gtf", "gencode.gff3", "ensembl.gff3", "refseq.gff3")


class Spliced(NamedTuple):
    """A transcript.

    Its exons are 1-based closed and ascending. Of the spliced sequence, bases ``coding[0]`` up to before
    ``coding[1]`` are coding, the last three of them a stop codon if ``stop``; nothing is where ``coding`` is None.
    """

    id: str
    exons: list[tuple[int, int]]
    coding: tuple[int, int] | None = None
    stop: bool = True
    tags: tuple[str, ...] = ()

    def bases(self, strand: str) -> list[int]:
        """The positions (1-based) of the spliced sequence, 5' to 3'."""
        positions = [position for start, end in self.exons for position in range(start, end + 1)]
        return positions if strand == "+" else positions[::-1]

    def coding_bases(self, strand: str) -> tuple[list[int], list[int]]:
        """Positions of the coding sequence without its stop codon, and of the stop codon."""
        if self.coding is None:
            return [], []
        first, last = self.coding
        bases = self.bases(strand)[first:last]
        cut = len(bases) - 3 if self.stop else len(bases)
        return bases[:cut], bases[cut:]


class Made(NamedTuple):
    """A gene with its transcripts."""

    id: str
    version: str
    name: str
    type: str
    chrom: str
    strand: str
    transcripts: list[Spliced]


def runs(positions: list[int]) -> list[tuple[int, int]]:
    """Positions as 1-based closed stretches without gaps, ascending."""
    stretches: list[tuple[int, int]] = []
    for position in sorted(positions):
        if stretches and stretches[-1][1] == position - 1:
            stretches[-1] = (stretches[-1][0], position)
        else:
            stretches.append((position, position))
    return stretches


@st.composite
def spliced(draw: st.DrawFn, name: str) -> Spliced:
    """A transcript of one to five exons, perhaps coding."""
    position = draw(st.integers(1, 30))
    exons = []
    for _ in range(draw(st.integers(1, 5))):
        length = draw(st.integers(1, 12))
        exons.append((position, position + length - 1))
        position += length + draw(st.integers(1, 9))
    total = sum(end - start + 1 for start, end in exons)
    if total < 4 or not draw(st.booleans()):
        return Spliced(name, exons)
    first = draw(st.integers(0, total - 4))
    return Spliced(name, exons, (first, draw(st.integers(first + 4, total))), draw(st.booleans()))


def text_of(genes: list[Made], dialect: str) -> str:
    """The genes as a file."""
    source, _, form = dialect.partition(".")
    lines = ["##gff-version 3" if form == "gff3" else "#!genome-build made"]
    if dialect == "refseq.gff3":
        lines += [
            f"{_chrom(chrom, source)}\tRefSeq\tregion\t1\t9\t.\t+\t.\tID=r;chromosome={chrom[3:]};genome=chromosome"
            for chrom in sorted({gene.chrom for gene in genes})
        ]
    for gene in genes:
        start = min(transcript.exons[0][0] for transcript in gene.transcripts)
        end = max(transcript.exons[-1][1] for transcript in gene.transcripts)
        rows = [("gene", [(start, end)], _gene(gene, source, form))]
        for transcript in gene.transcripts:
            whole = [(transcript.exons[0][0], transcript.exons[-1][1])]
            cds, stop = transcript.coding_bases(gene.strand)
            rows.append(("transcript" if form == "gtf" else "mRNA", whole, _transcript(gene, transcript, source, form)))
            part = _part(gene, transcript, source, form)
            rows.append(("exon", transcript.exons, part))
            rows.append(("CDS", runs(cds if form == "gtf" else cds + stop), part))
            if form == "gtf" or source == "gencode":
                rows.append(("stop_codon", runs(stop), part))
            if source != "refseq":
                rows.append(("five_prime_UTR", whole, part))
        lines += [
            f"{_chrom(gene.chrom, source)}\tmade\t{kind}\t{first}\t{last}\t.\t{gene.strand}\t.\t{attributes}"
            for kind, pieces, attributes in rows
            for first, last in pieces
        ]
    return "\n".join(lines) + "\n"


def _chrom(chrom: str, source: str) -> str:
    bare = chrom.removeprefix("chr")
    number = {"X": 23, "Y": 24}.get(bare) or int(bare)
    return {"gencode": chrom, "ensembl": bare, "refseq": f"NC_{number:06d}.11"}[source]


def _gtf(pairs: list[tuple[str, str]]) -> str:
    return " ".join(f'{name} "{value}";' for name, value in pairs)


def _gff3(pairs: list[tuple[str, str]]) -> str:
    return ";".join(f"{name}={value}" for name, value in pairs)


def _gene(gene: Made, source: str, form: str) -> str:
    full = f"{gene.id}.{gene.version}"
    if form == "gtf":
        return _gtf(
            {
                "gencode": [("gene_id", full), ("gene_type", gene.type), ("gene_name", gene.name)],
                "ensembl": [
                    ("gene_id", gene.id),
                    ("gene_version", gene.version),
                    ("gene_name", gene.name),
                    ("gene_biotype", gene.type),
                ],
                "refseq": [("gene_id", gene.name), ("transcript_id", ""), ("gene_biotype", gene.type)],
            }[source]
        )
    return _gff3(
        {
            "gencode": [("ID", full), ("gene_id", full), ("gene_type", gene.type), ("gene_name", gene.name)],
            "ensembl": [
                ("ID", f"gene:{gene.id}"),
                ("Name", gene.name),
                ("biotype", gene.type),
                ("gene_id", gene.id),
                ("version", gene.version),
            ],
            "refseq": [
                ("ID", f"gene-{gene.name}"),
                ("Dbxref", f"HGNC:HGNC:7,GeneID:{int(gene.id[4:])}"),
                ("Name", gene.name),
                ("gene_biotype", gene.type),
            ],
        }[source]
    )


def _transcript(gene: Made, transcript: Spliced, source: str, form: str) -> str:
    unfinished = ("cds_end_NF",) if transcript.coding and not transcript.stop else ()
    tags = [tag.replace("_", " ") if source == "refseq" else tag for tag in (*transcript.tags, *unfinished)]
    if form == "gtf":
        return _part(gene, transcript, source, form) + "".join(f' tag "{tag}";' for tag in tags)
    parent = {"gencode": f"{gene.id}.{gene.version}", "ensembl": f"gene:{gene.id}", "refseq": f"gene-{gene.name}"}
    mark = {"gencode": "", "ensembl": "transcript:", "refseq": "rna-"}[source]
    pairs = [("ID", mark + transcript.id), ("Parent", parent[source])]
    return _gff3(pairs + ([("tag", ",".join(tags))] if tags else []))


def _part(gene: Made, transcript: Spliced, source: str, form: str) -> str:
    if form == "gtf":
        gene_id = {"gencode": f"{gene.id}.{gene.version}", "ensembl": gene.id, "refseq": gene.name}[source]
        kind = {"gencode": "gene_type", "ensembl": "gene_biotype", "refseq": "transcript_biotype"}[source]
        pairs = [("gene_id", gene_id), ("transcript_id", transcript.id), (kind, gene.type)]
        return _gtf(pairs + ([] if source == "refseq" else [("gene_name", gene.name)]))
    mark = {"gencode": "", "ensembl": "transcript:", "refseq": "rna-"}[source]
    return _gff3([("ID", f"part-{transcript.id}"), ("Parent", mark + transcript.id)])
