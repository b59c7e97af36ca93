"""`epinformer pretrain`."""

from __future__ import annotations

import logging

from epinformer.cli.console import progress
from epinformer.cli.training_options import Changes, Config, Data, Device, Devices, Folds, Nodes, Output, names

_log = logging.getLogger(__name__)


def pretrain(
    data: Data,
    output: Output,
    config: Config = None,
    changes: Changes = None,
    folds: Folds = None,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
) -> None:
    """Pretrain the sequence encoder on enhancer activity.

    Learns log2(0.1 + activity) of 256-bp windows from their bases, one model a fold, RUN/fold_NAME/encoder.model, and
    writes what each predicts for the windows that its fold tests. `train` and `crossval` start from them with
    --set encoder=RUN; with --set encoder.freeze=true they leave them as they are. The same command goes on after any
    interruption.

    \b
    Examples:
      epinformer pretrain --data k562.dataset -o encoders
      epinformer pretrain --data k562.dataset -o encoders --folds 1,2 --set fit.loss=l1_kl
      epinformer crossval --data k562.dataset -o run --set encoder=encoders
    """
    from epinformer.dataset.store import open_dataset
    from epinformer.evaluation.expression import evaluate
    from epinformer.model.hardware import training_hardware
    from epinformer.report.evaluation import summary, write_evaluation
    from epinformer.training.pretrain import pretrain as run
    from epinformer.training.settings import PretrainConfig, load_run_config

    settings = load_run_config(PretrainConfig, None, config, changes or ())
    hardware = training_hardware(device, devices, nodes)
    with progress("training steps") as show:
        result = run(open_dataset(data), output, settings, folds=names(folds), hardware=hardware, progress=show)
    if not hardware.leads:
        return
    evaluation = evaluate(result.table)
    write_evaluation(evaluation, output)
    _log.info("%s", summary(evaluation, "windows"))
    for model in result.models:
        _log.info("wrote %s", model)
