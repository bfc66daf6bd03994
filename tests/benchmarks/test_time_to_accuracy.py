"""Seconds to an accuracy: what is run, what is kept, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from atelier.errors import AtelierError, RunError
from benchmarks.measurements import Epoch, Measurements, PeerRun, RecipeRun
from benchmarks.performance import SECTION, claim_lines, performance_text
from benchmarks.picture import save_picture
from benchmarks.systems import PeerSystem, RecipeSystem, make_systems
from benchmarks.time_to_accuracy import in_turn, main, measure

MACHINE = {
    "python": "3.11.7",
    "torch": "2.15.0",
    "platform": "Linux",
    "processor": "Some Processor, 2 cores",
    "threads": 2,
    "device": "cpu",
}


def recipe_run(recipe: str, seed: int, seconds: float, accuracy: float) -> RecipeRun:
    return RecipeRun(
        recipe=recipe,
        seed=seed,
        seconds=seconds,
        test_accuracy=accuracy,
        train_seconds=seconds - 4,
        num_epochs=3,
        parameters=123_456,
        recipe_sha256="0" * 64,
        environment=MACHINE,
        finished=f"2026-01-0{seed + 1}",
    )


def peer_run(peer: str, seed: int, *points: tuple[float, float]) -> PeerRun:
    epochs = [Epoch(number, *point) for number, point in enumerate(points, 1)]
    return PeerRun(peer, seed, epochs, {"torch": "2.15.0"}, "2026-01-01")


@pytest.fixture
def measurements() -> Measurements:
    """Two recipes of two seeds, the plain loop for five epochs, and a peer that fell short."""
    found = Measurements("fashion-mnist", "f" * 64, 60_000, 10_000, MACHINE)
    for run in (
        recipe_run("fast-91", 0, 9.0, 0.912),
        recipe_run("fast-91", 1, 11.0, 0.914),
        recipe_run("fast-95", 0, 300.0, 0.948),
        peer_run(
            "plain-loop", 0, (60, 0.86), (110, 0.89), (160, 0.911), (210, 0.909), (260, 0.915)
        ),
        peer_run("hog-svm", 0, (75, 0.897)),
    ):
        found.add(run, "python -m benchmarks.time_to_accuracy")
    return found


def row_of(text: str, *starts: str) -> list[str]:
    """The cells of the one table row whose first cells are `starts`."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    (found,) = [row for row in rows if tuple(row[: len(starts)]) == starts]
    return found


def test_the_text_has_the_numbers(measurements: Measurements) -> None:
    text = performance_text(measurements, "docs/images/picture.png")
    recipe = row_of(text, "`fast-91`", "**91.30 %** (91.20, 91.40)")
    assert recipe[3:] == ["0.14 points", "91 %: held", "10.0 s (9.0–11.0)", "123,456"]
    beside = row_of(text, "`fast-91`", "10.0 s")
    assert beside[2:] == ["to its first epoch at or over 91 %", "160 s", "0.062"]
    plain = row_of(text, "plain loop")
    assert plain[1:] == ["1", "160 s (epoch 3)", "91.50 % after 260 s, 5 epochs", "torch 2.15.0"]
    hog = row_of(text, "HOG + linear SVM")
    assert hog[2:4] == ["not reached, best 89.70 %", "89.70 % after 75.0 s"]
    for words in (
        "Some Processor, 2 cores, 2 threads",
        "torch 2.15.0",
        "2026-01-01 to 2026-01-02",
        "`python -m benchmarks.time_to_accuracy`",
        "(docs/images/picture.png)",
    ):
        assert words in text


def test_epochs_that_were_not_run_are_called_extrapolated(measurements: Measurements) -> None:
    row = row_of(performance_text(measurements, None), "`fast-95`", "300 s")
    # Five epochs in 260 s, and 55 more of 50 s each.
    assert row[2:] == [
        "60 epochs, extrapolated from its median epoch (5 were run)",
        "3,010 s",
        "0.100",
    ]


def test_epochs_that_were_run_are_not(measurements: Measurements) -> None:
    measurements.add(recipe_run("fast-93", 0, 21.0, 0.931), "command")
    row = row_of(performance_text(measurements, None), "`fast-93`", "21.0 s")
    assert row[2:] == ["4 epochs", "210 s", "0.100"]


def test_one_epoch_is_not_extrapolated_from(measurements: Measurements) -> None:
    measurements.peer_runs = [peer_run("plain-loop", 0, (60, 0.86))]
    text = performance_text(measurements, None)
    assert row_of(text, "`fast-91`", "10.0 s")[3:] == ["not reached by every seed", "-"]
    assert "60 epochs" not in text


def test_what_was_not_measured_is_not_mentioned(measurements: Measurements) -> None:
    text = performance_text(measurements, None)
    for words in ("Keras", "Lightning", "fast-93", "fast-94", "boosted", "!["):
        assert words not in text
    assert "plain loop" not in performance_text(replace(measurements, peer_runs=[]), None)
    assert "fast-" not in performance_text(replace(measurements, recipe_runs=[]), None)


def test_claims_are_judged_by_the_mean(measurements: Measurements) -> None:
    measurements.add(recipe_run("mlp", 0, 5.0, 0.9), "command")
    assert claim_lines(measurements) == [
        "fast-91: claim held: 91.30 % over 2 seeds, claimed 91 %",
        "fast-95: claim missed: 94.80 % over 1 seed, claimed 95 %",
    ]


def test_the_readme_keeps_all_but_the_section(
    measurements: Measurements, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "results.json"
    readme.write_text(f"# Before\n\n{SECTION.start}\nold words\n{SECTION.end}\n\nAfter\n")
    measurements.save(results)
    picture = save_picture(measurements, tmp_path / "images" / "picture.png")
    words = ["--write-readme", "--results", results, "--readme", readme, "--picture", picture]
    assert main([str(word) for word in words]) == 0
    page = readme.read_text()
    assert page.startswith(f"# Before\n\n{SECTION.start}\n\nTrained on fashion-mnist")
    assert page.endswith(f"(images/picture.png)\n\n{SECTION.end}\n\nAfter\n")
    assert "old words" not in page
    assert main([str(word) for word in words]) == 0
    assert readme.read_text() == page


def test_each_machine_has_its_own_tables(
    measurements: Measurements, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme, first, second = (
        tmp_path / "README.md",
        tmp_path / "first.json",
        tmp_path / "second.json",
    )
    readme.write_text(f"{SECTION.start}{SECTION.end}")
    measurements.save(first)
    replace(measurements, machine={**measurements.machine, "processor": "Other"}).save(second)
    words = ["--results", str(first), str(second)]
    assert main(["--write-readme", *words, "--readme", str(readme)]) == 0
    page = readme.read_text()
    assert page.index(f"### {measurements.machine['processor']}") < page.index("### Other")
    assert page.count("Trained on fashion-mnist") == 2
    with pytest.raises(SystemExit):
        main(words)
    assert "--write-readme" in capsys.readouterr().err


@pytest.mark.parametrize("page", ["", SECTION.start, f"{SECTION.end} {SECTION.start}"])
def test_a_readme_without_markers_is_refused(
    page: str, measurements: Measurements, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "results.json"
    readme.write_text(page)
    measurements.save(results)
    words = ["--write-readme", "--results", str(results), "--readme", str(readme)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no place for the performance section" in said
    assert readme.read_text() == page


def test_the_results_file_gives_back_what_was_saved(
    measurements: Measurements, tmp_path: Path
) -> None:
    measurements.save(tmp_path / "results.json")
    assert Measurements.load(tmp_path / "results.json") == measurements


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 0}', '{"format_version": 1}'])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(RunError, match="not a results file"):
        Measurements.load(tmp_path / "results.json")


def test_the_picture_is_drawn_of_much_and_of_little(
    measurements: Measurements, tmp_path: Path
) -> None:
    measurements.add(peer_run("plain-loop", 1, (61, 0.85), (111, 0.88)), "command")
    little = (replace(measurements, peer_runs=[]), replace(measurements, recipe_runs=[]))
    for number, some in enumerate((measurements, *little)):
        assert save_picture(some, tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def test_rounds_go_there_and_back() -> None:
    assert in_turn({"a": 3, "b": 1, "c": 2}) == [
        ("a", 0), ("b", 0), ("c", 0), ("c", 1), ("a", 1), ("a", 2),
    ]  # fmt: skip
    assert in_turn({}) == []


@dataclass
class FakeSystem:
    """Says what it is asked to do; fails if `broken`."""

    name: str
    asked: list[str]
    broken: bool = False

    def is_measured(self, seed: int, measurements: Measurements) -> bool:
        return any(run.seed == seed for run in measurements.of_recipe(self.name))

    def rehearse(self) -> None:
        if self.broken:
            raise AtelierError(f"{self.name} is broken")

    def run(self, seed: int) -> RecipeRun:
        self.asked.append(f"{self.name} {seed}")
        return recipe_run(self.name, seed, 5.0, 0.9)


def test_what_is_there_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.json"
    measurements = Measurements("data", "f" * 64, 1, 1, MACHINE)
    asked: list[str] = []
    systems = {name: FakeSystem(name, asked) for name in ("a", "b")}
    assert measure(systems, in_turn({"a": 1, "b": 1}), measurements, results, "first") == 0
    kept = Measurements.load(results)
    assert measure(systems, in_turn({"a": 2, "b": 1}), kept, results, "second") == 0
    assert asked == ["a 0", "b 0", "a 1"]
    assert Measurements.load(results).commands == ["first", "second"]
    said = capsys.readouterr().err
    assert "run 2 of 2: b, seed 0; about 1 min left" in said
    assert "a, seed 1: 90.00 % in 5.0 s" in said


def test_a_system_that_fails_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measurements = Measurements("data", "f" * 64, 1, 1, MACHINE)
    asked: list[str] = []
    systems = {"a": FakeSystem("a", asked, broken=True), "b": FakeSystem("b", asked)}
    turns = in_turn({"a": 2, "b": 2})
    assert measure(systems, turns, measurements, tmp_path / "results.json", "command") == 1
    assert asked == ["b 0", "b 1"]
    assert capsys.readouterr().err.count("error: a is broken") == 1


def test_ctrl_c_keeps_the_finished_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tmp_path / "results.json"
    measurements = Measurements("data", "f" * 64, 1, 1, MACHINE)
    systems = {name: FakeSystem(name, []) for name in ("a", "b")}

    def stop(seed: int) -> RecipeRun:
        raise KeyboardInterrupt

    monkeypatch.setattr(systems["b"], "run", stop)
    with pytest.raises(KeyboardInterrupt):
        measure(systems, in_turn({"a": 1, "b": 1}), measurements, results, "command")
    assert [run.recipe for run in Measurements.load(results).recipe_runs] == ["a"]


def test_a_changed_recipe_or_more_epochs_are_measured_anew(tmp_path: Path) -> None:
    measurements = Measurements("fashion-mnist", "f" * 64, 1, 1, MACHINE)
    recipe = RecipeSystem("mlp", "fashion-mnist")
    for name in ("plain-loop", "hog-svm"):
        measurements.add(peer_run(name, 0, (1.0, 0.5)), "command")
        assert PeerSystem(name, tmp_path, 1).is_measured(0, measurements)
        assert not PeerSystem(name, tmp_path, 1).is_measured(1, measurements)
    assert not PeerSystem("plain-loop", tmp_path, 2).is_measured(0, measurements)
    assert PeerSystem("hog-svm", tmp_path, 2).is_measured(0, measurements)  # it has no epochs
    measurements.add(recipe_run("mlp", 0, 5.0, 0.9), "command")
    assert not recipe.is_measured(0, measurements)  # for the recipe's digest is another


def test_a_recipe_and_the_plain_loop_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for system in (RecipeSystem, PeerSystem):  # no caches have to be warm here
        monkeypatch.setattr(system, "rehearse", lambda _: None)
    results, picture = tmp_path / "results.json", tmp_path / "picture.png"
    words: list[Any] = ["--recipes", "mlp", "--peers", "plain-loop", "--seeds", 1, "--epochs", 1]
    words += ["--plain-seeds", 1, "--data", "fashion-mnist-sample"]
    words += ["--results", results, "--picture", picture]
    assert main([str(word) for word in words]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert row_of(shown, "`mlp`")[6] == "670,730"
    assert row_of(shown, "plain loop")
    found = Measurements.load(results)
    (recipe,), (peer,) = found.recipe_runs, found.peer_runs
    assert 0 < recipe.train_seconds < recipe.seconds
    assert recipe.test_accuracy > 0.5
    assert recipe.environment["processor"] == found.machine["processor"]
    assert peer.seconds > 0
    assert peer.test_accuracy > 0.2
    assert peer.versions["torch"].startswith("2")
    before = results.read_bytes()
    assert main([str(word) for word in words]) == 0  # nothing is left to run
    assert results.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--recipes", "fsat-91"], "unknown recipe"),
        (["--recipes", "", "--peers", "plain-lop"], "plain-loop"),
        (["--recipes", "", "--peers", "", "--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_words_are_one_line(
    words: list[str], reason: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert reason in said
    assert not list(here.iterdir())


def test_results_of_another_machine_are_refused(
    measurements: Measurements, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measurements.save(here / "results.json")
    words = ["--recipes", "", "--peers", "", "--data", "fashion-mnist-sample"]
    assert main([*words, "--results", "results.json"]) == 2
    assert "another data and processor" in capsys.readouterr().err


def test_a_peer_that_fails_says_why(tmp_path: Path) -> None:
    (system,) = make_systems([], ["plain-loop"], "data", tmp_path / "nowhere", 1).values()
    with pytest.raises(AtelierError, match="the peer plain-loop failed with exit code 1: FileNot"):
        system.run(0)


def test_a_recipe_that_fails_says_why() -> None:
    with pytest.raises(AtelierError, match="atelier train mlp failed with exit code 2: there is"):
        RecipeSystem("mlp", "nowhere").run(0)
