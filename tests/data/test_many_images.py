"""Image files that are read together."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from atelier.data import read_image, read_images
from atelier.errors import ImageError


def encoded(background, thing, image_format="PNG", mode="L"):
    """A rectangle on a background, as a file."""
    pixels = np.full((40, 60), background, np.uint8)
    pixels[10:30, 15:45] = thing
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).rotate(10).save(file, image_format)
    return file.getvalue()


MIXED = {
    "light": encoded(255, 40),
    "dark": encoded(0, 200),
    "colored": encoded(255, 40, "JPEG", "RGB"),
    "cut off": encoded(255, 40, "JPEG")[:200],
    "empty": b"",
    "no image": b"words",
    "missing": "no/such/file.png",
}


@given(
    st.lists(st.sampled_from(sorted(MIXED)), max_size=5),
    st.sampled_from([1, 3]),
    st.sampled_from(["auto", "yes", "no"]),
)
def test_each_is_read_as_it_is_alone(names, channels, invert):
    options = {"channels": channels, "image_size": (28, 28), "invert": invert}
    sources = [MIXED[name] for name in names]
    found = read_images(sources, **options)
    assert len(found) == len(sources)
    for source, image in zip(sources, found, strict=True):
        if isinstance(image, ImageError):
            with pytest.raises(ImageError) as caught:
                read_image(source, **options)
            assert str(caught.value) == str(image)
        else:
            alone = read_image(source, **options)
            assert np.array_equal(image.pixels, alone.pixels)
            assert image.inverted is alone.inverted
