"""An exported model gives its run's answers, from any number of threads, and says what it is."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import atelier
from atelier.data import read_image
from atelier.errors import ExportError, ImageError
from atelier.evaluation import calibration_of
from atelier.predictor import Predictor


@pytest.fixture(scope="module")
def images():
    """300 real images, more than are computed at once."""
    return atelier.load_dataset("fashion-mnist-sample").test.images[:300]


@pytest.fixture(scope="module", params=["onnx", "torch"])
def exported(request, finished_export, finished_program):
    return atelier.load_export(finished_export if request.param == "onnx" else finished_program)


def test_it_gives_the_answers_of_its_run(exported, finished_run, images):
    answers = exported.answer(images)
    logits = Predictor.of_run(finished_run, device="cpu").logits(images)
    assert np.allclose(answers.logits, logits, atol=1e-4)
    calibrated = calibration_of(finished_run).apply(finished_run.predictions("test"))
    assert np.allclose(answers.probs, calibrated.probs[:300], atol=1e-5)
    assert all(part.dtype == np.float32 for part in answers)


def test_the_embedding_is_what_the_head_makes_the_logits_of(exported, finished_run, images):
    answers = exported.answer(images)
    head = finished_run.model().head
    made = answers.embedding @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert answers.embedding.shape == (300, exported.card.embedding_size) == (300, 16)
    assert np.allclose(made, answers.logits, atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257])
def test_any_number_of_images(exported, images, count):
    whole = exported.answer(images)
    answers = exported.answer(images[:count])
    assert [part.shape for part in answers] == [(count, 10), (count, 10), (count, 16)]
    for part, expected in zip(answers, whole, strict=True):
        assert np.allclose(part, expected[:count], atol=1e-5)


def test_images_need_not_lie_in_one_piece(exported, images):
    mirrored = exported.answer(images[:, :, :, ::-1])
    assert np.allclose(mirrored.logits, exported.answer(images[:, :, :, ::-1].copy()).logits)
    assert not np.allclose(mirrored.logits, exported.answer(images).logits)


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 1, 27, 28), np.uint8), np.zeros((1, 1, 28, 28), np.float32)]
)
def test_images_of_another_shape_or_type_are_refused(exported, wrong):
    with pytest.raises(ValueError, match=r"images must be \(N, 1, 28, 28\) uint8"):
        exported.answer(wrong)


def test_threads_may_ask_at_the_same_time(exported, images):
    whole = exported.answer(images)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: exported.answer(images[i : i + 1]), range(100)))
    logits = np.concatenate([part.logits for part in parts])
    assert np.allclose(logits, whole.logits[:100], atol=1e-5)


def test_it_says_what_it_is(finished_export, finished_run):
    exported = atelier.load_export(finished_export, threads=1)
    data = finished_export.path.read_bytes()
    weights = (finished_run.path / "model.safetensors").read_bytes()
    assert exported.version == hashlib.sha256(data).hexdigest()[:12]
    assert exported.classes == finished_run.classes
    assert exported.image_shape == (1, 28, 28)
    assert exported.threshold == 0
    card = exported.card
    assert (card.name, card.recipe, card.precision) == ("finished", "mlp", "float32")
    assert (card.mean, card.std) == (finished_run.card.mean, finished_run.card.std)
    assert card.views == 1
    assert card.calibrated
    assert card.temperature == calibration_of(finished_run).temperature
    assert card.weights_sha256 == hashlib.sha256(weights).hexdigest()
    assert card.data_fingerprint == finished_run.environment["data_fingerprint"]
    assert repr(exported).startswith("ExportedModel(")


def test_files_are_read_as_the_run_reads_them(exported, images, tmp_path):
    path = tmp_path / "it.png"
    Image.fromarray(255 - images[0, 0]).resize((60, 41)).save(path)
    expected = read_image(path, channels=1, image_size=(28, 28))
    for source in (path, str(path), path.read_bytes()):
        found = exported.read(source)
        assert np.array_equal(found.pixels, expected.pixels)
        assert found.inverted
    assert not exported.read(path, invert="no").inverted
    with pytest.raises(ImageError):
        exported.read(b"no image")


def test_no_thread_is_too_few(finished_export):
    with pytest.raises(ExportError, match="needs a thread"):
        atelier.load_export(finished_export, threads=0)
