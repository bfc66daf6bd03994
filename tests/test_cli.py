"""The command line: what each verb prints, how it leaves, and what it never does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import atelier
from atelier import cli
from atelier.errors import ConfigError
from atelier.evaluation import evaluate as evaluate_run

VERBS = [
    *("fetch", "audit", "train", "evaluate", "compare", "predict", "report", "demo"),
    *("export", "bench", "bench zoo", "serve", "keys", "log", "drift", "reference", "provision"),
    *("tune", "track", "uncertainty", "robustness", "explain", "embeddings", "dashboard"),
    *("ensemble", "few-shot"),
]
TINY = [
    *("--data", "fashion-mnist-sample", "--set", "model.width=16", "--set", "train.num_epochs=2"),
    *("--set", "train.warmup_epochs=0", "--set", "train.batch_size=64"),
]


@pytest.fixture
def photo(tmp_path):
    """A dark thing on white."""
    pixels = np.full((90, 60, 3), 255, np.uint8)
    pixels[20:70, 10:50] = (90, 20, 20)
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels).save(path)
    return path


# Help.


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help(call, verb):
    code, out, err = call(verb, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: atelier {verb}")
    assert call(verb, "-h")[1] == out


def test_the_help_lists_the_verbs(call):
    code, out, _ = call("--help")
    assert code == 0
    assert all(re.search(rf"^  {verb} ", out, re.MULTILINE) for verb in VERBS)
    assert {verb for verb in VERBS if verb in cli._verbs()} == cli._verbs()


def test_no_words_at_all_show_the_help(call):
    code, out, err = call()
    assert code == 2
    assert "Usage: atelier" in out
    assert err == ""


def test_version(call):
    assert call("--version")[:2] == (0, f"atelier {atelier.__version__}\n")


def test_help_loads_nothing_heavy():
    """By what is imported, not by the clock: this machine may be busy."""
    program = (
        "import sys, atelier.cli\n"
        "try: atelier.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'sklearn', 'scipy', 'pandas', 'PIL', 'pydantic',"
        " 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"


# Train.


def test_train_says_what_it_did_and_what_comes_next(call, tmp_path):
    out = tmp_path / "a run"
    code, said, err = call("train", "mlp", *TINY, "--seed", 3, "--out", out, "--quiet")
    assert (code, err) == (0, "")
    run = atelier.load_run(out)
    assert run.recipe.seed == 3
    accuracy = f"{run.metrics['best_validation_accuracy']:.2%}"
    assert f"validation accuracy {accuracy} on 83 images, weights of epoch" in said
    assert f"run: {out}\n" in said
    assert f"next: atelier evaluate '{out}'\n" in said


def test_train_shows_its_progress_on_standard_error(call, tmp_path):
    code, out, err = call("train", "mlp", *TINY, "--out", tmp_path / "run")
    assert code == 0
    assert "images/s" not in out
    assert "epoch 2/2" in err
    assert "images/s" in err
    assert "s left" in err


def test_train_on_all_images_says_so(call, tmp_path):
    sets = ["--set", "train.validation_share=0", "--set", "train.keep=last"]
    code, out, _ = call("train", "mlp", *TINY, *sets, "--out", tmp_path / "run", "-q")
    assert code == 0
    assert "trained on all 1,000 images by a fixed schedule, none held out" in out
    assert "weights of epoch 2" in out


def test_ctrl_c_says_how_to_go_on_and_resume_does(call, tmp_path, stopped_in):
    out = tmp_path / "a run"
    with stopped_in(epoch=2):
        code, said, err = call("train", "mlp", *TINY, "--out", out, "--quiet")
    assert (code, err) == (130, "")
    assert f"stopped early; go on with: atelier train --resume '{out}'" in said
    code, said, _ = call("train", "--resume", out, "--quiet")
    assert code == 0
    assert "stopped early" not in said


def test_ctrl_c_in_the_first_epoch_says_stopped(call, tmp_path, stopped_in):
    with stopped_in(epoch=1):
        code, out, err = call("train", "mlp", *TINY, "--out", tmp_path / "run", "--quiet")
    assert (code, out, err) == (130, "", "error: stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_recipes(call):
    code, out, _ = call("train", "--list")
    assert code == 0
    for name in atelier.RECIPES:
        assert re.search(rf"^{name} +[\d,]+ +[\d,]+  \w", out, re.MULTILINE)


# Evaluate.


def test_evaluate_prints_a_table_or_json(call, finished_run):
    code, out, err = call("evaluate", finished_run.path)
    assert (code, err) == (0, "")
    result = evaluate_run(finished_run)
    assert out == f"{result}\n"
    code, out, err = call("evaluate", finished_run.path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(json.dumps(result.to_dict()))


def test_evaluate_the_validation_part(call, finished_run):
    _, out, _ = call("evaluate", finished_run.path, "--split", "validation", "--json")
    assert json.loads(out)["accuracy"] == finished_run.metrics["best_validation_accuracy"]


def test_evaluate_refresh_predicts_again(call, own_run):
    path = own_run.path / "predictions" / "test.npz"
    path.write_bytes(b"")
    assert call("evaluate", own_run.path)[0] == 2
    assert call("evaluate", own_run.path, "--refresh")[0] == 0
    assert call("evaluate", own_run.path)[0] == 0


# Predict.


def test_predict_prints_a_line_for_each_image(call, finished_run, photo):
    code, out, err = call("predict", finished_run.path, photo, photo, "--top", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(
        rf"{re.escape(str(photo))}: \S.* [\d.]+%  \S.* [\d.]+%"
        r"  \(light background: light and dark were swapped\)",
        lines[0],
    )
    _, out, _ = call("predict", finished_run.path, photo, "--invert", "no")
    assert "swapped" not in out


def test_predict_json(call, finished_run, photo):
    code, out, _ = call("predict", finished_run.path, photo, "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert row["path"] == str(photo)
    assert row["inverted"] is True
    assert row["class"] == max(row["probs"], key=row["probs"].get)
    assert sum(row["probs"].values()) == pytest.approx(1)


# Compare.


def test_compare_prints_a_table_or_json(call, finished_run, train_tiny, tmp_path):
    other = train_tiny(tmp_path / "wider", "model.width=24", "train.num_epochs=1")
    code, out, err = call("compare", finished_run.path, other.path, "-q")
    assert (code, err) == (0, "")
    assert "finished" in out
    assert "wider" in out
    code, out, _ = call("compare", finished_run.path, other.path, "-q", "--json")
    assert code == 0
    assert len(json.loads(out)["rows"]) == 2


def test_compare_trains_what_is_missing(call, tmp_path, narrow_recipes):
    words = [*TINY[:2], *TINY[4:], "--runs", tmp_path, "--quiet"]  # the width is the mlp's alone
    code, out, _ = call("compare", "mlp", "cnn", *words)
    assert code == 0
    assert "mlp" in out
    assert "cnn" in out
    assert len(list(tmp_path.iterdir())) == 2


# Fetch.


def test_fetch_shows_what_is_in_the_data(call, tmp_path, monkeypatch):
    from atelier import reporting

    monkeypatch.setattr(reporting, "save_data_figures", lambda _data, out: [out / "samples.png"])
    code, out, _ = call("fetch", "fashion-mnist-sample", "--out", tmp_path, "--quiet")
    assert code == 0
    assert "1,000" in out
    assert f"picture: {tmp_path / 'fashion-mnist-sample' / 'samples.png'}" in out


# Errors.


def test_errors_are_one_line_and_a_traceback_only_when_asked(call, tmp_path):
    code, out, err = call("evaluate", tmp_path / "none")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: there is no run folder here; .*\n", err)
    for words in (["--debug", "evaluate", "none"], ["evaluate", "none", "--debug"]):
        with pytest.raises(atelier.AtelierError):
            cli.main(words)


def test_a_defect_is_told_from_a_mistake(call, monkeypatch, finished_run):
    from atelier import evaluation

    def broken(*_args, **_options):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(evaluation, "evaluate", broken)
    code, out, err = call("evaluate", finished_run.path)
    assert (code, out) == (1, "")
    assert err == (
        "error: a defect of atelier, RuntimeError: two lines. Add --debug to see where\n"
    )
    with pytest.raises(RuntimeError):
        cli.main(["evaluate", str(finished_run.path), "--debug"])


def test_a_message_of_several_lines_is_still_one(call, monkeypatch):
    def broken(*_args, **_options):
        raise ConfigError("one\ntwo", got="a\nb")

    monkeypatch.setattr("atelier.training.train", broken)
    _, _, err = call("train", "mlp")
    assert err.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error(finished_run):
    """As in `atelier evaluate RUN --json | head -1`."""
    words = [sys.executable, "-m", "atelier.cli", "predict", finished_run.path, "--top", "10"]
    image = Path(finished_run.path.parent / "black.png")
    Image.new("L", (28, 28)).save(image)
    # More than a pipe holds, so that the writer must notice.
    writer = subprocess.Popen(
        [*words, *[image] * 500], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    with writer:
        assert writer.stdout.readline().startswith(str(image))
        writer.stdout.close()
        errors = writer.stderr.read()
        code = writer.wait(timeout=120)
    assert errors == ""
    assert code == 141


def test_a_reader_that_was_never_there_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "atelier.cli", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
