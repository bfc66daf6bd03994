"""Subgroups: what is in them, and what is said of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from atelier.data import ImageSplit
from atelier.robustness.groups import Group, groups_of, worst_of
from atelier.robustness.sampling import stratified

CLASSES = ("hat", "shoe")


def split(n=400, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, channels, 12, 10)).astype(np.uint8)
    return ImageSplit(images, np.arange(n) % 2, np.arange(n))


def of_kind(groups, kind):
    return [group for group in groups if group.kind == kind]


@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_holds_every_image_once(channels):
    part = split(401, channels)
    correct = np.random.default_rng(1).random(401) < 0.8
    groups = groups_of(part, correct, CLASSES, background=0)
    for kind in ("class", "brightness", "contrast", "size", "side"):
        own = of_kind(groups, kind)
        assert sum(group.n for group in own) == 401
        assert sum(group.right for group in own) == correct.sum()
    assert [group.name for group in of_kind(groups, "class")] == ["hat", "shoe"]
    assert {group.n for group in of_kind(groups, "brightness")} <= {100, 101, 102}


def test_a_dark_quarter_that_fails_is_found_and_no_other():
    part = split()
    gray = part.images.mean(axis=(1, 2, 3))
    correct = np.ones(400, bool)
    for label in (0, 1):
        own = np.flatnonzero(part.labels == label)
        correct[own[np.argsort(gray[own])[:40]]] = False
    worst = worst_of(groups := groups_of(part, correct, CLASSES, background=0))
    assert (worst.kind, worst.name) == ("brightness", "darkest quarter")
    assert worst.accuracy == 0.2
    assert not [group for group in of_kind(groups, "class") if group.differs]


def test_a_class_that_is_dark_and_hard_makes_no_dark_quarter_fail():
    images = split().images.copy()
    images[::2] //= 2  # hats are dark,
    part = ImageSplit(images, np.arange(400) % 2, np.arange(400))
    correct = np.ones(400, bool)
    correct[::8] = False  # and fail at random places
    groups = groups_of(part, correct, CLASSES, background=0)
    assert (worst_of(groups).kind, worst_of(groups).name) == ("class", "hat")
    assert not [group for group in of_kind(groups, "brightness") if group.differs]


def test_the_size_of_a_garment_and_its_side_are_seen():
    images = np.full((80, 1, 20, 20), 255, np.uint8)  # a light background
    for k in range(80):
        images[k, :, :10, : 2 + k // 10] = 30  # wider and wider, from the left edge on
    part = ImageSplit(images, np.zeros(80, np.int64), np.arange(80))
    correct = np.arange(80) >= 20
    groups = groups_of(part, correct, ("bag",), background=255)
    smallest, *others = of_kind(groups, "size")
    assert (smallest.name, smallest.right, smallest.n) == ("smallest quarter", 0, 20)
    assert all(group.right == 20 for group in others)
    assert of_kind(groups, "side")[0].right == 0  # the narrowest are the leftmost


def test_p_values_are_those_of_fisher_corrected_for_all_groups():
    part, correct = split(), np.random.default_rng(2).random(400) < 0.7
    groups = groups_of(part, correct, CLASSES, background=0)
    hat = groups[0]
    table = [[hat.right, hat.n - hat.right]]
    table.append([correct.sum() - hat.right, 400 - hat.n - correct.sum() + hat.right])
    assert hat.p == pytest.approx(fisher_exact(table).pvalue)
    least = min(groups, key=lambda group: group.p)
    assert least.p_corrected == pytest.approx(min(1, len(groups) * least.p))
    assert all(group.p_corrected >= group.p for group in groups)


def test_chance_alone_is_hardly_ever_a_finding():
    part, found = split(200), 0
    for seed in range(20):
        correct = np.random.default_rng(seed).random(200) < 0.8
        found += any(group.differs for group in groups_of(part, correct, CLASSES, background=0))
    assert found <= 3  # 5 % are promised at most


def test_folders_below_the_class_are_groups():
    part = split(60)
    shops = ("north", "south/outlet", "")
    files = [f"train/{CLASSES[k % 2]}/{shops[k % 3]}/{k}.jpg" for k in range(60)]
    groups = groups_of(part, np.arange(60) % 3 != 1, CLASSES, background=0, files=files)
    own = of_kind(groups, "folder")
    assert [(group.name, group.n, group.right) for group in own] == [
        ("(none)", 20, 20),
        ("north", 20, 20),
        ("south/outlet", 20, 0),
    ]
    assert worst_of(groups).name == "south/outlet"
    alone = [f"hat/{k}/photo.jpg" for k in range(60)]
    assert not of_kind(
        groups_of(part, np.ones(60, bool), CLASSES, background=0, files=alone), "folder"
    )


def test_a_handful_of_images_has_no_place_in_the_ranking():
    few = Group("class", "cap", 5, 0, 1e-6, 1e-5)
    many = Group("class", "hat", 500, 490, 0.5, 1.0)
    assert not few.differs
    assert worst_of([few, many]) is None


@settings(max_examples=40)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    n=st.integers(1, 120),
    seed=st.integers(0, 3),
)
def test_samples_are_stratified_and_nested(counts, n, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    chosen = stratified(labels, n, seed)
    assert len(chosen) == min(n, len(labels))
    assert len(set(chosen.tolist())) == len(chosen)
    assert (np.diff(chosen) > 0).all()
    for label, count in enumerate(counts):
        share = count * len(chosen) / max(1, len(labels))
        assert abs((labels[chosen] == label).sum() - share) <= 2
    more = stratified(labels, n + 5, seed)
    assert set(chosen.tolist()) <= set(more.tolist())
    np.testing.assert_array_equal(stratified(labels, None, seed), np.arange(len(labels)))
