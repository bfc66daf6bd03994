"""Learning from other runs' answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import atelier
from atelier.config import DistillationConfig, SupervisedConfig
from atelier.data import load_dataset
from atelier.data.batches import Batch
from atelier.errors import ConfigError, RunError
from atelier.predictor import Predictor
from atelier.recipes import get_recipe
from atelier.training.distillation import Teachers, distill
from atelier.training.preparation import prepare

CPU = torch.device("cpu")


def prepared_for(run, *overrides):
    """A student of `run`, ready to be trained, and its recipe."""
    recipe = get_recipe(
        "mlp",
        data="fashion-mnist-sample",
        overrides=["method=distillation", f'method.teachers=["{run.path}"]', *overrides],
    )
    return prepare(recipe, load_dataset("fashion-mnist-sample"), CPU), recipe


def test_a_method_is_set_by_its_name_and_has_settings_of_its_own():
    recipe = get_recipe("mlp", overrides=["method=distillation", 'method.teachers=["a", "b"]'])
    assert recipe.method == DistillationConfig(teachers=("a", "b"))
    assert recipe.changed({"method.share": 0.5}).method.share == 0.5
    assert recipe.changed({"method": "supervised"}).method == SupervisedConfig()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["method=destillation"], "Did you mean 'distillation'"),
        (["method=distillation"], "method.teachers: field required"),
        (["method.temperature=2"], "Set method=distillation too"),
        (["method.name=distillation"], "unknown setting"),
        (["method=distillation", "method.teachers=[]"], "at least 1 item"),
        (["method=distillation", 'method.teachers=["a"]', "method.share=2"], "method.share"),
    ],
)
def test_a_method_that_does_not_fit_is_refused(overrides, said):
    with pytest.raises(ConfigError, match=said):
        get_recipe("mlp", overrides=overrides)


def test_a_teacher_hears_the_pixels_that_the_student_sees(finished_run):
    prepared, _ = prepared_for(finished_run)
    student = prepared.batches.normalize
    student.mean.mul_(0.5)  # another normalization than the teacher's
    student.scale.mul_(3.0)
    pixels = load_dataset("fashion-mnist-sample").test.images[:20]
    seen = Teachers([finished_run], student, CPU)(student(torch.from_numpy(np.array(pixels))), 2.0)
    logits = torch.from_numpy(Predictor.of_run(finished_run, device="cpu").logits(pixels))
    assert torch.allclose(seen, (logits / 2).softmax(dim=1), atol=1e-4)


def test_several_teachers_are_heard_by_their_mean(finished_run, train_tiny, tmp_path):
    other = train_tiny(tmp_path / "other", seed=1)
    normalize = prepared_for(finished_run)[0].batches.normalize
    pixels = load_dataset("fashion-mnist-sample").test.images[:5].copy()
    images = normalize(torch.from_numpy(pixels))
    one, two = (Teachers([run], normalize, CPU)(images, 4.0) for run in (finished_run, other))
    both = Teachers([finished_run, other], normalize, CPU)(images, 4.0)
    assert torch.allclose(both, (one + two) / 2, atol=1e-6)


def test_the_loss_is_that_of_the_paper(finished_run):
    """(1 - share) CE(label) + share T^2 CE(teacher at T, student at T), by hand."""
    prepared, recipe = prepared_for(finished_run, "method.share=0.3", "method.temperature=2")
    learner = distill(prepared, recipe)
    batch = next(iter(prepared.batches.epoch(1, 0)))
    model = prepared.model.eval()
    loss, logs = learner.objective(model, batch)
    logits = model(batch.images)
    teacher = Teachers([finished_run], prepared.batches.normalize, CPU)(batch.images, 2.0)
    soft = -(teacher * F.log_softmax(logits / 2, dim=1)).sum(dim=1).mean() * 4
    hard = F.cross_entropy(logits, batch.labels)
    assert loss.item() == pytest.approx((0.7 * hard + 0.3 * soft).item(), rel=1e-5)
    assert logs["label_loss"].item() == pytest.approx(hard.item(), rel=1e-5)


def test_no_gradient_reaches_a_teacher(finished_run):
    prepared, recipe = prepared_for(finished_run)
    batch = Batch(torch.randn(4, 1, 28, 28), torch.arange(4), torch.arange(4))
    loss, _ = distill(prepared, recipe).objective(prepared.model, batch)
    loss.backward()
    assert all(p.grad is not None for p in prepared.model.parameters())


def test_a_student_is_trained_and_its_run_names_its_teacher(finished_run, train_tiny, tmp_path):
    said = []
    run = train_tiny(
        tmp_path / "student",
        "method=distillation",
        f'method.teachers=["{finished_run.path}"]',
        say=said.append,
    )
    assert run.recipe.method.teachers == (str(finished_run.path),)
    assert "train/label_loss" in run.history[0]
    assert said == []  # the same split: nothing to warn of
    assert "method=distillation" in run.command or "method.teachers" in run.command


def test_the_command_names_teachers(call, finished_run, tmp_path):
    options = ("--data", "fashion-mnist-sample", "--out", tmp_path / "student", "--quiet")
    small = (
        "--set",
        "train.num_epochs=1",
        "--set",
        "train.warmup_epochs=0",
        "--set",
        "model.width=8",
    )
    teachers = ("--teacher", finished_run.path, "--teacher", finished_run.path)
    code, out, _ = call("train", "mlp", *options, *small, *teachers, "--set", "method.share=0.5")
    assert code == 0
    method = atelier.load_run(tmp_path / "student").recipe.method
    assert method.teachers == (str(finished_run.path),) * 2
    assert method.share == 0.5
    assert "run: " in out


def test_a_teacher_that_may_know_the_answers_is_said(finished_run, train_tiny, tmp_path):
    said = []
    run = train_tiny(
        tmp_path / "student",
        "method=distillation",
        f'method.teachers=["{finished_run.path}"]',
        seed=3,
        say=said.append,
    )
    assert "validation images, whose accuracy is then too high" in said[0]
    assert run.environment["notes"] == said


def test_a_teacher_of_other_images_is_refused(finished_run, photo_run, train_tiny, tmp_path):
    with pytest.raises(RunError, match="knows other classes"):
        train_tiny(
            tmp_path / "student", "method=distillation", f'method.teachers=["{photo_run.path}"]'
        )
    assert not (tmp_path / "student").exists()


def test_a_teacher_that_is_no_run_is_refused(train_tiny, tmp_path):
    with pytest.raises(RunError, match="nowhere"):
        train_tiny(tmp_path / "student", "method=distillation", 'method.teachers=["nowhere"]')


def test_members_are_not_distilled(finished_run, train_tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"Set model\.members=1"):
        train_tiny(
            tmp_path / "student",
            "method=distillation",
            f'method.teachers=["{finished_run.path}"]',
            "model.members=2",
            recipe="speednet",
        )


def test_the_recipe_of_a_student_is_kept(finished_run, tmp_path):
    recipe = get_recipe(
        "mlp", overrides=["method=distillation", f'method.teachers=["{finished_run.path}"]']
    )
    recipe.save(tmp_path / "recipe.json")
    assert atelier.Recipe.load(tmp_path / "recipe.json") == recipe


def test_teachers_asked_once_judge_each_image_as_it_is(finished_run):
    """With the views that the run judges by, whatever the augmentation made of it."""
    prepared, recipe = prepared_for(
        finished_run, "method.ask=once", "method.share=1", "augment.rotation_degrees=90"
    )
    objective = distill(prepared, recipe).objective
    batch = next(iter(prepared.batches.epoch(1, 0)))
    model = prepared.model.eval()
    loss, _ = objective(model, batch)
    chosen = prepared.batches.chosen[batch.positions].numpy()
    pixels = load_dataset("fashion-mnist-sample").train.images[chosen]
    teacher = torch.from_numpy(Predictor.of_run(finished_run, device="cpu").logits(pixels))
    soft = F.cross_entropy(model(batch.images) / 4, (teacher / 4).softmax(dim=1)) * 16
    assert loss.item() == pytest.approx(soft.item(), rel=1e-4)


def test_what_teachers_said_once_of_two_images_is_mixed_as_they_are(finished_run):
    overrides = ("method.ask=once", "method.share=1", "augment.mixup=1")
    prepared, recipe = prepared_for(finished_run, *overrides)
    objective = distill(prepared, recipe).objective
    batch = next(iter(prepared.batches.epoch(1, 0)))
    partners, share = batch.mixed
    model = prepared.model.eval()
    mixed, _ = objective(model, batch)
    # The loss is linear in the target: each image's answer by its share of the picture.
    apart = 0.0
    for number, part in enumerate(share):
        for at, weight in ((number, part), (partners[number], 1 - part)):
            one = replace(
                batch,
                images=batch.images[number : number + 1],
                labels=batch.labels[number : number + 1],
                positions=batch.positions[at].reshape(1),
                mixed=None,
            )
            apart += float(weight * objective(model, one)[0].detach()) / len(share)
    assert mixed.item() == pytest.approx(apart, rel=1e-4)
