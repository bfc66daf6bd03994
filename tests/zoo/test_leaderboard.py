"""The leaderboard ranks, says what cannot be told apart, and survives its file."""

import json

import numpy as np
import pytest

from atelier.errors import RunError
from atelier.zoo.leaderboard import Entry, Leaderboard, counted, duration, packed
from atelier.zoo.picture import leaderboard_figure


def entry(name, accuracies, *, parameters=1000, seconds=10.0, asked=None, correct=None):
    if correct is None:
        correct = np.arange(1000) < round(1000 * accuracies[0])
    seeds = tuple(range(len(accuracies)))
    return Entry(
        name=name,
        recipe={"name": name},
        parameters=parameters,
        multiply_adds=10 * parameters,
        num_epochs=3,
        train_seconds=(seconds,) * len(seeds),
        accuracies=tuple(accuracies),
        seeds=seeds,
        asked=asked or len(seeds),
        images=len(correct),
        correct=packed(correct),
        machine="a machine",
    )


def board(*entries, **more):
    result = Leaderboard((), "5 epochs each", "epochs-5", "fashion-mnist", "test", "f00", **more)
    for one in entries:
        result = result.with_entry(one)
    return result


def test_the_best_comes_first_and_an_entry_replaces_its_elder():
    ranked = board(entry("a", [0.8]), entry("b", [0.9]), entry("a", [0.95]))
    assert [one.name for one in ranked.entries] == ["a", "b"]
    assert ranked.entries[0].accuracy == 0.95


def test_what_comes_in_after_all_is_no_longer_left_out():
    assert board(entry("a", [0.8]), left_out={"a": "too dear", "b": "too"}).left_out == {"b": "too"}


def test_those_that_no_test_tells_from_the_best_are_marked():
    correct = np.arange(1000) < 900
    close = correct.copy()
    close[[0, 1, 2, 950, 951]] ^= True  # one image less, by five that differ
    ranked = board(
        entry("best", [0.9], correct=correct),
        entry("close", [0.899], correct=close),
        entry("far", [0.8]),
    )
    assert ranked.level_with_best() == {"best", "close"}
    lines = str(ranked).splitlines()
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["1=", "best"],
        ["2=", "close"],
        ["3", "far"],
    ]
    assert "=: not told from the first by a paired test" in str(ranked)


def test_the_front_has_those_that_nobody_beats_for_as_little():
    ranked = board(
        entry("small", [0.8], parameters=10),
        entry("worse", [0.7], parameters=20),
        entry("good", [0.9], parameters=30),
        entry("same-for-more", [0.9], parameters=40),
    )
    assert [one.name for one in ranked.pareto("parameters")] == ["small", "good"]


def test_missing_seeds_and_spread_are_stated():
    row = board(entry("a", [0.8, 0.9], asked=3)).rows()[1][0]
    assert row[2:4] == ["85.00 %", "7.07"]
    assert row[5] == "2 (1 missing)"
    assert board(entry("a", [0.8])).rows()[1][0][3] == "-"


def test_the_interval_is_wilsons():
    low, high = entry("a", [0.9]).interval
    assert (round(low, 4), round(high, 4)) == (0.8798, 0.9171)


def test_the_file_gives_back_what_was_saved(tmp_path):
    ranked = board(entry("a", [0.8, 0.7]), entry("b", [0.9]), left_out={"c": "too dear"})
    ranked.save(tmp_path / "zoo.json")
    again = Leaderboard.load(tmp_path / "zoo.json")
    assert again == ranked
    assert np.array_equal(again.entries[0].hits, np.arange(1000) < 900)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1}'])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "zoo.json").write_text(text)
    with pytest.raises(RunError, match="is not a leaderboard"):
        Leaderboard.load(tmp_path / "zoo.json")


def test_it_is_plain_json():
    assert json.loads(json.dumps(board(entry("a", [0.8])).to_dict()))["entries"][0]["name"] == "a"


def test_numbers_are_said_as_people_say_them():
    assert [counted(n) for n in (7, 999, 1000, 75_123, 999_960, 1_290_000, 2.5e10)] == [
        *("7", "999", "1.00 k", "75.1 k", "1.00 M", "1.29 M", "25.0 G"),
    ]
    assert [duration(s) for s in (4.21, 48, 438, 7200)] == ["4.2 s", "48 s", "7.3 min", "2.0 h"]


def test_the_picture_names_every_contender_once_in_each_panel():
    drawing = leaderboard_figure(
        board(*(entry(f"n{k}", [0.8 + k / 100], parameters=10**k) for k in range(1, 6)))
    )
    for axes in drawing.axes:
        words = [text.get_text() for text in axes.texts]
        assert sorted(words) == [f"n{k}" for k in range(1, 6)]
