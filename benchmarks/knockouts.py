"""All knock-outs of the chr22 locus against predicting each from scratch.

    python -m benchmarks.knockouts [--repeats 3] [--genes 3]

Every element of the 60 genes is removed in turn. From scratch means a prediction of the gene without the element, on
the padded reference (whose inputs are made beforehand and not counted) and on the package's own fast path; both are
measured on the knock-outs of some genes, spread over the locus, and scaled to all.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.inference import WEIGHTS, chr22, fast_batch, padded_inputs, rounded
from benchmarks.measure import machine, median_seconds, parser, seconds
from benchmarks.padded import padded_forward
from epinformer.dataset.store import Dataset
from epinformer.model.checkpoint import LoadedModel, import_checkpoint, load_model
from epinformer.scoring.knockout import knockout
from epinformer.scoring.predict import predict


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--genes", type=int, default=3, help="genes whose knock-outs are predicted from scratch")
    options.add_argument("--dataset", type=Path, help="dataset of the chr22 example; made if not given")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        dataset = chr22(given.dataset, given.data, Path(folder))
        import_checkpoint(given.data / WEIGHTS, Path(folder) / "rna.model")
        model = load_model(Path(folder) / "rna.model")
        print(machine(given.threads))
        compare(model, dataset, given.genes, given.repeats)


def compare(model: LoadedModel, dataset: Dataset, genes: int, repeats: int) -> None:
    """Times and differences."""
    table = knockout([model], dataset)
    chosen = np.linspace(0, dataset.n_genes - 1, genes).round().astype(int)
    rows = np.flatnonzero(dataset.pairs["gene_index"].isin(chosen))
    print(f"{len(table):,} knock-outs of {dataset.n_genes} genes; {len(rows)} of {genes} genes from scratch")
    times: dict[str, list[float]] = {"knockout": [], "fast": [], "padded": []}
    differences = {"fast": 0.0, "padded": 0.0}
    for _ in range(repeats):
        times["knockout"].append(median_seconds(lambda: knockout([model], dataset), 3))
        spent = {"fast": 0.0, "padded": 0.0}
        for row in rows.tolist():
            without = replace(dataset, pairs=dataset.pairs.drop(index=row).reset_index(drop=True))
            gene = int(dataset.pairs["gene_index"].iloc[row])
            dense = padded_inputs(fast_batch(model.model, without, np.array([gene])), range(1))  # type: ignore[arg-type]
            found: dict[str, float] = {}

            def padded() -> None:
                with torch.inference_mode():
                    found["padded"] = padded_forward(model.model, *dense).prediction.item()  # noqa: B023

            def fast() -> None:
                names = [without.genes["gene_id"].iloc[gene]]  # noqa: B023
                found["fast"] = float(predict([model], without, genes=names).table["predicted"].iloc[0])  # noqa: B023

            for name, function in (("padded", padded), ("fast", fast)):
                spent[name] += seconds(function)
                differences[name] = max(differences[name], abs(found[name] - table["after"].iloc[row]))
        for name, time in spent.items():
            times[name].append(time * len(table) / len(rows))
    own = statistics.median(times["knockout"])
    print(f"all knock-outs: {own:.2f} s (runs: {rounded(times['knockout'])})")
    for name, words in (("padded", "padded reference"), ("fast", "fast path, one gene at a time")):
        ratios = [a / b for a, b in zip(times[name], times["knockout"], strict=True)]
        print(f"from scratch, {words}: {statistics.median(times[name]):,.0f} s, ", end="")
        print(f"{statistics.median(ratios):,.0f}x (runs: {rounded(ratios)}), max |difference| {differences[name]:.1e}")


if __name__ == "__main__":
    main()
