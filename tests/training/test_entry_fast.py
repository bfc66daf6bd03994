"""`train` in a hurry: bfloat16, compilation, seldom validation, whitening, averaged predictions."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import atelier
from atelier import devices
from atelier.data import load_dataset
from atelier.data.batches import Normalizer
from atelier.errors import DeviceError
from atelier.evaluation import evaluate_predictions
from atelier.models.stems import WhiteningConv


def weights(run):
    """Equal bytes are bit-identical weights."""
    return (run.path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("recipe", ["mlp", "speednet"])
def test_in_bfloat16_the_same_seed_gives_bit_identical_weights_of_float32(
    tmp_path, train_tiny, recipe
):
    sets = ("train.num_epochs=1", "train.precision=bfloat16")
    first = train_tiny(tmp_path / "a", *sets, recipe=recipe, seed=3)
    torch.manual_seed(999)
    again = train_tiny(tmp_path / "b", *sets, recipe=recipe, seed=3)
    exact = train_tiny(tmp_path / "c", "train.num_epochs=1", recipe=recipe, seed=3)
    assert weights(first) == weights(again) != weights(exact)
    assert first.environment["precision"] == "bfloat16"
    assert exact.environment["precision"] == "float32"
    kinds = {value.dtype for value in first.model().state_dict().values()}
    assert kinds == {torch.float32, torch.int64}  # batch norm counts its batches
    # What is measured is what the kept weights say in float32, whoever asks.
    accuracy = atelier.evaluate(first, split="validation", refresh=True).accuracy
    assert accuracy == first.history[-1]["validation/accuracy"]


def test_the_precision_chosen_by_auto_is_named(tmp_path, train_tiny, monkeypatch):
    for flags, name in (("amx_bf16", "bfloat16"), ("", "float32")):
        monkeypatch.setattr(devices, "_cpu_facts", lambda flags=flags: {"flags": flags})
        run = train_tiny(tmp_path / name, "train.num_epochs=1", "train.precision=auto")
        assert run.environment["precision"] == name
        assert run.recipe.train.precision == "auto"


def test_what_is_measured_seldom_is_measured_at_the_end(tmp_path, train_tiny):
    sets = ("train.num_epochs=3", "train.keep=last", "train.validate_every=2")
    run = train_tiny(tmp_path / "run", *sets)
    measured = [row["epoch"] for row in run.history if "validation/accuracy" in row]
    assert measured == [2, 3]
    assert run.metrics["kept_epoch"] == 3
    assert run.metrics["best_validation_accuracy"] == run.history[-1]["validation/accuracy"]


def test_ctrl_c_after_an_epoch_that_was_not_measured_measures_what_is_kept(
    tmp_path, train_tiny, stopped_in
):
    sets = ("train.num_epochs=3", "train.keep=last", "train.validate_every=3")
    with stopped_in(epoch=2):
        run = train_tiny(tmp_path / "run", *sets)
    assert "validation/accuracy" not in run.history[-1]
    accuracy = evaluate_predictions(run.predictions("validation")).accuracy
    assert run.metrics["best_validation_accuracy"] == accuracy
    resumed = atelier.train(resume=run.path, progress=False)
    assert weights(resumed) == weights(train_tiny(tmp_path / "whole", *sets))


@pytest.mark.parametrize(
    "said",
    [
        "InvalidCxxCompiler: No working C++ compiler found in cpp.cxx: (None, 'g++')\n\nSet ...",
        "Failed to find C compiler. Please specify via CC environment variable.",
    ],
)
def test_compiling_without_a_compiler_is_one_line(tmp_path, train_tiny, monkeypatch, said):
    def fail(_images):
        raise RuntimeError(said)

    monkeypatch.setattr(torch, "compile", lambda _model: fail)
    with pytest.raises(DeviceError, match=r"none that works\. Install .*compile=false") as caught:
        train_tiny(tmp_path / "run", "train.compile=true")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_card_says_how_images_are_averaged(tmp_path, train_tiny):
    once = ("train.num_epochs=1",)
    plain = train_tiny(tmp_path / "plain", *once, recipe="speednet").card
    assert (plain.mirror_average, plain.shift_average) == (False, False)
    shifted = train_tiny(tmp_path / "shifted", *once, "shift_average=true", recipe="speednet").card
    assert (shifted.mirror_average, shifted.shift_average) == (False, True)


def test_the_whitening_is_of_the_training_part_and_not_learned(tmp_path, train_tiny):
    run = train_tiny(tmp_path / "run", "train.num_epochs=1", recipe="speednet")
    train = load_dataset("fashion-mnist-sample").train
    part = train.images[~np.isin(train.ids, run.predictions("validation").ids)]
    stem = WhiteningConv(1, 8)
    stem.fit(Normalizer(run.card.mean, run.card.std, torch.device("cpu"))(torch.tensor(part)))
    assert torch.allclose(run.model().features[0].weight, stem.weight, atol=1e-3)


def test_a_training_of_seconds_does_not_wait_for_the_compiler_that_it_does_not_use(tmp_path):
    # In a process of its own, for another test may have imported it. It takes 0.8 s.
    program = (
        "import sys, atelier;"
        "atelier.train('fast-91', data='fashion-mnist-sample',"
        f" out={str(tmp_path / 'run')!r},"
        " overrides=['train.num_epochs=1', 'train.warmup_epochs=0'], progress=False);"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
