"""A report of three runs, drawn once, and a browser that reads it."""

import pytest

from atelier.evaluation import compare_predictions
from atelier.reporting import write_report
from tests.reporting.fakes import FakeRun, make_dataset, make_entry
from tests.reporting.pages import Page
from tests.serving.browsing import CHROMIUM, FLAGS


@pytest.fixture(scope="session")
def dataset():
    return make_dataset()


@pytest.fixture(scope="session")
def three(dataset, tmp_path_factory):
    """A report of three runs, two of one name, with the comparison of their recipes."""
    entries = [
        make_entry(dataset, FakeRun(name), noise=noise, seed=k, augmented=k == 0)
        for k, (name, noise) in enumerate([("mlp", 3), ("cnn", 1), ("cnn", 0.5)])
    ]
    comparison = compare_predictions(
        {name: [(0, e.predictions)] for name, e in zip(("mlp", "old", "new"), entries, strict=True)}
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    folders = [path.parent / f"figures-{k}" for k in range(len(entries))]
    written = write_report(
        entries, path, dataset=dataset, comparison=comparison, figure_folders=folders
    )
    assert written == path
    return Page(path), comparison


@pytest.fixture(scope="module")
def reader():
    """A Chromium that opens files."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
