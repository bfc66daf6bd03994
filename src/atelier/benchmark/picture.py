"""A bench as a picture."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from ..drawing.canvas import GRAY, MARKERS, PALETTE, figure, plain, tidy
from ..evaluation.tables import percent
from .result import Bench, Measured, size

_DASHES = ("-", "--", ":", "-.")
_LONGEST_NAME = 30


def bench_figure(bench: Bench) -> Figure:
    """Images per second by batch size and threads, the time for one image, and what it costs."""
    rows = len(bench.measured)
    drawing = figure(10.5, 5.6 + 0.5 * rows)
    (top,), (bottom,) = drawing.subfigures(
        2, 1, squeeze=False, height_ratios=(4.2, 1.2 + 0.5 * rows)
    )
    rates, latency = top.subplots(1, 2, width_ratios=(5, 4))
    _draw_rates(rates, bench)
    _draw_latency(latency, bench)
    handles = [
        Line2D([], [], color=color, marker=marker, lw=2, ms=6, label=_title(one))
        for one, color, marker in _looks(bench)
    ]
    if len(bench.threads) > 1:
        handles += [
            Line2D([], [], color=GRAY, lw=2, ls=_DASHES[k % 4], label=_threads(count))
            for k, count in enumerate(bench.threads)
        ]
    columns = 3 if len(handles) > 2 else len(handles)
    top.legend(
        handles=handles, loc="outside upper center", ncols=columns, frameon=False, fontsize=9
    )
    panels = bottom.subplots(1, 4, sharey=True)
    _draw_bars(
        panels[0],
        bench,
        "start to the first answer",
        lambda one: one.speeds[0].start_s.median,
        lambda value: f"{value:.2f} s",
    )
    _draw_bars(
        panels[1],
        bench,
        "memory at its peak",
        lambda one: one.speeds[0].memory_bytes.median,
        size,
    )
    _draw_bars(panels[2], bench, "on disk", lambda one: one.contender.size_bytes, size)
    _draw_bars(panels[3], bench, "accuracy", lambda one: one.accuracy, percent)
    return drawing


def _draw_rates(axes: Axes, bench: Bench) -> None:
    for one, color, marker in _looks(bench):
        for k, speed in enumerate(one.speeds):
            sizes = list(speed.images_per_s)
            rounds = [speed.images_per_s[size] for size in sizes]
            axes.plot(
                sizes,
                [each.median for each in rounds],
                color=color,
                marker=marker,
                ms=6,
                lw=2,
                ls=_DASHES[k % 4],
            )
            axes.fill_between(
                sizes,
                [min(each.values) for each in rounds],
                [max(each.values) for each in rounds],
                color=color,
                alpha=0.15,
                lw=0,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(bench.batch_sizes)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel("images in a batch")
    axes.set_title(
        "Images per second, pixels to probabilities; bands over the rounds", fontsize=10, loc="left"
    )
    tidy(axes, grid="both")


def _draw_latency(axes: Axes, bench: Bench) -> None:
    """A line from the median to the 99th percentile for each contender and number of threads."""
    ticks = []
    y = 0.0
    for one, color, marker in _looks(bench):
        for k, speed in enumerate(one.speeds):
            low, high = speed.p50_ms.median, speed.p99_ms.median
            axes.hlines(y, low, high, color=color, lw=2, ls=_DASHES[k % 4])
            axes.plot(low, y, marker, color=color, ms=8)
            axes.plot(speed.p95_ms.median, y, "|", color=color, ms=10, mew=1.5)
            axes.plot(high, y, "|", color=color, ms=16, mew=2)
            axes.annotate(
                f"{low:.2f} ms",
                (low, y),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
            ticks.append((y, _threads(speed.threads)))
            y += 1
        y += 0.4
    axes.set_yticks(*zip(*ticks, strict=True))
    axes.set_ylim(y - 0.7, -0.9)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.margins(x=0.15)
    axes.set_xlabel("milliseconds: median, and ticks at 95 and 99 %")
    axes.set_title("One image at a time", fontsize=10, loc="left")
    tidy(axes, grid="x")


def _draw_bars(
    axes: Axes,
    bench: Bench,
    title: str,
    value: Callable[[Measured], float | None],
    said: Callable[[float], str],
) -> None:
    for y, (one, color, _) in enumerate(_looks(bench)):
        found = value(one)
        axes.barh(y, found or 0, color=color, height=0.55)
        axes.annotate(
            "not known" if found is None else said(found),
            (found or 0, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(
        range(len(bench.measured)), [plain(one.name, _LONGEST_NAME) for one in bench.measured]
    )
    axes.set_ylim(len(bench.measured) - 0.5, -0.5)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.45)
    axes.set_title(title, fontsize=10, loc="left")
    tidy(axes, grid="x").xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _looks(bench: Bench) -> list[tuple[Measured, str, str]]:
    return [
        (one, PALETTE[k % len(PALETTE)], MARKERS[k % len(MARKERS)])
        for k, one in enumerate(bench.measured)
    ]


def _title(one: Measured) -> str:
    return f"{plain(one.name, _LONGEST_NAME)} ({one.contender.what})"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
