"""The options of networks with attention between places."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .feedforward import PatchSide
from .strict import Depth, DropRate, Strict, Width

Ratio = Annotated[float, Field(gt=0, le=16)]


class TransformerConfig(Strict):
    """What every transformer over one sequence of tokens has."""

    dim: Width = 96
    """Width of a token."""
    depth: Depth = 4
    """Transformer blocks."""
    heads: Width = 4
    """Attention heads; they divide `dim`."""
    mlp_ratio: Ratio = 2.0
    """Hidden width of a block's feedforward part, as a multiple of `dim`."""
    dropout: DropRate = 0.0
    """Share of what each branch adds that is dropped in training."""
    drop_path: DropRate = 0.0
    """Share of residual branches dropped in training (stochastic depth), of the last block; the
    share grows from none at the first."""

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide dim ({self.dim})")
        return self


class ViTConfig(TransformerConfig):
    """A vision transformer."""

    name: Literal["vit"] = "vit"
    patch: PatchSide = 4
    """Side of a token's square in pixels."""
    embedding: Literal["patches", "convolutions"] = "patches"
    """Tokens from patches by one linear map, whose side divides the sides of the images, or by a
    stack of 3x3 convolutions of stride 2, for which it is a power of two."""
    readout: Literal["class-token", "mean"] = "class-token"
    """What the head reads: a token of its own, or the mean over all tokens."""

    @model_validator(mode="after")
    def _convolutions_halve(self) -> Self:
        if self.embedding == "convolutions" and self.patch not in (2, 4, 8, 16, 32, 64, 128, 256):
            raise ValueError(
                f"embedding=convolutions halves the side again and again, and patch ({self.patch}) "
                "is no power of two from 2: set model.patch=4 or model.embedding=patches"
            )
        return self


class CCTConfig(TransformerConfig):
    """A compact convolutional transformer."""

    name: Literal["cct"] = "cct"
    channels: Annotated[tuple[Width, ...], Field(max_length=7)] = (32,)
    """Filters of the tokenizer's convolutions but the last, which has `dim`; each halves the
    resolution."""
    depth: Depth = 3
    """Transformer blocks."""


class CoAtNetConfig(Strict):
    """Stages of convolutions, then stages of relative attention."""

    name: Literal["coatnet"] = "coatnet"
    stem: Width = 32
    """Filters of the 3x3 convolutions at half the resolution that everything begins with."""
    widths: tuple[Width, ...] = Field(default=(32, 64, 96), min_length=1, max_length=8)
    """Channels of each stage."""
    blocks: tuple[Depth, ...] = Field(default=(1, 2, 2), min_length=1, max_length=8)
    """Blocks of each stage."""
    strides: tuple[Literal[1, 2], ...] = Field(default=(1, 2, 1), min_length=1, max_length=8)
    """What each stage divides the side by."""
    attention_stages: Annotated[int, Field(ge=1, le=8)] = 1
    """How many stages, the last ones, have attention; those before have convolutions."""
    head_dim: Width = 24
    """Channels of an attention head; it divides the widths of the stages with attention."""
    mlp_ratio: Ratio = 2.0
    """Hidden width of an attention block's feedforward part, as a multiple of the stage's width."""
    expansion: Ratio = 4.0
    """Channels within a convolution block, as a multiple of the stage's width."""
    dropout: DropRate = 0.0
    """Share of the head's inputs dropped in training."""
    drop_path: DropRate = 0.0
    """Share of residual branches dropped in training (stochastic depth), of the last block; the
    share grows from none at the first."""

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        counts = len(self.widths), len(self.blocks), len(self.strides)
        if len(set(counts)) > 1:
            raise ValueError(
                f"widths has {counts[0]} stages, blocks {counts[1]} and strides {counts[2]}: "
                "set all three to as many"
            )
        if self.attention_stages > len(self.widths):
            raise ValueError(
                f"attention_stages ({self.attention_stages}) must be at most the number of stages "
                f"({len(self.widths)})"
            )
        for width in self.widths[-self.attention_stages :]:
            if width % self.head_dim:
                raise ValueError(
                    f"head_dim ({self.head_dim}) must divide the widths of the stages with "
                    f"attention, and {width} is one"
                )
        return self
