"""A model card says what is known, in the form that the Hub reads, and no name breaks it."""

import json

import pytest
import yaml
from huggingface_hub import ModelCard

import atelier
from atelier.errors import ConfigError
from atelier.reporting.cards import escaped
from atelier.reporting.front_matter import front_matter
from atelier.robustness import robustness


@pytest.fixture(scope="module")
def written(finished_run, tmp_path_factory):
    """The card of a run, and its evaluation."""
    import shutil

    own = atelier.load_run(
        shutil.copytree(finished_run.path, tmp_path_factory.mktemp("cards") / "own")
    )
    return atelier.model_card(own, license="apache-2.0").read_text("utf-8"), own


def test_the_hub_s_own_reader_finds_the_scores(written):
    text, run = written
    card = ModelCard(text)
    result = atelier.evaluate(run)
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-classification"
    scores = {found.metric_type: found.metric_value for found in card.data.eval_results}
    assert scores["accuracy"] == pytest.approx(result.accuracy, abs=1e-6)
    assert scores["f1"] == pytest.approx(result.macro_f1, abs=1e-6)
    assert {found.dataset_split for found in card.data.eval_results} == {"test"}
    assert card.data.model_name == run.name
    assert card.data.get("datasets") is None  # the sample is none of the Hub's data sets


def test_it_has_all_parts_and_says_only_what_is_known(written):
    text, run = written
    parts = ["Intended use", "Training data", "Training procedure", "Evaluation"]
    parts += ["Limits and biases", "How to use", "Environment", "Citation"]
    places = [text.index(f"\n## {part}\n") for part in parts]
    assert places == sorted(places)
    assert run.command in text
    assert "License: apache-2.0." in text
    assert "Corrupted images, attacks and subgroups: not looked at." in text
    assert run.environment["data_fingerprint"] in text


def test_without_a_license_none_is_made_up(own_run):
    text = atelier.model_card(own_run).read_text("utf-8")
    assert ModelCard(text).data.license is None
    assert "License: unspecified." in text


def test_what_robustness_has_kept_is_told_and_what_is_damaged_is_said(own_run):
    kept = robustness(
        own_run, corruptions=["mirror", "noise"], images=60, attacks=[], progress=False
    ).runs[0]
    text = atelier.model_card(own_run).read_text("utf-8")
    assert f"({kept.n} test images)" in text
    (own_run.path / "robustness.json").write_text("{}")
    text = atelier.model_card(own_run).read_text("utf-8")
    assert "not known, for" in text
    assert "atelier robustness" in text


def test_a_card_that_was_changed_by_hand_stays(own_run):
    path = atelier.model_card(own_run)
    first = path.read_text("utf-8")
    atelier.model_card(own_run, license="mit")  # its own, unchanged: replaced
    assert "License: mit." in path.read_text("utf-8")
    path.write_text(first.replace("unspecified", "ours"), "utf-8")
    atelier.model_card(own_run)
    assert "License: ours" in path.read_text("utf-8")
    atelier.model_card(own_run, overwrite=True)
    assert "License: unspecified" in path.read_text("utf-8")


@pytest.mark.parametrize("license", ["", "MIT License", "x: y", "a\nb"])
def test_what_is_no_identifier_of_a_license_is_refused(own_run, license):
    with pytest.raises(ConfigError, match=r"apache-2\.0"):
        atelier.model_card(own_run, license=license)


@pytest.mark.parametrize(
    "name", ["a: b", "x\n---\ny: 1", '"quoted" #', "靴 & <b> 😀\u2028", "- [1]"]
)
def test_no_name_breaks_out_of_the_yaml(finished_run, name):
    result = atelier.evaluate(finished_run)
    head = front_matter(name, name, "test", result, model="mlp", license=None)
    values = yaml.safe_load(head.removeprefix("---\n").removesuffix("\n---"))
    (index,) = values["model-index"]
    assert index["name"] == index["results"][0]["dataset"]["name"] == name
    assert json.dumps(values)
    assert head.count("\n---") == 1


def test_names_are_shown_as_they_are_in_markdown():
    assert escaped("a|b <i> *c*\n_d_") == "a\\|b &lt;i\\> \\*c\\* \\_d\\_"
