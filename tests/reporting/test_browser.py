"""The report in a browser: wide, narrow, dark, by keyboard and on paper."""

import pytest

DARK = "getComputedStyle(document.body).backgroundColor"
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"


@pytest.fixture
def look(reader, three):
    """A function that opens the report of three runs; what it asks of a network fails the test."""
    contexts, asked = [], []

    def look(width=1280, *, dark=False):
        context = reader.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or asked.append(r.url))
        page.on("pageerror", lambda error: asked.append(str(error)))
        page.goto(three[0].path.as_uri())
        return page

    yield look
    for context in contexts:
        context.close()
    assert asked == []


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_leaves_the_screen_sideways(look, width):
    page = look(width)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    across, inner = page.evaluate(WIDTHS)
    assert across <= inner == width


def test_the_contents_stand_open_beside_the_text_and_closed_above_it(look):
    link = "nav a[href='#errors']"
    assert look(1280).locator(link).is_visible()
    narrow = look(390)
    assert not narrow.locator(link).is_visible()
    narrow.locator("nav summary").click()
    narrow.locator(link).click()
    assert narrow.url.endswith("#errors")


def test_the_keyboard_goes_first_past_the_contents_and_opens_what_is_closed(look):
    page = look()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the summary"
    closed = page.locator("#confusion-run-1")
    closed.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert closed.evaluate("part => part.open")


def test_dark_follows_the_reader_and_paper_is_white_with_everything_open(look):
    page = look(dark=True)
    assert page.evaluate(DARK) == "rgb(22, 24, 28)"
    page.emulate_media(media="print")
    assert page.evaluate(DARK) == "rgb(255, 255, 255)"
    assert page.locator("#confusion-run-1 img").first.is_visible()
    assert not page.locator("nav").is_visible()
