"""Many image files, read by threads a batch ahead of whoever uses them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ..cores import usable_cores
from ..errors import ImageError
from .images import Invert, LoadedImage, read_image


def read_in_batches(
    paths: Sequence[str | Path],
    *,
    image_shape: tuple[int, int, int],
    batch_size: int,
    invert: Invert = "auto",
    on_bad: Callable[[str, ImageError], None] | None = None,
) -> Iterator[list[tuple[str, LoadedImage]]]:
    """Image files of any size and mode in their order, each with its path.

    Memory does not grow with their number.

    Args:
        paths: of the files.
        image_shape: channels, height and width that each is fitted into.
        batch_size: files that are read together; a batch has fewer where some cannot be read, and
            is left out where none can.
        invert: as of `read_image`.
        on_bad: told of each file that cannot be read, which is then left out.

    Raises:
        ImageError: without `on_bad`, the first file that is missing, not an image, damaged or too
            large.
    """
    channels, height, width = image_shape
    left = iter(map(str, paths))
    pool = ThreadPoolExecutor(len(usable_cores()), "images")

    def read(path: str) -> LoadedImage:
        return read_image(path, channels=channels, image_size=(height, width), invert=invert)

    def read_ahead() -> list[tuple[str, Future[LoadedImage]]]:
        some = itertools.islice(left, batch_size)
        return [(path, pool.submit(read, path)) for path in some]

    # Around all threads: each would put back what another has just changed.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            coming = read_ahead()
            while coming:
                batch, coming = coming, read_ahead()
                loaded: list[tuple[str, LoadedImage]] = []
                for path, future in batch:
                    try:
                        loaded.append((path, future.result()))
                    except ImageError as error:
                        if on_bad is None:
                            raise
                        on_bad(path, error)
                if loaded:
                    yield loaded
        finally:
            pool.shutdown(cancel_futures=True)
