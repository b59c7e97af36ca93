"""Cross-validate expression models: train every fold, and predict what it held out, beside baselines that know less."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from epinformer import __version__
from epinformer.baselines.tabular import BASELINES, fit_predict
from epinformer.dataset.folds import Fold
from epinformer.dataset.store import Dataset
from epinformer.files import atomic_file
from epinformer.model.checkpoint import load_model
from epinformer.model.hardware import Hardware, exact_convolutions
from epinformer.training.examples import GeneExamples
from epinformer.training.fit import failures_told
from epinformer.training.run import fold_folder
from epinformer.training.settings import TrainConfig
from epinformer.training.state import HISTORY_NAME
from epinformer.training.train import Progress, Run, begin, fold_genes, shares, train_fold

PREDICTIONS_NAME = "predictions.tsv"
_GENES_AT_A_TIME = 256


class Crossval(NamedTuple):
    """What a cross-validation predicted, each gene by models that had not seen its chromosome.

    Attributes
    ----------
    table
        A row a gene of the tested chromosomes: gene_id, gene_name, chrom, fold, observed, predicted (mean over seeds),
        predicted_sd (sample standard deviation over seeds, with several).
    baselines
        Name to predictions (n,) of the same genes by models that know less.
    history
        A row an epoch: fold, seed, epoch, train_loss, validation_mse, learning_rate, seconds.
    about
        What was run, in plain values.
    """

    table: pd.DataFrame
    baselines: dict[str, np.ndarray]
    history: pd.DataFrame
    about: dict[str, Any]


def crossval(
    dataset: Dataset,
    output: str | Path,
    config: TrainConfig,
    *,
    folds: Iterable[str] | None = None,
    hardware: Hardware | None = None,
    allow_leakage: bool = False,
    progress: Progress | None = None,
) -> Crossval:
    """Train the models of some folds, and predict with them and with the baselines the genes that each fold tests.

    Parameters and errors are those of `train`. What each fold predicts is kept in its ``predictions.tsv``.
    """
    run = begin(dataset, Path(output), config, folds, hardware, allow_leakage)
    tables = []
    for fold, told in shares(run, progress):
        paths = train_fold(run, fold, told)
        if run.hardware.leads:
            tables.append(_fold_predictions(run, fold, paths))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    baselines = {name: table.pop(_column(name)).to_numpy(np.float64) for name in BASELINES if len(table)}
    return Crossval(table, baselines, _history(run), _about(run, table))


def _fold_predictions(run: Run, fold: Fold, paths: list[Path]) -> pd.DataFrame:
    """The fold's held-out predictions: read if they are there, else made and written."""
    file = fold_folder(run.folder, fold) / PREDICTIONS_NAME
    if not file.exists():
        with failures_told(run.config.fit, file.parent):
            table = _test(run, fold, paths)
        with atomic_file(file) as temporary:
            table.to_csv(temporary, sep="\t", index=False, float_format="%.9g")
    text = dict.fromkeys(("gene_id", "gene_name", "chrom", "fold"), str)
    # A gene may be called NA.
    return pd.read_csv(file, sep="\t", dtype=text, keep_default_na=False)


def _test(run: Run, fold: Fold, paths: list[Path]) -> pd.DataFrame:
    """What the fold's models and the baselines predict for the genes that it tests."""
    parts = fold_genes(run.dataset, run.genes, fold)
    examples = GeneExamples(run.dataset, run.network, parts.test)
    place = torch.device(run.hardware.accelerator)
    predicted = np.stack([_predicted(load_model(path, place).model, examples, place) for path in paths])
    table = run.dataset.genes.iloc[parts.test][["gene_id", "gene_name", "chrom"]].reset_index(drop=True)
    table["fold"] = fold.name
    table["observed"] = run.dataset.genes[run.target].to_numpy(np.float64)[parts.test]
    table["predicted"] = predicted.mean(0)
    if len(predicted) > 1:
        table["predicted_sd"] = predicted.std(0, ddof=1)
    for name in BASELINES:
        table[_column(name)] = fit_predict(name, run.dataset, run.target, parts.train, parts.validation, parts.test)
    return table


def _predicted(network: Any, examples: GeneExamples, place: torch.device) -> np.ndarray:
    """(n,) predictions of a network in evaluation mode, which is at that place."""
    values = []
    with exact_convolutions(), torch.inference_mode():
        for begin in range(0, len(examples), _GENES_AT_A_TIME):
            some = list(range(begin, min(begin + _GENES_AT_A_TIME, len(examples))))
            values.append(network(examples.__getitems__(some).batch.to(place)).prediction.cpu().numpy())
    return np.concatenate(values).astype(np.float64)


def _column(baseline: str) -> str:
    return f"baseline_{baseline.replace(' ', '_')}"


def _history(run: Run) -> pd.DataFrame:
    """The epochs of all trainings of the run's folds."""
    tables = []
    for fold in run.folds:
        for seed in run.config.seeds:
            file = fold_folder(run.folder, fold) / f"seed_{seed}" / HISTORY_NAME
            if file.exists():
                table = pd.read_csv(file, sep="\t")
                tables.append(table.assign(fold=fold.name, seed=seed))
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables, ignore_index=True)
    return table[["fold", "seed", *(name for name in table if name not in ("fold", "seed"))]]


def _about(run: Run, table: pd.DataFrame) -> dict[str, Any]:
    manifest = run.dataset.manifest
    return {
        "preset": run.config.preset,
        "target": run.target,
        "dataset": run.dataset.path.name,
        "assembly": manifest.assembly,
        "cell_type": manifest.cell_type,
        "genes": len(table),
        "elements": run.dataset.n_elements,
        "pairs": len(run.dataset.pairs),
        "content_hash": run.dataset.content_hash(),
        "seeds": list(run.config.seeds),
        "folds": [fold.name for fold in run.folds],
        "sequence": run.network.sequence,
        "filters": [step.model_dump() for step in manifest.filters],
        "leakage": [sentence for fold in run.leakage.values() for sentence in fold],
        "package_version": __version__,
        "config": run.config.model_dump(mode="json") | {"network": run.network.model_dump(mode="json")},
    }
