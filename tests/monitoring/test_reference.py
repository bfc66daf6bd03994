from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atelier.data import Dataset, ImageSplit, load_dataset
from atelier.errors import DataError, RunError
from atelier.evaluation import calibration_of, judged_images
from atelier.monitoring import Reference, image_facts, reference_of, reference_path
from tests.serving.tiny_export import CLASSES, write_tiny_export


@pytest.fixture
def three_classes() -> Dataset:
    rng = np.random.default_rng(0)

    def split(n: int) -> ImageSplit:
        images = rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8)
        return ImageSplit(images, rng.integers(0, 3, n), np.arange(n))

    return Dataset("three", split(40), split(30), CLASSES, hashlib.sha256(b"three").hexdigest())


def test_of_a_run_it_is_what_the_run_says_of_its_validation_images(own_run: Any) -> None:
    found = reference_of(own_run)
    kept = own_run.predictions("validation")
    calibration = calibration_of(own_run)
    calibrated = kept if calibration is None else calibration.apply(kept)
    np.testing.assert_array_equal(found.labels, kept.labels)
    np.testing.assert_allclose(found.probs, calibrated.probs, atol=1e-5)
    dataset = load_dataset("fashion-mnist-sample")
    facts = image_facts(judged_images(own_run, dataset, "validation").images)
    np.testing.assert_array_equal(found.stats, facts.stats)
    np.testing.assert_array_equal(found.thumbnails, facts.thumbnails)
    assert found.embedding.shape == (len(kept), 16)
    assert found.images == f"{len(kept):,} validation images of fashion-mnist-sample"
    assert reference_path(own_run.path).is_file()


def test_it_is_made_once_and_again_for_other_weights(own_run: Any) -> None:
    path = reference_path(own_run.path)
    first = reference_of(own_run.path)
    made = path.stat().st_mtime_ns
    second = reference_of(own_run.path)
    assert path.stat().st_mtime_ns == made
    for name in ("labels", "probs", "embedding", "stats", "thumbnails"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    weights = own_run.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes())  # the same bytes are the same weights
    assert reference_of(own_run.path).weights == first.weights
    replace(first, weights="0" * 64).save(path)
    assert reference_of(own_run.path).weights == first.weights


def test_a_run_that_held_nothing_out_is_judged_by_test_images(
    train_tiny: Any, tmp_path: Path
) -> None:
    fixed = ("train.validation_share=0", "train.keep=last", "train.patience=0")
    run = train_tiny(tmp_path / "all", *fixed)
    found = reference_of(run)
    assert found.images == "500 test images of fashion-mnist-sample"


def test_of_an_export_by_data_and_then_by_the_file_beside_it(
    tmp_path: Path, three_classes: Dataset
) -> None:
    export = write_tiny_export(tmp_path / "shop.onnx")
    with pytest.raises(DataError, match=r"no reference beside .*--data.*shop.onnx.reference.npz"):
        reference_of(export)
    made = reference_of(export, three_classes)
    assert (made.name, made.images) == ("tiny", "30 test images of three")
    assert len(made.version) == 12
    elsewhere = tmp_path / "server"
    elsewhere.mkdir()
    for path in (export, reference_path(export)):
        shutil.copy(path, elsewhere)
    assert reference_of(elsewhere / "shop.onnx").images == made.images
    assert reference_of(elsewhere / "shop.onnx.reference.npz").version == made.version
    write_tiny_export(elsewhere / "shop.onnx", seed=1)  # another model
    with pytest.raises(DataError, match="no reference"):
        reference_of(elsewhere / "shop.onnx")


def test_an_export_in_its_runs_folder_finds_the_runs_data(own_run: Any) -> None:
    """The data are found; that these are not this tiny model's is what it says."""
    folder = own_run.path / "exports"
    folder.mkdir()
    export = write_tiny_export(folder / "shop.onnx")
    with pytest.raises(DataError, match="fashion-mnist-sample is not what tiny was trained on"):
        reference_of(export)


@pytest.mark.parametrize("damage", ["cut", "other", "text", "version"])
def test_a_damaged_file_is_refused(own_run: Any, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "r.npz"
    reference_of(own_run).save(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "other":
        np.savez(path, a=np.zeros(3))
    elif damage == "text":
        path.write_text("no archive")
    else:
        arrays = dict(np.load(path))
        arrays["facts"] = np.array(
            str(arrays["facts"]).replace('"format_version": 1', '"format_version": 9')
        )
        np.savez(path, **arrays)
    with pytest.raises(RunError, match="another version" if damage == "version" else "cannot read"):
        Reference.load(path)


def test_there_is_no_such_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="neither a run folder nor an export"):
        reference_of(tmp_path / "none")
    with pytest.raises(RunError, match="cannot read"):
        reference_of(tmp_path / "none.npz")
