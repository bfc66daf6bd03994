"""The report is one file that opens anywhere, says what matters, and runs nothing."""

import base64
import itertools
import re

import numpy as np
import pytest

from atelier.errors import RunError, StorageError
from atelier.evaluation import compare_predictions, evaluate_predictions
from atelier.predictions import Predictions
from atelier.reporting import ReportEntry, save_figures, write_report
from atelier.reporting.subjects import predicted_images
from tests.reporting.fakes import FakeRun, make_dataset, make_entry, make_predictions
from tests.reporting.pages import Page

EVIL = "</code><script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def test_nothing_is_fetched_and_nothing_is_run(three):
    page, _ = three
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert all(link["href"].startswith("#") for link in page.all("a"))
    assert "http://" not in page.source
    assert "https://" not in page.source
    assert "url(" not in page.source
    assert "@import" not in page.source
    (policy,) = [m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"].startswith("default-src 'none'")


def test_it_is_small_enough_to_send(three):
    assert len(three[0].source) < 8_000_000


def test_every_picture_is_a_png_with_words_for_those_who_do_not_see_it(three):
    images = three[0].all("img")
    assert len(images) >= 3 * 5
    for image in images:
        assert len(image["alt"]) > 20
        assert base64.b64decode(image["src"].split(",")[1]).startswith(b"\x89PNG")


def test_the_pictures_of_each_run_are_kept_beside_it_and_are_those_of_the_report(three):
    page, _ = three
    picture = page.path.parent / "figures-2" / "confusion_matrix.png"
    assert base64.b64encode(picture.read_bytes()).decode() in page.source


def test_the_contents_lead_to_places_that_exist_once(three):
    page, _ = three
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {link["href"][1:] for link in page.all("a")}
    assert targets <= set(ids)
    topics = "summary comparison training confusion classes errors calibration data reproduce"
    assert {*topics.split(), "confusion-run-1", "errors-run-3"} <= targets


def test_it_says_in_words_what_was_found_and_how_to_repeat_it(three):
    page, comparison = three
    assert page.words.index("Summary") < page.words.index("The highest accuracy is that of new")
    for sentence in comparison.sentences + comparison.notes:
        assert sentence in page.words
    assert "atelier train cnn --data fashion-mnist --seed 0 --set train.lr=0.01" in page.words
    assert "machine.cores 2" in page.words
    assert "Environment of mlp, cnn, cnn (2)" in page.words  # the same is shown once
    for heading in ("Class balance", "Samples of each class", "Worst errors", "What training saw"):
        assert heading in page.words


def test_it_follows_the_reader_s_light_and_prints_in_black_on_white(three):
    source = three[0].source
    assert "prefers-color-scheme: dark" in source
    assert "@media print" in source
    assert '<html lang="en">' in source


def test_headings_are_in_order_and_every_section_has_one(three):
    levels = [int(tag[1]) for tag, _ in three[0].tags if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(next_ - level <= 1 for level, next_ in itertools.pairwise(levels))
    ids = {attributes.get("id") for _, attributes in three[0].tags}
    assert all(section["aria-labelledby"] in ids for section in three[0].all("section"))


def test_long_parts_are_closed_but_those_of_the_best_run(three):
    page, _ = three
    closed = {part["id"] for part in page.all("details") if part.get("class") == "part"}
    assert {"confusion-run-1", "confusion-run-2", "errors-run-1"} <= closed
    assert "confusion-run-3" not in closed  # the run with the least noise
    assert "::details-content" in page.source  # print opens them


def test_the_summary_says_what_the_runs_share_and_what_to_do_next(three):
    page, _ = three
    summary = page.words.partition("What was found")[2].partition("Comparison Accuracy")[0]
    assert "How sure: the probabilities of cnn (2) are off by" in summary
    assert "The hardest class of cnn (2) is" in summary
    assert "What to do next" in summary
    assert "Train with more seeds before you choose ( atelier compare … --seeds 3 )" in summary
    assert "Hold images out of the training of cnn (2)" in summary


def test_tables_that_scroll_can_be_reached_by_the_keyboard(three):
    regions = [a for a in three[0].all("div") if a.get("class") in {"wide", "frame"}]
    assert regions
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)


def test_a_name_with_markup_is_inert_wherever_it_comes_from(tmp_path):
    data = make_dataset((EVIL, "Coat", "<b>Bag</b>"), name=EVIL)
    run = FakeRun(
        name=EVIL, command=f"atelier train {EVIL}", environment={EVIL: EVIL}, metrics={"note": EVIL}
    )
    entry = make_entry(data, run, noise=3)
    comparison = compare_predictions(
        {EVIL: [(0, entry.predictions)], "b": [(0, make_predictions(data))]}
    )
    page = Page(write_report([entry], tmp_path / "r.html", dataset=data, comparison=comparison))
    assert page.handlers == []
    assert {"script", "b"}.isdisjoint({tag for tag, _ in page.tags})
    assert all(tag["id"].isascii() for _, tag in page.tags if "id" in tag)
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    assert "alert(1)" in page.words  # shown as text


def test_one_run_without_history_or_errors_is_reported_too(dataset, tmp_path):
    entry = make_entry(dataset, FakeRun(history=[], metrics={}), noise=0)
    page = Page(write_report([entry], tmp_path / "r.html", dataset=dataset))
    assert "Worst errors" not in page.words
    assert "Comparison" not in page.words
    assert "Training" not in page.words  # of which nothing is known
    assert page.all("details") == [{}]  # of the contents: a single run is shown open
    assert "cnn-0 is right on 100.00 %" in page.words


def test_of_uneven_classes_the_balanced_accuracy_is_said_first(dataset, tmp_path):
    whole = make_predictions(dataset, noise=3)
    rows = np.flatnonzero((whole.labels != 2) | (np.arange(60) > 40))
    kept = Predictions(whole.ids[rows], whole.labels[rows], whole.logits[rows], whole.classes)
    entry = ReportEntry(FakeRun(), kept, evaluate_predictions(kept))
    page = Page(write_report([entry], tmp_path / "r.html", dataset=dataset))
    said = page.words.partition("cnn-0 is right on ")[2]
    assert said.index("of a class on average (balanced accuracy") < said.index("of the images")


def test_the_images_follow_the_predictions_and_not_their_order(dataset):
    p = make_predictions(dataset)
    order = np.random.default_rng(0).permutation(len(p))
    shuffled = Predictions(p.ids[order], p.labels[order], p.logits[order], p.classes)
    images = predicted_images(dataset, shuffled, "cnn")
    assert np.array_equal(images, dataset.test.images[order])


def test_predictions_of_other_images_are_refused(dataset, tmp_path):
    entry = make_entry(dataset)
    p = entry.predictions
    for foreign in (
        Predictions(p.ids + 1, p.labels, p.logits, p.classes),
        Predictions(p.ids, p.labels[::-1].copy(), p.logits, p.classes),
        Predictions(p.ids, p.labels, p.logits, ("a", "b", "c")),
    ):
        with pytest.raises(RunError, match="not of the test images of fashion-mnist"):
            write_report(
                [ReportEntry(entry.run, foreign, entry.evaluation)],
                tmp_path / "r.html",
                dataset=dataset,
            )
    assert list(tmp_path.iterdir()) == []


def test_no_runs_are_refused(dataset, tmp_path):
    with pytest.raises(RunError, match="no run to report on"):
        write_report([], tmp_path / "r.html", dataset=dataset)


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left(dataset, tmp_path):
    (tmp_path / "file").write_text("in the way")
    entry = make_entry(dataset, FakeRun(history=[]), noise=0)
    with pytest.raises(StorageError, match="cannot write"):
        write_report([entry], tmp_path / "file" / "r.html", dataset=dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_figures_of_a_run_are_saved_under_plain_names(dataset, tmp_path):
    paths = save_figures(make_entry(dataset, noise=3, augmented=True), tmp_path, dataset=dataset)
    assert sorted(path.name for path in paths) == [
        "augmented_samples.png",
        "confusable_pairs.png",
        "confusion_matrix.png",
        "per_class_f1.png",
        "sample_predictions.png",
        "training_curves.png",
        "worst_errors.png",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert not re.search(r"\s", "".join(path.name for path in paths))
