"""The Lightning modules: a network, its loss and its optimiser."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from epinformer.errors import TrainingError
from epinformer.model.activity import ActivityModel
from epinformer.model.epinformer import EPInformer, Prediction
from epinformer.training.examples import GeneExample, WindowExample
from epinformer.training.settings import FitConfig

Example = GeneExample | WindowExample


class FitModule(lightning.LightningModule):
    """A network that learns to predict one number an example.

    Parameters
    ----------
    network
        What is trained.
    settings
        Loss and optimiser.
    seed
        Of dropout; with the epoch it decides all random numbers of training.
    dtype
        Type of the encoder's arithmetic.
    """

    network: nn.Module

    def __init__(self, network: nn.Module, settings: FitConfig, *, seed: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.seed = seed
        self.arithmetic = dtype

    def predicted(self, example: Any) -> Tensor:
        """(n,) predictions for the examples of a batch."""
        raise NotImplementedError

    @override
    def training_step(self, example: Example, index: int) -> Tensor:
        # From seed, epoch and step alone, so that a resumed training draws the same numbers. Once an epoch would not
        # do: data loaders draw some for themselves, and whether before or after depends on how the epoch began.
        place = (self.seed, self.current_epoch, index, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> 1))
        loss = regression_loss(self.predicted(example), example.target, self.settings)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} in epoch {self.current_epoch + 1}, step {index + 1}",
                fix="Lower fit.learning_rate or set fit.gradient_clip in a new run, and look for extreme signals with "
                "`epinformer inspect`; the state after the last whole epoch is kept",
            )
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(example.target), sync_dist=True)
        return loss

    @override
    def validation_step(self, example: Example, index: int) -> None:
        error = functional.mse_loss(self.predicted(example), example.target)
        self.log("validation_mse", error, on_epoch=True, batch_size=len(example.target), sync_dist=True)

    @override
    def on_validation_epoch_end(self) -> None:
        if not torch.isfinite(self.trainer.callback_metrics["validation_mse"]):
            raise TrainingError(
                f"predictions for the validation genes are not finite after epoch {self.current_epoch + 1}",
                fix="Lower fit.learning_rate or set fit.gradient_clip in a new run; the state before it is kept",
            )

    @override
    def configure_optimizers(self) -> Any:
        settings = self.settings
        optimiser = torch.optim.AdamW(
            [parameter for parameter in self.parameters() if parameter.requires_grad],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=settings.betas,
        )
        if settings.schedule == "constant" and not settings.warmup:
            return optimiser
        total = int(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            rising = settings.warmup * total
            if step < rising:
                return (step + 1) / (rising + 1)
            if settings.schedule == "constant":
                return 1.0
            return 0.5 * (1 + math.cos(math.pi * min((step - rising) / max(total - rising, 1), 1)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @override
    def transfer_batch_to_device(self, batch: Example, device: torch.device, dataloader_idx: int) -> Example:
        return batch.to(device)


class ExpressionModule(FitModule):
    """Trains `EPInformer`; a frozen encoder stays in evaluation mode, and its output comes with the examples."""

    network: EPInformer

    def __init__(
        self, network: EPInformer, settings: FitConfig, *, seed: int, dtype: torch.dtype, frozen: bool = False
    ) -> None:
        super().__init__(network, settings, seed=seed, dtype=dtype)
        self.frozen = frozen
        if frozen and network.encoder is not None:
            network.encoder.requires_grad_(False)

    @override
    def train(self, mode: bool = True) -> ExpressionModule:
        super().train(mode)
        if self.frozen and self.network.encoder is not None:
            self.network.encoder.eval()
        return self

    @override
    def predicted(self, example: GeneExample) -> Tensor:
        embeddings = (
            None if example.towers is None else self.network.embed_towers(example.towers, dtype=self.arithmetic)
        )
        output: Prediction = self.network(example.batch, embeddings, dtype=self.arithmetic)
        return output.prediction


class ActivityModule(FitModule):
    """Pretrains `ActivityModel`."""

    network: ActivityModel

    @override
    def predicted(self, example: WindowExample) -> Tensor:
        count, length = example.codes.shape
        lengths = torch.full((count,), length, dtype=torch.int64, device=example.codes.device)
        prediction: Tensor = self.network(example.codes.flatten(), lengths, dtype=self.arithmetic)
        return prediction


def regression_loss(predicted: Tensor, target: Tensor, settings: FitConfig) -> Tensor:
    """Loss of (n,) predictions.

    ``smooth_l1`` (paper, Methods) and ``mse`` are means over the batch. ``l1_kl`` is (L1 + w KL) / (1 + w): the mean
    absolute error, and the Kullback-Leibler divergence between the shares that the examples have of the batch,
    softmax(target) from softmax(prediction), which looks at their order and spread and not at their level.
    """
    if settings.loss == "smooth_l1":
        return functional.smooth_l1_loss(predicted, target)
    if settings.loss == "mse":
        return functional.mse_loss(predicted, target)
    shares = functional.log_softmax(target, 0)
    divergence = (shares.exp() * (shares - functional.log_softmax(predicted, 0))).sum()
    weight = settings.kl_weight
    return (functional.l1_loss(predicted, target) + weight * divergence) / (1 + weight)
