"""What other verbs know is in the report, and what is not known says how to have it."""

import pytest

import atelier
from atelier.errors import ConfigError, ExtraError
from atelier.reporting import TOPICS
from tests.reporting.pages import Page


def report(run, out, **options):
    return Page(atelier.report([run], out / "r.html", progress=False, **options))


def test_a_quick_report_names_the_verb_of_all_that_was_not_computed(own_run, tmp_path):
    before = {path.name for path in own_run.path.iterdir()}
    page = report(own_run, tmp_path, quick=True)
    for verb in ("uncertainty", "explain", "robustness", "embeddings"):
        assert f"atelier {verb} {own_run.path}" in page.words
    assert "atelier audit fashion-mnist-sample --labels" in page.words
    assert {path.name for path in own_run.path.iterdir()} - before <= {"README.md", "figures"}


def test_what_is_missing_is_looked_at_on_a_sample_and_nothing_of_it_is_kept(
    own_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("atelier.reporting.topics.robustness._IMAGES", 30)
    monkeypatch.setattr("atelier.reporting.topics.robustness._ATTACKED", 10)
    monkeypatch.setattr("atelier.reporting.topics.explanations._ERRORS", 1)
    page = report(own_run, tmp_path)
    assert "A quick look at 30 images" in page.words
    assert f"On corrupted images {own_run.name} is right on" in page.words
    alts = " ".join(image["alt"] for image in page.all("img"))
    assert "Reliability diagram of own on 500 test images" in alts
    assert "PCA of the embeddings of 500 test images" in alts
    assert "Pairs that show the same" in page.words
    assert "The surest errors of own." in page.words
    assert not (own_run.path / "robustness.json").exists()
    ids = {tag.get("id") for _, tag in page.tags}
    assert ids >= set(TOPICS)


def test_a_damaged_file_and_a_missing_extra_cost_one_section_and_not_the_report(
    own_run, tmp_path, monkeypatch
):
    def without_captum(*_, **__):
        raise ExtraError(
            "this needs captum, which is not installed", fix="Run `pip install 'atelier[explain]'`"
        )

    monkeypatch.setattr("atelier.reporting.topics.explanations.explained_examples", without_captum)
    (own_run.path / "uncertainty.json").write_text("{}")
    page = report(own_run, tmp_path, without=["audit", "robustness", "embeddings"])
    assert "pip install 'atelier[explain]'" in page.words
    assert "Make it anew with atelier uncertainty" in page.words
    assert not {"audit", "robustness"} & {tag.get("id") for _, tag in page.tags}


def test_a_topic_that_is_none_is_refused_before_anything_is_made(own_run, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'robustness'"):
        report(own_run, tmp_path, without=["robustnes"])
    assert not (tmp_path / "r.html").exists()


def test_the_verb_writes_report_and_cards(own_run, here, call):
    code, said, _ = call("report", own_run.path, "--quick", "--license", "mit", "-q")
    assert code == 0
    assert said == f"report: report.html\nmodel card: {own_run.path / 'README.md'}\n"
    assert "License: mit." in (own_run.path / "README.md").read_text("utf-8")
    assert (here / "report.html").is_file()
