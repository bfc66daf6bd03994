"""Images of nothing that the model was taught: digits that are drawn here, noise, textures, and
what the user brings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ..data import load_dataset
from ..data.image_files import read_in_batches
from ..data.photo_files import list_photos
from ..data.photos import has_photos, list_labeled
from ..errors import DataError, ImageError
from ..runs import Run

DRAWN = 1000  # images in each set
_FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Italic.ttf",
    "DejaVuSansMono.ttf",
)
_CANVAS = 112  # pixels: drawn four times as large as Fashion-MNIST, then made smaller

Images = npt.NDArray[np.uint8]
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class UnknownImages:
    """M images that no class of the run is in.

    Attributes:
        name: of the set.
        images: (M, C, H, W) uint8, of the run's shape.
    """

    name: str
    images: Images


def drawn_unknowns(
    shape: Shape, background: int, known: Images, *, count: int = DRAWN, seed: int = 0
) -> list[UnknownImages]:
    """The sets that need no files: drawn digits, three kinds of noise, and textures.

    Args:
        shape: channels, height and width.
        background: median byte at the edges of the known images.
        known: (N, C, H, W) images that noise takes its mean and deviation from, and its pixels.
        count: images in each set.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    size = (count, *shape)
    mean = known.mean(axis=(0, 2, 3), dtype=np.float64)[:, None, None]
    deviation = known.std(axis=(0, 2, 3), dtype=np.float64)[:, None, None]
    gaussian = rng.normal(mean, deviation, size).round().clip(0, 255).astype(np.uint8)
    return [
        UnknownImages("drawn digits", drawn_digits(count, shape, background, seed=seed)),
        UnknownImages("uniform noise", rng.integers(0, 256, size, np.uint8)),
        UnknownImages("Gaussian noise", gaussian),
        UnknownImages("shuffled pixels", _shuffled(known, count, rng)),
        UnknownImages("textures", _textures(count, shape, rng)),
    ]


def drawn_digits(count: int, shape: Shape, background: int, *, seed: int = 0) -> Images:
    """Digits as MNIST has them, in six type faces, each with a stroke, slant, size and place of its
    own: (count, C, H, W), each digit as often as the others.

    They are light on a dark background or dark on a light one, as the run's own images, and of
    one random color where those have colors.

    Args:
        count: of the images.
        shape: channels, height and width.
        background: median byte at the edges of the known images.
        seed: of all that is drawn.
    """
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [ImageFont.truetype(str(folder / name), 108) for name in _FONTS]
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    images = np.empty((count, *shape), np.uint8)
    for number in range(count):
        ink = _digit(str(number % 10), fonts[rng.integers(len(fonts))], rng)
        side = min(height, width)
        small = np.asarray(ink.resize((side, side), Image.Resampling.LANCZOS), np.float64) / 255
        cover = np.zeros((height, width))
        top, left = (height - side) // 2, (width - side) // 2
        cover[top : top + side, left : left + side] = small
        low, high = (150, 256) if background < 128 else (0, 106)
        color = rng.integers(low, high, channels)[:, None, None]
        images[number] = (background + cover * (color - float(background))).round().clip(0, 255)
    return images


def _digit(text: str, font: ImageFont.FreeTypeFont, rng: np.random.Generator) -> Image.Image:
    """White on black, warped and a little out of focus."""
    page = Image.new("L", (_CANVAS, _CANVAS))
    middle = _CANVAS / 2
    stroke = int(rng.integers(0, 4))
    ImageDraw.Draw(page).text(
        (middle, middle), text, fill=255, font=font, anchor="mm", stroke_width=stroke
    )
    turn = np.radians(rng.uniform(-15, 15))
    slant, scale_x, scale_y = rng.uniform(-0.35, 0.35), *rng.uniform(0.95, 1.35, 2)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    warp = rotation @ np.array([[scale_x, slant], [0, scale_y]])
    shift = middle - warp @ (middle + rng.uniform(-5, 5, 2))
    numbers = (*warp[0], shift[0], *warp[1], shift[1])
    warped = page.transform(page.size, Image.Transform.AFFINE, numbers, Image.Resampling.BICUBIC)
    return warped.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.5))))


def _shuffled(known: Images, count: int, rng: np.random.Generator) -> Images:
    """Known images whose pixels are in random places, the channels of each together."""
    chosen = known[rng.integers(len(known), size=count)]
    pixels = chosen.reshape(*chosen.shape[:2], -1)
    order = rng.random((count, 1, pixels.shape[2])).argsort(axis=2)
    return np.take_along_axis(pixels, order, axis=2).reshape(chosen.shape)


def _textures(count: int, shape: Shape, rng: np.random.Generator) -> Images:
    """Stripes, checks and clouds of random direction, width and contrast, a third of each."""
    channels, height, width = shape
    rows, columns = np.indices((height, width)) / max(height, width)
    images = np.empty((count, *shape), np.uint8)
    for number in range(count):
        turn, waves = rng.uniform(0, np.pi), rng.uniform(2, 8)
        along = np.cos(turn) * rows + np.sin(turn) * columns
        across = np.cos(turn) * columns - np.sin(turn) * rows
        phase = rng.uniform(0, 1)
        if number % 3 == 0:
            pattern = (np.sin(2 * np.pi * (waves * along + phase)) + 1) / 2
        elif number % 3 == 1:
            pattern = ((np.floor(waves * along + phase) + np.floor(waves * across)) % 2).astype(
                float
            )
        else:
            side = int(rng.integers(3, 8))
            cells = Image.fromarray(rng.integers(0, 256, (side, side), np.uint8))
            cloud = cells.resize((width, height), Image.Resampling.BICUBIC)
            pattern = np.asarray(cloud, np.float64) / 255
        dark, light = np.sort(rng.integers(0, 256, (2, channels)), axis=0)[:, :, None, None]
        images[number] = (dark + pattern * (light - dark)).round().clip(0, 255)
    return images


def read_unknowns(
    source: str | Path,
    run: Run,
    *,
    seed: int = 0,
    most: int = DRAWN,
    on_done: Callable[[int, int], None] | None = None,
) -> tuple[UnknownImages, list[str]]:
    """A random choice of a user's images, as the run reads them, and what must be said of them.

    Args:
        source: a folder of images, or a data set: its name, a folder of IDX files, a table.
        run: whose shape, and whose way to read photos, they take.
        seed: of the choice.
        most: images that are taken.
        on_done: told how many of how many files are read.

    Raises:
        DataError: nothing is there, the images have another shape than the run reads, no two can be
            read, or they are the run's own data.
    """
    path = Path(source).expanduser()
    if str(source) == run.recipe.data or path.resolve() == Path(run.recipe.data).resolve():
        raise DataError(
            f"{source} is what the run was trained on: its images are known",
            fix="Name images of other things with --unknowns",
        )
    rng = np.random.default_rng(seed)
    name = path.name or str(source)
    is_photos = has_photos(source)
    if is_photos or (path.is_dir() and not list(path.glob("*-ubyte*"))):
        if path.is_dir():
            files = list_photos(path)
        else:
            listed = list_labeled(source, run.recipe.photos.columns, to_learn=False)
            files = [Path(photo.path) for photo in listed.photos]
        chosen = [files[k] for k in np.sort(rng.permutation(len(files))[:most])]
        return _read_files(name, chosen, run, on_done)
    dataset = load_dataset(source)
    images = (dataset.train if dataset.test is None else dataset.test).images
    if images.shape[1:] != run.card.image_shape:
        raise DataError(
            f"the images of {dataset.name} have another shape than the run reads",
            got=" x ".join(map(str, images.shape[1:])),
            allowed=" x ".join(map(str, run.card.image_shape)),
        )
    shared = [name for name in dataset.classes if name in run.classes]
    notes = []
    if shared:
        notes.append(
            f"{dataset.name} has classes called as the run's: {', '.join(shared[:3])}"
            f"{' ...' if len(shared) > 3 else ''}; such images are not unknown"
        )
    taken = np.sort(rng.permutation(len(images))[:most])
    return UnknownImages(dataset.name, np.array(images[taken])), notes


def _read_files(
    name: str, files: list[Path], run: Run, on_done: Callable[[int, int], None] | None
) -> tuple[UnknownImages, list[str]]:
    bad: list[ImageError] = []
    pixels: list[Images] = []
    for batch in read_in_batches(
        files,
        image_shape=run.card.image_shape,
        batch_size=64,
        on_bad=lambda _path, error: bad.append(error),
    ):
        pixels += [image.pixels for _, image in batch]
        if on_done is not None:
            on_done(len(pixels) + len(bad), len(files))
    if len(pixels) < 2:
        raise DataError(
            f"{name} holds fewer than two images that can be read",
            got=bad[0].problem if bad else len(pixels),
            fix="Name a folder of images with --unknowns",
        )
    notes = [f"{len(bad):,} files of {name} cannot be read: {bad[0].problem}"] if bad else []
    return UnknownImages(name, np.stack(pixels)), notes
