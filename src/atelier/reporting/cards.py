"""`model_card`: what a stranger must know of a run before using it, in the Hugging Face form.

The parts are those of Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv 1810.03993.
Only what is known is said: nothing is guessed of licenses, intentions or people.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from ..errors import RunError, StorageError
from ..evaluation import NO_TEST_PART, Evaluation, evaluate
from ..evaluation.tables import percent, percent_range
from ..robustness import load_robustness
from ..robustness.groups import worst_of
from ..robustness.words import group_words, mirror_sentence
from ..runs import Run
from ..storage import explained, write_text
from ..uncertainty import load_uncertainty
from .front_matter import check_license, front_matter
from .topics.reproduction import flat

_Kept = TypeVar("_Kept")

_FILE = "README.md"
_SEAL = re.compile(r"\n<!-- written by atelier: ([0-9a-f]{64}) -->\n\Z")
_WORST_CLASSES = 3
_CITATIONS = {
    "fashion-mnist": "Fashion-MNIST: Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747.",
    "fashion-mnist-sample": "Fashion-MNIST: Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747.",
}


def model_card(
    run: Run | str | Path,
    *,
    license: str | None = None,
    overwrite: bool = False,
    device: str = "auto",
) -> Path:
    """Write a run's model card, ``README.md`` in its folder, from what is known of it.

    A card that a person has changed since is left as it is; one of the same content too.

    Args:
        run: a handle or the path of a run folder; it is evaluated if that was not done yet.
        license: of the model, as ``apache-2.0``; None leaves it unspecified.
        overwrite: also replace a card that was changed by hand.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        The path of the card.

    Raises:
        ConfigError: `license` is no identifier.
        RunError: the run folder cannot be used.
        StorageError: no space or no permission.
    """
    check_license(license)
    run = run if isinstance(run, Run) else Run(run)
    path = run.path / _FILE
    if not overwrite and _is_anothers(path):
        return path
    text = card_text(run, evaluate(run, device=device), license=license)
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_text(path, f"{text}\n<!-- written by atelier: {digest} -->\n")
    return path


def card_text(run: Run, result: Evaluation, *, license: str | None = None) -> str:
    """The card as Markdown, with its head of YAML."""
    recipe = run.recipe
    head = front_matter(
        run.name,
        recipe.data,
        run.judged,
        result,
        model=recipe.model.name,
        license=license,
    )
    sections = {
        "Intended use": _use(run, license),
        "Training data": _data(run),
        "Training procedure": _procedure(run),
        "Evaluation": _evaluation(run, result),
        "Limits and biases": _limits(run, result),
        "How to use": _HOW,
        "Environment": _table(["", ""], flat(run.environment)),
        "Citation": _citation(recipe.data),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"{head}\n\n# {escaped(run.name)}\n\n{_first(run, result)}\n\n{body}\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line, also within a table."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$>])", r"\\\1", text)


def _is_anothers(path: Path) -> bool:
    """Whether a file stands there that is not just as `model_card` has written it."""
    if not path.exists():
        return False
    try:
        with explained(path, "read"):
            text = path.read_text("utf-8")
    except (UnicodeDecodeError, StorageError):
        return True
    sealed = _SEAL.search(text)
    if sealed is None:
        return True
    return hashlib.sha256(text[: sealed.start()].encode()).hexdigest() != sealed[1]


def _first(run: Run, result: Evaluation) -> str:
    score = (
        f"balanced accuracy {percent(result.balanced_accuracy)} "
        f"(95 % interval over images {percent_range(result.balanced_interval)})"
        if result.uneven
        else f"accuracy {percent(result.accuracy)} "
        f"(95 % interval over images {percent_range(result.interval)})"
    )
    return (
        f"A classifier of images into {len(run.classes)} classes "
        f"({', '.join(map(escaped, run.classes))}), trained with atelier by the recipe "
        f"{escaped(run.recipe.name)} on {escaped(run.recipe.data)}: {score} on {result.n:,} "
        f"{result.images}."
    )


def _use(run: Run, license: str | None) -> str:
    channels, height, width = run.card.image_shape
    kind = "gray" if channels == 1 else "color"
    shape = f"{width} x {height} pixels"
    made = f"Made for {kind} images like those of {escaped(run.recipe.data)}, brought to {shape}; "
    made += f"each is given one of the {len(run.classes)} classes."
    other = "Not made for images of anything else: they get one of these classes too, unless an "
    other += 'answer below a threshold is taken as "unknown".'
    owner = license or "unspecified. Ask its owner before you use it"
    lines = [made, other, "Not judged for decisions about people.", f"License: {owner}."]
    return "\n".join(f"- {line}" for line in lines)


def _data(run: Run) -> str:
    metrics, environment = run.metrics, run.environment
    rows = [
        ("data set", run.recipe.data),
        ("images trained on", _count(metrics.get("train_images"))),
        ("images held out for validation", _count(metrics.get("validation_images"))),
        ("fingerprint (SHA-256)", str(environment.get("data_fingerprint", "unknown"))),
    ]
    return _table(["", ""], rows)


def _procedure(run: Run) -> str:
    metrics, train = run.metrics, run.recipe.train
    augmented = [
        f"{key} {value}"
        for key, value in run.recipe.augment.model_dump(mode="json", exclude_defaults=True).items()
    ]
    seconds = metrics.get("train_seconds")
    rows = [
        ("network", run.recipe.model.name),
        ("parameters", _count(metrics.get("parameters"))),
        ("epochs", _count(metrics.get("num_epochs"))),
        ("optimizer", f"{train.optimizer}, learning rate {train.lr:g}"),
        ("batch", _count(train.batch_size)),
        ("augmentation", ", ".join(augmented) or "none"),
        ("seed", str(run.recipe.seed)),
        ("time", "unknown" if seconds is None else f"{seconds:,.1f} s"),
    ]
    return f"{_table(['', ''], rows)}\n\n```\n{run.command.replace('```', '` ` `')}\n```"


def _evaluation(run: Run, result: Evaluation) -> str:
    source = f"{result.n:,} {result.images}"
    said = (
        f"On {source}, of which none was trained on."
        if run.judged == "test"
        else f"On {source}: {NO_TEST_PART}, by which the training chose its epoch."
    )
    rows = [
        ("accuracy", percent(result.accuracy), percent_range(result.interval)),
        (
            "balanced accuracy",
            percent(result.balanced_accuracy),
            percent_range(result.balanced_interval),
        ),
        ("macro F1", percent(result.macro_f1), ""),
        ("calibration error (ECE)", percent(result.ece), ""),
    ]
    if result.calibrated is not None:
        rows.append(("ECE, calibrated", percent(result.calibrated.ece), ""))
    scores = _table(["", "value", "95 % interval over images"], rows)
    classes = _table(*result.class_table())
    return (
        f"{said} The intervals are for this one trained model; training again with another seed "
        f"is not covered.\n\n{scores}\n\n{classes}"
    )


def _limits(run: Run, result: Evaluation) -> str:
    scored = sorted((row for row in result.per_class if row.f1 == row.f1), key=lambda row: row.f1)
    worst = ", ".join(
        f"{escaped(row.name)} (F1 {percent(row.f1, 1)})" for row in scored[:_WORST_CLASSES]
    )
    lines = [f"Classes are not served alike: worst are {worst}."]
    lines += [
        f"{escaped(row.true)} is called {escaped(row.predicted)} in {percent(row.share, 1)} of "
        "its images."
        for row in result.top_confusions[:_WORST_CLASSES]
    ]
    if result.uneven:
        lines.append("Classes have different numbers of images, and small ones are less sure.")
    robustness, why_not = _kept(load_robustness, run)
    if robustness is None:
        lines.append(f"Corrupted images, attacks and subgroups: {why_not}.")
    else:
        if robustness.corrupted is not None:
            lines.append(
                f"On corrupted images accuracy is {percent(robustness.corrupted.value, 1)} instead "
                f"of {percent(robustness.accuracy, 1)} ({robustness.n:,} {robustness.part} images)."
            )
        if (group := worst_of(robustness.groups)) is not None:
            lines.append(
                f"The subgroup served worst: {escaped(group_words(group))}, "
                f"{percent(group.accuracy, 1)} (95 % interval "
                f"{percent_range(group.interval, 1)})."
            )
        if mirrored := mirror_sentence(robustness.mirrored):
            lines.append(escaped(mirrored))
    uncertainty, why_not = _kept(load_uncertainty, run)
    if uncertainty is None:
        lines.append(f"What it says of images of no class: {why_not}.")
    elif uncertainty.detections:
        best = uncertainty.best_score
        found = next(row for row in uncertainty.detectors if row.score == best)
        lines.append(
            f"Images of no class are told from known ones with an AUROC of "
            f"{percent(found.mean_auroc, 1)} on average over {len(uncertainty.unknowns)} sets, by "
            f"the score {escaped(best)}."
        )
    return "\n".join(f"- {line}" for line in lines)


def _kept(load: Callable[[Run], _Kept | None], run: Run) -> tuple[_Kept | None, str]:
    """What a verb has kept with the run, or why there is nothing."""
    try:
        return load(run), "not looked at"
    except RunError as error:
        return None, f"not known, for {escaped(str(error))}"


_HOW = """The folder of this card is an atelier run: weights as safetensors, all else as JSON.

```python
import atelier

run = atelier.load_run("path/to/this/folder")
for answer in atelier.predict(run, ["garment.png"]):
    print(answer)
```

```
atelier predict path/to/this/folder garment.png
```"""


def _citation(data: str) -> str:
    known = _CITATIONS.get(data)
    return f"Data: {known}" if known else "None is known."


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "unknown"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
