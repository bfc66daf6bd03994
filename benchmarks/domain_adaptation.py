"""How much of the accuracy that a new domain costs is won back without its labels.

Of each domain a network is trained on the source's labels alone, then adapted from there by each
method, and for comparison one is trained on the target's labels. Lost is what the source's network
knows of the source's images and not of the target's; won back is a method's share of that. Without
--final all is judged by the validation images of source and target, which no training has seen.
Finished runs are taken as they are, and stopped ones go on.

    python -m benchmarks.domain_adaptation [--domains inverted textured ...] [--methods dann ...]
        [--photos DIR] [--seeds 1] [--runs runs/domains] [--final]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

import atelier
from atelier.config import Recipe
from atelier.data import obtain_dataset, validation_of
from atelier.data.domains import DOMAINS
from atelier.devices import describe_machine, resolve_device
from atelier.drawing.canvas import MARKERS, PALETTE, figure, percent_axis, plain, save_png, tidy
from atelier.errors import AtelierError, RunError
from atelier.evaluation.tables import percent, percent_range, text_table
from atelier.predictor import Predictor
from atelier.runs import Run
from atelier.storage import write_json
from atelier.training.entry import can_resume, resolve_recipe

RESULTS = Path(__file__).parent / "results" / "domain_adaptation.json"
METHODS = ("batch-norm-adaptation", "dann", "deep-coral", "self-training")
_RESAMPLES = 2000

Share = npt.NDArray[np.float64]
"""(N,) for each image in what share of the seeds it was right."""


@dataclass(frozen=True)
class Row:
    """What a method, or none, does on a target.

    Attributes:
        target: a domain, or ``photos``.
        method: ``source-only``, a method, or ``oracle``, which has the target's labels.
        accuracy: on the target's images.
        images: how many.
        won_back: share of the lost accuracy; None of the source's network itself.
        interval: 95 % of `won_back`, over images.
        seconds: of training, the mean over seeds, without those of the source's network.
    """

    target: str
    method: str
    accuracy: float
    images: int
    won_back: float | None = None
    interval: tuple[float, float] | None = None
    seconds: float = 0.0


def trained(path: Path, recipe: Recipe) -> Run:
    """The run at `path`, trained as far as it is not.

    Raises:
        RunError: what stands there follows another recipe.
    """
    if not (path / "recipe.json").is_file():
        return atelier.train(recipe, out=path, title=path.name)
    if Recipe.load(path / "recipe.json") != recipe:
        raise RunError(f"{path} follows another recipe", fix="Give another folder with --runs")
    if (path / "metrics.json").is_file():
        return atelier.load_run(path)
    if can_resume(path):
        return atelier.train(resume=path, title=path.name)
    return atelier.train(recipe, out=path, overwrite=True, title=path.name)


def right(run: Run, data: str, *, final: bool) -> Share:
    """(N,) whether the run is right about each image that `data` is judged by."""
    dataset = obtain_dataset(data)
    if final:
        split = dataset.judged[1]
    else:
        share, seed = run.recipe.train.validation_share, run.recipe.seed
        found = validation_of(dataset, size=share, seed=seed)[1]
        assert found is not None
        split = found
    return Predictor.of_run(run).predict_split(split).correct.astype(np.float64)


def won_back(
    source: Share, before: Share, after: Share, *, paired: bool
) -> tuple[float | None, tuple[float, float] | None]:
    """The share of the lost accuracy that is won back, with its 95 % bootstrap interval over images
    (percentiles, 2,000 resamples).

    Args:
        source: of the source's network on the source's images.
        before: the same network on the target's images.
        after: the adapted network on them.
        paired: whether both domains show the same garments in the same order.

    Returns:
        (share, interval): no share where nothing is lost, and no interval where a resample loses
        nothing.
    """
    rng = np.random.default_rng(0)

    def resampled(n: int) -> Any:
        return rng.multinomial(n, np.full(n, 1 / n)) / n

    if source.mean() <= before.mean():
        return None, None
    lost, found = np.empty(_RESAMPLES), np.empty(_RESAMPLES)
    for at in range(_RESAMPLES):
        counts = resampled(len(before))
        own = source @ (counts if paired else resampled(len(source)))
        lost[at], found[at] = own - before @ counts, (after - before) @ counts
    share = float((after.mean() - before.mean()) / (source.mean() - before.mean()))
    if (lost <= 0).any():
        return share, None
    low, high = np.quantile(found / lost, [0.025, 0.975])
    return share, (float(low), float(high))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train what is missing, and judge all."""
    targets = {name: (options.data, f"{options.data}:{name}") for name in options.domains}
    if options.photos:
        targets["photos"] = (f"{options.data}:shared", f"{options.photos}:shared")
    rows, sources = [], {}
    for name, (source_data, target_data) in targets.items():
        found: dict[str, list[Share]] = {}
        seconds: dict[str, list[float]] = {}
        for seed in range(options.seeds):
            made = runs_of(options, name, source_data, target_data, seed)
            start = made["source-only"]
            found.setdefault("source", []).append(right(start, source_data, final=options.final))
            for method, run in made.items():
                found.setdefault(method, []).append(right(run, target_data, final=options.final))
                seconds.setdefault(method, []).append(run.metrics["train_seconds"])
        means = {method: np.mean(values, axis=0) for method, values in found.items()}
        source, before = means.pop("source"), means["source-only"]
        sources[name] = float(source.mean())
        for method, after in means.items():
            row = Row(name, method, float(after.mean()), len(after))
            if method != "source-only":
                share, interval = won_back(source, before, after, paired=name != "photos")
                spent = float(np.mean(seconds[method]))
                row = Row(name, method, float(after.mean()), len(after), share, interval, spent)
            rows.append(row)
    return {
        "data": options.data,
        "judged": "test" if options.final else "validation",
        "seeds": options.seeds,
        "source_accuracy": sources,
        "rows": [asdict(row) for row in rows],
        "machine": describe_machine(resolve_device()),
    }


def runs_of(
    options: argparse.Namespace, name: str, source: str, target: str, seed: int
) -> dict[str, Run]:
    """The source's run, one of each method, and the oracle."""
    folder, changes = options.runs, options.overrides
    on_source = resolve_recipe("domain-source", data=source, seed=seed, overrides=changes)
    kind = "shared-source" if name == "photos" else "source"
    start = trained(folder / f"{kind}-s{seed}", on_source)
    made = {"source-only": start}
    for method in options.methods:
        overrides = [f"method={method}", f"method.target={target}", *changes]
        recipe = resolve_recipe(
            "domain-adapted",
            data=source,
            seed=seed,
            overrides=[*overrides, f"train.init={start.path}"],
        )
        made[method] = trained(folder / f"{name}-{method}-s{seed}", recipe)
    if name != "photos":  # of which there are too few to learn from in as many epochs
        recipe = resolve_recipe("domain-source", data=target, seed=seed, overrides=changes)
        made["oracle"] = trained(folder / f"{name}-oracle-s{seed}", recipe)
    return made


def table(result: dict[str, Any]) -> str:
    """The results for a terminal."""
    rows = []
    for row in result["rows"]:
        own = result["source_accuracy"][row["target"]]
        first = row["method"] == "source-only"
        rows.append(
            [
                row["target"] if first else "",
                row["method"],
                percent(row["accuracy"]),
                percent(own - row["accuracy"]) if first else "",
                "" if first else percent(row["won_back"], 1),
                "" if first else percent_range(row["interval"], 1),
                "" if first else f"{row['seconds']:.0f} s",
            ]
        )
    head = ["domain", "method", "accuracy", "lost", "won back", "95 % interval", "training"]
    words = f"{result['judged']} images, {result['seeds']} seeds; intervals are over images"
    return f"{text_table(head, rows)}\n{words}"


def picture(result: dict[str, Any]) -> Figure:
    """A line for each domain: what each method gets of its images, and the source's own."""
    domains = list(result["source_accuracy"])
    methods = list(dict.fromkeys(row["method"] for row in result["rows"]))
    drawing = figure(9, 1.6 + 0.55 * len(domains))
    axes = drawing.subplots()
    for number, method in enumerate(methods):
        own = [row for row in result["rows"] if row["method"] == method]
        axes.scatter(
            [row["accuracy"] for row in own],
            [domains.index(row["target"]) for row in own],
            color=PALETTE[number % len(PALETTE)],
            marker=MARKERS[number % len(MARKERS)],
            label=method,
            zorder=3,
        )
    for place, name in enumerate(domains):
        axes.plot([result["source_accuracy"][name]] * 2, [place - 0.3, place + 0.3], color="black")
    axes.plot([], [], color="black", label="the source's images")
    axes.set_yticks(range(len(domains)), [plain(name) for name in domains])
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(percent_axis())
    axes.set_xlabel(f"accuracy on the target's {result['judged']} images")
    tidy(axes, grid="both")
    drawing.legend(loc="outside right upper", frameon=False, fontsize=9)
    return drawing


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the results; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="fashion-mnist", help="a data set of gray images")
    parser.add_argument("--domains", nargs="*", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--photos", help="a folder of class folders, as one more target")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/domains"))
    parser.add_argument("--final", action="store_true", help="judge by the test images")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="PATH=VALUE")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, help="default: beside the results")
    options = parser.parse_args(arguments)
    try:
        result = measure(options)
        write_json(options.results, result)
        save_png(picture(result), options.picture or options.results.with_suffix(".png"))
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
