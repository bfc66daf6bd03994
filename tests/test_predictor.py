"""Predictions of image files: of any size and mode, with the run's own preprocessing."""

import numpy as np
import pytest
import torch
from PIL import Image

import atelier
from atelier.errors import AtelierError, DeviceError, ImageError
from atelier.evaluation import calibration_of
from atelier.inference import predict
from atelier.predictor import Predictor


@pytest.fixture(scope="module")
def boot():
    """One real ankle boot, (28, 28) bytes, light on black."""
    test = atelier.load_dataset("fashion-mnist-sample").test
    return test.images[int(np.flatnonzero(test.labels == 9)[0]), 0]


@pytest.fixture
def boot_file(boot, tmp_path):
    """It, as a file."""
    path = tmp_path / "boot.png"
    Image.fromarray(boot).save(path)
    return path


def test_a_file_is_predicted_as_the_same_image_of_the_data_set(finished_run, boot_file, boot):
    (result,) = predict(finished_run, [boot_file])
    kept = calibration_of(finished_run).apply(finished_run.predictions("test"))
    row = int(np.flatnonzero(kept.labels == 9)[0])
    assert result.path == str(boot_file)
    assert not result.inverted
    assert list(result.probs.values()) == sorted(result.probs.values(), reverse=True)
    assert sum(result.probs.values()) == pytest.approx(1)
    assert set(result.probs) == set(finished_run.classes)
    assert result.predicted == kept.classes[kept.predicted[row]]
    assert result.probs[result.predicted] == pytest.approx(kept.probs[row].max(), rel=1e-5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (300, 40), (33, 500)])
def test_any_mode_and_size(finished_run, boot, tmp_path, mode, size):
    picture = Image.fromarray(boot).resize(size)
    picture = Image.fromarray(np.asarray(picture, np.uint16) * 257) if mode == "I;16" else picture
    # A JPEG is the usual file of YCbCr; Pillow 12.3 cannot read the TIFF that it writes of it.
    path = tmp_path / {"CMYK": "it.tif", "YCbCr": "it.jpg"}.get(mode, "it.png")
    (picture if mode == "I;16" else picture.convert(mode)).save(path)
    (result,) = predict(finished_run.path, [str(path)])
    assert sum(result.probs.values()) == pytest.approx(1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp", "tiff"])
def test_any_format(finished_run, boot, tmp_path, suffix):
    path = tmp_path / f"it.{suffix}"
    Image.fromarray(boot).save(path)
    assert predict(finished_run, [path])[0].predicted in finished_run.classes


def test_a_product_photo_on_white_is_inverted_and_said_to_be(
    finished_run, boot, boot_file, tmp_path
):
    photo = tmp_path / "photo.png"
    Image.fromarray(255 - boot).save(photo)
    plain, inverted = predict(finished_run, [boot_file, photo])
    assert (plain.inverted, inverted.inverted) == (False, True)
    assert plain.probs == pytest.approx(inverted.probs)
    (left,) = predict(finished_run, [photo], invert="no")
    assert not left.inverted
    assert left.probs != pytest.approx(plain.probs)
    assert predict(finished_run, [boot_file], invert="yes")[0].inverted


def test_results_are_in_the_order_of_the_files(finished_run, boot_file, tmp_path):
    dark = tmp_path / "dark.png"
    Image.new("L", (28, 28)).save(dark)
    results = predict(finished_run, [dark, boot_file, dark])
    assert [result.path for result in results] == [str(dark), str(boot_file), str(dark)]
    assert results[0].probs == pytest.approx(results[2].probs)
    assert results[0].probs != pytest.approx(results[1].probs)


def test_no_files_have_no_predictions(finished_run):
    assert predict(finished_run, []) == []


def test_one_bad_file_is_named(finished_run, boot_file, tmp_path):
    with pytest.raises(ImageError, match=r"none\.png"):
        predict(finished_run, [boot_file, tmp_path / "none.png"])


def test_an_unknown_way_to_invert_is_one_line(finished_run, boot_file):
    with pytest.raises(AtelierError, match="allowed: auto, yes, no"):
        predict(finished_run, [boot_file], invert="maybe")


def test_an_unknown_device_is_one_line(finished_run, boot_file):
    with pytest.raises(DeviceError, match="allowed: auto, cpu, cuda"):
        predict(finished_run, [boot_file], device="tpu")


def test_the_size_of_a_batch_does_not_matter(finished_run):
    images = atelier.load_dataset("fashion-mnist-sample").test.images[:70]
    predictor = Predictor.of_run(finished_run, device="cpu")
    whole = predictor.logits(images)
    assert whole.shape == (70, 10)
    assert whole.dtype == np.float32
    assert np.allclose(whole, predictor.logits(images, batch_size=16), atol=1e-5)
    assert predictor.logits(images[:0]).shape == (0, 10)


def test_predicting_leaves_no_trace_in_the_model(finished_run):
    images = atelier.load_dataset("fashion-mnist-sample").test.images[:8]
    model = finished_run.model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    Predictor(model.train(), finished_run.card, device="cpu").logits(images)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_with_mirror_average_a_mirrored_image_is_the_same_image(finished_run, boot):
    images = np.stack([boot, boot[:, ::-1]])[:, None]
    plain = Predictor(finished_run.model(), finished_run.card, device="cpu").logits(images)
    card = finished_run.card.model_copy(update={"mirror_average": True})
    averaged = Predictor(finished_run.model(), card, device="cpu").logits(images)
    assert not np.allclose(plain[0], plain[1])
    assert np.allclose(averaged, plain.mean(axis=0), atol=1e-5)


def moved(images, down, right, fill):
    """(N, C, H, W) images moved by at most a pixel, with `fill` for what comes in."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=fill)
    height, width = images.shape[-2:]
    return padded[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]


@pytest.mark.parametrize("mirrored", [False, True])
def test_with_shift_average_an_image_is_judged_with_itself_moved_by_a_pixel(finished_run, mirrored):
    images = atelier.load_dataset("fashion-mnist-sample").test.images[:20]
    card = finished_run.card.model_copy(update={"background": 37, "mirror_average": mirrored})
    plain = Predictor(finished_run.model(), card, device="cpu")
    assert np.array_equal(moved(images, 0, 0, 37), images)
    up_left, down_right = (plain.logits(moved(images, by, by, 37)) for by in (-1, 1))
    assert not np.allclose(up_left, down_right)
    expected = (2 * plain.logits(images) + up_left + down_right) / 4
    card = card.model_copy(update={"shift_average": True})
    averaged = Predictor(finished_run.model(), card, device="cpu").logits(images)
    assert np.allclose(averaged, expected, atol=1e-5)


def test_an_image_of_background_alone_does_not_change_by_a_shift(finished_run):
    card = finished_run.card.model_copy(update={"background": 200})
    images = np.full((1, 1, 28, 28), 200, np.uint8)
    plain = Predictor(finished_run.model(), card, device="cpu").logits(images)
    card = card.model_copy(update={"shift_average": True})
    averaged = Predictor(finished_run.model(), card, device="cpu").logits(images)
    assert np.allclose(averaged, plain, atol=1e-5)


def test_the_head_makes_the_logits_of_the_embedding(finished_run):
    predictor = Predictor.of_run(finished_run, device="cpu")
    images = atelier.load_dataset("fashion-mnist-sample").test.images[:300]
    seen: list[int] = []
    logits, embedding = predictor.outputs(images, on_done=seen.append)
    head = finished_run.model().head
    again = head(torch.from_numpy(embedding)).detach().numpy()
    np.testing.assert_allclose(again, logits, atol=1e-4)
    np.testing.assert_allclose(predictor.logits(images), logits, atol=1e-5)
    assert seen[-1] == len(images)


def test_a_part_of_a_network_has_no_embedding(finished_run):
    features = Predictor(finished_run.model().features, finished_run.card, device="cpu")
    with pytest.raises(TypeError, match="no embedding"):
        features.outputs(atelier.load_dataset("fashion-mnist-sample").test.images[:300])
