"""Names and shapes of the tensors in the authors' checkpoints, and ours for them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from epinformer.errors import ModelError
from epinformer.model.config import ModelConfig

_ONLY_PUBLISHED = "Only whole checkpoints of the published models can be imported; download it again if it is one"


class Slot(NamedTuple):
    """One tensor: our name, the authors', our shape, and the shapes in which the authors store it."""

    ours: str
    theirs: str
    shape: tuple[int, ...]
    stored: tuple[tuple[int, ...], ...]


def renamed(raw: dict[str, Tensor], config: ModelConfig, path: Path) -> dict[str, Tensor]:
    """Check every tensor of an authors' state dict and give it our name and shape.

    Parameters
    ----------
    raw
        Tensors on the CPU by the authors' names.
    config
        The published model that they should be.
    path
        The file they come from, for messages.

    Raises
    ------
    ModelError
        A tensor is missing, unknown, of the wrong shape or type, or not finite; the first is named.
    """
    slots = published_slots(config)
    missing = [slot.theirs for slot in slots if slot.theirs not in raw]
    if missing:
        raise ModelError(
            "lacks tensors of the published model",
            source=path,
            count=len(missing),
            first=missing[0],
            fix=_ONLY_PUBLISHED,
        )
    known = {slot.theirs for slot in slots}
    extra = [name for name in raw if name not in known]
    if extra:
        raise ModelError(
            "holds tensors that no published model has",
            source=path,
            count=len(extra),
            first=extra[0],
            fix=_ONLY_PUBLISHED,
        )
    wrong = [slot for slot in slots if tuple(raw[slot.theirs].shape) not in slot.stored]
    if wrong:
        slot = wrong[0]
        found, expected = tuple(raw[slot.theirs].shape), slot.stored[0]
        raise ModelError(
            "holds tensors of the wrong shape",
            source=path,
            count=len(wrong),
            first=f"{slot.theirs} is {found}, not {expected}",
            fix=_ONLY_PUBLISHED,
        )
    state = {}
    for slot in slots:
        value = raw[slot.theirs].detach()
        counter = slot.ours.endswith("num_batches_tracked")
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_floating_point() == counter:
            raise ModelError(
                "holds a tensor of the wrong type",
                source=path,
                first=f"{slot.theirs} is {value.dtype}",
                fix=_ONLY_PUBLISHED,
            )
        state[slot.ours] = value.reshape(slot.shape).to(torch.int64 if counter else torch.float32).clone()
    bad = [slot.theirs for slot in slots if not torch.isfinite(state[slot.ours]).all()]
    if bad:
        raise ModelError(
            "holds weights that are not finite", source=path, count=len(bad), first=bad[0], fix=_ONLY_PUBLISHED
        )
    return state


def published_slots(config: ModelConfig) -> list[Slot]:
    """List every tensor of a published model, parameters and buffers."""
    return _activity_slots(config) if config.kind == "activity" else _expression_slots(config)


def _tensor(ours: str, theirs: str, *shape: int, stored: tuple[int, ...] | None = None) -> Slot:
    return Slot(ours, theirs, shape, (shape,) if stored is None else (stored, shape))


def _affine(ours: str, theirs: str, *shape: int) -> list[Slot]:
    """List weight and bias of a linear layer or a normalisation."""
    return [
        _tensor(f"{ours}.weight", f"{theirs}.weight", *shape),
        _tensor(f"{ours}.bias", f"{theirs}.bias", shape[0]),
    ]


def _conv(ours: str, theirs: str, out: int, into: int, kernel: int) -> list[Slot]:
    """List a convolution that the authors run in two dimensions, of height 1."""
    return [
        _tensor(f"{ours}.weight", f"{theirs}.weight", out, into, kernel, stored=(out, into, 1, kernel)),
        _tensor(f"{ours}.bias", f"{theirs}.bias", out),
    ]


def _pointwise(ours: str, theirs: str, out: int, into: int) -> list[Slot]:
    """List a linear layer that the authors write as a convolution of width 1."""
    return [
        _tensor(f"{ours}.weight", f"{theirs}.weight", out, into, stored=(out, into, 1)),
        _tensor(f"{ours}.bias", f"{theirs}.bias", out),
    ]


def _batch_norm(ours: str, theirs: str, channels: int) -> list[Slot]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return [
        *(_tensor(f"{ours}.{part}", f"{theirs}.{part}", channels) for part in parts),
        _tensor(f"{ours}.num_batches_tracked", f"{theirs}.num_batches_tracked"),
    ]


def _encoder_slots(config: ModelConfig, theirs: str) -> list[Slot]:
    slots = _conv("encoder.stem", f"{theirs}.stem_conv.0", config.stem_channels, 4, config.stem_kernel)
    into = config.stem_channels
    for i, out in enumerate(config.block_channels):
        ours = f"encoder.blocks.{i}"
        slots += _conv(f"{ours}.conv", f"{theirs}.conv_tower.{2 * i}.0", out, into, 3)
        slots += _batch_norm(f"{ours}.norm", f"{theirs}.conv_tower.{2 * i}.1", out)
        slots += _conv(f"{ours}.pointwise", f"{theirs}.conv_tower.{2 * i + 1}.0", out, out, 1)
        into = out
    return slots


def _expression_slots(config: ModelConfig) -> list[Slot]:
    slots = _encoder_slots(config, "seq_encoder")
    positions = config.sequence_length // 2 ** len(config.block_channels)
    into = config.block_channels[-1]
    for i, dilation in enumerate(config.dilations):
        ours = f"embedding.dilated.{i}"
        slots += _conv(f"{ours}.conv", f"conv_out.{3 * i}", config.dilated_channels, into, 3)
        slots += _batch_norm(f"{ours}.norm", f"conv_out.{3 * i + 1}", config.dilated_channels)
        into = config.dilated_channels
        positions -= 2 * dilation
    slots += _conv("embedding.reduce", "conv_out.9", config.reduced_channels, into, 1)
    slots += _batch_norm("embedding.reduce_norm", "conv_out.10", config.reduced_channels)
    width = config.width
    slots += _affine("embedding.positions", "conv_out.12", width // config.reduced_channels, positions)
    slots += _pointwise("fusion.hidden", "add_pos_conv.0", width, width + len(config.pair_features))
    slots += _pointwise("fusion.output", "add_pos_conv.2", width, width)
    for i in range(config.layers):
        ours, theirs = f"interaction.layers.{i}", f"attn_encoder.{i}"
        slots += _affine(f"{ours}.attention_norm", f"{theirs}.norm1", width)
        slots += [
            _tensor(f"{ours}.qkv.weight", f"{theirs}.self_attn.in_proj_weight", 3 * width, width),
            _tensor(f"{ours}.qkv.bias", f"{theirs}.self_attn.in_proj_bias", 3 * width),
        ]
        slots += _affine(f"{ours}.attention_output", f"{theirs}.self_attn.out_proj", width, width)
        slots += _affine(f"{ours}.feedforward_norm", f"{theirs}.norm2", width)
        slots += _affine(f"{ours}.expand", f"{theirs}.ff.0", config.feedforward, width)
        slots += _affine(f"{ours}.contract", f"{theirs}.ff.2", width, config.feedforward)
    slots += _affine("predictor.hidden1", "pToExpr.0", config.hidden, width + len(config.gene_features))
    slots += _affine("predictor.hidden2", "pToExpr.2", config.hidden, config.hidden)
    return slots + _affine("predictor.output", "pToExpr.4", 1, config.hidden)


def _activity_slots(config: ModelConfig) -> list[Slot]:
    slots = _encoder_slots(config, "encoder")
    halvings = len(config.block_channels)
    flat = config.block_channels[-1] * (config.sequence_length // 2**halvings)
    slots += _affine("dense1", "embedToAct.1", config.hidden, flat)
    slots += _batch_norm("norm1", "embedToAct.2", config.hidden)
    slots += _affine("dense2", "embedToAct.5", config.hidden, config.hidden)
    slots += _batch_norm("norm2", "embedToAct.6", config.hidden)
    return slots + _affine("output", "embedToAct.9", 1, config.hidden)
