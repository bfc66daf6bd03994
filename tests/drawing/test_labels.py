"""Names lie beside their points, inside the picture and on no other name."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from atelier.drawing.canvas import figure
from atelier.drawing.labels import name_points


@settings(max_examples=8)
@given(st.integers(0, 1000), st.integers(1, 15))
def test_no_name_lies_on_another_or_outside(seed, count):
    x, y = np.random.default_rng(seed).random((2, count))
    drawing = figure(8, 5)
    axes = drawing.subplots()
    axes.plot(x, y, "o")
    axes.margins(0.15)
    name_points(axes, list(x), list(y), [f"contender {k}" for k in range(count)])
    boxes = [text.get_window_extent() for text in axes.texts]
    room = axes.get_window_extent()
    assert len(boxes) == count
    for box in boxes:
        assert room.x0 <= box.x0
        assert box.x1 <= room.x1
        assert room.y0 <= box.y0
        assert box.y1 <= room.y1
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_a_name_does_not_lie_on_the_interval_of_a_neighbor():
    x, y, bars = [51, 53, 23], [0.913, 0.912, 0.89], [(0.90, 0.92), (0.90, 0.92), (0.88, 0.90)]
    drawing = figure(4, 3)
    axes = drawing.subplots()
    axes.set(xlim=(0, 70), ylim=(0.86, 0.94))
    name_points(axes, x, y, ["cnn", "hybrid", "mlp"], bars=bars)
    for text in axes.texts:
        box = text.get_window_extent()
        for place, bar in zip(x, bars, strict=True):
            (left, low), (_, high) = axes.transData.transform([(place, end) for end in bar])
            assert not (box.x0 < left < box.x1 and box.y0 < high and low < box.y1)
