"""Images that grow: sizes in steps, from the start to the full one."""

from hypothesis import given
from hypothesis import strategies as st

from atelier.data.resolution import Growth


def sizes(*args):
    growth = Growth(*args)
    return [growth.size(epoch) for epoch in range(1, args[2] + 1)]


def test_sizes_grow_in_steps_of_16_until_their_time_is_over():
    assert (
        sizes(48, 0.6, 10, (96, 96))
        == [(48, 48)] * 2 + [(64, 64)] * 2 + [(80, 80)] * 2 + [(96, 96)] * 4
    )


def test_an_oblong_image_keeps_its_proportions():
    assert sizes(32, 0.5, 4, (64, 48)) == [(32, 24), (48, 36), (64, 48), (64, 48)]


@given(
    st.integers(1, 100),
    st.floats(0.01, 1),
    st.integers(1, 60),
    st.tuples(st.integers(1, 130), st.integers(1, 130)),
)
def test_sizes_never_shrink_and_end_at_the_full_one(start, until, num_epochs, full):
    start = min(start, max(full))
    found = sizes(start, until, num_epochs, full)
    assert found == sorted(found)
    assert max(found[0]) == start or found[0] == full
    for epoch, (height, width) in enumerate(found, start=1):
        assert 1 <= height <= full[0]
        assert 1 <= width <= full[1]
        if epoch - 1 >= until * num_epochs:
            assert (height, width) == full
