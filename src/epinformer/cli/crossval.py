"""`epinformer crossval`."""

from __future__ import annotations

import logging

from epinformer.cli.console import progress
from epinformer.cli.training_options import (
    AllowLeakage,
    Changes,
    Config,
    Data,
    Device,
    Devices,
    Folds,
    Nodes,
    Output,
    Preset,
    names,
)

_log = logging.getLogger(__name__)


def crossval(
    data: Data,
    output: Output,
    preset: Preset = None,
    config: Config = None,
    changes: Changes = None,
    folds: Folds = None,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    allow_leakage: AllowLeakage = False,
) -> None:
    """Cross-validate a model over chromosomes, beside baselines that know less.

    Trains every fold's models, predicts with them the genes of the chromosomes that the fold tests, does the same with
    the baselines, and compares. A table goes to stderr; RUN gets predictions.tsv, metrics.json, figures and
    report.html. The same command goes on after any interruption.

    \b
    Examples:
      epinformer crossval --data k562.dataset -o run
      epinformer crossval --data k562.dataset -o paper --preset published
      epinformer crossval --data k562.dataset -o run --folds 1,2 --set seeds=[1]
      epinformer crossval --data k562.dataset -o loco --set folds=chromosomes --config mine.yaml
    """
    from epinformer.dataset.store import open_dataset
    from epinformer.evaluation.crossval import evaluate_crossval
    from epinformer.model.hardware import training_hardware
    from epinformer.report.crossval import summary, write_crossval
    from epinformer.training.crossval import crossval as run
    from epinformer.training.settings import TrainConfig, load_run_config

    settings = load_run_config(TrainConfig, preset, config, changes or ())
    hardware = training_hardware(device, devices, nodes)
    with progress("training steps") as show:
        result = run(
            open_dataset(data),
            output,
            settings,
            folds=names(folds),
            hardware=hardware,
            allow_leakage=allow_leakage,
            progress=show,
        )
    if not hardware.leads:
        return
    evaluation = evaluate_crossval(result.table, result.baselines)
    write_crossval(output, evaluation, result.table, history=result.history, about=result.about)
    _log.info("%s", summary(evaluation))
    _log.info("wrote %s", output / "report.html")
