"""A full disk, a folder that may not be written to, a device that is not there: as bad input."""

import errno
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from atelier import cli
from atelier.training import checkpoints, run_folder

SHORT = (
    *("--data", "fashion-mnist-sample", "--quiet", "--set", "model.width=16"),
    *("--set", "train.num_epochs=2", "--set", "train.warmup_epochs=0"),
)

DISK = [
    (errno.ENOSPC, "No space left on device. Free some space"),
    (errno.EACCES, "Permission denied. Choose a folder that you may write to"),
]


def failing(number):
    def fail(*_args, **_options):
        raise OSError(
            number, {errno.ENOSPC: "No space left on device"}.get(number, "Permission denied")
        )

    return fail


@pytest.mark.parametrize(("number", "told"), DISK)
@pytest.mark.parametrize(
    ("place", "name"),
    [
        pytest.param(Path, "mkdir", id="folder"),
        pytest.param(Path, "touch", id="file"),
        pytest.param(checkpoints, "save_file", id="checkpoint"),
        pytest.param(run_folder, "save_file", id="weights"),
    ],
)
def test_no_space_or_no_permission_to_train(
    refused, tmp_path, monkeypatch, number, told, place, name
):
    out = tmp_path / "run"
    monkeypatch.setattr(place, name, failing(number))
    words = ("train", "mlp", *SHORT, "--out", out)
    if place is not run_folder:
        assert told in refused(*words)
        return
    # At the very end: what was trained is not lost.
    with pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    assert left.value.code == 2
    monkeypatch.setattr(run_folder, "save_file", safetensors.torch.save_file)
    with pytest.raises(SystemExit) as left:
        cli.main(["train", "--resume", str(out), "--quiet"])
    assert left.value.code == 0


@pytest.mark.parametrize(("number", "told"), DISK)
def test_no_space_or_no_permission_to_keep_predictions(refused, own_run, monkeypatch, number, told):
    monkeypatch.setattr(np, "savez_compressed", failing(number))
    assert told in refused("evaluate", own_run.path, "--refresh")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
@pytest.mark.parametrize("verb", ["train", "predict", "evaluate", "compare"])
def test_a_device_that_is_not_there(refused, own_run, tmp_path, monkeypatch, verb, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    image = tmp_path / "it.png"
    Image.new("L", (28, 28)).save(image)
    words = {
        "train": ["train", "mlp", *SHORT],
        "predict": ["predict", own_run.path, image],
        "evaluate": ["evaluate", own_run.path, "--refresh"],
        "compare": ["compare", "mlp", "cnn", "--data", "fashion-mnist-sample", "--quiet"],
    }[verb]
    line = refused(*words, "--device", name)
    assert f"this machine has no device {name}" in line
    assert "--device cpu" in line


def test_a_device_that_nobody_has(refused):
    assert "allowed: auto, cpu, cuda, cuda:N" in refused("train", "mlp", *SHORT, "--device", "tpu")
