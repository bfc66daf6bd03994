"""The transformer block that all networks with attention share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..config.attention import TransformerConfig
from .droppath import DropPath, drop_rates


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2).

    Args:
        dim: of a token.
        heads: they divide `dim`.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.mix = nn.Linear(dim, dim)

    def bias(self) -> Tensor | None:
        """(heads, T, T), added to the scaled products before the softmax; None for nothing."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, dim) to (N, T, dim)."""
        n, tokens, dim = x.shape
        qkv = self.to_qkv(x).view(n, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, T, dim / heads)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias())
        mixed: Tensor = self.mix(attended.transpose(1, 2).reshape(n, tokens, dim))
        return mixed


def feedforward(width: int, hidden: int) -> list[nn.Module]:
    """Two dense layers with GELU between them, along the last dimension."""
    return [nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)]


class TransformerBlock(nn.Module):
    """Attention and a feedforward part, each normalized first and added to its input (the encoder
    of arXiv:2010.11929, equations 2 and 3).

    Args:
        dim: of a token.
        attention: maps (N, T, dim) to the same shape.
        hidden: units of the feedforward part.
        dropout: share of what each branch adds that is dropped in training (arXiv:1706.03762,
            section 5.4).
        drop_path: share of branches dropped in training.
    """

    def __init__(
        self,
        dim: int,
        attention: nn.Module,
        hidden: int,
        *,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.attend = nn.Sequential(
            nn.LayerNorm(dim), attention, nn.Dropout(dropout), DropPath(drop_path)
        )
        self.feed = nn.Sequential(
            nn.LayerNorm(dim),
            *feedforward(dim, hidden),
            nn.Dropout(dropout),
            DropPath(drop_path),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, dim) to (N, T, dim)."""
        x = x + self.attend(x)
        result: Tensor = x + self.feed(x)
        return result


def transformer_blocks(config: TransformerConfig) -> list[TransformerBlock]:
    """The blocks of a transformer over one sequence of tokens, from the first to the last."""
    return [
        TransformerBlock(
            config.dim,
            Attention(config.dim, config.heads),
            hidden_width(config.dim, config.mlp_ratio),
            dropout=config.dropout,
            drop_path=rate,
        )
        for rate in drop_rates(config.drop_path, config.depth)
    ]


def hidden_width(dim: int, ratio: float) -> int:
    """The width that is `ratio` times `dim`, rounded, and 1 at least."""
    return max(1, round(dim * ratio))
