"""`check`: the tests of `checks` on a run's network and images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..data import ImageSplit
from ..models import Classifier, stages_of
from ..progress import Bar
from ..runs import Run
from .checks import Areas, Checks, Randomization, compared, curve_areas, judged, rolled
from .methods import Method, maps_by
from .subject import Aim, Subject

_IMAGES = 32
_RANDOMIZED = 16
_RANDOM_MAPS = 3  # of each kind, whose areas are averaged
_MOST_LEVELS = 6


def check_work(methods: list[Method]) -> int:
    """What `check` counts up to."""
    return len(methods) * (_MOST_LEVELS + 1 + 2)


def check(
    run: Run,
    subject: Subject,
    methods: list[Method],
    split: ImageSplit,
    part: str,
    *,
    count: int = _IMAGES,
    seed: int = 0,
    bar: Bar,
) -> Checks:
    """Ask what the maps of these methods are worth, on random images.

    Args:
        run: whose weights are randomized, in a copy.
        subject: of the run.
        methods: that apply to it.
        split: labeled images.
        part: their name.
        count: images; only half as many, or 16, are explained by the randomized networks.
        seed: draws the images, the random weights and the random orders.
        bar: is told of the progress.
    """
    rng = np.random.default_rng(seed)
    images = split.images[np.sort(rng.permutation(len(split))[:count])]
    aim = subject.aim(subject.probs(images).argmax(axis=1))
    total, done = check_work(methods), 0

    def tick(note: str) -> None:
        nonlocal done
        done += 1
        bar.update(min(done, total - 1), note)

    maps = {}
    for method in methods:
        maps[method.name] = maps_by(method, subject, images, aim)
        tick(method.title)
    areas = []
    for curve in ("deletion", "insertion"):
        start, end = _ends(subject, images, curve)
        scattered = np.mean(
            [
                _areas(subject, end, start, rng.random(_shape(images)), aim)
                for _ in range(_RANDOM_MAPS)
            ],
            axis=0,
        )
        for name, found in maps.items():
            random = [
                _areas(subject, end, start, rolled(found, rng), aim) for _ in range(_RANDOM_MAPS)
            ]
            own = _areas(subject, end, start, found, aim)
            areas.append(Areas(name, curve, own, scattered, np.mean(random, axis=0)))
            tick(f"{curve} by {name}")
    randomized = max(2, min(_RANDOMIZED, count // 2))
    few, few_aim = images[:randomized], aim.of(slice(randomized))
    levels: list[str] = []
    correlation: dict[str, list[float]] = {method.name: [] for method in methods}
    similarity: dict[str, list[float]] = {method.name: [] for method in methods}
    other = Subject.of_run(run, device=str(subject.device))
    for level, modules in cascade(other):
        _shuffle(modules, seed + len(levels))
        levels.append(level)
        for method in methods:
            after = maps_by(method, other, few, few_aim)
            rank, structure = compared(maps[method.name][:randomized], after)
            correlation[method.name].append(rank)
            similarity[method.name].append(structure)
            tick(f"randomized down to {level}")
    bar.update(total)
    return Checks(
        images=len(images),
        randomized_images=len(few),
        seed=seed,
        part=part,
        randomization=tuple(
            Randomization(
                m.name, tuple(levels), tuple(correlation[m.name]), tuple(similarity[m.name])
            )
            for m in methods
        ),
        faithfulness=judged(areas),
    )


def cascade(subject: Subject) -> list[tuple[str, list[nn.Parameter]]]:
    """The network's parameters from the head down, in at most six levels, with their names."""
    model = subject.classifier.model
    assert isinstance(model, Classifier)
    stages = stages_of(model.features)[::-1]
    groups = np.array_split(np.arange(len(stages)), min(_MOST_LEVELS - 1, len(stages)))
    levels = [("head", list(model.head.parameters()))]
    for group in groups:
        last = len(stages) - int(group[-1])
        name = "the pixels" if last == 1 else f"stage {last} of {len(stages)}"
        levels.append((name, [p for k in group for p in stages[k]]))
    return levels


@torch.no_grad()
def _shuffle(parameters: list[nn.Parameter], seed: int) -> None:
    """Put each tensor's values into a random order: as large as before, and nothing learned."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        values = parameter.flatten()
        order = torch.randperm(len(values), generator=generator).to(values.device)
        parameter.copy_(values[order].view_as(parameter))


def _shape(images: npt.NDArray[np.uint8]) -> tuple[int, int, int]:
    """(N, H, W) of (N, C, H, W) images."""
    return len(images), images.shape[2], images.shape[3]


def _ends(
    subject: Subject, images: npt.NDArray[np.uint8], curve: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """What stands there before and after: as in the paper, deletion leaves the color of nothing,
    and insertion starts from a blurred image, whose patches make no edges."""
    if curve == "deletion":
        return images, np.full_like(images, subject.card.background)
    from scipy.ndimage import gaussian_filter

    sigma = max(images.shape[2:]) / 8
    blurred = gaussian_filter(images.astype(np.float32), (0, 0, sigma, sigma))
    return blurred.round().clip(0, 255).astype(np.uint8), images


def _areas(
    subject: Subject,
    end: npt.NDArray[np.uint8],
    start: npt.NDArray[np.uint8],
    maps: npt.NDArray[np.floating[Any]],
    aim: Aim,
) -> npt.NDArray[np.float64]:
    target = aim.target.cpu().numpy()

    def probability(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        wanted: npt.NDArray[np.float64] = subject.probs(images)[np.arange(len(images)), target]
        return wanted

    return curve_areas(end, start, maps, probability)
