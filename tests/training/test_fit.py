from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from epinformer.dataset.store import Dataset
from epinformer.dataset.windows import encoder_windows
from epinformer.errors import OutputError, TrainingError
from epinformer.model.activity import ActivityModel
from epinformer.model.config import ModelConfig, activity_config
from epinformer.model.epinformer import EPInformer
from epinformer.model.hardware import Hardware
from epinformer.training.examples import GeneExample, GeneExamples, WindowExample, WindowExamples
from epinformer.training.fit import Fitted, fit
from epinformer.training.module import ActivityModule, ExpressionModule, FitModule
from epinformer.training.resolve import resolve_network
from epinformer.training.settings import FitConfig, TrainConfig, load_run_config
from epinformer.training.state import STATE_NAME, Record
from epinformer.training.train import train

from .conftest import QUICK

TRAINING, VALIDATION = np.arange(0, 150), np.arange(150, 200)


class Stopped(BaseException):
    """As if killed."""


def network_config(dataset: Dataset, quick: TrainConfig, **changes: object) -> ModelConfig:
    made = resolve_network(quick.network, dataset, preset="quick", target="expression_rna")
    return made.model_copy(update=changes)


def run(
    dataset: Dataset, config: ModelConfig, settings: FitConfig, folder: Path, seed: int = 1
) -> tuple[EPInformer, Fitted]:
    torch.manual_seed(seed)
    module = ExpressionModule(EPInformer(config), settings, seed=seed, dtype=torch.float32)
    examples = [GeneExamples(dataset, config, genes) for genes in (TRAINING, VALIDATION)]
    fitted = fit(module, examples[0], examples[1], folder, settings, hardware=Hardware())
    return module.network, fitted


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_learns_and_keeps_the_kept_epoch(signals: Dataset, quick: TrainConfig, tmp_path: Path) -> None:
    settings = quick.fit.model_copy(update={"max_epochs": 12})
    config = network_config(signals, quick)
    network, fitted = run(signals, config, settings, tmp_path / "run")
    history = fitted.history
    assert history["epoch"].tolist() == list(range(1, len(history) + 1))
    assert fitted.kept_epoch == history["epoch"][history["validation_mse"].idxmin()]
    assert fitted.kept_mse == history["validation_mse"].min()
    assert history["validation_mse"].iloc[-1] < 0.7 * history["validation_mse"].iloc[0]
    examples = GeneExamples(signals, config, VALIDATION)
    with torch.inference_mode():
        batch = examples.__getitems__(list(range(len(examples))))
        error = torch.nn.functional.mse_loss(network(batch.batch).prediction, batch.target)
    assert error.item() == pytest.approx(fitted.kept_mse, rel=1e-5)
    assert not network.training
    written = pd.read_csv(tmp_path / "run" / "history.tsv", sep="\t")
    np.testing.assert_allclose(written["validation_mse"], history["validation_mse"], rtol=1e-5)
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_the_last_epoch_can_be_kept(
    signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a training that gets worse, `best` keeps the first epoch and `last` the last."""
    monkeypatch.setattr(
        FitModule, "configure_optimizers", lambda self: torch.optim.SGD(self.parameters(), lr=1e-3, maximize=True)
    )
    config = network_config(signals, quick)
    for keep, epoch in (("best", 1), ("last", 3)):
        _, fitted = run(signals, config, quick.fit.model_copy(update={"keep": keep}), tmp_path / keep)
        assert fitted.kept_epoch == epoch
        assert fitted.kept_mse == fitted.history["validation_mse"].iloc[epoch - 1]


def test_the_callers_random_numbers_stay(signals: Dataset, quick: TrainConfig, tmp_path: Path) -> None:
    config = network_config(signals, quick)
    module = ExpressionModule(EPInformer(config), quick.fit, seed=1, dtype=torch.float32)
    examples = GeneExamples(signals, config, TRAINING)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit(module, examples, examples, tmp_path / "run", quick.fit, hardware=Hardware())
    assert torch.equal(torch.rand(3), expected)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    signals: Dataset, quick: TrainConfig, tmp_path: Path
) -> None:
    config = network_config(signals, quick)
    first, _ = run(signals, config, quick.fit, tmp_path / "a")
    again, _ = run(signals, config, quick.fit, tmp_path / "b")
    other, _ = run(signals, config, quick.fit, tmp_path / "c", seed=2)
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("after", [1, 2])
def test_goes_on_after_a_stop_with_the_weights_of_an_uninterrupted_run(
    after: int, schedule: str, signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick.fit.model_copy(update={"max_epochs": 4, "schedule": schedule, "warmup": 0.1, "patience": 2})
    config = network_config(signals, quick)
    whole, fitted = run(signals, config, settings, tmp_path / "whole")

    step = FitModule.training_step

    def stopping(self: FitModule, example: GeneExamples, index: int) -> torch.Tensor:
        if self.current_epoch == after and index == 1:
            raise Stopped
        return step(self, example, index)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(FitModule, "training_step", stopping)
        run(signals, config, settings, tmp_path / "stopped")
    state = torch.load(tmp_path / "stopped" / STATE_NAME, weights_only=True)
    assert len(state["callbacks"]["Record"]["history"]) == after
    resumed, again = run(signals, config, settings, tmp_path / "stopped")
    assert same(whole, resumed)
    columns = ["epoch", "train_loss", "validation_mse", "learning_rate"]
    pd.testing.assert_frame_equal(again.history[columns], fitted.history[columns])
    assert again[1:] == fitted[1:]


def test_dropout_is_the_same_after_a_stop(bases: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The enhancer-activity model draws random numbers in every step; a resumed training draws the same."""
    windows = encoder_windows(bases, 1, 156)
    target = np.log2(0.1 + windows.table["activity"].to_numpy())
    settings = FitConfig(max_epochs=3, batch=32, patience=None, keep="last")

    def pretrained(folder: Path) -> ActivityModel:
        torch.manual_seed(1)
        module = ActivityModule(ActivityModel(activity_config()), settings, seed=1, dtype=torch.float32)
        examples = WindowExamples(windows.codes, target, np.arange(64), both_strands=True)
        fit(module, examples, examples, folder, settings, hardware=Hardware())
        return module.network

    whole = pretrained(tmp_path / "whole")
    step = FitModule.training_step

    def stopping(self: FitModule, example: WindowExample, index: int) -> torch.Tensor:
        if self.current_epoch == 1 and index == 2:
            raise Stopped
        return step(self, example, index)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(FitModule, "training_step", stopping)
        pretrained(tmp_path / "stopped")
    torch.manual_seed(99)
    assert same(whole, pretrained(tmp_path / "stopped"))


def test_early_stopping_survives_a_stop(
    signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that never falls after the first epoch ends training after `patience` more, also when resumed."""
    monkeypatch.setattr(FitModule, "configure_optimizers", lambda self: torch.optim.SGD(self.parameters(), lr=0.0))
    settings = quick.fit.model_copy(update={"max_epochs": 9, "patience": 3})
    config = network_config(signals, quick)
    _, fitted = run(signals, config, settings, tmp_path / "whole")
    assert len(fitted.history) == 4 and fitted.kept_epoch == 1
    epochs = Record.on_train_epoch_end

    for last in (2, 4):  # after the fourth epoch training was at its end, though it could not say so

        def stopping(self: Record, trainer: object, module: object, last: int = last) -> None:
            epochs(self, trainer, module)  # type: ignore[arg-type]
            if len(self.history) == last:
                raise Stopped

        folder = tmp_path / f"stopped_{last}"
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(Record, "on_train_epoch_end", stopping)
            run(signals, config, settings, folder)
        _, resumed = run(signals, config, settings, folder)
        assert len(resumed.history) == 4 and resumed.kept_epoch == 1


KILLED = """
import os, signal, sys, torch
from epinformer.dataset.store import open_dataset
from epinformer.training.settings import TrainConfig, load_run_config
from epinformer.training.train import train

torch.set_num_threads(1)
sync, writes = os.fsync, []


def killed_in_the_third_write_of_the_state(descriptor):
    writes.append(os.readlink(f"/proc/self/fd/{descriptor}").endswith("training.ckpt"))
    if sum(writes) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(descriptor)


os.fsync = killed_in_the_third_write_of_the_state
config = load_run_config(TrainConfig, "published", None, sys.argv[3:])
train(open_dataset(sys.argv[1]), sys.argv[2], config, folds=["1"])
"""


@pytest.fixture
def one_thread() -> Iterator[None]:
    """What is compared to the bit with another process's result is computed as there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_kill_9_within_a_write(signals: Dataset, tmp_path: Path, one_thread: None) -> None:
    """The process kills itself, so that the moment is the same however fast the machine is."""
    settings = [*QUICK, "fit.max_epochs=5", "seeds=[1]"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", KILLED, str(signals.path), str(killed), *settings]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    state = killed / "fold_1" / "seed_1" / STATE_NAME
    assert len(torch.load(state, weights_only=True)["callbacks"]["Record"]["history"]) == 2
    for folder in (killed, whole):
        train(signals, folder, load_run_config(TrainConfig, "published", None, settings), folds=["1"])
    weights = "fold_1/seed_1.model/model.safetensors"
    assert (killed / weights).read_bytes() == (whole / weights).read_bytes()
    assert not state.exists()


def test_a_loss_that_is_not_finite_stops_and_the_last_good_state_stays(
    signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = network_config(signals, quick)
    predicted = ExpressionModule.predicted

    def spoilt(self: ExpressionModule, example: GeneExample) -> torch.Tensor:
        values = predicted(self, example)
        return values * float("nan") if self.current_epoch == 2 and self.training else values

    with monkeypatch.context() as patch:
        patch.setattr(ExpressionModule, "predicted", spoilt)
        with pytest.raises(TrainingError, match=r"run: the loss is nan in epoch 3, step 1.*Lower fit\.learning_rate"):
            run(signals, config, quick.fit, tmp_path / "run")
    history = pd.read_csv(tmp_path / "run" / "history.tsv", sep="\t")
    assert history["epoch"].tolist() == [1, 2]
    _, fitted = run(signals, config, quick.fit, tmp_path / "run")
    assert len(fitted.history) == 3


def test_validation_that_is_not_finite_stops(
    signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted = ExpressionModule.predicted

    def spoilt(self: ExpressionModule, example: GeneExample) -> torch.Tensor:
        return predicted(self, example) * (1.0 if self.training else float("inf"))

    monkeypatch.setattr(ExpressionModule, "predicted", spoilt)
    with pytest.raises(TrainingError, match="not finite after epoch 1"):
        run(signals, network_config(signals, quick), quick.fit, tmp_path / "run")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory: 9 TB"),
                                   torch.OutOfMemoryError("CUDA out of memory")])  # fmt: skip
def test_too_little_memory_names_the_setting(
    error: Exception, signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: ExpressionModule, example: GeneExample) -> torch.Tensor:
        raise error

    monkeypatch.setattr(ExpressionModule, "predicted", fails)
    with pytest.raises(TrainingError, match=r"memory is too small for batches of 32\. Lower fit\.batch"):
        run(signals, network_config(signals, quick), quick.fit, tmp_path / "run")


class Dying(GeneExamples):
    """Its process dies over the second batch of the second epoch."""

    served = 0

    def __getitems__(self, indices: list[int]) -> GeneExample:
        self.served += 1
        if torch.utils.data.get_worker_info() is not None and self.served > 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitems__(indices)


# What the dead process held open is found by the garbage collector, which cannot raise.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loading_process_that_dies(signals: Dataset, quick: TrainConfig, tmp_path: Path) -> None:
    config, settings = network_config(signals, quick), quick.fit.model_copy(update={"workers": 1})
    module = ExpressionModule(EPInformer(config), settings, seed=1, dtype=torch.float32)
    validation = GeneExamples(signals, config, VALIDATION)
    training = Dying(signals, config, TRAINING)
    with pytest.raises(TrainingError, match=r"loads data died.*Lower fit\.workers"):
        fit(module, training, validation, tmp_path / "run", settings, hardware=Hardware())
    gc.collect()
    assert (tmp_path / "run" / STATE_NAME).exists()
    _, fitted = run(signals, config, quick.fit, tmp_path / "run")
    assert len(fitted.history) == 3


def test_loading_processes_change_nothing(signals: Dataset, quick: TrainConfig, tmp_path: Path) -> None:
    config = network_config(signals, quick)
    alone, _ = run(signals, config, quick.fit, tmp_path / "alone")
    helped, _ = run(signals, config, quick.fit.model_copy(update={"workers": 2}), tmp_path / "helped")
    assert same(alone, helped)


@pytest.mark.parametrize("write", [1, 2, 3, 4])
def test_a_full_disk(
    write: int, signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write fails, of the state or of TensorBoard, is told, and the run goes on from what is there."""
    config, settings = network_config(signals, quick), quick.fit.model_copy(update={"max_epochs": 2})
    sync, synced = os.fsync, []

    def full(descriptor: int) -> None:
        # TensorBoard's own thread may write, too, if it happens to begin late; nobody would hear of its failure.
        if threading.current_thread() is threading.main_thread():
            synced.append(descriptor)
            if len(synced) == write:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"cannot be written.*No space left on device\. Free some space"):
            run(signals, config, settings, tmp_path / "run")
    left = {path.name for path in (tmp_path / "run").iterdir() if "events" not in path.name}
    assert left <= {".lock", "history.tsv", "hparams.yaml", STATE_NAME}
    resumed, fitted = run(signals, config, settings, tmp_path / "run")
    whole, _ = run(signals, config, settings, tmp_path / "whole")
    assert len(fitted.history) == 2 and same(resumed, whole)


def test_a_damaged_state(signals: Dataset, quick: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / STATE_NAME).write_bytes(b"PK\3\4 but not much more")
    with pytest.raises(TrainingError, match=r"training\.ckpt: is damaged.*Remove it"):
        run(signals, network_config(signals, quick), quick.fit, tmp_path / "run")


def test_a_state_that_would_run_code_is_refused(signals: Dataset, quick: TrainConfig, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'executed'}",)

    (tmp_path / "run").mkdir()
    torch.save({"callbacks": Evil()}, tmp_path / "run" / STATE_NAME)
    with pytest.raises(TrainingError, match="is damaged"):
        run(signals, network_config(signals, quick), quick.fit, tmp_path / "run")
    assert not (tmp_path / "executed").exists()


@pytest.mark.filterwarnings("ignore:.*graceful shutdown.*")
def test_ctrl_c_is_an_interrupt(
    signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupted(self: ExpressionModule, example: GeneExample) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(ExpressionModule, "predicted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(signals, network_config(signals, quick), quick.fit, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


def test_processes_that_are_not_there_are_missed(
    signals: Dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher that starts one process where two are to share the genes must not train on half of them."""
    monkeypatch.setattr(Hardware, "share", lambda self: {"rank": 0, "world": 2})
    with pytest.raises(TrainingError, match="process 0 of 1 is at work, where process 0 of 2 was expected"):
        run(signals, network_config(signals, quick), quick.fit, tmp_path / "run")


def test_two_processes_train_together(signals: Dataset, tmp_path: Path) -> None:
    """Each takes half of the genes; all end with the same weights, and only the first writes."""
    script = tmp_path / "together.py"
    script.write_text(
        "import sys, torch\n"
        "from epinformer.dataset.store import open_dataset\n"
        "from epinformer.model.hardware import Hardware\n"
        "from epinformer.training.crossval import crossval\n"
        "from epinformer.training.settings import TrainConfig, load_run_config\n"
        "torch.set_num_threads(1)\n"
        "config = load_run_config(TrainConfig, 'published', None, sys.argv[3:])\n"
        "hardware = Hardware(devices=2)\n"
        "result = crossval(open_dataset(sys.argv[1]), sys.argv[2], config, folds=['1'], hardware=hardware)\n"
        "print(hardware.share()['rank'], len(result.table))\n"
    )
    command = [sys.executable, str(script), str(signals.path), str(tmp_path / "run"), *QUICK, "fit.max_epochs=2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")[:2]) == ["0 20", "1 0"]
    assert sorted(path.name for path in (tmp_path / "run" / "fold_1").glob("*.model")) == [
        *("seed_1.model", "seed_2.model")
    ]
