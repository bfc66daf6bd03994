"""The benchmark compares like with like, and runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import atelier
from atelier.models import build_model
from atelier.recipes import get_recipe
from benchmarks.epoch_time import SAME_NETWORK, main
from benchmarks.peers.plain_loop import PlainImages, plain_network


def test_both_train_the_same_network() -> None:
    plain = plain_network((1, 28, 28), 10)
    ours = build_model(get_recipe("cnn", overrides=SAME_NETWORK).model, (1, 28, 28), 10).eval()
    # Same parameters in the same order give the same logits: the networks are one and the same.
    ours.load_state_dict(dict(zip(ours.state_dict(), plain.state_dict().values(), strict=True)))
    images = torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(ours(images), plain(images))


@pytest.mark.parametrize("channels", [1, 3])
def test_plain_images_are_the_images(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, channels, 28, 28), dtype=np.uint8)
    tensor, label = PlainImages(images, np.array([3, 7]))[1]
    assert label == 7
    np.testing.assert_allclose(tensor.numpy(), images[1] / 127.5 - 1, atol=1e-6)


def test_it_measures_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "epoch_time.json"
    assert main(["--data", "fashion-mnist-sample", "--epochs", "1", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "plain loop, batch 64" in shown
    assert "atelier cnn, batch 64" in shown
    report = json.loads(file.read_text())
    assert report["images"] == len(atelier.load_dataset("fashion-mnist-sample").train)
    assert report["machine"]["threads"] == torch.get_num_threads()
    for name in ("plain loop", "atelier cnn"):
        assert min(report["timings"][f"{name}, batch 64"]["seconds"]) > 0


def test_an_unknown_data_set_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "fashion-mnits"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
