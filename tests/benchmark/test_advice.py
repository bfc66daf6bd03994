"""Advice claims no more than the rounds show."""

from pathlib import Path

import numpy as np
import pytest

from atelier.benchmark.advice import advise
from atelier.benchmark.contenders import Contender
from atelier.benchmark.picture import bench_figure
from atelier.benchmark.result import Bench, Measured, Rounds, Speed, rate, size
from atelier.drawing.canvas import png_bytes


def contender(name, *, precision="float32", size_bytes=1_690_000, kind="onnx"):
    return Contender(
        name, kind, Path(name), size_bytes, precision, ("a", "b"), (1, 28, 28), "data", "weights"
    )


def rounds(*values):
    return Rounds(tuple(map(float, values)))


def measured(name, factor=1.0, *, wobble=0.02, right=None, sample=0, threads=(1,), **options):
    """A contender that takes `factor` times as long as another, within a share of `wobble`."""

    def three(value):
        return rounds(value * (1 - wobble), value, value * (1 + wobble))

    speeds = tuple(
        Speed(
            count,
            three(factor),
            three(factor / count),
            three(1.5 * factor / count),
            three(2 * factor / count),
            {n: three(1000 * n**0.5 * count / factor) for n in (1, 32)},
            three(2e8 * factor),
        )
        for count in threads
    )
    accuracy = None if right is None else float(right.mean())
    return Measured(
        contender(name, **options), speeds, accuracy, "200 validation images", right, sample
    )


def said(need, *found):
    return advise(found, need)[0]


def test_the_best_is_named_with_its_lead():
    assert said("latency", measured("slow", 4), measured("fast")) == (
        "latency: fast, one image in 1.00 ms, at the 99th percentile in 2.00 ms, on one core; "
        "4 times as much for slow"
    )
    assert said("throughput", measured("slow", 2.5), measured("fast")) == (
        "throughput: fast, 5,660 images/s in batches of 32 on one core; that is 2.5 times the rate "
        "of slow"
    )
    assert said("memory", measured("fast"), measured("slow", 3)).startswith(
        "memory: fast, 200 MB at its peak; 3 times as much for slow"
    )
    assert said("start", measured("only")) == (
        "start: only, 1.00 s to the first answer of a new process"
    )


def test_what_lies_within_the_spread_is_no_difference():
    text = said("throughput", measured("a", 1.03, wobble=0.05), measured("b", wobble=0.05))
    assert "b, " in text
    assert "no difference to a within the spread of the rounds" in text
    assert "times the rate" not in text
    text = said("latency", measured("a"), measured("b", 1.01), measured("c", 3), measured("d", 5))
    assert "no difference to b" in text
    assert "3 times as much for c" in text


def test_few_rounds_tell_no_difference():
    assert not rounds(1, 1).differs(rounds(9, 9))
    assert rounds(1, 1, 2).differs(rounds(3, 3, 4))
    assert not rounds(1, 1, 3).differs(rounds(3, 3, 4))
    assert rounds(3, 3, 4).differs(rounds(1, 1, 2))


def test_more_threads_are_taken_where_they_pay():
    text = said("throughput", measured("wide", threads=(1, 2)))
    assert "11,300 images/s in batches of 32 on 2 cores" in text


def test_size_needs_no_rounds():
    text = said(
        "size", measured("a"), measured("b", size_bytes=450_000), measured("c", size_bytes=460_000)
    )
    assert text == ("size: b, 450 kB on disk; about the same for c; a takes 1.69 MB")


def test_accuracy_differs_only_by_a_paired_test():
    rng = np.random.default_rng(0)
    good = rng.random(200) < 0.9
    nearly = good.copy()
    nearly[np.flatnonzero(good)[:2]] = False
    bad = good & (rng.random(200) < 0.7)
    text = said(
        "accuracy",
        measured("bad", right=bad),
        measured("nearly", right=nearly),
        measured("good", right=good),
        measured("elsewhere", right=nearly, sample=1),
        measured("unknown"),
    )
    assert text.startswith("accuracy: good, ")
    assert "no difference to nearly by a paired test (p = 0.50)" in text
    assert "bad has " in text
    assert "(p < 0.001)" in text
    assert "elsewhere cannot be compared: judged on other images" in text
    assert "unknown" not in text
    assert said("accuracy", measured("a")) == (
        "accuracy: not measured, for no image is known to have been held out"
    )


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (0.5, "pays in speed on this machine: 2.00 times the images/s in batches of 1"),
        (
            1.01,
            "does not pay in speed on this machine: no difference in batches of 1 and 32, beside",
        ),
        (2.0, "does not pay in speed on this machine: only 0.50 times the images/s"),
    ],
)
def test_int8_is_judged_beside_its_float32(factor, verdict):
    right = np.arange(200) % 10 != 0
    full = measured("cnn.onnx", right=right)
    small = measured(
        "cnn-int8.onnx", factor, precision="int8", size_bytes=430_000, right=right & True
    )
    (*_, text) = advise([full, small])
    assert text.startswith(f"int8: cnn-int8.onnx {verdict}")
    assert "it takes 25 % of the room on disk" in text
    assert "90.00 % against 90.00 % right, no difference by a paired test" in text
    # Beside nothing of the same weights there is nothing to judge it by.
    assert not any(line.startswith("int8") for line in advise([small]))
    assert not any(line.startswith("int8") for line in advise([full, small], "memory"))


def test_int8_may_pay_in_some_batches_alone():
    full, small = measured("cnn.onnx"), measured("cnn-int8.onnx", precision="int8")
    small.speeds[0].images_per_s[32] = rounds(9000, 9100, 9200)
    (*_, text) = advise([full, small])
    assert text.startswith(
        "int8: cnn-int8.onnx pays in speed on this machine in batches of 32 alone: 1.61 times the "
        "images/s in batches of 32, no difference in batches of 1, beside cnn.onnx; "
    )


def test_a_large_bench_is_drawn_and_printed():
    many = [measured(f"contender {k} $x_{k}$", 1 + k, threads=(1, 2, 4)) for k in range(8)]
    bench = Bench(tuple(many), {"processor": "some"}, 3, 1.0, tuple(advise(many)), ("a note",))
    assert png_bytes(bench_figure(bench)).startswith(b"\x89PNG")
    text = str(bench)
    assert "3 rounds in turn, there and back" in text
    assert "±2 %" in text
    assert "not known" not in text
    assert text.endswith("note: a note")


def test_numbers_have_the_digits_that_mean_something():
    assert [size(n) for n in (0, 999, 1000, 1_690_000, 74_940_000, 749e6, 3.2e9)] == [
        "0 B",
        "999 B",
        "1.00 kB",
        "1.69 MB",
        "74.9 MB",
        "749 MB",
        "3.20 GB",
    ]
    assert [rate(n) for n in (0.524, 81.26, 882.4, 12_345, 999.7)] == [
        "0.524",
        "81.3",
        "882",
        "12,300",
        "1,000",
    ]
