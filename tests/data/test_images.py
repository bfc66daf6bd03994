"""Image files: any mode and size to the data set's shape, and every hostile one refused."""

import io
import os
import struct
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from atelier.data import read_image
from atelier.errors import ImageError

GRAY = {"channels": 1, "image_size": (28, 28)}
RGB = {"channels": 3, "image_size": (32, 24)}


def encoded(image, image_format="PNG", **options):
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def one_line(source, words, **options):
    with pytest.raises(ImageError) as caught:
        read_image(source, **{**GRAY, **options})
    assert "\n" not in str(caught.value)
    assert words in str(caught.value)
    return str(caught.value)


def pixels_or_message(source):
    try:
        return read_image(source, **GRAY).pixels
    except ImageError as error:
        return str(error)


def photo(width=60, height=40, background=255, thing=40, mode="L"):
    """A dark rectangle on a light background, or as told."""
    pixels = np.full((height, width), background, np.uint8)
    pixels[height // 4 : -height // 4, width // 4 : -width // 4] = thing
    return Image.fromarray(pixels).convert(mode)


# What stays as it is.


def test_the_data_sets_own_images_pass_bit_for_bit(sample):
    for split in (sample.train, sample.test):
        for pixels in split.images[:300]:
            loaded = read_image(encoded(Image.fromarray(pixels[0])), **GRAY)
            assert np.array_equal(loaded.pixels, pixels)
            assert not loaded.inverted


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_rgb_of_the_right_size_passes_bit_for_bit(pixels):
    loaded = read_image(encoded(Image.fromarray(pixels)), channels=3, image_size=pixels.shape[:2])
    assert np.array_equal(loaded.pixels, pixels.transpose(2, 0, 1))
    assert loaded.pixels.flags.c_contiguous
    assert not loaded.inverted


def test_a_path_and_its_bytes_give_the_same(tmp_path):
    path = tmp_path / "photo.png"
    photo().save(path)
    for source in (str(path), path.read_bytes()):
        assert np.array_equal(read_image(source, **RGB).pixels, read_image(path, **RGB).pixels)


# Light and dark.


def test_a_light_background_is_inverted_and_told():
    loaded = read_image(encoded(photo(28, 28)), **GRAY)
    assert loaded.inverted
    assert loaded.pixels[0, 0, 0] == 0
    assert loaded.pixels[0, 14, 14] == 215


def test_a_product_photo_of_a_garment_looks_like_the_data_set_again(sample):
    for pixels in sample.test.images[:20, 0]:
        photo_of_it = Image.fromarray(255 - pixels).resize((420, 420)).convert("RGB")
        loaded = read_image(encoded(photo_of_it, "JPEG", quality=90), **GRAY)
        assert loaded.inverted
        # Made larger and smaller again: a little blurred, and otherwise the same picture.
        assert np.corrcoef(loaded.pixels.ravel(), pixels.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    ("invert", "background", "inverted"),
    [("auto", 128, True), ("auto", 127, False), ("no", 255, False), ("yes", 0, True)],
)
def test_inversion_does_as_told(invert, background, inverted):
    loaded = read_image(encoded(photo(background=background)), **GRAY, invert=invert)
    assert loaded.inverted is inverted
    assert loaded.pixels[0, 0, 0] == (255 - background if inverted else background)


def test_color_is_inverted_only_when_told():
    data = encoded(photo(mode="RGB"))
    assert not read_image(data, **RGB).inverted
    assert read_image(data, **RGB, invert="yes").pixels[:, 0, 0].tolist() == [0, 0, 0]


# Shape.


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
    st.integers(0, 255),
)
def test_any_size_becomes_the_data_sets_and_one_color_stays(
    width, height, new_width, new_height, channels, value
):
    image = Image.new("L", (width, height), value)
    loaded = read_image(
        encoded(image), channels=channels, image_size=(new_height, new_width), invert="no"
    )
    assert loaded.pixels.shape == (channels, new_height, new_width)
    assert loaded.pixels.dtype == np.uint8
    assert (loaded.pixels == value).all()


def test_the_whole_picture_is_kept_in_the_middle():
    pixels = read_image(encoded(photo(80, 40, 10, 250)), **GRAY).pixels[0]
    assert (pixels[:7] == 10).all()
    assert (pixels[-7:] == 10).all()
    assert np.allclose(pixels, pixels[:, ::-1], atol=2)
    assert pixels[14, 14] == 250


def test_the_margin_has_the_color_of_the_border():
    image = Image.new("RGB", (100, 10), (200, 30, 90))
    image.paste((0, 0, 0), (40, 0, 60, 10))
    pixels = read_image(encoded(image), **RGB).pixels
    assert pixels[:, 0, 0].tolist() == [200, 30, 90]
    assert pixels[:, -1, 12].tolist() == [200, 30, 90]


def test_shrinking_is_antialiased():
    stripes = np.zeros((280, 280), np.uint8)
    stripes[:, ::2] = 255
    pixels = read_image(encoded(Image.fromarray(stripes)), **GRAY, invert="no").pixels
    assert (np.abs(pixels.astype(int) - 128) < 20).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_followed(orientation):
    upright = Image.new("RGB", (32, 48), (0, 0, 0))
    upright.paste((255, 0, 0), (0, 0, 32, 12))  # red above
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for step in undo.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "JPEG", exif=exif, quality=95)
    pixels = read_image(data, channels=3, image_size=(48, 32)).pixels
    assert pixels[0, 4, 16] > 200
    assert pixels[0, 40, 16] < 50


def test_broken_exif_data_do_not_matter():
    data = encoded(photo(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03")
    assert read_image(data, **GRAY).inverted


# Modes and formats.


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_shows_the_same_thing(mode, channels):
    if mode == "I;16":
        image = Image.fromarray(np.asarray(photo(thing=0)).astype(np.uint16) * 257)
    else:
        image = photo(thing=0, mode="RGB").convert("L").convert(mode)
    data = encoded(image, "PNG" if mode not in ("F", "I", "CMYK") else "TIFF")
    pixels = read_image(data, channels=channels, image_size=(28, 28), invert="no").pixels
    expected = read_image(encoded(photo(thing=0)), **GRAY, invert="no").pixels
    assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_allowed_format_is_told_by_its_content(tmp_path, image_format):
    path = tmp_path / "image.dat"
    path.write_bytes(encoded(photo(28, 28), image_format, quality=100))
    expected = read_image(encoded(photo(28, 28)), **GRAY).pixels
    assert np.abs(read_image(path, **GRAY).pixels.astype(int) - expected).max() <= 4


def test_the_first_frame_of_an_animation_is_taken():
    first, second = Image.new("L", (28, 28), 10), Image.new("L", (28, 28), 90)
    for image_format in ("GIF", "TIFF", "PNG"):
        data = encoded(first, image_format, save_all=True, append_images=[second])
        assert (read_image(data, **GRAY).pixels == 10).all()
    data = encoded(first, "WEBP", save_all=True, append_images=[second], lossless=True)
    assert np.abs(read_image(data, **GRAY).pixels.astype(int) - 10).max() <= 1


def test_transparency_is_laid_over_white_and_then_inverted():
    image = Image.new("LA", (28, 28), (0, 0))
    image.paste((100, 255), (7, 7, 21, 21))
    loaded = read_image(encoded(image), **GRAY)
    assert loaded.inverted
    assert loaded.pixels[0, 0, 0] == 0
    assert loaded.pixels[0, 14, 14] == 155


def test_transparency_is_laid_over_black_where_nothing_is_to_be_inverted():
    image = Image.new("RGBA", (28, 28), (0, 255, 0, 0))
    image.paste((100, 100, 100, 255), (7, 7, 21, 21))
    loaded = read_image(encoded(image), **GRAY, invert="no")
    assert loaded.pixels[0, 0, 0] == 0
    assert loaded.pixels[0, 14, 14] == 100


def test_a_transparent_palette_color_is_transparent():
    image = Image.new("P", (24, 32), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (6, 6, 18, 18))
    pixels = read_image(encoded(image, transparency=0), **RGB).pixels
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert pixels[:, 12, 12].tolist() == [0, 0, 255]


# Bad input.


def test_a_missing_file(tmp_path):
    one_line(tmp_path / "none.png", "there is no file")


def test_a_folder(tmp_path):
    one_line(tmp_path, "is a folder")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    one_line(tmp_path / "pipe.png", "is not a regular file")


def test_a_path_that_cannot_be():
    one_line("a\0b.png", "is not a path")
    one_line("x" * 5000, "cannot read")


def test_a_newline_in_the_name_stays_in_one_line(tmp_path):
    path = tmp_path / "two\nlines.png"
    path.write_text("text")
    one_line(path, "two lines.png is not an image")


def test_an_empty_file(tmp_path):
    (tmp_path / "empty.jpg").touch()
    one_line(tmp_path / "empty.jpg", "empty.jpg is empty")
    one_line(b"", "is empty")


def test_a_text_file(tmp_path):
    (tmp_path / "notes.jpg").write_text("This is no picture.\n")
    one_line(tmp_path / "notes.jpg", "allowed: JPEG, PNG, WebP, GIF, BMP, TIFF")


@pytest.mark.parametrize("image_format", ["ICO", "PPM", "TGA", "JPEG2000", "PDF", "EPS"])
def test_a_format_that_is_not_allowed(image_format):
    image = photo(64, 64, mode="RGB")
    one_line(encoded(image, image_format), "is not an image that can be read")


@pytest.mark.parametrize("share", [0.03, 0.3, 0.9, 0.99])
def test_a_truncated_jpeg(tmp_path, share):
    rng = np.random.default_rng(0)
    data = encoded(Image.fromarray(rng.integers(0, 256, (90, 90, 3), np.uint8)), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(data[: int(len(data) * share)])
    one_line(tmp_path / "cut.jpg", "cut.jpg is")


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_any_truncated_image(image_format):
    rng = np.random.default_rng(0)
    data = encoded(Image.fromarray(rng.integers(0, 256, (90, 90), np.uint8)), image_format)
    one_line(data[: len(data) // 2], "the image is")


def png_that_claims(width, height):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (30_000, 30_000, "has too many pixels"),
        (10_000, 10_000, "got '10,000 x 10,000'"),
        (7_072, 7_072, "got '7,072 x 7,072'; allowed: up to 50 million"),
        (2**31 - 1, 2**31 - 1, "too many pixels"),
    ],
)
def test_a_huge_image_is_refused_from_its_header(monkeypatch, width, height, words):
    def decoded(*_):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(Image.Image, "load", decoded)
    one_line(png_that_claims(width, height), words)


def test_a_huge_jpeg_is_refused(tmp_path):
    small = encoded(Image.new("L", (16, 16)), "JPEG")
    at = small.index(b"\xff\xc0") + 5
    path = tmp_path / "bomb.jpg"
    path.write_bytes(small[:at] + struct.pack(">HH", 30_000, 30_000) + small[at + 4 :])
    one_line(path, "bomb.jpg has too many pixels")


def test_a_huge_file_is_refused_unread(tmp_path):
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate(32 * 2**20 + 1)
    one_line(tmp_path / "big.png", "too large a file; got '32.0 MiB'; allowed: up to 32 MiB")
    one_line(bytes(32 * 2**20 + 1), "too large a file")


@pytest.mark.parametrize(
    ("options", "words"), [({"channels": 2}, "1 or 3 channels"), ({"invert": "perhaps"}, "invert")]
)
def test_impossible_wishes(options, words):
    one_line(encoded(photo()), words, **options)


HOSTS = {
    image_format: encoded(photo(30, 20, mode="RGB"), image_format)
    for image_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
}


@given(st.sampled_from(sorted(HOSTS)), st.data())
def test_no_damage_gives_anything_but_pixels_or_one_line(image_format, data):
    damaged = bytearray(HOSTS[image_format])
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    found = pixels_or_message(bytes(damaged))
    assert "\n" not in found if isinstance(found, str) else found.shape == (1, 28, 28)


def test_many_threads_may_read_at_once():
    data = encoded(photo(), "JPEG")
    expected = read_image(data, **GRAY).pixels
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(read_image(data, **GRAY).pixels))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(np.array_equal(pixels, expected) for pixels in found)
