"""What `bench` measures of real contenders, each in processes of its own."""

import json
import shutil
import struct

import numpy as np
import pytest

import atelier
from atelier.benchmark import entry
from atelier.benchmark.contenders import read_contenders
from atelier.benchmark.images import samples_of
from atelier.errors import AtelierError, ConfigError, DataError, ExportError, RunError

BRIEF = {"threads": (1,), "batch_sizes": (1, 4), "rounds": 1, "seconds": 0.01, "progress": False}


@pytest.fixture(scope="module")
def result(finished_run, finished_export, finished_program, tmp_path_factory):
    """A run, its ONNX file and its torch program, and the folder of the bench."""
    out = tmp_path_factory.mktemp("bench")
    return atelier.bench([finished_run, finished_export, finished_program], out=out, **BRIEF), out


def test_each_contender_is_measured(result, finished_run, finished_export):
    bench, _ = result
    assert [one.name for one in bench.measured] == ["finished", "finished.onnx", "finished.pt2"]
    assert [one.contender.kind for one in bench.measured] == ["run", "onnx", "pt2"]
    for one in bench.measured:
        (speed,) = one.speeds
        assert speed.threads == 1
        assert set(speed.images_per_s) == {1, 4}
        for quantity in (speed.start_s, speed.p50_ms, *speed.images_per_s.values()):
            assert len(quantity.values) == 1
            assert quantity.median > 0
        assert speed.p50_ms.median <= speed.p95_ms.median <= speed.p99_ms.median
        assert 2**24 < speed.memory_bytes.median < 2**34
    run, onnx, _ = bench.measured
    assert onnx.contender.size_bytes == finished_export.size_bytes
    assert run.contender.size_bytes > (finished_run.path / "model.safetensors").stat().st_size
    # A process that never loads torch starts sooner and is smaller by hundreds of megabytes.
    assert onnx.speeds[0].memory_bytes.median < run.speeds[0].memory_bytes.median / 2


def test_accuracy_is_that_of_the_images_that_were_held_out(result, finished_run):
    bench, _ = result
    kept = finished_run.predictions("validation")
    for one in bench.measured:
        assert one.accuracy == pytest.approx(kept.correct.mean())
        assert one.images == f"{len(kept)} validation images of fashion-mnist-sample"
        assert (one.correct == kept.correct).all()


def test_it_prints_a_table_and_advice(result):
    bench, out = result
    text = str(bench)
    assert "processor" in text.splitlines()[0]
    assert "onnxruntime" in text.splitlines()[0]
    assert "one round" in text
    for need in ("latency", "throughput", "start", "memory", "size", "accuracy"):
        assert f"\n{need}: finished" in text
    assert "fewer than 3 rounds no difference" in text
    assert "<table>" in bench._repr_html_()
    told = json.loads((out / "bench.json").read_text())
    assert told == bench.to_dict()
    assert [one["name"] for one in told["contenders"]] == [one.name for one in bench.measured]
    picture = (out / "bench.png").read_bytes()
    width, height = struct.unpack(">II", picture[16:24])
    assert picture.startswith(b"\x89PNG")
    assert width > 1000
    assert height > 600


def test_an_export_alone_tells_what_was_found_when_it_was_made(
    call, finished_export, finished_run, here
):
    words = ["bench", finished_export.path, "--threads", "1", "--batch-sizes", "2", "--rounds", 1]
    code, out, _ = call(*words, "--seconds", 0.01, "--need", "size", "--json", "-q")
    assert code == 0
    told = json.loads(out)
    (one,) = told["contenders"]
    kept = finished_run.predictions("validation")
    assert one["accuracy"] == pytest.approx(kept.correct.mean())
    assert f"{len(kept)} validation images" in one["judged_on"]
    assert list(one["speeds"][0]["images_per_s"]) == ["2"]
    assert [line.partition(":")[0] for line in told["advice"]] == ["size"]
    assert {path.name for path in (here / "runs/bench/finished").iterdir()} == {
        "bench.json",
        "bench.png",
    }


def test_a_worker_that_fails_is_told_with_its_reason(own_run, monkeypatch):
    read = entry.read_contenders

    def read_then_break(targets):
        contenders = read(targets)
        (own_run.path / "model.safetensors").write_bytes(b"no weights")
        return contenders

    monkeypatch.setattr(entry, "read_contenders", read_then_break)
    with pytest.raises(AtelierError, match=r"own cannot be measured: the weights .* are corrupt"):
        atelier.bench(own_run, **BRIEF)


def test_turns_go_there_and_back(finished_run, finished_export, monkeypatch):
    seen = []

    def measure(spec, errors):
        seen.append((spec["kind"], spec["threads"], len(spec["cores"])))
        if "judged" in spec:
            np.save(spec["predicted"], np.zeros(len(np.load(spec["judged"])), np.int64))
        quantities = ("start_s", "p50_ms", "p95_ms", "p99_ms", "memory_bytes")
        return {**dict.fromkeys(quantities, len(seen)), "images_per_s": {"1": len(seen)}}

    monkeypatch.setattr(entry, "measure_apart", measure)
    monkeypatch.setattr(entry, "usable_cores", lambda: [4, 5])
    options = {"threads": (1, 2), "batch_sizes": (1,), "rounds": 3, "progress": False}
    bench = atelier.bench([finished_run, finished_export], **options)
    there = [("run", 1, 1), ("run", 2, 2), ("onnx", 1, 1), ("onnx", 2, 2)]
    assert seen == [*there, *there[::-1], *there]
    run, onnx = bench.measured
    assert run.speeds[0].p50_ms.values == (1, 8, 9)
    assert onnx.speeds[1].images_per_s[1].values == (4, 5, 12)


# What is refused before anything is measured.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threads": (0,)}, "each thread needs a core of its own"),
        ({"threads": (100_000,)}, "each thread needs a core of its own"),
        ({"threads": ()}, "there must be a number of threads"),
        ({"batch_sizes": ()}, "there must be a number of threads and a batch size"),
        ({"batch_sizes": (0,)}, "a batch size is out of range"),
        ({"rounds": 0}, "there must be a round"),
        ({"seconds": 0.0}, "a time is out of range"),
        ({"images": 0}, "there must be an image"),
        ({"need": "sped"}, "unknown need"),
    ],
)
def test_options_out_of_range_are_refused(finished_run, options, words):
    with pytest.raises(ConfigError, match=words):
        atelier.bench(finished_run, **{**BRIEF, **options})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "Missing argument"),
        (["nowhere"], "there is no run folder here"),
        (["cnn"], "names a recipe: train it first"),
        (["nowhere.onnx"], "there is no file nowhere.onnx"),
        (["a.onnx", "--threads", "two"], "--threads takes whole numbers with commas between"),
        (["a.onnx", "--batch-sizes", "1,,2"], "--batch-sizes takes whole numbers"),
    ],
)
def test_a_line_that_cannot_be_followed_is_refused(refused, words, expected):
    assert expected in refused("bench", *words)


def test_a_file_that_is_neither_is_refused(tmp_path, own_run, finished_export):
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(RunError, match="neither a run folder nor an export"):
        read_contenders([text])
    damaged = tmp_path / "damaged.onnx"
    data = bytearray(finished_export.path.read_bytes())
    data[100] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(ExportError, match="has changed since"):
        read_contenders([damaged])
    with pytest.raises(ConfigError, match="nothing to measure"):
        read_contenders([])
    with pytest.raises(ConfigError, match="given twice"):
        read_contenders([own_run, f"{own_run.path}/."])


def test_contenders_must_answer_the_same_question(finished_run, photo_run):
    with pytest.raises(ConfigError, match="know other classes"):
        read_contenders([finished_run, photo_run])


def test_two_of_one_name_are_told_apart(finished_run, finished_export, tmp_path):
    copy = tmp_path / "elsewhere" / "finished.onnx"
    copy.parent.mkdir()
    shutil.copy(finished_export, copy)
    names = [one.name for one in read_contenders([finished_run, finished_export, copy])]
    assert names == ["finished", str(finished_export.path), str(copy)]


# Which images a contender is judged by.


def test_an_export_beside_its_run_is_judged_by_the_runs_images(finished_run, finished_export):
    run, export = samples_of(
        read_contenders([finished_run, finished_export]), None, None, progress=False
    )
    assert export.labels is not None
    assert export.same_as(run)


def test_an_export_in_the_folder_of_its_run_knows_it(own_run, finished_export):
    place = own_run.path / "exports" / "own.onnx"
    place.parent.mkdir()
    shutil.copy(finished_export, place)
    contenders = read_contenders([place])
    assert contenders[0].run == own_run.path.resolve()
    (sample,) = samples_of(contenders, None, 20, progress=False)
    assert sample.labels is not None
    assert len(sample.images) == len(sample.labels) == 20


def test_an_export_alone_is_timed_on_random_images(finished_export, tmp_path):
    place = tmp_path / "alone.onnx"
    shutil.copy(finished_export, place)
    contenders = read_contenders([place])
    assert contenders[0].known_accuracy is None  # what stands beside it is of another name
    (sample,) = samples_of(contenders, None, None, progress=False)
    assert sample.labels is None
    assert sample.images.shape[1:] == (1, 28, 28)


def test_the_test_images_are_never_taken(finished_run, finished_export, tmp_path):
    test = {image.tobytes() for image in atelier.load_dataset("fashion-mnist-sample").test.images}
    place = tmp_path / "alone.onnx"
    shutil.copy(finished_export, place)
    for target in (finished_run, place):
        for data in (None, "fashion-mnist-sample"):
            (sample,) = samples_of(read_contenders([target]), data, None, progress=False)
            assert not test & {image.tobytes() for image in sample.images}
            # Without its run nobody knows which of the training images an export has learned from.
            assert (sample.labels is None) == (target is place)


def test_other_images_are_matched_by_the_names_of_their_classes(photo_run, draw_photos, tmp_path):
    classes = ("schuhe", "Röcke & Kleider, lang $x_1$")
    folder = draw_photos(
        tmp_path / "more", ("train", "validation"), classes=classes, each=5, seed=9
    )
    (sample,) = samples_of(read_contenders([photo_run]), str(folder), None, progress=False)
    assert sample.images.shape == (10, *photo_run.card.image_shape)
    names = [photo_run.classes[k] for k in sample.labels]
    assert sorted(names) == sorted(classes * 5)
    other = draw_photos(tmp_path / "other", ("train", "validation"), classes=("hüte",), each=5)
    (other / "train" / "schuhe").mkdir()
    with pytest.raises(DataError, match="hüte"):
        samples_of(read_contenders([photo_run]), str(other), None, progress=False)


def test_images_of_another_shape_are_refused(photo_run):
    with pytest.raises(DataError, match="another shape"):
        samples_of(read_contenders([photo_run]), "fashion-mnist-sample", None, progress=False)


def test_a_run_that_held_nothing_out_tells_no_accuracy(train_tiny, tmp_path):
    whole = ("train.validation_share=0", "train.keep=last", "train.num_epochs=1")
    run = train_tiny(tmp_path / "whole", *whole)
    (sample,) = samples_of(read_contenders([run]), None, None, progress=False)
    assert sample.labels is None
    assert np.array_equal(
        sample.images[0], atelier.load_dataset("fashion-mnist-sample").train.images[0]
    )
