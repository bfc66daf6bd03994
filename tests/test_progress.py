"""Progress: a bar on a terminal, a line now and then elsewhere, and silence when asked."""

import io
import sys

import pytest

from atelier import progress
from atelier.progress import progress_bar


class Clock:
    """Time that passes when told to."""

    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


class Terminal(io.StringIO):
    """A terminal whose text can be read."""

    def isatty(self):
        return True


@pytest.fixture
def open_terminal(monkeypatch):
    """A function that makes standard error a terminal. pytest takes it back before each phase."""

    def opened():
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        return terminal

    return opened


def test_a_pipe_gets_a_line_every_ten_seconds_with_the_time_left(clock, capsys):
    with progress_bar("cnn", 4) as bar:
        for completed in (0.5, 1.0, 1.5, 2.0, 3.0):
            clock.now += 6
            bar.update(completed, "epoch")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["cnn  25 %  epoch  36 s left", "cnn  50 %  epoch  24 s left"]


def test_the_end_is_always_said(clock, capsys):
    with progress_bar("cnn", 3) as bar:
        bar.update(1)
        bar.update(3, "done")
    assert capsys.readouterr().err == "cnn 100 %  done  0 s left\n"


@pytest.mark.parametrize("completed", [0, 1])
def test_a_total_of_nothing_is_done_at_once(clock, capsys, completed):
    with progress_bar("cnn", 0) as bar:
        bar.update(completed)
    assert capsys.readouterr().err in ("", "cnn 100 %    0 s left\n")


def test_more_than_the_total_leaves_no_negative_time(clock, capsys):
    with progress_bar("cnn", 2) as bar:
        clock.now += 5
        bar.update(3)
    assert capsys.readouterr().err.endswith(" 0 s left\n")


def test_silence(capsys, open_terminal):
    terminal = open_terminal()
    with progress_bar("cnn", 3, show=False) as bar:
        bar.update(1, "words")
    assert terminal.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_with_its_note(capsys, open_terminal):
    terminal = open_terminal()
    with progress_bar("cnn", 4) as bar:
        bar.update(2, "validation 90 %")
    assert "cnn" in terminal.getvalue()
    assert "50%" in terminal.getvalue()
    assert "validation 90 %" in terminal.getvalue()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("total", [0, 4])
def test_a_bar_takes_any_title_and_total(open_terminal, total):
    terminal = open_terminal()
    with progress_bar("my [/red] data [bold]", total) as bar:
        bar.update(total, "note [/x]")
    assert "my [/red] data [bold]" in terminal.getvalue()
    assert "note [/x]" in terminal.getvalue()
