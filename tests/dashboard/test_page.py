"""The page, driven in a real Chromium."""

import shutil
import time

import pytest

from tests.dashboard.conftest import ODD, served
from tests.dashboard.many_runs import write_runs

VIEWS = ["Curves", "Confusion", "Threshold", "Compare two", "Seeds", "Cost"]


def rows(page):
    return page.locator(".table tbody tr").count()


def drawn(page):
    """Wait until the view is there, with its charts."""
    page.locator("#view[aria-busy=false]").wait_for()
    for chart in page.locator(".chart").all():
        chart.locator(".main-svg").first.wait_for()


def look(page, view):
    page.get_by_role("tab", name=view).click()
    drawn(page)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_every_view_fits(visit, address, width, dark):
    page = visit(address, width=width, dark=dark)
    for view in VIEWS:
        look(page, view)
        assert page.locator("#view .bad").count() == 0, view
        assert page.evaluate("document.documentElement.scrollWidth") == width, view
    assert page.locator(".chart .main-svg").count() > 0


def test_the_table_is_filtered_and_sorted(visit, address):
    page = visit(address)
    assert rows(page) == 24
    words = page.locator("#words")
    for text, number in [
        ("cnn", 5),  # with the half written one
        ("train.lr=0.003", 5),
        ("seed=1", 5),
        ("parameters<100000 epochs>0", 5),
        ("nothing such", 0),
        ("", 24),
    ]:
        words.fill(text)
        assert rows(page) == number, text
    page.locator("#state").select_option("damaged")
    assert rows(page) == 2
    page.locator("#state").select_option("")
    page.get_by_role("button", name="validation", exact=True).click()
    cells = page.locator(".table tbody tr td:nth-child(7)").all_inner_texts()
    known = [float(cell.removesuffix(" %")) for cell in cells if cell]
    assert known == sorted(known, reverse=True)
    assert len(known) == 22
    page.locator("#extra").select_option("train.lr")
    assert "0.003" in page.locator(".table tbody").inner_text()


def test_a_name_opens_a_run_and_a_cell_shows_its_images(visit, address):
    page = visit(address)
    page.get_by_role("button", name=f"deeper/{ODD}").click()
    drawn(page)
    assert "500 test images" in page.locator("#view").inner_text()
    field = page.locator(".chart .nsewdrag").first
    box = field.bounding_box()
    bag = {"x": 8.5 / 10 * box["width"], "y": 8.5 / 10 * box["height"]}
    field.hover(position=bag, force=True)
    page.locator(".hovertext").first.wait_for()
    field.click(position=bag, force=True)
    page.locator(".images img").first.wait_for()
    assert "Bag called Bag" in page.locator("#view").inner_text()
    assert page.locator(".images img").first.evaluate("i => i.complete && i.naturalWidth") == 28
    shown = page.locator(".images img").count()
    page.get_by_role("button", name="show more").click()
    page.locator(f".images figure:nth-child({shown + 1})").wait_for()
    page.locator(".confusions button").first.click()
    page.locator(".images img").first.wait_for()
    assert " called " in page.locator("#view").inner_text()


def test_moving_the_threshold_says_what_is_answered(visit, address):
    page = visit(address)
    look(page, "Threshold")
    said = page.locator("#answered")
    page.locator("#threshold").fill("0")
    assert "From 0.00 on, 100.0 % of 150 validation images" in said.inner_text()
    page.locator("#threshold").fill("0.9")
    assert "From 0.90 on" in said.inner_text()
    assert "100.0 % of 150" not in said.inner_text()


def test_two_runs_are_compared(visit, address):
    page = visit(address)
    page.locator("#clear").click()
    for name in ("mlp-lr0.001-s0", "fast-91-lr0.001-s0"):
        page.get_by_role("checkbox", name=f"choose {name}", exact=True).check()
    look(page, "Compare two")
    assert "fast-91-lr0.001-s0" in page.locator("#view .big").first.inner_text()
    assert "p " in page.locator("#view .big").first.inner_text()


def test_what_is_wrong_with_a_run_is_said(visit, address):
    page = visit(address)
    page.get_by_role("button", name="damaged", exact=True).click()
    page.locator("#view .bad").wait_for()
    assert "JSON" in page.locator("#view .bad").inner_text()
    page.get_by_role("button", name="half", exact=True).click()
    page.get_by_text("its training has not ended").wait_for()


def test_a_new_run_is_there_after_a_refresh(visit, runs, tmp_path):
    folder = tmp_path / "runs"
    shutil.copytree(runs / "mlp-lr0.001-s0", folder / "first")
    with served(folder) as address:
        page = visit(address)
        assert rows(page) == 1
        shutil.copytree(runs / "cnn-lr0.001-s0", folder / "second")
        page.locator("#refresh").click()
        page.get_by_role("button", name="second", exact=True).wait_for()
        assert rows(page) == 2


def test_a_folder_without_runs_is_an_empty_table(browser, tmp_path):
    with served(tmp_path) as address:
        page = browser.new_page()
        page.goto(address)
        page.get_by_text("0 of 0 runs").wait_for()
        page.close()


def test_500_runs_open_quickly(visit, tmp_path):
    folder = write_runs(tmp_path / "runs", 25, images=40)
    names = sorted(folder.iterdir())
    for k in range(475):
        shutil.copytree(names[k % 25], folder / f"{names[k % 25].name}-copy-{k}")
    with served(folder) as address:
        start = time.monotonic()
        page = visit(address, counted=False)
        seconds = time.monotonic() - start
        assert rows(page) == 500
    # 3 s is what an idle machine is held to (README); this only finds what is slow by nature.
    assert seconds < 20
