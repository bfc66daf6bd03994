"""Scaling is measured in processes of their own, and said rightly."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import atelier
from atelier.data.cache import save_arrays
from atelier.data.datasets import FASHION_MNIST, cached_path, to_arrays
from atelier.errors import DeviceError
from benchmarks import scaled_epochs, scaling
from benchmarks.scaled_epochs import (
    Epoch,
    Measurement,
    replicate,
    train_with_plain_loop,
)

ROOT = Path(__file__).parents[2]


def _measurement(trainer: str, images: int, side: int = 28, *, copies: float = 1.0) -> Measurement:
    """With a peak of 500 MB and `copies` of the data, and 1 ms for an image of 28 pixels."""
    data = images * side * side
    seconds = data / 28**2 / 1000
    return Measurement(
        trainer, images, side, Epoch(images, seconds, 1.0, data, 500_000_000 + int(copies * data))
    )


RESULTS = [
    *(_measurement("ours", images, copies=2) for images in (1_000, 10_000, 60_000)),
    *(_measurement("theirs", images) for images in (1_000, 10_000)),
    *(_measurement(name, 2_000, side) for side in (28, 56) for name in ("ours", "theirs")),
]


def test_a_known_array_is_in_the_peak() -> None:
    script = (
        "import numpy as np\n"
        "from benchmarks.scaled_epochs import peak_memory_bytes\n"
        "before = peak_memory_bytes()\n"
        "np.ones(200_000_000, np.uint8)\n"  # freed at once, and the peak stays
        "print(peak_memory_bytes() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True)
    assert int(done.stdout) == pytest.approx(200_000_000, rel=0.1)


def test_without_proc_the_peak_comes_from_getrusage(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise FileNotFoundError

    exact = scaled_epochs.peak_memory_bytes()
    monkeypatch.setattr(Path, "read_text", refuse)
    assert scaled_epochs.peak_memory_bytes() >= 0.9 * exact


def test_images_are_repeated_and_enlarged() -> None:
    sample = atelier.load_dataset("fashion-mnist-sample")
    many = replicate(sample, 2_500, 28)
    assert len(many.train) == 2_500
    np.testing.assert_array_equal(many.train.images[2_003], sample.train.images[3])
    assert many.train.labels[2_003] == sample.train.labels[3]
    large = replicate(sample, 10, 56)
    assert large.image_size == (56, 56)
    np.testing.assert_array_equal(large.train.images[:, :, ::2, 1::2], sample.train.images[:10])


def test_the_plain_loop_trains_on_what_the_folder_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATELIER_CACHE", str(tmp_path))
    small = replicate(atelier.load_dataset("fashion-mnist-sample"), 100, 28)
    save_arrays(cached_path(FASHION_MNIST), *to_arrays(small))
    epoch = train_with_plain_loop(tmp_path)
    assert epoch.images == 100
    assert epoch.data_bytes == 100 * (784 + 8 + 8)
    assert min(epoch.seconds, epoch.outside_seconds) > 0


def test_it_measures_in_a_new_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "scaling.json"
    options = ["--data", "fashion-mnist-sample", "--images", "1000", "--sizes", ""]
    options += ["--recipe", "mlp", "--set", "train.batch_size=100", "--loader-limit", "10"]
    assert scaling.main([*options, "--json", str(file)]) == 0
    shown = capsys.readouterr()
    assert "1 of 1: atelier mlp, 1,000 images of 28 pixels" in shown.err
    assert "not measured with 1,000 images" in shown.out
    report = json.loads(file.read_text())
    assert report["not_measured"] == [[scaling.PLAIN_LOOP, 1_000, 28]]
    (found,) = report["measurements"]
    assert found["epoch"]["images"] == 900  # of 917, in whole batches; 83 are held out
    assert found["us_per_image"] == pytest.approx(1e6 * found["epoch"]["seconds"] / 900)
    assert found["epoch"]["peak_bytes"] > found["epoch"]["data_bytes"] == 800_000
    assert found["epoch"]["outside_seconds"] > 0


def test_a_killed_process_is_told_of() -> None:
    with pytest.raises(DeviceError, match="a large training was killed"):
        scaled_epochs._in_new_process(functools.partial(os._exit, 1), "a large training")


def test_the_summary_is_slope_and_spread() -> None:
    slower = RESULTS[2]
    slower = replace(slower, epoch=replace(slower.epoch, seconds=1.5 * slower.epoch.seconds))
    summary = scaling.summarize([*RESULTS[:2], slower, *RESULTS[3:]], 28)
    assert summary["ours"]["growth_per_data_byte"] == pytest.approx(2)
    assert summary["ours"]["time_per_image_spread"] == pytest.approx(1.5)
    assert summary["theirs"]["growth_per_data_byte"] == pytest.approx(1)
    assert summary["theirs"]["time_per_image_spread"] is None


def test_people_see_rows_and_what_follows(tmp_path: Path) -> None:
    shown = scaling.table(RESULTS, 28)
    assert "from 1,000 to 60,000 images the peak grows by 2.00 bytes for each byte" in shown
    row = next(line for line in shown.splitlines() if "60,000    28" in line)
    assert row.split()[-1] == f"{2 * 59_000 * 784 / 1e6:.1f}"
    scaling.picture(RESULTS, 28, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("options", [["--data", "fashion-mnits"], ["--set", "train.lr=-1"]])
def test_what_people_can_mend_is_one_line(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert scaling.main(options) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_oblong_images_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = atelier.load_dataset("fashion-mnist-sample")
    oblong = replace(sample.train, images=sample.train.images[:, :, 4:])
    monkeypatch.setattr(scaling, "obtain_dataset", lambda _: replace(sample, train=oblong))
    assert scaling.main([]) == 2
    assert "only square images are enlarged" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "many", "1000;2000"])
def test_bad_numbers_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        scaling.main(["--images", text])
    assert stop.value.code == 2
    assert "--images" in capsys.readouterr().err
