"""`export`: what it leaves, what it promises, and that a wrong export leaves nothing."""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import atelier
from atelier.errors import ConfigError, ExportError, RunError, StorageError
from atelier.evaluation import calibration_of
from atelier.exporting import entry, measurement
from atelier.exporting.graph import Graph
from atelier.predictions import Predictions


@pytest.fixture
def few(monkeypatch):
    """Fewer odd images: these tests are not about them."""
    monkeypatch.setattr(measurement, "ODD_IMAGES", 20)


def test_what_was_measured_lies_beside_the_export(finished_export):
    kept = json.loads(finished_export.parity_path.read_text("utf-8"))
    assert finished_export.parity_path.name == "finished.onnx.parity.json"
    assert kept["passed"]
    assert kept["version"] == atelier.load_export(finished_export).version
    assert kept["images"] == "validation images"
    assert (kept["labeled"]["images"], kept["odd"]["images"]) == (83, 1000)
    assert kept["labeled"]["differing"] == kept["odd"]["differing"] == 0
    assert kept["odd"]["largest_logit_difference"] < 1e-3
    assert kept["accuracy"]["run"] == kept["accuracy"]["export"]
    assert "onnxruntime" in kept["environment"]
    assert os.fspath(finished_export) == str(finished_export.path)
    said = str(finished_export)
    assert "83 of 83 are given the same class" in said
    assert "1,000 of 1,000 are given the same class" in said


def test_by_default_it_lies_in_the_run(own_run, few):
    export = atelier.export(own_run.path)
    assert export.path == own_run.path / "exports" / "own.onnx"
    with pytest.raises(StorageError, match="exists already"):
        atelier.export(own_run)
    before = export.path.read_bytes()
    assert atelier.export(own_run, int8=True).path.name == "own-int8.onnx"
    assert atelier.export(own_run, "torch").path.name == "own.pt2"
    assert export.path.read_bytes() == before
    again = atelier.export(own_run, unknown_below=0.4, overwrite=True)
    assert atelier.load_export(again).threshold == 0.4
    assert sorted(path.name for path in export.path.parent.iterdir()) == sorted(
        name + end
        for name in ("own.onnx", "own-int8.onnx", "own.pt2")
        for end in ("", ".parity.json")
    )


def test_int8_is_smaller_and_says_what_it_left_in_float(own_run, few, tmp_path):
    export = atelier.export(own_run, int8=True, out=tmp_path / "small.onnx")
    whole = atelier.export(own_run, out=tmp_path / "whole.onnx")
    assert export.size_bytes < 0.5 * whole.size_bytes
    assert export.card.precision == "int8"
    assert export.card.left_in_float == ("head",)
    assert "left in float32: head" in str(export)
    assert not export.parity.failures


def wrong_temperature(model, card, temperature):
    return Graph(model, card, temperature * 2)


def wrong_normalization(model, card, temperature):
    # The classic: pixels are divided by 255 once more, or not at all.
    return Graph(model, card.model_copy(update={"mean": (0.0,), "std": (1.0,)}), temperature)


def wrong_weights(model, card, temperature):
    with torch.no_grad():
        model.head.weight.copy_(model.head.weight.roll(1, dims=0))
    return Graph(model, card, temperature)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (wrong_temperature, "probabilities of validation images differ by up to"),
        (wrong_normalization, "of 83 validation images are given another class"),
        (wrong_weights, "of 83 validation images are given another class"),
    ],
)
@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_an_export_that_answers_otherwise_is_not_written(
    finished_run, few, tmp_path, monkeypatch, wrong, told, format
):
    monkeypatch.setattr(entry, "Graph", wrong)
    out = tmp_path / f"it{entry.SUFFIXES[format]}"
    with pytest.raises(ExportError, match=r"does not answer as .* was not written") as refused:
        atelier.export(finished_run, format, out=out)
    assert told in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_what_stood_there_outlives_an_export_that_fails(finished_run, few, tmp_path, monkeypatch):
    out = tmp_path / "it.onnx"
    out.write_text("mine")
    monkeypatch.setattr(entry, "Graph", wrong_weights)
    with pytest.raises(ExportError):
        atelier.export(finished_run, out=out, overwrite=True)
    assert out.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [out]


def test_a_stated_error_is_kept_by_the_exports_own_answers(finished_run, few, tmp_path):
    export = atelier.export(finished_run, out=tmp_path / "it.onnx", max_error=0.4)
    card = atelier.load_export(export).card
    assert card.max_error == 0.4
    assert "of 83 validation images" in card.rule
    assert card.rule in str(export)
    kept = finished_run.predictions("validation")
    probs = calibration_of(finished_run).apply(kept).probs.max(axis=1)
    answered = probs >= card.threshold
    assert 0 < answered.sum() < len(kept)
    assert (~kept.correct[answered]).mean() <= 0.4
    with pytest.raises(ConfigError, match="no threshold keeps the error"):
        atelier.export(finished_run, out=tmp_path / "other.onnx", max_error=0.001)
    assert not (tmp_path / "other.onnx").exists()


def test_a_run_that_held_nothing_out_is_measured_by_what_it_learned(train_tiny, few, tmp_path):
    run = train_tiny(
        tmp_path / "run", "train.validation_share=0", "train.keep=last", recipe="speednet"
    )
    export = atelier.export(run)
    assert export.parity.images == "training images, for none were held out"
    assert export.parity.labeled.images == 1000
    assert not export.card.calibrated
    assert export.card.temperature == 1
    with pytest.raises(ConfigError, match="held no images out"):
        atelier.export(run, max_error=0.1, out=tmp_path / "it.onnx")


def test_a_run_that_judges_by_views_says_how_many(own_run, few):
    path = own_run.path / "model.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "mirror_average": True, "shift_average": True}))
    exported = atelier.load_export(atelier.export(atelier.load_run(own_run.path)))
    assert exported.card.views == 6
    assert exported.batch_size == 42  # so that 256 views are computed at once
    images = atelier.load_dataset("fashion-mnist-sample").test.images[:100]
    one_by_one = np.concatenate([exported.answer(images[i : i + 1]).logits for i in range(100)])
    assert np.allclose(exported.answer(images).logits, one_by_one, atol=1e-4)


def test_photos_in_color(photo_run, photo_folder, few, tmp_path):
    for int8 in (False, True):
        export = atelier.export(photo_run, int8=int8, out=tmp_path / f"{int8}.onnx")
        exported = atelier.load_export(export)
        assert exported.image_shape == (3, 32, 32)
        assert exported.classes == photo_run.classes
        by_run = atelier.predict(photo_run, [photo_folder / "validation"])
        by_export = atelier.predict(export, [photo_folder / "validation"])
        assert [p.path for p in by_export] == [p.path for p in by_run]
        tolerance = 0.1 if int8 else 1e-5
        for a, b in zip(by_run, by_export, strict=True):
            assert a.probs == pytest.approx(b.probs, abs=tolerance)


def test_data_that_have_changed_are_refused(own_run, few, tmp_path):
    path = own_run.path / "environment.json"
    path.write_text(path.read_text().replace(own_run.environment["data_fingerprint"], "0" * 64))
    with pytest.raises(RunError, match="was trained on other data"):
        atelier.export(own_run)
    assert not (own_run.path / "exports").exists()


def test_the_network_of_a_run_is_the_one_that_is_exported(own_run, few):
    """Other weights, other answers: nothing is taken from kept predictions."""
    path = own_run.path / "model.safetensors"
    weights = load_file(path)
    weights["head.bias"] += torch.linspace(0, 9, 10)
    save_file(weights, path)
    export = atelier.load_export(atelier.export(own_run))
    images = atelier.load_dataset("fashion-mnist-sample").test.images
    kept: Predictions = own_run.predictions("test")
    moved = export.answer(images).logits - kept.logits
    assert np.allclose(moved, np.linspace(0, 9, 10), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"format": "tflite"}, "allowed: onnx, torch"),
        ({"format": "torch", "int8": True}, "only ONNX exports are quantized"),
        ({"max_error": 0.1, "unknown_below": 0.5}, "both say when to answer unknown"),
        ({"max_error": 1.0}, "out of range; got 1.0"),
        ({"unknown_below": -0.1}, "out of range; got -0.1"),
        ({"out": "it.pt2"}, "ends in .onnx"),
        ({"out": "it.onnx", "format": "torch"}, "ends in .pt2"),
    ],
)
def test_wrong_wishes_are_one_line(finished_run, here, options, told):
    with pytest.raises(ConfigError) as refused:
        atelier.export(finished_run, **options)
    assert told in str(refused.value)
    assert list(here.iterdir()) == []


def test_a_bar_is_told_of_the_progress(finished_run, few, tmp_path, capsys):
    atelier.export(finished_run, out=tmp_path / "it.onnx", progress=True)
    err = capsys.readouterr().err
    assert "export 100 %" in err
