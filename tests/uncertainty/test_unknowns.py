"""Digits look like digits in the run's own shape and colors, and what users bring is read as the
run reads it."""

import numpy as np
import pytest
from PIL import Image

from atelier.errors import DataError
from atelier.uncertainty.unknowns import drawn_digits, drawn_unknowns, read_unknowns


def test_digits_are_light_on_dark_in_the_middle_and_the_same_for_one_seed():
    digits = drawn_digits(60, (1, 28, 28), 0)
    assert digits.shape == (60, 1, 28, 28)
    assert np.array_equal(digits, drawn_digits(60, (1, 28, 28), 0))
    assert not np.array_equal(digits, drawn_digits(60, (1, 28, 28), 0, seed=1))
    inner = digits[:, 0, 4:24, 4:24].astype(float)
    assert (inner.max(axis=(1, 2)) > 100).all()
    # As of MNIST: ink on a tenth to a half of the page, and nearly none of it at the edge.
    share = (digits > 60).mean(axis=(1, 2, 3))
    assert (share > 0.03).all()
    assert (share < 0.5).all()
    assert (digits[:, 0, [0, -1]] > 60).mean() < 0.01


def test_ten_digits_differ_more_than_one_digit_from_itself():
    digits = drawn_digits(400, (1, 28, 28), 0).reshape(40, 10, -1).astype(float)
    means = digits.mean(axis=0)
    of_itself = np.abs(digits[:20].mean(axis=0) - digits[20:].mean(axis=0)).mean()
    of_others = np.abs(means[:, None] - means[None]).mean(axis=2)[np.triu_indices(10, 1)]
    assert of_others.min() > of_itself


@pytest.mark.parametrize("shape", [(3, 32, 48), (3, 40, 24), (1, 8, 8)])
def test_sets_have_the_shape_of_the_run(shape):
    known = np.random.default_rng(0).integers(0, 256, (30, *shape), np.uint8)
    sets = drawn_unknowns(shape, 250, known, count=20)
    assert [unknown.name for unknown in sets] == [
        "drawn digits",
        "uniform noise",
        "Gaussian noise",
        "shuffled pixels",
        "textures",
    ]
    for unknown in sets:
        assert unknown.images.shape == (20, *shape)
        assert unknown.images.dtype == np.uint8
    digits = sets[0].images
    assert np.median(digits[:, :, 0]) == 250  # dark on the light ground
    assert (digits.min(axis=(1, 2, 3)) < 200).all()


def test_shuffled_pixels_are_those_of_a_known_image():
    known = np.random.default_rng(0).integers(0, 256, (5, 3, 9, 7), np.uint8)
    shuffled = drawn_unknowns((3, 9, 7), 0, known, count=6)[3].images

    def colors(image):
        return sorted(map(tuple, image.reshape(3, -1).T.tolist()))

    originals = [colors(image) for image in known]
    assert all(colors(image) in originals for image in shuffled)
    assert not any(np.array_equal(image, own) for image in shuffled for own in known)


def test_a_folder_is_read_and_what_cannot_be_read_is_said(finished_run, tmp_path):
    folder = tmp_path / "holiday"
    (folder / "deeper").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (50, 40), (number * 80, 10, 10)).save(folder / f"deeper/{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    unknown, notes = read_unknowns(folder, finished_run)
    assert unknown.name == "holiday"
    assert unknown.images.shape == (3, 1, 28, 28)
    (note,) = notes
    assert "1 files of holiday cannot be read" in note


def test_what_is_no_set_of_unknown_images_is_refused(finished_run, photo_run, tmp_path):
    with pytest.raises(DataError, match="is what the run was trained on"):
        read_unknowns("fashion-mnist-sample", finished_run)
    with pytest.raises(DataError, match="there is no data set"):
        read_unknowns(tmp_path / "nowhere", finished_run)
    with pytest.raises(DataError, match="another shape"):
        read_unknowns("fashion-mnist-sample", photo_run)
    only = tmp_path / "only"
    only.mkdir()
    Image.new("RGB", (9, 9)).save(only / "one.png")
    with pytest.raises(DataError, match="fewer than two images"):
        read_unknowns(only, finished_run)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no image files"):
        read_unknowns(tmp_path / "none", finished_run)


def test_classes_of_the_run_among_the_unknown_are_told(own_run):
    recipe = own_run.recipe.model_copy(update={"data": "elsewhere"})
    (own_run.path / "recipe.json").write_text(recipe.model_dump_json())
    from atelier import load_run

    unknown, notes = read_unknowns("fashion-mnist-sample", load_run(own_run.path), most=10)
    assert len(unknown.images) == 10
    assert "has classes called as the run's: T-shirt/top, Trouser, Pullover ..." in notes[0]
