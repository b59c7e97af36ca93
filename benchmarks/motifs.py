"""What attributions and motifs recover: planted motifs of simulated data, nothing from noise, known families in K562.

    python -m benchmarks.motifs [--genes 4000] [--threads 2] [--output FOLDER]

Simulated: an encoder is pretrained on 14 chromosomes, and the strongest window of every element of the eight that it
tests is explained. A second encoder learns the same windows with their activities shuffled. Real: the published K562
activity weights (fold 1) on the elements of 3.4 Mb of chr22, which those weights learned from. A run that was stopped
goes on with the same --output; --only names the parts to run.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.ladder import PRETRAIN, SCHEDULE, simulated, write_folds
from benchmarks.measure import machine, parser, peak_rss
from epinformer.bases import OTHER_BASE
from epinformer.config import load_config
from epinformer.dataset.store import Dataset, open_dataset
from epinformer.interpretation.attribution import explain
from epinformer.interpretation.attribution_file import Attributions, read_attributions
from epinformer.interpretation.choosing import Wanted
from epinformer.interpretation.databases import jaspar
from epinformer.interpretation.explained import Method, Settings
from epinformer.interpretation.motifs import MotifResult, find_motifs
from epinformer.model.checkpoint import import_checkpoint, load_model
from epinformer.prepare.build import prepare
from epinformer.report.attributions import write_explained
from epinformer.report.motifs import write_motifs
from epinformer.training.pretrain import pretrain
from epinformer.training.settings import PretrainConfig

ROOT = Path(__file__).resolve().parents[1]
FOLD = "1"
WEIGHTS = "fold_1_best_K562_seq2activityLog2_leaveChrOut_combinedRS_2bins_bs64_H3K27ac_adamW_erisxdl_r0_checkpoint.pt"

# What a planted factor may be called in JASPAR: its own family, as no tool can tell its members apart.
PLANTED = {
    "GATA1": ("GATA",),
    "TAL1_GATA1": ("GATA1::TAL1", "TAL1", "GATA"),
    "SPI1": ("SPI", "ETS", "ELF", "EHF", "ETV", "ELK", "FLI", "ERG", "FEV", "GABPA", "ERF", "ETV2"),
    "JUN_FOS": ("JUN", "FOS", "BATF", "JDP", "ATF3", "NFE2", "BACH", "MAF"),
    "KLF1": ("KLF", "SP", "EGR", "ZNF148", "ZNF740", "PATZ", "MAZ"),
    "GFI1B": ("GFI1",),
    "CTCF": ("CTCF",),
    "SP1": ("SP", "KLF"),
    "NFY": ("NFY", "PBX3", "CEBPZ"),
    "ETS": ("ELK", "ELF", "ETV", "GABPA", "ETS", "ERF", "ERG", "FLI", "FEV", "SPI"),
    "NRF1": ("NRF1",),
}
FAMILIES = {
    "GATA": ("GATA",),
    "AP-1": ("JUN", "FOS", "BATF", "JDP", "BACH", "NFE2", "ATF3", "MAF"),
    "CTCF": ("CTCF",),
    "ETS": ("ELK", "ELF", "ETV", "GABPA", "ETS", "ERF", "ERG", "FLI", "FEV", "SPI", "EHF"),
    "SP/KLF": ("SP", "KLF"),
    "NFY": ("NFY",),
}


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--genes", type=int, default=4000)
    options.add_argument("--epochs", type=int, default=12)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--shuffle-seed", type=int, default=0)
    options.add_argument("--method", choices=["ism", "deeplift"], default="ism")
    options.add_argument("--only", nargs="+", choices=["simulated", "shuffled", "k562"])
    options.add_argument("--output", type=Path, help="folder that is kept; a temporary one if not given")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine(arguments.threads))
    parts = arguments.only or ["simulated", "shuffled", "k562"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if {"simulated", "shuffled"} & set(parts):
            dataset = simulated(folder, arguments.genes, arguments.seed)
            settings = {"preset": "ladder", "folds": str(write_folds(folder / "folds.yaml"))}
            config = PretrainConfig.model_validate(
                settings | {"fit": PRETRAIN | SCHEDULE | {"max_epochs": arguments.epochs}}
            )
        if "simulated" in parts:
            encoder = pretrain(dataset, folder / "encoders", config, folds=[FOLD]).models[0]
            attributions = explained(encoder, dataset, folder / "explained", arguments.method)
            inside_and_outside(attributions, folder / "simulated" / "truth" / "motif_sites.bed")
            recovered(motifs(attributions, folder / "motifs"), PLANTED)
        if "shuffled" in parts:
            encoder = pretrain(
                shuffled(dataset, arguments.shuffle_seed), folder / "shuffled_encoders", config, folds=[FOLD]
            ).models[0]
            attributions = explained(encoder, dataset, folder / "shuffled_explained", arguments.method)
            inside_and_outside(attributions, folder / "simulated" / "truth" / "motif_sites.bed")
            recovered(motifs(attributions, folder / "shuffled_motifs"), PLANTED)
        if "k562" in parts:
            k562(folder, arguments.data, arguments.method)
        print(f"peak memory {peak_rss():,.0f} MB")


def shuffled(dataset: Dataset, seed: int) -> Dataset:
    """The same windows with one another's signals: what is learned of them says nothing of their bases."""
    assert dataset.windows is not None
    order = np.random.default_rng(seed).permutation(len(dataset.windows))
    signals = dataset.windows.columns.difference(["chrom", "start", "end"])
    others = {name: dataset.windows[name].to_numpy()[order] for name in signals}
    return replace(dataset, windows=dataset.windows.assign(**others))


def explained(model: Path, dataset: Dataset, folder: Path, method: Method) -> Attributions:
    """Attributions of the elements on chromosomes that the model held out."""
    if not folder.exists():
        loaded = load_model(model)
        assert loaded.info.fold is not None
        kept = {f"chr{name}" for name in loaded.info.fold.test}
        elements = dataset.elements[dataset.elements["chrom"].isin(kept)]
        regions = folder.with_suffix(".bed")
        elements[["chrom", "start", "end", "element_id"]].to_csv(regions, sep="\t", header=False, index=False)
        written(folder, model, dataset, Wanted(regions=regions), Settings(method, device="cpu"))
    return read_attributions(folder)


def written(folder: Path, model: Path, dataset: Dataset, wanted: Wanted, settings: Settings) -> None:
    """Explain, and say how long it took."""
    start = time.perf_counter()
    found = explain([load_model(model)], wanted, settings, dataset=dataset)
    write_explained(found.chunks, folder, found.about, length=found.length, chrom_sizes=found.chrom_sizes, figures=3)
    seconds = time.perf_counter() - start
    print(
        f"{folder.name}: {found.number:,} windows by {settings.method}, {seconds / found.number:.3f} s each; "
        f"the strands differ by {found.about.strand_difference:.1e} of the largest score"
    )


def motifs(attributions: Attributions, folder: Path) -> MotifResult:
    """Patterns, matches, seqlets and hits, with the page."""
    start = time.perf_counter()
    result = find_motifs(attributions, jaspar())
    write_motifs(result, attributions, folder, overwrite=True)
    print(f"{folder.name}: {time.perf_counter() - start:.0f} s", flush=True)
    return result


def inside_and_outside(attributions: Attributions, truth: Path) -> None:
    """Print the mean |attribution| of bases in planted sites that act on activity, over that of all other bases."""
    sites = pd.read_csv(truth, sep="\t", header=None, names=["chrom", "start", "end", "motif", "score", "strand"])
    actual = np.abs(attributions.actual)
    covered: dict[str, np.ndarray] = {name: np.zeros(actual.shape, dtype=bool) for name in PLANTED}
    rows = {chrom: index for chrom, index in attributions.table.groupby("chrom", observed=True).indices.items()}
    starts = attributions.table["start"].to_numpy()
    for chrom, of_chrom in sites.groupby("chrom"):
        own = rows.get(chrom, np.zeros(0, dtype=np.int64))
        order = own[np.argsort(starts[own], kind="stable")]
        for site in of_chrom.itertuples():
            first = np.searchsorted(starts[order], site.start - actual.shape[1], side="left")
            last = np.searchsorted(starts[order], site.end, side="left")
            for row in order[first:last]:
                begin, end = max(site.start - starts[row], 0), min(site.end - starts[row], actual.shape[1])
                covered[site.motif][row, begin : max(end, begin)] = True
    acting = np.any([mask for name, mask in covered.items() if name != "CTCF"], axis=0)
    known = attributions.codes < OTHER_BASE
    outside = actual[known & ~acting].mean()
    print(
        f"mean |attribution| in sites that act {actual[known & acting].mean():.5f}, elsewhere {outside:.5f}: "
        f"{actual[known & acting].mean() / outside:.1f} times"
    )
    for name, mask in covered.items():
        print(f"  {name:11s} {actual[known & mask].mean() / outside:5.1f} times in {int(mask.any(1).sum()):,} windows")


def recovered(result: MotifResult, families: dict[str, tuple[str, ...]]) -> None:
    """Print the patterns, and which families are among their matches."""
    columns = ["pattern", "seqlets", "consensus", "match_1", "q_1", "matches"]
    with pd.option_context("display.width", 200, "display.max_colwidth", 70):
        print(result.table[[name for name in columns if name in result.table]].to_string(index=False))
    hits = result.hits
    for family, names in families.items():
        of_patterns = [
            f"{row.pattern} ({row.seqlets})" for row in result.table.itertuples() if of_family(str(row.match_1), names)
        ]
        also = [
            str(row.pattern)
            for row in result.table.itertuples()
            if any(of_family(name, names) for name in str(row.matches).split(";"))
        ]
        own = hits[hits["q"] < 0.02]
        own = own[[of_family(name, names) for name in own["name"]]]
        print(
            f"{family:11s} best match of {', '.join(of_patterns) or 'none'}; among the matches of "
            f"{', '.join(also) or 'none'}; FIMO hits (q < 0.02) in {own['row'].nunique():,} windows"
        )


def of_family(name: str, names: tuple[str, ...]) -> bool:
    """Whether a factor, or one of a pair of factors, is of a family."""
    parts = [name.strip().upper(), *name.strip().upper().split("::")]
    return any(part == own or part.startswith(own) for part in parts for own in names)


def k562(folder: Path, data: Path, method: Method) -> None:
    """The published activity weights on the elements of the locus whose DNA is at hand."""
    path, model = folder / "k562_chr22.dataset", folder / "k562_activity.model"
    if not path.exists():
        config = load_config(ROOT / "examples" / "k562_chr22" / "config.yaml", root=data)
        prepare(config, path)
    if not model.exists():
        import_checkpoint(data / "published" / WEIGHTS, model)
    dataset = open_dataset(path)
    if not (folder / "k562_explained").exists():
        # Fold 1 tests other chromosomes: these weights have learned from chr22.
        settings = Settings(method, device="cpu", allow_leakage=True)
        written(folder / "k562_explained", model, dataset, Wanted(), settings)
    recovered(motifs(read_attributions(folder / "k562_explained"), folder / "k562_motifs"), FAMILIES)


if __name__ == "__main__":
    main()
