"""What test-time augmentation brings: the mean over views of an image beside the image alone, on
images that were held out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .final import judged_images
from .paired import paired_effect
from .significance import holm, mcnemar_exact

if TYPE_CHECKING:
    from ..runs import Run

_CHANCE = 0.05
_KINDS = {
    "mirror": (True, False),
    "shifts": (False, True),
    "mirror and shifts": (True, True),
}


@dataclass(frozen=True)
class ViewGain:
    """One choice of views beside the image alone, on the same images.

    Attributes:
        views: mirror (2 views), shifts (3), or both (6).
        cost: passes through the network for each image.
        accuracy: with them.
        difference: accuracy with them - accuracy without.
        interval: its 95 % score interval (Tango 1998).
        p: that both are right equally often (McNemar 1947, exact), corrected for the choices that
            were looked at (Holm 1979).
    """

    views: str
    cost: int
    accuracy: float
    difference: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True)
class ViewGains:
    """What views bring a run on its validation images.

    Attributes:
        run: its folder.
        images: how many.
        accuracy: without views.
        judges_by: the views that the run predicts by.
        gains: of each choice of views.
    """

    run: str
    images: int
    accuracy: float
    judges_by: str
    gains: tuple[ViewGain, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{'views':<18} {'passes':>6} {'accuracy':>9} {'gain':>7}  95 % interval      p (Holm)",
            f"{'the image alone':<18} {1:>6} {self.accuracy:>9.2%}",
        ]
        for gain in self.gains:
            low, high = (100 * end for end in gain.interval)
            lines.append(
                f"{gain.views:<18} {gain.cost:>6} {gain.accuracy:>9.2%} "
                f"{100 * gain.difference:>+7.2f}  {low:+.2f} to {high:+.2f}   {gain.p:>8.2g}"
            )
        sure = [gain for gain in self.gains if gain.p < _CHANCE]
        better = [gain.views for gain in sure if gain.difference > 0]
        worse = [gain.views for gain in sure if gain.difference < 0]
        said = [f"better than the image alone: {', '.join(better)}"] if better else []
        said += [f"worse than the image alone: {', '.join(worse)}"] if worse else []
        if not sure:
            said = ["none of these differences is more than chance can make on so many images"]
        lines.append("; ".join(said))
        lines.append(
            f"on {self.images:,} validation images; this run judges by {self.judges_by} "
            "(mirror_average and shift_average of its recipe)"
        )
        return "\n".join(lines)


def view_gains(run: Run | str | Path, *, device: str = "auto") -> ViewGains:
    """Judge the validation images without views, by mirrored ones, by shifted ones, and by both.

    The test images are not looked at, so that views may be chosen by what this finds. Nothing is
    kept in the run folder.

    Args:
        run: a handle or the path of a run folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        RunError: the run held out no images, or was trained on other data.
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device.
    """
    from ..data import load_dataset
    from ..predictor import Predictor
    from ..runs import Run

    run = run if isinstance(run, Run) else Run(run)
    images = judged_images(run, load_dataset(run.recipe.data, run.recipe.photos), "validation")
    network = run.model()

    def correct(mirrored: bool, shifted: bool) -> Any:
        card = run.card.model_copy(update={"mirror_average": mirrored, "shift_average": shifted})
        return Predictor(network, card, device=device).predict_split(images).correct

    alone = correct(False, False)
    found = {name: correct(*views) for name, views in _KINDS.items()}
    p_values = holm([mcnemar_exact(own, alone) for own in found.values()])
    gains = []
    for (name, own), p in zip(found.items(), p_values, strict=True):
        mirrored, shifted = _KINDS[name]
        effect = paired_effect(int((own & ~alone).sum()), int((alone & ~own).sum()), len(images))
        cost = (2 if mirrored else 1) * (3 if shifted else 1)
        gains.append(ViewGain(name, cost, float(own.mean()), effect.difference, effect.interval, p))
    by = (run.card.mirror_average, run.card.shift_average)
    judges_by = next((name for name, views in _KINDS.items() if views == by), "the image alone")
    return ViewGains(str(run.path), len(images), float(alone.mean()), judges_by, tuple(gains))
