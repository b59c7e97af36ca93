"""`epinformer train`."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from epinformer.cli.console import progress
from epinformer.cli.training_options import (
    AllowLeakage,
    Changes,
    Config,
    Data,
    Device,
    Devices,
    Nodes,
    Output,
    Preset,
    names,
)

_log = logging.getLogger(__name__)


def train(
    data: Data,
    output: Output,
    fold: Annotated[str, typer.Option("--fold", metavar="NAME", help="The fold, or several separated by commas.")],
    preset: Preset = None,
    config: Config = None,
    changes: Changes = None,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    allow_leakage: AllowLeakage = False,
) -> None:
    """Train the models of one fold.

    Makes RUN/fold_NAME/seed_N.model for each seed of the preset. The same command goes on after any interruption and
    ends with the same weights. `crossval` in the same RUN uses what is there, so folds can be trained by different
    jobs.

    \b
    Examples:
      epinformer train --data k562.dataset --fold 11 -o run
      epinformer train --data k562.dataset --fold 11 -o run --preset published --set network.variant=PE
      epinformer train --data k562.dataset --fold 1 -o run --set encoder=pretrained --set fit.precision=bf16
    """
    from epinformer.dataset.store import open_dataset
    from epinformer.model.hardware import training_hardware
    from epinformer.training.settings import TrainConfig, load_run_config
    from epinformer.training.train import train as run

    settings = load_run_config(TrainConfig, preset, config, changes or ())
    hardware = training_hardware(device, devices, nodes)
    with progress("training steps") as show:
        models = run(
            open_dataset(data),
            output,
            settings,
            folds=names(fold),
            hardware=hardware,
            allow_leakage=allow_leakage,
            progress=show,
        )
    if hardware.leads:
        for model in models:
            _log.info("wrote %s", model)
