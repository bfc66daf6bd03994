"""The application that every verb belongs to, and the options that several verbs share."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup


class _Verbs(TyperGroup):
    """The verbs, of which one has two words: ``bench zoo``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As ever, two words first."""
        return super().resolve_command(ctx, joined(args))


def joined(words: list[str]) -> list[str]:
    """The words of a command line, those of a verb of two as one."""
    return ["bench zoo", *words[2:]] if words[:2] == ["bench", "zoo"] else words


app = typer.Typer(
    name="atelier",
    cls=_Verbs,
    help="Train, compare, understand and ship classifiers of fashion images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich alone takes longer to import than help may take
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[
    str | None,
    typer.Option(
        help="fashion-mnist, fashion-mnist-sample, a folder of IDX files, a folder of class "
        "folders of photos, a table of photos (.csv, .parquet), a file of corrections, or one of "
        "these in another domain, as fashion-mnist:inverted. "
        "Default: the recipe's own, fashion-mnist.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change a field of the recipe, as train.lr=0.01."
    ),
]
Track = Annotated[
    str | None,
    typer.Option(
        metavar="mlflow[:URI]",
        help="Show the trainings in MLflow too: in runs/mlflow.db, or at a URI such as "
        "mlflow:http://localhost:5000.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands there.")]
# As of `serving.settings`, which takes too long to import for the help.
DEFAULT_LOG = "sqlite:///runs/served/predictions.sqlite"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def name_of(command: typer.models.CommandInfo) -> str:
    """The verb of a command: the name of its function, or what was given instead."""
    return str(command.name or getattr(command.callback, "__name__", ""))
