"""Seconds to an accuracy: atelier's fast recipes beside other ways to classify the same images.

Round after round, each with a seed of its own and in the opposite order of the one before, so that
a machine that slows down favors nobody; and each run in a process of its own. The results file is
written anew after every run, and a run that it holds already is not run again: Ctrl-C loses the
current run alone, and the same command goes on.

    python -m benchmarks.time_to_accuracy [--seeds 5] [--recipes fast-91] [--peers lightning]
    python -m benchmarks.time_to_accuracy --write-readme [--results FILE FILE ...]
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atelier.data import Dataset, load_dataset
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError, ConfigError, RunError, did_you_mean
from atelier.recipes import get_recipe

from .measurements import Measurements
from .peers import PEERS
from .peers.protocol import Arrays
from .performance import (
    PLAIN_LOOP,
    SECTION,
    claim_lines,
    command_line,
    duration,
    machines_text,
    performance_text,
)
from .picture import save_picture
from .systems import System, make_systems

RECIPES = ("fast-91", "fast-93", "fast-94", "fast-95")

Turn = tuple[str, int]  # a system's name and a seed


def in_turn(seeds: Mapping[str, int]) -> list[Turn]:
    """Every system with each of its seeds, there and back again."""
    turns: list[Turn] = []
    for seed in range(max(seeds.values(), default=0)):
        names = [name for name, number in seeds.items() if seed < number]
        turns += [(name, seed) for name in (names if seed % 2 == 0 else reversed(names))]
    return turns


def measure(
    systems: Mapping[str, System],
    turns: Sequence[Turn],
    measurements: Measurements,
    results: Path,
    command: str,
) -> int:
    """Run what `measurements` lack, and write them to `results` after every run.

    Returns:
        How many systems failed; one that fails is left out, and the others go on.
    """
    missing = [
        (name, seed) for name, seed in turns if not systems[name].is_measured(seed, measurements)
    ]
    failed: set[str] = set()
    ready: set[str] = set()
    spent = _seconds_by_system(measurements)
    for number, (name, seed) in enumerate(missing, 1):
        if name in failed:
            continue
        system = systems[name]
        left = _seconds_left(
            [turn for turn in missing[number - 1 :] if turn[0] not in failed], spent
        )
        _say(f"run {number} of {len(missing)}: {name}, seed {seed}{left}")
        try:
            if name not in ready:
                system.rehearse()
                ready.add(name)
            run = system.run(seed)
        except AtelierError as error:
            _say(f"error: {error}")
            failed.add(name)
            continue
        measurements.add(run, command)
        measurements.save(results)
        spent[name].append(run.seconds)
        _say(f"{name}, seed {seed}: {100 * run.test_accuracy:.2f} % in {duration(run.seconds)}")
    return len(failed)


def open_measurements(path: Path, dataset: Dataset, *, fresh: bool) -> Measurements:
    """The measurements in the results file, to be gone on with, or new ones.

    Raises:
        RunError: those are of other data or another machine.
    """
    machine = describe_machine(resolve_device())
    if fresh or not path.exists():
        counts = len(dataset.train), len(dataset.test)
        return Measurements(dataset.name, dataset.fingerprint, *counts, machine)
    found = Measurements.load(path)
    differing = [
        key
        for key in ("processor", "threads", "torch", "device")
        if found.machine.get(key) != machine[key]
    ]
    if found.data_fingerprint != dataset.fingerprint:
        differing.insert(0, "data")
    if differing:
        raise RunError(
            f"{path} was measured with another {' and '.join(differing)}",
            fix="Pass --fresh to begin anew, or another file with --results",
        )
    return found


def _seconds_by_system(measurements: Measurements) -> defaultdict[str, list[float]]:
    spent: defaultdict[str, list[float]] = defaultdict(list)
    for recipe_run in measurements.recipe_runs:
        spent[recipe_run.recipe].append(recipe_run.seconds)
    for peer_run in measurements.peer_runs:
        spent[peer_run.peer].append(peer_run.seconds)
    return spent


def _seconds_left(turns: Sequence[Turn], spent: Mapping[str, list[float]]) -> str:
    """An estimate in words: for a system that was not run yet, the mean of the others."""
    known = {name: statistics.mean(seconds) for name, seconds in spent.items() if seconds}
    if not known:
        return ""
    unknown = statistics.mean(known.values())
    left = sum(known.get(name, unknown) for name, _ in turns)
    new = len({name for name, _ in turns} - known.keys())
    guess = f", a guess while {new} of the systems have not run yet" if new else ""
    return f"; about {max(1, round(left / 60))} min left for all{guess}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _parse(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.time_to_accuracy", description=(__doc__ or "").split("\n\n")[0]
    )
    add = parser.add_argument
    add("--recipes", type=_names, default=list(RECIPES), help="names with commas between")
    add("--peers", type=_names, default=list(PEERS), help=f"of {', '.join(PEERS)} (default: all)")
    add("--data", default="fashion-mnist", help="as of `atelier train`")
    add("--seeds", type=int, default=5, help="runs of each recipe (default: 5)")
    add("--plain-seeds", type=int, default=2, help="runs of the plain loop (default: 2)")
    add("--peer-seeds", type=int, default=1, help="runs of each other peer (default: 1)")
    add("--epochs", type=int, default=10, help="of the peers that have epochs (default: 10)")
    default = Path("benchmarks/results/time_to_accuracy.json")
    add(
        "--results",
        type=Path,
        nargs="+",
        default=[default],
        metavar="FILE",
        help=f"default: {default}; several, one of each machine, are for --write-readme",
    )
    default = Path("docs/images/time_to_accuracy.png")
    add("--picture", type=Path, default=default, metavar="FILE", help=f"default: {default}")
    add("--readme", type=Path, default=Path("README.md"), metavar="FILE", help="default: README.md")
    add("--fresh", action="store_true", help="begin a new results file")
    add("--write-readme", action="store_true", help="run nothing; write the README's section")
    options = parser.parse_args(arguments)
    if min(options.seeds, options.plain_seeds, options.peer_seeds, options.epochs) < 1:
        parser.error("--seeds, --plain-seeds, --peer-seeds and --epochs must be at least 1")
    if len(options.results) > 1 and not options.write_readme:
        parser.error("a measurement goes into one file: several --results are for --write-readme")
    return options


def _write_readme(options: Any) -> int:
    picture = None
    if options.picture.exists():
        picture = Path(os.path.relpath(options.picture, options.readme.parent)).as_posix()
    text = machines_text([Measurements.load(path) for path in options.results], picture)
    SECTION.write(options.readme, text)
    print(f"written: {options.readme}")
    return 0


def _run(options: Any, command: str) -> int:
    for name in options.recipes:
        get_recipe(name)  # refuses an unknown one before anything is run
    for name in options.peers:
        if name not in PEERS:
            raise ConfigError("unknown peer", got=name, fix=did_you_mean(name, PEERS))
    dataset = load_dataset(options.data)
    (results,) = options.results
    measurements = open_measurements(results, dataset, fresh=options.fresh)
    seeds = dict.fromkeys(options.recipes, options.seeds)
    seeds |= dict.fromkeys(options.peers, options.peer_seeds)
    if PLAIN_LOOP in seeds:
        seeds[PLAIN_LOOP] = options.plain_seeds
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train, test = dataset.train, dataset.test
        Arrays(train.images, train.labels, test.images, test.labels).save(folder)
        systems = make_systems(options.recipes, options.peers, options.data, folder, options.epochs)
        failures = measure(systems, in_turn(seeds), measurements, results, command)
    if measurements.recipe_runs or measurements.peer_runs:
        print(performance_text(measurements, None))
        print("\n".join(["", *claim_lines(measurements)]))
        print(f"picture: {save_picture(measurements, options.picture)}")
        print(f"results: {results}")
    return 2 if failures else 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        if options.write_readme:
            return _write_readme(options)
        return _run(options, command_line(sys.argv[1:] if arguments is None else arguments))
    except AtelierError as error:
        _say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say(f"stopped; finished runs are in {options.results[0]}, and the same command goes on")
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what it runs ends with it
    sys.exit(main())
