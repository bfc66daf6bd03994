"""What a model's answers look like where all is well: on images that were held out.

A reference is one file of plain arrays: it travels with an export to where there are no training
data, and says nothing of an image but what the prediction log would keep of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import DataError, RunError
from ..extras import require
from ..progress import progress_bar
from ..storage import atomic_path, explained
from .facts import NAMES, image_facts

if TYPE_CHECKING:
    from ..data import Dataset, ImageSplit
    from ..runs import Run

FORMAT_VERSION = 1
MOST_IMAGES = 5_000
_SUFFIX = ".reference.npz"
_BATCH = 256

_Floats = npt.NDArray[np.float32]
_Answer = Callable[[npt.NDArray[np.uint8]], tuple[_Floats, _Floats]]
Loaded = tuple[tuple[str, ...], tuple[int, int, int], _Answer]


@dataclass(frozen=True, eq=False)
class Reference:
    """Answers to N held-out images of K classes.

    Attributes:
        name: of the model.
        classes: the K names.
        version: of the export that answered; nothing for a run.
        weights: SHA-256 of the run's weights.
        images: what images these are, as ``4,998 validation images of fashion-mnist``.
        labels: (N,) int64 true classes.
        probs: (N, K) float32, calibrated.
        embedding: (N, D) float16.
        stats: (N, 8) float32, as `facts.ImageFacts` has them.
        thumbnails: (N, 64) uint8.
    """

    name: str
    classes: tuple[str, ...]
    version: str
    weights: str
    images: str
    labels: npt.NDArray[np.int64]
    probs: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float16]
    stats: npt.NDArray[np.float32]
    thumbnails: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """(N,) the likeliest classes."""
        result: npt.NDArray[np.int64] = self.probs.argmax(axis=1).astype(np.int64)
        return result

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """(N,) their probabilities."""
        result: npt.NDArray[np.float32] = self.probs.max(axis=1)
        return result

    def save(self, path: str | Path) -> None:
        """Write it, whole or not at all.

        Raises:
            StorageError: no space or no permission.
        """
        facts = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "classes": self.classes,
            "version": self.version,
            "weights": self.weights,
            "images": self.images,
            "stats": NAMES,
        }
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                facts=np.array(json.dumps(facts, ensure_ascii=False)),
                labels=self.labels,
                probs=self.probs,
                embedding=self.embedding,
                stats=self.stats,
                thumbnails=self.thumbnails,
            )

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            RunError: the file is missing, damaged, or of another version.
        """
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                facts = json.loads(str(arrays["facts"]))
                if facts["format_version"] != FORMAT_VERSION or facts["stats"] != list(NAMES):
                    raise RunError(
                        f"the reference {path} is of another version of atelier",
                        fix="Make it anew with `atelier reference`",
                    )
                result = cls(
                    name=facts["name"],
                    classes=tuple(facts["classes"]),
                    version=facts["version"],
                    weights=facts["weights"],
                    images=facts["images"],
                    labels=arrays["labels"].astype(np.int64),
                    probs=arrays["probs"].astype(np.float32),
                    embedding=arrays["embedding"].astype(np.float16),
                    stats=arrays["stats"].astype(np.float32),
                    thumbnails=arrays["thumbnails"].astype(np.uint8),
                )
            n = len(result.labels)
            wanted = ((n, len(result.classes)), (n, len(NAMES)), (n, 64))
            if (result.probs.shape, result.stats.shape, result.thumbnails.shape) != wanted:
                raise ValueError("its arrays do not agree")
        except RunError:
            raise
        # A damaged archive makes zipfile, zlib and numpy raise a dozen kinds of errors.
        except Exception as error:
            raise RunError(
                f"cannot read the reference {path}: {error}",
                fix="Make it with `atelier reference`",
            ) from error
        return result


def reference_of(
    source: Run | str | Path,
    data: Dataset | str | Path | None = None,
    *,
    refresh: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> Reference:
    """The reference of a run or an export: the file beside it, made where it is missing or of
    other weights.

    It is of the images that the training held out for validation, or of the test images where it
    held out none, at most 5,000 of them.

    Args:
        source: a run, the path of a run folder, of an export, or of a reference itself.
        data: what the model was trained on; None is what the run names. An export that does not
            stand in its run's folder knows none: of `data` it takes the validation part that they
            bring along, or the test part.
        refresh: make it anew.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; of a run.
        progress: show a bar on standard error.

    Raises:
        RunError: there is no such run or reference, or it cannot be used.
        ExportError: the export cannot be used.
        DataError: no data are at hand, or none of them were held out.
        StorageError: the file cannot be written.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.suffix == ".npz":
            return Reference.load(path)
    else:
        path = source.path
    if _is_run(path) and not (path / "recipe.json").is_file():
        raise RunError(
            "here is neither a run folder nor an export", got=str(path), fix="Check the path"
        )
    place = reference_path(path)
    model = model_at(path, device)
    if not refresh and data is None and place.is_file():
        kept = Reference.load(place)
        if (kept.weights, kept.version) == (model.weights, model.version):
            return kept
    dataset, part, images = _held_out(path, place, data)
    result = _made(model, dataset, part, images, progress=progress)
    result.save(place)
    return result


def reference_path(model: Path) -> Path:
    """Where the reference of a run folder, or of an export, lies."""
    return model / "reference.npz" if _is_run(model) else model.with_name(model.name + _SUFFIX)


def model_at(path: Path, device: str = "auto") -> AnsweringModel:
    """The run or the export at `path`, to be asked.

    Args:
        path: of a run folder or an export.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; of a run.

    Raises:
        ExportError: the export cannot be used.
        StorageError: a file cannot be read.
    """
    return _Run(path, device) if _is_run(path) else _Export(path)


def _is_run(path: Path) -> bool:
    return not path.is_file()


class AnsweringModel(Protocol):
    """What can be asked for its reference; nothing heavy is loaded before it must answer."""

    name: str
    weights: str
    version: str

    def load(self) -> Loaded:
        """The classes, the shape of an image, and what makes of (N, C, H, W) images (N, K)
        calibrated probabilities and (N, D) embeddings.

        Raises:
            RunError: the run cannot be used.
            ExtraError: a library is not installed.
        """


class _Run:
    """A run, whose answers are those of its exports."""

    def __init__(self, path: Path, device: str) -> None:
        self.name, self.version = path.resolve().name, ""
        self._path, self._device = path, device
        weights = path / "model.safetensors"
        self.weights = ""
        if weights.is_file():  # else it is no run, which `load` says
            with explained(weights, "read"):
                self.weights = hashlib.sha256(weights.read_bytes()).hexdigest()

    def load(self) -> Loaded:
        require("torch")
        from ..evaluation import calibration_of
        from ..predictor import Predictor
        from ..runs import Run

        run = Run(self._path)
        predictor = Predictor.of_run(run, device=self._device)
        calibration = calibration_of(run)
        temperature = 1.0 if calibration is None else calibration.temperature

        def answer(images: npt.NDArray[np.uint8]) -> tuple[_Floats, _Floats]:
            logits, embedding = predictor.outputs(images)
            logits = logits / temperature
            exp = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
            return (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32), embedding

        return run.classes, run.card.image_shape, answer


class _Export:
    """An export."""

    def __init__(self, path: Path) -> None:
        from ..exported.seal import read_sealed

        sealed = read_sealed(path)
        self._path, self.name = path, sealed.card.name
        self.weights, self.version = sealed.card.weights_sha256, sealed.sha256[:12]

    def load(self) -> Loaded:
        from ..exported import ExportedModel

        model = ExportedModel(self._path)

        def answer(images: npt.NDArray[np.uint8]) -> tuple[_Floats, _Floats]:
            answers = model.answer(images)
            return answers.probs, answers.embedding

        return model.classes, model.image_shape, answer


def _held_out(
    path: Path, place: Path, data: Dataset | str | Path | None
) -> tuple[Dataset, str, ImageSplit]:
    """Which part of which data the model was not trained on."""
    from ..config import Recipe
    from ..data import Dataset, load_dataset, validation_of

    # An export stands in its run's folder, unless it was taken elsewhere.
    home = path if _is_run(path) else path.resolve().parent.parent
    recipe = Recipe.load(home / "recipe.json") if (home / "recipe.json").is_file() else None
    if data is None:
        if recipe is None:
            raise DataError(
                f"there is no reference beside {path}, and no data to make one of",
                fix="Name the data that it was trained on with --data, or bring the file "
                f"{place.name} from where it was made",
            )
        dataset = load_dataset(recipe.data, recipe.photos)
    elif isinstance(data, Dataset):
        dataset = data
    else:
        dataset = load_dataset(str(data), recipe.photos if recipe else None)
    images = dataset.validation
    if images is None and recipe is not None:
        share = recipe.train.validation_share
        images = validation_of(dataset, size=share, seed=recipe.split_seed)[1]
    if images is not None:
        return dataset, "validation", images
    if dataset.test is not None:
        return dataset, "test", dataset.test
    raise DataError(
        f"{dataset.name} has no images that {path} was not trained on",
        fix="Name data with a validation or a test part with --data",
    )


def _made(
    model: AnsweringModel, dataset: Dataset, part: str, split: ImageSplit, *, progress: bool
) -> Reference:
    classes, shape, answer = model.load()
    if dataset.classes != classes or split.images.shape[1:] != shape:
        raise DataError(
            f"{dataset.name} is not what {model.name} was trained on: its classes or the shape of "
            "its images differ",
            fix="Name the right data with --data",
        )
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(split))[:MOST_IMAGES])
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    with progress_bar("reference", len(chosen), show=progress) as bar:
        for start in range(0, len(chosen), _BATCH):
            images = np.ascontiguousarray(split.images[chosen[start : start + _BATCH]])
            facts = image_facts(images)
            parts.append((*answer(images), *facts))
            done = start + len(images)
            bar.update(done, f"{done:,} of {len(chosen):,} images")
    probs, embedding, stats, thumbnails = map(np.concatenate, zip(*parts, strict=True))
    return Reference(
        name=model.name,
        classes=classes,
        version=model.version,
        weights=model.weights,
        images=f"{len(chosen):,} {part} images of {dataset.name}",
        labels=split.labels[chosen],
        probs=probs,
        embedding=embedding.astype(np.float16),
        stats=stats,
        thumbnails=thumbnails,
    )
