"""Where the time of a training epoch goes, and how near its arithmetic comes to the machine's best.

    python -m benchmarks.profile [--recipe NAME] [--data DATA] [--set PATH=VALUE] [--steps N]
                                 [--device auto] [--json FILE] [--picture FILE]

Three epochs of the recipe's real training loop are run (`benchmarks.phases`), each from the first
epoch's schedule: two steps that count the arithmetic and warm up, `--steps` steps (all of them by
default) with timers, and up to 50 steps with torch.profiler.

phase           exclusive wall time; on CUDA the timers wait for the device at each boundary. What
                happens once a step is scaled from the measured steps to all steps of an epoch.
ms per step     seconds of an epoch over its steps, validation included.
operator        self time of the profiler, as shares of the phases' times without it
                (`benchmarks.operators`); convolutions and products of validation count as such,
                and products of an optimizer such as Muon are told apart.
arithmetic      what torch.utils.flop_counter counts in the real steps, and in validation:
                convolutions and matrix products, a multiply-add being two operations.
of an epoch     GFLOP/s: the arithmetic of an epoch over all its time, and over the time of its
                convolutions and matrix products alone.
ceiling         GFLOP/s of the same precision on the same machine a moment later, the best of
                several times: a large matrix product; a large 3x3 convolution; and each of the
                recipe's own convolutions at the recipe's batch size, one after the other. The
                convolutions run forward and backward with channels last in memory; the gradient of
                an input is left out where the recipe needs none.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

# kineto, the profiler's library, tells of each start, and of a GPU that is not there. It reads this
# when torch is loaded.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

from torch.utils.flop_counter import FlopCounterMode

from atelier.config import Recipe
from atelier.devices import describe_machine
from atelier.drawing.canvas import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILION,
    figure,
    plain,
    save_png,
)
from atelier.errors import AtelierError
from atelier.storage import write_json
from atelier.training.entry import resolve_recipe
from benchmarks.ceilings import (
    Speed,
    convolution_speed,
    large_convolution_ceiling,
    matrix_ceiling,
    observing,
    sum_of,
)
from benchmarks.operators import CONVOLUTION_AND_MATRIX, OPERATORS, profile_operators
from benchmarks.phases import ONCE_AN_EPOCH, Phases, Workload, clock

RECIPE = "fast-93"
_COUNTED_STEPS = 2
_MOST_PROFILED_STEPS = 50
_COLORS = {
    "load": "#999933",
    "augment": ORANGE,
    "load and augment": ORANGE,
    "forward": BLUE,
    "convolution forward": BLUE,
    "backward": SKY,
    "convolution backward": SKY,
    "matrix products": "#332288",
    "optimizer's matrix products": "#6699CC",
    "normalization": PURPLE,
    "pooling": "#882255",
    "activation": "#DDCC77",
    "dropout": "#AA9977",
    "loss": "#999933",
    "copies and casts": "#44AA99",
    "optimizer": VERMILION,
    "evaluate": GREEN,
    "bookkeeping": GRAY,
    "other": PALE,
}


def measure(recipe: Recipe, *, steps: int | None = None, device: str = "auto") -> dict[str, Any]:
    """Everything that the table and the picture show, as JSON has it.

    Args:
        recipe: with its data.
        steps: of the timed epoch; None for all.
        device: as of `atelier.train`.

    Raises:
        AtelierError: as `atelier.train`.
    """
    workload = Workload(recipe, device)
    all_steps = len(workload.batches)
    steps = min(steps or all_steps, all_steps)

    with FlopCounterMode(display=False) as counter, observing(workload.model) as observed:
        counted = Phases(counter.get_total_flops)
        workload.epoch(counted, _COUNTED_STEPS, "counting arithmetic")
    flops = _per_epoch(counted, min(_COUNTED_STEPS, all_steps), all_steps)

    timed = Phases(clock(workload.device))
    workload.epoch(timed, steps, "timing phases")
    seconds = _per_epoch(timed, steps, all_steps)
    epoch_seconds = sum(seconds.values())

    by_phase = profile_operators(workload, min(steps, _MOST_PROFILED_STEPS), seconds)
    operators = {
        kind: sum(found.get(kind, 0.0) for found in by_phase.values()) for kind in OPERATORS
    }
    arithmetic_seconds = sum(operators[kind] for kind in CONVOLUTION_AND_MATRIX)
    arithmetic = sum(flops.values())

    print("measuring ceilings", file=sys.stderr)
    own = [
        convolution_speed(convolution, workload.device, observed.dtype)
        for convolution in observed.convolutions
    ]
    speeds = [
        Speed("an epoch, over all its time", arithmetic, epoch_seconds),
        Speed("an epoch, over convolution and matrix work", arithmetic, arithmetic_seconds),
    ]
    large = large_convolution_ceiling(workload.device, observed.dtype)
    ceilings = [
        matrix_ceiling(workload.device, observed.dtype),
        Speed(f"large convolution, {large.what}", large.flops, large.seconds),
    ]
    if own:
        ceilings.append(sum_of(f"the recipe's own {len(own)} convolutions", own))
    return {
        "recipe": recipe.model_dump(mode="json"),
        "images": all_steps * workload.batches.batch_size,
        "batch_size": workload.batches.batch_size,
        "steps": all_steps,
        "timed_steps": steps,
        "precision": str(observed.dtype).removeprefix("torch."),
        "epoch_seconds": epoch_seconds,
        "phases": _shares(seconds, epoch_seconds),
        "operators": _shares(operators, epoch_seconds),
        "operator_seconds_by_phase": by_phase,
        "convolution_and_matrix_share": arithmetic_seconds / epoch_seconds,
        "flops_per_epoch": flops,
        "achieved": [speed.to_json() for speed in speeds],
        "ceilings": [speed.to_json() for speed in ceilings],
        "own_convolutions": [speed.to_json() for speed in own],
        "machine": describe_machine(workload.device),
    }


def _per_epoch(phases: Phases, steps: int, all_steps: int) -> dict[str, float]:
    return {
        name: total if name in ONCE_AN_EPOCH else total * all_steps / steps
        for name, total in phases.totals.items()
    }


def _shares(seconds: dict[str, float], total: float) -> dict[str, dict[str, float]]:
    return {name: {"seconds": part, "share": part / total} for name, part in seconds.items()}


def table(profile: dict[str, Any]) -> str:
    """Phases, operators, the share of convolution and matrix work, and speeds, for people."""
    steps = profile["steps"]
    lines = []
    for title, key in (("phase", "phases"), ("operator", "operators")):
        lines.append(f"{title:<22}  ms per step  s per epoch    share")
        rows = profile[key]
        if key == "operators":
            rows = dict(sorted(rows.items(), key=lambda row: -row[1]["seconds"]))
        for name, row in (*rows.items(), ("total", _total(rows))):
            milliseconds = 1000 * row["seconds"] / steps
            lines.append(
                f"{name:<22}  {milliseconds:11.3f}  {row['seconds']:11.3f}  {row['share']:6.1%}"
            )
        lines.append("")
    share = profile["convolution_and_matrix_share"]
    lines.append(f"Convolution and matrix work take {100 * share:.1f} % of an epoch.\n")
    speeds = [
        *profile["achieved"],
        *({**c, "what": f"ceiling: {c['what']}"} for c in profile["ceilings"]),
    ]
    width = max(len(speed["what"]) for speed in speeds)
    lines.append(f"{profile['precision']:<{width}}  GFLOP/s")
    lines += [f"{speed['what']:<{width}}  {speed['gflops']:7,.0f}" for speed in speeds]
    lines += [
        f"    {speed['what']:<{width - 4}}  {speed['gflops']:7,.0f}"
        for speed in profile["own_convolutions"]
    ]
    return "\n".join(lines)


def _total(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    return {key: sum(row[key] for row in rows.values()) for key in ("seconds", "share")}


def picture(profile: dict[str, Any], file: Path) -> None:
    """The epoch as two stacked bars, by phase and by operator."""
    drawing = figure(10, 4.2)
    name = f"{profile['recipe']['name']} on {profile['recipe']['data']}"
    share = profile["convolution_and_matrix_share"]
    drawing.suptitle(
        f"{plain(name, 60)}: an epoch takes {profile['epoch_seconds']:.1f} s, "
        f"of which convolution and matrix work {100 * share:.0f} %",
        fontsize=11,
        color=INK,
    )
    for axes, title, key in zip(
        drawing.subplots(2, 1), ("by phase", "by operator"), ("phases", "operators"), strict=True
    ):
        left = 0.0
        for part, row in profile[key].items():
            if row["share"] < 0.0005:
                continue
            axes.barh(
                title,
                row["share"],
                left=left,
                color=_COLORS[part],
                edgecolor="white",
                label=f"{part} {100 * row['share']:.1f} %",
            )
            left += row["share"]
        axes.set(xlim=(0, 1), xticks=[])
        axes.spines[:].set_visible(False)
        axes.tick_params(left=False, labelsize=10, colors=INK)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, frameon=False, fontsize=9)
    save_png(drawing, file)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--recipe", default=RECIPE, help=f"default: {RECIPE}")
    parser.add_argument("--data", default="fashion-mnist", help="as of `atelier train`")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change the recipe, as of `atelier train`",
    )
    parser.add_argument("--steps", type=int, help="steps to time (default: a whole epoch)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw them, as PNG")
    options = parser.parse_args(arguments)
    if options.steps is not None and options.steps < 1:
        parser.error("--steps must be at least 1")
    try:
        recipe = resolve_recipe(options.recipe, data=options.data, overrides=options.set)
        profile = measure(recipe, steps=options.steps, device=options.device)
        if options.json:
            write_json(options.json, profile)
        if options.picture:
            picture(profile, options.picture)
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(table(profile))
    print(
        f"\n{options.recipe} on {options.data}: {profile['images']:,} images in "
        f"{profile['steps']} steps an epoch, {profile['timed_steps']} of them timed"
    )
    print(", ".join(f"{key} {value}" for key, value in profile["machine"].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
