"""The options of networks of dense layers alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .strict import Depth, DropRate, Strict, Width

PatchSide = Annotated[int, Field(ge=1, le=256)]


class ResidualMLPConfig(Strict):
    """A feedforward network of residual blocks on the flattened pixels."""

    name: Literal["residual-mlp"] = "residual-mlp"
    depth: Depth = 3
    """Residual blocks."""
    width: Width = 512
    """Units between the blocks."""
    hidden: Width = 1024
    """Units within each block."""
    dropout: DropRate = 0.2
    """Share of the units within the blocks dropped in training."""
    drop_path: DropRate = 0.0
    """Share of residual branches dropped in training (stochastic depth), of the last block; the
    share grows from none at the first."""


class MixerConfig(Strict):
    """An MLP-Mixer: dense layers in turn across the patches and across their channels."""

    name: Literal["mixer"] = "mixer"
    patch: PatchSide = 4
    """Side of the square patches in pixels; it divides the sides of the images."""
    dim: Width = 96
    """Channels of a patch."""
    depth: Depth = 4
    """Blocks."""
    patch_hidden: Width = 64
    """Hidden units of the dense layers across patches."""
    channel_hidden: Width = 256
    """Hidden units of the dense layers across channels."""
    dropout: DropRate = 0.0
    """Share of what each branch adds that is dropped in training."""
    drop_path: DropRate = 0.0
    """Share of residual branches dropped in training (stochastic depth), of the last block; the
    share grows from none at the first."""
