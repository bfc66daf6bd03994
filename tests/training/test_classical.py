"""scikit-learn fits, and a run folder like any other comes of it."""

import numpy as np
import pytest
import torch

import atelier
from atelier.data import load_dataset
from atelier.errors import ConfigError, RunError
from atelier.exporting.graph import Graph, to_onnx
from atelier.predictor import Predictor
from atelier.recipes import get_recipe

SMALL = {
    "logistic": ["model.max_iterations=20"],
    "hog-svm": ["model.components=50", "model.cells=[7]"],
    "random-forest": ["model.trees=5"],
    "hist-gradient-boosting": ["model.iterations=2", "model.leaves=8"],
    "k-nearest-neighbors": [],
}


def fitted(name, out, *overrides, seed=0, **options):
    return atelier.train(
        name,
        data="fashion-mnist-sample",
        seed=seed,
        overrides=[*SMALL[name], *overrides],
        out=out,
        progress=False,
        **options,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classical")
    return {name: fitted(name, folder / name) for name in SMALL}


@pytest.mark.parametrize("name", SMALL)
def test_a_fitted_run_is_whole(runs, name):
    run = runs[name]
    assert run.metrics["best_validation_accuracy"] > 0.5
    assert run.metrics["parameters"] > 100
    assert run.metrics["train_seconds"] > 0
    assert run.metrics["num_epochs"] == run.metrics["kept_epoch"] == 1
    assert not run.metrics["interrupted"]
    assert len(run.history) == 1
    assert run.history[0]["validation/accuracy"] == run.metrics["best_validation_accuracy"]
    assert run.has_predictions("validation")
    assert {path.suffix for path in run.path.iterdir() if path.is_file()} <= {
        ".json",
        ".jsonl",
        ".safetensors",
    }
    assert run.recipe == get_recipe(name, data="fashion-mnist-sample", overrides=SMALL[name])


@pytest.mark.parametrize("name", SMALL)
def test_what_is_read_back_says_what_was_kept(runs, name):
    kept = runs[name].predictions("validation")
    split = load_dataset("fashion-mnist-sample").train
    of_id = {number: position for position, number in enumerate(split.ids.tolist())}
    images = split.images[[of_id[number] for number in kept.ids.tolist()]]
    again = Predictor.of_run(runs[name], device="cpu").logits(images)
    assert np.array_equal(again, kept.logits)


@pytest.mark.parametrize("name", ["logistic", "hog-svm", "random-forest"])
def test_an_onnx_graph_answers_as_the_fit_does(runs, name):
    import onnxruntime

    run = runs[name]
    graph = to_onnx(Graph(run.model(), run.card, 1.0))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    images = load_dataset("fashion-mnist-sample").test.images[:30].copy()
    images[:3] = np.array([0, 255, 7]).reshape(3, 1, 1, 1)  # flat, where no edge has an angle
    logits, *_ = session.run(None, {"images": images})
    expected = Predictor.of_run(run, device="cpu").logits(images)
    assert np.allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["random-forest", "hist-gradient-boosting", "hog-svm"])
def test_the_same_seed_gives_the_same_bits(runs, name, tmp_path):
    again = fitted(name, tmp_path / "again")
    for file in ("model.safetensors", "predictions/validation.npz"):
        assert (again.path / file).read_bytes() == (runs[name].path / file).read_bytes()


@pytest.mark.parametrize("name", SMALL)
def test_two_classes_and_classes_without_images(name, tmp_path):
    held_out = "train.held_out=[0,1,2,3,4,5,6,8]"
    run = fitted(name, tmp_path / "run", held_out, "train.class_weights=balanced")
    answers = run.predictions("validation")
    assert set(answers.logits.argmax(axis=1).tolist()) <= {7, 9}
    assert run.metrics["best_validation_accuracy"] > 0.8
    assert np.isfinite(answers.logits).all()


def test_all_images_may_be_learned_from(tmp_path):
    run = fitted("logistic", tmp_path / "run", "train.validation_share=0", "train.keep=last")
    assert run.metrics["best_validation_accuracy"] is None
    assert run.metrics["train_images"] == 1000


@pytest.mark.parametrize("name", ["hog-svm", "k-nearest-neighbors"])
def test_mirror_images_can_be_learned_from_too(runs, name, tmp_path):
    run = fitted(name, tmp_path / "run", "model.mirrored=true")
    weights = [one.model().state_dict() for one in (runs[name], run)]
    if name == "k-nearest-neighbors":
        once, twice = (state["features.images"] for state in weights)
        assert len(twice) == 2 * len(once)
        mirrored = twice[len(once) :].view(-1, 28, 28).flip(2)
        assert torch.equal(mirrored, once.view(-1, 28, 28))
    else:
        assert not torch.equal(weights[0]["head.weight"], weights[1]["head.weight"])


def test_weights_of_classes_are_passed_on(tmp_path, monkeypatch):
    from sklearn.linear_model import LogisticRegression

    fit, seen = LogisticRegression.fit, []

    def noted(self, x, y, sample_weight=None):
        seen.append((y, sample_weight))
        return fit(self, x, y, sample_weight=sample_weight)

    monkeypatch.setattr(LogisticRegression, "fit", noted)
    fitted("logistic", tmp_path / "run", "train.class_weights=balanced")
    labels, weights = seen[0]
    sums = np.bincount(labels, weights=weights)
    assert np.allclose(sums, sums[0], rtol=1e-4)


def test_a_network_that_answers_otherwise_is_refused(tmp_path, monkeypatch):
    from atelier.training import classical

    def hold_wrongly(forest, estimator, normalize):
        original(forest, estimator, normalize)
        forest.hold(leaves=forest.leaves.flip(1))

    original = classical.hold_forest
    monkeypatch.setattr(classical, "hold_forest", hold_wrongly)
    with pytest.raises(RunError, match="does not answer as scikit-learn's estimator does"):
        fitted("random-forest", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_interrupted_fit_leaves_nothing(tmp_path, monkeypatch):
    from sklearn.ensemble import RandomForestClassifier

    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(RandomForestClassifier, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted("random-forest", tmp_path / "run")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.lr=0.1", "scikit-learn fits logistic, in one go, and knows no train.lr"),
        ("train.num_epochs=3", "knows no train.num_epochs"),
        ("train.init=runs/other", "knows no train.init"),
        ("augment.mirror=random", "knows no augment.mirror"),
        ("plan=true", "knows no plan"),
        ("train.optimizer=sgd", "model.inverse_penalty, model.max_iterations"),
        ("model.inverse_penalty=0", "model.inverse_penalty"),
    ],
)
def test_settings_of_the_loop_are_refused(refused, setting, said):
    words = ("train", "logistic", "--data", "fashion-mnist-sample", "--set", setting)
    assert said in refused(*words)


def test_a_teacher_is_refused():
    overrides = ["method=distillation", 'method.teachers=["a"]']
    with pytest.raises(ConfigError, match="knows no method=distillation"):
        get_recipe("random-forest", overrides=overrides)


def test_there_is_nothing_to_resume(runs):
    with pytest.raises(RunError, match="fits logistic in one go: there is nothing to resume"):
        atelier.train(resume=runs["logistic"].path)


def test_attacks_and_gradients_are_refused_where_there_are_none(runs):
    run = runs["random-forest"]
    with pytest.raises(ConfigError, match="no gradient that an attack could follow"):
        atelier.robustness(run)
    with pytest.raises(ConfigError, match="no gradient leads from its answers"):
        atelier.explain(run, methods=["smoothgrad"], errors=1)
