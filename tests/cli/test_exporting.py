"""`atelier export`, and `atelier predict` with what it leaves, where torch is not installed."""

import csv
import json
import os
import subprocess
import sys

import pytest

import atelier
from atelier.exporting import measurement

# What `pip install atelier[runtime]` does not bring.
NOT_THERE = (
    *("torch", "torchvision", "timm", "safetensors", "scipy", "sklearn", "matplotlib", "seaborn"),
    *("jinja2", "pandas", "onnx", "onnxscript", "onnxslim", "fastapi", "sqlalchemy", "gradio"),
)
WITHOUT = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {NOT_THERE}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from atelier.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer odd images: these tests are not about them."""
    monkeypatch.setattr(measurement, "ODD_IMAGES", 20)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three real images as files."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("images")
    test = atelier.load_dataset("fashion-mnist-sample").test
    for number in range(3):
        Image.fromarray(test.images[number, 0]).save(folder / f"{number}.png")
    return folder


def without_torch(*words):
    """Exit code, output and errors of a command line where only the runtime is installed."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    return done.returncode, done.stdout, done.stderr


def test_a_run_is_exported_and_measured(call, own_run):
    code, out, _ = call("export", own_run.path, "-q")
    assert code == 0
    path = own_run.path / "exports" / "own.onnx"
    assert out.splitlines()[0].startswith(f"export: {path} (")
    assert "validation images: 83 of 83 are given the same class" in out
    assert out.splitlines()[-1] == f"parity: {path}.parity.json"
    code, _, err = call("export", own_run.path, "-q")
    assert code == 2
    assert "Pass --overwrite to replace it" in err
    code, out, _ = call("export", own_run.path, "-q", "--overwrite", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["path"] == str(path)
    assert said["parity"]["passed"]
    assert said["card"]["classes"] == list(own_run.classes)


def test_other_formats(call, own_run, tmp_path):
    code, out, _ = call("export", own_run.path, "-q", "--format", "torch")
    assert code == 0
    assert "own.pt2 (" in out
    small = tmp_path / "small.onnx"
    words = ["--int8", "--unknown-below", 0.3, "--out", small]
    code, out, _ = call("export", own_run.path, "-q", *words)
    assert code == 0
    assert "left in float32: head" in out
    assert atelier.load_export(small).threshold == 0.3


def test_wrong_wishes_are_refused(refused, own_run, tmp_path):
    assert "only ONNX exports" in refused("export", own_run.path, "--format", "torch", "--int8")
    assert "ends in .onnx" in refused("export", own_run.path, "--out", tmp_path / "it.pt2")
    both = ("--max-error", "0.1", "--unknown-below", "0.5")
    assert "both say when" in refused("export", own_run.path, *both)
    assert "there is no run folder" in refused("export", tmp_path / "none")


# Predictions by exported files.


def test_a_file_says_what_its_run_says(call, finished_run, finished_export, images):
    code, by_run, err = call("predict", finished_run.path, images, "--json")
    assert (code, err) == (0, "")
    code, by_export, err = call("predict", finished_export.path, images, "--json")
    assert (code, err) == (0, "")
    for a, b in zip(json.loads(by_run), json.loads(by_export), strict=True):
        assert (a["path"], a["class"], a["unknown"]) == (b["path"], b["class"], b["unknown"])
        assert b["probs"] == pytest.approx(a["probs"], abs=1e-5)
    lines = [call("predict", path, images)[1] for path in (finished_run.path, finished_export.path)]
    assert lines[0] == lines[1]


def test_a_torch_program_says_it_too(call, finished_export, finished_program, images):
    first = call("predict", finished_export.path, images)
    assert call("predict", finished_program.path, images) == first


def test_all_forms_and_bad_files(call, finished_export, images, tmp_path):
    bad, out = tmp_path / "bad.png", tmp_path / "out.csv"
    bad.write_bytes(b"no image")
    code, said, err = call("predict", finished_export.path, images, bad, "--csv", out)
    assert (code, said) == (2, f"table: {out}\n")
    assert "bad.png" in err
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(path) for path in sorted(images.iterdir())]
    assert call("predict", finished_export.path, images, bad, "--skip-bad")[0] == 0


def test_the_threshold_of_the_export_holds_unless_another_is_given(
    call, finished_run, images, tmp_path
):
    path = tmp_path / "sure.onnx"
    assert call("export", finished_run.path, "-q", "--out", path, "--unknown-below", 1)[0] == 0
    out = call("predict", path, images)[1]
    assert out.count(": unknown, at best ") == 3
    assert "unknown" not in call("predict", path, images, "--unknown-below", 0)[1]
    code, _, err = call("predict", path, images, "--max-error", 0.1)
    assert code == 2
    assert "was exported with a threshold for no error" in err
    assert "Export the run again with --max-error 0.1" in err


def test_a_stated_error_is_the_one_of_the_export(call, finished_run, images, tmp_path):
    path = tmp_path / "it.onnx"
    assert call("export", finished_run.path, "-q", "--out", path, "--max-error", 0.4)[0] == 0
    code, _, err = call("predict", path, images, "--max-error", 0.4)
    assert code == 0
    assert "with 95% confidence at most 0.4 of the answers" in err
    assert call("predict", path, images, "--max-error", 0.3)[0] == 2


def test_an_export_has_no_other_device(call, finished_export, images):
    code, out, err = call("predict", finished_export.path, images, "--device", "cuda")
    assert (code, out) == (2, "")
    assert "an exported model runs on the CPU; got 'cuda'; allowed: auto, cpu" in err
    assert call("predict", finished_export.path, images, "--device", "cpu")[0] == 0


def test_files_that_are_no_exports(refused, finished_export, images, tmp_path):
    damaged = tmp_path / "it.onnx"
    content = bytearray(finished_export.path.read_bytes())
    content[1000] ^= 4
    damaged.write_bytes(content)
    assert "has changed since it was exported" in refused("predict", damaged, images)
    assert "there is no file" in refused("predict", tmp_path / "none.onnx", images)
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    assert "is not an export by atelier" in refused("predict", other, images)


# Where torch is not installed.


def test_images_are_predicted_without_torch(call, finished_export, images):
    expected = call("predict", finished_export.path, images)[1]
    assert without_torch("predict", finished_export.path, images) == (0, expected, "")
    code, out, _ = without_torch("predict", finished_export.path, images, "--json")
    assert code == 0
    assert len(json.loads(out)) == 3


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["train", "mlp"], "train"),
        (["train", "--list"], "train"),
        (["evaluate", "RUN"], "train"),
        (["predict", "RUN", "IMAGES"], "train"),
        (["predict", "PROGRAM", "IMAGES"], "train"),
        (["compare", "mlp", "cnn"], "train"),
        (["report", "RUN"], "train"),
        (["demo"], "train"),
        (["export", "RUN"], "export"),
    ],
)
def test_what_needs_more_says_what_to_install(
    finished_run, finished_program, images, here, words, extra
):
    places = {"RUN": finished_run.path, "PROGRAM": finished_program.path, "IMAGES": images}
    code, out, err = without_torch(*[places.get(word, word) for word in words])
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.endswith(f"which is not installed. Run `pip install 'atelier[{extra}]'`\n")
    assert list(here.iterdir()) == []
