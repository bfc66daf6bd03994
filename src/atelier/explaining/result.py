"""What `explain` finds out, for terminals, machines and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..drawing.picture import Picture
from ..storage import atomic_path, write_json
from .checks import Checks
from .flips import Flip, region_of
from .neighbors import Neighbor


@dataclass(frozen=True, eq=False)
class Heatmap:
    """What one method says of one image.

    Attributes:
        method: a key of `METHODS`.
        title: the method's name in pictures.
        signed: whether what speaks against the class is below zero.
        values: (H, W) float32, in the units of the score, or of no unit where the method has none.
    """

    method: str
    title: str
    signed: bool
    values: npt.NDArray[np.float32]

    @property
    def region(self) -> str:
        """In which ninth of the image most of what speaks for the class lies, in words."""
        return region_of(np.maximum(self.values, 0))


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why one image was taken for what it was taken for.

    Attributes:
        name: the file, or the part and the id.
        pixels: (C, H, W) uint8, as the network gets them.
        probs: class name to calibrated probability, the likeliest first.
        true: the class by the label; None where it is not known.
        explained: the class that the maps explain.
        against: the class that it is explained against; None where the maps are of its score alone.
        maps: one for each method.
        neighbors: the nearest training images, the nearest first.
        cover: the patches whose covering turns the answer; None where a third of the image does
            not, or where it was not asked for.
        change: the least change of the whole image that turns it; None likewise.
        inverted: whether light and dark of the file were swapped.
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    probs: dict[str, float]
    true: str | None
    explained: str
    against: str | None
    maps: tuple[Heatmap, ...]
    neighbors: tuple[Neighbor, ...]
    cover: Flip | None
    change: Flip | None
    inverted: bool = False

    @property
    def predicted(self) -> str:
        """The likeliest class."""
        return next(iter(self.probs))

    @property
    def probability(self) -> float:
        """Of the likeliest class."""
        return self.probs[self.predicted]

    def __str__(self) -> str:
        known = "" if self.true is None else f", {self.verdict}"
        lines = [f"{self.name}: {self.predicted} {100 * self.probability:.1f} %{known}"]
        if self.explained != self.predicted or self.against is not None:
            against = "" if self.against is None else f" against {self.against}"
            lines.append(f"  explained: {self.explained}{against}")
        if self.maps:
            said = "; ".join(f"{found.title} {found.region}" for found in self.maps)
            lines.append(f"  speaks for it most: {said}")
        if self.neighbors:
            near = ", ".join(f"{n.label} ({n.distance:.2f})" for n in self.neighbors)
            lines.append(f"  nearest training images: {near}")
        lines += [f"  {flip}" for flip in (self.cover, self.change) if flip is not None]
        return "\n".join(lines)

    @property
    def verdict(self) -> str:
        """Whether it is right, where the true class is known."""
        return "right" if self.true == self.predicted else f"but is {self.true}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without pixels."""
        return {
            "name": self.name,
            "predicted": self.predicted,
            "probs": self.probs,
            "true": self.true,
            "explained": self.explained,
            "against": self.against,
            "inverted": self.inverted,
            "maps": [{"method": m.method, "region": m.region} for m in self.maps],
            "neighbors": [
                {"id": n.id, "label": n.label, "distance": n.distance} for n in self.neighbors
            ],
            "flips": [
                {
                    "change": flip.change.rstrip(","),
                    "became": flip.became,
                    "probability": flip.probability,
                    "difference": flip.difference,
                    "patches": flip.covered.tolist(),
                }
                for flip in (self.cover, self.change)
                if flip is not None
            ],
        }


@dataclass(frozen=True, eq=False)
class Explanations:
    """The explanations of several images by one run.

    Attributes:
        run: the run's name.
        items: one for each image.
        refused: methods that were asked for and do not apply to the network, and why.
        checks: what the maps are worth, where that was asked for.
    """

    run: str
    items: tuple[Explanation, ...]
    refused: dict[str, str]
    checks: Checks | None = None

    def __str__(self) -> str:
        parts = [str(item) for item in self.items]
        if self.refused:
            parts.append("\n".join(f"no {name}: {why}" for name, why in self.refused.items()))
        if self.checks is not None:
            parts.append(str(self.checks))
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without pixels and maps, which `save` writes."""
        return {
            "run": self.run,
            "images": [item.to_dict() for item in self.items],
            "not_applicable": self.refused,
            "checks": None if self.checks is None else self.checks.to_dict(),
        }

    def pictures(self, *, rows: int = 8) -> list[Picture]:
        """Sheets with a row for each image; see `explaining.pictures`."""
        from .pictures import explanation_sheets

        return explanation_sheets(self, rows=rows)

    def save(self, folder: str | Path) -> list[Path]:
        """Write a picture of each image, ``explanations.json``, and ``explanations.npz`` with the
        pixels (N, C, H, W) and the maps (N, H, W) under the methods' names.

        Returns:
            The paths of the pictures.

        Raises:
            StorageError: no space or no permission.
        """
        folder = Path(folder)
        paths = [picture.save(folder) for picture in self.pictures(rows=1)]
        arrays: dict[str, Any] = {
            found.method: np.stack([item.maps[k].values for item in self.items])
            for k, found in enumerate(self.items[0].maps)
        }
        with atomic_path(folder / "explanations.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                pixels=np.stack([item.pixels for item in self.items]),
                **arrays,
            )
        write_json(folder / "explanations.json", self.to_dict())
        return paths
