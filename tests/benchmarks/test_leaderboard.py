"""The README's leaderboard says what the file says."""

import numpy as np
import pytest

from atelier.zoo import Entry, Leaderboard
from atelier.zoo.leaderboard import packed
from benchmarks.leaderboard import SECTION, main


@pytest.fixture
def results(tmp_path):
    board = Leaderboard((), "its own epochs", "own", "fashion-mnist", "test", "f00")
    for name, right in (("good", 900), ("fair", 800)):
        correct = packed(np.arange(1000) < right)
        entry = Entry(
            *(name, {}, 1500, 2_000_000, 3, (42.0,), (right / 1000,), (0,), 3, 1000),
            *(correct, "a machine"),
        )
        board = board.with_entry(entry)
    board.save(tmp_path / "zoo.json")
    return tmp_path


def test_the_section_is_written_and_the_rest_of_the_page_left_alone(results):
    readme = results / "README.md"
    readme.write_text(f"# Before\n\n{SECTION.start}\nold\n{SECTION.end}\n\nAfter\n")
    options = ["--results", "zoo.json", "--picture", "images/zoo.png", "--readme", "README.md"]
    paths = [o if o.startswith("--") else str(results / o) for o in options]
    (results / "images").mkdir()
    assert main(paths) == 0
    page = readme.read_text()
    assert page.startswith(f"# Before\n\n{SECTION.start}\n\nFashion-mnist, test images; its own")
    assert "old" not in page
    assert page.endswith(f"(images/zoo.png)\n\n{SECTION.end}\n\nAfter\n")
    rows = [line for line in page.splitlines() if line.startswith("| 1 ") or "`fair`" in line]
    costs = "1 (2 missing) | 1.50 k | 2.00 M | 3 | 42 s |"
    assert rows == [
        f"| 1 | `good` | 90.00 % | - | 87.98 to 91.71 % | {costs}",
        f"| 2 | `fair` | 80.00 % | - | 77.41 to 82.36 % | {costs}",
    ]
    assert (results / "images" / "zoo.png").stat().st_size > 10_000


def test_a_page_without_a_place_for_it_is_an_error(results, capsys):
    (results / "README.md").write_text("# atelier")
    paths = {"results": "zoo.json", "readme": "README.md", "picture": "zoo.png"}
    found = main([word for o, name in paths.items() for word in (f"--{o}", str(results / name))])
    assert found == 2
    assert "no place for the leaderboard section" in capsys.readouterr().err
