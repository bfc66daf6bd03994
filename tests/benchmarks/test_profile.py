"""The profile takes a real training apart, and its parts add up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import atelier
from atelier.models import build_model, model_cost
from atelier.training.entry import resolve_recipe
from benchmarks import ceilings, profile
from benchmarks.ceilings import convolution_speed, observing
from benchmarks.operators import CONVOLUTION_AND_MATRIX, OPTIMIZER_PRODUCTS, category_of
from benchmarks.phases import Phases, Workload, clock

SMALL = ("model.channels=[4, 8]", "train.batch_size=64")
RECIPE = resolve_recipe("cnn", data="fashion-mnist-sample", overrides=SMALL)


@pytest.fixture(autouse=True, scope="module")
def _small_ceilings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(ceilings, "_SECONDS_EACH", 0.0)
        monkeypatch.setattr(ceilings, "_MATRIX_SIDES", {"cpu": (64, 128)})
        monkeypatch.setattr(ceilings, "_LARGE_CONVOLUTIONS", {"cpu": ((2, 16, 14),)})
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profile")


@pytest.fixture(scope="module")
def shown(folder: Path) -> str:
    """What the command prints; it writes profile.json and profile.png."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        printed: list[str] = []
        monkeypatch.setattr("builtins.print", lambda *words, **_: printed.append(" ".join(words)))
        overrides = [word for change in SMALL for word in ("--set", change)]
        files = ["--json", str(folder / "profile.json"), "--picture", str(folder / "profile.png")]
        data = ["--recipe", "cnn", "--data", "fashion-mnist-sample", "--steps", "4"]
        assert profile.main([*data, *overrides, *files]) == 0
    return "\n".join(printed)


@pytest.fixture(scope="module")
def report(shown: str, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "profile.json").read_text())
    return found


def test_a_phase_inside_another_counts_for_itself_alone() -> None:
    meter = SimpleNamespace(value=0.0)
    phase = Phases(lambda: meter.value)
    with phase("optimizer"):
        meter.value += 1
        with phase("backward"):
            meter.value += 2
            with phase("forward"):
                meter.value += 4
            with phase("forward"):
                meter.value += 8
        meter.value += 16
    assert phase.totals["optimizer"] == 17
    assert phase.totals["backward"] == 2
    assert phase.totals["forward"] == 12


def test_the_profiled_epoch_is_the_real_one(tmp_path: Path) -> None:
    recipe = RECIPE.with_overrides(["train.num_epochs=1"])
    workload = Workload(recipe)
    augment, phases = workload.batches.augment, Phases(clock(workload.device))
    row = workload.epoch(phases, len(workload.batches), "epoch")
    assert workload.batches.augment is augment  # nothing of the taking apart stays behind
    real = atelier.train(recipe, out=tmp_path / "run", progress=False).history[0]
    for name in ("train/loss", "train/accuracy", "validation/loss", "lr"):
        assert row[name] == real[name]  # the same bits
    # The loop has clocks of its own, which stand outside of the phases.
    once = phases.totals["bookkeeping"] + phases.totals["evaluate"]
    whole = sum(phases.totals.values())
    assert 0.5 * row["seconds"] < whole - once <= row["seconds"]
    assert 0.5 * row["validation_seconds"] < phases.totals["evaluate"] <= row["validation_seconds"]
    assert whole > 0.9 * (row["seconds"] + row["validation_seconds"])


def test_phases_and_operators_add_up(report: dict[str, Any]) -> None:
    for parts in (report["phases"], report["operators"]):
        assert sum(part["share"] for part in parts.values()) == pytest.approx(1)
        seconds = sum(part["seconds"] for part in parts.values())
        assert seconds == pytest.approx(report["epoch_seconds"])
        assert min(part["seconds"] for part in parts.values()) >= 0
    for phase in ("load", "augment", "forward", "backward", "optimizer", "evaluate"):
        assert report["phases"][phase]["seconds"] > 0
    share = sum(report["operators"][kind]["share"] for kind in CONVOLUTION_AND_MATRIX)
    assert report["convolution_and_matrix_share"] == pytest.approx(share)
    assert 0 < share < 1
    optimizer = report["phases"]["optimizer"]["seconds"]
    assert report["operators"]["optimizer"]["seconds"] == pytest.approx(optimizer)


def test_the_arithmetic_is_the_models(report: dict[str, Any]) -> None:
    model = build_model(RECIPE.model, (1, 28, 28), 10)
    forward = 2 * model_cost(model, (1, 28, 28)).multiply_adds
    first_convolution = 2 * 28 * 28 * 9 * 1 * 4
    flops, images = report["flops_per_epoch"], report["images"]
    assert report["steps"] == len(Workload(RECIPE).batches)
    assert images == report["steps"] * 64
    assert flops["forward"] == forward * images
    # Two gradients for each product, but none for the images themselves.
    assert flops["backward"] == (2 * forward - first_convolution) * images
    held_out = round(RECIPE.train.validation_share * 1000)
    head = 2 * model.head.in_features * 10
    # Each image and its mirror image, whose embeddings are averaged before the head.
    assert flops["evaluate"] == (2 * forward - head) * held_out
    assert flops["optimizer"] == 0


def test_speeds_are_arithmetic_over_time(report: dict[str, Any]) -> None:
    whole, products = report["achieved"]
    arithmetic = sum(report["flops_per_epoch"][p] for p in ("forward", "backward", "evaluate"))
    assert whole["gflops"] == pytest.approx(arithmetic / report["epoch_seconds"] / 1e9)
    assert products["gflops"] > whole["gflops"]
    matrix, large, own = report["ceilings"]
    assert matrix["flops"] in (2 * 64**3, 2 * 128**3)
    assert large["flops"] == 3 * 2 * (2 * 14 * 14) * 9 * 16 * 16
    assert own["flops"] == sum(part["flops"] for part in report["own_convolutions"])
    assert [part["what"] for part in report["own_convolutions"]] == [
        "64 x 1 x 28 x 28, 4 filters of 3x3",
        "64 x 4 x 14 x 14, 8 filters of 3x3",
    ]
    assert report["precision"] == "float32"


def test_people_see_a_table_and_a_picture(shown: str, report: dict[str, Any], folder: Path) -> None:
    share = 100 * report["convolution_and_matrix_share"]
    assert f"Convolution and matrix work take {share:.1f} % of an epoch." in shown
    assert "4 of them timed" in shown
    assert "ceiling: the recipe's own 2 convolutions" in shown
    assert (folder / "profile.png").read_bytes().startswith(b"\x89PNG")


def test_a_network_without_convolutions_has_no_ceiling_of_its_own() -> None:
    recipe = resolve_recipe("mlp", data="fashion-mnist-sample", overrides=["model.width=16"])
    report = profile.measure(recipe, steps=1)
    assert len(report["ceilings"]) == 2
    assert report["operators"]["convolution forward"]["seconds"] == 0
    assert "own" not in profile.table(report)


def test_precision_is_that_of_the_layers_under_autocast() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, bias=False), nn.ReLU(), nn.Conv2d(4, 8, 1))
    with observing(network) as observed, torch.autocast("cpu", torch.bfloat16):
        network(torch.zeros(2, 3, 9, 9))
        network(torch.zeros(5, 3, 9, 9))
    assert observed.dtype == torch.bfloat16
    first, second = observed.convolutions
    assert (first.input_shape, first.needs_input_gradient) == ((2, 3, 9, 9), False)
    assert (second.input_shape, second.needs_input_gradient) == ((2, 4, 4, 4), True)
    speed = convolution_speed(first, torch.device("cpu"), torch.float32)
    assert speed.flops == 2 * 2 * (2 * 4 * 4) * 9 * 3 * 4  # forward and the filters' gradient


@pytest.mark.parametrize(
    ("operator", "category"),
    [
        ("aten::mkldnn_convolution", "convolution forward"),
        ("aten::cudnn_convolution", "convolution forward"),
        ("aten::convolution_backward", "convolution backward"),
        ("ConvolutionBackward0", "convolution backward"),
        ("aten::addmm", "matrix products"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "matrix products"),
        ("aten::native_batch_norm_backward", "normalization"),
        ("aten::linalg_vector_norm", None),
        ("aten::max_pool2d_with_indices_backward", "pooling"),
        ("aten::threshold_backward", "activation"),
        ("aten::_softmax", "activation"),
        ("aten::_log_softmax_backward_data", "loss"),
        ("aten::copy_", "copies and casts"),
        ("prims::convert_element_type", None),
        ("aten::fill_", None),
    ],
)
def test_operators_are_told_by_their_names(operator: str, category: str | None) -> None:
    assert category_of(operator) == category


@pytest.mark.parametrize(
    "options",
    [
        ["--recipe", "cnnn"],
        ["--data", "fashion-mnits"],
        ["--data", "fashion-mnist-sample", "--set", "train.lr=-1"],
        ["--data", "fashion-mnist-sample", "--device", "cuda:99"],
    ],
)
def test_what_people_can_mend_is_one_line(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile.main(options) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_steps_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        profile.main(["--steps", "0"])
    assert stop.value.code == 2
    assert "--steps must be at least 1" in capsys.readouterr().err


def test_the_products_of_an_optimizer_count_as_matrix_work_and_are_told_apart() -> None:
    muon = resolve_recipe(
        "fast-91",
        data="fashion-mnist-sample",
        overrides=["model.widths=[4, 8]", "train.precision=float32"],
    )
    found = profile.measure(muon, steps=2)
    products = found["operators"][OPTIMIZER_PRODUCTS]["seconds"]
    optimizer = found["phases"]["optimizer"]["seconds"]
    assert 0 < products < optimizer
    assert found["operators"]["optimizer"]["seconds"] == pytest.approx(optimizer - products)
    assert found["flops_per_epoch"]["optimizer"] > 0
    arithmetic = sum(found["flops_per_epoch"].values())
    whole = found["achieved"][0]["gflops"]
    assert whole == pytest.approx(arithmetic / found["epoch_seconds"] / 1e9)
