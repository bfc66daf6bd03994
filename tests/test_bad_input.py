"""Bad input: each is one clear line, exit code 2, and nothing is lost.

The rows of this file are those of the project's promise; every one goes through the command line.
"""

import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from atelier import load_dataset

SHORT = (
    *("--data", "fashion-mnist-sample", "--quiet", "--set", "model.width=16"),
    *("--set", "train.num_epochs=2", "--set", "train.warmup_epochs=0"),
)


# Unknown words, and values out of range.


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "cnm"], "unknown recipe; got 'cnm'. Did you mean 'cnn'?"),
        (["train", "resent"], "Did you mean 'resnet'?"),
        (["train", "zzzzzz"], "Known: cbam-resnet, cct, cnn"),
        (["train"], "train needs a recipe"),
        (["compare", "mlp", "hybird"], "Did you mean 'hybrid'?"),
        (["trian", "cnn"], "No such command 'trian'. Did you mean 'train'"),
        (["train", "cnn", "--sed", "1"], "No such option: --sed"),
        (["train", "cnn", "--sed", "1"], "--seed"),
        (["train", "cnn", "--set", "train.lrr=0.1"], "Did you mean 'train.lr'?"),
        (["train", "cnn", "--set", "model.width=5"], "unknown setting; got 'model.width'"),
        (["train", "cnn", "--set", "model.drop=0"], "Did you mean 'model.dropout'?"),
        (["train", "cnn", "--set", "model.name=mlp"], "the model of a recipe is fixed"),
        (["train", "cnn", "--set", "lr"], "an override needs a path and a value; got 'lr'"),
        (["compare", "mlp", "cnn", "--set", "train.epochs=1"], "'train.num_epochs'?"),
        (["evaluate"], "Missing argument 'run'"),
        (["evaluate", "a", "b"], "unexpected extra argument"),
        (["evaluate", "run", "--split", "tset"], "'tset' is not one of 'test', 'validation'"),
        (["predict", "run", "a.png", "--invert", "maybe"], "'maybe' is not one of 'auto'"),
    ],
)
def test_an_unknown_word_gets_the_nearest_name(refused, words, told):
    assert told in refused(*words)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("train.lr=-1", "train.lr: input should be greater than 0; got -1"),
        ("train.lr=fast", "train.lr: input should be a valid number; got 'fast'"),
        ("train.lr=NaN", "train.lr"),
        ("train.num_epochs=0", "train.num_epochs"),
        ("train.num_epochs=1.5", "train.num_epochs"),
        ("train.batch_size=0", "train.batch_size"),
        ("train.batch_size=1", "two images or more in a batch"),
        ("train.optimizer=leon", "'sgd', 'muon' or 'muon-adamw'"),
        ("train.optimizer=muon", "this network has none. Set train.optimizer=adamw"),
        ("train.sgd_lr=0", "train.sgd_lr: input should be greater than 0; got 0"),
        ("train.precision=float16", "'float32', 'bfloat16' or 'auto'"),
        ("train.compile=1", "train.compile: input should be a valid boolean; got 1"),
        ("train.validate_every=0", "train.validate_every"),
        ("train.validate_every=2", "keep=best chooses: set train.keep=last"),
        ("train.schedule=wsd", "'one-cycle'"),
        ("train.warmup_epochs=999", "warmup_epochs (999) must be less than num_epochs"),
        ("train.validation_share=1", "train.validation_share"),
        ("train.validation_share=0", "keep=best chooses: set train.keep=last"),
        ("train.validation_share=0.0001", "cannot split 1000 images of 10 classes"),
        ("model.dropout=1", "model.dropout"),
        ("model.depth=0", "model.depth"),
        ("model.width=99999999", "model.width"),
        ("augment.rotation_degrees=200", "augment.rotation_degrees"),
        ("seed=-1", "seed"),
    ],
)
def test_a_value_out_of_range(refused, setting, told):
    words = ("train", "mlp", "--data", "fashion-mnist-sample", "--quiet", "--set", setting)
    assert told in refused(*words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "mlp", "--seed", "-1"], "seed"),
        (["train", "mlp", "--seed", "x"], "'--seed': Input should be a valid integer"),
        (["compare", "mlp", "cnn", "--seeds", "0"], "number of seeds is out of range; got 0"),
        (
            ["predict", "run", "a.png", "--top", "0"],
            "'--top': Input should be greater than or equal to 1",
        ),
    ],
)
def test_an_option_out_of_range(refused, words, told):
    assert told in refused(*words)


def test_a_training_that_diverges(refused):
    sets = ("train.optimizer=sgd", "train.lr=100", "model.batch_norm=false")
    line = refused("train", "mlp", *SHORT, *(word for s in sets for word in ("--set", s)))
    assert "training diverged" in line
    assert "Lower train.lr" in line


# Data files.

FILES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "t10k-images": "t10k-images-idx3-ubyte",
    "t10k-labels": "t10k-labels-idx1-ubyte",
}


@pytest.fixture
def folder(tmp_path):
    """A small whole data set of IDX files."""
    folder = tmp_path / "data"
    folder.mkdir()
    sample = load_dataset("fashion-mnist-sample")
    for part, split in (("train", sample.train), ("t10k", sample.test)):
        for kind, values in (("images", split.images[:60, 0]), ("labels", split.labels[:60])):
            header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
            (folder / FILES[f"{part}-{kind}"]).write_bytes(header + values.astype("u1").tobytes())
    return folder


def edit(part, change):
    def damage(folder):
        path = folder / FILES[part]
        path.write_bytes(change(path.read_bytes()))

    return damage


def remove(part):
    return lambda folder: (folder / FILES[part]).unlink()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (remove("train-images"), "has no training images"),
        (remove("t10k-labels"), "has no test labels"),
        (edit("train-images", lambda _: b""), "is empty"),
        (edit("train-images", lambda data: b"\x1f\x8b" + data[2:]), "is a corrupt gzip file"),
        (edit("train-images", lambda data: b"\1\2\3\4" + data[4:]), "wrong magic"),
        (edit("train-labels", lambda _: b"<!DOCTYPE html>"), "got '0x3c21444f'"),
        (edit("t10k-images", lambda data: data[:10]), "cut off inside its header"),
        (edit("t10k-images", lambda data: data[:-1]), "is cut off"),
        (edit("t10k-labels", lambda data: data + b"\0"), "goes on after"),
        (
            edit("train-labels", lambda data: data[:4] + struct.pack(">I", 61) + data[8:] + b"\1"),
            "holds 60 images, but train-labels-idx1-ubyte holds 61 labels",
        ),
        (
            edit("train-labels", lambda data: data[:-1] + b"\x0a"),
            "are out of range; got 10; allowed: 0 to 9",
        ),
    ],
)
def test_a_missing_or_corrupt_data_file(refused, folder, damage, told):
    damage(folder)
    assert told in refused("train", "mlp", "--data", folder, "--quiet")


def test_data_that_are_nowhere(refused, tmp_path):
    assert "no data set, folder or table" in refused("train", "mlp", "--data", tmp_path / "none")
    line = refused("train", "mlp", "--data", "fashion-mnist-smaple")
    assert "Did you mean 'fashion-mnist-sample'?" in line


def test_fetching_from_a_folder_that_has_other_data(refused, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("ATELIER_CACHE", str(tmp_path / "cache"))
    # What is tried is told on standard error too; here only the error itself is looked at.
    monkeypatch.setattr("atelier.data.sources._say", lambda _line: None)
    assert str(folder) in refused("fetch", "--from", folder, "--quiet")


# Run folders.


def set_version(run):
    metrics = {**run.metrics, "format_version": 2}
    (run.path / "metrics.json").write_text(json.dumps(metrics))


def cut(name):
    def cut_off(run):
        path = run.path / name
        path.write_bytes(path.read_bytes()[:40])

    return cut_off


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (set_version, "another version of the run format; got 2; allowed: 1"),
        (lambda run: (run.path / "metrics.json").unlink(), "its training did not end"),
        (lambda run: (run.path / "model.json").unlink(), "half written: model.json is missing"),
        (lambda run: (run.path / "recipe.json").unlink(), "is not a run folder"),
        (cut("metrics.json"), "metrics.json is not JSON"),
        (cut("model.json"), "model.json is not JSON"),
        (cut("model.safetensors"), "corrupt or not of this network"),
        (lambda run: (run.path / "model.safetensors").unlink(), "model.safetensors"),
    ],
)
def test_a_run_of_another_version_or_half_written(refused, own_run, tmp_path, damage, told):
    image = tmp_path / "it.png"
    Image.new("L", (28, 28)).save(image)
    damage(own_run)
    assert told in refused("predict", own_run.path, image)


@pytest.mark.parametrize("verb", ["evaluate", "compare", "report"])
def test_every_verb_refuses_half_a_run(refused, own_run, finished_run, verb):
    (own_run.path / "metrics.json").unlink()
    more = [finished_run.path] if verb == "compare" else []
    assert "half written" in refused(verb, own_run.path, *more)


def test_a_run_that_is_nowhere(refused):
    assert "no run folder here" in refused("evaluate", "runs/none")
    assert "no run folder to resume" in refused("train", "--resume", "runs/none")
    assert "neither a recipe nor a run folder" in refused("compare", "mlp", "runs/none")


def test_a_finished_run_has_nothing_to_resume(refused, own_run):
    assert "has finished" in refused("train", "--resume", own_run.path)


def test_a_half_written_run_with_a_corrupt_checkpoint(refused, own_run):
    (own_run.path / "metrics.json").unlink()
    (own_run.path / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    assert "is corrupt" in refused("train", "--resume", own_run.path, "--quiet")


def test_evaluating_corrupt_predictions(refused, own_run):
    (own_run.path / "predictions" / "test.npz").write_bytes(b"PK")
    assert "--refresh" in refused("evaluate", own_run.path)


# Images.


def text(path):
    path.write_text("not an image")


def empty(path):
    path.touch()


def truncated(path):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:1500])


def enormous(path):
    """A PNG of 30,000 x 30,000 pixels in a few bytes."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def folder_of_images(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _: None, "there is no file"),
        (text, "is not an image that can be read"),
        (empty, "is empty"),
        (truncated, "corrupt or cut-off"),
        (enormous, "too many pixels"),
        (folder_of_images, "has no image files"),
    ],
)
def test_an_image_that_cannot_be_read(refused, finished_run, tmp_path, make, told):
    bad = tmp_path / "bad.jpg"
    make(bad)
    line = refused("predict", finished_run.path, bad)
    assert told in line
    assert "bad.jpg" in line


# What stands there already.


def test_an_output_folder_that_exists(refused, own_run):
    for words in (SHORT, (*SHORT, "--seed", "9")):
        line = refused("train", "mlp", *words, "--out", own_run.path)
        assert "exists already, and nothing was overwritten. Pass --overwrite" in line


def test_an_output_folder_that_is_a_file(refused, tmp_path):
    (tmp_path / "file").write_text("dear to me")
    assert "exists already" in refused("train", "mlp", *SHORT, "--out", tmp_path / "file")
    line = refused("train", "mlp", *SHORT, "--out", tmp_path / "file" / "run")
    assert "A file stands where a folder is needed" in line


def test_a_folder_of_other_things_is_not_overwritten(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear to me")
    line = refused("train", "mlp", *SHORT, "--out", tmp_path / "mine", "--overwrite")
    assert "other things than a run" in line


def test_a_report_that_exists(refused, finished_run, tmp_path):
    (tmp_path / "report.html").write_text("dear to me")
    line = refused("report", finished_run.path, "--out", tmp_path / "report.html")
    assert "exists already" in line


def test_runs_that_exist_with_other_settings(refused, own_run, tmp_path):
    own_run.path.rename(tmp_path / "mlp-fashion-mnist-sample-s0")
    words = ["--data", "fashion-mnist-sample", "--runs", tmp_path, "--quiet"]
    assert "with other settings" in refused("compare", "mlp", "cnn", *words)
