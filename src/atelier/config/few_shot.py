"""The options of learning to learn from few images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .strict import Strict


class PrototypicalConfig(Strict):
    """Prototypical networks (Snell et al. 2017, arXiv:1703.05175): in each step some classes are
    known by the mean embeddings of a few images alone, and others of their images are assigned to
    the nearest. Hold classes out with train.held_out to see what it is worth."""

    name: Literal["prototypical"] = "prototypical"
    ways: Annotated[int, Field(ge=2, le=1000)] = 5
    """Classes of an episode."""
    shots: Annotated[int, Field(ge=1, le=1000)] = 5
    """Images of each class whose mean is its prototype."""
    queries: Annotated[int, Field(ge=1, le=1000)] = 15
    """Other images of each class, which are assigned."""
    rotations: bool = False
    """Count a class's images turned by a quarter, a half and three quarters as three more classes
    (Santoro et al. 2016, arXiv:1605.06065): more to tell apart where there are few classes."""
    episodes: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Of an epoch; each is a step, whose images train.batch_size says nothing of."""
