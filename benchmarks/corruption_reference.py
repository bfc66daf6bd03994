"""The errors of the recipe `cnn` that `atelier robustness` tells mean corruption errors beside.

They come with the package (`src/atelier/robustness/cnn_fashion_mnist.json`) and are made anew when
the recipe or the corruptions change:

    atelier train cnn --seed 0 --out runs/cnn-s0
    python -m benchmarks.corruption_reference runs/cnn-s0

Nothing is trained or chosen by them.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path
from typing import Any

import atelier
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError, RunError
from atelier.recipes import get_recipe
from atelier.robustness.corruptions import CORRUPTIONS, VERSION
from atelier.robustness.reference import FILE
from atelier.runs import Run, load_run
from atelier.storage import write_json

DEFAULT = Path(atelier.__file__).parent / "robustness" / FILE


def reference_of(run: Run, *, device: str = "auto", progress: bool = False) -> dict[str, Any]:
    """What the file holds: errors on all test images, and where they come from.

    Raises:
        RunError: the run was not trained by the recipe `cnn` as it stands, or has no test images.
    """
    recipe = run.recipe
    expected = get_recipe("cnn").model_copy(update={"data": recipe.data, "seed": recipe.seed})
    if recipe != expected or run.judged != "test":
        raise RunError(
            f"{run.path} was not trained by the recipe cnn as it stands, on data with a test part",
            fix="Train one: `atelier train cnn --seed 0`",
        )
    found = atelier.robustness(
        run, images=None, attacks=[], keep=False, device=device, progress=progress
    ).runs[0]
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "data": found.data,
        "data_fingerprint": found.data_fingerprint,
        "part": found.part,
        "n": found.n,
        "corruptions_version": VERSION,
        "corruption_seed": found.seed,
        "clean_error": 1 - found.accuracy,
        "errors": {
            score.name: [1 - accuracy for accuracy in score.accuracies]
            for score in found.corruptions
        },
        "levels": {one.name: list(one.levels) for one in CORRUPTIONS.values()},
        "made_by": "python -m benchmarks.corruption_reference",
        "made_on": date.today().isoformat(),
        "machine": describe_machine(resolve_device(device)),
    }


def main(words: list[str] | None = None) -> int:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run of the recipe cnn")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, default=DEFAULT, help="the file to write")
    options = parser.parse_args(words)
    try:
        values = reference_of(
            load_run(options.run), device=options.device, progress=sys.stderr.isatty()
        )
        write_json(options.json, values)
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"errors on {values['n']:,} {values['part']} images of {values['data']}: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
