"""Time and peak memory of an epoch against the number of images and against their size.

    python -m benchmarks.scaling [--images 1000,10000,...] [--sizes 28,56,...] [--recipe NAME]
                                 [--set PATH=VALUE] [--loader-limit 60000] [--json FILE]
                                 [--picture FILE]

Two trainings of one epoch, each measurement in a process of its own: `atelier.train` of a recipe,
validation and run folder included, and the plain loop of most tutorials, a DataLoader of PIL images
with a small network of its own (`benchmarks.peers.plain_loop`). Compare the shapes of the two
curves; their heights only where the networks are the same, as with

    --recipe cnn --set model.batch_norm=false --set model.dropout=0 --set augment.mirror=none
                 --set train.batch_size=64

The training images are repeated to the number that is asked for, or enlarged to the nearest pixel,
and stand in a folder as `atelier fetch` leaves them, which both map into memory.

us per image    seconds of the training epoch over its images; no start-up, no validation.
outside         seconds of the call outside of that epoch and of validation: reading and preparing
                the data, building the model and, by atelier, writing the run.
peak            largest resident set of the process: whatever is mapped, shared libraries included.
growth          peak less the peak of the same training of 1,000 images of the data's own size.
data            images, labels and ids of the training part, in bytes.
"""

from __future__ import annotations

import argparse
import functools
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atelier.data import obtain_dataset
from atelier.data.datasets import FASHION_MNIST
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError, DataError
from atelier.storage import write_json
from atelier.training.entry import resolve_recipe
from benchmarks.scaled_epochs import (
    Measurement,
    Trainer,
    measure,
    train_with_atelier,
    train_with_plain_loop,
)

RECIPE = "fast-93"
IMAGES = (1_000, 10_000, 60_000, 100_000, 300_000, 600_000)
SIZES = (28, 56, 112, 224)
SIZED_IMAGES = 2_000
BASELINE_IMAGES = 1_000
FLAT_FROM = 10_000  # below, the first steps of a process weigh too much in the time per image
PLAIN_LOOP = "DataLoader of PIL images"


def summarize(results: list[Measurement], side: int) -> dict[str, dict[str, Any]]:
    """What the measurements at the data's own size say of each trainer's scaling.

    `growth_per_data_byte` is the slope between the fewest and the most images; the spread of the
    time per image is the largest over the smallest from 10,000 images on. None where there are not
    two measurements to compare.
    """
    summary: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(result.trainer for result in results):
        own = sorted(
            (r for r in results if r.trainer == name and r.side == side), key=lambda r: r.images
        )
        first, last = own[0].epoch, own[-1].epoch
        times = [r.us_per_image for r in own if r.images >= FLAT_FROM]
        more_data = last.data_bytes - first.data_bytes
        summary[name] = {
            "from_images": own[0].images,
            "to_images": own[-1].images,
            "growth_per_data_byte": (
                (last.peak_bytes - first.peak_bytes) / more_data if more_data else None
            ),
            "time_per_image_spread": max(times) / min(times) if len(times) > 1 else None,
        }
    return summary


def baselines(results: list[Measurement], side: int) -> dict[str, int]:
    """Each trainer's peak with 1,000 images of the data's own size, in bytes."""
    return {
        r.trainer: r.epoch.peak_bytes
        for r in results
        if (r.images, r.side) == (BASELINE_IMAGES, side)
    }


def table(results: list[Measurement], side: int) -> str:
    """A row for each measurement, in MB of 10^6 bytes."""
    base = baselines(results, side)
    width = max(len(r.trainer) for r in results)
    titles = "images  side  us per image  epoch s  outside s  data MB  peak MB  growth MB"
    lines = [f"{'trainer':<{width}}   {titles}"]
    lines += [
        f"{r.trainer:<{width}}  {r.images:7,}  {r.side:4}  {r.us_per_image:12.1f}  "
        f"{r.epoch.seconds:7.2f}  {r.epoch.outside_seconds:9.2f}  "
        f"{r.epoch.data_bytes / 1e6:7.1f}  {r.epoch.peak_bytes / 1e6:7.1f}  "
        f"{(r.epoch.peak_bytes - base[r.trainer]) / 1e6:9.1f}"
        for r in sorted(results, key=lambda r: (r.trainer, r.side, r.images))
    ]
    for name, found in summarize(results, side).items():
        if found["growth_per_data_byte"] is not None:
            lines.append(
                f"{name}: from {found['from_images']:,} to {found['to_images']:,} images the peak "
                f"grows by {found['growth_per_data_byte']:.2f} bytes for each byte of data"
            )
        if found["time_per_image_spread"] is not None:
            lines.append(
                f"{name}: from {FLAT_FROM:,} images on the longest time per image is "
                f"{found['time_per_image_spread']:.2f} times the shortest"
            )
    return "\n".join(lines)


def picture(results: list[Measurement], side: int, file: Path) -> None:
    """Time per image and growth of memory, against images and, if measured, against their size."""
    # Here, for the measured processes import this module too.
    from matplotlib.ticker import EngFormatter, NullLocator, StrMethodFormatter

    from atelier.drawing.canvas import GRAY, MARKERS, PALETTE, figure, save_png, tidy

    base = baselines(results, side)
    against_images = [(r.images, r) for r in results if r.side == side]
    against_side = [(r.side, r) for r in results if r.images == SIZED_IMAGES]
    panels = [("training images", sorted(against_images, key=lambda point: point[0]))]
    if len(against_side) > len(base):  # more than one size
        label = f"side in pixels, {SIZED_IMAGES:,} training images"
        panels.append((label, sorted(against_side, key=lambda point: point[0])))
    drawing = figure(10, 3.7 * len(panels))
    grid = drawing.subplots(len(panels), 2, squeeze=False)
    for (times, memory), (label, points) in zip(grid, panels, strict=True):
        for index, name in enumerate(base):
            own = [(x, r) for x, r in points if r.trainer == name]
            look = {"color": PALETTE[index], "marker": MARKERS[index], "lw": 2, "label": name}
            places = [x for x, _ in own]
            times.plot(places, [r.us_per_image / 1000 for _, r in own], **look)
            memory.plot(places, [(r.epoch.peak_bytes - base[name]) / 1e6 for _, r in own], **look)
        data = sorted({(x, r.epoch.data_bytes / 1e6) for x, r in points})
        memory.plot(*zip(*data, strict=True), color=GRAY, ls="--", label="size of the data")
        times.set_ylabel("milliseconds per image")
        memory.set_ylabel(f"peak, MB over that of {BASELINE_IMAGES:,} images")
        memory.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        for axes in (times, memory):
            tidy(axes).set_xlabel(label)
            axes.set_xscale("log")
            axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
            axes.set_xticks(sorted({x for x, _ in points}))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.xaxis.set_minor_locator(NullLocator())
    grid[0, 1].legend(frameon=False, fontsize=9)
    save_png(drawing, file)


def _numbers(text: str) -> list[int]:
    """``1000,10000`` in ascending order; argparse tells of what is no number."""
    numbers = sorted({int(part) for part in text.split(",") if part})
    if numbers and numbers[0] < 1:
        raise ValueError
    return numbers


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "--images", type=_numbers, default=IMAGES, help="numbers of images, with commas between"
    )
    parser.add_argument(
        "--sizes",
        type=_numbers,
        default=SIZES,
        help=f"sides of {SIZED_IMAGES:,} images in pixels, with commas between; '' for none",
    )
    parser.add_argument("--recipe", default=RECIPE, help=f"default: {RECIPE}")
    parser.add_argument("--data", default=FASHION_MNIST, help="whose images are repeated")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change the recipe, as of `atelier train`",
    )
    parser.add_argument(
        "--loader-limit",
        type=int,
        default=60_000,
        metavar="IMAGES",
        help="the most images that the DataLoader is given (default: 60000)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw them, as PNG")
    options = parser.parse_args(arguments)
    try:
        overrides = ("train.num_epochs=1", "train.warmup_epochs=0", *options.set)
        recipe = resolve_recipe(options.recipe, data=FASHION_MNIST, overrides=overrides)
        ours = f"atelier {recipe.name}"
        trainers: dict[str, Trainer] = {
            ours: functools.partial(train_with_atelier, recipe=recipe),
            PLAIN_LOOP: train_with_plain_loop,
        }
        dataset = obtain_dataset(options.data)
        side, width = dataset.image_size
        if side != width:
            raise DataError("only square images are enlarged", got=f"{side} x {width} pixels")
        sizes = [(images, side) for images in sorted({BASELINE_IMAGES, *options.images})]
        sizes += [(SIZED_IMAGES, other) for other in options.sizes]
        points = [(name, *size) for size in dict.fromkeys(sizes) for name in trainers]
        left_out = [p for p in points if p[0] == PLAIN_LOOP and p[1] > options.loader_limit]
        results = measure(dataset, trainers, [p for p in points if p not in left_out])
        machine = describe_machine(resolve_device())
        if options.json:
            write_json(
                options.json,
                {
                    "recipe": recipe.model_dump(mode="json"),
                    "data": options.data,
                    "machine": machine,
                    "measurements": [
                        {**asdict(result), "us_per_image": result.us_per_image}
                        for result in results
                    ],
                    "not_measured": left_out,
                    "summary": summarize(results, side),
                },
            )
        if options.picture:
            picture(results, side, options.picture)
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(table(results, side))
    if left_out:
        numbers = ", ".join(f"{images:,}" for _, images, _ in left_out)
        print(f"{PLAIN_LOOP}: not measured with {numbers} images, for --loader-limit")
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
