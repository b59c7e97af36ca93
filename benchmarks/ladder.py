"""What each input adds on simulated data: promoter < promoter and enhancers < their activity, and pretraining.

    python -m benchmarks.ladder [--genes 2400] [--threads 1] [--output FOLDER]

Three folds, each testing eight chromosomes and validating on two others, so that every gene is held out once. Encoders
are pretrained on the windows of the training chromosomes, one a peak, and frozen; the last row trains its encoder from
scratch together with the rest, on one fold. A run that was stopped goes on with the same --output.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from benchmarks.measure import machine, parser
from epinformer.config import load_config
from epinformer.dataset.store import Dataset, open_dataset
from epinformer.evaluation.crossval import evaluate_crossval
from epinformer.evaluation.expression import evaluate
from epinformer.prepare.build import prepare
from epinformer.report.crossval import summary
from epinformer.report.evaluation import summary as plain_summary
from epinformer.simulation.simulate import simulate
from epinformer.training.crossval import crossval
from epinformer.training.pretrain import pretrain
from epinformer.training.settings import PretrainConfig, TrainConfig

HALF_LIFE = ["UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY"]
DISTANCE = {"column": "distance", "transform": "log10_bp"}
ACTIVITY = {"column": "activity", "transform": "log10_1p"}
PROMOTER_ACTIVITY = {"column": "promoter_activity", "transform": "log10_1p"}
LADDER = {
    "promoter": {"elements": False, "gene_features": HALF_LIFE},
    "PE": {"pair_features": [DISTANCE], "gene_features": HALF_LIFE},
    "PE-Activity": {"pair_features": [DISTANCE, ACTIVITY], "gene_features": [*HALF_LIFE, PROMOTER_ACTIVITY]},
}
SHAPE = {"standardise": True, "promoter_input": True, "width": 32, "layers": 2, "feedforward": 64, "hidden": 64}
SCHEDULE = {"schedule": "cosine", "warmup": 0.1, "patience": None, "keep": "last", "precision": "bf16"}
FIT = {"loss": "mse", "learning_rate": 1e-3, "weight_decay": 1e-2, "batch": 32, "max_epochs": 6, "gradient_clip": 1.0}
PRETRAIN = {"loss": "smooth_l1", "learning_rate": 2e-3, "batch": 128, "max_epochs": 8}
# Training from scratch takes as long as all the rest together, so it is done for one fold.
FROM_SCRATCH = "1"


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--genes", type=int, default=2400)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--output", type=Path, help="folder that is kept; a temporary one if not given")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine(arguments.threads))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measure(folder, arguments.genes, arguments.seed)


def measure(folder: Path, genes: int, seed: int) -> None:
    """Train all rungs and print their comparison."""
    dataset = simulated(folder, genes, seed)
    folds = write_folds(folder / "folds.yaml")
    settings = PretrainConfig.model_validate({"preset": "ladder", "folds": str(folds), "fit": PRETRAIN | SCHEDULE})
    encoders = pretrain(dataset, folder / "encoders", settings)
    print("\nencoder, held-out windows")
    print(plain_summary(evaluate(encoders.table), "windows"))
    print("noise ceilings:", json.loads((folder / "simulated" / "simulation.json").read_text())["noise_ceiling"])

    tables, baselines = {}, {}
    for name in LADDER:
        config = configuration(name, str(folder / "encoders"), folds)
        result = crossval(dataset, folder / f"run_{name}", config)
        tables[name] = result.table.set_index("gene_id")
        baselines = result.baselines
    best, middle = tables["PE-Activity"], tables["PE"]
    compare("PE-Activity", best, {name: tables[name] for name in ("promoter", "PE")}, baselines)
    compare("PE", middle, {"promoter": tables["promoter"]})
    # Where activity is not measured, what the encoder knows of it matters most.
    config = configuration("PE", None, folds)
    scratch = crossval(dataset, folder / "run_scratch", config, folds=[FROM_SCRATCH]).table.set_index("gene_id")
    compare("PE, one fold", middle.loc[scratch.index], {"not pretrained": scratch})


def compare(
    name: str,
    table: pd.DataFrame,
    others: dict[str, pd.DataFrame],
    baselines: dict[str, np.ndarray] | None = None,
) -> None:
    """Print one model beside others that predict the same genes."""
    predictions = {other: of["predicted"].loc[table.index].to_numpy() for other, of in others.items()}
    print(f"\nmodel: {name}")
    print(summary(evaluate_crossval(table.reset_index(), predictions | (baselines or {}))), flush=True)


def simulated(folder: Path, genes: int, seed: int) -> Dataset:
    """The dataset of a simulated cell type, made if it is not there."""
    if not (folder / "simulated").exists():
        simulate(folder / "simulated", genes=genes, seed=seed)
    path = folder / "simulated.dataset"
    if not path.exists():
        config = load_config(folder / "simulated" / "config.yaml")
        windows = config.encoder_windows.model_copy(update={"windows": 1}) if config.encoder_windows else None
        prepare(config.model_copy(update={"encoder_windows": windows}), path)
    return open_dataset(path)


def write_folds(path: Path) -> Path:
    """Three folds that test eight chromosomes each and validate on the first two of the next fold."""
    names = [*map(str, range(1, 23)), "X", "Y"]
    tests = [names[start::3] for start in range(3)]
    folds = {
        str(number + 1): {"test": test, "validation": tests[(number + 1) % 3][:2]} for number, test in enumerate(tests)
    }
    path.write_text(yaml.safe_dump({"folds": folds}))
    return path


def configuration(name: str, encoder: str | None, folds: Path) -> TrainConfig:
    """Settings of one rung."""
    values = {
        "preset": "ladder",
        "target": "expression_rna",
        "folds": str(folds),
        "network": SHAPE | LADDER[name],
        "encoder": None if encoder is None else {"source": encoder, "freeze": True},
        "fit": FIT | SCHEDULE,
    }
    return TrainConfig.model_validate(values)


if __name__ == "__main__":
    main()
