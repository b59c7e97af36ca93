"""The whole way on made-up data, for somebody who has none: every command, in order, with what it writes."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from epinformer.config import load_config
from epinformer.dataset.store import open_dataset
from epinformer.errors import OutputError
from epinformer.evaluation.crossval import evaluate_crossval
from epinformer.evaluation.expression import Evaluation, evaluate
from epinformer.model.checkpoint import load_model
from epinformer.prepare.build import prepare
from epinformer.report.crossval import summary, write_crossval
from epinformer.report.evaluation import write_evaluation
from epinformer.report.links import write_links
from epinformer.report.tables import write_table
from epinformer.scoring.links import link_tables
from epinformer.scoring.predict import predict
from epinformer.simulation.simulate import simulate
from epinformer.training.crossval import crossval
from epinformer.training.pretrain import pretrain
from epinformer.training.settings import PretrainConfig, TrainConfig, load_run_config

logger = logging.getLogger(__name__)

Meter = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]

FOLDS = ("1", "2")
SCHEDULE = ("fit.schedule=cosine", "fit.warmup=0.1", "fit.patience=null", "fit.keep=last", "fit.precision=bf16")
PRETRAIN = ("fit.max_epochs=4", "fit.batch=64", "fit.learning_rate=0.002", *SCHEDULE)
TRAIN = (
    *("encoder=encoders", "encoder.freeze=true"),
    *("fit.batch=32", "fit.max_epochs=40", "fit.min_steps=0", "fit.precision=bf16", "seeds=[1]"),
)
"""What the demonstration changes of the presets: training for minutes, not hours, on few genes."""


class Demo(NamedTuple):
    """Where the demonstration left its results, and how the predictions compare with what was simulated."""

    folder: Path
    report: Path
    evaluation: Evaluation


def demo(output: str | Path, *, genes: int = 300, meter: Meter) -> Demo:
    """Simulate, prepare, pretrain, cross-validate, predict, evaluate and score links, in one folder.

    The folder may hold an earlier demonstration, which then goes on where it was stopped.

    Parameters
    ----------
    output
        The folder, made if it is not there.
    genes
        How many to simulate.
    meter
        Gives for the name of a step a context whose value is its progress function.

    Raises
    ------
    OutputError
        The folder cannot be written to.
    """
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    simulated, dataset_path = folder / "simulated", folder / "simulated.dataset"
    encoders, run, predictions = folder / "encoders", folder / "run", folder / "predictions.tsv"
    links = folder / "links.tsv"
    folds = ",".join(FOLDS)

    if not simulated.exists():
        _say(f"epinformer simulate -o {simulated} --genes {genes}")
        with meter("simulating") as show:
            simulate(simulated, genes=genes, progress=show)
    if not dataset_path.exists():
        config_path = simulated / "config_raw.yaml"
        _say(f"epinformer prepare {config_path} -o {dataset_path}")
        with meter("preparing") as show:
            prepare(load_config(config_path), dataset_path, progress=show)
    dataset = open_dataset(dataset_path)
    if dataset.n_genes != genes:
        raise OutputError(
            f"holds a demonstration of {dataset.n_genes:,} genes, not of {genes:,}",
            source=folder,
            fix="Name another folder",
        )

    _say(f"epinformer pretrain --data {dataset_path} -o {encoders} --folds {folds}{_options(PRETRAIN)}")
    with meter("pretraining steps") as show:
        settings = load_run_config(PretrainConfig, "pretrain", None, PRETRAIN)
        pretrained = pretrain(dataset, encoders, settings, folds=FOLDS, progress=show)
    write_evaluation(evaluate(pretrained.table), encoders)

    # Quoted for YAML, since a folder may be called anything.
    changes = [change.replace("encoder=encoders", f"encoder={json.dumps(str(encoders))}") for change in TRAIN]
    changes = ["target=expression_rna", *changes]
    _say(f"epinformer crossval --data {dataset_path} -o {run} --folds {folds}{_options(changes)}")
    with meter("training steps") as show:
        config = load_run_config(TrainConfig, "default", None, changes)
        result = crossval(dataset, run, config, folds=FOLDS, progress=show)
    compared = evaluate_crossval(result.table, result.baselines)
    write_crossval(run, compared, result.table, history=result.history, about=result.about)
    logger.info("%s", summary(compared))

    models = sorted(run.glob("fold_*/seed_*.model"))
    tested = result.table["gene_id"].tolist()
    options = " ".join(f"--model {model}" for model in models)
    _say(f"epinformer predict {options} --data {dataset_path} --genes {run / 'predictions.tsv'} -o {predictions}")
    with meter("sequences encoded") as show:
        table = predict([load_model(model) for model in models], dataset, genes=tested, progress=show).table
    write_table(table, predictions)

    _say(f"epinformer evaluate {predictions} -o {folder / 'evaluation'}")
    evaluation = evaluate(predictions)
    write_evaluation(evaluation, folder / "evaluation")

    _say(f"epinformer links {options} --data {dataset_path} --genes {run / 'predictions.tsv'} -o {links}")
    with meter("knock-outs") as show:
        tables = link_tables([load_model(model) for model in models], dataset, genes=tested, progress=show)
        write_links(tables, links)
    return Demo(folder, run / "report.html", evaluation)


def _say(command: str) -> None:
    logger.info("\n$ %s", command)


def _options(changes: Sequence[str]) -> str:
    """The changes as options that a shell takes as they are."""
    return "".join(f" --set {shlex.quote(change)}" for change in changes)
